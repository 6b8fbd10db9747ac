//! Turns at the disk: flushes that are wanted at the same time are done together.
//!
//! Or side by side, where that is faster at the moment ([`Pace`]).
//!
//! Who finds nobody flushing flushes at once, and waits for no company. Who comes while a flush runs waits for the next one:
//! the first of those who wait leads, and flushes for all of them. A flush that had begun before somebody came never counts
//! for him, for it may have passed by what he wants to have flushed.
//!
//! A flush that fails takes with it what others have changed of the same thing, and theirs then succeed: the kernel tells of a
//! loss once. So who has flushed well waits until all flushes of the same thing that began before his ended have ended too; by
//! then who was told of a loss has said so.
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
    /// Told when a flush has ended that somebody may wait for to know whether it failed.
    known: Condvar,
}

#[derive(Debug)]
struct Line {
    flushing: bool,
    /// Those who wait for the next flush; closed when it begins.
    next: Option<Arc<Batch>>,
    pace: Pace,
    /// Flushes that have begun, ever.
    begun: u64,
    /// Those under way, by their numbers: of a thing, or of everything.
    running: Vec<(u64, Option<Identity>)>,
    /// How many wait to know how one of them ends.
    unsure: usize,
}

/// What a flush came to, and how many had begun when it ended.
#[derive(Debug, Clone, Copy)]
struct Flushed {
    flushed: Result<(), Errno>,
    begun: u64,
}

impl Line {
    /// Whether a flush is under way that may have taken something of `thing` with it, one of the first so many.
    fn is_unsure_of(&self, thing: Identity, begun: u64) -> bool {
        let covers = |what: Option<Identity>| what.is_none_or(|what| what == thing);
        self.running.iter().any(|&(number, what)| number <= begun && covers(what))
    }
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
    Flushed(Flushed),
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
        let line = Line { flushing: false, next: None, pace, begun: 0, running: Vec::new(), unsure: 0 };
        Self { line: Mutex::new(line), ended: Condvar::new(), known: Condvar::new() }
    }

    /// Flushes `thing`: when this returns, a flush that began after the call has come to what is returned. It is `one`, of
    /// this thing, or `all`, of whatever there is; called here, or by another who waits. When it returns that all is well, every
    /// call of `one` or `all` which may have taken something of this thing with it has returned.
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
        let flushed = self.take_turn(thing, || self.run(Some(thing), &one), || self.run(None, all));
        self.believe(thing, flushed)
    }

    /// As [`flush`](Self::flush), but by itself: nobody who flushes other things waits for it, though it may wait for a flush of
    /// everything that is under way.
    ///
    /// # Errors
    /// Those of the flush.
    pub(super) fn flush_alone(&self, thing: Identity, one: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
        let flushed = self.run(Some(thing), one);
        self.believe(thing, flushed)
    }

    /// One of the two flushes, in turn.
    fn take_turn(&self, thing: Identity, one: impl Fn() -> Flushed, all: impl FnOnce() -> Flushed) -> Flushed {
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
        one: impl Fn() -> Flushed,
        all: impl FnOnce() -> Flushed,
    ) -> Flushed {
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

    /// A flush, of a thing or of everything.
    fn run(&self, what: Option<Identity>, flush: impl FnOnce() -> Result<(), Errno>) -> Flushed {
        let running = Running::of(self, what);
        let flushed = flush();
        Flushed { flushed, begun: running.end() }
    }

    /// What a flush came to, once it is known of those beside it.
    fn believe(&self, thing: Identity, Flushed { flushed, begun }: Flushed) -> Result<(), Errno> {
        flushed?;
        let mut line = self.lock();
        while line.is_unsure_of(thing, begun) {
            line.unsure += 1;
            line = self.known.wait(line).unwrap_or_else(PoisonError::into_inner);
            line.unsure -= 1;
        }
        Ok(())
    }

    /// Takes the turn of who finds nobody flushing.
    fn begin(&self, mut line: MutexGuard<'_, Line>, batch: Option<Arc<Batch>>) -> Turn<'_> {
        line.flushing = true;
        // A leader that panics has flushed nothing that could be believed.
        let outcome = Outcome::Flushed(Flushed { flushed: Err(Errno::IO), begun: line.begun });
        Turn { flusher: self, batch, outcome }
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
    fn wait(&self, mut line: MutexGuard<'_, Line>) -> Option<Flushed> {
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
    fn settle(&mut self, flushed: Flushed) -> Flushed {
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

/// A flush under way, for those who must know how it ends.
struct Running<'a> {
    flusher: &'a Flusher,
    number: u64,
}

impl<'a> Running<'a> {
    fn of(flusher: &'a Flusher, what: Option<Identity>) -> Self {
        let mut line = flusher.lock();
        line.begun += 1;
        let number = line.begun;
        line.running.push((number, what));
        Self { flusher, number }
    }

    /// How many have begun by now.
    fn end(self) -> u64 {
        self.flusher.lock().begun
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut line = self.flusher.lock();
        line.running.retain(|(number, _)| *number != self.number);
        // Mostly nobody, and to wake nobody is a system call, too.
        if line.unsure > 0 {
            self.flusher.known.notify_all();
        }
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
