//! Nodes that share nothing but the bucket, and write one upload or one name at the same time.

use super::faulty::{Fault, Op};
use super::nodes::{ALL, OTHER, assert_one, begun, begun_on, feed, kept, note, resumed, until_committed, upload};
use super::{Bench, LARGE, Object, SMALL};
use crate::error::{ErrorKind, Result};
use crate::sink::{Sink, Staged};
use crate::upload::{Digest, Ending, Note, OnConflict, Receipt, UploadSpec};

type Pair = [Box<dyn Staged>; 2];

/// An upload that was cut off at `at`, and that two nodes go on with; and the second of them.
async fn two_at(bench: &Bench, spec: &UploadSpec, at: usize) -> (Pair, Object) {
    let other = bench.another();
    begun(&bench.sink, spec, LARGE, at).await.suspend(note(at as u64)).await.unwrap();
    let pair = [resumed(&bench.sink, spec).await, resumed(&other, spec).await];
    assert_eq!(pair.each_ref().map(|staged| staged.offset()), [at as u64; 2]);
    (pair, other)
}

/// The same, in the third part, of which the two have different bytes, to the end.
async fn rivals(bench: &Bench, spec: &UploadSpec) -> (Pair, Object) {
    let (mut pair, other) = two_at(bench, spec, 20).await;
    for (staged, bytes) in pair.iter_mut().zip([LARGE, OTHER]) {
        feed(staged.as_mut(), bytes, bytes.len()).await.unwrap();
    }
    (pair, other)
}

/// Until a request hangs at the store.
async fn until_stuck(bench: &Bench) {
    while bench.store.stuck() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn two_nodes_that_go_on_with_one_upload_commit_it_once() {
    for on_conflict in ALL {
        let bench = Bench::new();
        let spec = kept(on_conflict);
        let ([mut one, mut two], _) = two_at(&bench, &spec, 13).await;
        feed(one.as_mut(), LARGE, LARGE.len()).await.unwrap();
        feed(two.as_mut(), LARGE, LARGE.len()).await.unwrap();
        let (one, two) = tokio::join!(one.commit(Ending::default()), two.commit(Ending::default()));
        let (one, two) = (one.unwrap(), two.unwrap());
        assert_eq!(Receipt { duplicate: false, ..two }, one, "{on_conflict:?}: one receipt");
        assert_eq!(bench.sink.stat(&spec.key).await.unwrap(), Some(one));
        assert_one(&bench, LARGE).await;
    }
}

#[tokio::test]
async fn a_node_that_comes_too_late_with_the_same_bytes_has_the_same_receipt() {
    for bytes in [LARGE, OTHER] {
        let bench = Bench::new();
        let ([mut one, mut two], _) = two_at(&bench, &kept(OnConflict::Reject), 20).await;
        feed(one.as_mut(), LARGE, LARGE.len()).await.unwrap();
        feed(two.as_mut(), bytes, bytes.len() - 1).await.unwrap();
        let receipt = one.commit(Ending::default()).await.unwrap();
        feed(two.as_mut(), bytes, bytes.len()).await.unwrap();
        match two.commit(Ending::default()).await {
            Ok(late) => assert_eq!((late, bytes), (receipt, LARGE)),
            Err(error) => assert_eq!((error.kind(), bytes), (ErrorKind::Store, OTHER), "{error}"),
        }
        assert_one(&bench, LARGE).await;
    }
}

#[tokio::test]
async fn two_nodes_with_different_last_bytes_do_not_mix_them() {
    for on_conflict in ALL {
        let bench = Bench::new();
        let spec = kept(on_conflict);
        let ([one, two], other) = rivals(&bench, &spec).await;
        let outcomes: [_; 2] = tokio::join!(one.commit(Ending::default()), two.commit(Ending::default())).into();
        for (outcome, bytes) in outcomes.iter().zip([LARGE, OTHER]) {
            match outcome {
                Ok(receipt) => assert_eq!(receipt.digest, Digest::of(bytes), "{on_conflict:?}"),
                Err(error) => assert!(matches!(error.kind(), ErrorKind::Store | ErrorKind::Busy), "{error}"),
            }
        }
        assert!(!outcomes.iter().all(Result::is_ok), "{on_conflict:?}: {outcomes:?}");
        if let Some(receipt) = bench.sink.stat(&spec.key).await.unwrap() {
            let bytes = bench.read("a.bin").await.unwrap();
            assert_eq!(receipt.digest, Digest::of(&bytes), "what lies there is what the record says");
            assert!(outcomes.iter().any(|outcome| outcome.as_ref().is_ok_and(|given| *given == receipt)));
        } else {
            // Nobody is in the way of the next try.
            until_committed(&other, &spec, OTHER).await;
            assert_one(&bench, OTHER).await;
        }
    }
}

#[tokio::test]
async fn a_receipt_noted_for_other_bytes_is_not_completed() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Reject);
    let ([one, two], other) = rivals(&bench, &spec).await;
    bench.store.after(0, Op::Complete, Fault::Stuck);
    let first = tokio::spawn(one.commit(Ending::default()));
    until_stuck(&bench).await;
    let error = two.commit(Ending::default()).await.unwrap_err();
    assert!(error.to_string().contains("with other bytes"), "{error}");
    bench.store.heal();
    assert_eq!(first.await.unwrap().unwrap_err().kind(), ErrorKind::Store);
    until_committed(&other, &spec, LARGE).await;
    assert_one(&bench, LARGE).await;
}

#[tokio::test]
async fn who_has_other_bytes_leaves_the_record_of_what_stands() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Reject);
    let ([one, two], _) = rivals(&bench, &spec).await;
    // Its last part has arrived, its receipt has not; then the other's last part takes the place of its own.
    bench.store.after(0, Op::Note, Fault::Stuck);
    let late = tokio::spawn(two.commit(Ending::default()));
    until_stuck(&bench).await;
    let receipt = one.commit(Ending::default()).await.unwrap();
    bench.store.heal();
    assert_eq!(late.await.unwrap().unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(bench.sink.stat(&spec.key).await.unwrap(), Some(receipt));
    assert_one(&bench, LARGE).await;
}

#[tokio::test]
async fn a_node_that_was_overtaken_with_other_bytes_stops_and_removes_nothing() {
    let bench = Bench::new();
    let (spec, other) = (kept(OnConflict::Reject), bench.another());
    let mut zombie = begun(&bench.sink, &spec, OTHER, 11).await;
    // A record of the second part is what decides, so it must be there first.
    while other.resume(spec.clone()).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    let wrong = b"0123456789XXXXXXXXXXXXXXXX";
    begun_on(&other, &spec, LARGE, 24).await.suspend(note(24)).await.unwrap();
    let before = bench.store.paths();
    let error = match feed(zombie.as_mut(), wrong, wrong.len()).await {
        Ok(()) => zombie.commit(Ending::default()).await.unwrap_err(),
        Err(error) => {
            zombie.abort().await.unwrap();
            error
        }
    };
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_eq!((bench.store.paths(), bench.store.unfinished()), (before, 1));
    // It has replaced a part, which the store says.
    until_committed(&other, &spec, LARGE).await;
    assert_one(&bench, LARGE).await;
}

#[tokio::test]
async fn a_node_that_was_overtaken_with_the_same_bytes_does_no_harm() {
    for commit_first in [true, false] {
        let bench = Bench::new();
        let (spec, other) = (kept(OnConflict::Reject), bench.another());
        let mut zombie = begun(&bench.sink, &spec, LARGE, 11).await;
        while other.resume(spec.clone()).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        let mut heir = begun_on(&other, &spec, LARGE, LARGE.len()).await;
        if commit_first {
            let receipt = heir.commit(Ending::default()).await.unwrap();
            let error = feed(zombie.as_mut(), LARGE, LARGE.len()).await.err();
            let outcome = match error {
                Some(error) => zombie.suspend(Note::default()).await.map(|_| Err::<Receipt, _>(error)).unwrap(),
                None => zombie.commit(Ending::default()).await,
            };
            match outcome {
                Ok(late) => assert_eq!(late, receipt),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Store, "{error}"),
            }
            assert_eq!(bench.sink.committed(&spec.id, &spec.key).await.unwrap(), Some(receipt));
        } else {
            feed(zombie.as_mut(), LARGE, LARGE.len()).await.unwrap();
            zombie.suspend(note(LARGE.len() as u64)).await.unwrap();
            heir.checkpoint(Note::default()).await.unwrap();
            heir.commit(Ending::default()).await.unwrap();
        }
        assert_one(&bench, LARGE).await;
    }
}

#[tokio::test]
async fn of_two_nodes_that_begin_one_upload_the_second_is_told() {
    let bench = Bench::new();
    let (spec, other) = (kept(OnConflict::Reject), bench.another());
    let mut one = bench.sink.stage(spec.clone()).await.unwrap();
    let mut two = other.stage(spec.clone()).await.unwrap();
    feed(one.as_mut(), LARGE, 11).await.unwrap();
    let error = feed(two.as_mut(), LARGE, 11).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy, "{error}");
    assert_eq!(two.suspend(Note::default()).await.unwrap(), 0);
    assert_eq!(bench.store.unfinished(), 1, "that of the first");
    feed(one.as_mut(), LARGE, LARGE.len()).await.unwrap();
    one.commit(Ending::default()).await.unwrap();
    assert_one(&bench, LARGE).await;
}

#[tokio::test]
async fn two_nodes_that_race_for_one_name_end_with_one_file_and_two_answers() {
    for (first, second) in [(LARGE, LARGE), (LARGE, OTHER), (SMALL, LARGE)] {
        let bench = Bench::new();
        let (one, two, other) = (kept(OnConflict::Reject), kept(OnConflict::Reject), bench.another());
        let outcomes: [_; 2] =
            tokio::join!(upload(&bench.sink, &one, first, None), upload(&other, &two, second, None)).into();
        let won = outcomes.iter().filter(|outcome| outcome.as_ref().is_ok_and(|receipt| !receipt.duplicate)).count();
        assert_eq!(won, 1, "{outcomes:?}");
        for outcome in &outcomes {
            match outcome {
                Ok(receipt) => assert_eq!(receipt.digest, Digest::of(&bench.read("a.bin").await.unwrap())),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
            }
        }
        let bytes = bench.read("a.bin").await.unwrap();
        assert_one(&bench, &bytes).await;
    }
}
