//! The staging folder: files that are locked by their writers, and what dead writers have left.
//!
//! A lock (flock), not a file's existence, says that somebody writes it: so any number of processes can share a root.

use rustix::io::Errno;

use super::disk::{Access, Disk};

/// Removes the staged files whose writers have died, and counts them.
pub(super) fn sweep<D: Disk>(disk: &D, staging: &D::Handle) -> Result<usize, Errno> {
    let mut swept = 0;
    for name in disk.list(staging)? {
        // Every name that tidegate gives is ASCII.
        match name.to_str().ok_or(Errno::ILSEQ).and_then(|name| remove_dead(disk, staging, name)) {
            Ok(Writer::Dead) => swept += 1,
            Ok(Writer::Alive) => {}
            // Nothing that tidegate has put there; it is in nobody's way.
            Err(error) => tracing::warn!(name = ?name, %error, "something in the staging folder can't be removed"),
        }
    }
    Ok(swept)
}

/// Whether somebody still writes a staged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Alive,
    Dead,
}

/// Removes a staged file if its writer has died: if nobody holds its lock.
fn remove_dead<D: Disk>(disk: &D, staging: &D::Handle, name: &str) -> Result<Writer, Errno> {
    let file = match disk.open(staging, name, Access::Read) {
        Ok(file) => file,
        // Its writer has just ended it.
        Err(Errno::NOENT) => return Ok(Writer::Dead),
        Err(errno) => return Err(errno),
    };
    match disk.lock(&file) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Writer::Alive),
        Err(errno) => return Err(errno),
    }
    // By now the name may be gone, or be another upload's. While it is this file's, only the lock's holder may remove it.
    let ours = disk.stat(&file)?.identity;
    match disk.stat_at(staging, name) {
        Ok(stat) if stat.identity == ours => disk.unlink(staging, name)?,
        Ok(_) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    Ok(Writer::Dead)
}

/// Creates and locks a staged file; [`Errno::WOULDBLOCK`] while somebody else has it.
pub(super) fn lock_new<D: Disk>(disk: &D, staging: &D::Handle, name: &str) -> Result<D::Handle, Errno> {
    loop {
        let file = match disk.create(staging, name) {
            Ok(file) => file,
            Err(Errno::EXIST) => match remove_dead(disk, staging, name)? {
                Writer::Dead => continue,
                Writer::Alive => return Err(Errno::WOULDBLOCK),
            },
            Err(errno) => return Err(errno),
        };
        match disk.lock(&file) {
            Ok(()) => {}
            // A sweeper holds it for the moment that it takes to remove it.
            Err(Errno::WOULDBLOCK) => continue,
            Err(errno) => return Err(errno),
        }
        if disk.stat(&file)?.links > 0 {
            return Ok(file);
        }
    }
}
