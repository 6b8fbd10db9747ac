//! How fast one connection sends, measured over the time that the server waits for it.

use std::cmp::Reverse;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::budget::Holder;

/// The reason for which the server waits for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Phase {
    /// A header, or the bytes of an upload.
    Sending,
    /// Nothing that was begun: a further request, or the end of what is dropped after a refusal.
    Idle,
}

/// Below which rate an upload gives way, in bytes per second, and how long it is waited for before
/// its rate counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) min_rate: u64,
    pub(super) grace: Duration,
}

impl Terms {
    /// The more connections wait for each slot, the less time there is to see how fast a connection
    /// is.
    pub(super) fn pressed(self, slots: usize, waiting: usize) -> Self {
        /// Where a quarter as many wait as there are slots, half of the grace is left.
        const WEIGHT: usize = 4;
        let slots = u32::try_from(slots).unwrap_or(u32::MAX);
        let waiting = u32::try_from(WEIGHT * waiting).unwrap_or(u32::MAX);
        let grace = self.grace.mul_f64(f64::from(slots) / (f64::from(slots) + f64::from(waiting)));
        Self { grace, ..self }
    }
}

/// The order in which connections give way: the least one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    /// Has sent nothing for so long that it will hardly send soon.
    LongIdle(Reverse<Duration>),
    /// Sends, at so many thousandths of a byte per second.
    Sending(u128),
    /// May send its next file any moment.
    Idle(Reverse<Duration>),
}

/// How long a connection without an upload is idle before it gives way to a slow upload.
const LONG_IDLE: Duration = Duration::from_secs(5);

/// How long an upload that holds memory may send nothing while others wait for memory: less than
/// they wait ([`crate::budget::MAX_WAIT`]).
const STALL: Duration = Duration::from_secs(2);

/// The measure of one connection, and its notice to give way.
#[derive(Debug)]
pub(in crate::server) struct Pace {
    measure: Mutex<Measure>,
    gives_way: CancellationToken,
    /// Commits that are under way.
    commits: TaskTracker,
    holder: Arc<Holder>,
}

#[derive(Debug, Clone, Copy)]
struct Measure {
    phase: Phase,
    /// Since the phase began, with what it was at the two latest ends of a window.
    of_phase: Windowed,
    /// In all phases: a connection of many short requests is in none of them for long.
    of_all: Windowed,
    /// Since when the server waits for this connection now.
    waiting_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    bytes: u64,
    waited: Duration,
}

/// A sum that grows, and what it was at the two latest ends of a window.
#[derive(Debug, Clone, Copy, Default)]
struct Windowed {
    total: Sum,
    marks: [Sum; 2],
}

impl Windowed {
    /// Since the end of the window before the last one, with a wait that has not ended.
    fn recent(&self, waiting: Duration) -> Sum {
        let Self { total, marks: [mark, _] } = self;
        // Of a window in which the store was slow, little is the sender's.
        Sum { bytes: total.bytes - mark.bytes, waited: (total.waited + waiting).saturating_sub(mark.waited) }
    }

    fn rotate(&mut self) {
        self.marks = [self.marks[1], self.total];
    }
}

impl Sum {
    /// Thousandths of a byte per second.
    fn rate(self) -> u128 {
        u128::from(self.bytes) * 1_000_000_000 / self.waited.as_micros().max(1)
    }

    fn is_slow(self, terms: Terms) -> bool {
        self.waited >= terms.grace && self.rate() < u128::from(terms.min_rate) * 1000
    }
}

impl Measure {
    fn begin(phase: Phase) -> Self {
        Self { phase, of_phase: Windowed::default(), of_all: Windowed::default(), waiting_since: None }
    }

    /// Counts what was waited so far.
    fn count_wait(&mut self) {
        if let Some(since) = self.waiting_since.take() {
            let waited = since.elapsed();
            self.of_phase.total.waited += waited;
            self.of_all.total.waited += waited;
        }
    }
}

impl Pace {
    pub(in crate::server) fn new() -> Self {
        let (gives_way, commits) = (CancellationToken::new(), TaskTracker::new());
        Self { measure: Mutex::new(Measure::begin(Phase::Sending)), gives_way, commits, holder: Arc::default() }
    }

    /// Begins a phase, and its measure, unless the connection is in that phase already.
    pub(in crate::server) fn enter(&self, phase: Phase) {
        let mut measure = self.measure();
        if measure.phase != phase {
            let is_waiting = measure.waiting_since.is_some();
            measure.count_wait();
            let waiting_since = is_waiting.then(Instant::now);
            *measure = Measure { of_all: measure.of_all, waiting_since, ..Measure::begin(phase) };
        }
    }

    /// The server waits for this connection until the guard is dropped.
    pub(in crate::server) fn wait(&self) -> Waiting<'_> {
        self.measure().waiting_since = Some(Instant::now());
        Waiting(self)
    }

    /// Counts bytes that were received.
    pub(in crate::server) fn came(&self, bytes: usize) {
        let mut measure = self.measure();
        measure.of_phase.total.bytes += bytes as u64;
        measure.of_all.total.bytes += bytes as u64;
    }

    /// Cancelled when this connection has to free its slot: the upload that is being received ends,
    /// commits go on.
    pub(in crate::server) fn gives_way(&self) -> &CancellationToken {
        &self.gives_way
    }

    /// Counts the memory that this connection holds.
    pub(in crate::server) fn holder(&self) -> &Arc<Holder> {
        &self.holder
    }

    /// Counts a commit as being under way until the token is dropped.
    pub(in crate::server) fn commit(&self) -> TaskTrackerToken {
        self.commits.token()
    }

    /// Waits until no commit is under way, also where their sender has left.
    pub(in crate::server) async fn commits_ended(&self) {
        self.commits.close();
        self.commits.wait().await;
    }

    pub(super) fn give_way(&self) {
        self.gives_way.cancel();
    }

    pub(super) fn rotate_window(&self) {
        let mut measure = self.measure();
        measure.of_phase.rotate();
        measure.of_all.rotate();
    }

    /// When this connection gives way, compared to others; `None` where it must not: the server
    /// does not wait for it, it has been waited for too shortly to know, or it is fast enough.
    pub(super) fn precedence(&self, terms: Terms, now: Instant) -> Option<Precedence> {
        let Measure { phase, of_phase, of_all, waiting_since } = *self.measure();
        let waiting = now.saturating_duration_since(waiting_since?);
        let (recent, recent_of_all) = (of_phase.recent(waiting), of_all.recent(waiting));
        match phase {
            Phase::Idle if !self.commits.is_empty() => None,
            Phase::Idle if recent.waited >= LONG_IDLE => Some(Precedence::LongIdle(Reverse(recent.waited))),
            Phase::Idle if recent.waited >= terms.grace || recent_of_all.is_slow(terms) => {
                Some(Precedence::Idle(Reverse(recent.waited)))
            }
            Phase::Sending if recent.is_slow(terms) => Some(Precedence::Sending(recent.rate())),
            Phase::Idle | Phase::Sending => None,
        }
    }

    /// Whether this connection sends nothing, or too little, of an upload or a header that it has
    /// begun. Its rate alone is too late a sign: the window of a rate is 10 to 20 s, and a lease
    /// waits for 5 s.
    pub(super) fn is_stalled(&self, terms: Terms, now: Instant) -> bool {
        let Measure { phase, of_phase, waiting_since, .. } = *self.measure();
        let Some(since) = waiting_since else { return false };
        let waiting = now.saturating_duration_since(since);
        let is_silent = waiting >= STALL && terms.min_rate > 0;
        phase == Phase::Sending && (is_silent || of_phase.recent(waiting).is_slow(terms))
    }

    fn measure(&self) -> MutexGuard<'_, Measure> {
        self.measure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The server waits for bytes of a connection.
#[derive(Debug)]
pub(in crate::server) struct Waiting<'a>(&'a Pace);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.measure().count_wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { min_rate: 100, grace: Duration::from_secs(1) };

    /// As of so many seconds from now, where the server has waited for it all the time.
    fn after(pace: &Pace, seconds: u64) -> Option<Precedence> {
        pace.precedence(TERMS, Instant::now() + Duration::from_secs(seconds))
    }

    #[test]
    fn a_rate_counts_once_the_server_has_waited_for_the_grace() {
        let pace = Pace::new();
        assert_eq!(after(&pace, 60), None, "the server does not wait for it");
        let _waiting = pace.wait();
        assert_eq!(after(&pace, 0), None, "it has just begun");
        assert_eq!(after(&pace, 2), Some(Precedence::Sending(0)));
        pace.came(1000);
        assert_eq!(after(&pace, 2), None, "500 bytes per second");
        assert!(matches!(after(&pace, 20), Some(Precedence::Sending(49_000..=50_000))));
    }

    #[test]
    fn time_for_which_the_server_does_not_wait_is_not_the_senders() {
        let pace = Pace::new();
        drop(pace.wait());
        pace.rotate_window();
        pace.rotate_window();
        std::thread::sleep(Duration::from_millis(20));
        let _waiting = pace.wait();
        assert_eq!(pace.precedence(Terms { grace: Duration::from_millis(15), ..TERMS }, Instant::now()), None);
    }

    #[test]
    fn what_came_before_the_window_does_not_count() {
        let pace = Pace::new();
        let waiting = pace.wait();
        pace.came(1 << 30);
        assert_eq!(after(&pace, 9), None);
        drop(waiting);
        pace.rotate_window();
        let _waiting = pace.wait();
        assert_eq!(after(&pace, 9), None, "the window before counts, too");
        pace.rotate_window();
        assert_eq!(after(&pace, 9), Some(Precedence::Sending(0)));
    }

    #[test]
    fn idle_connections_give_way_before_slow_uploads_once_they_are_idle_for_long() {
        let (sending, idle, longer) = (Pace::new(), Pace::new(), Pace::new());
        for pace in [&idle, &longer] {
            pace.came(1 << 30);
            pace.enter(Phase::Idle);
        }
        let _waiting = [&sending, &idle, &longer].map(Pace::wait);
        let mut order = [after(&idle, 3), after(&sending, 3), after(&longer, 6), after(&longer, 7)];
        let expected = [order[3], order[2], order[1], order[0]];
        order.sort();
        assert_eq!(order, expected);
        assert!(order.iter().all(Option::is_some));
        let commit = idle.commit();
        assert_eq!(after(&idle, 60), None, "its commit is under way");
        drop(commit);
        assert!(after(&idle, 60).is_some());
    }

    #[test]
    fn an_upload_that_was_fast_is_stalled_once_it_sends_nothing() {
        let pace = Pace::new();
        let stalled = |pace: &Pace, seconds| pace.is_stalled(TERMS, Instant::now() + Duration::from_secs(seconds));
        pace.came(1 << 30);
        assert!(!stalled(&pace, 60), "the server does not wait for it");
        let waiting = pace.wait();
        assert!(!stalled(&pace, 1));
        assert!(stalled(&pace, 2));
        pace.enter(Phase::Idle);
        assert!(!stalled(&pace, 60), "nothing was begun");
        drop(waiting);
    }

    #[test]
    fn a_least_rate_of_zero_ends_no_upload() {
        let pace = Pace::new();
        let _waiting = pace.wait();
        let now = Instant::now() + Duration::from_hours(1);
        assert_eq!(pace.precedence(Terms { min_rate: 0, ..TERMS }, now), None);
        assert!(!pace.is_stalled(Terms { min_rate: 0, ..TERMS }, now));
    }
}
