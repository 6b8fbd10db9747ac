//! Turns at the disk: flushes that are wanted at the same time are done together.
//!
//! Or side by side, where that is faster at the moment ([`Pace`]).
//!
//! Who finds nobody flushing flushes at once, and waits for no company. Who comes while a flush runs waits for the next one:
//! the first of those who wait leads, and flushes for all of them. A flush that had begun before somebody came never counts
//! for him, for it may have passed by what he wants to have flushed.
//!
//! Nothing here knows files, folders or disks: the flushes are given as closures.

mod pace;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use rustix::io::Errno;

use self::pace::{Pace, Way};

/// Whether flushes that are wanted at the same time are done together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grouping {
    /// One flush for all that wait, while that is the faster way.
    Shared,
    /// A flush for each, always.
    One,
}

/// Which thing is flushed, among all that there are now: the device and its number there.
pub(super) type Identity = (u64, u64);

/// The line before a disk.
#[derive(Debug)]
pub(super) struct Flusher {
    line: Mutex<Line>,
    /// Told to the leader of those who wait when a flush has ended.
    ended: Condvar,
}

#[derive(Debug)]
struct Line {
    flushing: bool,
    /// Those who wait for the next flush; closed when it begins.
    next: Option<Arc<Batch>>,
    pace: Pace,
}

/// Those who share a flush.
#[derive(Debug)]
struct Batch {
    first: Identity,
    /// Whether somebody wants another thing than the first.
    mixed: AtomicBool,
    outcome: OnceLock<Outcome>,
    settled: Condvar,
}

/// What those who waited are told.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    Flushed(Result<(), Errno>),
    /// Everybody flushes for himself.
    Apart,
}

impl Flusher {
    pub(super) fn new(grouping: Grouping) -> Self {
        Self::at(match grouping {
            Grouping::Shared => Pace::measured(),
            Grouping::One => Pace::steady(Way::Apart),
        })
    }

    fn at(pace: Pace) -> Self {
        Self { line: Mutex::new(Line { flushing: false, next: None, pace }), ended: Condvar::new() }
    }

    /// Flushes `thing`: when this returns, a flush that began after the call has come to what is returned. It is `one`, of
    /// this thing, or `all`, of whatever there is; called here, or by another who waits.
    ///
    /// # Errors
    /// Those of the flush. One that was shared has failed for all who shared it.
    pub(super) fn flush(
        &self,
        thing: Identity,
        one: impl Fn() -> Result<(), Errno>,
        all: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let _wanted = Wanted::of(self);
        let line = self.lock();
        if line.pace.way() == Way::Apart {
            drop(line);
            return one();
        }
        if let Some(next) = &line.next {
            let batch = Arc::clone(next);
            batch.join(thing);
            return batch.wait(line).unwrap_or_else(one);
        }
        if line.flushing {
            return self.lead(line, thing, one, all);
        }
        self.begin(line, None).settle(one())
    }

    /// Waits for the flush under way, then flushes for all who have come to wait meanwhile.
    fn lead(
        &self,
        mut line: MutexGuard<'_, Line>,
        thing: Identity,
        one: impl Fn() -> Result<(), Errno>,
        all: impl FnOnce() -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let batch = Arc::new(Batch::of(thing));
        line.next = Some(Arc::clone(&batch));
        while line.flushing {
            line = self.ended.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        // From here on nobody joins.
        line.next = None;
        let way = line.pace.way();
        let mut turn = self.begin(line, Some(Arc::clone(&batch)));
        if way == Way::Apart {
            turn.outcome = Outcome::Apart;
            drop(turn);
            return one();
        }
        if !batch.mixed.load(Ordering::Relaxed) {
            return turn.settle(one());
        }
        turn.settle(all())
    }

    /// Takes the turn of who finds nobody flushing.
    fn begin(&self, mut line: MutexGuard<'_, Line>, batch: Option<Arc<Batch>>) -> Turn<'_> {
        line.flushing = true;
        // A leader that panics has flushed nothing that could be believed.
        Turn { flusher: self, batch, outcome: Outcome::Flushed(Err(Errno::IO)) }
    }

    /// How many wait for the next flush: each of them holds the batch, and so does the line.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().next.as_ref().map_or(0, |batch| Arc::strong_count(batch) - 1)
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // What is kept under it is whole at every moment.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    fn of(first: Identity) -> Self {
        Self { first, mixed: AtomicBool::new(false), outcome: OnceLock::new(), settled: Condvar::new() }
    }

    /// Only while the line is locked.
    fn join(&self, thing: Identity) {
        if thing != self.first {
            self.mixed.store(true, Ordering::Relaxed);
        }
    }

    /// What the leader's flush came to; `None` where everybody flushes for himself.
    fn wait(&self, mut line: MutexGuard<'_, Line>) -> Option<Result<(), Errno>> {
        loop {
            match self.outcome.get() {
                Some(Outcome::Flushed(flushed)) => return Some(*flushed),
                Some(Outcome::Apart) => return None,
                None => line = self.settled.wait(line).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// A flush under way. However it ends, those who wait for it are told, and the next one may begin.
struct Turn<'a> {
    flusher: &'a Flusher,
    batch: Option<Arc<Batch>>,
    outcome: Outcome,
}

impl Turn<'_> {
    fn settle(&mut self, flushed: Result<(), Errno>) -> Result<(), Errno> {
        self.outcome = Outcome::Flushed(flushed);
        flushed
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.flusher.lock();
        line.flushing = false;
        if let Some(batch) = &self.batch {
            // Nobody else sets it.
            let _ = batch.outcome.set(self.outcome);
            batch.settled.notify_all();
        }
        self.flusher.ended.notify_one();
    }
}

/// A flush that is wanted, for as long as it is.
struct Wanted<'a>(&'a Flusher);

impl<'a> Wanted<'a> {
    fn of(flusher: &'a Flusher) -> Self {
        flusher.lock().pace.begin(Instant::now());
        Self(flusher)
    }
}

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.lock().pace.end(Instant::now());
    }
}
