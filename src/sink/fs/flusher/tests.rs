//! Turns, with flushes that end when the test says so.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A disk whose every flush takes a number, in the order in which they begin.
#[derive(Debug, Default)]
struct Plate {
    clock: AtomicU64,
    one: Mutex<HashMap<Identity, u64>>,
    all: AtomicU64,
    counted: Mutex<Vec<Option<Identity>>>,
}

impl Plate {
    fn now(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    #[allow(clippy::unnecessary_wraps, reason = "as a flusher wants it")]
    fn flush_one(&self, thing: Identity) -> Result<(), Errno> {
        let now = self.now();
        let mut begun = self.one.lock().unwrap();
        let last = begun.entry(thing).or_default();
        *last = now.max(*last);
        drop(begun);
        self.counted.lock().unwrap().push(Some(thing));
        Ok(())
    }

    #[allow(clippy::unnecessary_wraps, reason = "as a flusher wants it")]
    fn flush_all(&self) -> Result<(), Errno> {
        self.all.fetch_max(self.now(), Ordering::SeqCst);
        self.counted.lock().unwrap().push(None);
        Ok(())
    }

    /// When the last flush began that covers `thing`.
    fn last(&self, thing: Identity) -> u64 {
        let one = self.one.lock().unwrap().get(&thing).copied().unwrap_or(0);
        one.max(self.all.load(Ordering::SeqCst))
    }
}

/// A flusher in whose first flush somebody is held.
struct Bench {
    flusher: Arc<Flusher>,
    disk: Arc<Plate>,
    go_on: Sender<Result<(), Errno>>,
    held: JoinHandle<Result<(), Errno>>,
}

const HELD: Identity = (0, 0);

fn together() -> Flusher {
    Flusher::at(Pace::steady(Way::Together))
}

impl Bench {
    fn new() -> Self {
        let flusher = Arc::new(together());
        let disk = Arc::new(Plate::default());
        let (go_on, came): (_, Receiver<Result<(), Errno>>) = channel();
        let (begun, begins) = channel();
        let held = thread::spawn({
            let flusher = Arc::clone(&flusher);
            move || {
                let one = || {
                    begun.send(()).unwrap();
                    came.recv().unwrap()
                };
                flusher.flush(HELD, one, || panic!("nobody else waited"))
            }
        });
        begins.recv().unwrap();
        Self { flusher, disk, go_on, held }
    }

    /// Somebody who wants `thing` flushed, and waits for it by now.
    fn wait_for(&self, thing: Identity, all: impl FnOnce(&Plate) -> Result<(), Errno> + Send + 'static) -> Waiting {
        let before = self.flusher.waiting();
        let (flusher, disk) = (Arc::clone(&self.flusher), Arc::clone(&self.disk));
        let waiting = thread::spawn(move || flusher.flush(thing, || disk.flush_one(thing), || all(&disk)));
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.flusher.waiting() == before {
            assert!(Instant::now() < deadline, "it waits for the flush under way to end");
            thread::yield_now();
        }
        waiting
    }

    /// Lets the flush under way end well, and says which flushes came after it.
    fn go_on(self, waiting: Vec<Waiting>) -> (Vec<Ended>, Vec<Option<Identity>>) {
        self.go_on.send(Ok(())).unwrap();
        self.held.join().unwrap().unwrap();
        let outcomes = waiting.into_iter().map(JoinHandle::join).collect();
        assert!(self.flusher.lock().next.is_none() && !self.flusher.lock().flushing, "the next one need not wait");
        let counted = self.disk.counted.lock().unwrap().clone();
        (outcomes, counted)
    }
}

type Waiting = JoinHandle<Result<(), Errno>>;
/// What came of somebody who waited, if he did not panic.
type Ended = thread::Result<Result<(), Errno>>;

fn flushed(outcomes: Vec<Ended>) -> Vec<Result<(), Errno>> {
    outcomes.into_iter().map(Result::unwrap).collect()
}

#[test]
fn a_lone_flush_is_of_one_thing_and_waits_for_nobody() {
    let flusher = together();
    let disk = Plate::default();
    for _ in 0..3 {
        flusher.flush((1, 1), || disk.flush_one((1, 1)), || panic!("it is alone")).unwrap();
    }
    assert_eq!(disk.counted.into_inner().unwrap(), [Some((1, 1)); 3]);
}

#[test]
fn who_waits_alone_flushes_one_thing() {
    let bench = Bench::new();
    let waiting = vec![bench.wait_for((1, 1), Plate::flush_all)];
    let (outcomes, counted) = bench.go_on(waiting);
    assert_eq!((flushed(outcomes), counted), (vec![Ok(())], vec![Some((1, 1))]));
}

#[test]
fn a_flush_that_had_begun_before_does_not_count_even_for_the_same_thing() {
    let bench = Bench::new();
    let waiting = vec![bench.wait_for(HELD, Plate::flush_all)];
    let (outcomes, counted) = bench.go_on(waiting);
    assert_eq!((flushed(outcomes), counted), (vec![Ok(())], vec![Some(HELD)]));
}

#[test]
fn those_who_wait_for_the_same_thing_share_one_flush_of_it() {
    let bench = Bench::new();
    let waiting = (0..5).map(|_| bench.wait_for((1, 1), Plate::flush_all)).collect();
    let (outcomes, counted) = bench.go_on(waiting);
    assert_eq!((flushed(outcomes), counted), (vec![Ok(()); 5], vec![Some((1, 1))]));
}

#[test]
fn those_who_wait_for_several_things_share_one_flush_of_everything() {
    let bench = Bench::new();
    // The leader's own thing is not the last that was asked for, nor the only one.
    let waiting = [(1, 1), (1, 2), (1, 1), (2, 1)].map(|thing| bench.wait_for(thing, Plate::flush_all)).into();
    let (outcomes, counted) = bench.go_on(waiting);
    assert_eq!((flushed(outcomes), counted), (vec![Ok(()); 4], vec![None]));
}

#[test]
fn a_shared_flush_that_fails_has_failed_for_all_who_shared_it_and_for_nobody_else() {
    for errno in [Errno::IO, Errno::NOSPC] {
        let bench = Bench::new();
        let flusher = Arc::clone(&bench.flusher);
        let waiting = [(1, 1), (1, 2), (1, 3)].map(|thing| bench.wait_for(thing, move |_| Err(errno))).into();
        let (outcomes, _) = bench.go_on(waiting);
        assert_eq!(flushed(outcomes), [Err(errno); 3]);
        assert_eq!(flusher.flush((1, 1), || Ok(()), || Ok(())), Ok(()));
    }
}

#[test]
fn a_leader_that_panics_leaves_nobody_waiting_and_nobody_believing() {
    let bench = Bench::new();
    let flusher = Arc::clone(&bench.flusher);
    let waiting =
        [(1, 1), (1, 2), (1, 3)].map(|thing| bench.wait_for(thing, |_| std::panic::panic_any("as it should"))).into();
    let (outcomes, _) = bench.go_on(waiting);
    assert!(outcomes[0].is_err(), "the leader has panicked");
    assert!(outcomes[1..].iter().all(|outcome| matches!(outcome, Ok(Err(Errno::IO)))), "{outcomes:?}");
    assert_eq!(flusher.flush((1, 1), || Ok(()), || Ok(())), Ok(()));
}

#[test]
fn those_who_wait_flush_for_themselves_where_that_is_the_faster_way_by_then() {
    let bench = Bench::new();
    let waiting = [(1, 1), (1, 2), (1, 1)].map(|thing| bench.wait_for(thing, Plate::flush_all)).into();
    bench.flusher.lock().pace.turn_to(Way::Apart);
    let (outcomes, mut counted) = bench.go_on(waiting);
    counted.sort();
    assert_eq!((flushed(outcomes), counted), (vec![Ok(()); 3], vec![Some((1, 1)), Some((1, 1)), Some((1, 2))]));
}

#[test]
fn where_flushes_are_not_shared_nobody_waits_for_anybody() {
    let (flusher, disk) = (Flusher::new(Grouping::One), Plate::default());
    let others = || flusher.flush((1, 2), || disk.flush_one((1, 2)), || panic!("one flush each"));
    flusher.flush((1, 1), others, || panic!("one flush each")).unwrap();
    assert_eq!(disk.counted.into_inner().unwrap(), [Some((1, 2))]);
}

/// Lets a flush of `failing` fail, slowly, and another one of `thing` succeed meanwhile; whether that was believed only after
/// the first had said so.
fn waits_until_it_is_known(failing: Option<Identity>, thing: Identity) -> bool {
    let (flusher, said) = (Arc::new(Flusher::new(Grouping::One)), Arc::new(AtomicBool::new(false)));
    let (begun, begins) = channel();
    let (go_on, goes_on) = channel::<()>();
    let slow = thread::spawn({
        let (flusher, said) = (Arc::clone(&flusher), Arc::clone(&said));
        move || {
            let fails = || {
                begun.send(()).unwrap();
                goes_on.recv().unwrap();
                // Whoever does not wait is long gone when this is over.
                thread::sleep(Duration::from_millis(50));
                said.store(true, Ordering::SeqCst);
                Err(Errno::IO)
            };
            flusher.run(failing, fails).flushed
        }
    });
    begins.recv().unwrap();
    let succeeds = || {
        go_on.send(()).unwrap();
        Ok(())
    };
    assert_eq!(flusher.flush_alone(thing, succeeds), Ok(()));
    let waited = said.load(Ordering::SeqCst);
    assert_eq!(slow.join().unwrap(), Err(Errno::IO));
    waited
}

#[test]
fn a_flush_is_not_believed_before_it_is_known_whether_another_has_failed_that_covers_the_same() {
    assert!(waits_until_it_is_known(Some((1, 1)), (1, 1)));
    assert!(waits_until_it_is_known(None, (1, 1)));
    assert!(!waits_until_it_is_known(Some((1, 2)), (1, 1)), "another thing is no reason to wait");
}

#[test]
fn a_flush_that_began_later_is_not_waited_for() {
    let flusher = together();
    let ended = flusher.run(Some((1, 1)), || Ok(()));
    let later = Running::of(&flusher, Some((1, 1)));
    assert_eq!(flusher.believe((1, 1), ended), Ok(()));
    drop(later);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn when_a_flush_returns_one_that_covers_the_thing_has_begun_after_the_call(
        wanted in prop::collection::vec(prop::collection::vec(0..4_u64, 1..40), 2..8),
        turns in any::<bool>(),
    ) {
        let flusher = together();
        let disk = Plate::default();
        let (flusher, disk) = (&flusher, &disk);
        thread::scope(|scope| {
            for things in &wanted {
                scope.spawn(move || {
                    for &number in things {
                        let thing = (1, number);
                        if turns {
                            flusher.lock().pace.turn_to(if number % 2 == 0 { Way::Apart } else { Way::Together });
                        }
                        let called = disk.now();
                        flusher.flush(thing, || disk.flush_one(thing), || disk.flush_all()).unwrap();
                        assert!(disk.last(thing) > called, "nothing covers {thing:?} since {called}");
                    }
                });
            }
        });
    }
}
