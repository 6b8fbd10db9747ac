//! Requests for whole objects, and lists of them.

use std::sync::atomic::Ordering::SeqCst;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::{Faulty, Op};

/// Objects in one answer to who lists by a prefix.
const PAGE: usize = 10;

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, mut options: PutOptions) -> Result<PutResult> {
        if self.unconditional.load(SeqCst) {
            options.mode = PutMode::Overwrite;
        }
        let noted = ["/receipts/", "/uploads/", "/claims/", "/folders/"].iter().any(|folder| path.as_ref().contains(folder));
        let op = if noted { Op::Note } else { Op::Put };
        let work = async {
            self.compare_checksum()?;
            if options.mode == PutMode::Create && self.loses[1].load(SeqCst) {
                if self.inner.head(path).await.is_ok() {
                    return Err(Error::AlreadyExists { path: path.to_string(), source: "taken".into() });
                }
                tokio::task::yield_now().await;
                options.mode = PutMode::Overwrite;
            }
            let done = self.inner.put_opts(path, payload, options).await?;
            self.note_checksum(path);
            self.aged.lock().unwrap().remove(path);
            Ok(done)
        };
        self.with_fault(op, path, work).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let op = if options.head { Op::Head } else { Op::Get };
        let mut got = self.with_fault(op, path, self.inner.get_opts(path, options)).await?;
        got.meta.last_modified -= self.aged.lock().unwrap().get(path).copied().unwrap_or_default();
        Ok(got)
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let delete = move |path: Result<Path>| {
            let store = store.clone();
            async move {
                let path = path?;
                let work = async { store.inner.delete(&path).await };
                store.with_fault(Op::Delete, &path, work).await.map(|()| path.clone())
            }
        };
        paths.then(delete).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listed = async move {
            let work = async { store.inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await };
            let mut objects = store.with_fault(Op::List, &prefix.clone().unwrap_or_default(), work).await?;
            store.hide(&mut objects);
            let aged = store.aged.lock().unwrap();
            for object in &mut objects {
                object.last_modified -= aged.get(&object.location).copied().unwrap_or_default();
            }
            Ok::<_, Error>(futures::stream::iter(objects.into_iter().map(Ok)))
        };
        listed.into_stream().try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[async_trait]
impl PaginatedListStore for Faulty {
    /// Names with the delimiter behind the prefix are left out: nobody asks for them.
    async fn list_paginated(&self, prefix: Option<&str>, options: PaginatedListOptions) -> Result<PaginatedListResult> {
        let prefix = prefix.unwrap_or_default();
        let work = async {
            let mut objects = self.inner.list(None).try_collect::<Vec<_>>().await?;
            self.hide(&mut objects);
            objects.retain(|object| {
                let rest = object.location.as_ref().strip_prefix(prefix);
                let is_behind = options.page_token.as_deref().is_none_or(|token| object.location.as_ref() > token);
                let is_cut = |rest: &str| options.delimiter.as_deref().is_some_and(|delimiter| rest.contains(delimiter));
                is_behind && rest.is_some_and(|rest| !is_cut(rest))
            });
            objects.sort_by(|one, other| one.location.cmp(&other.location));
            let page = options.max_keys.unwrap_or(PAGE);
            let more = objects.len() > page;
            objects.truncate(page);
            let page_token = objects.last().filter(|_| more).map(|object| object.location.to_string());
            let result = ListResult { common_prefixes: Vec::new(), objects, extensions: options.extensions };
            Ok(PaginatedListResult { result, page_token })
        };
        self.with_fault(Op::List, &Path::default(), work).await
    }
}
