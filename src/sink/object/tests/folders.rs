//! A store that hides what lies below an object, as `MinIO` does: a name is either a file or a
//! folder.

use std::time::Duration;

use super::faulty::{Fault, Op};
use super::nodes::{OTHER, begun};
use super::{Bench, Completes, LARGE, Object, SMALL, Seen, node, spec_of};
use crate::error::{ErrorKind, Result};
use crate::sink::Sink;
use crate::upload::{Ending, OnConflict, Receipt};

fn hiding() -> Seen {
    Seen { create: true.into(), complete: Completes::Hold.into(), hides: true.into(), ..Seen::default() }
}

/// Two nodes at such a store.
fn bench() -> (Bench, Object) {
    let bench = Bench::of(hiding());
    bench.store.hide_below_objects();
    let other = node(&bench.store, hiding());
    (bench, other)
}

async fn send(sink: &Object, name: &str, on_conflict: OnConflict, bytes: &[u8]) -> Result<Receipt> {
    begun(sink, &spec_of(name, on_conflict), bytes, bytes.len()).await.commit(Ending::default()).await
}

/// Every file can be found by who lists.
async fn assert_nothing_is_hidden(bench: &Bench) {
    let listed = bench.sink.remote.list(&"in".into()).await.unwrap();
    let mut listed: Vec<_> = listed.into_iter().map(|object| object.location.to_string()).collect();
    listed.sort();
    assert_eq!(listed, bench.store.paths());
}

#[tokio::test]
async fn a_probe_tells_whether_the_store_hides() {
    for hides in [false, true] {
        let bench = Bench::untried();
        if hides {
            bench.store.hide_below_objects();
        }
        assert_eq!(bench.sink.probe().await.unwrap().problem(), None);
        assert_eq!(bench.sink.remote.seen.hides.get(), Some(&hides));
        bench.assert_nothing_stays();
    }
}

#[tokio::test]
async fn the_second_comer_is_told_what_is_in_its_way() {
    for [first, second] in [["p/b", "p/b/c/d.bin"], ["p/b/c/d.bin", "p/b"]] {
        for bytes in [SMALL, LARGE] {
            for on_conflict in [OnConflict::Reject, OnConflict::Overwrite] {
                let (bench, other) = bench();
                send(&bench.sink, first, on_conflict, SMALL).await.unwrap();
                let error = send(&other, second, on_conflict, bytes).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert!(error.to_string().contains(first) && error.to_string().contains("another name"), "{error}");
                assert_nothing_is_hidden(&bench).await;
                assert!(send(&bench.sink, first, on_conflict, SMALL).await.unwrap().duplicate);
            }
        }
    }
}

#[tokio::test]
async fn a_version_goes_beside_what_is_in_its_way() {
    let cases = [("p", "p/a.bin", "p~2/a.bin"), ("p/a.bin", "p", "p~2"), ("p.d/q", "p.d/q/r/s.bin", "p.d/q~2/r/s.bin")];
    for (first, second, expected) in cases {
        for bytes in [SMALL, LARGE] {
            let (bench, other) = bench();
            send(&bench.sink, first, OnConflict::Version, b"first").await.unwrap();
            let receipt = send(&other, second, OnConflict::Version, bytes).await.unwrap();
            assert_eq!((receipt.name.as_str(), receipt.key.as_str()), (second, expected));
            assert_eq!(bench.read(expected).await.unwrap(), bytes);
            let again = send(&bench.sink, second, OnConflict::Version, bytes).await.unwrap();
            assert_eq!((again.key.as_str(), again.duplicate), (expected, true));
            let more = send(&bench.sink, second, OnConflict::Version, OTHER).await.unwrap();
            assert!(!more.duplicate && more.key != again.key, "{more:?}");
            assert_eq!(bench.read(more.key.as_str()).await.unwrap(), OTHER);
            assert_nothing_is_hidden(&bench).await;
        }
    }
}

#[tokio::test]
async fn a_folder_beside_is_the_first_that_is_free_or_a_folder() {
    let (bench, _) = bench();
    for name in ["p", "p~2", "p~3/x"] {
        send(&bench.sink, name, OnConflict::Reject, SMALL).await.unwrap();
    }
    assert_eq!(send(&bench.sink, "p/a", OnConflict::Version, SMALL).await.unwrap().key.as_str(), "p~3/a");
    assert_nothing_is_hidden(&bench).await;
}

#[tokio::test]
async fn of_a_file_and_one_below_it_at_once_in_one_server_one_is_kept() {
    for contents in [[SMALL, SMALL], [SMALL, LARGE], [LARGE, SMALL], [LARGE, LARGE]] {
        let (bench, _) = bench();
        let one = begun(&bench.sink, &spec_of("p", OnConflict::Reject), contents[0], contents[0].len()).await;
        let two = begun(&bench.sink, &spec_of("p/a", OnConflict::Reject), contents[1], contents[1].len()).await;
        let outcomes: [_; 2] = tokio::join!(one.commit(Ending::default()), two.commit(Ending::default())).into();
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
        let error = outcomes.into_iter().find_map(Result::err).unwrap();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        let files = bench.store.paths().into_iter().filter(|path| !path.contains("/.tidegate/")).count();
        assert_eq!(files, 1);
    }
}

/// `p` is on its way to the store: what would get below it waits.
#[tokio::test]
async fn what_comes_below_a_file_on_its_way_waits_in_one_server() {
    for (op, bytes) in [(Op::Put, SMALL), (Op::Complete, LARGE)] {
        let (bench, _) = bench();
        let uploads = [("p", bytes), ("p/a", SMALL)].map(|(name, bytes)| (spec_of(name, OnConflict::Reject), bytes));
        let file = begun(&bench.sink, &uploads[0].0, bytes, bytes.len()).await;
        let below = begun(&bench.sink, &uploads[1].0, SMALL, SMALL.len()).await;
        bench.store.after(0, op, Fault::Stuck);
        let file = tokio::spawn(file.commit(Ending::default()));
        while bench.store.stuck() == 0 {
            tokio::task::yield_now().await;
        }
        let below = tokio::spawn(below.commit(Ending::default()));
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
        bench.store.heal();
        assert!(file.await.unwrap().is_ok());
        assert_eq!(below.await.unwrap().unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(bench.read("p/a").await, None);
    }
}

/// `p` was looked for, and its folder was empty; then the other node stored `p/a`, and `p` came
/// after all.
#[tokio::test]
async fn of_a_file_and_one_below_it_at_two_servers_one_has_a_receipt() {
    for (op, bytes) in [(Op::Put, SMALL), (Op::Complete, LARGE)] {
        let (bench, other) = bench();
        let upload = begun(&bench.sink, &spec_of("p", OnConflict::Reject), bytes, bytes.len()).await;
        bench.store.after(0, op, Fault::Stuck);
        let file = tokio::spawn(upload.commit(Ending::default()));
        while bench.store.stuck() == 0 {
            tokio::task::yield_now().await;
        }
        send(&other, "p/a", OnConflict::Reject, SMALL).await.unwrap();
        bench.store.heal();
        let error = file.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains("p/a"), "{error}");
        assert_eq!(bench.read("p/a").await.unwrap(), SMALL, "nothing is lost");
    }
}

/// `p/a` was noted and looked for `p`; then `p` came, and its answer waits for what becomes of
/// `p/a`.
#[tokio::test]
async fn a_file_waits_for_what_was_noted_below_it() {
    for succeeds in [true, false] {
        let (bench, other) = bench();
        let upload = begun(&other, &spec_of("p/a", OnConflict::Reject), SMALL, SMALL.len()).await;
        bench.store.after(0, Op::Put, Fault::Stuck);
        let below = tokio::spawn(upload.commit(Ending::default()));
        while bench.store.stuck() == 0 {
            tokio::task::yield_now().await;
        }
        let unknown = send(&bench.sink, "p", OnConflict::Reject, SMALL).await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Unknown, "{unknown}");
        if succeeds {
            bench.store.heal();
            below.await.unwrap().unwrap();
            let error = send(&bench.sink, "p", OnConflict::Reject, SMALL).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        } else {
            below.abort();
            bench.store.age(super::CLAIM_TIMES.ttl);
            assert!(send(&bench.sink, "p", OnConflict::Reject, SMALL).await.unwrap().duplicate);
        }
    }
}

#[tokio::test]
async fn a_sweep_removes_old_notes() {
    let (bench, _) = bench();
    send(&bench.sink, "p/a", OnConflict::Reject, SMALL).await.unwrap();
    bench.sink.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(bench.store.paths().len(), 3, "the note is young");
    bench.store.age(super::CLAIM_TIMES.ttl);
    bench.sink.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(bench.store.paths(), ["in/p/a"]);
}

#[tokio::test]
async fn a_store_that_lists_both_keeps_both() {
    let bench = Bench::new();
    for name in ["p", "p/a", "q/a", "q"] {
        let receipt = send(&bench.sink, name, OnConflict::Reject, SMALL).await.unwrap();
        assert_eq!(receipt.key.as_str(), name);
    }
    assert_eq!(bench.store.paths().len(), 4);
}
