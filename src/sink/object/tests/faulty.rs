//! A store in memory that fails on demand.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

use super::super::unfinished::{Multipart, Unfinished};
use crate::upload::Digest;

/// Objects in one answer to who lists by a prefix.
const PAGE: usize = 10;

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// Of a file; not of a record.
    Put,
    /// Of whatever is written down beside the files.
    Note,
    Head,
    Get,
    List,
    Delete,
    Create,
    PutPart,
    Complete,
    Abort,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Not done, and no answer.
    TimedOut,
    /// Not done: access denied.
    Refused,
    /// Not done: "not found".
    NotFound,
    /// Done, but no answer.
    DoneButTimedOut,
    /// Done; tried again by the client, which the store answers with "not found".
    DoneButNotFound,
    /// Done; tried again by the client, which the store answers with "already exists".
    DoneButTaken,
    /// Not done before the store is healed.
    Stuck,
}

#[derive(Debug, Default)]
struct Plan {
    /// Calls to let pass, then the fault; once, or for ever.
    faults: Vec<(Op, usize, Fault, bool)>,
    /// Requests to let pass, what becomes of the next, and that all behind it fail.
    crash: Option<(usize, Fault)>,
    /// Requests so far.
    requests: usize,
}

/// Through which of its clients the store is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    /// Completes only where nothing stands.
    Conditional,
    /// Sends checksums.
    Checking,
    /// Sends wrong ones.
    Lying,
}

/// A multipart upload that is open.
#[derive(Debug)]
struct Open {
    path: Path,
    /// Through which client it was opened: its parts must come through the same.
    way: Way,
    initiated: SystemTime,
    /// What the parts hash to, by their number.
    etags: BTreeMap<usize, String>,
}

/// The store. Its clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Faulty {
    inner: Arc<InMemory>,
    plan: Arc<Mutex<Plan>>,
    open: Arc<Mutex<BTreeMap<MultipartId, Open>>>,
    /// How much older than it is everything looks that stands at this moment, by its path.
    aged: Arc<Mutex<BTreeMap<Path, Duration>>>,
    stuck: Arc<AtomicUsize>,
    healed: Arc<Notify>,
    unconditional: Arc<AtomicBool>,
    /// Whether conditional completes, and conditional PUTs, check first and write later.
    loses: Arc<[AtomicBool; 2]>,
    /// Whether what lies below an object is hidden from lists.
    hides: Arc<AtomicBool>,
    way: Way,
    /// Whether checksums are compared.
    compares: Arc<AtomicBool>,
    /// What came with a checksum, in order.
    checked: Arc<Mutex<Vec<Path>>>,
}

impl Faulty {
    pub(super) fn new(inner: InMemory) -> Self {
        Self {
            inner: Arc::new(inner),
            plan: Arc::default(),
            open: Arc::default(),
            aged: Arc::default(),
            stuck: Arc::default(),
            healed: Arc::default(),
            unconditional: Arc::default(),
            loses: Arc::default(),
            hides: Arc::default(),
            way: Way::Plain,
            compares: Arc::default(),
            checked: Arc::default(),
        }
    }

    /// The same store through a client that completes only where nothing stands.
    pub(super) fn conditional(&self) -> Self {
        Self { way: Way::Conditional, ..self.clone() }
    }

    /// The same store through a client that sends wrong checksums.
    pub(super) fn lying(&self) -> Self {
        Self { way: Way::Lying, ..self.clone() }
    }

    /// The same store through a client that sends checksums.
    pub(super) fn checking(&self) -> Self {
        Self { way: Way::Checking, ..self.clone() }
    }

    /// What came with a checksum, in order.
    pub(super) fn checked(&self) -> Vec<Path> {
        self.checked.lock().unwrap().clone()
    }

    fn compare_checksum(&self) -> Result<()> {
        let is_wrong = self.way == Way::Lying && self.compares.load(SeqCst);
        let mismatch = || Error::Generic { store: "Faulty", source: "400 Bad Request: <Code>BadDigest</Code>".into() };
        if is_wrong { Err(mismatch()) } else { Ok(()) }
    }

    fn note_checksum(&self, path: &Path) {
        if self.way == Way::Checking {
            self.checked.lock().unwrap().push(path.clone());
        }
    }

    /// Checksums are compared from now on.
    pub(super) fn compare_checksums(&self) {
        self.compares.store(true, SeqCst);
    }

    /// The store without its faults.
    pub(super) fn inner(&self) -> &InMemory {
        &self.inner
    }

    /// Lets `nth` calls pass, and fails the next.
    pub(super) fn after(&self, nth: usize, op: Op, fault: Fault) {
        self.plan.lock().unwrap().faults.push((op, nth, fault, false));
    }

    /// Fails every call.
    pub(super) fn always(&self, op: Op, fault: Fault) {
        self.plan.lock().unwrap().faults.push((op, 0, fault, true));
    }

    /// Lets `nth` requests of any kind pass; the next ends in `fault`, and all behind it come to nothing.
    pub(super) fn crash_at(&self, nth: usize, fault: Fault) {
        let mut plan = self.plan.lock().unwrap();
        plan.crash = Some((plan.requests + nth, fault));
    }

    /// Whether a crash has been reached.
    pub(super) fn has_crashed(&self) -> bool {
        let plan = self.plan.lock().unwrap();
        plan.crash.is_some_and(|(at, _)| plan.requests > at)
    }

    /// Makes everything that there is look older by this much.
    pub(super) fn age(&self, by: Duration) {
        let objects: Vec<_> = self.inner.list(None).collect::<Vec<_>>().now_or_never().expect("memory does not wait");
        let mut aged = self.aged.lock().unwrap();
        for object in objects {
            *aged.entry(object.unwrap().location).or_default() += by;
        }
        self.open.lock().unwrap().values_mut().for_each(|open| open.initiated -= by);
    }

    /// The store drops a multipart upload, as stores do after a while.
    pub(super) fn drop_unfinished(&self) {
        self.open.lock().unwrap().clear();
    }

    /// No fault any more.
    pub(super) fn heal(&self) {
        let mut plan = self.plan.lock().unwrap();
        plan.faults.clear();
        plan.crash = None;
        drop(plan);
        self.healed.notify_waiters();
    }

    /// Conditions are ignored from now on.
    pub(super) fn ignore_conditions(&self) {
        self.unconditional.store(true, SeqCst);
    }

    /// Of conditional completes at once all succeed from now on.
    pub(super) fn lose_completes(&self) {
        self.loses[0].store(true, SeqCst);
    }

    /// Of conditional PUTs at once all succeed from now on.
    pub(super) fn lose_puts(&self) {
        self.loses[1].store(true, SeqCst);
    }

    /// Calls that are stuck.
    pub(super) fn stuck(&self) -> usize {
        self.stuck.load(SeqCst)
    }

    /// Objects below an object are hidden from lists from now on, as by `MinIO`.
    pub(super) fn hide_below_objects(&self) {
        self.hides.store(true, SeqCst);
    }

    fn hide(&self, objects: &mut Vec<ObjectMeta>) {
        if self.hides.load(SeqCst) {
            let all = self.paths();
            let is_below = |path: &str| path.match_indices('/').any(|(at, _)| all.iter().any(|other| *other == path[..at]));
            objects.retain(|object| !is_below(object.location.as_ref()));
        }
    }

    /// Counts stuck calls anew.
    pub(super) fn forget_stuck(&self) {
        self.stuck.store(0, SeqCst);
    }

    /// Multipart uploads that are open.
    pub(super) fn unfinished(&self) -> usize {
        self.open.lock().unwrap().len()
    }

    /// Where objects lie, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        let listed = self.inner.list(None).map(|object| object.unwrap().location.to_string()).collect();
        listed.now_or_never().expect("a store in memory does not wait")
    }

    /// Requests so far.
    pub(super) fn requests(&self) -> usize {
        self.plan.lock().unwrap().requests
    }

    fn next_fault(&self, op: Op) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        plan.requests += 1;
        if let Some((at, fault)) = plan.crash {
            match (plan.requests - 1).cmp(&at) {
                Ordering::Less => {}
                Ordering::Equal => return Some(fault),
                Ordering::Greater => return Some(Fault::TimedOut),
            }
        }
        let at = plan.faults.iter().position(|(of, ..)| *of == op)?;
        let (_, wait, fault, forever) = &mut plan.faults[at];
        if *wait > 0 {
            *wait -= 1;
            return None;
        }
        let (fault, forever) = (*fault, *forever);
        if !forever {
            plan.faults.remove(at);
        }
        Some(fault)
    }

    /// Does what `work` does, with the fault that is due.
    async fn with_fault<T>(&self, op: Op, path: &Path, work: impl Future<Output = Result<T>>) -> Result<T> {
        let path = path.to_string();
        let timed_out = || Error::Generic { store: "Faulty", source: "operation timed out".into() };
        let fault = self.next_fault(op);
        match fault {
            None => return work.await,
            Some(Fault::TimedOut) => return Err(timed_out()),
            Some(Fault::Refused) => return Err(Error::PermissionDenied { path, source: "denied".into() }),
            Some(Fault::NotFound) => return Err(Error::NotFound { path, source: "NoSuchUpload".into() }),
            Some(Fault::Stuck) => {
                let healed = self.healed.notified();
                self.stuck.fetch_add(1, SeqCst);
                healed.await;
                return work.await;
            }
            Some(Fault::DoneButTimedOut | Fault::DoneButNotFound | Fault::DoneButTaken) => {}
        }
        work.await?;
        Err(match fault {
            Some(Fault::DoneButNotFound) => Error::NotFound { path, source: "NoSuchUpload".into() },
            Some(Fault::DoneButTaken) => Error::AlreadyExists { path, source: "taken".into() },
            _ => timed_out(),
        })
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

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
                // As MinIO has it of an upload that was opened for checksums, and of one that was not.
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
