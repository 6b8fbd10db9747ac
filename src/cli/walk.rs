//! Finds the files below a folder, always in the same order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What lies below a folder.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// The files, sorted by name folder by folder.
    pub(super) files: Vec<Found>,
    /// What could not be read, and why.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
    /// Files and folders that were left out because their names begin with a dot.
    pub(super) hidden: u64,
    /// What was left out because it is no file: links to folders, which may lead in circles, pipes, sockets and devices.
    pub(super) special: u64,
}

/// A file below a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it lies.
    pub(super) path: PathBuf,
    /// Bytes, for now.
    pub(super) size: u64,
}

impl Walk {
    /// Everything below `folder`. A link to a file counts as that file.
    pub(super) fn below(folder: &Path) -> Self {
        let mut walk = Self::default();
        walk.descend(folder);
        walk
    }

    fn descend(&mut self, folder: &Path) {
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(cause) => return self.unreadable.push((folder.to_owned(), cause)),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                self.hidden += 1;
            } else if let Err(cause) = self.take(&entry) {
                self.unreadable.push((entry.path(), cause));
            }
        }
    }

    fn take(&mut self, entry: &fs::DirEntry) -> io::Result<()> {
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            self.descend(&path);
            return Ok(());
        }
        let target = fs::metadata(&path)?;
        if target.is_file() {
            self.files.push(Found { path, size: target.len() });
        } else {
            self.special += 1;
        }
        Ok(())
    }

    /// What was left out, as a line for a person; nothing where nothing was.
    pub(super) fn left_out(&self) -> Option<String> {
        let things = [(self.hidden, "hidden (leading dot)"), (self.special, "no regular file")];
        let told: Vec<_> = things.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}
