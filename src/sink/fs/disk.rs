//! What the sink asks of a file system, and nothing more: a narrow seam, so that tests can put a disk below the sink that
//! forgets what was not flushed.
//!
//! Each operation is one system call, or a few that act as one. Nothing here knows what the files are for, or in which order
//! things must happen.

use std::ffi::OsString;
use std::fmt::Debug;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, RenameFlags, XattrFlags};
use rustix::io::Errno;

use super::syncfs;

/// A file system. Clones are the same one.
///
/// Names are single components, and links are never followed. Errors are those of the system calls.
pub trait Disk: Debug + Clone + Send + Sync + 'static {
    /// An open file or folder. A lock that was taken through it ends when it is dropped.
    type Handle: Debug + Send + Sync + 'static;

    /// Opens the folder at a path.
    fn open_root(&self, path: &Path) -> Result<Self::Handle, Errno>;

    /// What stands at a path.
    fn stat_root(&self, path: &Path) -> Result<Stat, Errno> {
        self.stat(&self.open_root(path)?)
    }

    /// Opens a folder.
    fn open_folder(&self, folder: &Self::Handle, name: &str) -> Result<Self::Handle, Errno>;

    /// Makes a folder that must not be there.
    fn make_folder(&self, folder: &Self::Handle, name: &str) -> Result<(), Errno>;

    /// Creates a file that must not be there, to read and write.
    fn create(&self, folder: &Self::Handle, name: &str) -> Result<Self::Handle, Errno>;

    /// Opens whatever stands there, without waiting for it.
    fn open(&self, folder: &Self::Handle, name: &str, access: Access) -> Result<Self::Handle, Errno>;

    /// The names in a folder.
    fn list(&self, folder: &Self::Handle) -> Result<Vec<OsString>, Errno>;

    /// What an open file or folder is.
    fn stat(&self, handle: &Self::Handle) -> Result<Stat, Errno>;

    /// What stands under a name.
    fn stat_at(&self, folder: &Self::Handle, name: &str) -> Result<Stat, Errno>;

    /// Reads from `offset` on; 0 bytes at the end.
    fn read_at(&self, file: &Self::Handle, buffer: &mut [u8], offset: u64) -> Result<usize, Errno>;

    /// Writes all of `bytes` at `offset`. After an error, some of them may stand there.
    fn write_at(&self, file: &Self::Handle, bytes: &[u8], offset: u64) -> Result<(), Errno>;

    /// Cuts a file off.
    fn truncate(&self, file: &Self::Handle, bytes: u64) -> Result<(), Errno>;

    /// The value of an extended attribute, of at most `max_bytes`.
    fn attribute(&self, file: &Self::Handle, name: &str, max_bytes: usize) -> Result<Vec<u8>, Errno>;

    /// Sets an extended attribute.
    fn set_attribute(&self, file: &Self::Handle, name: &str, value: &[u8]) -> Result<(), Errno>;

    /// Locks a file against all other handles, or fails with [`Errno::WOULDBLOCK`].
    fn lock(&self, file: &Self::Handle) -> Result<(), Errno>;

    /// Makes durable what a file holds and is, or which names a folder holds (`fsync`).
    fn flush(&self, handle: &Self::Handle) -> Result<(), Errno>;

    /// Makes durable what every file and folder of the file system holds that `folder` lies in (`syncfs`). Fails as well where
    /// anything of it failed since `folder` was opened, or since the last call with it.
    fn flush_all(&self, folder: &Self::Handle) -> Result<(), Errno>;

    /// Whether [`flush_all`](Self::flush_all) can be believed there as [`flush`](Self::flush) can.
    fn flushes_all(&self, folder: &Self::Handle) -> bool;

    /// Renames to a name that must be free; [`Errno::INVAL`], [`Errno::NOSYS`] or [`Errno::NOTSUP`] where the file system
    /// knows no such thing.
    fn rename_new(&self, from: &Self::Handle, name: &str, to: &Self::Handle, new_name: &str) -> Result<(), Errno>;

    /// Renames, in the place of what may stand there.
    fn rename(&self, from: &Self::Handle, name: &str, to: &Self::Handle, new_name: &str) -> Result<(), Errno>;

    /// Gives a file a second name, which must be free.
    fn link(&self, from: &Self::Handle, name: &str, to: &Self::Handle, new_name: &str) -> Result<(), Errno>;

    /// Removes a name of a file.
    fn unlink(&self, folder: &Self::Handle, name: &str) -> Result<(), Errno>;

    /// Bytes that may still be written.
    fn free_bytes(&self, folder: &Self::Handle) -> Result<u64, Errno>;
}

/// What a file is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read, to lock, to ask.
    Read,
    /// To write as well.
    Write,
}

/// What a file or folder is.
#[derive(Debug, Clone, Copy)]
pub struct Stat {
    /// Which one it is, among all that there are now: the device and its number there.
    pub identity: (u64, u64),
    /// Of which kind.
    pub kind: Kind,
    /// Whether it has a single name, neither none nor others beside it.
    pub has_one_name: bool,
    /// Bytes.
    pub size: u64,
    /// When its bytes were last changed; whoever writes to it may set it as he likes.
    pub modified: SystemTime,
    /// When anything of it was last changed. Nobody can set it.
    pub changed: SystemTime,
}

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder, a link, a pipe, a device.
    Other,
}

/// The file systems of the operating system.
#[derive(Debug, Clone, Copy)]
pub struct Os;

impl Disk for Os {
    type Handle = OwnedFd;

    fn open_root(&self, path: &Path) -> Result<OwnedFd, Errno> {
        rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    fn stat_root(&self, path: &Path) -> Result<Stat, Errno> {
        rustix::fs::stat(path).map(Stat::from)
    }

    fn open_folder(&self, folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, name, flags, Mode::empty())
    }

    fn make_folder(&self, folder: &OwnedFd, name: &str) -> Result<(), Errno> {
        rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(0o777))
    }

    fn create(&self, folder: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(0o666))
    }

    fn open(&self, folder: &OwnedFd, name: &str, access: Access) -> Result<OwnedFd, Errno> {
        let access = match access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        // Not blocking, lest a named pipe keeps us waiting for its writer.
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        rustix::fs::openat(folder, name, flags, Mode::empty())
    }

    fn list(&self, folder: &OwnedFd) -> Result<Vec<OsString>, Errno> {
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(folder)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    fn stat(&self, handle: &OwnedFd) -> Result<Stat, Errno> {
        rustix::fs::fstat(handle).map(Stat::from)
    }

    fn stat_at(&self, folder: &OwnedFd, name: &str) -> Result<Stat, Errno> {
        rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).map(Stat::from)
    }

    fn read_at(&self, file: &OwnedFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
        rustix::io::retry_on_intr(|| rustix::io::pread(file, &mut *buffer, offset))
    }

    fn write_at(&self, file: &OwnedFd, mut bytes: &[u8], mut offset: u64) -> Result<(), Errno> {
        while !bytes.is_empty() {
            match rustix::io::retry_on_intr(|| rustix::io::pwrite(file, bytes, offset))? {
                0 => return Err(Errno::IO),
                written => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
            }
        }
        Ok(())
    }

    fn truncate(&self, file: &OwnedFd, bytes: u64) -> Result<(), Errno> {
        rustix::io::retry_on_intr(|| rustix::fs::ftruncate(file, bytes))
    }

    fn attribute(&self, file: &OwnedFd, name: &str, max_bytes: usize) -> Result<Vec<u8>, Errno> {
        let mut value = vec![0; max_bytes];
        let bytes = rustix::fs::fgetxattr(file, name, &mut value[..])?;
        value.truncate(bytes);
        Ok(value)
    }

    fn set_attribute(&self, file: &OwnedFd, name: &str, value: &[u8]) -> Result<(), Errno> {
        rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
    }

    fn lock(&self, file: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
    }

    fn flush(&self, handle: &OwnedFd) -> Result<(), Errno> {
        rustix::fs::fsync(handle)
    }

    fn flush_all(&self, folder: &OwnedFd) -> Result<(), Errno> {
        syncfs::flush_all(folder)
    }

    fn flushes_all(&self, folder: &OwnedFd) -> bool {
        syncfs::is_trusted(folder)
    }

    fn rename_new(&self, from: &OwnedFd, name: &str, to: &OwnedFd, new_name: &str) -> Result<(), Errno> {
        rustix::fs::renameat_with(from, name, to, new_name, RenameFlags::NOREPLACE)
    }

    fn rename(&self, from: &OwnedFd, name: &str, to: &OwnedFd, new_name: &str) -> Result<(), Errno> {
        rustix::fs::renameat(from, name, to, new_name)
    }

    fn link(&self, from: &OwnedFd, name: &str, to: &OwnedFd, new_name: &str) -> Result<(), Errno> {
        rustix::fs::linkat(from, name, to, new_name, AtFlags::empty())
    }

    fn unlink(&self, folder: &OwnedFd, name: &str) -> Result<(), Errno> {
        rustix::fs::unlinkat(folder, name, AtFlags::empty())
    }

    fn free_bytes(&self, folder: &OwnedFd) -> Result<u64, Errno> {
        let stat = rustix::fs::fstatvfs(folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl From<rustix::fs::Stat> for Stat {
    fn from(stat: rustix::fs::Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File,
            _ => Kind::Other,
        };
        let at = |seconds: i64, nanos: u64| {
            UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) + Duration::from_nanos(nanos)
        };
        Self {
            identity: (stat.st_dev, stat.st_ino),
            kind,
            has_one_name: stat.st_nlink == 1,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: at(stat.st_mtime, stat.st_mtime_nsec),
            changed: at(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}
