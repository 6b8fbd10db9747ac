//! How a file is opened: by any path, or by a path below a folder that no symbolic link can lead out of.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, open, openat};
use rustix::io::Errno;

/// The path of a file.
#[derive(Debug, Clone)]
pub(super) enum FilePath {
    /// Symbolic links are followed.
    Following(PathBuf),
    /// No component behind the folder may be a symbolic link, whatever was put there since it was last looked at.
    Below {
        /// The folder; links that lead to it are followed.
        folder: Arc<Path>,
        /// The path from there.
        relative: PathBuf,
    },
}

impl FilePath {
    /// Opens the file for reading. A pipe in its place does not block.
    pub(super) fn open(&self) -> io::Result<File> {
        self.open_with(OFlags::RDONLY | OFlags::NONBLOCK)
    }

    /// Opens it to ask for its state only, which needs no right to read.
    pub(super) fn open_to_look(&self) -> io::Result<File> {
        self.open_with(OFlags::PATH)
    }

    fn open_with(&self, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let (folder, relative) = match self {
            Self::Following(path) => return Ok(open(path, flags, Mode::empty())?.into()),
            Self::Below { folder, relative } => (folder, relative),
        };
        let on_the_way = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let mut here = openat(CWD, &**folder, on_the_way, Mode::empty())?;
        let mut components = relative.components().peekable();
        while let Some(component) = components.next() {
            let flags = if components.peek().is_some() { on_the_way } else { flags };
            here = openat(&here, component.as_os_str(), flags | OFlags::NOFOLLOW, Mode::empty()).map_err(link_error)?;
        }
        Ok(here.into())
    }
}

/// What the system says of a link that is not followed names no link.
fn link_error(errno: Errno) -> io::Error {
    match errno {
        Errno::LOOP => io::Error::other("a symbolic link is in its place"),
        errno => errno.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_below_the_folder_is_followed() {
        let root = tempfile::TempDir::new().unwrap();
        let folder = root.path().join("folder");
        fs::create_dir_all(folder.join("a")).unwrap();
        fs::write(folder.join("a/file"), "inside").unwrap();
        fs::write(root.path().join("secret"), "outside").unwrap();
        symlink("../../secret", folder.join("a/link")).unwrap();
        symlink("..", folder.join("up")).unwrap();
        symlink("folder", root.path().join("to-folder")).unwrap();
        let below = |folder: &str, relative: &str| {
            let folder = Arc::from(root.path().join(folder));
            let path = FilePath::Below { folder, relative: relative.into() };
            let mut text = String::new();
            path.open().and_then(|mut file| file.read_to_string(&mut text)).map(|_| text)
        };
        assert_eq!(below("folder", "a/file").unwrap(), "inside");
        assert_eq!(below("to-folder", "a/file").unwrap(), "inside", "the folder itself may be a link");
        assert_eq!(below("folder", "a/link").unwrap_err().to_string(), "a symbolic link is in its place");
        below("folder", "up/secret").unwrap_err();
        let following = FilePath::Following(folder.join("a/link"));
        let mut text = String::new();
        following.open().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "outside");
    }
}
