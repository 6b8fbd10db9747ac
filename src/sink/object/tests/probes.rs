//! The objects that a probe leaves in a store that fails in between, or that is slow.

use std::time::Duration;

use super::faulty::{Fault, Op};
use super::{Bench, Sink};
use crate::sink::object::probe;

#[tokio::test]
async fn a_probe_of_a_store_that_fails_leaves_nothing() {
    // An answer that is lost when a multipart upload is opened leaves one that has no known id: the
    // sweep gives it up.
    for op in [Op::Put, Op::Get, Op::Delete, Op::PutPart, Op::Complete] {
        for fault in [Fault::TimedOut, Fault::DoneButTimedOut, Fault::Refused] {
            for nth in 0..6 {
                assert_nothing_stays(&Bench::new(), nth, op, fault).await;
            }
        }
    }
}

#[tokio::test]
async fn a_first_probe_of_a_store_that_loses_answers_leaves_nothing() {
    for (op, calls) in [(Op::Put, 24), (Op::List, 1), (Op::Complete, 3)] {
        for nth in 0..calls {
            assert_nothing_stays(&Bench::untried(), nth, op, Fault::DoneButTimedOut).await;
        }
    }
}

async fn assert_nothing_stays(bench: &Bench, nth: usize, op: Op, fault: Fault) {
    bench.store.compare_checksums();
    bench.store.after(nth, op, fault);
    let probe = bench.sink.probe().await.unwrap();
    if op == Op::Delete && fault != Fault::DoneButTimedOut {
        bench.store.heal();
        bench.sink.sweep(Duration::ZERO).await.unwrap();
    }
    let left = bench.store.paths();
    assert!(left.is_empty(), "{fault:?} at {op:?} {nth}: {probe:?} left {left:?}");
    assert_eq!(bench.store.unfinished(), 0, "{fault:?} at {op:?} {nth}: {probe:?}");
}

#[tokio::test]
async fn a_probe_that_takes_too_long_ends_and_leaves_nothing() {
    let bench = Bench::untried();
    let probe = probe::run_for(&bench.sink.remote, &bench.sink.hasty, Duration::ZERO).await;
    assert!(probe.problem().unwrap().starts_with("deadline: "), "{probe:?}");
    let tried: Vec<_> = probe.findings.iter().map(|finding| finding.what).collect();
    assert_eq!(tried, ["write", "read back", "delete", "deadline"]);
    bench.assert_nothing_stays();
}
