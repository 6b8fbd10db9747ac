//! Nodes that share nothing but the bucket, and go on where another one has died or was cut off.

use std::sync::Arc;
use std::time::Duration;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::faulty::{Fault, Op};
use super::{Bench, LARGE, Object, PART, SMALL, spec};
use crate::config::Integrity;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::{Sink, Staged};
use crate::upload::{Digest, Ending, Note, OnConflict, Receipt, UploadSpec, WhenCut};

/// Begins like [`LARGE`], up to the second part's end.
pub(super) const OTHER: &[u8] = b"0123456789abcdefghijKLMNOP";

pub(super) const ALL: [OnConflict; 3] = [OnConflict::Reject, OnConflict::Version, OnConflict::Overwrite];

pub(super) fn kept(on_conflict: OnConflict) -> UploadSpec {
    UploadSpec { when_cut: WhenCut::Keep, ..spec(on_conflict) }
}

pub(super) fn note(offset: u64) -> Note {
    Note(Some(offset.into()))
}

/// Writes as the pump does, up to `end`.
pub(super) async fn feed(staged: &mut dyn Staged, bytes: &[u8], end: usize) -> Result<()> {
    let mut rest = &bytes[usize::try_from(staged.offset()).unwrap()..end];
    while !rest.is_empty() {
        let room = staged.until_checkpoint();
        let (piece, behind) = rest.split_at(rest.len().min(4).min(usize::try_from(room).unwrap()));
        staged.write(piece.to_vec().into()).await?;
        if piece.len() as u64 == room {
            staged.checkpoint(note(staged.offset())).await?;
        }
        rest = behind;
    }
    Ok(())
}

pub(super) async fn begun(sink: &Object, spec: &UploadSpec, bytes: &[u8], end: usize) -> Box<dyn Staged> {
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    feed(staged.as_mut(), bytes, end).await.unwrap();
    staged
}

pub(super) async fn resumed(sink: &Object, spec: &UploadSpec) -> Box<dyn Staged> {
    sink.resume(spec.clone()).await.unwrap().expect("something to go on from")
}

/// A whole upload as a sender sees it: asks whether it was committed, goes on or begins anew, and commits; cut off at
/// `cut` and taken up again.
pub(super) async fn upload(sink: &Object, spec: &UploadSpec, bytes: &[u8], cut: Option<usize>) -> Result<Receipt> {
    if let Some(receipt) = sink.committed(&spec.id, &spec.key).await? {
        return Ok(Receipt { duplicate: true, ..receipt });
    }
    let mut staged = match sink.resume(spec.clone()).await? {
        Some(staged) => staged,
        None => sink.stage(spec.clone()).await?,
    };
    assert!(bytes.len() as u64 >= staged.offset(), "never more than was sent");
    let end = cut.unwrap_or(bytes.len()).max(usize::try_from(staged.offset()).unwrap());
    if let Err(error) = feed(staged.as_mut(), bytes, end).await {
        staged.suspend(Note::default()).await?;
        return Err(error);
    }
    match cut {
        None => staged.commit(Ending::default()).await,
        Some(_) => {
            let offset = staged.offset();
            staged.suspend(note(offset)).await?;
            Err(Error::new(ErrorKind::Incomplete, "cut off"))
        }
    }
}

/// Tries until there is a receipt; passing failures are what a sender tries again after.
pub(super) async fn until_committed(sink: &Object, spec: &UploadSpec, bytes: &[u8]) -> Receipt {
    let mut last = None;
    for _ in 0..4 {
        match upload(sink, spec, bytes, None).await {
            Ok(receipt) => return receipt,
            Err(error) => last = Some(error),
        }
    }
    panic!("not committed: {last:?}");
}

/// One file of these bytes, its record where it needs one, and nothing else after a sweep.
pub(super) async fn assert_one(bench: &Bench, bytes: &[u8]) {
    assert_eq!(bench.read("a.bin").await.as_deref(), Some(bytes));
    let another = bench.another();
    another.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(bench.store.unfinished(), 0);
    let (records, files): (Vec<_>, Vec<_>) = bench.store.paths().into_iter().partition(|path| path.contains(".tidegate/"));
    assert_eq!(files, ["in/a.bin"]);
    assert!(records.len() <= 1 && records.iter().all(|path| path.contains("/receipts/")), "{records:?}");
    let stat = another.stat(&"a.bin".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(stat.digest, Digest::of(bytes));
}

#[tokio::test]
async fn a_crash_at_any_request_loses_no_receipt_and_leaves_no_litter() {
    for on_conflict in ALL {
        for fault in [Fault::TimedOut, Fault::DoneButTimedOut] {
            for (bytes, cut) in [(SMALL, None), (SMALL, Some(2)), (LARGE, None), (LARGE, Some(15)), (LARGE, Some(20))] {
                let mut reached = true;
                let mut nth = 0;
                while reached {
                    reached = crash(on_conflict, fault, bytes, cut, nth).await;
                    nth += 1;
                }
                assert!(nth > 3, "only {nth} requests");
            }
        }
    }
}

/// One node dies at its `nth` request, another one takes over. Says whether there was such a request.
async fn crash(on_conflict: OnConflict, fault: Fault, bytes: &[u8], cut: Option<usize>, nth: usize) -> bool {
    let story = format!("{on_conflict:?}, {fault:?} at request {nth}, cut at {cut:?} of {}", bytes.len());
    let bench = Bench::new();
    let spec = kept(on_conflict);
    bench.store.crash_at(nth, fault);
    let mut outcome = upload(&bench.sink, &spec, bytes, cut).await;
    if cut.is_some() && outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::Incomplete) {
        outcome = upload(&bench.sink, &spec, bytes, None).await;
    }
    let crashed = bench.store.has_crashed();
    bench.store.heal();
    let given = outcome.ok();
    let receipt = until_committed(&bench.another(), &spec, bytes).await;
    assert_eq!((receipt.key.as_str(), receipt.digest), ("a.bin", Digest::of(bytes)), "{story}");
    if let Some(given) = given {
        assert_eq!(receipt, Receipt { duplicate: true, ..given }, "{story}");
    }
    assert_one(&bench, bytes).await;
    crashed
}

#[tokio::test]
async fn a_receipt_that_was_noted_before_is_the_answer() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Reject);
    let staged = begun(&bench.sink, &spec, LARGE, LARGE.len()).await;
    // The first node is stuck between its record and its complete, and dies there.
    bench.store.after(0, Op::Complete, Fault::Stuck);
    let first = tokio::spawn(staged.commit(Ending::default()));
    while bench.store.stuck() == 0 {
        tokio::task::yield_now().await;
    }
    let json = bench.store.paths().into_iter().find(|path| path.contains("/receipts/")).unwrap();
    let noted = bench.store.inner().get(&Path::parse(json).unwrap()).await.unwrap().bytes().await.unwrap();
    let noted: Receipt = serde_json::from_slice(&noted).unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    let receipt = until_committed(&bench.another(), &spec, LARGE).await;
    assert_eq!(receipt, noted, "its time as well");
    bench.store.heal();
    assert_eq!(first.await.unwrap().unwrap(), receipt);
    assert_one(&bench, LARGE).await;
}

pub(super) async fn begun_on(sink: &Object, spec: &UploadSpec, bytes: &[u8], end: usize) -> Box<dyn Staged> {
    let mut staged = resumed(sink, spec).await;
    feed(staged.as_mut(), bytes, end).await.unwrap();
    staged
}

#[tokio::test]
async fn a_multipart_upload_that_the_store_has_dropped_begins_anew() {
    for (end, suspend) in [(13, true), (13, false), (25, true)] {
        let bench = Bench::new();
        let spec = kept(OnConflict::Reject);
        let mut staged = begun(&bench.sink, &spec, LARGE, end).await;
        if suspend {
            staged.suspend(note(end as u64)).await.unwrap();
            staged = resumed(&bench.sink, &spec).await;
        }
        bench.store.drop_unfinished();
        let outcome = match feed(staged.as_mut(), LARGE, LARGE.len()).await {
            Ok(()) => staged.commit(Ending::default()).await.map(drop),
            Err(error) => {
                assert_eq!(staged.suspend(Note::default()).await.unwrap(), 0);
                Err(error)
            }
        };
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Store);
        assert!(bench.sink.resume(spec.clone()).await.unwrap().is_none(), "nothing can be gone on with");
        until_committed(&bench.sink, &spec, LARGE).await;
        assert_one(&bench, LARGE).await;
    }
}

#[tokio::test]
async fn answers_that_were_lost_of_what_is_written_down_are_settled_by_reading() {
    for fault in [Fault::DoneButTimedOut, Fault::DoneButTaken] {
        // The manifest, two parts, a tail, the receipt.
        for nth in 0..3 {
            let bench = Bench::new();
            let spec = kept(OnConflict::Reject);
            bench.store.after(nth, Op::Note, fault);
            let mut staged = begun(&bench.sink, &spec, LARGE, 25).await;
            feed(staged.as_mut(), LARGE, 26).await.unwrap();
            assert_eq!(staged.suspend(note(26)).await.unwrap(), 26, "{fault:?} {nth}");
            let staged = resumed(&bench.another(), &spec).await;
            assert_eq!((staged.offset(), staged.note()), (26, &note(26)));
            bench.store.after(0, Op::Note, fault);
            let receipt = staged.commit(Ending::default()).await.unwrap();
            assert_eq!(bench.sink.stat(&spec.key).await.unwrap(), Some(receipt));
            assert_one(&bench, LARGE).await;
        }
    }
}

#[tokio::test]
async fn a_part_that_could_not_be_written_down_is_sent_again_later() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Reject);
    // The manifest passes, the record of the first part does not.
    bench.store.after(1, Op::Note, Fault::TimedOut);
    let staged = begun(&bench.sink, &spec, LARGE, 25).await;
    assert_eq!(staged.suspend(note(25)).await.unwrap(), 0, "what lies behind a gap is no use");
    until_committed(&bench.sink, &spec, LARGE).await;
    assert_one(&bench, LARGE).await;
}

#[tokio::test]
async fn what_lies_behind_a_gap_is_not_in_the_way_of_other_bytes() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Reject);
    let staged = begun(&bench.sink, &spec, b"0123456789abcdefghijklmnopqrstuvwxyz", 31).await;
    staged.suspend(note(31)).await.unwrap();
    let second = bench.store.paths().into_iter().find(|path| path.ends_with("/00001.json")).unwrap();
    bench.store.inner().delete(&Path::parse(second).unwrap()).await.unwrap();
    let mut staged = resumed(&bench.sink, &spec).await;
    assert_eq!((staged.offset(), staged.note()), (PART as u64, &note(PART as u64)));
    let bytes = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    feed(staged.as_mut(), bytes, bytes.len()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap();
    assert_one(&bench, bytes).await;
}

#[tokio::test]
async fn a_tail_that_does_not_belong_to_the_parts_is_passed_over() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Reject);
    begun(&bench.sink, &spec, LARGE, 13).await.suspend(note(13)).await.unwrap();
    let tail = bench.store.paths().into_iter().find(|path| path.contains("/tail-10-13")).unwrap();
    let tail = Path::parse(tail).unwrap();
    let whole = bench.store.inner().get(&tail).await.unwrap().bytes().await.unwrap();
    let mut other = whole.to_vec();
    *other.last_mut().unwrap() ^= 1;
    bench.store.inner().put(&tail, other.into()).await.unwrap();
    assert_eq!(resumed(&bench.another(), &spec).await.offset(), PART as u64);
}

#[tokio::test]
async fn what_an_upload_was_opened_with_can_not_change() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Version);
    begun(&bench.sink, &spec, LARGE, 13).await.suspend(note(13)).await.unwrap();
    let meta = std::collections::BTreeMap::from([("site".to_owned(), "north".to_owned())]);
    for other in [
        UploadSpec { on_conflict: OnConflict::Reject, ..spec.clone() },
        UploadSpec { meta: meta.try_into().unwrap(), ..spec.clone() },
        UploadSpec { content_type: Some("text/x".to_owned().try_into().unwrap()), ..spec.clone() },
    ] {
        assert!(bench.sink.resume(other).await.unwrap().is_none());
    }
    assert_eq!(resumed(&bench.sink, &spec).await.offset(), 13);
}

#[tokio::test]
async fn a_digest_that_was_announced_at_the_beginning_still_counts() {
    let bench = Bench::new();
    let spec = UploadSpec { digest: Some(Digest::of(OTHER)), ..kept(OnConflict::Reject) };
    begun(&bench.sink, &spec, LARGE, 13).await.suspend(note(13)).await.unwrap();
    let staged = begun_on(&bench.sink, &UploadSpec { digest: None, ..spec }, LARGE, LARGE.len()).await;
    assert_eq!(staged.commit(Ending::default()).await.unwrap_err().kind(), ErrorKind::DigestMismatch);
    bench.assert_nothing_stays();
}

#[tokio::test]
async fn a_store_that_ignores_conditions_keeps_nothing() {
    let bench = Bench::untried();
    bench.store.ignore_conditions();
    let spec = kept(OnConflict::Overwrite);
    let staged = begun(&bench.sink, &spec, LARGE, 25).await;
    assert_eq!(staged.suspend(note(25)).await.unwrap(), 0);
    assert!(bench.sink.resume(spec.clone()).await.unwrap().is_none());
    bench.assert_nothing_stays();
    until_committed(&bench.sink, &spec, LARGE).await;
    assert_one(&bench, LARGE).await;
}

#[tokio::test]
async fn the_parts_of_an_upload_are_as_large_as_where_it_began() {
    let bench = Bench::new();
    let spec = kept(OnConflict::Reject);
    begun(&bench.sink, &spec, LARGE, 13).await.suspend(note(13)).await.unwrap();
    let other = super::node_with_parts(&bench.store, super::seen(), 7);
    let mut staged = resumed(&other, &spec).await;
    assert_eq!((staged.offset(), staged.until_checkpoint()), (13, 7));
    feed(staged.as_mut(), LARGE, 21).await.unwrap();
    assert_eq!(staged.until_checkpoint(), 9);
    feed(staged.as_mut(), LARGE, LARGE.len()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap();
    assert_one(&bench, LARGE).await;
}

/// Nodes learn at different times what the store can do.
#[tokio::test]
async fn all_parts_of_an_upload_come_in_the_way_in_which_it_was_opened() {
    for first_is_late in [false, true] {
        let bench = Bench::untried();
        bench.store.compare_checksums();
        bench.sink.probe().await.unwrap();
        let late = bench.another();
        assert_eq!([&bench.sink, &late].map(|node| node.remote.integrity()), [Integrity::Checksum, Integrity::Signature]);
        let (first, second) = if first_is_late { (&late, &bench.sink) } else { (&bench.sink, &late) };
        let spec = kept(OnConflict::Reject);
        let mut staged = first.stage(spec.clone()).await.unwrap();
        feed(staged.as_mut(), LARGE, 15).await.unwrap();
        assert_eq!(staged.suspend(note(15)).await.unwrap(), 15);
        let mut staged = second.resume(spec).await.unwrap().unwrap();
        feed(staged.as_mut(), LARGE, LARGE.len()).await.unwrap();
        staged.commit(Ending::default()).await.unwrap();
        assert_eq!(bench.read("a.bin").await.unwrap(), LARGE);
    }
}

#[tokio::test]
async fn who_signs_does_not_go_on_with_what_was_opened_for_checksums() {
    let bench = Bench::untried();
    bench.store.compare_checksums();
    bench.sink.probe().await.unwrap();
    let mut strict = bench.another();
    Arc::get_mut(&mut strict.remote).unwrap().wanted = Integrity::Signature;
    let spec = kept(OnConflict::Reject);
    let mut staged = bench.sink.stage(spec.clone()).await.unwrap();
    feed(staged.as_mut(), LARGE, 15).await.unwrap();
    assert_eq!(staged.suspend(note(15)).await.unwrap(), 15);
    assert!(strict.resume(spec.clone()).await.unwrap().is_none());
    let unable = bench.another();
    unable.remote.seen.checksums.set(false).unwrap();
    assert!(unable.resume(spec.clone()).await.unwrap().is_none(), "its store was seen to pass over checksums");
    assert_eq!(bench.another().resume(spec).await.unwrap().unwrap().offset(), 15);
}
