//! The staging folder: files that are locked by their writers.
//!
//! A lock (flock), not a file's existence, says that somebody writes it: so any number of processes can share a root. While a
//! name is a file's, only who holds its lock may remove it.

use std::time::Duration;

use rustix::io::Errno;

use super::disk::{Access, Disk};

/// How often a sweeper is waited for that has taken a file between its creation and its lock, and how long each time.
const MAX_TAKEN: u32 = 100;
const SWEEPING: Duration = Duration::from_millis(1);

/// Creates and locks a staged file, in the place of what a dead writer has left, if that `may_go`; [`Errno::WOULDBLOCK`] while
/// another writer has it, [`Errno::EXIST`] where it may not go.
pub(super) fn lock_new<D: Disk>(
    disk: &D,
    staging: &D::Handle,
    name: &str,
    mut may_go: impl FnMut(&D::Handle) -> Result<bool, Errno>,
) -> Result<D::Handle, Errno> {
    let mut taken = 0;
    loop {
        match disk.create(staging, name) {
            Ok(file) => match lock(disk, staging, name, file) {
                Ok(Some(file)) => return Ok(file),
                // A sweeper has it for the moment that it takes to remove it.
                Ok(None) | Err(Errno::WOULDBLOCK) => taken += 1,
                Err(errno) => return Err(errno),
            },
            Err(Errno::EXIST) => match lock_left(disk, staging, name, Access::Read) {
                Ok(Some(dead)) if may_go(&dead)? => disk.unlink(staging, name)?,
                Ok(Some(_)) => return Err(Errno::EXIST),
                Ok(None) => {}
                // The sweeper that took ours is not done yet.
                Err(Errno::WOULDBLOCK) if (1..MAX_TAKEN).contains(&taken) => {
                    taken += 1;
                    std::thread::sleep(SWEEPING);
                }
                Err(errno) => return Err(errno),
            },
            Err(errno) => return Err(errno),
        }
    }
}

/// Locks what a dead writer has left, if it has; [`Errno::WOULDBLOCK`] while somebody has it.
pub(super) fn lock_left<D: Disk>(
    disk: &D,
    staging: &D::Handle,
    name: &str,
    access: Access,
) -> Result<Option<D::Handle>, Errno> {
    loop {
        let file = match disk.open(staging, name, access) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        if let Some(file) = lock(disk, staging, name, file)? {
            return Ok(Some(file));
        }
    }
}

/// Locks what a dead writer has left, or else an empty file, so that nobody else takes the name meanwhile;
/// [`Errno::WOULDBLOCK`] while somebody has it.
pub(super) fn lock_any<D: Disk>(disk: &D, staging: &D::Handle, name: &str) -> Result<D::Handle, Errno> {
    loop {
        if let Some(file) = lock_left(disk, staging, name, Access::Read)? {
            return Ok(file);
        }
        match disk.create(staging, name) {
            Ok(file) => {
                if let Some(file) = lock(disk, staging, name, file)? {
                    return Ok(file);
                }
            }
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Locks a file; `None` if by then the name is gone, or another file's.
fn lock<D: Disk>(disk: &D, staging: &D::Handle, name: &str, file: D::Handle) -> Result<Option<D::Handle>, Errno> {
    disk.lock(&file)?;
    let ours = disk.stat(&file)?.identity;
    match disk.stat_at(staging, name) {
        Ok(stat) if stat.identity == ours => Ok(Some(file)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}
