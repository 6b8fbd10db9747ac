//! The reading side: a ledger's lines from the first day to the last, and on as they come.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::tail::{Line, Tail, at};
use crate::clock;

/// What a day's file is called after its day.
const EXTENSION: &str = ".jsonl";

/// Files that are kept open to see what is still written to them: at midnight the last lines of a day may come when the next
/// has begun.
const OPEN_DAYS: usize = 2;

/// Reads a ledger, and goes on where it was when more has come.
#[derive(Debug)]
pub struct Reader {
    folder: PathBuf,
    first: Option<Day>,
    newest: Option<Day>,
    tails: VecDeque<Tail>,
}

impl Reader {
    /// A reader of the ledger in `folder`, from the beginning of a day on, or from its first.
    pub fn new(folder: PathBuf, first: Option<Day>) -> Self {
        Self { folder, first, newest: None, tails: VecDeque::new() }
    }

    /// Gives each line that has come since the last call, with the file that it stands in. What stands behind the last end of
    /// line of a file may be about to be written, and is kept.
    ///
    /// # Errors
    /// [`io::ErrorKind::NotFound`] where there is no folder; where a file can't be read; and what `give` fails with.
    pub fn advance(&mut self, mut give: impl FnMut(&Path, Line<'_>) -> io::Result<()>) -> io::Result<()> {
        for tail in &mut self.tails {
            tail.read(&mut give)?;
        }
        let days = days(&self.folder, self.first.as_ref()).map_err(|error| at(&self.folder, &error))?;
        for day in days {
            if self.newest.as_ref().is_some_and(|newest| day <= *newest) {
                continue;
            }
            let path = self.folder.join(day.file_name());
            let mut tail = Tail::open(path.clone()).map_err(|error| at(&path, &error))?;
            tail.read(&mut give)?;
            self.tails.push_back(tail);
            self.newest = Some(day);
            if self.tails.len() > OPEN_DAYS
                && let Some(mut oldest) = self.tails.pop_front()
            {
                oldest.finish(&mut give)?;
            }
        }
        Ok(())
    }

    /// Gives what is left: nobody waits for more.
    ///
    /// # Errors
    /// What `give` fails with.
    pub fn finish(mut self, mut give: impl FnMut(&Path, Line<'_>) -> io::Result<()>) -> io::Result<()> {
        self.tails.iter_mut().try_for_each(|tail| tail.finish(&mut give))
    }
}

/// A day in UTC, `2026-10-17`. Days sort by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(String);

impl Day {
    /// The day of a moment.
    pub fn of(at: SystemTime) -> Self {
        // RFC 3339 section 5.6: the date is what stands before the T.
        let text = clock::rfc3339(at).to_string();
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
fn days(folder: &Path, first: Option<&Day>) -> io::Result<Vec<Day>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(folder)? {
        let day = entry?.file_name().to_str().and_then(Day::of_file_name);
        days.extend(day.filter(|day| first.is_none_or(|first| day >= first)));
    }
    days.sort_unstable();
    Ok(days)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Entry, Outcome};

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
    fn days_are_read_in_their_order_and_late_lines_too() {
        let folder = tempfile::tempdir().unwrap();
        let append = |day: &str, name: &str| {
            let path = folder.path().join(format!("{day}.jsonl"));
            let line = serde_json::to_string(&Entry::new(Outcome::Failed, name, None)).unwrap() + "\n";
            fs::write(&path, fs::read_to_string(&path).unwrap_or_default() + &line).unwrap();
        };
        let advance = |reader: &mut Reader| {
            let mut names = Vec::new();
            let read = reader.advance(|path, line| {
                let Line::Entry(entry, _) = line else { panic!("{line:?} in {path:?}") };
                names.push(entry.name);
                Ok(())
            });
            read.unwrap();
            names
        };
        append("2026-10-16", "before");
        append("2026-10-17", "a");
        append("2026-10-18", "b");
        let mut reader = Reader::new(folder.path().to_owned(), Some(Day("2026-10-17".to_owned())));
        assert_eq!(advance(&mut reader), ["a", "b"]);
        append("2026-10-18", "c");
        append("2026-10-19", "d");
        assert_eq!(advance(&mut reader), ["c", "d"]);
        append("2026-10-18", "late");
        assert_eq!(advance(&mut reader), ["late"]);
        assert!(advance(&mut reader).is_empty());
    }
}
