//! A store in memory that fails on demand.

use std::collections::HashSet;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartId, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Put,
    Head,
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
}

/// The store. Its clones share everything.
#[derive(Debug, Clone)]
pub(super) struct Faulty {
    inner: Arc<InMemory>,
    plan: Arc<Mutex<Plan>>,
    open: Arc<Mutex<HashSet<MultipartId>>>,
    stuck: Arc<AtomicUsize>,
    healed: Arc<Notify>,
    unconditional: Arc<AtomicBool>,
    /// Whether a complete is refused where something stands.
    creating: bool,
}

impl Faulty {
    pub(super) fn new(inner: InMemory) -> Self {
        Self {
            inner: Arc::new(inner),
            plan: Arc::default(),
            open: Arc::default(),
            stuck: Arc::default(),
            healed: Arc::default(),
            unconditional: Arc::default(),
            creating: false,
        }
    }

    /// The same store through a client that completes only where nothing stands.
    pub(super) fn conditional(&self) -> Self {
        Self { creating: true, ..self.clone() }
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

    /// No fault any more.
    pub(super) fn heal(&self) {
        self.plan.lock().unwrap().faults.clear();
        self.healed.notify_waiters();
    }

    /// Conditions are ignored from now on.
    pub(super) fn ignore_conditions(&self) {
        self.unconditional.store(true, Ordering::SeqCst);
    }

    /// Calls that are stuck.
    pub(super) fn stuck(&self) -> usize {
        self.stuck.load(Ordering::SeqCst)
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

    fn next_fault(&self, op: Op) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
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
                self.stuck.fetch_add(1, Ordering::SeqCst);
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
        // Faults are for objects: a record is an object that nobody meant to break.
        if path.as_ref().contains("receipts") {
            return self.inner.put_opts(path, payload, options).await;
        }
        if self.unconditional.load(Ordering::SeqCst) {
            options.mode = PutMode::Overwrite;
        }
        self.with_fault(Op::Put, path, self.inner.put_opts(path, payload, options)).await
    }

    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        if options.head {
            return self.with_fault(Op::Head, path, self.inner.get_opts(path, options)).await;
        }
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
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
            self.open.lock().unwrap().insert(id.clone());
            Ok(id)
        };
        self.with_fault(Op::Create, path, work).await
    }

    async fn put_part(&self, path: &Path, id: &MultipartId, index: usize, data: PutPayload) -> Result<PartId> {
        self.with_fault(Op::PutPart, path, self.inner.put_part(path, id, index, data)).await
    }

    async fn complete_multipart(&self, path: &Path, id: &MultipartId, parts: Vec<PartId>) -> Result<PutResult> {
        let work = async {
            let conditional = self.creating && !self.unconditional.load(Ordering::SeqCst);
            if conditional && self.inner.head(path).await.is_ok() {
                return Err(Error::Precondition { path: path.to_string(), source: "taken".into() });
            }
            let result = self.inner.complete_multipart(path, id, parts).await?;
            self.open.lock().unwrap().remove(id);
            Ok(result)
        };
        self.with_fault(Op::Complete, path, work).await
    }

    async fn abort_multipart(&self, path: &Path, id: &MultipartId) -> Result<()> {
        let work = async {
            if !self.open.lock().unwrap().remove(id) {
                return Err(Error::NotFound { path: path.to_string(), source: "NoSuchUpload".into() });
            }
            self.inner.abort_multipart(path, id).await
        };
        self.with_fault(Op::Abort, path, work).await
    }
}
