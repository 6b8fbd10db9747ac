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

mod flusher;
mod probe;
mod record;
mod staged;
mod staging;
mod tree;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use bytesize::ByteSize;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use tokio::sync::Semaphore;

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
pub struct Fs(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    root: PathBuf,
    tree: Tree,
    staging: OwnedFd,
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
        let failed = |error: std::io::Error| {
            let hint = if root.is_file() { ", which is a file" } else { "" };
            Error::new(ErrorKind::Store, format!("opening the folder {:?}{hint}", root.display().to_string())).because(error)
        };
        tree::make_durable_dirs(&root.join(RESERVED).join(STAGING)).map_err(failed)?;
        let root = root.canonicalize().map_err(failed)?;
        let tree = Tree::open(&root).map_err(failed)?;
        let staging = tree::open_dir(tree.root(), &format!("{RESERVED}/{STAGING}")).map_err(|errno| failed(errno.into()))?;
        let swept = staging::sweep(&staging).map_err(failed)?;
        if swept > 0 {
            tracing::info!(files = swept, root = %root.display(), "removed what interrupted uploads had left");
        }
        Ok(Self(Arc::new(Shared {
            root,
            tree,
            staging,
            min_free_bytes,
            reading: Semaphore::new(MAX_READING),
            broken: OnceLock::new(),
        })))
    }

    /// The folder that keys are relative to.
    pub fn root(&self) -> &Path {
        &self.0.root
    }
}

impl Fs {
    /// The receipt of the file under `key`, if it is `wanted`.
    async fn read(&self, key: &Key, wanted: impl FnOnce(&File) -> bool + Send + 'static) -> Result<Option<Receipt>> {
        let _turn = self.0.reading.acquire().await;
        let (shared, key) = (Arc::clone(&self.0), key.clone());
        blocking(move || {
            let failed = |error: std::io::Error| {
                Error::new(ErrorKind::Store, format!("looking at {:?}", key.as_str())).because(error)
            };
            match shared.tree.open_file(&key).map_err(failed)? {
                Some(mut file) if wanted(&file) => record::receipt(&mut file, &key).map(Some).map_err(failed),
                Some(_) | None => Ok(None),
            }
        })
        .await
    }
}

#[async_trait]
impl Sink for Fs {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let shared = Arc::clone(&self.0);
        let staged = blocking(move || StagedFile::create(shared, spec)).await?;
        Ok(Box::new(staged))
    }

    async fn resume(&self, _spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        Ok(None)
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        self.read(key, |_| true).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        let id = id.clone();
        let found = self.read(key, move |file| Record::read(file).is_some_and(|record| record.id == id)).await?;
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

impl Shared {
    /// Fails where the store takes nothing any more.
    fn check_writable(&self, doing: &str, key: &Key) -> Result<()> {
        let Some(why) = self.broken.get() else { return Ok(()) };
        let message =
            format!("{doing} {:?}: the store is read-only since {why}; check the disk, then restart", key.as_str());
        Err(Error::new(ErrorKind::Store, message))
    }

    /// Fails where `more` bytes would not leave enough room.
    fn check_room(&self, more: u64, doing: &str, key: &Key) -> Result<()> {
        let free = self.free_bytes().map_err(|errno| {
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

    fn free_bytes(&self) -> Result<u64, Errno> {
        let stat = rustix::fs::fstatvfs(&self.staging)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Flushes a file or a folder. A flush that failed is final: the kernel has marked the pages clean, so that the next one
    /// would succeed without them (what became known as "fsyncgate"). The store then takes nothing any more.
    fn flush(&self, fd: impl AsFd, what: &str) -> Result<()> {
        match rustix::fs::fsync(fd) {
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

/// `renameat2` without clobbering is what commits stand on.
const NO_CLOBBER: RenameFlags = RenameFlags::NOREPLACE;
