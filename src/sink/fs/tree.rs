//! The folders below the root: walked without following links, made durable as they are made.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;

use super::disk::{Access, Disk, Kind};
use crate::error::{Error, Result};
use crate::upload::Key;

/// Folders that are remembered to be durable; beyond, they are flushed once more.
const MAX_REMEMBERED: usize = 65_536;

/// The root, and which folders below it are known to survive a power cut.
#[derive(Debug)]
pub(super) struct Tree<D: Disk> {
    disk: D,
    root: Arc<D::Handle>,
    /// By path, the identity of the folder that was seen: another one may stand there by now.
    durable: Mutex<HashMap<String, (u64, u64)>>,
}

/// Why a key's folder can't be had.
#[derive(Debug)]
pub(super) enum NoFolder {
    /// This ancestor is no folder, but a file or a link.
    File(String),
    /// A folder was removed while it was walked to, by the upload that had made it: another try
    /// makes it again.
    Vanished,
    /// The disk failed.
    Failed(Errno),
    /// A folder could not be made durable.
    NotFlushed(Error),
}

/// The folder that a key lies in, durable with all above it.
#[derive(Debug)]
pub(super) struct Folder<H> {
    pub(super) handle: Arc<H>,
    /// Folders that were flushed for this, by path: to be [remembered](Tree::remember).
    flushed: Vec<(String, (u64, u64))>,
}

/// Paths of folders that were made for an upload, the outermost first. Not their handles: a name
/// may have hundreds of folders, and each handle is a descriptor.
#[derive(Debug, Default)]
pub(super) struct Made(Vec<String>);

/// Whether a folder was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Existed {
    Yes,
    No,
}

impl<D: Disk> Tree<D> {
    pub(super) fn open(disk: D, root: &Path) -> Result<Self, Errno> {
        let root = Arc::new(disk.open_root(root)?);
        Ok(Self { disk, root, durable: Mutex::default() })
    }

    /// Whether the root still stands where it was opened.
    pub(super) fn stands_at(&self, path: &Path) -> bool {
        match (self.disk.stat(&self.root), self.disk.stat_root(path)) {
            (Ok(ours), Ok(there)) => ours.identity == there.identity,
            (Ok(_) | Err(_), _) => false,
        }
    }

    pub(super) fn root(&self) -> &D::Handle {
        &self.root
    }

    /// The folder that `key` lies in, made where it is missing. It and everything above it are
    /// durable when this returns: a folder is flushed into its parent by `flush` unless that was
    /// seen to happen already, for another upload may have made it and not yet have come so far.
    /// Folders that are made are added to `made`, also where this fails.
    pub(super) fn folder(
        &self,
        key: &Key,
        made: &mut Made,
        flush: impl Fn(&D::Handle) -> Result<()>,
    ) -> Result<Folder<D::Handle>, NoFolder> {
        let mut folder = Folder { handle: Arc::clone(&self.root), flushed: Vec::new() };
        for (path, component) in key.folders().zip(key.components()) {
            let (child, existed) =
                self.open_or_make(&folder.handle, (path, component), made).map_err(|errno| match errno {
                    Errno::NOTDIR | Errno::LOOP => NoFolder::File(path.to_owned()),
                    Errno::NOENT => NoFolder::Vanished,
                    errno => NoFolder::Failed(errno),
                })?;
            let identity = self.disk.stat(&child).map_err(NoFolder::Failed)?.identity;
            if existed == Existed::No {
                // Before it is flushed: who comes meanwhile must not believe what was said of an earlier folder.
                self.forget(path);
            }
            if existed == Existed::No || !self.is_durable(path, identity) {
                flush(&folder.handle).map_err(NoFolder::NotFlushed)?;
                folder.flushed.push((path.to_owned(), identity));
            }
            folder.handle = child;
        }
        Ok(folder)
    }

    /// A folder, made where it is missing. Mostly it is there.
    fn open_or_make(
        &self,
        parent: &Arc<D::Handle>,
        (path, name): (&str, &str),
        made: &mut Made,
    ) -> Result<(Arc<D::Handle>, Existed), Errno> {
        match self.disk.open_folder(parent, name) {
            Ok(child) => return Ok((Arc::new(child), Existed::Yes)),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
        match self.disk.make_folder(parent, name) {
            Ok(()) => made.0.push(path.to_owned()),
            // Another upload has made it at the same time.
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        Ok((Arc::new(self.disk.open_folder(parent, name)?), Existed::No))
    }

    /// Remembers which folders were flushed, once a file lies in the innermost one: before, the
    /// upload that has made one may remove it again, and the next one may have its number.
    pub(super) fn remember(&self, folder: &Folder<D::Handle>) {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, identity) in &folder.flushed {
            if durable.len() >= MAX_REMEMBERED {
                durable.clear();
            }
            durable.insert(path.clone(), *identity);
        }
    }

    /// Removes folders that were made for an upload which then was not committed, unless something
    /// lies in them by now.
    pub(super) fn remove(&self, made: Made) {
        for path in made.0.into_iter().rev() {
            let (parent, name) = path.rsplit_once('/').map_or((None, path.as_str()), |(parent, name)| (Some(parent), name));
            let removed = self.walk(parent.into_iter().flat_map(|parent| parent.split('/')));
            match removed.and_then(|folder| self.disk.remove_folder(&folder, name)) {
                Ok(()) | Err(Errno::NOENT) => {}
                // It is another upload's by now.
                Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOTDIR | Errno::LOOP) => return,
                Err(error) => return tracing::warn!(path, %error, "empty folder left behind"),
            }
        }
    }

    /// The regular file under `key`, if there is one, with its folder.
    pub(super) fn open_file(&self, key: &Key) -> Result<Option<Opened<D::Handle>>, Errno> {
        let mut components: Vec<&str> = key.components().collect();
        components.pop();
        let folder = match self.walk(components.into_iter()) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        match open_regular(&self.disk, &folder, key.file_name())? {
            Found::File(file) => Ok(Some(Opened { folder, file: Arc::new(file) })),
            Found::Nothing | Found::Obstacle => Ok(None),
        }
    }

    /// The folder that is reached from the root by these names.
    fn walk<'a>(&self, mut names: impl Iterator<Item = &'a str>) -> Result<Arc<D::Handle>, Errno> {
        names.try_fold(Arc::clone(&self.root), |folder, name| Ok(Arc::new(self.disk.open_folder(&folder, name)?)))
    }

    fn is_durable(&self, path: &str, identity: (u64, u64)) -> bool {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).get(path) == Some(&identity)
    }

    fn forget(&self, path: &str) {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
    }
}

/// A file that stands under a key, and the folder that it lies in.
#[derive(Debug)]
pub(super) struct Opened<H> {
    pub(super) folder: Arc<H>,
    pub(super) file: Arc<H>,
}

/// What stands under a name.
#[derive(Debug)]
pub(super) enum Found<H> {
    Nothing,
    File(H),
    /// A folder, a link, a device: nothing that a file may replace.
    Obstacle,
}

/// Opens what stands under a name in `folder`, if it is a regular file.
pub(super) fn open_regular<D: Disk>(disk: &D, folder: &D::Handle, name: &str) -> Result<Found<D::Handle>, Errno> {
    let file = match disk.open(folder, name, Access::Read) {
        Ok(file) => file,
        Err(Errno::NOENT) => return Ok(Found::Nothing),
        // A link, a pipe, or somebody else's file that we may not read.
        Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(Found::Obstacle),
        Err(errno) => return Err(errno),
    };
    match disk.stat(&file)?.kind {
        Kind::File => Ok(Found::File(file)),
        Kind::Other => Ok(Found::Obstacle),
    }
}

/// All that a small file of ours holds, to `max_bytes` at most.
pub(super) fn read_whole<D: Disk>(disk: &D, file: &D::Handle, max_bytes: u64) -> Result<Vec<u8>, Errno> {
    let size = disk.stat(file)?.size;
    let mut bytes = vec![0; usize::try_from(size.min(max_bytes)).unwrap_or(0)];
    let mut filled = 0;
    while filled < bytes.len() {
        match disk.read_at(file, &mut bytes[filled..], filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// Renames a file to a name that must be free; [`Errno::EXIST`] where it is not.
pub(super) fn rename_new<D: Disk>(
    disk: &D,
    (from, name): (&D::Handle, &str),
    (to, new_name): (&D::Handle, &str),
) -> Result<(), Errno> {
    match disk.rename_new(from, name, to, new_name) {
        // Some file systems lack the flag; a hard link never clobbers either. The new name is what counts: where the old one
        // stays behind, by a crash or because it can't be removed, it is swept up.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
            disk.link(from, name, to, new_name)?;
            if let Err(error) = disk.unlink(from, name) {
                tracing::warn!(name, %error, "a staged file stays behind beside the committed one");
            }
            Ok(())
        }
        renamed => renamed,
    }
}

/// Opens a folder of the server's own, made where it is missing, and flushes it into its parent: whoever made it may not have
/// come so far.
pub(super) fn durable_folder<D: Disk>(disk: &D, parent: &D::Handle, name: &str) -> Result<D::Handle, Errno> {
    match disk.make_folder(parent, name) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(errno) => return Err(errno),
    }
    let folder = disk.open_folder(parent, name)?;
    disk.flush(parent)?;
    Ok(folder)
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
