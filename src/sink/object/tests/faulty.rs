//! A store in memory that fails on demand.

mod multipart;
mod objects;
mod plan;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, MultipartId, ObjectMeta, ObjectStore, Result};
use tokio::sync::Notify;

use self::plan::Plan;
pub(super) use self::plan::{Fault, Op};

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

    /// Multipart uploads that are open.
    pub(super) fn unfinished(&self) -> usize {
        self.open.lock().unwrap().len()
    }

    /// Where objects lie, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        let listed = self.inner.list(None).map(|object| object.unwrap().location.to_string()).collect();
        listed.now_or_never().expect("a store in memory does not wait")
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}
