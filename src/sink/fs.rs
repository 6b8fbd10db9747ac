//! Files below a folder of the local file system.
//!
//! ```text
//! ROOT/readings/a.csv                 what was committed, under its key
//! ROOT/.tidegate/staging/<upload id>  what is on its way; locked (flock) by its writer
//! ```
//!
//! A commit is: flush the file, rename it into its folder without clobbering, flush the folder; every folder above it was
//! flushed before. So at every moment, and after every power cut, a key holds a whole file or none. Staged files of writers
//! that died are removed when the store is opened; a writer that lives holds a lock on its own.
//!
//! Symbolic links below the root are never followed: a sender can't be led out of it.

mod disk;
mod flusher;
mod probe;
mod record;
mod staged;
mod staging;
mod syncfs;
mod tree;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytesize::ByteSize;
use rustix::io::Errno;
use tokio::sync::Semaphore;

use self::disk::{Disk, Os};
use self::flusher::Flusher;
pub use self::flusher::Grouping;
use self::record::Record;
use self::staged::StagedFile;
use self::tree::Tree;
use super::{Probe, Sink, Staged};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Key, Receipt, UploadId, UploadSpec};

/// The folder below the root that the server keeps for itself. No [`Key`] can name it.
const RESERVED: &str = ".tidegate";
const STAGING: &str = "staging";
/// Files that are read whole at once, to answer what stands under a key.
const MAX_READING: usize = 2;

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
    flusher: Flusher,
    min_free_bytes: u64,
    /// Whole files are read for answers, by so many at once: a sender that asks much must not take the disk's workers away from
    /// the others.
    reading: Semaphore,
    /// Why nothing is taken any more: after a failed flush, no flush of this disk can be believed.
    broken: OnceLock<String>,
}

impl Fs {
    /// Opens the store below `root`, which is made if it is missing, and removes what dead writers have left behind.
    ///
    /// `min_free_bytes` of the file system are left free: uploads that would use them fail with [`ErrorKind::NoSpace`].
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the folder can't be made, read or written.
    pub fn open(root: &Path, min_free_bytes: u64) -> Result<Self> {
        Self::open_with(root, min_free_bytes, Grouping::Shared)
    }

    /// Opens a store whose flushes are shared or not: what the benchmark compares.
    #[doc(hidden)]
    pub fn open_with(root: &Path, min_free_bytes: u64, grouping: Grouping) -> Result<Self> {
        let made = tree::make_durable_dirs(root).and_then(|()| root.canonicalize());
        let there = made.map_err(|error| {
            let hint = if root.is_file() { ", which is a file" } else { "" };
            Error::new(ErrorKind::Store, format!("opening the folder {:?}{hint}", root.display().to_string())).because(error)
        })?;
        Self::on(Os, there, min_free_bytes, grouping)
    }
}

impl<D: Disk> Fs<D> {
    /// Opens the store below `root`, which is there.
    fn on(disk: D, root: PathBuf, min_free_bytes: u64, grouping: Grouping) -> Result<Self> {
        let failed = |errno: Errno| {
            Error::new(ErrorKind::Store, format!("opening the folder {:?}", root.display().to_string())).because(errno)
        };
        let tree = Tree::open(disk.clone(), &root).map_err(failed)?;
        let reserved = tree::durable_folder(&disk, tree.root(), RESERVED).map_err(failed)?;
        let staging = tree::durable_folder(&disk, &reserved, STAGING).map_err(failed)?;
        let swept = staging::sweep(&disk, &staging).map_err(failed)?;
        if swept > 0 {
            tracing::info!(files = swept, root = %root.display(), "removed what interrupted uploads had left");
        }
        let grouping = if disk.flushes_all(&staging) { grouping } else { Grouping::One };
        Ok(Self(Arc::new(Shared {
            disk,
            root,
            tree,
            staging,
            flusher: Flusher::new(grouping),
            min_free_bytes,
            reading: Semaphore::new(MAX_READING),
            broken: OnceLock::new(),
        })))
    }

    /// The folder that keys are relative to.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The receipt of the file under `key`, if it is `wanted`.
    async fn read(
        &self,
        key: &Key,
        wanted: impl FnOnce(&Shared<D>, &D::Handle) -> bool + Send + 'static,
    ) -> Result<Option<Receipt>> {
        let _turn = self.0.reading.acquire().await;
        let (shared, key) = (Arc::clone(&self.0), key.clone());
        blocking(move || {
            let failed =
                |errno: Errno| Error::new(ErrorKind::Store, format!("looking at {:?}", key.as_str())).because(errno);
            match shared.tree.open_file(&key).map_err(failed)? {
                Some(file) if wanted(&shared, &file) => record::receipt(&shared.disk, &file, &key).map(Some).map_err(failed),
                Some(_) | None => Ok(None),
            }
        })
        .await
    }
}

#[async_trait]
impl<D: Disk> Sink for Fs<D> {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let shared = Arc::clone(&self.0);
        let staged = blocking(move || StagedFile::create(shared, spec)).await?;
        Ok(Box::new(staged))
    }

    async fn resume(&self, _spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        Ok(None)
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        self.read(key, |_, _| true).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        let id = id.clone();
        let ours = move |shared: &Shared<D>, file: &D::Handle| {
            Record::read(&shared.disk, file).is_some_and(|record| record.id == id)
        };
        let found = self.read(key, ours).await?;
        // Without an id the bytes are not those that its record was made for.
        Ok(found.filter(|receipt| receipt.id.is_some()))
    }

    async fn sweep(&self, _ttl: Duration) -> Result<u64> {
        Ok(0)
    }

    async fn probe(&self) -> Result<Probe> {
        let shared = Arc::clone(&self.0);
        blocking(move || Ok(shared.probe())).await
    }
}

impl<D: Disk> Shared<D> {
    /// Fails where the store takes nothing any more.
    fn check_writable(&self, doing: &str, key: &Key) -> Result<()> {
        let Some(why) = self.broken.get() else { return Ok(()) };
        let message =
            format!("{doing} {:?}: the store is read-only since {why}; check the disk, then restart", key.as_str());
        Err(Error::new(ErrorKind::Store, message))
    }

    /// Fails where `more` bytes would not leave enough room.
    fn check_room(&self, more: u64, doing: &str, key: &Key) -> Result<()> {
        let free = self.disk.free_bytes(&self.staging).map_err(|errno| {
            Error::new(ErrorKind::Store, format!("{doing} {:?}: asking for the free space", key.as_str())).because(errno)
        })?;
        if free.saturating_sub(more) >= self.min_free_bytes && free >= more {
            return Ok(());
        }
        let message = format!(
            "{doing} {:?}: disk full ({} free, {} wanted, {} kept)",
            key.as_str(),
            ByteSize(free),
            ByteSize(more),
            ByteSize(self.min_free_bytes)
        );
        Err(Error::new(ErrorKind::NoSpace, message))
    }

    /// Flushes a file or a folder, together with what others want flushed at the same time. A flush that failed is final: the kernel has marked the pages clean, so that the next one
    /// would succeed without them (what became known as "fsyncgate"). The store then takes nothing any more.
    fn flush(&self, handle: &D::Handle, what: &str) -> Result<()> {
        let flushed = self.disk.stat(handle).and_then(|stat| {
            self.flusher.flush(stat.identity, || self.disk.flush(handle), || self.disk.flush_all(&self.staging))
        });
        match flushed {
            Ok(()) => Ok(()),
            Err(errno) if is_full(errno) => Err(Error::new(ErrorKind::NoSpace, format!("flushing {what}")).because(errno)),
            Err(errno) => {
                let why = format!("flushing {what} failed ({errno})");
                tracing::error!(root = %self.root.display(), reason = %why, "the store is read-only from now on");
                // Only the first reason is kept.
                let _ = self.broken.set(why);
                Err(Error::new(ErrorKind::Store, format!("flushing {what}")).because(errno))
            }
        }
    }
}

fn is_full(errno: Errno) -> bool {
    matches!(errno, Errno::NOSPC | Errno::DQUOT)
}

/// Runs what waits for the disk where waiting harms nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::new(ErrorKind::Unknown, "the disk's worker ended early").because(error)),
    }
}
