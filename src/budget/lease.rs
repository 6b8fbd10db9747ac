//! Leases: how they are granted, wait and are refused.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::future::OptionFuture;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Budget, Holder, MAX_WAIT, MAX_WAIT_TO_GROW, RETRY_PAUSE, SMALL_BYTES, UNIT_BYTES, Use, gauge};
use crate::error::{Error, ErrorKind, Result};

impl Budget {
    /// A lease of nothing, which may grow. The [`Holder`] of the current task, if any, counts its
    /// bytes.
    pub fn lease(self: &Arc<Self>, usage: Use) -> Lease {
        Lease { budget: Arc::clone(self), usage, holder: Holder::current(), held: None }
    }
}

/// The pool from which a lease is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    General,
    Reserve,
}

/// Memory that is held until this is dropped.
pub struct Lease {
    budget: Arc<Budget>,
    usage: Use,
    holder: Option<Arc<Holder>>,
    held: Option<(Source, OwnedSemaphorePermit)>,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("use", &self.usage).field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

/// Why an upload is [`ErrorKind::Busy`]: it needs memory that other leases hold. The bytes received
/// so far can be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The memory that was missing, in bytes.
    pub bytes: usize,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB more were not free in time", self.bytes.div_ceil(1 << 10))
    }
}

impl std::error::Error for OutOfMemory {}

impl Lease {
    /// The size of the lease, in bytes.
    pub fn bytes(&self) -> usize {
        self.units() * UNIT_BYTES
    }

    fn units(&self) -> usize {
        self.held.as_ref().map_or(0, |(_, permit)| permit.num_permits())
    }

    /// Gives back what is held beyond `bytes`.
    pub fn shrink(&mut self, bytes: usize) {
        let (wanted, before) = (bytes.div_ceil(UNIT_BYTES), self.units());
        if wanted >= before {
            return;
        }
        match &mut self.held {
            Some(_) if wanted == 0 => self.held = None,
            Some((_, permit)) => drop(permit.split(before - wanted)),
            None => {}
        }
        self.note(before);
    }

    /// Grows to `bytes`, if they are free. Returns whether the lease has that size now.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let wanted = self.units_of(bytes);
        if wanted <= self.units() {
            return true;
        }
        self.sources(wanted).into_iter().flatten().any(|source| {
            let more = wanted - self.units_from(source);
            let permit = Arc::clone(&self.budget.pool(source).units).try_acquire_many_owned(as_u32(more));
            permit.map(|permit| self.take(source, permit)).is_ok()
        })
    }

    /// Grows to `bytes`, and waits for them where they are not free.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] because of [`OutOfMemory`] after [`MAX_WAIT`], or [`MAX_WAIT_TO_GROW`].
    pub async fn grow(&mut self, bytes: usize) -> Result<()> {
        if self.try_grow(bytes) {
            return Ok(());
        }
        let _pending = PendingLease::begin(self, bytes);
        match tokio::time::timeout(MAX_WAIT, self.granted(bytes)).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(self.refuse(bytes)),
        }
    }

    /// Waits for so many bytes. The reserve is FIFO, so that later callers can't starve a lease
    /// that waits. The general pool is polled, because a large lease at the head of a queue would
    /// block all small ones. Returns whether the bytes were granted: `false` where the lease gives
    /// up in favour of empty leases.
    async fn granted(&mut self, bytes: usize) -> bool {
        let gives_up_at = self.held.is_some().then(|| Instant::now() + MAX_WAIT_TO_GROW);
        let wanted = self.units_of(bytes);
        let reserve = self.sources(wanted).contains(&Some(Source::Reserve)).then(|| {
            let more = as_u32(wanted - self.units_from(Source::Reserve));
            Arc::clone(&self.budget.reserve.units).acquire_many_owned(more)
        });
        let mut reserved = pin!(OptionFuture::from(reserve));
        while !self.try_grow(bytes) {
            let others_are_empty = self.budget.pending_empty.load(Ordering::Relaxed) > 0;
            if others_are_empty && gives_up_at.is_some_and(|at| at <= Instant::now()) {
                return false;
            }
            tokio::select! {
                Some(permit) = &mut reserved => {
                    self.take(Source::Reserve, permit.expect("this semaphore is never closed"));
                    return true;
                }
                () = tokio::time::sleep(RETRY_PAUSE) => {}
            }
        }
        true
    }

    /// The refusal of a lease of so many bytes, which is counted.
    pub fn refuse(&self, bytes: usize) -> Error {
        self.budget.meter(self.usage).refused.inc();
        let missing = OutOfMemory { bytes: bytes.saturating_sub(self.bytes()) };
        let message = "the server's memory is in use (limits.max_memory_bytes): send it again later";
        Error::new(ErrorKind::Busy, message).because(missing)
    }

    /// The pools from which a lease of so many units may be granted.
    fn sources(&self, wanted: usize) -> [Option<Source>; 2] {
        let is_small = wanted <= SMALL_BYTES / UNIT_BYTES && wanted <= self.budget.reserve.size;
        // Small uploads go on without the other uses, and a sender can hold those for long.
        let is_indispensable = matches!(self.usage, Use::Validators | Use::Parts);
        let reserve = (is_small && is_indispensable).then_some(Source::Reserve);
        [Some(Source::General), reserve]
    }

    /// Units for so many bytes; never more than there are, so that a lone large upload can go on.
    fn units_of(&self, bytes: usize) -> usize {
        bytes.div_ceil(UNIT_BYTES).min(self.budget.general.size)
    }

    fn units_from(&self, wanted: Source) -> usize {
        self.held.as_ref().map_or(0, |(source, permit)| if *source == wanted { permit.num_permits() } else { 0 })
    }

    fn take(&mut self, source: Source, more: OwnedSemaphorePermit) {
        let before = self.units();
        match &mut self.held {
            Some((held, permit)) if *held == source => permit.merge(more),
            _ => self.held = Some((source, more)),
        }
        self.note(before);
    }

    /// Counts what has changed since so many units were held.
    fn note(&self, before: usize) {
        let (before, after) = (before * UNIT_BYTES, self.bytes());
        self.budget.meter(self.usage).bytes.add(gauge(after) - gauge(before));
        if let Some(holder) = &self.holder {
            holder.note(before, after);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

/// Counts a lease as waiting for so many bytes more until this is dropped.
struct PendingLease {
    budget: Arc<Budget>,
    bytes: usize,
    is_empty: bool,
}

impl PendingLease {
    fn begin(lease: &Lease, bytes: usize) -> Self {
        let (bytes, is_empty) = (bytes.saturating_sub(lease.bytes()), lease.held.is_none());
        let budget = Arc::clone(&lease.budget);
        budget.pending_bytes.fetch_add(bytes, Ordering::Relaxed);
        budget.pending_empty.fetch_add(usize::from(is_empty), Ordering::Relaxed);
        budget.shortage.notify_one();
        Self { budget, bytes, is_empty }
    }
}

impl Drop for PendingLease {
    fn drop(&mut self) {
        self.budget.pending_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.pending_empty.fetch_sub(usize::from(self.is_empty), Ordering::Relaxed);
    }
}

fn as_u32(units: usize) -> u32 {
    u32::try_from(units).expect("a pool is smaller than this, and so is every lease")
}
