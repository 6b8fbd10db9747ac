//! What the sink makes of a store that fails, lies, or loses its answers.

mod claims;
mod faulty;
mod folders;
mod nodes;
mod probes;
mod rivals;
mod swept;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use object_store::path::Path;

use self::faulty::{Fault, Faulty, Op};
use super::bindings::Bindings;
use super::folders::Known;
use super::key_claims::ClaimTimes;
use super::remote::{Clients, Completes, Remote, Seen};
use super::turns::Turns;
use super::{Object, Sink};
use crate::budget::Budget;
use crate::config::Integrity;
use crate::error::{ErrorKind, Result};
use crate::sink::claims::Claims;
use crate::upload::{Digest, Ending, OnConflict, Receipt, UploadId, UploadSpec};

const PART: usize = 10;
const SMALL: &[u8] = b"abc";
const LARGE: &[u8] = b"0123456789abcdefghijklmnop";

/// A claim lives longer than a test, whose waits are short.
const CLAIM_TIMES: ClaimTimes =
    ClaimTimes { ttl: Duration::from_mins(4), patience: Duration::from_secs(2), suspicion: Duration::ZERO };

struct Bench {
    store: Arc<Faulty>,
    sink: Object,
}

impl Bench {
    /// A store whose conditions have been tried: the faults of a test are meant for its uploads.
    fn new() -> Self {
        Self::of(seen())
    }

    /// A store that nobody has tried yet.
    fn untried() -> Self {
        Self::of(Seen::default())
    }

    fn of(seen: Seen) -> Self {
        let store = Arc::new(Faulty::new(InMemory::new()));
        let sink = node(&store, seen);
        Self { store, sink }
    }

    /// Another node, that shares nothing with the first but the store.
    fn another(&self) -> Object {
        node(&self.store, seen())
    }

    async fn send(&self, spec: &UploadSpec, bytes: &[u8]) -> Result<Receipt> {
        let mut staged = self.sink.stage(spec.clone()).await?;
        for chunk in bytes.chunks(4) {
            if let Err(error) = staged.write(chunk.to_vec().into()).await {
                staged.abort().await.unwrap();
                return Err(error);
            }
        }
        staged.commit(Ending::default()).await
    }

    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        let object = self.store.inner().get(&Path::parse(format!("in/{key}")).unwrap()).await.ok()?;
        Some(object.bytes().await.unwrap().to_vec())
    }

    /// Nothing is visible, unfinished or recorded.
    fn assert_nothing_stays(&self) {
        assert_eq!(self.store.unfinished(), 0);
        assert_eq!(self.store.paths(), Vec::<String>::new());
    }
}

/// What the store is known for.
fn seen() -> Seen {
    Seen { create: true.into(), complete: Completes::Hold.into(), hides: false.into(), ..Seen::default() }
}

fn node(store: &Arc<Faulty>, seen: Seen) -> Object {
    node_with_parts(store, seen, PART)
}

fn node_with_parts(store: &Arc<Faulty>, seen: Seen, part_bytes: usize) -> Object {
    let clients = Clients {
        plain: Arc::clone(store) as _,
        creating: Arc::new(store.conditional()),
        checked: Arc::new(store.checking()),
        lying: Arc::new(store.lying()),
    };
    let remote = Remote {
        clients: clients.clone(),
        wanted: Integrity::Checksum,
        store: "bucket \"test\" in memory".to_owned(),
        prefix: "in".to_owned(),
        part_bytes,
        parts_in_flight: 2,
        bindings: Bindings::default(),
        open: Claims::default(),
        holding: Claims::default(),
        unfinished: Arc::clone(store) as _,
        turns: Turns::default(),
        names: Turns::default(),
        known_folders: Known::default(),
        seen,
        claim_times: CLAIM_TIMES,
        swept_to: std::sync::Mutex::default(),
        budget: Budget::unlimited(),
    };
    Object::over(remote, clients)
}

fn spec(on_conflict: OnConflict) -> UploadSpec {
    spec_of("a.bin", on_conflict)
}

fn spec_of(name: &str, on_conflict: OnConflict) -> UploadSpec {
    UploadSpec { on_conflict, ..UploadSpec::new(UploadId::generate(), name.parse().unwrap()) }
}

#[tokio::test]
async fn a_part_that_fails_fails_the_upload_and_nothing_stays() {
    for nth in 0..3 {
        let bench = Bench::new();
        bench.store.after(nth, Op::PutPart, Fault::Refused);
        let error = bench.send(&spec(OnConflict::Reject), LARGE).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{error}");
        assert!(error.to_string().contains("sending part"), "{error}");
        bench.assert_nothing_stays();
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_settled_by_looking() {
    for on_conflict in [OnConflict::Reject, OnConflict::Version, OnConflict::Overwrite] {
        for (op, bytes) in [(Op::Put, SMALL), (Op::Complete, LARGE)] {
            for fault in [Fault::DoneButTimedOut, Fault::DoneButNotFound, Fault::DoneButTaken] {
                let bench = Bench::new();
                // The record of a multipart upload is the first PUT; that of a small file is the file.
                bench.store.after(0, op, fault);
                let spec = spec(on_conflict);
                let receipt = bench.send(&spec, bytes).await.unwrap_or_else(|error| panic!("{op:?} {fault:?}: {error}"));
                assert!(!receipt.duplicate, "{op:?} {fault:?}: it is the upload's own work");
                assert_eq!(receipt.digest, Digest::of(bytes));
                assert_eq!(bench.sink.stat(&spec.key).await.unwrap(), Some(receipt.clone()));
                assert_eq!(bench.store.unfinished(), 0);
                let again = bench.send(&spec, bytes).await.unwrap();
                assert_eq!(again, Receipt { duplicate: true, ..receipt });
            }
        }
    }
}

#[tokio::test]
async fn what_did_not_happen_is_a_failure_of_the_store() {
    for (op, bytes) in [(Op::Put, SMALL), (Op::Complete, LARGE), (Op::Create, LARGE)] {
        for fault in [Fault::TimedOut, Fault::NotFound, Fault::Refused] {
            let bench = Bench::new();
            bench.store.always(op, fault);
            let error = bench.send(&spec(OnConflict::Reject), bytes).await.unwrap_err();
            // A single request can't be fenced off: what did not happen yet may still happen.
            let late = matches!((op, fault), (Op::Put, Fault::TimedOut | Fault::NotFound));
            let expected = if late { ErrorKind::Unknown } else { ErrorKind::Store };
            assert_eq!(error.kind(), expected, "{op:?} {fault:?}: {error}");
            bench.assert_nothing_stays();
        }
    }
}

#[tokio::test]
async fn a_request_that_broke_is_sent_again() {
    for on_conflict in [OnConflict::Reject, OnConflict::Version, OnConflict::Overwrite] {
        let bench = Bench::new();
        bench.store.after(0, Op::Put, Fault::TimedOut);
        let receipt = bench.send(&spec(on_conflict), SMALL).await.unwrap();
        assert!(!receipt.duplicate);
        assert_eq!(bench.store.paths(), ["in/a.bin"]);
    }
}

#[tokio::test]
async fn what_cannot_be_seen_is_unknown() {
    for (op, bytes) in [(Op::Put, SMALL), (Op::Complete, LARGE)] {
        let bench = Bench::new();
        bench.store.after(0, op, Fault::DoneButTimedOut);
        bench.store.always(Op::Head, Fault::TimedOut);
        let spec = spec(OnConflict::Reject);
        let error = bench.send(&spec, bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unknown, "{op:?}: {error}");
        bench.store.heal();
        let receipt = bench.sink.stat(&spec.key).await.unwrap().expect("it had happened");
        assert_eq!((receipt.id, receipt.digest), (Some(spec.id), Digest::of(bytes)), "and the record must have stayed");
    }
}

#[tokio::test]
async fn a_complete_that_may_still_come_is_fenced_off_or_unknown() {
    let bench = Bench::new();
    bench.store.after(0, Op::Complete, Fault::TimedOut);
    bench.store.always(Op::Abort, Fault::TimedOut);
    let error = bench.send(&spec(OnConflict::Reject), LARGE).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown, "{error}");
}

#[tokio::test]
async fn a_denied_request_is_no_mystery_even_if_looking_is_denied_too() {
    for (op, bytes) in [(Op::Put, SMALL), (Op::Complete, LARGE)] {
        let bench = Bench::new();
        bench.store.after(0, op, Fault::Refused);
        bench.store.always(Op::Head, Fault::Refused);
        let error = bench.send(&spec(OnConflict::Reject), bytes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store, "{op:?}: {error}");
        assert!(error.to_string().contains("s3:PutObject"), "{error}");
    }
}

#[tokio::test]
async fn an_upload_that_is_given_up_leaves_no_multipart_upload() {
    let bench = Bench::new();
    let mut staged = bench.sink.stage(spec(OnConflict::Reject)).await.unwrap();
    staged.write(LARGE.into()).await.unwrap();
    assert_eq!(bench.store.unfinished(), 1);
    staged.abort().await.unwrap();
    bench.assert_nothing_stays();
}

#[tokio::test]
async fn an_abort_that_fails_is_told() {
    let bench = Bench::new();
    bench.store.always(Op::Abort, Fault::TimedOut);
    let mut staged = bench.sink.stage(spec(OnConflict::Reject)).await.unwrap();
    staged.write(LARGE.into()).await.unwrap();
    assert_eq!(staged.abort().await.unwrap_err().kind(), ErrorKind::Store);
}

#[tokio::test]
async fn a_version_taken_by_another_process_meanwhile_can_be_retried() {
    let bench = Bench::new();
    let spec = spec(OnConflict::Version);
    let mut staged = bench.sink.stage(spec.clone()).await.unwrap();
    staged.write(LARGE.into()).await.unwrap();
    bench.store.inner().put(&Path::parse("in/a.bin").unwrap(), "theirs".into()).await.unwrap();
    let error = staged.commit(Ending::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store, "{error}");
    assert_eq!(bench.store.paths(), ["in/a.bin"]);
    assert_eq!(bench.send(&spec, LARGE).await.unwrap().key.as_str(), "a~2.bin");
    assert_eq!(bench.read("a.bin").await.unwrap(), b"theirs");
}

#[tokio::test]
async fn a_small_file_keeps_off_the_version_of_a_larger_one_on_its_way() {
    let bench = Bench::new();
    let mut staged = bench.sink.stage(spec(OnConflict::Version)).await.unwrap();
    staged.write(LARGE.into()).await.unwrap();
    assert_eq!(bench.send(&spec(OnConflict::Version), SMALL).await.unwrap().key.as_str(), "a~2.bin");
    assert_eq!(staged.commit(Ending::default()).await.unwrap().key.as_str(), "a.bin");
}

#[tokio::test]
async fn what_came_by_another_way_is_read_and_hashed() {
    let bench = Bench::new();
    bench.store.inner().put(&Path::parse("in/a.bin").unwrap(), SMALL.into()).await.unwrap();
    let receipt = bench.sink.stat(&"a.bin".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((receipt.id, receipt.size, receipt.digest), (None, 3, Digest::of(SMALL)));
    let same = bench.send(&spec(OnConflict::Reject), SMALL).await.unwrap();
    assert!(same.duplicate);
    let other = bench.send(&spec(OnConflict::Reject), b"xyz").await.unwrap_err();
    assert_eq!(other.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn a_lost_record_costs_time_but_no_truth() {
    let bench = Bench::new();
    let receipt = bench.send(&spec(OnConflict::Reject), LARGE).await.unwrap();
    for path in bench.store.paths().iter().filter(|path| path.contains("receipts")) {
        bench.store.inner().delete(&Path::parse(path).unwrap()).await.unwrap();
    }
    let stat = bench.sink.stat(&receipt.key).await.unwrap().unwrap();
    assert_eq!((stat.id, stat.size, stat.digest), (receipt.id, receipt.size, receipt.digest));
}

#[tokio::test]
async fn more_parts_than_the_store_takes_are_refused() {
    let bench = Bench::new();
    let mut announced = spec(OnConflict::Reject);
    announced.size = Some(PART as u64 * 10_000 + 1);
    assert_eq!(bench.sink.stage(announced).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let mut staged = bench.sink.stage(spec(OnConflict::Reject)).await.unwrap();
    let full = vec![7; PART * 10_000];
    staged.write(full.into()).await.unwrap();
    staged.write(vec![7; 1].into()).await.unwrap();
    let error = staged.commit(Ending::default()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    bench.assert_nothing_stays();
}

#[tokio::test]
async fn a_write_that_is_dropped_half_way_can_only_be_given_up() {
    for op in [Op::Create, Op::PutPart] {
        let bench = Bench::new();
        bench.store.after(0, op, Fault::Stuck);
        let mut staged = bench.sink.stage(spec(OnConflict::Reject)).await.unwrap();
        {
            let mut write = Some(staged.write(vec![7; 5 * PART].into()));
            while bench.store.stuck() == 0 {
                if write.as_mut().is_some_and(|write| write.now_or_never().is_some()) {
                    write = None;
                }
                tokio::task::yield_now().await;
            }
        }
        bench.store.heal();
        staged.abort().await.unwrap();
        bench.assert_nothing_stays();
    }
}

#[tokio::test]
async fn a_store_that_ignores_conditions_takes_only_what_does_without() {
    let bench = Bench::untried();
    bench.store.ignore_conditions();
    for on_conflict in [OnConflict::Reject, OnConflict::Version] {
        for bytes in [SMALL, LARGE] {
            let error = bench.send(&spec(on_conflict), bytes).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            assert!(error.to_string().contains("ignores If-None-Match"), "{error}");
            bench.assert_nothing_stays();
        }
    }
    bench.send(&spec(OnConflict::Overwrite), SMALL).await.unwrap();
}

#[tokio::test]
async fn an_untried_store_is_tried_by_the_first_upload() {
    for bytes in [SMALL, LARGE] {
        let bench = Bench::untried();
        bench.send(&spec(OnConflict::Reject), bytes).await.unwrap();
        let visible = bench.store.paths().into_iter().filter(|path| !path.contains("receipts")).collect::<Vec<_>>();
        assert_eq!(visible, ["in/a.bin"]);
    }
}

#[tokio::test]
async fn a_probe_tells_a_store_that_ignores_conditions() {
    let bench = Bench::untried();
    assert_eq!(bench.sink.probe().await.unwrap().problem(), None);
    bench.assert_nothing_stays();
    let bench = Bench::untried();
    bench.store.ignore_conditions();
    let probe = bench.sink.probe().await.unwrap();
    let failed: Vec<_> =
        probe.findings.iter().filter(|finding| finding.outcome.is_err()).map(|finding| finding.what).collect();
    assert_eq!(failed, ["conditional create", "conditional complete of a multipart upload"]);
    assert!(probe.problem().unwrap().contains("on_conflict"));
    bench.assert_nothing_stays();
}

#[tokio::test]
async fn only_a_store_that_was_seen_to_compare_checksums_is_given_them() {
    for compares in [false, true] {
        let bench = Bench::untried();
        if compares {
            bench.store.compare_checksums();
        }
        assert_eq!(bench.sink.remote.integrity(), Integrity::Signature);
        assert_eq!(bench.sink.probe().await.unwrap().problem(), None);
        assert_eq!(bench.sink.remote.integrity() == Integrity::Checksum, compares);
        for bytes in [SMALL, LARGE] {
            bench.send(&spec(OnConflict::Version), bytes).await.unwrap();
        }
        assert_eq!(bench.store.checked().is_empty(), !compares, "{:?}", bench.store.checked());
    }
}

#[tokio::test]
async fn a_store_that_does_not_say_whether_it_compares_checksums_is_asked_again() {
    let bench = Bench::new();
    bench.store.compare_checksums();
    // Write, create, then the wrong checksum.
    bench.store.after(2, Op::Put, Fault::TimedOut);
    assert_eq!(bench.sink.probe().await.unwrap().problem(), None);
    assert_eq!(bench.sink.remote.integrity(), Integrity::Signature);
    assert_eq!(bench.sink.probe().await.unwrap().problem(), None);
    assert_eq!(bench.sink.remote.integrity(), Integrity::Checksum);
}

#[tokio::test]
async fn a_probe_of_a_store_that_is_away_says_so_and_stops() {
    let bench = Bench::new();
    bench.store.always(Op::Put, Fault::TimedOut);
    let probe = bench.sink.probe().await.unwrap();
    assert_eq!(probe.findings.len(), 1);
    assert!(probe.problem().unwrap().starts_with("write: "));
}

#[tokio::test]
async fn a_commit_that_nobody_waits_for_ends_all_the_same() {
    for (op, bytes) in [(Op::Put, SMALL), (Op::Complete, LARGE)] {
        let bench = Bench::new();
        bench.store.after(0, op, Fault::Stuck);
        let spec = spec(OnConflict::Reject);
        let mut staged = bench.sink.stage(spec.clone()).await.unwrap();
        staged.write(bytes.into()).await.unwrap();
        {
            let mut commit = staged.commit(Ending::default());
            while bench.store.stuck() == 0 {
                assert!((&mut commit).now_or_never().is_none());
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(bench.sink.stage(spec.clone()).await.unwrap_err().kind(), ErrorKind::Busy);
        bench.store.heal();
        while bench.sink.stage(spec.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(bench.read("a.bin").await.unwrap(), bytes);
        assert_eq!(bench.store.unfinished(), 0);
    }
}

#[tokio::test]
async fn a_version_that_stepped_aside_is_found_again() {
    let bench = Bench::new();
    let mut larger = bench.sink.stage(spec(OnConflict::Version)).await.unwrap();
    larger.write(LARGE.into()).await.unwrap();
    // The larger file is bound to the name itself, so the small one goes beside it; then the larger one is given up.
    let first = bench.send(&spec(OnConflict::Version), SMALL).await.unwrap();
    assert_eq!(first.key.as_str(), "a~2.bin");
    larger.abort().await.unwrap();
    let again = bench.send(&spec(OnConflict::Version), SMALL).await.unwrap();
    assert_eq!((again.key.as_str(), again.duplicate), ("a~2.bin", true));
    assert_eq!(bench.store.paths(), ["in/a~2.bin"]);
}
