//! The writing side: entries wait at a desk, and one thread puts them down.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use rustix::fs::{Mode, OFlags};
use tokio_util::sync::CancellationToken;

use super::Entry;
use super::folder::Folder;
use super::line;
use super::reader::Day;
use crate::metrics::Metrics;
use crate::upload::rfc3339;

/// How often it is logged that lines are lost.
const LOG_EVERY: Duration = Duration::from_mins(1);

/// How long entries gather behind a write.
const GATHER: Duration = Duration::from_millis(5);

/// Where entries wait. Its locks are never held while the disk is at work.
#[derive(Debug)]
pub(super) struct Desk {
    waiting: Mutex<Waiting>,
    come: Condvar,
    most_entries: usize,
    most_bytes: usize,
    metrics: Arc<Metrics>,
    /// When it was last logged that lines are lost.
    logged: Mutex<Option<Instant>>,
    /// Cancelled when nobody writes any more.
    written: CancellationToken,
}

#[derive(Debug, Default)]
struct Waiting {
    entries: Vec<Entry>,
    /// Their size in memory, in bytes.
    bytes: usize,
    closed: bool,
    /// Whether the writer sleeps until something comes.
    asleep: bool,
}

impl Desk {
    pub(super) fn new(most_entries: usize, most_bytes: usize, metrics: Arc<Metrics>) -> Self {
        Self {
            waiting: Mutex::default(),
            come: Condvar::new(),
            most_entries,
            most_bytes,
            metrics,
            logged: Mutex::default(),
            written: CancellationToken::new(),
        }
    }

    /// Takes an entry, or loses it.
    pub(super) fn enter(&self, entry: Entry) {
        let weight = entry.weight();
        let lost = {
            let mut waiting = self.waiting();
            let why = match *waiting {
                Waiting { closed: true, .. } => Some("the server has ended"),
                Waiting { ref entries, bytes, .. }
                    if entries.len() >= self.most_entries || bytes + weight > self.most_bytes =>
                {
                    Some("the disk is too slow")
                }
                Waiting { .. } => None,
            };
            if why.is_none() {
                waiting.entries.push(entry);
                waiting.bytes += weight;
                if std::mem::take(&mut waiting.asleep) {
                    self.come.notify_one();
                }
            }
            why
        };
        if let Some(why) = lost {
            self.lose(1, why);
        }
    }

    /// Takes nothing any more; done when all that was taken is written.
    pub(super) async fn close(&self) {
        self.waiting().closed = true;
        self.come.notify_one();
        self.written.cancelled().await;
    }

    /// Everything that waits, as soon as there is something; `None` once the desk is closed and empty.
    fn take(&self) -> Option<Vec<Entry>> {
        let mut waiting = self.waiting();
        while waiting.entries.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting.asleep = true;
            waiting = self.come.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.bytes = 0;
        Some(std::mem::take(&mut waiting.entries))
    }

    /// Lets entries gather for a moment: those of many uploads cost one write, and nobody is woken for each.
    fn gather(&self) {
        let pause = self.come.wait_timeout_while(self.waiting(), GATHER, |waiting| !waiting.closed);
        drop(pause.unwrap_or_else(PoisonError::into_inner));
    }

    fn lose(&self, lines: u64, why: &str) {
        self.metrics.ledger_lost(lines);
        let due = {
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            let due = logged.is_none_or(|when| when.elapsed() >= LOG_EVERY);
            if due {
                *logged = Some(Instant::now());
            }
            due
        };
        if due {
            tracing::error!(lines, why, "lines of the ledger are lost (tidegate_ledger_lost_total counts them)");
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Entries are never half-pushed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts entries down, each into the file of its day.
#[derive(Debug)]
pub(super) struct Writer {
    folder: Folder,
    open: Option<Open>,
    min_free_bytes: u64,
    /// Whether lines are lost because the disk is full up to `min_free_bytes`.
    is_full: bool,
}

#[derive(Debug)]
struct Open {
    day: Day,
    path: PathBuf,
    file: File,
}

/// Lines that did not come to stand in the ledger.
#[derive(Debug)]
struct Lost {
    lines: usize,
    error: io::Error,
}

impl Writer {
    pub(super) fn new(folder: Folder, min_free_bytes: u64) -> Self {
        Self { folder, open: None, min_free_bytes, is_full: false }
    }

    /// Writes what comes to the desk until that is closed.
    pub(super) fn serve(mut self, desk: &Desk) {
        let _written = desk.written.clone().drop_guard();
        // At once, so that a folder that can't be written to is known before it is needed.
        if let Err(error) = self.open_today() {
            let folder = self.folder.path().display();
            tracing::error!(%folder, %error, "the ledger can't be written; its lines are lost until it can");
        }
        while let Some(entries) = desk.take() {
            for entries in entries.chunk_by(|one, next| Day::of(one.at) == Day::of(next.at)) {
                match self.write(entries) {
                    Ok(()) => {}
                    // Logged when it began.
                    Err(Lost { lines, .. }) if self.is_full => desk.metrics.ledger_lost(lines as u64),
                    Err(Lost { lines, error }) => {
                        desk.lose(lines as u64, &format!("writing into {}: {error}", self.folder.path().display()));
                    }
                }
            }
            desk.gather();
        }
    }

    /// Opens the file that the next line goes into.
    pub(super) fn open_today(&mut self) -> io::Result<()> {
        self.file_of(Day::of(rfc3339::now())).map(drop)
    }

    /// Appends entries of one day with one write.
    fn write(&mut self, entries: &[Entry]) -> Result<(), Lost> {
        let Some(first) = entries.first() else { return Ok(()) };
        let mut lines = Vec::new();
        for entry in entries {
            lines.extend(line::of(entry));
        }
        let all_lost = |error| Lost { lines: entries.len(), error };
        self.file_of(Day::of(first.at)).map_err(all_lost)?;
        self.check_room(lines.len() as u64).map_err(all_lost)?;
        let mut file = self.file_of(Day::of(first.at)).map_err(all_lost)?;
        let error = match file.write(&lines) {
            Ok(written) if written == lines.len() => return Ok(()),
            Ok(written) => {
                lines.drain(..written);
                io::Error::new(io::ErrorKind::StorageFull, "the disk took a part of it")
            }
            Err(error) => error,
        };
        // Opened again, the file gets a line's end behind what may be half a line.
        self.open = None;
        Err(Lost { lines: memchr::memchr_iter(b'\n', &lines).count(), error })
    }

    /// Fails where `more` bytes would use what is to stay free. Once they would, there has to be an
    /// eighth more than that: else every file that comes and goes would change the state, and log
    /// it.
    fn check_room(&mut self, more: u64) -> io::Result<()> {
        let stat = rustix::fs::fstatvfs(self.folder.open()?)?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let kept = self.min_free_bytes.saturating_add(if self.is_full { self.min_free_bytes / 8 } else { 0 });
        let was_full = std::mem::replace(&mut self.is_full, free.saturating_sub(more) < kept);
        let (folder, free, kept) = (self.folder.path().display(), ByteSize(free), ByteSize(self.min_free_bytes));
        match (was_full, self.is_full) {
            (false, true) => tracing::error!(
                %folder, %free, %kept,
                "ledger stopped: the disk is full; lines are lost until there is room (tidegate_ledger_lost_total)"
            ),
            (true, false) => tracing::info!(%folder, %free, "ledger resumed: the disk has room again"),
            (true, true) | (false, false) => {}
        }
        if self.is_full {
            return Err(io::Error::new(io::ErrorKind::StorageFull, format!("disk full ({free} free, {kept} kept)")));
        }
        Ok(())
    }

    /// The file of a day, where it stands now: somebody may have moved or removed the one that was written last.
    fn file_of(&mut self, day: Day) -> io::Result<&File> {
        let open = match self.open.take() {
            Some(open) if open.day == day && open.stands() => open,
            Some(_) | None => Open::new(&mut self.folder, day)?,
        };
        Ok(&self.open.insert(open).file)
    }
}

impl Open {
    fn new(folder: &mut Folder, day: Day) -> io::Result<Self> {
        let name = day.file_name();
        let path = folder.path().join(&name);
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(folder.open()?, &name, flags, Mode::from_raw_mode(0o666))?);
        close_torn_line(&file)?;
        Ok(Self { day, path, file })
    }

    fn stands(&self) -> bool {
        match (fs::metadata(&self.path), self.file.metadata()) {
            (Ok(there), Ok(ours)) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
            (Ok(_) | Err(_), _) => false,
        }
    }
}

/// Ends a last line that a crash or a full disk has cut, so that the next one is whole.
fn close_torn_line(mut file: &File) -> io::Result<()> {
    let mut last = *b"\n";
    let length = file.metadata()?.len();
    if length > 0 {
        file.read_exact_at(&mut last, length - 1)?;
    }
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::SystemTime;

    use super::*;
    use crate::ledger::Outcome;

    /// Just before midnight, 2026-10-17.
    const EVENING: Duration = Duration::from_secs(1_792_281_599);

    fn entry(name: &str, since_epoch: Duration) -> Entry {
        Entry { at: SystemTime::UNIX_EPOCH + since_epoch, ..Entry::new(Outcome::Failed, name, None) }
    }

    fn names(folder: &Path, file: &str) -> Vec<String> {
        let text = fs::read_to_string(folder.join(file)).unwrap();
        let names = text.lines().map(|line| match serde_json::from_str::<Entry>(line) {
            Ok(entry) => entry.name,
            Err(_) => format!("no entry: {line}"),
        });
        names.collect()
    }

    fn lost(metrics: &Metrics) -> u64 {
        let text = metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("tidegate_ledger_lost_total "));
        line.unwrap().parse().unwrap()
    }

    fn writer(folder: &Path) -> Writer {
        Writer::new(Folder::new(folder, None), 0)
    }

    /// A desk with these entries, closed, and served to its end.
    fn served(writer: Writer, entries: Vec<Entry>) -> Arc<Metrics> {
        let metrics = Arc::new(Metrics::new());
        let desk = Desk::new(10, usize::MAX, Arc::clone(&metrics));
        for entry in entries {
            desk.enter(entry);
        }
        desk.waiting().closed = true;
        writer.serve(&desk);
        assert!(desk.written.is_cancelled());
        metrics
    }

    #[test]
    fn each_day_has_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("made/for/it");
        let entries = [("a", 0), ("b", 500), ("c", 1000), ("late", 999), ("d", 1001)];
        let entries = entries.map(|(name, millis)| entry(name, EVENING + Duration::from_millis(millis)));
        served(writer(&inner), entries.into());
        assert_eq!(names(&inner, "2026-10-17.jsonl"), ["a", "b", "late"]);
        assert_eq!(names(&inner, "2026-10-18.jsonl"), ["c", "d"]);
    }

    #[test]
    fn a_line_that_was_torn_is_closed_before_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let file = "2026-10-17.jsonl";
        fs::write(folder.path().join(file), "{\"at\":\"2026-").unwrap();
        served(writer(folder.path()), vec![entry("a", EVENING), entry("b", EVENING)]);
        assert_eq!(names(folder.path(), file), ["no entry: {\"at\":\"2026-", "a", "b"]);
        served(writer(folder.path()), vec![entry("c", EVENING)]);
        assert_eq!(names(folder.path(), file), ["no entry: {\"at\":\"2026-", "a", "b", "c"]);
    }

    #[test]
    fn what_finds_no_place_is_lost_and_counted() {
        let metrics = Arc::new(Metrics::new());
        let desk = Desk::new(2, usize::MAX, Arc::clone(&metrics));
        for name in ["a", "b", "c", "d"] {
            desk.enter(entry(name, EVENING));
        }
        assert_eq!(lost(&metrics), 2);
        let taken: Vec<_> = desk.take().unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(taken, ["a", "b"]);
        desk.enter(entry("e", EVENING));
        assert_eq!((desk.take().unwrap().len(), lost(&metrics)), (1, 2), "there is room again");
        desk.waiting().closed = true;
        desk.enter(entry("f", EVENING));
        assert_eq!((desk.take(), lost(&metrics)), (None, 3));
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes() {
        let metrics = Arc::new(Metrics::new());
        let weight = entry("a", EVENING).weight();
        let desk = Desk::new(usize::MAX, 3 * weight, Arc::clone(&metrics));
        for _ in 0..5 {
            desk.enter(entry("a", EVENING));
        }
        assert_eq!((desk.take().unwrap().len(), lost(&metrics)), (3, 2));
        desk.enter(entry("a", EVENING));
        desk.enter(entry(&"a".repeat(3 * weight), EVENING));
        assert_eq!((desk.take().unwrap().len(), lost(&metrics)), (1, 3), "there is room again");
    }

    #[test]
    fn what_is_to_stay_free_is_not_written_to_and_lines_go_on_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        let stat = rustix::fs::statvfs(folder.path()).unwrap();
        let free = stat.f_bavail * stat.f_frsize;
        for (min_free_bytes, name, is_written) in [
            (free * 2, "a", false),
            (free * 3 / 4, "b", true),
            (u64::MAX, "c", false),
            // Not yet: it has to be an eighth more.
            (free / 100 * 99, "d", false),
            (free / 2, "e", true),
        ] {
            writer.min_free_bytes = min_free_bytes;
            let written = writer.write(&[entry(name, EVENING)]);
            assert_eq!(written.is_ok(), is_written, "{name}");
            assert_eq!(written.map_or_else(|lost| lost.lines, |()| 0), usize::from(!is_written), "{name}");
        }
        assert_eq!(names(folder.path(), "2026-10-17.jsonl"), ["b", "e"]);
    }

    #[test]
    fn a_disk_that_fails_loses_lines_until_it_recovers() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("ledger");
        fs::write(&inner, "in the way").unwrap();
        let metrics = served(writer(&inner), vec![entry("a", EVENING), entry("b", EVENING)]);
        assert_eq!(lost(&metrics), 2);

        let mut writer = writer(&inner);
        assert_eq!(writer.write(&[entry("c", EVENING)]).unwrap_err().lines, 1);
        fs::remove_file(&inner).unwrap();
        writer.write(&[entry("d", EVENING)]).unwrap();
        assert_eq!(names(&inner, "2026-10-17.jsonl"), ["d"]);
    }

    #[test]
    fn a_full_disk_loses_what_it_does_not_take() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026-10-17.jsonl");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut writer = writer(folder.path());
        let lost = writer.write(&[entry("a", EVENING), entry("b", EVENING)]).unwrap_err();
        assert_eq!((lost.lines, lost.error.kind()), (2, io::ErrorKind::StorageFull));
        fs::remove_file(&path).unwrap();
        writer.write(&[entry("c", EVENING)]).unwrap();
        assert_eq!(names(folder.path(), "2026-10-17.jsonl"), ["c"]);
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("2026-10-17.jsonl");
        let mut writer = writer(folder.path());
        writer.write(&[entry("a", EVENING)]).unwrap();
        fs::rename(&path, folder.path().join("archived")).unwrap();
        writer.write(&[entry("b", EVENING)]).unwrap();
        fs::remove_dir_all(folder.path()).unwrap();
        writer.write(&[entry("c", EVENING)]).unwrap();
        assert_eq!(names(folder.path(), "2026-10-17.jsonl"), ["c"]);
    }
}
