//! Answers about files that take long to read.

use std::time::Duration;

use futures::FutureExt as _;
use rustix::io::Errno;

use super::forgetful::{Fault, Forgetful};
use crate::error::ErrorKind;
use crate::sink::fs::{Fs, MAX_READING, Terms};
use crate::sink::{Sink, Staged};
use crate::upload::{Ending, OnConflict, Receipt, UploadSpec};

async fn committed(sink: &Fs<Forgetful>, bytes: &'static str) -> (UploadSpec, Receipt) {
    let spec = UploadSpec::new("u".parse().unwrap(), "a.bin".parse().unwrap());
    let spec = UploadSpec { on_conflict: OnConflict::Overwrite, ..spec };
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    staged.write(bytes.into()).await.unwrap();
    let receipt = staged.commit(Ending::default()).await.unwrap();
    (spec, receipt)
}

#[tokio::test]
async fn what_was_read_for_one_who_has_given_up_is_the_answer_for_the_next() {
    let disk = Forgetful::new();
    let sink = Fs::on(disk.clone(), "/store".into(), Terms::of(0)).unwrap();
    let (spec, receipt) = committed(&sink, "abc").await;
    disk.age(Duration::from_hours(1));
    // Polled once, the reading has begun; then nobody waits for it.
    drop(sink.committed(&spec.id, &spec.key).now_or_never());
    // Every turn is free when it is over.
    drop(sink.0.reading.acquire_many(u32::try_from(MAX_READING).unwrap()).await.unwrap());
    let reads = disk.reads();
    assert!(reads > 0);
    assert_eq!(sink.committed(&spec.id, &spec.key).await.unwrap(), Some(receipt.clone()));
    assert_eq!(sink.stat(&spec.key).await.unwrap(), Some(receipt));
    assert_eq!(disk.reads(), reads, "nothing is read twice");
    let (spec, receipt) = committed(&sink, "abd").await;
    assert_eq!(sink.committed(&spec.id, &spec.key).await.unwrap(), Some(receipt));
    assert!(disk.reads() > reads, "it is another file");
}

#[tokio::test]
async fn a_root_that_goes_while_a_commit_is_under_way_gives_no_receipt() {
    async fn staged(disk: &Forgetful) -> Box<dyn Staged> {
        let sink = Fs::on(disk.clone(), "/store".into(), Terms::of(0)).unwrap();
        let mut staged = sink.stage(UploadSpec::new("u".parse().unwrap(), "a.bin".parse().unwrap())).await.unwrap();
        staged.write("abc".into()).await.unwrap();
        staged
    }
    let disk = Forgetful::new();
    let whole = staged(&disk).await;
    let before = disk.operations();
    whole.commit(Ending::default()).await.unwrap();
    let operations = disk.operations() - before;
    // The last thing that a commit does is to look whether its root is where it was.
    let disk = Forgetful::new();
    let lost = staged(&disk).await;
    disk.plan(operations - 1, Fault::Fails(Errno::NOENT));
    let error = lost.commit(Ending::default()).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unknown && error.to_string().contains("was moved"), "{error}");
}
