//! The staging folder: files that are locked by their writers, and what dead writers have left.
//!
//! A lock (flock), not a file's existence, says that somebody writes it: so any number of processes can share a root.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

/// Creates a file in the staging folder that nobody else has.
fn create(staging: &OwnedFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(staging, name, flags, Mode::from_raw_mode(0o666)).map(File::from)
}

/// Removes the staged files whose writers have died, and counts them.
pub(super) fn sweep(staging: &OwnedFd) -> std::io::Result<usize> {
    let mut swept = 0;
    for entry in rustix::fs::Dir::read_from(staging)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        match remove_dead(staging, name) {
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
fn remove_dead(staging: &OwnedFd, name: &CStr) -> Result<Writer, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(staging, name, flags, Mode::empty()) {
        Ok(file) => file,
        // Its writer has just ended it.
        Err(Errno::NOENT) => return Ok(Writer::Dead),
        Err(errno) => return Err(errno),
    };
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(Writer::Alive),
        Err(errno) => return Err(errno),
    }
    // By now the name may be gone, or be another upload's. While it is this file's, only the lock's holder may remove it.
    let ours = rustix::fs::fstat(&file)?.st_ino;
    match rustix::fs::statat(staging, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if stat.st_ino == ours => rustix::fs::unlinkat(staging, name, AtFlags::empty())?,
        Ok(_) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    Ok(Writer::Dead)
}

/// Creates and locks a staged file; [`Errno::WOULDBLOCK`] while somebody else has it.
pub(super) fn lock_new(staging: &OwnedFd, name: &str) -> Result<File, Errno> {
    let c_name = CString::new(name).map_err(|_| Errno::INVAL)?;
    loop {
        let file = match create(staging, name) {
            Ok(file) => file,
            Err(Errno::EXIST) => match remove_dead(staging, &c_name)? {
                Writer::Dead => continue,
                Writer::Alive => return Err(Errno::WOULDBLOCK),
            },
            Err(errno) => return Err(errno),
        };
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            // A sweeper holds it for the moment that it takes to remove it.
            Err(Errno::WOULDBLOCK) => continue,
            Err(errno) => return Err(errno),
        }
        if rustix::fs::fstat(&file)?.st_nlink > 0 {
            return Ok(file);
        }
    }
}
