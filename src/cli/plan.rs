//! From the paths of a command line to the files they stand for, and what each is called at the server.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::walk::{Links, Walk};
use crate::error::{Error, ErrorKind, Result};
use crate::escape;

/// The files that paths stand for, and what can't be one.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The files, in the order of the paths, folders sorted.
    pub(super) items: Vec<Item>,
    /// What can't be read ([`ErrorKind::Io`]) or named ([`ErrorKind::BadName`]).
    pub(super) refused: Vec<(Item, Error)>,
    /// What was left out, in words.
    pub(super) notes: Vec<String>,
}

/// Something to read.
#[derive(Debug)]
pub(super) struct Item {
    /// As the user would call it.
    pub(super) path: PathBuf,
    /// What it shall be called at the server; not yet a key.
    pub(super) name: String,
    /// Where its bytes are.
    pub(super) input: Input,
    /// The folder that it was found in, where no link below that may lead to it.
    pub(super) below: Option<Arc<Path>>,
}

/// Where an item's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Input {
    /// A regular file, so many bytes long when it was looked at.
    File {
        /// Bytes.
        size: u64,
    },
    /// A named pipe, a socket or a device: opening it may block, and it can be read once at most.
    Special(Special),
    /// Standard input.
    Stdin,
}

/// What is neither a regular file nor a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Special {
    /// A named pipe, or the pipe that a shell passes as `/dev/fd/N`.
    Pipe,
    /// A socket in the file system.
    Socket,
    /// A character or block device.
    Device,
}

impl Special {
    fn of(file_type: fs::FileType) -> Self {
        if file_type.is_fifo() {
            Self::Pipe
        } else if file_type.is_socket() {
            Self::Socket
        } else {
            Self::Device
        }
    }
}

impl fmt::Display for Special {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
            Self::Device => "a device",
        })
    }
}

impl Item {
    /// Bytes, where that is known.
    pub(super) fn size(&self) -> Option<u64> {
        match self.input {
            Input::File { size } => Some(size),
            Input::Special(_) | Input::Stdin => None,
        }
    }

    /// Opens it to be read from its first byte.
    ///
    /// # Errors
    /// [`ErrorKind::Io`], naming it.
    pub(super) fn open(&self) -> Result<Box<dyn Read>> {
        match self.input {
            Input::Stdin => Ok(Box::new(io::stdin())),
            Input::File { .. } | Input::Special(_) => match File::open(&self.path) {
                Ok(file) => Ok(Box::new(file)),
                Err(cause) => Err(self.unreadable(cause)),
            },
        }
    }

    /// That reading it failed.
    pub(super) fn unreadable(&self, cause: io::Error) -> Error {
        Error::new(ErrorKind::Io, format!("reading \"{}\"", self.name)).because(cause)
    }

    /// Where it can be read a second time, if it can.
    pub(super) fn file(&self) -> Option<&Path> {
        matches!(self.input, Input::File { .. }).then_some(&*self.path)
    }
}

/// Whether a path stands for standard input.
pub(super) fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

impl Plan {
    /// Looks at every path. `name` stands for the own name of the file or folder.
    pub(super) fn of(paths: &[PathBuf], name: Option<&str>, links: Links) -> Self {
        let mut plan = Self::default();
        for path in paths {
            plan.add(path, name, links);
        }
        plan
    }

    /// Bytes in all; `None` where an item does not tell.
    pub(super) fn bytes(&self) -> Option<u64> {
        self.items.iter().map(Item::size).sum()
    }

    fn add(&mut self, path: &Path, name: Option<&str>, links: Links) {
        if is_stdin(path) {
            return self.push(path, name.map(OsStr::new), Input::Stdin, None);
        }
        let own_name = name.map_or_else(|| own_name(path), |name| Ok(name.into()));
        let (own_name, metadata) = match own_name.and_then(|name| Ok((name, fs::metadata(path)?))) {
            Ok(found) => found,
            Err(cause) => return self.refuse(path, cause),
        };
        if metadata.is_dir() {
            self.add_folder(path, Path::new(&own_name), links);
        } else if metadata.is_file() {
            self.push(path, Some(&own_name), Input::File { size: metadata.len() }, None);
        } else {
            self.push(path, Some(&own_name), Input::Special(Special::of(metadata.file_type())), None);
        }
    }

    fn add_folder(&mut self, folder: &Path, own_name: &Path, links: Links) {
        let walk = Walk::below(folder, links);
        let below = (links == Links::Skip).then(|| Arc::from(folder));
        if let Some(left_out) = walk.left_out() {
            self.notes.push(format!("skipped    {}: {left_out}", escape::path(folder)));
        }
        for found in walk.files {
            let relative = found.path.strip_prefix(folder).unwrap_or(&found.path);
            let name = own_name.join(relative);
            self.push(&found.path, Some(name.as_os_str()), Input::File { size: found.size }, below.clone());
        }
        for (path, cause) in walk.unreadable {
            self.refuse(&path, cause);
        }
    }

    /// Adds an item, or says why its name can't be one.
    fn push(&mut self, path: &Path, name: Option<&OsStr>, input: Input, below: Option<Arc<Path>>) {
        let name = name.unwrap_or_default();
        let item = Item { path: path.to_owned(), name: slashed(name), input, below };
        if name.to_str().is_some() {
            self.items.push(item);
        } else {
            let error = Error::new(ErrorKind::BadName, format!("name \"{}\" is not UTF-8", item.name));
            self.refused.push((item, error));
        }
    }

    fn refuse(&mut self, path: &Path, cause: io::Error) {
        let name = path.file_name().unwrap_or_default();
        let item = Item { path: path.to_owned(), name: slashed(name), input: Input::File { size: 0 }, below: None };
        let error = item.unreadable(cause);
        self.refused.push((item, error));
    }
}

/// What a path is called where it lies: for `.`, `..` and the like, what the file system says.
fn own_name(path: &Path) -> io::Result<std::ffi::OsString> {
    match path.file_name() {
        Some(name) => Ok(name.to_owned()),
        None => Ok(fs::canonicalize(path)?.file_name().unwrap_or_default().to_owned()),
    }
}

fn slashed(name: &OsStr) -> String {
    escape::path(Path::new(name)).replace(std::path::MAIN_SEPARATOR, "/")
}
