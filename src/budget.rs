//! The memory that uploads may take, counted in one place and granted before it is allocated.
//!
//! A [`Lease`] is memory that one owner holds for one [`Use`]: it grows before the owner allocates,
//! and is given back when it is dropped. The budget has three parts. Each allowed connection has a
//! fixed share, which no other lease can take, so that an upload of a few kilobytes needs no lease
//! at all. A reserve is for small leases of uses that an upload can't go on without, so that small
//! uploads go on while large ones wait. The rest is for all.
//!
//! A lease that does not fit waits for others to end, and is refused after [`MAX_WAIT`]: two uploads
//! that hold memory and wait for more would otherwise wait for each other for ever. Where a lease
//! waits that holds nothing yet, one that holds some waits for [`MAX_WAIT_TO_GROW`] at most. The leases of
//! one connection are counted by its [`Holder`], so that the server can end a connection that is
//! slow and holds much while other leases wait. Knows no sink and no protocol.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::OptionFuture;
use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;

/// The purpose of memory: the `use` label of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// The share of every connection, open uploads and their tasks included.
    Connections,
    /// Bytes on their way from a socket to a sink, beyond a connection's share.
    ReadBuffers,
    /// Small files that are held back until they are written in one go.
    HeldFiles,
    /// Decompressors and validators: windows, records, documents, keys, errors.
    Validators,
    /// Parts of objects that fill up or are on their way to the store.
    Parts,
    /// Answers that wait for a sender to read them.
    Answers,
}

impl Use {
    const ALL: [Self; 6] =
        [Self::Connections, Self::ReadBuffers, Self::HeldFiles, Self::Validators, Self::Parts, Self::Answers];

    const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ReadBuffers => "read_buffers",
            Self::HeldFiles => "held_files",
            Self::Validators => "validators",
            Self::Parts => "parts",
            Self::Answers => "answers",
        }
    }
}

/// The share of a connection, in bytes, which it takes without a lease: its tasks, a read of 4 KiB,
/// an upload and its validator, and the answers of its pending commits. Measured
/// (`docs/limits.md`).
pub const CONNECTION_BYTES: usize = 32 << 10;

/// The largest lease that the reserve is for, in bytes.
pub const SMALL_BYTES: usize = 256 << 10;

/// How long a lease waits for memory before it is refused.
pub const MAX_WAIT: Duration = Duration::from_secs(5);

/// How long a lease that holds memory waits for more while others wait that hold none: what it holds
/// may be all that they need.
pub const MAX_WAIT_TO_GROW: Duration = Duration::from_secs(1);

/// The pause between two tries of a lease that waits.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// The reserve for small leases is this part of the budget.
const RESERVE_PART: u64 = 8;

/// Connections may take this part of the budget.
const CONNECTIONS_PART: u64 = 2;

/// The unit of leases, in bytes.
const UNIT_BYTES: usize = 1 << 10;

/// The memory that uploads may take.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: u64,
    max_connections: usize,
    general: Pool,
    reserve: Pool,
    meters: [Meter; Use::ALL.len()],
    /// Bytes that leases wait for.
    wanted: AtomicUsize,
    /// Leases that wait and hold nothing.
    newcomers: AtomicUsize,
    /// A lease began to wait.
    shortage: Notify,
}

/// Memory that leases are taken from.
#[derive(Debug)]
struct Pool {
    units: Arc<Semaphore>,
    /// All of them.
    size: usize,
}

/// The metrics of one use.
#[derive(Debug)]
struct Meter {
    bytes: IntGauge,
    refused: IntCounter,
}

impl Budget {
    /// A budget of `limit_bytes`, in which each of the `wanted` connections has its fixed share, as
    /// long as all together take no more than half of it.
    pub fn new(limit_bytes: u64, wanted: usize, metrics: &Metrics) -> Self {
        let fit = limit_bytes / CONNECTIONS_PART / CONNECTION_BYTES as u64;
        let max_connections = wanted.min(usize::try_from(fit).unwrap_or(usize::MAX)).max(1);
        let shares = max_connections as u64 * CONNECTION_BYTES as u64;
        let reserve = limit_bytes / RESERVE_PART;
        let general = limit_bytes.saturating_sub(shares).saturating_sub(reserve);
        let meters = Use::ALL.map(|usage| {
            let (bytes, refused) = metrics.memory(usage.name());
            Meter { bytes, refused }
        });
        let (general, reserve) = (Pool::of(general), Pool::of(reserve));
        let (wanted, newcomers, shortage) = (AtomicUsize::new(0), AtomicUsize::new(0), Notify::new());
        Self { limit_bytes, max_connections, general, reserve, meters, wanted, newcomers, shortage }
    }

    /// A budget that refuses nothing: for a command that handles one file at a time.
    pub fn unlimited() -> Arc<Self> {
        Arc::new(Self::new(1 << 60, 1_000_000, &Metrics::new()))
    }

    /// How many of the wanted connections the memory is enough for.
    pub fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// All of it, in bytes.
    pub fn limit_bytes(&self) -> u64 {
        self.limit_bytes
    }

    /// How many leases were refused so far.
    pub fn refused(&self) -> u64 {
        self.meters.iter().map(|meter| meter.refused.get()).sum()
    }

    /// Whether nearly all that is for leases of any size is taken.
    pub fn is_exhausted(&self) -> bool {
        self.general.units.available_permits() < self.general.size / 16
    }

    /// The bytes that leases wait for now.
    pub fn wanted_bytes(&self) -> usize {
        self.wanted.load(Ordering::Relaxed)
    }

    /// Returns when a lease has begun to wait. For one caller at a time.
    pub async fn shortage(&self) {
        self.shortage.notified().await;
    }

    /// A lease of nothing, which may grow. Its bytes are those of the [`Holder`] whose work takes it.
    pub fn lease(self: &Arc<Self>, usage: Use) -> Lease {
        let holder = HOLDER.try_with(Arc::clone).ok();
        Lease { budget: Arc::clone(self), usage, holder, held: None }
    }

    /// Counts a connection's fixed share as taken until the guard is dropped.
    pub fn connection(self: &Arc<Self>) -> ConnectionShare {
        self.meter(Use::Connections).bytes.add(gauge(CONNECTION_BYTES));
        ConnectionShare(Arc::clone(self))
    }

    fn meter(&self, usage: Use) -> &Meter {
        &self.meters[usage as usize]
    }

    fn pool(&self, source: Source) -> &Pool {
        match source {
            Source::General => &self.general,
            Source::Reserve => &self.reserve,
        }
    }
}

impl Pool {
    fn of(bytes: u64) -> Self {
        let size = usize::try_from(bytes / UNIT_BYTES as u64).unwrap_or(usize::MAX);
        // A lease is asked for by a `u32`, so none is ever larger.
        let size = size.clamp(1, u32::MAX as usize >> 1);
        Self { units: Arc::new(Semaphore::new(size)), size }
    }
}

/// The share of a connection that is open.
#[derive(Debug)]
pub struct ConnectionShare(Arc<Budget>);

impl Drop for ConnectionShare {
    fn drop(&mut self) {
        self.0.meter(Use::Connections).bytes.sub(gauge(CONNECTION_BYTES));
    }
}

tokio::task_local! {
    /// The holder of the leases that this task takes: a sink that takes one knows no connection.
    static HOLDER: Arc<Holder>;
}

/// The bytes that all leases of one connection hold.
#[derive(Debug, Default)]
pub struct Holder(AtomicUsize);

impl Holder {
    /// The bytes that are held now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Does `work`, whose leases this holds for as long as they exist. Those of tasks that `work`
    /// spawns are not counted.
    pub async fn scope<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        HOLDER.scope(Arc::clone(self), work).await
    }
}

/// A lease that waits for so many bytes more.
struct Waiting<'a> {
    budget: &'a Budget,
    bytes: usize,
    is_newcomer: bool,
}

impl<'a> Waiting<'a> {
    fn begin(budget: &'a Budget, lease: &Lease, bytes: usize) -> Self {
        let (bytes, is_newcomer) = (bytes.saturating_sub(lease.bytes()), lease.held.is_none());
        budget.wanted.fetch_add(bytes, Ordering::Relaxed);
        budget.newcomers.fetch_add(usize::from(is_newcomer), Ordering::Relaxed);
        budget.shortage.notify_one();
        Self { budget, bytes, is_newcomer }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.budget.wanted.fetch_sub(self.bytes, Ordering::Relaxed);
        self.budget.newcomers.fetch_sub(usize::from(self.is_newcomer), Ordering::Relaxed);
    }
}

/// The pool from which a lease is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
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
        let budget = Arc::clone(&self.budget);
        let _waiting = Waiting::begin(&budget, self, bytes);
        match tokio::time::timeout(MAX_WAIT, self.granted(bytes)).await {
            Ok(true) => Ok(()),
            Ok(false) | Err(_) => Err(self.refuse(bytes)),
        }
    }

    /// Waits for so many bytes. Small leases wait for the reserve in order: uploads that come later
    /// would otherwise take each unit that is given back. Other leases try again and again: in a
    /// queue, a large lease at its head would take each unit, and the small ones behind it none.
    /// Returns whether the bytes were granted; if not, others need what this lease holds.
    async fn granted(&mut self, bytes: usize) -> bool {
        let gives_up_at = self.held.is_some().then(|| Instant::now() + MAX_WAIT_TO_GROW);
        let wanted = self.units_of(bytes);
        let reserve = self.sources(wanted).contains(&Some(Source::Reserve)).then(|| {
            let more = as_u32(wanted - self.units_from(Source::Reserve));
            Arc::clone(&self.budget.reserve.units).acquire_many_owned(more)
        });
        let mut reserved = pin!(OptionFuture::from(reserve));
        while !self.try_grow(bytes) {
            let has_newcomers = self.budget.newcomers.load(Ordering::Relaxed) > 0;
            if has_newcomers && gives_up_at.is_some_and(|at| at <= Instant::now()) {
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
        if let Some(Holder(held)) = self.holder.as_deref() {
            held.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

fn gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

fn as_u32(units: usize) -> u32 {
    u32::try_from(units).expect("a pool is smaller than this, and so is every lease")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    fn budget(mib: u64) -> Arc<Budget> {
        Arc::new(Budget::new(mib << 20, 0, &Metrics::new()))
    }

    #[tokio::test]
    async fn what_does_not_fit_waits_and_is_refused_in_the_end() {
        let budget = budget(8);
        let mut first = budget.lease(Use::Parts);
        first.grow(6 * MIB).await.unwrap();
        let mut second = budget.lease(Use::Parts);
        assert!(!second.try_grow(2 * MIB));
        let refused = second.grow(2 * MIB).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Busy);
        assert_eq!(budget.refused(), 1);
        assert_eq!(refused.find::<OutOfMemory>(), Some(&OutOfMemory { bytes: 2 * MIB }));
        assert!(refused.to_string().contains("limits.max_memory_bytes"), "{refused}");
        let waiting = tokio::spawn(async move { second.grow(2 * MIB).await.map(|()| second) });
        tokio::task::yield_now().await;
        first.shrink(4 * MIB);
        assert_eq!(waiting.await.unwrap().unwrap().bytes(), 2 * MIB);
        assert_eq!(first.bytes(), 4 * MIB);
    }

    #[tokio::test]
    async fn small_leases_go_on_where_large_ones_have_taken_all() {
        let budget = budget(8);
        let mut large = budget.lease(Use::Parts);
        large.grow(100 * MIB).await.unwrap();
        let most = 7 * MIB - CONNECTION_BYTES;
        assert_eq!(large.bytes(), most, "no lease is larger than what there is");
        let mut small = budget.lease(Use::Validators);
        assert!(small.try_grow(SMALL_BYTES));
        assert!(!small.try_grow(SMALL_BYTES + 1), "a lease that becomes large has no right to the reserve");
        assert_eq!(small.bytes(), SMALL_BYTES);
        for usage in [Use::Answers, Use::HeldFiles, Use::ReadBuffers] {
            assert!(!budget.lease(usage).try_grow(UNIT_BYTES), "{usage:?} have no right to the reserve");
        }
        drop(large);
        assert!(small.try_grow(MIB));
        let mut rest = budget.lease(Use::Validators);
        assert!(rest.try_grow(5 * MIB), "what was held of the reserve is back, and of the rest 5 MiB are free");
        assert!(budget.lease(Use::Parts).try_grow(SMALL_BYTES));
    }

    #[test]
    fn what_is_held_is_counted_by_its_use() {
        let metrics = Metrics::new();
        let budget = Arc::new(Budget::new(64 << 20, 16, &metrics));
        let counted = |usage: Use| {
            let page = metrics.encode().unwrap();
            let line = format!("tidegate_memory_bytes{{use=\"{}\"}} ", usage.name());
            page.lines().find_map(|found| found.strip_prefix(&line)?.parse::<usize>().ok()).unwrap()
        };
        let (mut lease, share) = (budget.lease(Use::Validators), budget.connection());
        assert!(lease.try_grow(10_000));
        assert_eq!((counted(Use::Validators), counted(Use::Connections)), (10 << 10, CONNECTION_BYTES));
        lease.shrink(5000);
        assert_eq!(counted(Use::Validators), 5 << 10);
        drop((lease, share));
        assert!(Use::ALL.into_iter().all(|usage| counted(usage) == 0));
    }

    #[tokio::test]
    async fn small_leases_that_wait_come_before_those_that_ask_later() {
        let budget = budget(8);
        let (mut general, mut reserve) = (budget.lease(Use::Parts), budget.lease(Use::Validators));
        assert!(general.try_grow(100 * MIB) && reserve.try_grow(SMALL_BYTES));
        let mut rest: Vec<_> = (0..3).map(|_| budget.lease(Use::Validators)).collect();
        assert!(rest.iter_mut().all(|lease| lease.try_grow(SMALL_BYTES)));
        let mut first = budget.lease(Use::Validators);
        let waiting = tokio::spawn(async move { first.grow(SMALL_BYTES).await.map(|()| first) });
        budget.shortage().await;
        tokio::task::yield_now().await;
        reserve.shrink(SMALL_BYTES / 2);
        assert!(!budget.lease(Use::Validators).try_grow(UNIT_BYTES), "half of what the first one waits for is free");
        reserve.shrink(0);
        assert_eq!(waiting.await.unwrap().unwrap().bytes(), SMALL_BYTES);
    }

    #[tokio::test]
    async fn leases_that_hold_memory_give_way_to_those_that_hold_none() {
        let budget = budget(8);
        let mut holders = [budget.lease(Use::Parts), budget.lease(Use::Parts)];
        for holder in &mut holders {
            holder.grow(3 * MIB).await.unwrap();
        }
        let growing = holders.map(|mut holder| tokio::spawn(async move { holder.grow(5 * MIB).await }));
        let (mut newcomer, start) = (budget.lease(Use::Parts), Instant::now());
        newcomer.grow(2 * MIB).await.unwrap();
        assert!(start.elapsed() < MAX_WAIT, "{:?}", start.elapsed());
        let mut refused = 0;
        for growing in growing {
            refused += usize::from(growing.await.unwrap().is_err());
        }
        assert!(refused > 0);
        assert_eq!(budget.newcomers.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn a_holder_counts_the_leases_that_its_work_took() {
        let (budget, holder) = (budget(8), Arc::new(Holder::default()));
        let mut other = budget.lease(Use::Parts);
        let mut lease = holder.scope(async { budget.lease(Use::Parts) }).await;
        assert!(lease.try_grow(3 * MIB) && other.try_grow(MIB));
        assert_eq!(holder.bytes(), 3 * MIB);
        lease.shrink(MIB);
        assert_eq!(holder.bytes(), MIB);
        drop(lease);
        assert_eq!(holder.bytes(), 0);
    }

    #[tokio::test]
    async fn a_lease_that_waits_says_for_how_much() {
        let budget = budget(8);
        let (mut first, mut second) = (budget.lease(Use::Parts), budget.lease(Use::Parts));
        assert!(first.try_grow(6 * MIB) && second.try_grow(100 << 10));
        let waiting = tokio::spawn(async move { second.grow(2 * MIB).await });
        budget.shortage().await;
        assert_eq!(budget.wanted_bytes(), 2 * MIB - (100 << 10));
        drop(first);
        waiting.await.unwrap().unwrap();
        assert_eq!(budget.wanted_bytes(), 0);
    }

    #[test]
    fn connections_have_half_of_the_memory_at_most() {
        for (limit_bytes, fit) in [(1 << 30, 4096), (64 << 20, 1024), (0, 1)] {
            assert_eq!(Budget::new(limit_bytes, 4096, &Metrics::new()).max_connections(), fit, "{limit_bytes}");
        }
    }
}
