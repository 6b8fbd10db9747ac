//! Existing files that are read whole, because only their bytes prove which content is under a key.
//!
//! Large files are read a slice at a time, by a few workers in all. Waiting readings take turns
//! after each slice, so that a small file is not behind a huge one, and no other work of the disk's
//! workers waits for any of them. Callers that ask for the same file share one reading. A reading
//! without callers goes on while a worker is free; where other readings wait, it stops and keeps
//! what it has, so that the next caller does not begin anew.
//!
//! Knows neither keys nor receipts.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::io::Errno;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::digests::{Digests, Look};
use super::disk::Disk;
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Digest, Tally};

/// Slices that are read at the same time.
const MAX_READING: usize = 2;
/// Callers that wait for a reading at once.
const MAX_CALLERS: usize = 64;
/// How many callers may wait for a reading at once, in a server of so many connections.
pub(crate) fn max_callers(connections: usize) -> usize {
    /// Connections that share a caller's place.
    const CONNECTIONS: usize = 16;
    (connections / CONNECTIONS).clamp(1, MAX_CALLERS)
}

/// Bytes of a slice. A file that has no more is read by the worker that looks at it.
pub(super) const SLICE_BYTES: u64 = 1 << 20;
/// Bytes that are read by one call.
const BUFFER_BYTES: usize = 256 * 1024;
/// Readings without callers that are remembered; the oldest goes first.
const MAX_STOPPED: usize = 64;

/// The size and digest of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Whole {
    /// Bytes.
    pub(super) size: u64,
    pub(super) digest: Digest,
}

/// The size and digest of a file where no reading is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Glance {
    Known(Whole),
    /// Its bytes have to be read, by [`Readings::read`]. It looks like this.
    Unread(Look),
}

type Outcome = Result<Whole, Errno>;
type Tell = Arc<watch::Sender<Option<Outcome>>>;

/// The readings of a store.
#[derive(Debug)]
pub(super) struct Readings {
    slice_bytes: u64,
    turns: Arc<Semaphore>,
    /// For callers, each of which holds a file open while it waits.
    callers: Semaphore,
    max_callers: usize,
    digests: Digests,
    under_way: Mutex<UnderWay>,
}

#[derive(Debug, Default)]
struct UnderWay {
    /// Readings that callers can join: those of files in which every change would show.
    running: HashMap<Look, Tell>,
    stopped: VecDeque<(Look, Progress)>,
}

/// The state of a reading.
#[derive(Debug)]
struct Progress {
    began: SystemTime,
    tally: Tally,
}

impl Readings {
    pub(super) fn new(slice_bytes: u64) -> Arc<Self> {
        Arc::new(Self {
            slice_bytes,
            turns: Arc::new(Semaphore::new(MAX_READING)),
            callers: Semaphore::new(MAX_CALLERS),
            max_callers: MAX_CALLERS,
            digests: Digests::default(),
            under_way: Mutex::default(),
        })
    }

    /// Lets no more callers wait than a server of so many connections may have.
    pub(super) fn limit_callers(&mut self, connections: usize) {
        self.max_callers = max_callers(connections);
        self.callers = Semaphore::new(self.max_callers);
    }

    /// The size and digest of a file that is remembered, or no larger than a slice.
    pub(super) fn glance<D: Disk>(&self, disk: &D, file: &D::Handle) -> Result<Glance, Errno> {
        let stat = disk.stat(file)?;
        let look = Look::of(&stat);
        if let Some(digest) = self.digests.find(&stat) {
            return Ok(Glance::Known(Whole { size: stat.size, digest }));
        }
        if stat.size > self.slice_bytes {
            return Ok(Glance::Unread(look));
        }
        let mut progress = Progress { began: SystemTime::now(), tally: Tally::new() };
        // A file that grows meanwhile is not read for longer than any other.
        loop {
            match self.slice(disk, file, look, &mut progress)? {
                Some(whole) => return Ok(Glance::Known(whole)),
                None if progress.tally.size() > self.slice_bytes => return Ok(Glance::Unread(look)),
                None => {}
            }
        }
    }

    /// Reads a file that looks so, or joins the reading that is under way.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where it can't be read, [`ErrorKind::Busy`] where too many wait already.
    pub(super) async fn read<D: Disk>(self: &Arc<Self>, disk: &D, file: Arc<D::Handle>, look: Look) -> Result<Whole> {
        let Ok(_caller) = self.callers.try_acquire() else {
            let message = format!("more than {} existing files have to be read: send it again later", self.max_callers);
            return Err(Error::new(ErrorKind::Busy, message));
        };
        let mut told = self.join(disk, file, look);
        match told.wait_for(Option::is_some).await.ok().and_then(|outcome| *outcome) {
            Some(Ok(whole)) => Ok(whole),
            Some(Err(errno)) => Err(Error::new(ErrorKind::Store, "reading the existing file").because(errno)),
            None => Err(Error::new(ErrorKind::Store, "reading the existing file ended early: send it again")),
        }
    }

    fn join<D: Disk>(self: &Arc<Self>, disk: &D, file: Arc<D::Handle>, look: Look) -> watch::Receiver<Option<Outcome>> {
        let mut under_way = self.under_way();
        if let Some(tell) = under_way.running.get(&look) {
            return tell.subscribe();
        }
        let stopped = under_way.stopped.iter().position(|(stopped, _)| *stopped == look);
        let progress = match stopped.and_then(|position| under_way.stopped.remove(position)) {
            Some((_, progress)) => progress,
            None => Progress { began: SystemTime::now(), tally: Tally::new() },
        };
        let (tell, told) = watch::channel(None);
        let tell = Arc::new(tell);
        if look.is_settled_at(progress.began) {
            under_way.running.insert(look, Arc::clone(&tell));
        }
        tokio::spawn(Arc::clone(self).run(disk.clone(), file, look, progress, tell));
        told
    }

    /// Reads to the end, or until no caller is left and other readings wait.
    async fn run<D: Disk>(self: Arc<Self>, disk: D, file: Arc<D::Handle>, look: Look, mut progress: Progress, tell: Tell) {
        let outcome = loop {
            let Some(turn) = self.turn_of(&tell).await else {
                match self.stop(look, progress, &tell) {
                    Some(wanted) => progress = wanted,
                    None => return,
                }
                continue;
            };
            let (readings, disk, file) = (Arc::clone(&self), disk.clone(), Arc::clone(&file));
            let slice = tokio::task::spawn_blocking(move || {
                let read = readings.slice(&disk, &file, look, &mut progress);
                drop(turn);
                (progress, read)
            });
            match slice.await {
                Ok((_, Ok(Some(whole)))) => break Some(Ok(whole)),
                Ok((_, Err(errno))) => break Some(Err(errno)),
                Ok((read, Ok(None))) => progress = read,
                // The worker has panicked, or the runtime ends.
                Err(_) => break None,
            }
        };
        Self::leave(&mut self.under_way(), look, &tell);
        tell.send_replace(outcome);
    }

    /// The right to a look that takes about as long as a slice, behind those that wait for theirs.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    /// The right to read a slice; `None` where another reading waits for it, and no caller for this
    /// one.
    async fn turn_of(&self, tell: &Tell) -> Option<OwnedSemaphorePermit> {
        let turns = Arc::clone(&self.turns);
        if let Ok(turn) = Arc::clone(&turns).try_acquire_owned() {
            return Some(turn);
        }
        tokio::select! {
            biased;
            () = tell.closed() => None,
            turn = turns.acquire_owned() => turn.ok(),
        }
    }

    /// Remembers the state of a reading without callers. Returns it where a caller has joined
    /// meanwhile.
    fn stop(&self, look: Look, progress: Progress, tell: &Tell) -> Option<Progress> {
        let mut under_way = self.under_way();
        if tell.receiver_count() > 0 {
            return Some(progress);
        }
        if Self::leave(&mut under_way, look, tell) {
            under_way.stopped.push_back((look, progress));
            if under_way.stopped.len() > MAX_STOPPED {
                under_way.stopped.pop_front();
            }
        }
        None
    }

    /// Takes no further callers into a reading; whether it is one that takes any.
    fn leave(under_way: &mut UnderWay, look: Look, tell: &Tell) -> bool {
        let is_shared = under_way.running.get(&look).is_some_and(|running| Arc::ptr_eq(running, tell));
        if is_shared {
            under_way.running.remove(&look);
        }
        is_shared
    }

    /// Reads the next slice. What the whole holds, once its end is reached, which is remembered.
    fn slice<D: Disk>(
        &self,
        disk: &D,
        file: &D::Handle,
        look: Look,
        Progress { began, tally }: &mut Progress,
    ) -> Result<Option<Whole>, Errno> {
        let end = tally.size() + self.slice_bytes;
        let mut buffer = vec![0; BUFFER_BYTES];
        while tally.size() < end {
            match disk.read_at(file, &mut buffer, tally.size())? {
                0 => {
                    let digest = tally.digest();
                    self.digests.keep(look, &disk.stat(file)?, *began, digest);
                    return Ok(Some(Whole { size: tally.size(), digest }));
                }
                bytes => tally.add(&buffer[..bytes]),
            }
        }
        Ok(None)
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // Nothing is ever half-entered.
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Readings {
    /// Lets no reading go on until this is dropped.
    pub(super) async fn hold(&self) -> impl Drop + use<> {
        let all = u32::try_from(MAX_READING).unwrap();
        Arc::clone(&self.turns).acquire_many_owned(all).await.unwrap()
    }

    /// Whether no reading is under way that callers can share.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way().running.is_empty()
    }

    /// Callers that wait.
    pub(super) fn callers(&self) -> usize {
        self.under_way().running.values().map(|tell| tell.receiver_count()).sum()
    }

    /// Readings that have made way.
    pub(super) fn stopped(&self) -> usize {
        self.under_way().stopped.len()
    }
}
