//! The monitor over a store that answers when the test lets it.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use super::*;
use crate::error::{Error, ErrorKind};
use crate::upload::{Digest, Durability, Receipt};

/// So long that nothing of it passes in a test.
const NEVER: Duration = Duration::from_hours(1);

/// A store, and what was done to it.
#[derive(Debug, Clone)]
struct Store {
    /// A probe ends with each of them.
    answers: Arc<Semaphore>,
    problem: Arc<std::sync::Mutex<Option<&'static str>>>,
    begun: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

struct Fixture {
    store: Store,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    monitor: Arc<StoreMonitor>,
}

fn timing() -> Timing {
    Timing { pause: Duration::ZERO, asked_for: NEVER, answer: NEVER, patience: NEVER }
}

fn start(timing: Timing) -> Fixture {
    let answers = Arc::new(Semaphore::new(0));
    let store = Store { answers, problem: Arc::default(), begun: Arc::default(), ended: Arc::default() };
    let (metrics, readiness) = (Arc::new(Metrics::new()), Arc::new(Readiness::new()));
    let probed = store.clone();
    let probe = move || {
        let store = probed.clone();
        async move { store.probe().await }
    };
    let monitor = StoreMonitor::start(probe, Arc::clone(&metrics), Arc::clone(&readiness), timing);
    Fixture { store, metrics, readiness, monitor: Arc::new(monitor) }
}

impl Store {
    async fn probe(&self) -> Result<Probe> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.answers.acquire().await.unwrap().forget();
        self.ended.fetch_add(1, Ordering::Relaxed);
        match *self.problem.lock().unwrap() {
            Some(problem) => Err(Error::new(ErrorKind::Store, problem)),
            None => Ok(Probe::of("a store of a test")),
        }
    }

    fn probes(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }
}

impl Fixture {
    fn commit(&self) {
        self.metrics.committed(&Receipt {
            id: None,
            name: "a.csv".parse().unwrap(),
            key: "a.csv".parse().unwrap(),
            size: 1,
            digest: Digest::of(b"x"),
            committed_at: std::time::UNIX_EPOCH,
            durability: Durability::Disk,
            verdict: None,
            report: None,
            duplicate: false,
        });
    }

    /// Asks, and hangs up before there can be an answer.
    async fn ask_and_hang_up(&self) {
        let _ = timeout(Duration::ZERO, self.monitor.verdict()).await;
    }

    async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !condition(self) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(Duration::from_secs(20), waiting).await.unwrap_or_else(|_| panic!("{what} did not happen"));
    }
}

#[tokio::test]
async fn requests_share_one_probe_and_end_none_by_hanging_up() {
    let fixture = start(Timing { pause: NEVER, ..timing() });
    for _ in 0..20 {
        fixture.ask_and_hang_up().await;
        tokio::task::yield_now().await;
    }
    fixture.until("a probe", |fixture| fixture.store.probes() == 1).await;
    fixture.ask_and_hang_up().await;
    fixture.store.answers.add_permits(20);
    fixture.until("its end", |fixture| fixture.store.ended.load(Ordering::Relaxed) == 1).await;
    let verdict = fixture.monitor.verdict().await;
    assert_eq!((verdict.store.as_str(), verdict.problem), ("a store of a test", None));
    assert_eq!(fixture.store.probes(), 1);
}

#[tokio::test]
async fn nothing_is_probed_before_a_request() {
    let fixture = start(timing());
    fixture.commit();
    tokio::task::yield_now().await;
    fixture.monitor.close().await;
    assert_eq!(fixture.store.probes(), 0);
}

#[tokio::test]
async fn probes_end_some_time_after_the_last_request() {
    let fixture = start(Timing { asked_for: Duration::from_millis(20), ..timing() });
    fixture.store.answers.add_permits(Semaphore::MAX_PERMITS);
    assert_eq!(fixture.monitor.verdict().await.problem, None);
    let ended = async {
        loop {
            let before = fixture.store.probes();
            sleep(Duration::from_millis(100)).await;
            if fixture.store.probes() == before {
                return;
            }
        }
    };
    timeout(Duration::from_secs(20), ended).await.expect("the probes end");
}

#[tokio::test]
async fn a_commit_takes_the_place_of_a_probe() {
    let pause = Duration::from_secs(1);
    let fixture = start(Timing { pause, ..timing() });
    fixture.store.answers.add_permits(20);
    assert_eq!(fixture.monitor.verdict().await.problem, None);
    let mut verdicts = fixture.monitor.verdict.clone();
    verdicts.mark_unchanged();
    for _ in 0..2 {
        fixture
            .until("another verdict", |fixture| {
                fixture.commit();
                verdicts.has_changed().unwrap()
            })
            .await;
        verdicts.mark_unchanged();
    }
    assert_eq!(fixture.store.probes(), 1);
}

#[tokio::test]
async fn a_commit_does_not_make_a_bad_verdict_good() {
    let fixture = start(Timing { pause: Duration::from_millis(50), ..timing() });
    *fixture.store.problem.lock().unwrap() = Some("it keeps no conditions");
    fixture.store.answers.add_permits(1);
    let problem = fixture.monitor.verdict().await.problem.unwrap();
    assert!(problem.contains("it keeps no conditions"), "{problem}");
    assert!(fixture.readiness.problems()[&Condition::Store].contains("it keeps no conditions"));
    fixture
        .until("a second probe", |fixture| {
            fixture.commit();
            fixture.store.probes() == 2
        })
        .await;
    *fixture.store.problem.lock().unwrap() = None;
    fixture.store.answers.add_permits(20);
    fixture.until("readiness", |fixture| fixture.readiness.problems().is_empty()).await;
}

#[tokio::test]
async fn a_silent_store_is_not_ready_until_it_answers() {
    let fixture = start(Timing { pause: NEVER, patience: Duration::from_millis(10), ..timing() });
    let verdict = fixture.monitor.verdict().await;
    assert!(verdict.problem.unwrap().contains("did not answer"));
    fixture.until("unreadiness", |fixture| fixture.readiness.holds(Condition::Store)).await;
    fixture.store.answers.add_permits(1);
    fixture.until("readiness", |fixture| fixture.readiness.problems().is_empty()).await;
    assert_eq!(fixture.store.probes(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_late_changes_nothing() {
    let (answer, patience) = (Duration::from_millis(20), Duration::from_millis(10));
    let fixture = start(Timing { pause: NEVER, answer, patience, ..timing() });
    fixture.ask_and_hang_up().await;
    fixture.until("unreadiness", |fixture| fixture.readiness.holds(Condition::Store)).await;
    sleep(answer).await;
    fixture.store.answers.add_permits(1);
    fixture.until("the end of the probe", |fixture| fixture.store.ended.load(Ordering::Relaxed) == 1).await;
    fixture.monitor.close().await;
    assert!(fixture.readiness.holds(Condition::Store));
}

#[tokio::test]
async fn the_end_of_the_server_waits_for_the_probe_to_clean_up() {
    let fixture = start(timing());
    fixture.ask_and_hang_up().await;
    fixture.until("a probe", |fixture| fixture.store.probes() == 1).await;
    let answering = async {
        tokio::task::yield_now().await;
        fixture.store.answers.add_permits(1);
    };
    tokio::join!(fixture.monitor.close(), answering);
    assert_eq!(fixture.store.ended.load(Ordering::Relaxed), 1);
    assert_eq!(fixture.store.probes(), 1);
}
