//! The memory that uploads may take, counted in one place and granted before it is allocated.
//!
//! A [`Lease`] is memory that one owner holds for one [`Use`]: it grows before the owner allocates,
//! and is given back when it is dropped. The budget has three parts. Each allowed connection has a
//! fixed share, which no other lease can take, so that an upload of a few kilobytes needs no lease
//! at all. A reserve is for small leases of uses that an upload can't go on without, so that small
//! uploads go on while large ones wait. The rest is for all.
//!
//! A lease that does not fit waits for others to end, and is refused after [`MAX_WAIT`]: two uploads
//! that hold memory and wait for more would otherwise wait for each other for ever. While an empty
//! lease waits, a lease that holds memory waits at most [`MAX_WAIT_TO_GROW`]. A [`Holder`] counts
//! the leases of one connection, so that the server can end a connection that is slow and holds
//! much while leases wait. Knows no sink and no protocol.

mod holder;
mod lease;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use prometheus::{IntCounter, IntGauge};
use tokio::sync::{Notify, Semaphore};

pub use self::holder::Holder;
use self::lease::Source;
pub use self::lease::{Lease, OutOfMemory};
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

/// How long a lease that holds memory waits for more while empty leases wait. Its memory may be
/// enough for them.
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
    pending_bytes: AtomicUsize,
    /// Leases that wait and hold nothing.
    pending_empty: AtomicUsize,
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
        let (pending_bytes, pending_empty, shortage) = (AtomicUsize::new(0), AtomicUsize::new(0), Notify::new());
        Self { limit_bytes, max_connections, general, reserve, meters, pending_bytes, pending_empty, shortage }
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
    pub fn pending_bytes(&self) -> usize {
        self.pending_bytes.load(Ordering::Relaxed)
    }

    /// Returns when a lease has begun to wait. For one caller at a time.
    pub async fn shortage(&self) {
        self.shortage.notified().await;
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

fn gauge(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
