//! Whether the store can be written to, as the start and `/readyz` report it.
//!
//! A probe writes to the store, so a request never runs one: it reads the last verdict and notes
//! that it asked. One task probes while there are requests, at most once in a pause. It probes
//! nothing without requests: nothing would read the verdict, and each probe costs several requests
//! to the store. It probes nothing while uploads are committed either, because a commit proves as
//! much.
//!
//! Every probe runs in a task of its own, so that it removes what it wrote also where its caller is
//! cancelled.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::error::Result;
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::sink::Probe;

/// How long the last probe may take to remove what it wrote, once the server stops.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(10);

/// The pauses and deadlines of a monitor.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timing {
    /// From one probe to the next, and how long a commit counts as one.
    pub(super) pause: Duration,
    /// How long probes go on after a request asked.
    pub(super) asked_for: Duration,
    /// How long a store may take to answer a probe before an earlier good verdict is withdrawn.
    pub(super) answer: Duration,
    /// How long a request waits, where no earlier verdict counts any more.
    pub(super) patience: Duration,
}

impl Default for Timing {
    /// `answer` is what a probe of an S3 store with a latency of a second takes; `asked_for` is
    /// longer than monitoring systems pause, and `patience` shorter than `tidegate health` waits.
    fn default() -> Self {
        Self {
            pause: Duration::from_secs(10),
            asked_for: Duration::from_secs(90),
            answer: Duration::from_secs(30),
            patience: Duration::from_secs(4),
        }
    }
}

impl Timing {
    /// How long a verdict counts: until the next one is due at the latest.
    fn verdict_counts(self) -> Duration {
        self.pause + self.answer
    }
}

/// The result of a probe.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    /// The store in words.
    pub(super) store: String,
    /// The cause and the remedy, where the store is unusable.
    pub(super) problem: Option<String>,
    at: Instant,
}

impl Verdict {
    fn new(store: impl Into<String>, problem: Option<String>) -> Self {
        Self { store: store.into(), problem, at: Instant::now() }
    }

    fn unanswered(waited: Duration) -> Self {
        let seconds = waited.as_secs_f64();
        let problem = format!(
            "the store did not answer within {seconds:.0} s: check that it runs and can be reached (see `tidegate check`)"
        );
        Self::new("a store that does not answer", Some(problem))
    }
}

/// The side of the monitor that requests see.
#[derive(Debug)]
pub(super) struct StoreMonitor {
    timing: Timing,
    metrics: Arc<Metrics>,
    asked: watch::Sender<Option<Instant>>,
    verdict: watch::Receiver<Option<Verdict>>,
    probes: TaskTracker,
    stop: CancellationToken,
}

impl StoreMonitor {
    /// Starts the task that probes, where `probe` makes one probe.
    pub(super) fn start<F>(
        probe: impl Fn() -> F + Send + Sync + 'static,
        metrics: Arc<Metrics>,
        readiness: Arc<Readiness>,
        timing: Timing,
    ) -> Self
    where
        F: Future<Output = Result<Probe>> + Send + 'static,
    {
        let (asked, requests) = watch::channel(None);
        let (published, verdict) = watch::channel(None);
        let (probes, stop) = (TaskTracker::new(), CancellationToken::new());
        let task = Prober {
            probe,
            readiness,
            timing,
            metrics: Arc::clone(&metrics),
            requests,
            verdict: published,
            probes: probes.clone(),
        };
        probes.spawn(stop.clone().run_until_cancelled_owned(task.run()));
        Self { timing, metrics, asked, verdict, probes, stop }
    }

    /// The verdict that counts now. Waits where there is none, but not for longer than `patience`:
    /// no answer is a verdict, too.
    pub(super) async fn verdict(&self) -> Verdict {
        self.asked.send_replace(Some(Instant::now()));
        let mut verdict = self.verdict.clone();
        let counts = |verdict: &Option<Verdict>| verdict.as_ref().is_some_and(|verdict| self.counts(verdict));
        match timeout(self.timing.patience, verdict.wait_for(counts)).await {
            Ok(Ok(verdict)) => verdict.clone(),
            Ok(Err(_)) | Err(_) => None,
        }
        .unwrap_or_else(|| Verdict::unanswered(self.timing.patience))
    }

    /// Starts no more probes, and lets the last one remove what it wrote.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        self.probes.close();
        if timeout(CLEANUP_TIMEOUT, self.probes.wait()).await.is_err() {
            tracing::warn!("store probe not ended in time; a sweep removes its files");
        }
    }

    fn counts(&self, verdict: &Verdict) -> bool {
        let is_young = verdict.at.elapsed() < self.timing.verdict_counts();
        is_young || verdict.problem.is_none() && self.metrics.stored_within(self.timing.pause)
    }
}

impl Drop for StoreMonitor {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The task that probes.
struct Prober<P> {
    probe: P,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    timing: Timing,
    requests: watch::Receiver<Option<Instant>>,
    verdict: watch::Sender<Option<Verdict>>,
    probes: TaskTracker,
}

impl<P, F> Prober<P>
where
    P: Fn() -> F,
    F: Future<Output = Result<Probe>> + Send + 'static,
{
    async fn run(mut self) {
        loop {
            let timing = self.timing;
            let is_recent = |asked: &Option<Instant>| asked.is_some_and(|asked| asked.elapsed() < timing.asked_for);
            if self.requests.wait_for(is_recent).await.is_err() {
                // The server is gone.
                return;
            }
            if !self.renew_by_commit() {
                self.probe().await;
            }
            sleep(timing.pause).await;
        }
    }

    /// A commit since the last pause is as good as a probe. It only prolongs a good verdict: a
    /// probe also finds what fails the uploads under other rules, such as a store that keeps no
    /// conditions.
    fn renew_by_commit(&self) -> bool {
        let is_proved = self.metrics.stored_within(self.timing.pause);
        self.verdict.send_if_modified(|verdict| match verdict {
            Some(verdict) if is_proved && verdict.problem.is_none() => {
                verdict.at = Instant::now();
                true
            }
            Some(_) | None => false,
        })
    }

    /// Runs one probe to its end. Nothing else is sent to the store meanwhile, however long it
    /// takes.
    async fn probe(&self) {
        let mut probe = self.probes.spawn((self.probe)());
        let began = Instant::now();
        let mut wait = self.first_wait();
        let outcome = loop {
            match timeout(wait, &mut probe).await {
                Ok(outcome) => break outcome,
                Err(_elapsed) => {
                    self.publish(Verdict::unanswered(began.elapsed()));
                    // The verdict must not grow old while the store stays silent.
                    wait = self.timing.pause;
                }
            }
        };
        // A store that is always too slow must not be ready in between.
        if began.elapsed() < self.timing.answer {
            self.judge(outcome);
        }
    }

    /// A request may be waiting where no verdict counts.
    fn first_wait(&self) -> Duration {
        let is_young = |verdict: &Verdict| verdict.at.elapsed() < self.timing.verdict_counts();
        let has_verdict = self.verdict.borrow().as_ref().is_some_and(is_young);
        if has_verdict { self.timing.answer } else { self.timing.patience }
    }

    fn judge(&self, outcome: std::result::Result<Result<Probe>, JoinError>) {
        const OUT_OF_REACH: &str = "a store that can't be reached";
        self.publish(match outcome {
            Ok(Ok(probe)) => {
                let problem = probe.problem();
                Verdict::new(probe.store, problem)
            }
            Ok(Err(error)) => Verdict::new(OUT_OF_REACH, Some(error.to_string())),
            Err(ended_early) => Verdict::new(OUT_OF_REACH, Some(format!("the probe ended early: {ended_early}"))),
        });
    }

    fn publish(&self, verdict: Verdict) {
        match &verdict.problem {
            Some(problem) => {
                if self.readiness.set(Condition::Store, problem) {
                    tracing::error!(problem, "store unusable; uploads fail until it works (see `tidegate check`)");
                }
            }
            None => {
                if self.readiness.clear(Condition::Store) {
                    tracing::info!("store usable again");
                }
            }
        }
        self.verdict.send_replace(Some(verdict));
    }
}

#[cfg(test)]
mod tests;
