//! What a sweep removes, and what it leaves alone.

use std::time::Duration;

use object_store::multipart::MultipartStore as _;
use object_store::path::Path;

use super::faulty::{Fault, Op};
use super::nodes::feed;
use super::{Bench, LARGE, spec};
use crate::error::ErrorKind;
use crate::sink::Sink;
use crate::upload::{Ending, Note, OnConflict, UploadSpec, WhenCut};

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

fn kept() -> UploadSpec {
    UploadSpec { when_cut: WhenCut::Keep, ..spec(OnConflict::Reject) }
}

async fn suspended(bench: &Bench, spec: &UploadSpec) {
    let mut staged = bench.sink.stage(spec.clone()).await.unwrap();
    feed(staged.as_mut(), LARGE, 15).await.unwrap();
    staged.suspend(Note::default()).await.unwrap();
}

#[tokio::test]
async fn an_upload_that_grew_old_is_removed_by_any_node() {
    let bench = Bench::new();
    suspended(&bench, &kept()).await;
    bench.store.age(HOUR);
    assert_eq!(bench.another().sweep(DAY).await.unwrap().removed, 0);
    bench.store.age(DAY);
    assert_eq!(bench.another().sweep(DAY).await.unwrap().removed, 1);
    bench.assert_nothing_stays();
}

#[tokio::test]
async fn an_upload_that_somebody_went_on_with_is_young() {
    let bench = Bench::new();
    let spec = kept();
    suspended(&bench, &spec).await;
    bench.store.age(2 * DAY);
    let mut staged = bench.sink.resume(spec).await.unwrap().unwrap();
    assert_eq!(bench.another().sweep(DAY).await.unwrap().removed, 0);
    staged.write(LARGE[usize::try_from(staged.offset()).unwrap()..].into()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap();
    assert_eq!(bench.read("a.bin").await.unwrap(), LARGE);
}

#[tokio::test]
async fn what_this_process_writes_is_never_removed() {
    for when_cut in [WhenCut::Keep, WhenCut::Drop] {
        let bench = Bench::new();
        let mut staged = bench.sink.stage(UploadSpec { when_cut, ..kept() }).await.unwrap();
        staged.write(LARGE.into()).await.unwrap();
        bench.store.age(2 * DAY);
        assert_eq!(bench.sink.sweep(DAY).await.unwrap().removed, 0);
        staged.commit(Ending::default()).await.unwrap();
    }
}

#[tokio::test]
async fn a_multipart_upload_that_nobody_speaks_of_is_given_up() {
    let bench = Bench::new();
    for path in ["in/orphan.bin", "elsewhere/theirs.bin", "inner.bin"] {
        bench.store.create_multipart(&Path::parse(path).unwrap()).await.unwrap();
    }
    assert_eq!(bench.sink.sweep(DAY).await.unwrap().removed, 0);
    bench.store.age(2 * DAY);
    // Another node's: its manifest is young again, and speaks of it.
    let spec = kept();
    suspended(&bench, &spec).await;
    bench.store.age(2 * DAY);
    drop(bench.sink.resume(spec.clone()).await.unwrap().unwrap());
    assert_eq!(bench.another().sweep(DAY).await.unwrap().removed, 1);
    assert_eq!(bench.store.unfinished(), 3, "two that do not lie below the prefix, and the one that is kept");
    assert!(bench.sink.resume(spec).await.unwrap().is_some());
}

#[tokio::test]
async fn a_record_goes_when_its_object_has_gone() {
    use object_store::ObjectStoreExt as _;
    let bench = Bench::new();
    bench.send(&spec(OnConflict::Reject), LARGE).await.unwrap();
    bench.store.age(2 * DAY);
    bench.sink.sweep(DAY).await.unwrap();
    assert_eq!(bench.store.paths().len(), 2, "the file and its record");
    bench.store.inner().delete(&Path::parse("in/a.bin").unwrap()).await.unwrap();
    bench.sink.sweep(3 * DAY).await.unwrap();
    assert_eq!(bench.store.paths().len(), 1, "too young");
    bench.sink.sweep(DAY).await.unwrap();
    bench.assert_nothing_stays();
}

#[tokio::test]
async fn the_record_of_an_upload_that_is_alive_stays() {
    let bench = Bench::new();
    let spec = kept();
    let mut staged = bench.sink.stage(spec.clone()).await.unwrap();
    feed(staged.as_mut(), LARGE, LARGE.len()).await.unwrap();
    bench.store.after(0, Op::Complete, Fault::TimedOut);
    bench.store.always(Op::Head, Fault::TimedOut);
    assert_eq!(staged.commit(Ending::default()).await.unwrap_err().kind(), ErrorKind::Unknown);
    bench.store.heal();
    bench.store.age(2 * DAY);
    let records = || bench.store.paths().iter().filter(|path| path.contains("/receipts/")).count();
    drop(bench.another().resume(spec.clone()).await.unwrap().expect("it is kept until it is known what came of it"));
    bench.another().sweep(DAY).await.unwrap();
    assert_eq!(records(), 1);
}

#[tokio::test]
async fn what_can_not_be_removed_is_told_and_does_not_keep_the_rest() {
    let bench = Bench::new();
    suspended(&bench, &kept()).await;
    suspended(&bench, &UploadSpec { key: "b.bin".parse().unwrap(), ..kept() }).await;
    bench.store.after(0, Op::Abort, Fault::Refused);
    assert_eq!(bench.another().sweep(Duration::ZERO).await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(bench.store.unfinished(), 1, "of two");
    bench.another().sweep(Duration::ZERO).await.unwrap();
    bench.assert_nothing_stays();
}
