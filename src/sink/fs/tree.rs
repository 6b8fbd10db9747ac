//! The folders below the root: walked without following links, made durable as they are made.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::NO_CLOBBER;
use crate::error::{Error, Result};
use crate::upload::Key;

/// Folders that are remembered to be durable; beyond, they are flushed once more.
const MAX_REMEMBERED: usize = 65_536;

/// The root, and which folders below it are known to survive a power cut.
#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
    /// By path, the number of the folder that was seen: another one may stand there by now.
    durable: Mutex<HashMap<String, u64>>,
}

/// Why a key's folder can't be had.
#[derive(Debug)]
pub(super) enum NoFolder {
    /// Something that is no folder stands where one must be.
    Obstacle,
    /// The disk failed.
    Failed(Errno),
    /// A folder could not be made durable.
    NotFlushed(Error),
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(Self { root, durable: Mutex::default() })
    }

    /// Whether the root still stands where it was opened.
    pub(super) fn stands_at(&self, path: &Path) -> bool {
        match (rustix::fs::fstat(&self.root), rustix::fs::stat(path)) {
            (Ok(ours), Ok(there)) => (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino),
            (Ok(_) | Err(_), _) => false,
        }
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    /// The folder that `key` lies in, made where it is missing. It and everything above it are durable when this returns:
    /// a folder is flushed into its parent by `flush` unless that was seen to happen already, for another upload may have
    /// made it and not yet have come so far.
    pub(super) fn folder(&self, key: &Key, flush: impl Fn(&OwnedFd) -> Result<()>) -> Result<OwnedFd, NoFolder> {
        let mut folder = rustix::io::fcntl_dupfd_cloexec(&self.root, 0).map_err(NoFolder::Failed)?;
        let mut path = String::new();
        let mut components: Vec<&str> = key.components().collect();
        components.pop();
        for component in components {
            path.push_str(component);
            path.push('/');
            let made = match rustix::fs::mkdirat(&folder, component, Mode::from_raw_mode(0o777)) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(NoFolder::Failed(errno)),
            };
            let child = match open_dir(&folder, component) {
                Ok(child) => child,
                Err(Errno::NOTDIR | Errno::LOOP) => return Err(NoFolder::Obstacle),
                Err(errno) => return Err(NoFolder::Failed(errno)),
            };
            let number = rustix::fs::fstat(&child).map_err(NoFolder::Failed)?.st_ino;
            if made {
                // Before it is flushed: who comes meanwhile must not believe what was said of an earlier folder.
                self.forget(&path);
            }
            if made || !self.is_durable(&path, number) {
                flush(&folder).map_err(NoFolder::NotFlushed)?;
                self.remember(&path, number);
            }
            folder = child;
        }
        Ok(folder)
    }

    /// The regular file under `key`, if there is one.
    pub(super) fn open_file(&self, key: &Key) -> io::Result<Option<File>> {
        let mut folder = None;
        let mut components: Vec<&str> = key.components().collect();
        components.pop();
        for component in components {
            folder = match open_dir(folder.as_ref().unwrap_or(&self.root), component) {
                Ok(child) => Some(child),
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
                Err(errno) => return Err(errno.into()),
            };
        }
        match open_regular(folder.as_ref().unwrap_or(&self.root), key.file_name())? {
            Found::File(file) => Ok(Some(file)),
            Found::Nothing | Found::Obstacle => Ok(None),
        }
    }

    fn is_durable(&self, path: &str, number: u64) -> bool {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).get(path) == Some(&number)
    }

    fn forget(&self, path: &str) {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }

    fn remember(&self, path: &str, number: u64) {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        if durable.len() >= MAX_REMEMBERED {
            durable.clear();
        }
        durable.insert(path.to_owned(), number);
    }
}

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Found {
    Nothing,
    File(File),
    /// A folder, a link, a device: nothing that a file may replace.
    Obstacle,
}

/// Opens what stands under a name in `folder`, if it is a regular file.
pub(super) fn open_regular(folder: &OwnedFd, name: &str) -> Result<Found, Errno> {
    // Not blocking, lest a named pipe keeps us waiting for its writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(folder, name, flags, Mode::empty()) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        // A link, a pipe, or somebody else's file that we may not read.
        Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(Found::Obstacle),
        Err(errno) => return Err(errno),
    };
    match FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) {
        FileType::RegularFile => Ok(Found::File(File::from(file))),
        _ => Ok(Found::Obstacle),
    }
}

/// Opens a folder that is no link.
pub(super) fn open_dir(folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, name, flags, Mode::empty())
}

/// Renames a file to a name that must be free; [`Errno::EXIST`] where it is not.
pub(super) fn rename_new(from: &OwnedFd, name: &str, to: &OwnedFd, new_name: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, name, to, new_name, NO_CLOBBER) {
        // Some file systems lack the flag; a hard link never clobbers either. A crash between the two leaves the staged name
        // behind, which is swept up.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            rustix::fs::linkat(from, name, to, new_name, AtFlags::empty())?;
            rustix::fs::unlinkat(from, name, AtFlags::empty())
        }
        renamed => renamed,
    }
}

/// Makes a folder with everything above it, and flushes each that is new into its parent.
pub(super) fn make_durable_dirs(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    make_durable_dirs(parent)?;
    match std::fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
        Err(error) => return Err(error),
    }
    File::open(parent)?.sync_all()
}
