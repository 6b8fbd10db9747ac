//! Threads that validate, so that the threads which serve connections do not.
//!
//! A job is one chunk of one upload, or its end. Jobs take turns: each runs for a slice of about a
//! millisecond and then goes to the back of its queue, so that a chunk which unpacks to a thousand
//! times its size does not delay other uploads. Uploads that have not run for long have a queue of
//! their own, of which most slices are taken: a small file does not wait behind the large ones. A
//! job whose upload has been given up ends at its next slice.

use std::collections::VecDeque;
use std::num::NonZero;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::sync::oneshot;

use crate::report::{Report, Verdict};
use crate::validate::{MAX_STEP_BYTES, Step, Validator};

/// How long a job runs before others take their turn.
const SLICE: Duration = Duration::from_millis(1);

/// A job that takes its turn for the first time within so much of its upload's time is a short one.
const SHORT: Duration = Duration::from_millis(20);

/// Of so many slices, one is for a job that is not short, so that those go on as well.
const LONG_EVERY: u64 = 4;

/// The text of a step: halved where a step takes more than half a slice, doubled where it takes
/// little. The first ones are short: a table's header takes many times its bytes, and most
/// validators need little behind it.
const FIRST_STEP_BYTES: usize = 512;
const LEAST_STEP_BYTES: usize = 256;

/// The threads and what they have to do.
#[derive(Debug)]
pub(super) struct Workers {
    queues: Arc<Queues>,
}

#[derive(Debug)]
struct Queues {
    state: Mutex<State>,
    waiting: Condvar,
}

#[derive(Debug, Default)]
struct State {
    short: VecDeque<Job>,
    long: VecDeque<Job>,
    /// Slices that were taken.
    slices: u64,
    /// Threads that were started: by the first job.
    threads: usize,
    is_closed: bool,
}

/// A validator, with what is known of its upload's work.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) validator: Box<dyn Validator>,
    /// The memory that it may take, in bytes.
    pub(super) granted_bytes: usize,
    /// The text of its next step.
    step_bytes: usize,
    /// The processor time of its upload so far.
    pub(super) busy: Duration,
}

/// The outcome of a job.
#[derive(Debug)]
pub(super) enum Outcome {
    /// All of the chunk is read.
    Read(Reading),
    /// The validator needs so much memory in all before it reads the rest.
    NeedsMemory { reading: Reading, bytes: usize, rest: Rest },
    /// Enough was found wrong.
    Failed { report: Box<Report>, busy: Duration },
}

/// The rest of a chunk.
#[derive(Debug)]
pub(super) struct Rest {
    chunk: Bytes,
    /// Whether the validator goes on even where nothing is left of the chunk.
    more: bool,
}

impl From<Bytes> for Rest {
    fn from(chunk: Bytes) -> Self {
        Self { chunk, more: false }
    }
}

/// The outcome of a slice.
enum Slice {
    Done(Outcome),
    Left(Reading, Rest),
}

/// The verdict, and the processor time of the upload's validation.
pub(super) type Finished = (Result<Verdict, Box<Report>>, Duration);

#[derive(Debug)]
enum Job {
    Read { reading: Reading, rest: Rest, tell: oneshot::Sender<Outcome> },
    Finish { reading: Reading, tell: oneshot::Sender<Finished> },
}

impl Reading {
    pub(super) fn new(validator: Box<dyn Validator>, granted_bytes: usize) -> Self {
        Self { validator, granted_bytes, step_bytes: FIRST_STEP_BYTES, busy: Duration::ZERO }
    }

    /// The memory for its next step, in bytes.
    pub(super) fn needed_bytes(&self) -> usize {
        self.validator.memory_bytes(self.step_bytes)
    }

    /// Takes the shortest steps, which need the least memory; how much that is in all, in bytes.
    pub(super) fn shorten_steps(&mut self) -> usize {
        self.step_bytes = LEAST_STEP_BYTES;
        self.needed_bytes()
    }

    /// Reads a whole chunk here and now.
    pub(super) fn read(&mut self, chunk: &[u8]) -> Result<(), Box<Report>> {
        let start = Instant::now();
        let read = self.validator.feed(chunk);
        self.busy += start.elapsed();
        read
    }

    pub(super) fn finish(self) -> Finished {
        let start = Instant::now();
        let finished = self.validator.finish();
        (finished, self.busy + start.elapsed())
    }

    /// Reads for one slice.
    fn run(mut self, mut rest: Rest) -> Slice {
        let (start, mut before) = (Instant::now(), Duration::ZERO);
        loop {
            let bytes = self.needed_bytes();
            if bytes > self.granted_bytes {
                return Slice::Done(Outcome::NeedsMemory { reading: self, bytes, rest });
            }
            let step = self.validator.step(&rest.chunk, self.step_bytes);
            let elapsed = start.elapsed();
            let took = elapsed.saturating_sub(before);
            before = elapsed;
            self.busy += took;
            match step {
                Ok(Step { read, more }) => {
                    rest.chunk.advance(read);
                    rest.more = more;
                }
                Err(report) => return Slice::Done(Outcome::Failed { report, busy: self.busy }),
            }
            self.adapt(took);
            if rest.chunk.is_empty() && !rest.more {
                return Slice::Done(Outcome::Read(self));
            }
            if elapsed >= SLICE {
                return Slice::Left(self, rest);
            }
        }
    }

    fn adapt(&mut self, took: Duration) {
        if took > SLICE / 2 {
            self.step_bytes = (self.step_bytes / 2).max(LEAST_STEP_BYTES);
        } else if took < SLICE / 8 {
            self.step_bytes = (self.step_bytes * 2).min(MAX_STEP_BYTES);
        }
    }
}

impl Workers {
    /// No threads yet: they start with the first job.
    pub(super) fn new() -> Self {
        Self { queues: Arc::new(Queues { state: Mutex::default(), waiting: Condvar::new() }) }
    }

    /// Reads a chunk, or what is left of one.
    pub(super) fn read(&self, reading: Reading, rest: Rest) -> oneshot::Receiver<Outcome> {
        let (tell, outcome) = oneshot::channel();
        self.add(Job::Read { reading, rest, tell });
        outcome
    }

    /// Ends a file.
    pub(super) fn finish(&self, reading: Reading) -> oneshot::Receiver<Finished> {
        let (tell, finished) = oneshot::channel();
        self.add(Job::Finish { reading, tell });
        finished
    }

    /// Queues a job. Where no thread can be started it is dropped, which its upload learns.
    fn add(&self, job: Job) {
        let mut state = self.queues.lock();
        if state.threads == 0 {
            state.threads = self.start();
            if state.threads == 0 {
                return;
            }
        }
        state.add(job);
        drop(state);
        self.queues.waiting.notify_one();
    }

    /// Starts a thread for each core; how many were started.
    fn start(&self) -> usize {
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        let start = |number: usize| {
            let queues = Arc::clone(&self.queues);
            let thread = std::thread::Builder::new().name(format!("validate-{number}"));
            match thread.spawn(move || queues.work()) {
                Ok(_detached) => true,
                Err(error) => {
                    tracing::error!(%error, "validator thread not started");
                    false
                }
            }
        };
        (0..threads).filter(|number| start(*number)).count()
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.queues.lock().is_closed = true;
        self.queues.waiting.notify_all();
    }
}

impl Queues {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while the lock is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut state = self.lock();
        loop {
            match state.next() {
                Some(job) => {
                    drop(state);
                    // The upload of a validator that panics learns that it is gone; the thread
                    // serves the others.
                    let left = std::panic::catch_unwind(AssertUnwindSafe(|| job.run())).unwrap_or_default();
                    state = self.lock();
                    if let Some(job) = left {
                        state.add(job);
                    }
                }
                None if state.is_closed => return,
                None => state = self.waiting.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl State {
    fn add(&mut self, job: Job) {
        let queue = if job.busy() < SHORT { &mut self.short } else { &mut self.long };
        queue.push_back(job);
    }

    fn next(&mut self) -> Option<Job> {
        self.slices += 1;
        let queues = [&mut self.short, &mut self.long];
        let [first, second] = if self.slices.is_multiple_of(LONG_EVERY) {
            let [short, long] = queues;
            [long, short]
        } else {
            queues
        };
        first.pop_front().or_else(|| second.pop_front())
    }
}

impl Job {
    fn busy(&self) -> Duration {
        match self {
            Self::Read { reading, .. } | Self::Finish { reading, .. } => reading.busy,
        }
    }

    /// Runs for a slice; what is left to do.
    fn run(self) -> Option<Self> {
        match self {
            // The upload was given up, and its receiver dropped.
            Self::Read { tell, .. } if tell.is_closed() => None,
            Self::Read { reading, rest, tell } => match reading.run(rest) {
                Slice::Done(outcome) => {
                    let _given_up = tell.send(outcome);
                    None
                }
                Slice::Left(reading, rest) => Some(Self::Read { reading, rest, tell }),
            },
            Self::Finish { reading, tell } => {
                let _given_up = tell.send(reading.finish());
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::Value;

    use super::*;
    use crate::report::Format;

    /// Takes a slice for each byte.
    #[derive(Debug)]
    struct Slow(Arc<AtomicUsize>);

    #[allow(clippy::missing_trait_methods, reason = "chunks are read step by step")]
    impl Validator for Slow {
        fn step(&mut self, chunk: &[u8], _text_bytes: usize) -> Result<Step, Box<Report>> {
            let start = Instant::now();
            assert!(chunk != b"panic", "as the test wants it");
            while start.elapsed() < SLICE {
                std::hint::spin_loop();
            }
            self.0.fetch_add(1, Ordering::SeqCst);
            Ok(Step { read: 1, more: false })
        }

        fn memory_bytes(&self, _text_bytes: usize) -> usize {
            0
        }

        fn offset(&self) -> u64 {
            0
        }

        fn save(&self) -> Option<Value> {
            None
        }

        fn finish(self: Box<Self>) -> Result<Verdict, Box<Report>> {
            Ok(Verdict { format: Format::Csv, records: 0, errors: 0 })
        }
    }

    fn reading(steps: &Arc<AtomicUsize>) -> Reading {
        Reading::new(Box::new(Slow(Arc::clone(steps))), 0)
    }

    #[tokio::test]
    async fn a_short_file_does_not_wait_for_long_ones_to_end() {
        const LONG: usize = 40;
        let (workers, steps) = (Workers::new(), Arc::new(AtomicUsize::new(0)));
        let chunk = Bytes::from_static(&[0; 1000]);
        let _long: Vec<_> = (0..LONG).map(|_| workers.read(reading(&steps), chunk.clone().into())).collect();
        let before = steps.load(Ordering::SeqCst);
        let short = workers.read(reading(&steps), Bytes::from_static(b"x").into());
        assert!(matches!(short.await.unwrap(), Outcome::Read(_)));
        // One of each comes first, and a few more go on until this one is woken: of 40,000 in all.
        let between = steps.load(Ordering::SeqCst) - before;
        assert!(between < 10 * LONG, "{between} slices of others came first");
    }

    #[tokio::test]
    async fn what_nobody_waits_for_ends() {
        let (workers, steps) = (Workers::new(), Arc::new(AtomicUsize::new(0)));
        for _ in 0..100 {
            drop(workers.read(reading(&steps), Bytes::from(vec![0; 1_000_000]).into()));
        }
        // Else this would run after a million slices.
        let last = workers.finish(reading(&steps)).await.unwrap();
        assert!(last.0.is_ok());
        assert!(steps.load(Ordering::SeqCst) < 1000);
    }

    #[tokio::test]
    async fn a_validator_that_panics_takes_no_other_with_it() {
        let (workers, steps) = (Workers::new(), Arc::new(AtomicUsize::new(0)));
        let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
        for _ in 0..2 * threads {
            workers.read(reading(&steps), Bytes::from_static(b"panic").into()).await.unwrap_err();
        }
        assert!(workers.finish(reading(&steps)).await.unwrap().0.is_ok());
    }
}
