//! A store that keeps conditional PUTs, and loses one of two conditional completes at once: claims
//! guard its commits.

use std::time::Duration;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::super::key_claims::Claimant;
use super::super::marks::Attempt;
use super::faulty::{Fault, Op};
use super::nodes::{ALL, OTHER, begun, feed, kept, note, resumed};
use super::{Bench, CLAIM_TIMES, Completes, LARGE, Object, SMALL, Seen, node, spec};
use crate::error::{ErrorKind, Result};
use crate::sink::{Sink, Staged};
use crate::upload::{Digest, Ending, OnConflict, Receipt};

/// How much older a claim becomes that is taken over.
const TTL: Duration = CLAIM_TIMES.ttl;

fn losing() -> Seen {
    Seen { create: true.into(), complete: Completes::Lose.into(), hides: false.into(), ..Seen::default() }
}

/// Two nodes at such a store.
fn bench() -> (Bench, Object) {
    let bench = Bench::of(losing());
    bench.store.lose_completes();
    let other = node(&bench.store, losing());
    (bench, other)
}

async fn staged(sink: &Object, on_conflict: OnConflict, bytes: &[u8]) -> Box<dyn Staged> {
    begun(sink, &spec(on_conflict), bytes, bytes.len()).await
}

/// Claims, and the objects of probes.
fn litter(bench: &Bench) -> Vec<String> {
    let is_litter = |path: &String| path.contains("/claims/") || path.contains("/probe/");
    bench.store.paths().into_iter().filter(is_litter).collect()
}

/// One receipt and one conflict, and the file is the receipt's.
async fn assert_one_winner(bench: &Bench, outcomes: [Result<Receipt>; 2], contents: [&[u8]; 2]) {
    let winners: Vec<_> = (0..2).filter(|at| outcomes[*at].is_ok()).collect();
    let [winner] = winners[..] else { panic!("{outcomes:?}") };
    assert_eq!(outcomes[1 - winner].as_ref().unwrap_err().kind(), ErrorKind::Conflict, "{outcomes:?}");
    assert_eq!(bench.read("a.bin").await.unwrap(), contents[winner]);
}

#[tokio::test]
async fn a_probe_races_and_says_how_commits_are_guarded() {
    let bench = Bench::untried();
    bench.store.lose_completes();
    let probe = bench.sink.probe().await.unwrap();
    assert_eq!(probe.problem(), None);
    let says =
        |finding: &crate::sink::Finding| finding.outcome.as_ref().is_ok_and(|how| how.contains("a claim for each name"));
    assert!(probe.findings.iter().any(says), "{probe:?}");
    assert!(bench.sink.remote.seen.needs_claims());
    bench.assert_nothing_stays();
}

#[tokio::test]
async fn a_store_that_loses_puts_too_is_refused_conditional_commits() {
    let bench = Bench::untried();
    bench.store.lose_completes();
    bench.store.lose_puts();
    let probe = bench.sink.probe().await.unwrap();
    assert_eq!(probe.findings.iter().filter(|finding| finding.outcome.is_err()).count(), 2, "{probe:?}");
    assert!(probe.problem().unwrap().contains("both succeed"), "{probe:?}");
    for bytes in [SMALL, LARGE] {
        for on_conflict in [OnConflict::Reject, OnConflict::Version] {
            let error = bench.send(&spec(on_conflict), bytes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert!(error.to_string().contains("use another store"), "{error}");
        }
    }
    bench.assert_nothing_stays();
    bench.send(&spec(OnConflict::Overwrite), SMALL).await.unwrap();
}

#[tokio::test]
async fn of_two_nodes_that_commit_at_once_one_wins() {
    for contents in [[LARGE, OTHER], [LARGE, SMALL], [SMALL, LARGE]] {
        let (bench, other) = bench();
        let one = staged(&bench.sink, OnConflict::Reject, contents[0]).await;
        let two = staged(&other, OnConflict::Reject, contents[1]).await;
        let outcomes = tokio::join!(one.commit(Ending::default()), two.commit(Ending::default()));
        assert_one_winner(&bench, outcomes.into(), contents).await;
        assert_eq!(litter(&bench), Vec::<String>::new());
        assert_eq!(bench.store.unfinished(), 0);
    }
}

/// Otherwise it would write over what the other one was just given a receipt for.
#[tokio::test]
async fn who_overwrites_takes_its_turn_too() {
    let (bench, other) = bench();
    let one = staged(&bench.sink, OnConflict::Reject, LARGE).await;
    let two = staged(&other, OnConflict::Overwrite, OTHER).await;
    let (one, two) = tokio::join!(one.commit(Ending::default()), two.commit(Ending::default()));
    assert!(two.is_ok(), "{two:?}");
    assert!(one.as_ref().is_ok() || one.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict), "{one:?}");
    assert_eq!(bench.read("a.bin").await.unwrap(), OTHER);
}

#[tokio::test]
async fn no_claim_stays_behind_a_commit() {
    for on_conflict in ALL {
        for bytes in [SMALL, LARGE] {
            let (bench, _) = bench();
            let receipt = bench.send(&spec(on_conflict), bytes).await.unwrap();
            assert_eq!(receipt.digest, Digest::of(bytes));
            bench.send(&spec(OnConflict::Version), b"other").await.unwrap();
            assert_eq!(litter(&bench), Vec::<String>::new(), "{on_conflict:?}");
        }
    }
}

/// A commit that hangs with its claim: its complete, or its PUT, is on its way to the store.
async fn hanging(bench: &Bench, op: Op, bytes: &[u8]) -> tokio::task::JoinHandle<Result<Receipt>> {
    bench.store.after(0, op, Fault::Stuck);
    let upload = staged(&bench.sink, OnConflict::Reject, bytes).await;
    let hanging = tokio::spawn(upload.commit(Ending::default()));
    while bench.store.stuck() == 0 {
        tokio::task::yield_now().await;
    }
    hanging
}

#[tokio::test]
async fn who_finds_a_young_claim_waits_and_then_is_busy() {
    let cases = [(Op::Complete, LARGE, OTHER), (Op::Complete, LARGE, SMALL), (Op::Put, SMALL, OTHER)];
    for (op, bytes, others) in cases {
        let (bench, other) = bench();
        let first = hanging(&bench, op, bytes).await;
        let second = staged(&other, OnConflict::Reject, others).await.commit(Ending::default()).await;
        assert_eq!(second.unwrap_err().kind(), ErrorKind::Busy);
        bench.store.heal();
        assert!(first.await.unwrap().is_ok());
        assert_eq!(bench.read("a.bin").await.unwrap(), bytes);
        assert_eq!(litter(&bench), Vec::<String>::new());
    }
}

/// The complete of a dead upload comes at the same time as that of its heir, and both look before
/// either writes.
#[tokio::test]
async fn an_old_claim_is_taken_over_and_its_owner_can_complete_no_more() {
    let (bench, other) = bench();
    let first = hanging(&bench, Op::Complete, LARGE).await;
    bench.store.age(TTL);
    bench.store.after(0, Op::Complete, Fault::Stuck);
    let heir = tokio::spawn(staged(&other, OnConflict::Reject, OTHER).await.commit(Ending::default()));
    while bench.store.stuck() < 2 {
        tokio::task::yield_now().await;
    }
    bench.store.heal();
    let late = first.await.unwrap();
    assert!(late.is_err(), "{late:?}");
    assert_eq!(heir.await.unwrap().unwrap().digest, Digest::of(OTHER));
    assert_eq!(bench.read("a.bin").await.unwrap(), OTHER);
}

/// Each takes over from the one before it, and every one of them dies.
#[tokio::test]
async fn a_row_of_dead_owners_is_taken_over_by_one_of_two() {
    let (bench, other) = bench();
    for _ in 0..3 {
        let dead = hanging(&bench, Op::Complete, LARGE).await;
        dead.abort();
        bench.store.age(TTL);
        bench.store.forget_stuck();
    }
    let third = node(&bench.store, losing());
    let one = staged(&other, OnConflict::Reject, LARGE).await;
    let two = staged(&third, OnConflict::Reject, OTHER).await;
    let outcomes = tokio::join!(one.commit(Ending::default()), two.commit(Ending::default()));
    assert_one_winner(&bench, outcomes.into(), [LARGE, OTHER]).await;
    assert_eq!(litter(&bench), Vec::<String>::new());
}

#[tokio::test]
async fn another_node_goes_on_with_the_claim_of_the_same_attempt() {
    for aged in [Duration::ZERO, TTL] {
        let (bench, other) = bench();
        let spec = kept(OnConflict::Reject);
        begun(&bench.sink, &spec, LARGE, 13).await.suspend(note(13)).await.unwrap();
        let mut pair = [resumed(&bench.sink, &spec).await, resumed(&other, &spec).await];
        for staged in &mut pair {
            feed(staged.as_mut(), LARGE, LARGE.len()).await.unwrap();
        }
        let [one, two] = pair;
        bench.store.after(0, Op::Complete, Fault::Stuck);
        let dead = tokio::spawn(one.commit(Ending::default()));
        while bench.store.stuck() == 0 {
            tokio::task::yield_now().await;
        }
        dead.abort();
        bench.store.age(aged);
        let receipt = two.commit(Ending::default()).await.unwrap();
        assert_eq!(receipt.digest, Digest::of(LARGE));
        assert_eq!(bench.read("a.bin").await.unwrap(), LARGE);
    }
}

#[tokio::test]
async fn a_sweep_removes_the_claims_of_the_dead_and_leaves_the_others() {
    let (bench, other) = bench();
    hanging(&bench, Op::Complete, LARGE).await.abort();
    other.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(litter(&bench).len(), 1, "it is young");
    bench.store.age(TTL);
    other.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(litter(&bench), Vec::<String>::new());
}

/// A chain that was removed and begun again since it was looked at is not gone on with.
#[tokio::test]
async fn who_took_over_from_a_claim_that_was_replaced_begins_again() {
    let (bench, other) = bench();
    let claim = async |sink: &Object| {
        let spec = spec(OnConflict::Reject);
        let claimant = Claimant { key: &spec.key, upload_id: &spec.id, attempt: &Attempt::new(), multipart: None };
        sink.remote.claim_key(claimant).await.unwrap().unwrap()
    };
    let _dead = claim(&bench.sink).await;
    bench.store.age(TTL);
    // The first claim is found to be old, and the second one is about to be made.
    bench.store.after(1, Op::Note, Fault::Stuck);
    let slow = tokio::spawn(staged(&other, OnConflict::Reject, SMALL).await.commit(Ending::default()));
    while bench.store.stuck() == 0 {
        tokio::task::yield_now().await;
    }
    let claims = litter(&bench);
    bench.store.inner().delete(&Path::parse(&claims[0]).unwrap()).await.unwrap();
    let _new = claim(&bench.sink).await;
    bench.store.heal();
    assert_eq!(slow.await.unwrap().unwrap_err().kind(), ErrorKind::Busy);
    assert_eq!(litter(&bench), claims, "the new claim stands, and no other");
}
