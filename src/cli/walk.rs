//! Finds the files below a folder, always in the same order.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What becomes of symbolic links below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Links {
    /// They are left out: they may lead to what the folder was not meant to hold.
    Skip,
    /// They count as what they lead to.
    Follow,
}

impl Links {
    /// What the flag `--follow-links` asks for.
    pub(super) fn of(follow: bool) -> Self {
        if follow { Self::Follow } else { Self::Skip }
    }
}

/// What is below a folder.
#[derive(Debug)]
pub(super) struct Walk {
    links: Links,
    /// The files, sorted by name folder by folder.
    pub(super) files: Vec<Found>,
    /// What could not be read, and why.
    pub(super) unreadable: Vec<(PathBuf, io::Error)>,
    /// Files and folders that were left out because their names begin with a dot.
    hidden: u64,
    /// What was left out because it is no file: pipes, sockets and devices.
    special: u64,
    /// Links that were left out.
    linked: u64,
    /// Links that lead back to a folder which they are in.
    circles: u64,
    /// Device and number of each folder from the first one to the one that is being read.
    ancestors: Vec<(u64, u64)>,
}

/// A file below a folder.
#[derive(Debug)]
pub(super) struct Found {
    /// Where it is.
    pub(super) path: PathBuf,
    /// Bytes, for now.
    pub(super) size: u64,
}

impl Walk {
    /// Everything below `folder`, which may itself be a link.
    pub(super) fn below(folder: &Path, links: Links) -> Self {
        let (files, unreadable, ancestors) = Default::default();
        let mut walk = Self { links, files, unreadable, hidden: 0, special: 0, linked: 0, circles: 0, ancestors };
        match fs::metadata(folder) {
            Ok(metadata) => walk.descend(folder, &metadata),
            Err(cause) => walk.unreadable.push((folder.to_owned(), cause)),
        }
        walk
    }

    fn descend(&mut self, folder: &Path, metadata: &fs::Metadata) {
        let identity = (metadata.dev(), metadata.ino());
        if self.ancestors.contains(&identity) {
            self.circles += 1;
            return;
        }
        let listed = fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut entries = match listed {
            Ok(entries) => entries,
            Err(cause) => return self.unreadable.push((folder.to_owned(), cause)),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        self.ancestors.push(identity);
        for entry in entries {
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                self.hidden += 1;
            } else if let Err(cause) = self.take(&entry) {
                self.unreadable.push((entry.path(), cause));
            }
        }
        self.ancestors.pop();
    }

    fn take(&mut self, entry: &fs::DirEntry) -> io::Result<()> {
        let path = entry.path();
        let metadata = match self.links {
            Links::Skip if entry.file_type()?.is_symlink() => {
                self.linked += 1;
                return Ok(());
            }
            // Of a link that has just been put there this is the link's own, which is no file.
            Links::Skip => fs::symlink_metadata(&path)?,
            Links::Follow => fs::metadata(&path)?,
        };
        if metadata.is_dir() {
            self.descend(&path, &metadata);
        } else if metadata.is_file() {
            self.files.push(Found { path, size: metadata.len() });
        } else {
            self.special += 1;
        }
        Ok(())
    }

    /// What was left out, as a line for a person; nothing where nothing was.
    pub(super) fn left_out(&self) -> Option<String> {
        let links = if self.linked == 1 { "symbolic link" } else { "symbolic links" };
        let links = format!("{links} (--follow-links follows them)");
        let special = match self.special {
            1 => "not a regular file (pipe, socket or device)",
            _ => "not regular files (pipes, sockets, devices)",
        };
        let things = [
            (self.hidden, "hidden (leading dot)"),
            (self.special, special),
            (self.linked, &links),
            (self.circles, "leading back to a folder that holds it"),
        ];
        let told: Vec<_> = things.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        (!told.is_empty()).then(|| told.join(", "))
    }
}
