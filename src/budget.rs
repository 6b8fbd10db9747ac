//! The memory that uploads may take, counted in one place and granted before it is allocated.
//!
//! A [`Lease`] is memory that one owner holds for one [`Use`]: it grows before the owner allocates,
//! and is given back when it is dropped. The budget has three parts. Each allowed connection has a
//! fixed share, which no other lease can take, so that an upload of a few kilobytes needs no lease
//! at all. A reserve is for small leases alone, so that small uploads go on while large ones wait.
//! The rest is for all.
//!
//! A lease that does not fit waits for others to end, and is refused after [`MAX_WAIT`]: two uploads
//! that hold memory and wait for more would otherwise wait for each other for ever. Knows no sink
//! and no protocol.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

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
        Self { limit_bytes, max_connections, general: Pool::of(general), reserve: Pool::of(reserve), meters }
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

    /// A lease of nothing, which may grow.
    pub fn lease(self: &Arc<Self>, usage: Use) -> Lease {
        Lease { budget: Arc::clone(self), usage, held: None }
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
        write!(f, "{} KiB more were not free within {MAX_WAIT:?}", self.bytes.div_ceil(1 << 10))
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
    /// [`ErrorKind::Busy`] because of [`OutOfMemory`] after [`MAX_WAIT`].
    pub async fn grow(&mut self, bytes: usize) -> Result<()> {
        // In the queue of a semaphore, a large lease at its head would take each unit that is given
        // back, and the small ones behind it none.
        let granted = async {
            while !self.try_grow(bytes) {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        };
        if tokio::time::timeout(MAX_WAIT, granted).await.is_ok() {
            return Ok(());
        }
        Err(self.refuse(bytes))
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
        // Answers may wait for a sender as long as it likes: they are not let at what small uploads
        // live on.
        let reserve = (is_small && self.usage != Use::Answers).then_some(Source::Reserve);
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
        self.budget.meter(self.usage).bytes.add(gauge(self.units() * UNIT_BYTES) - gauge(before * UNIT_BYTES));
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
        let mut small = budget.lease(Use::HeldFiles);
        assert!(small.try_grow(SMALL_BYTES));
        assert!(!small.try_grow(SMALL_BYTES + 1), "a lease that becomes large has no right to the reserve");
        assert_eq!(small.bytes(), SMALL_BYTES);
        assert!(!budget.lease(Use::Answers).try_grow(UNIT_BYTES), "answers have no right to the reserve");
        drop(large);
        assert!(small.try_grow(MIB));
        let mut rest = budget.lease(Use::Validators);
        assert!(rest.try_grow(5 * MIB), "what was held of the reserve is back, and of the rest 5 MiB are free");
        assert!(budget.lease(Use::HeldFiles).try_grow(SMALL_BYTES));
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

    #[test]
    fn connections_have_half_of_the_memory_at_most() {
        for (limit_bytes, fit) in [(1 << 30, 4096), (64 << 20, 1024), (0, 1)] {
            assert_eq!(Budget::new(limit_bytes, 4096, &Metrics::new()).max_connections(), fit, "{limit_bytes}");
        }
    }
}
