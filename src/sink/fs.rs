//! Files below a folder of the local file system.
//!
//! ```text
//! ROOT/readings/a.csv                 what was committed, under its key
//! ROOT/.tidegate/staging/<upload id>  what is on its way; locked (flock) by its writer
//! ROOT/.tidegate/resume/<upload id>   how far it came, if its sender may come back
//! ROOT/.tidegate/quarantine/          files that are not valid, with the reports on them
//! ```
//!
//! A commit is: flush the file, rename it into its folder without clobbering, flush the folder; every folder above it was
//! flushed before. So at every moment, and after every power cut, a key holds a whole file or none. What writers that died
//! have left is removed when the store is opened, unless it can be resumed; a writer that lives holds a lock on its own.
//!
//! Symbolic links below the root are never followed: a sender can't be led out of it.

mod checkpoint;
mod commit;
mod digests;
mod disk;
mod dropped;
mod flusher;
mod job;
mod probe;
mod quarantine;
mod readings;
mod record;
mod staged;
mod staging;
mod standing;
mod sweep;
mod syncfs;
#[cfg(test)]
mod tests;
mod tree;
mod versions;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytesize::ByteSize;
use rustix::io::Errno;

use self::disk::{Disk, Os};
use self::dropped::Dropped;
use self::flusher::Flusher;
pub use self::flusher::Grouping;
use self::job::Job;
pub(crate) use self::readings::max_callers as max_readings;
use self::readings::{Readings, SLICE_BYTES};
use self::staged::StagedFile;
use self::tree::Tree;
use self::versions::Versions;
use super::claims::Claims;
use super::version_index::{FolderHints, VersionIndexes};
use super::{Held, Probe, QuarantineId, Quarantined, Sink, Staged, Swept};
use crate::budget::Budget;
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Durability, Key, Note, Receipt, UploadId, UploadSpec};

/// The folder below the root that the server keeps for itself. No [`Key`] can name it.
pub const RESERVED: &str = ".tidegate";
const STAGING: &str = "staging";
const RESUME: &str = "resume";
const QUARANTINE: &str = "quarantine";
/// Bytes between two checkpoints: what a crash costs a sender at most, and half of what an upload may have in the cache that is not
/// on the disk. Less than a second of a fast line, and enough that three flushes do not count beside writing them.
const CHECKPOINT_BYTES: u64 = 32 << 20;
/// Bytes of an upload that are held back: a file that has no more is created, written and committed in one go.
const HOLD_BYTES: usize = 64 << 10;

/// A store of files below a root. Clones share it.
#[derive(Debug, Clone)]
pub struct Fs<D: Disk = Os>(Arc<Shared<D>>);

#[derive(Debug)]
struct Shared<D: Disk> {
    disk: D,
    root: PathBuf,
    tree: Tree<D>,
    /// Every flush of everything goes through this handle: to it is told what has failed since the last one.
    staging: D::Handle,
    resume: D::Handle,
    quarantine: D::Handle,
    terms: Terms,
    flusher: Flusher,
    claims: Claims<UploadId>,
    dropped: Dropped,
    readings: Arc<Readings>,
    versions: VersionIndexes<Versions>,
    besides: FolderHints,
    /// Memory for what is held back.
    budget: Arc<Budget>,
    /// Why nothing is taken any more: after a failed flush, no flush of this disk can be believed.
    broken: OnceLock<String>,
}

/// What the store does for its uploads.
#[derive(Debug, Clone, Copy)]
struct Terms {
    min_free_bytes: u64,
    checkpoint_bytes: u64,
    hold_bytes: usize,
    /// Bytes of an existing file that are read at once.
    slice_bytes: u64,
    /// What receipts promise.
    durability: Durability,
    grouping: Grouping,
}

impl Terms {
    /// The usual ones.
    fn of(min_free_bytes: u64) -> Self {
        let (checkpoint_bytes, durability, grouping) = (CHECKPOINT_BYTES, Durability::Disk, Grouping::Shared);
        Self { min_free_bytes, checkpoint_bytes, hold_bytes: HOLD_BYTES, slice_bytes: SLICE_BYTES, durability, grouping }
    }
}

/// What a flush that fails takes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Loses {
    /// Bytes that nobody has seen yet: without room for them, their upload fails, and the store goes on.
    Upload,
    /// Names, or files that stood there before. They can't be taken back.
    Names,
}

impl Loses {
    /// Whether nothing that was not flushed can be believed any more.
    fn all(self, errno: Errno) -> bool {
        self == Self::Names || !is_full(errno)
    }
}

impl Fs {
    /// Opens the store below `root`, which is made if it is missing, and removes what dead writers have left that can't be
    /// resumed. Receipts promise [`Durability::Disk`].
    ///
    /// `min_free_bytes` of the file system are left free: uploads that would use them fail with [`ErrorKind::NoSpace`].
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the folder can't be made, read or written.
    pub fn open(root: &Path, min_free_bytes: u64) -> Result<Self> {
        Self::make(root, Terms::of(min_free_bytes))
    }

    /// Opens a store that flushes nothing for a commit: its receipts promise [`Durability::Cache`], and a power cut may take
    /// what they are for, or parts of it. Whatever is saved to be resumed is flushed even so.
    ///
    /// # Errors
    /// As [`Fs::open`].
    pub fn open_cached(root: &Path, min_free_bytes: u64) -> Result<Self> {
        Self::make(root, Terms { durability: Durability::Cache, ..Terms::of(min_free_bytes) })
    }

    /// The same store, whose memory for files that are held back is taken from `budget`. Files for
    /// which there is none go to the disk at once.
    ///
    /// # Panics
    /// If the store is in use already.
    #[must_use]
    pub fn within(mut self, budget: Arc<Budget>) -> Self {
        let shared = Arc::get_mut(&mut self.0).expect("a store gets its budget before it is used");
        let readings = Arc::get_mut(&mut shared.readings).expect("nothing is read before the store is used");
        readings.limit_callers(budget.max_connections());
        shared.budget = budget;
        self
    }

    /// Opens a store whose commits share their flushes or not: what the benchmark compares.
    #[doc(hidden)]
    pub fn open_with(root: &Path, min_free_bytes: u64, grouping: Grouping) -> Result<Self> {
        Self::make(root, Terms { grouping, ..Terms::of(min_free_bytes) })
    }

    fn make(root: &Path, terms: Terms) -> Result<Self> {
        let made = tree::make_durable_dirs(root).and_then(|()| root.canonicalize());
        let there = made.map_err(|error| {
            let hint = if root.is_file() { ", which is a file" } else { "" };
            Error::new(ErrorKind::Store, format!("opening the folder {:?}{hint}", root.display().to_string())).because(error)
        })?;
        Self::on(Os, there, terms)
    }
}

impl<D: Disk> Fs<D> {
    /// Opens the store below `root`, which is there.
    fn on(disk: D, root: PathBuf, terms: Terms) -> Result<Self> {
        let failed = |errno: Errno| {
            Error::new(ErrorKind::Store, format!("opening the folder {:?}", root.display().to_string())).because(errno)
        };
        let tree = Tree::open(disk.clone(), &root).map_err(failed)?;
        let reserved = tree::durable_folder(&disk, tree.root(), RESERVED).map_err(failed)?;
        let staging = tree::durable_folder(&disk, &reserved, STAGING).map_err(failed)?;
        let resume = tree::durable_folder(&disk, &reserved, RESUME).map_err(failed)?;
        let quarantine = tree::durable_folder(&disk, &reserved, QUARANTINE).map_err(failed)?;
        // Whoever removed something there may have died before he flushed it.
        for folder in [&staging, &resume, &quarantine] {
            disk.flush(folder).map_err(failed)?;
        }
        let groups =
            terms.grouping == Grouping::Shared && terms.durability == Durability::Disk && disk.flushes_all(&staging);
        let flusher = Flusher::new(if groups { Grouping::Shared } else { Grouping::One });
        let (claims, dropped, broken) = (Claims::default(), Dropped::default(), OnceLock::new());
        let shared = Shared {
            disk,
            root,
            tree,
            staging,
            resume,
            quarantine,
            terms,
            flusher,
            claims,
            dropped,
            readings: Readings::new(terms.slice_bytes),
            versions: VersionIndexes::default(),
            besides: FolderHints::default(),
            budget: Budget::unlimited(),
            broken,
        };
        // However old: how long to wait for a sender is not known here.
        match shared.sweep(Duration::MAX) {
            Ok(Swept { removed: 0, .. }) => {}
            Ok(Swept { removed: uploads, .. }) => {
                tracing::info!(uploads, root = %shared.root.display(), "removed what interrupted uploads had left");
            }
            Err(error) => {
                tracing::warn!(%error, root = %shared.root.display(), "what interrupted uploads had left stays behind");
            }
        }
        Ok(Self(Arc::new(shared)))
    }

    /// The folder that keys are relative to.
    pub fn root(&self) -> &Path {
        &self.0.root
    }
}

#[async_trait]
impl<D: Disk> Sink for Fs<D> {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        self.0.dropped.wait(&spec.id).await;
        let mut job = Job::new(Arc::clone(&self.0), spec)?;
        if !job.may_be_held() {
            // A file for which there is no room is refused before it comes, and what was kept under its id is gone by then.
            job = blocking(move || job.open().map(|()| job)).await?;
        }
        Ok(Box::new(StagedFile::new(job, Note::default())))
    }

    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        self.0.dropped.wait(&spec.id).await;
        let shared = Arc::clone(&self.0);
        let found = blocking(move || Job::reopen(shared, spec)).await?;
        Ok(found.map(|(job, note)| Box::new(StagedFile::new(job, note)) as Box<dyn Staged>))
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        self.0.standing(key, None).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        let found = self.0.standing(key, Some(id.clone())).await?;
        // Without an id the bytes are not those that its record was made for.
        Ok(found.filter(|receipt| receipt.id.is_some()))
    }

    async fn sweep(&self, ttl: Duration) -> Result<Swept> {
        let shared = Arc::clone(&self.0);
        blocking(move || shared.sweep(ttl)).await
    }

    async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        let shared = Arc::clone(&self.0);
        blocking(move || shared.all_quarantined()).await
    }

    async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>> {
        let (shared, id) = (Arc::clone(&self.0), id.clone());
        blocking(move || {
            let file = shared.quarantined_file(&id)?;
            Ok(file.map(|file| quarantine::stream(shared, id, file)))
        })
        .await
    }

    async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        let (shared, id) = (Arc::clone(&self.0), id.clone());
        blocking(move || shared.drop_quarantined(&id)).await
    }

    async fn probe(&self) -> Result<Probe> {
        let shared = Arc::clone(&self.0);
        blocking(move || Ok(shared.probe())).await
    }
}

impl<D: Disk> Shared<D> {
    /// Fails where the store takes nothing: for good after a failed flush, and for as long as its root is not where it was
    /// opened, because readers look at the configured path.
    fn check_writable(&self, doing: &str, key: &Key) -> Result<()> {
        let why = match self.broken.get() {
            Some(why) => format!("the store is read-only since {why}; check the disk, then restart"),
            None if self.tree.stands_at(&self.root) => return Ok(()),
            None => format!(
                "the folder {:?} was moved, unmounted or replaced since the start: put it back, or restart",
                self.root.display().to_string()
            ),
        };
        Err(Error::new(ErrorKind::Store, format!("{doing} {:?}: {why}", key.as_str())))
    }

    /// Fails where `more` bytes would not leave enough room.
    fn check_room(&self, more: u64, doing: &str, key: &Key) -> Result<()> {
        let free = self.disk.free_bytes(&self.staging).map_err(|errno| {
            Error::new(ErrorKind::Store, format!("{doing} {:?}: asking for the free space", key.as_str())).because(errno)
        })?;
        if free.saturating_sub(more) >= self.terms.min_free_bytes && free >= more {
            return Ok(());
        }
        let message = format!(
            "{doing} {:?}: disk full ({} free, {} wanted, {} kept)",
            key.as_str(),
            ByteSize(free),
            ByteSize(more),
            ByteSize(self.terms.min_free_bytes)
        );
        Err(Error::new(ErrorKind::NoSpace, message))
    }

    /// Flushes what a receipt stands on, where receipts promise the disk; together with what other receipts wait for.
    fn promise(&self, handle: &D::Handle, loses: Loses, what: &str) -> Result<()> {
        if self.terms.durability == Durability::Cache {
            return Ok(());
        }
        // An error of everybody's bytes may be of those who wait for the next flush.
        let all = || self.disk.flush_all(&self.staging).inspect_err(|errno| self.close("everything", *errno));
        let one = || self.flush_final(handle, loses, what);
        let flushed = self.disk.stat(handle).and_then(|stat| self.flusher.flush(stat.identity, one, all));
        self.settle(flushed, loses, what)
    }

    /// Flushes what stands under a key already, with its name.
    fn promise_standing(&self, folder: &D::Handle, file: &D::Handle, key: &Key) -> Result<()> {
        self.promise(file, Loses::Names, &format!("{:?}", key.as_str()))?;
        self.promise(folder, Loses::Names, &format!("the folder of {:?}", key.as_str()))
    }

    /// Flushes a file or a folder by itself: nobody who waits for a receipt shall wait for the many bytes of an upload under
    /// way.
    fn flush(&self, handle: &D::Handle, loses: Loses, what: &str) -> Result<()> {
        let one = || self.flush_final(handle, loses, what);
        let flushed = self.disk.stat(handle).and_then(|stat| self.flusher.flush_alone(stat.identity, one));
        self.settle(flushed, loses, what)
    }

    /// One flush. Where it fails, that is known to everybody when this returns: no flush of the same thing that succeeds
    /// after it is believed.
    fn flush_final(&self, handle: &D::Handle, loses: Loses, what: &str) -> Result<(), Errno> {
        self.disk.flush(handle).inspect_err(|errno| {
            if loses.all(*errno) {
                self.close(what, *errno);
            }
        })
    }

    /// What a flush has come to. One that failed is final: the kernel has marked the pages clean, so that the next one would
    /// succeed without them (what became known as "fsyncgate"). The store then takes nothing any more.
    fn settle(&self, flushed: Result<(), Errno>, loses: Loses, what: &str) -> Result<()> {
        if let Err(errno) = flushed {
            if loses.all(errno) {
                self.close(what, errno);
                return Err(Error::new(ErrorKind::Store, format!("flushing {what}")).because(errno));
            }
            return Err(Error::new(ErrorKind::NoSpace, format!("flushing {what}")).because(errno));
        }
        self.broken.get().map_or(Ok(()), |why| {
            Err(Error::new(ErrorKind::Store, format!("flushing {what}: the store is read-only since {why}")))
        })
    }

    /// Takes nothing from now on, because flushing `what` failed.
    fn close(&self, what: &str, errno: Errno) {
        let why = format!("flushing {what} failed ({errno})");
        // Only the first reason is kept.
        self.broken.get_or_init(|| {
            tracing::error!(root = %self.root.display(), reason = %why, "the store is read-only from now on");
            why
        });
    }
}

fn failed(doing: &str, spec: &UploadSpec, errno: Errno) -> Error {
    let message = format!("{doing} {:?}", spec.key.as_str());
    if errno == Errno::FBIG {
        let why = "larger than this file system, or the limit on file sizes of the server's process (RLIMIT_FSIZE), allows";
        return Error::new(ErrorKind::NoSpace, format!("{message}: {why}: raise it")).because(errno);
    }
    if is_full(errno) {
        return Error::new(ErrorKind::NoSpace, format!("{message}: disk full")).because(errno);
    }
    Error::new(ErrorKind::Store, message).because(errno)
}

fn is_full(errno: Errno) -> bool {
    matches!(errno, Errno::NOSPC | Errno::DQUOT | Errno::FBIG)
}

/// Runs what waits for the disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::new(ErrorKind::Unknown, "the disk's worker ended early").because(error)),
    }
}
