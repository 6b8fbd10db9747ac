//! How fast one connection sends, measured over the time that the server waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// What a connection is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum Phase {
    /// A header, or the bytes of an upload.
    Sending,
    /// Nothing that was begun: a further request, or the end of what is dropped after a refusal.
    Idle,
}

/// Below which rate an upload gives way, in bytes per second, and how long it is waited for before its rate counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) min_rate: u64,
    pub(super) grace: Duration,
}

/// The order in which connections give way: the least one first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Idle,
    /// Thousandths of a byte per second.
    Sending(u128),
}

/// The measure of one connection, and its notice to give way.
#[derive(Debug)]
pub(in crate::server) struct Pace {
    measure: Mutex<Measure>,
    gives_way: CancellationToken,
    /// Commits that are under way.
    commits: TaskTracker,
}

#[derive(Debug, Clone, Copy)]
struct Measure {
    phase: Phase,
    /// Since the phase began.
    total: Sum,
    /// The total at the two latest ends of a window.
    marks: [Sum; 2],
    /// Since when the server waits for this connection now.
    waiting_since: Option<Instant>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    bytes: u64,
    waited: Duration,
}

impl Measure {
    fn begin(phase: Phase, waiting_since: Option<Instant>) -> Self {
        Self { phase, total: Sum::default(), marks: [Sum::default(); 2], waiting_since }
    }
}

impl Pace {
    pub(in crate::server) fn new() -> Self {
        let (gives_way, commits) = (CancellationToken::new(), TaskTracker::new());
        Self { measure: Mutex::new(Measure::begin(Phase::Sending, None)), gives_way, commits }
    }

    /// A phase begins, unless it is the one that lasts.
    pub(in crate::server) fn enter(&self, phase: Phase) {
        let mut measure = self.measure();
        if measure.phase != phase {
            *measure = Measure::begin(phase, measure.waiting_since.map(|_| Instant::now()));
        }
    }

    /// The server waits for this connection until the guard is dropped.
    pub(in crate::server) fn wait(&self) -> Waiting<'_> {
        self.measure().waiting_since = Some(Instant::now());
        Waiting(self)
    }

    /// Bytes came.
    pub(in crate::server) fn came(&self, bytes: usize) {
        self.measure().total.bytes += bytes as u64;
    }

    /// Cancelled when this connection has to free its slot: the upload that is being received ends, commits go on.
    pub(in crate::server) fn gives_way(&self) -> &CancellationToken {
        &self.gives_way
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
        measure.marks = [measure.marks[1], measure.total];
    }

    /// When this connection gives way, compared to others; `None` where it must not: the server does not wait for it, it
    /// has been waited for too shortly to know, or it is fast enough.
    pub(super) fn precedence(&self, terms: Terms, now: Instant) -> Option<Precedence> {
        let Measure { phase, total, marks: [mark, _], waiting_since } = *self.measure();
        // Of a window in which the store was slow, little is the sender's.
        let waited = total.waited + now.saturating_duration_since(waiting_since?) - mark.waited;
        if waited < terms.grace {
            return None;
        }
        match phase {
            Phase::Idle => self.commits.is_empty().then_some(Precedence::Idle),
            Phase::Sending => {
                let rate = u128::from(total.bytes - mark.bytes) * 1_000_000_000 / waited.as_micros().max(1);
                (rate < u128::from(terms.min_rate) * 1000).then_some(Precedence::Sending(rate))
            }
        }
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
        let mut measure = self.0.measure();
        if let Some(since) = measure.waiting_since.take() {
            measure.total.waited += since.elapsed();
        }
    }
}
