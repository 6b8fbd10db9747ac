//! The server's log: lines wait in a bounded queue, and one thread writes them to standard error.
//!
//! Standard error may be a pipe that nobody reads. A caller that logs never waits for it: a line
//! that finds no room is dropped and counted, and once the queue is empty again one line reports
//! how many were. Knows nothing of what the lines say.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait, in bytes: some thousands of them.
const QUEUED_BYTES: usize = 1 << 20;

/// The longest line; what is longer is cut. Fields that a sender chose are cut before, so that no
/// line of tidegate is as long.
const MAX_LINE_BYTES: usize = 16 << 10;

/// The end of a line that was cut.
const CUT: &[u8] = b"... (cut)\n";

/// How long the end of the server waits for the last lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Where log lines are handed in. Clones hand in to the same queue.
#[derive(Debug, Clone)]
pub(super) struct LogQueue(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    written: Condvar,
    lost: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Whether a line is being written.
    writing: bool,
    /// Lines that were dropped since the last report.
    dropped: u64,
}

/// Waits a moment for the last lines when it is dropped.
#[derive(Debug)]
pub(super) struct FlushAtEnd(LogQueue);

impl Drop for FlushAtEnd {
    fn drop(&mut self) {
        self.0.flush();
    }
}

impl LogQueue {
    /// A queue whose lines a thread of its own writes to `out`. `lost` counts those that were
    /// dropped.
    ///
    /// # Errors
    /// Where there can't be another thread.
    pub(super) fn start(out: impl Write + Send + 'static, lost: IntCounter) -> io::Result<Self> {
        let (waiting, arrived, written) = (Mutex::default(), Condvar::new(), Condvar::new());
        let queue = Self(Arc::new(Shared { waiting, arrived, written, lost }));
        let shared = Arc::clone(&queue.0);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || shared.write_to(out))?;
        Ok(queue)
    }

    /// Waits for the last lines at the end of a scope, for a moment at most.
    pub(super) fn flush_at_end(&self) -> FlushAtEnd {
        FlushAtEnd(self.clone())
    }

    /// Waits until everything is written, or for a moment. A reader that has stalled does not hold
    /// the caller.
    pub(super) fn flush(&self) {
        let busy = |waiting: &mut Waiting| waiting.writing || !waiting.lines.is_empty();
        drop(self.0.written.wait_timeout_while(self.0.waiting(), FLUSH_TIMEOUT, busy));
    }
}

impl Shared {
    /// Takes a line, or drops it.
    fn enter(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes + line.len() > QUEUED_BYTES {
            waiting.dropped += 1;
            self.lost.inc();
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_vec());
        self.arrived.notify_one();
    }

    fn write_to(&self, mut out: impl Write) {
        loop {
            let line = self.next();
            // A line that can't be written (a closed pipe, a full disk) must not end the log: the
            // next one may be.
            let written = out.write_all(&line).and_then(|()| out.flush());
            if let Some(dropped) = self.settle(line.len(), &written) {
                // Comes back as a line of this queue, in the format that the log has.
                tracing::error!(
                    lines = dropped,
                    "log lines lost: standard error did not take them (tidegate_log_lost_total)"
                );
            }
        }
    }

    /// The next line, as soon as there is one.
    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.writing = true;
                return line;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A line of so many bytes is no longer being written. Gives how many lines were dropped, once
    /// the stream takes lines again and none waits: the report of them would fail as they did, and
    /// be reported in its turn.
    fn settle(&self, bytes: usize, written: &io::Result<()>) -> Option<u64> {
        let mut waiting = self.waiting();
        waiting.bytes -= bytes;
        waiting.writing = false;
        if written.is_err() {
            self.lost.inc();
            waiting.dropped += 1;
        }
        if !waiting.lines.is_empty() {
            return None;
        }
        self.written.notify_all();
        let dropped = if written.is_ok() { std::mem::take(&mut waiting.dropped) } else { 0 };
        (dropped > 0).then_some(dropped)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Lines are never half-pushed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one line, which `tracing_subscriber` hands over with one call.
impl Write for &LogQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if line.len() <= MAX_LINE_BYTES {
            self.0.enter(line);
        } else {
            let start = line.get(..MAX_LINE_BYTES - CUT.len()).unwrap_or(line);
            let end = start.utf8_chunks().next().map_or(0, |chunk| chunk.valid().len());
            self.0.enter(&[&start[..end], CUT].concat());
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogQueue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

    use super::*;

    /// A stream that takes a line when the test reads it.
    struct Pipe(SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn started() -> (LogQueue, Receiver<Vec<u8>>, IntCounter) {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let (pipe, reader) = sync_channel(0);
        (LogQueue::start(Pipe(pipe), lost.clone()).unwrap(), reader, lost)
    }

    #[test]
    fn a_stalled_reader_costs_lines_and_no_time() {
        let (queue, reader, lost) = started();
        let line = [b"x".repeat(1023).as_slice(), b"\n"].concat();
        let lines = 4 * QUEUED_BYTES / line.len();
        for _ in 0..lines {
            (&queue).write_all(&line).unwrap();
        }
        // All of what was taken, the line that is being written included, is within the bound.
        assert_eq!(lost.get(), (lines - QUEUED_BYTES / line.len()) as u64);
        queue.flush();
        for _ in 0..QUEUED_BYTES / line.len() {
            assert_eq!(reader.recv().unwrap(), line);
        }
        // There is room again.
        (&queue).write_all(b"last\n").unwrap();
        assert_eq!(reader.recv().unwrap(), b"last\n");
        queue.flush();
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_between_characters() {
        let (queue, reader, lost) = started();
        (&queue).write_all("é".repeat(MAX_LINE_BYTES).as_bytes()).unwrap();
        let line = String::from_utf8(reader.recv().unwrap()).unwrap();
        assert!(line.len() <= MAX_LINE_BYTES && line.len() > MAX_LINE_BYTES - 4, "{}", line.len());
        assert!(line.ends_with("é... (cut)\n"));
        assert_eq!(lost.get(), 0);
    }

    #[test]
    fn a_stream_that_fails_loses_its_lines_and_no_others() {
        let (queue, reader, lost) = started();
        (&queue).write_all(b"a\n").unwrap();
        assert_eq!(reader.recv().unwrap(), b"a\n");
        drop(reader);
        (&queue).write_all(b"b\n").unwrap();
        queue.flush();
        assert_eq!(lost.get(), 1);
    }

    #[test]
    fn lost_lines_are_reported_once_the_stream_takes_lines_again_and_none_waits() {
        let lost = IntCounter::new("lost", "lost").unwrap();
        let shared = Shared {
            waiting: Mutex::new(Waiting { bytes: 6, ..Waiting::default() }),
            arrived: Condvar::new(),
            written: Condvar::new(),
            lost,
        };
        let failed = Err(io::Error::other("closed"));
        assert_eq!(shared.settle(1, &failed), None, "a report would fail as well, for ever");
        assert_eq!(shared.settle(1, &failed), None);
        shared.waiting().lines.push_back(b"x".to_vec());
        assert_eq!(shared.settle(1, &Ok(())), None, "a line waits");
        shared.waiting().lines.clear();
        assert_eq!(shared.settle(1, &Ok(())), Some(2));
        assert_eq!(shared.settle(1, &Ok(())), None, "reported");
    }
}
