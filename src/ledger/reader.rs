//! The reading side: which days there are, and the lines of a day as they come.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Entry;

/// What a day's file is called after its day.
const EXTENSION: &str = ".jsonl";

/// The longest line that is read; none that is written comes near it.
const MAX_LINE_BYTES: usize = 1024 * 1024;

const READ_BYTES: usize = 64 * 1024;

/// A day in UTC, `2026-10-17`. Days sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(String);

impl Day {
    /// The day of a moment.
    pub fn of(at: SystemTime) -> Self {
        // RFC 3339 section 5.6: the date is what stands before the T.
        let text = humantime::format_rfc3339_millis(at).to_string();
        Self(text.split('T').next().unwrap_or_default().to_owned())
    }

    pub(super) fn file_name(&self) -> String {
        format!("{}{EXTENSION}", self.0)
    }

    fn of_file_name(name: &str) -> Option<Self> {
        let day = name.strip_suffix(EXTENSION)?;
        let shape: String = day.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
        (shape == "0000-00-00").then(|| Self(day.to_owned()))
    }
}

/// The days that a ledger has a file of, in order, from `first` on.
///
/// # Errors
/// Where the folder can't be read.
pub fn days(folder: &Path, first: Option<&Day>) -> io::Result<Vec<Day>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(folder)? {
        let day = entry?.file_name().to_str().and_then(Day::of_file_name);
        days.extend(day.filter(|day| first.is_none_or(|first| day >= first)));
    }
    days.sort_unstable();
    Ok(days)
}

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
pub struct Tail {
    path: PathBuf,
    file: File,
    unread: Vec<u8>,
    /// Bytes of `unread` that hold no end of line.
    searched: usize,
    lines: u64,
    /// Whether the rest of a line that is too long is being skipped.
    skipping: bool,
}

impl Tail {
    /// Opens the file of a day.
    ///
    /// # Errors
    /// Where it can't be opened.
    pub fn open(folder: &Path, day: &Day) -> io::Result<Self> {
        let path = folder.join(day.file_name());
        let file = File::open(&path)?;
        Ok(Self { path, file, unread: Vec::new(), searched: 0, lines: 0, skipping: false })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives every line that has been ended. What stands behind the last one is kept for the next call: it may be about to be
    /// written.
    ///
    /// # Errors
    /// Where the file can't be read, and what `give` fails with.
    pub fn read(&mut self, mut give: impl FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match self.file.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => self.unread.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            self.give_lines(&mut give)?;
        }
    }

    /// Gives what stands behind the last end of line as a line: nobody will go on with it.
    ///
    /// # Errors
    /// What `give` fails with.
    pub fn finish(&mut self, mut give: impl FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        if self.unread.is_empty() && !self.skipping {
            return Ok(());
        }
        self.unread.push(b'\n');
        self.give_lines(&mut give)
    }

    fn give_lines(&mut self, give: &mut impl FnMut(Line<'_>) -> io::Result<()>) -> io::Result<()> {
        let mut start = 0;
        while let Some(end) = memchr::memchr(b'\n', &self.unread[self.searched..]).map(|found| self.searched + found) {
            self.lines += 1;
            let line = &self.unread[start..end];
            if self.skipping {
                self.skipping = false;
                give(Line::Other(self.lines, format!("longer than {MAX_LINE_BYTES} bytes")))?;
            } else if !line.is_empty() {
                give(parse(self.lines, line))?;
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

fn parse(number: u64, line: &[u8]) -> Line<'_> {
    match serde_json::from_slice(line) {
        Ok(entry) => Line::Entry(Box::new(entry), line),
        Err(error) => Line::Other(number, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
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
        tail.read(|line| {
            names.push(told(&line));
            Ok(())
        })
        .unwrap();
        names
    }

    #[test]
    fn only_days_count_and_in_their_order() {
        let folder = tempfile::tempdir().unwrap();
        for name in
            ["2026-10-18.jsonl", "2026-10-17.jsonl", "2025-01-01.jsonl", "2026-1-1.jsonl", "x.jsonl", "2026-10-17.gz"]
        {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let day = |text: &str| Day(text.to_owned());
        let all = [day("2025-01-01"), day("2026-10-17"), day("2026-10-18")];
        assert_eq!(days(folder.path(), None).unwrap(), all);
        assert_eq!(days(folder.path(), Some(&day("2026-10-17"))).unwrap(), all[1..]);
    }

    #[test]
    fn a_line_is_given_once_it_has_ended_wherever_the_writes_cut_it() {
        let folder = tempfile::tempdir().unwrap();
        let day = Day::of(SystemTime::now());
        let text = format!("{}{}\n{}", line("a"), line("b"), line("c"));
        for cut in 0..=text.len() {
            let mut file = File::create(folder.path().join(day.file_name())).unwrap();
            let mut tail = Tail::open(folder.path(), &day).unwrap();
            file.write_all(&text.as_bytes()[..cut]).unwrap();
            let mut names = read(&mut tail);
            file.write_all(&text.as_bytes()[cut..]).unwrap();
            names.extend(read(&mut tail));
            assert_eq!(names, ["a", "b", "c"], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_no_entry_is_named_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let day = Day::of(SystemTime::now());
        let long = "x".repeat(3 * MAX_LINE_BYTES);
        let text = format!("{}{{\"at\":\"2026\n{}{long}\n{}\0\0\0", line("a"), line("b"), line("c"));
        fs::write(folder.path().join(day.file_name()), text).unwrap();
        let mut tail = Tail::open(folder.path(), &day).unwrap();
        assert_eq!(read(&mut tail), ["a", "line 2", "b", "line 4", "c"]);
        assert!(tail.unread.capacity() < 2 * MAX_LINE_BYTES + READ_BYTES, "{}", tail.unread.capacity());
        let mut rest = Vec::new();
        let mut give = |line: Line<'_>| {
            rest.push(told(&line));
            Ok(())
        };
        tail.finish(&mut give).unwrap();
        tail.finish(&mut give).unwrap();
        assert_eq!(rest, ["line 6"]);
    }
}
