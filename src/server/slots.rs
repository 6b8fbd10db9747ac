//! Connection slots: how many connections are served at once, and which one gives way when every
//! slot is taken.
//!
//! ```text
//! accepted → silent → (first byte) → waiting → slot → closed
//! ```
//!
//! A connection that has sent nothing takes no slot. Silent and waiting connections share a pool of
//! their own; when it is full, the oldest silent connection is closed. When every slot is taken and
//! a connection waits, the slots of connections that were idle for long are freed first, then those
//! of the slowest uploads below `limits.min_rate`, then those of other idle connections. Uploads at
//! that rate or above are never ended: a server with more honest senders than slots would end
//! uploads again and again, and complete none. Where only those run, new connections wait. While
//! there is room, an upload may be as slow as it likes.
//!
//! Memory is freed in a similar way: while a lease waits, the server ends stalled uploads and those
//! below `limits.min_rate`, the largest holders first. Knows connections, their rates and the
//! memory that they hold; neither protocols nor uploads.

mod pace;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use self::pace::{Pace, Phase};
use self::pace::{Precedence, Terms};
use crate::budget::Budget;
use crate::config::Limits;
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};

/// How long a connection may be silent before it is closed to make room: an honest sender sends its
/// first byte at once.
const SILENCE: Duration = Duration::from_millis(50);
/// How long a silent connection has to close before the next one has to, too.
const CLOSING_TIME: Duration = Duration::from_millis(50);
/// How long a connection that gives way may take before another one is ended for the same waiter.
const ENDING_TIME: Duration = Duration::from_secs(1);
/// The shortest pause between two searches for connections to end: each looks at every slot.
const SEARCH_PAUSE: Duration = Duration::from_millis(20);
/// The pause while connections wait and none can be ended.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long the rates of the past count: from one to two of these.
const WINDOW: Duration = Duration::from_secs(10);
/// How long a connection waits for a slot before the server counts as not ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// The slots of a server. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Slots(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    max_connections: usize,
    max_silent: usize,
    terms: Terms,
    /// For connections without a slot.
    entrance: Arc<Semaphore>,
    slots: Arc<Semaphore>,
    /// A connection waits for a slot.
    wanted: Notify,
    registry: Mutex<Registry>,
    budget: Arc<Budget>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
}

#[derive(Debug)]
struct Registry {
    next: u64,
    /// By age, the first one first.
    silent: BTreeMap<u64, Silent>,
    waiting: BTreeMap<u64, Instant>,
    served: BTreeMap<u64, Served>,
    windows_at: Instant,
}

#[derive(Debug)]
struct Silent {
    since: Instant,
    closing: CancellationToken,
}

#[derive(Debug)]
struct Served {
    pace: Arc<Pace>,
    /// When it was notified to give way.
    ended_at: Option<Instant>,
}

/// A place among the connections that have no slot.
#[derive(Debug)]
pub(super) struct Entrance {
    id: u64,
    closing: CancellationToken,
    slots: Slots,
    _permit: OwnedSemaphorePermit,
}

/// A slot, freed when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    pace: Arc<Pace>,
    slots: Slots,
    _permit: OwnedSemaphorePermit,
}

impl Slots {
    pub(super) fn new(limits: &Limits, budget: Arc<Budget>, metrics: Arc<Metrics>, readiness: Arc<Readiness>) -> Self {
        let registry = Registry {
            next: 0,
            silent: BTreeMap::new(),
            waiting: BTreeMap::new(),
            served: BTreeMap::new(),
            windows_at: Instant::now(),
        };
        metrics.connection_slots(limits.max_connections);
        Self(Arc::new(Inner {
            max_connections: limits.max_connections,
            max_silent: limits.max_silent_connections,
            terms: Terms { min_rate: limits.min_rate, grace: limits.min_rate_grace },
            entrance: Arc::new(Semaphore::new(limits.max_silent_connections)),
            slots: Arc::new(Semaphore::new(limits.max_connections)),
            wanted: Notify::new(),
            registry: Mutex::new(registry),
            budget,
            metrics,
            readiness,
        }))
    }

    /// A place for a connection that was just accepted. Where there is none, the first of the
    /// silent connections is closed; where all of them wait for a slot, this waits, and further
    /// connections stay in the queue of the listener.
    pub(super) async fn enter(&self) -> Entrance {
        loop {
            let entrance = Arc::clone(&self.0.entrance);
            if let Ok(permit) = entrance.try_acquire_owned() {
                return self.entrance(permit);
            }
            let pause = self.registry().close_silent(Instant::now());
            // It may have sent its first byte just now, and keep its place.
            let entrance = Arc::clone(&self.0.entrance);
            if let Ok(permit) = tokio::time::timeout(pause, entrance.acquire_owned()).await {
                return self.entrance(permit.expect("this semaphore is never closed"));
            }
        }
    }

    fn entrance(&self, permit: OwnedSemaphorePermit) -> Entrance {
        let closing = CancellationToken::new();
        let mut registry = self.registry();
        registry.next += 1;
        let id = registry.next;
        registry.silent.insert(id, Silent { since: Instant::now(), closing: closing.clone() });
        drop(registry);
        Entrance { id, closing, slots: self.clone(), _permit: permit }
    }

    /// Whether less than half of the places for connections without a slot are free. Refused
    /// connections then get no answer, because they would occupy a place to read it.
    pub(super) fn is_crowded(&self) -> bool {
        self.0.entrance.available_permits() < self.0.max_silent / 2
    }

    /// Frees slots for waiting connections, and memory for waiting leases, until `stop`.
    pub(super) async fn run(self, stop: CancellationToken) {
        let work = async {
            loop {
                let pressed = self.look(Instant::now());
                let pause = if pressed { RETRY_PAUSE } else { WINDOW };
                // The condition of this wait is looked at again above, so a timeout is as good as a
                // notice.
                let noticed = async {
                    tokio::select! {
                        () = self.0.wanted.notified() => {}
                        () = self.0.budget.shortage() => {}
                    }
                };
                let _noticed = tokio::time::timeout(pause, noticed).await;
                if pressed {
                    tokio::time::sleep(SEARCH_PAUSE).await;
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = stop.cancelled() => {}
        }
    }

    /// Ends as many connections as wait for a slot, and those that hold memory which leases wait
    /// for, and reports exhaustion of the slots. Returns whether it must look again soon.
    fn look(&self, now: Instant) -> bool {
        let Inner { terms, slots, budget, readiness, max_connections, .. } = &*self.0;
        let wanted_bytes = budget.pending_bytes();
        let mut registry = self.registry();
        registry.rotate_windows(now);
        let waited = registry.waiting.first_key_value().map(|(_, since)| now - *since);
        let missing = registry.waiting.len().saturating_sub(slots.available_permits());
        registry.end_holders(wanted_bytes, *terms, now);
        let pressed = terms.pressed(*max_connections, registry.waiting.len());
        registry.end_slowest(missing, pressed, now);
        drop(registry);
        match waited {
            Some(waited) if waited >= PATIENCE => {
                let problem = format!(
                    "all {max_connections} connection slots are taken, and a connection waits for {waited:.0?}: \
                     raise limits.max_connections and the limit of open files, or end the senders that hold the slots"
                );
                if readiness.set(Condition::Connections, problem) {
                    tracing::warn!(max_connections, "connection slots exhausted");
                }
                true
            }
            Some(_) => true,
            None => {
                if readiness.clear(Condition::Connections) {
                    tracing::info!("connection slots available again");
                }
                wanted_bytes > 0
            }
        }
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.0.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn report_waiting(&self, registry: &Registry) {
        self.0.metrics.connections_waiting(registry.waiting.len());
    }
}

impl Registry {
    /// Closes the oldest silent connection, if it was silent for [`SILENCE`]. Returns how long to
    /// wait before the next try.
    fn close_silent(&mut self, now: Instant) -> Duration {
        let Some(first) = self.silent.first_entry() else { return CLOSING_TIME };
        let left = (first.get().since + SILENCE).saturating_duration_since(now);
        if !left.is_zero() {
            return left;
        }
        first.remove().closing.cancel();
        CLOSING_TIME
    }

    fn rotate_windows(&mut self, now: Instant) {
        if now - self.windows_at >= WINDOW {
            self.windows_at = now;
            self.served.values().for_each(|served| served.pace.rotate_window());
        }
    }

    /// Notifies so many connections to give way, less those that are ending already.
    fn end_slowest(&mut self, wanted: usize, terms: Terms, now: Instant) {
        let wanted = wanted.saturating_sub(self.ending(now).count());
        if wanted == 0 {
            return;
        }
        let mut candidates: Vec<(Precedence, u64)> = self
            .served
            .iter()
            .filter(|(_, served)| served.ended_at.is_none())
            .filter_map(|(id, served)| Some((served.pace.precedence(terms, now)?, *id)))
            .collect();
        candidates.sort_unstable();
        for (_, id) in candidates.into_iter().take(wanted) {
            self.end(id, now);
        }
    }

    /// Notifies stalled and slow uploads to give way until they hold `wanted_bytes` together, the
    /// largest first. Connections that are ending already count towards it.
    fn end_holders(&mut self, wanted_bytes: usize, terms: Terms, now: Instant) {
        let mut missing = wanted_bytes.saturating_sub(self.ending(now).map(|served| served.pace.holder().bytes()).sum());
        if missing == 0 {
            return;
        }
        let holds = |(id, served): (&u64, &Served)| {
            let is_candidate = served.ended_at.is_none() && served.pace.is_stalled(terms, now);
            is_candidate.then(|| (Reverse(served.pace.holder().bytes()), *id))
        };
        let mut candidates: Vec<_> = self.served.iter().filter_map(holds).collect();
        candidates.sort_unstable();
        for (Reverse(bytes), id) in candidates {
            if missing == 0 || bytes == 0 {
                break;
            }
            missing = missing.saturating_sub(bytes);
            self.end(id, now);
        }
    }

    /// Connections that were notified, and may still have their slot and their memory.
    fn ending(&self, now: Instant) -> impl Iterator<Item = &Served> {
        self.served.values().filter(move |served| served.ended_at.is_some_and(|at| now - at < ENDING_TIME))
    }

    fn end(&mut self, id: u64, now: Instant) {
        if let Some(served) = self.served.get_mut(&id) {
            served.ended_at = Some(now);
            served.pace.give_way();
        }
    }
}

impl Entrance {
    /// Cancelled when this connection has to close because it has sent nothing.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Waits for a slot. Giving the wait up gives up the place as well.
    pub(super) async fn slot(self) -> Slot {
        let inner = &self.slots.0;
        {
            let mut registry = self.slots.registry();
            registry.silent.remove(&self.id);
            registry.waiting.insert(self.id, Instant::now());
            self.slots.report_waiting(&registry);
        }
        let permit = match Arc::clone(&inner.slots).try_acquire_owned() {
            Ok(permit) => permit,
            Err(_) => {
                inner.wanted.notify_one();
                Arc::clone(&inner.slots).acquire_owned().await.expect("this semaphore is never closed")
            }
        };
        let pace = Arc::new(Pace::new());
        let served = Served { pace: Arc::clone(&pace), ended_at: None };
        self.slots.registry().served.insert(self.id, served);
        Slot { id: self.id, pace, slots: self.slots.clone(), _permit: permit }
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        let mut registry = self.slots.registry();
        registry.silent.remove(&self.id);
        registry.waiting.remove(&self.id);
        self.slots.report_waiting(&registry);
    }
}

impl Slot {
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.registry().served.remove(&self.id);
    }
}
