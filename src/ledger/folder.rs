//! The ledger's folder: made where it is missing, unless what it is below was lost.
//!
//! A folder that is made at the place of a store that was moved away or unmounted is in the way
//! when the store is put back, and hides its lines. So the base is opened once, and everything is
//! made relative to that handle, only while it is at its path.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A folder, below a base that is made at most once.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    base: Base,
    opened: Option<Opened>,
}

/// What the folder is below.
#[derive(Debug)]
enum Base {
    /// The store's root, which the store has made: never made here.
    Root(PathBuf),
    /// The parent of a folder that is not below a store.
    Parent(PathBuf),
}

/// What was there at the first opening.
#[derive(Debug)]
struct Opened {
    /// The base without symbolic links, as it was then.
    base_path: PathBuf,
    base: OwnedFd,
    /// The folder, relative to the base.
    below: PathBuf,
    /// The device of the folder, once it was there.
    device: Option<u64>,
}

impl Folder {
    /// The folder at `path`, which may be below the root of a store.
    pub(super) fn new(path: &Path, root: Option<&Path>) -> Self {
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let root = root.map(|root| std::path::absolute(root).unwrap_or_else(|_| root.to_owned()));
        let base = match root.filter(|root| whole.starts_with(root)) {
            Some(root) => Base::Root(root),
            None => Base::Parent(whole.parent().unwrap_or(&whole).to_owned()),
        };
        let mut folder = Self { path: whole, base, opened: None };
        // At once where it can be: a root that is lost later is then known to be.
        folder.opened = folder.first().ok();
        folder
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder, made where it is missing.
    ///
    /// # Errors
    /// Where the base is not the one that was opened first, or the folder is on another device than
    /// at first.
    pub(super) fn open(&mut self) -> io::Result<OwnedFd> {
        let opened = match (self.opened.take(), &self.base) {
            (Some(opened), _) => opened,
            (None, Base::Root(_)) => self.first()?,
            (None, Base::Parent(parent)) => {
                fs::create_dir_all(parent)?;
                self.first()?
            }
        };
        self.opened.insert(opened).folder()
    }

    fn first(&self) -> io::Result<Opened> {
        let (Base::Root(base) | Base::Parent(base)) = &self.base;
        let base_path = fs::canonicalize(base)?;
        let below = self.path.strip_prefix(base).unwrap_or(Path::new("")).to_owned();
        Ok(Opened { base: File::open(&base_path)?.into(), base_path, below, device: None })
    }
}

impl Opened {
    fn folder(&mut self) -> io::Result<OwnedFd> {
        if !self.stands() {
            return Err(lost(&self.base_path));
        }
        let mut folder = self.base.try_clone()?;
        for component in self.below.components() {
            if let Component::Normal(_) | Component::ParentDir = component {
                folder = open_or_make(&folder, component.as_os_str())?;
            }
        }
        let device = rustix::fs::fstat(&folder)?.st_dev;
        if *self.device.get_or_insert(device) != device {
            return Err(lost(&self.base_path.join(&self.below)));
        }
        Ok(folder)
    }

    /// Whether the base is still at its path.
    fn stands(&self) -> bool {
        match (rustix::fs::fstat(&self.base), rustix::fs::stat(&self.base_path)) {
            (Ok(ours), Ok(there)) => (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino),
            (Ok(_) | Err(_), _) => false,
        }
    }
}

fn lost(path: &Path) -> io::Error {
    io::Error::new(
        io::ErrorKind::NotFound,
        format!(
            "the folder {:?} was moved, unmounted or replaced since the start: put it back, or restart",
            path.display().to_string()
        ),
    )
}

fn open_or_make(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
        Ok(()) | Err(Errno::EXIST) => {}
        // A folder that is there is no error on a file system that is read-only or full.
        Err(errno) => return open(parent, name).map_err(|_| errno.into()),
    }
    Ok(open(parent, name)?)
}

fn open(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, Errno> {
    rustix::fs::openat(parent, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves a folder away, tries, and moves it back.
    fn fails_while_moved(folder: &mut Folder, moved: &Path) {
        let away = moved.with_file_name("away");
        for replaced in [false, true] {
            fs::rename(moved, &away).unwrap();
            if replaced {
                fs::create_dir(moved).unwrap();
            }
            let error = folder.open().unwrap_err().to_string();
            assert!(error.contains("was moved, unmounted or replaced since the start: put it back"), "{error}");
            if replaced {
                assert_eq!(fs::read_dir(moved).unwrap().count(), 0);
                fs::remove_dir(moved).unwrap();
            }
            assert!(!moved.exists());
            fs::rename(&away, moved).unwrap();
            folder.open().unwrap();
        }
    }

    #[test]
    fn a_folder_below_a_root_is_made_as_long_as_the_root_is_the_same() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap().join("store");
        let path = root.join(".tidegate/ledger");
        let mut never = Folder::new(&path, Some(&root));
        never.open().unwrap_err();
        assert!(!root.exists(), "the store makes its root, and nothing else does");
        fs::create_dir(&root).unwrap();
        never.open().unwrap();
        let mut folder = Folder::new(&path, Some(&root));
        folder.open().unwrap();
        fs::remove_dir_all(root.join(".tidegate")).unwrap();
        folder.open().unwrap();
        assert!(path.is_dir(), "below the root it is made anew");
        fails_while_moved(&mut folder, &root);
        // Opened for the first time after the loss.
        let mut folder = Folder::new(&path, Some(&root));
        fails_while_moved(&mut folder, &root);
    }

    #[test]
    fn a_folder_elsewhere_is_made_with_all_above_it_once() {
        let scratch = tempfile::tempdir().unwrap();
        let (root, parent) = (scratch.path().join("store"), scratch.path().join("made/for it"));
        let path = parent.join("ledger");
        let mut folder = Folder::new(&path, Some(&root));
        folder.open().unwrap();
        fs::remove_dir(&path).unwrap();
        folder.open().unwrap();
        assert!(path.is_dir());
        fails_while_moved(&mut folder, &parent);
    }

    #[test]
    fn a_root_behind_a_link_is_the_one_that_the_link_led_to() {
        let scratch = tempfile::tempdir().unwrap();
        let [one, other, link] = ["one", "other", "link"].map(|name| scratch.path().join(name));
        for folder in [&one, &other] {
            fs::create_dir(folder).unwrap();
        }
        std::os::unix::fs::symlink(&one, &link).unwrap();
        let mut folder = Folder::new(&link.join("ledger"), Some(&link));
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        folder.open().unwrap();
        assert!(one.join("ledger").is_dir() && !other.join("ledger").exists(), "as the store does");
    }

    #[test]
    fn a_folder_on_another_device_than_at_first_is_not_it() {
        let scratch = tempfile::tempdir().unwrap();
        let (path, elsewhere) = (scratch.path().join("ledger"), Path::new("/dev/shm"));
        let device = |path: &Path| rustix::fs::stat(path).ok().map(|stat| stat.st_dev);
        let mut folder = Folder::new(&path, None);
        folder.open().unwrap();
        fs::remove_dir(&path).unwrap();
        std::os::unix::fs::symlink(elsewhere, &path).unwrap();
        let differs = device(elsewhere).is_some_and(|there| Some(there) != device(scratch.path()));
        assert_eq!(folder.open().is_err(), differs);
    }
}
