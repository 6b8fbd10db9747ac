//! One file of the reading side: its lines, as they come.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Entry;

/// The longest line that is read; none that is written comes near it.
const MAX_LINE_BYTES: usize = 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// A line of a day's file.
#[derive(Debug)]
pub enum Line<'a> {
    /// An entry, and the line that it was read from, without the end of line.
    Entry(Box<Entry>, &'a [u8]),
    /// Something else, on the line with this number, counted from 1; and why it is none.
    Other(u64, String),
}

/// Reads a day's file, and goes on where it was when more has come.
#[derive(Debug)]
pub(super) struct Tail {
    path: PathBuf,
    file: File,
    unread: Vec<u8>,
    /// Bytes of `unread` that hold no end of line.
    searched: usize,
    lines: u64,
    /// Bytes of the file that are behind.
    read_bytes: u64,
    /// Whether the rest of a line that is too long is being skipped.
    skipping: bool,
}

impl Tail {
    /// Opens a file.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let file = File::open(&path)?;
        Ok(Self { path, file, unread: Vec::new(), searched: 0, lines: 0, read_bytes: 0, skipping: false })
    }

    /// Gives every line that has been ended. What stands behind the last one is kept for the next call: it may be about to be
    /// written. A file that was put in this one's place, or cut short, is read from its beginning.
    pub(super) fn read(&mut self, mut give: impl FnMut(&Path, Line<'_>) -> io::Result<()>) -> io::Result<()> {
        self.read_on(&mut give)?;
        while self.is_past()? {
            self.finish(&mut give)?;
            match Self::open(self.path.clone()) {
                Ok(anew) => *self = anew,
                // It was moved away meanwhile; what takes its place is seen next time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(at(&self.path, &error)),
            }
            self.read_on(&mut give)?;
        }
        Ok(())
    }

    /// Whether what is read is no longer what lies under the path. A file that was only moved away still is what it was.
    fn is_past(&self) -> io::Result<bool> {
        let there = match fs::metadata(&self.path) {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(at(&self.path, &error)),
        };
        let ours = self.file.metadata().map_err(|error| at(&self.path, &error))?;
        Ok((there.dev(), there.ino()) != (ours.dev(), ours.ino()) || there.len() < self.read_bytes)
    }

    fn read_on(&mut self, give: &mut impl FnMut(&Path, Line<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    self.read_bytes += read as u64;
                    self.unread.extend_from_slice(&buffer[..read]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(at(&self.path, &error)),
            }
            self.give_lines(give)?;
        }
    }

    /// Gives what stands behind the last end of line as a line: nobody will go on with it.
    pub(super) fn finish(&mut self, mut give: impl FnMut(&Path, Line<'_>) -> io::Result<()>) -> io::Result<()> {
        if self.unread.is_empty() && !self.skipping {
            return Ok(());
        }
        self.unread.push(b'\n');
        self.give_lines(&mut give)
    }

    fn give_lines(&mut self, give: &mut impl FnMut(&Path, Line<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut start = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.unread[self.searched..]).map(|found| self.searched + found) {
            self.lines += 1;
            let line = &self.unread[start..end];
            if self.skipping {
                self.skipping = false;
                give(&self.path, Line::Other(self.lines, format!("longer than {MAX_LINE_BYTES} bytes")))?;
            } else if !line.is_empty() {
                give(&self.path, parse(self.lines, line))?;
            }
            start = end + 1;
            self.searched = start;
        }
        self.unread.drain(..start);
        if self.unread.len() > MAX_LINE_BYTES {
            self.skipping = true;
        }
        if self.skipping {
            self.unread.clear();
        }
        self.searched = self.unread.len();
        Ok(())
    }
}

/// The same error, naming the file.
pub(super) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn parse(number: u64, line: &[u8]) -> Line<'_> {
    match serde_json::from_slice(line) {
        Ok(entry) => Line::Entry(Box::new(entry), line),
        Err(error) => Line::Other(number, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;
    use crate::ledger::Outcome;

    fn line(name: &str) -> String {
        serde_json::to_string(&Entry::new(Outcome::Committed, name, None)).unwrap() + "\n"
    }

    fn told(line: &Line<'_>) -> String {
        match line {
            Line::Entry(entry, raw) => {
                assert_eq!(serde_json::from_slice::<Entry>(raw).unwrap(), **entry);
                entry.name.clone()
            }
            Line::Other(number, _) => format!("line {number}"),
        }
    }

    fn read(tail: &mut Tail) -> Vec<String> {
        let mut names = Vec::new();
        tail.read(|_, line| {
            names.push(told(&line));
            Ok(())
        })
        .unwrap();
        names
    }

    #[test]
    fn a_line_is_given_once_it_has_ended_wherever_the_writes_cut_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let text = format!("{}{}\n{}", line("a"), line("b"), line("c"));
        for cut in 0..=text.len() {
            let mut file = File::create(&path).unwrap();
            let mut tail = Tail::open(path.clone()).unwrap();
            file.write_all(&text.as_bytes()[..cut]).unwrap();
            let mut names = read(&mut tail);
            file.write_all(&text.as_bytes()[cut..]).unwrap();
            names.extend(read(&mut tail));
            assert_eq!(names, ["a", "b", "c"], "cut at {cut}");
        }
    }

    #[test]
    fn a_file_that_was_replaced_or_cut_short_is_read_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("x"), folder.path().join("y"));
        fs::write(&path, line("a") + &line("b") + "half").unwrap();
        let mut tail = Tail::open(path.clone()).unwrap();
        assert_eq!(read(&mut tail), ["a", "b"]);
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert_eq!(read(&mut tail), ["line 3"], "what stood there without an end of line");
        fs::write(&path, line("c")).unwrap();
        assert_eq!(read(&mut tail), ["c"]);
        fs::rename(&path, &aside).unwrap();
        File::options().append(true).open(&aside).unwrap().write_all(line("d").as_bytes()).unwrap();
        assert_eq!(read(&mut tail), ["d"], "moved away, it is still the same");
        fs::write(&path, line("e") + &line("f")).unwrap();
        assert_eq!(read(&mut tail), ["e", "f"]);
        fs::write(&aside, line("g") + &line("h")).unwrap();
        fs::rename(&aside, &path).unwrap();
        assert_eq!(read(&mut tail), ["g", "h"], "as long as the one before");
        assert!(read(&mut tail).is_empty());
    }

    #[test]
    fn what_is_no_entry_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let long = "x".repeat(3 * MAX_LINE_BYTES);
        let text = format!("{}{{\"at\":\"2026\n{}{long}\n{}\0\0\0", line("a"), line("b"), line("c"));
        fs::write(&path, text).unwrap();
        let mut tail = Tail::open(path.clone()).unwrap();
        assert_eq!(read(&mut tail), ["a", "line 2", "b", "line 4", "c"]);
        assert!(tail.unread.capacity() < 2 * MAX_LINE_BYTES + READ_BYTES, "{}", tail.unread.capacity());
        let mut rest = Vec::new();
        let mut give = |_: &Path, line: Line<'_>| {
            rest.push(told(&line));
            Ok(())
        };
        tail.finish(&mut give).unwrap();
        tail.finish(&mut give).unwrap();
        assert_eq!(rest, ["line 6"]);
    }
}
