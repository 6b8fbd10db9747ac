//! Multipart uploads.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering::SeqCst;
use std::time::SystemTime;

use async_trait::async_trait;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{Error, MultipartId, ObjectStoreExt, PutMultipartOptions, PutPayload, PutResult, Result};

use super::{Faulty, Op, Open, Way};
use crate::sink::object::unfinished::{Multipart, Unfinished};
use crate::upload::Digest;

#[async_trait]
impl MultipartStore for Faulty {
    async fn create_multipart(&self, path: &Path) -> Result<MultipartId> {
        self.create_multipart_opts(path, PutMultipartOptions::default()).await
    }

    async fn create_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<MultipartId> {
        let work = async {
            let id = self.inner.create_multipart_opts(path, options).await?;
            let open = Open { path: path.clone(), way: self.way, initiated: SystemTime::now(), etags: BTreeMap::new() };
            self.open.lock().unwrap().insert(id.clone(), open);
            Ok(id)
        };
        self.with_fault(Op::Create, path, work).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        // The store in memory gives no part a name: S3 calls it by what it holds.
        let etag = Digest::of(&data.iter().flatten().copied().collect::<Vec<_>>()).to_string();
        let work = async {
            self.compare_checksum()?;
            match self.open.lock().unwrap().get(id) {
                None => return Err(no_such_upload(path)),
                // As MinIO has it of an upload that was opened for checksums, and of one that was
                // not.
                Some(open) if open.way != self.way => {
                    return Err(Error::Generic { store: "Faulty", source: "<Code>InvalidArgument</Code>".into() });
                }
                Some(_) => {}
            }
            self.note_checksum(path);
            self.inner.put_part(path, id, index, data).await?;
            if let Some(open) = self.open.lock().unwrap().get_mut(id) {
                open.etags.insert(index, etag.clone());
            }
            Ok(PartId { content_id: etag })
        };
        self.with_fault(Op::PutPart, path, work).await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let work = async {
            let conditional = self.way == Way::Conditional && !self.unconditional.load(SeqCst);
            if conditional && self.inner.head(path).await.is_ok() {
                return Err(Error::Precondition { path: path.to_string(), source: "taken".into() });
            }
            if self.loses[0].load(SeqCst) {
                tokio::task::yield_now().await;
            }
            let named: Vec<_> = parts.iter().map(|part| part.content_id.clone()).collect();
            match self.open.lock().unwrap().get(id) {
                None => return Err(no_such_upload(path)),
                Some(open) if open.etags.values().ne(&named) => {
                    return Err(Error::Generic { store: "Faulty", source: "<Code>InvalidPart</Code>".into() });
                }
                Some(_) => {}
            }
            let result = self.inner.complete_multipart(path, id, parts).await?;
            self.open.lock().unwrap().remove(id);
            Ok(result)
        };
        self.with_fault(Op::Complete, path, work).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let work = async {
            if self.open.lock().unwrap().remove(id).is_none() {
                return Err(no_such_upload(path));
            }
            self.inner.abort_multipart(path, id).await
        };
        self.with_fault(Op::Abort, path, work).await
    }
}

#[async_trait]
impl Unfinished for Faulty {
    async fn unfinished(&self) -> crate::error::Result<Vec<Multipart>> {
        let open = self.open.lock().unwrap();
        let multipart = |(id, open): (&MultipartId, &Open)| Multipart {
            path: open.path.clone(),
            id: id.clone(),
            initiated: open.initiated,
        };
        Ok(open.iter().map(multipart).collect())
    }
}

fn no_such_upload(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "NoSuchUpload".into() }
}
