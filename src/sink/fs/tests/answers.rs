//! Answers about files that take long to read.

use std::time::Duration;

use rustix::io::Errno;

use super::forgetful::{Fault, Forgetful};
use crate::error::ErrorKind;
use crate::sink::fs::{Fs, Terms};
use crate::sink::{Sink, Staged};
use crate::upload::{Ending, Key, OnConflict, Receipt, UploadId, UploadSpec};

/// Files of more bytes are read in turns.
const SLICE: u64 = 4;
const LARGE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyz";
/// How often it is read from, in calls of a slice each, and at its end.
const READS_OF_LARGE: u64 = 2;
const LONG: Duration = Duration::from_secs(20);

fn open(disk: &Forgetful) -> Fs<Forgetful> {
    Fs::on(disk.clone(), "/store".into(), Terms { slice_bytes: SLICE, ..Terms::of(0) }).unwrap()
}

fn spec(id: &str, name: &str) -> UploadSpec {
    UploadSpec { on_conflict: OnConflict::Overwrite, ..UploadSpec::new(id.parse().unwrap(), name.parse().unwrap()) }
}

async fn send(sink: &Fs<Forgetful>, spec: UploadSpec, bytes: &'static [u8]) -> Receipt {
    let mut staged = sink.stage(spec).await.unwrap();
    staged.write(bytes.into()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap()
}

/// A large file that was committed an hour ago, under an id and a name that are the same.
async fn committed(disk: &Forgetful, sink: &Fs<Forgetful>, name: &str) -> (UploadId, Key, Receipt) {
    let receipt = send(sink, spec(name, name), LARGE).await;
    disk.age(Duration::from_hours(1));
    (name.parse().unwrap(), name.parse().unwrap(), receipt)
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let begun = std::time::Instant::now();
    while !is() {
        assert!(begun.elapsed() < LONG, "{what}");
        tokio::task::yield_now().await;
    }
}

/// Waits, but not for ever.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, work).await.unwrap_or_else(|_| panic!("{what} has to wait"))
}

#[tokio::test]
async fn what_was_read_for_one_who_has_given_up_is_the_answer_for_the_next() {
    let disk = Forgetful::new();
    let sink = open(&disk);
    let (id, key, receipt) = committed(&disk, &sink, "a.bin").await;
    let asking = tokio::spawn({
        let (sink, id, key) = (sink.clone(), id.clone(), key.clone());
        async move { sink.committed(&id, &key).await }
    });
    until("the reading has begun", || disk.reads() > 0).await;
    asking.abort();
    until("it ends although nobody waits for it", || sink.0.readings.is_idle()).await;
    let reads = disk.reads();
    assert!(reads > 0);
    assert_eq!(sink.committed(&id, &key).await.unwrap(), Some(receipt.clone()));
    assert_eq!(sink.stat(&key).await.unwrap(), Some(receipt));
    assert_eq!(disk.reads(), reads, "nothing is read twice");
    let receipt = send(&sink, spec("a.bin", "a.bin"), b"another file").await;
    assert_eq!(sink.committed(&id, &key).await.unwrap(), Some(receipt));
    assert!(disk.reads() > reads, "it is another file");
}

#[tokio::test]
async fn nothing_of_other_names_waits_for_a_reading() {
    let disk = Forgetful::new();
    let sink = open(&disk);
    let (id, key, receipt) = committed(&disk, &sink, "a.bin").await;
    let small = send(&sink, spec("s", "s.bin"), b"abc").await;
    let held = sink.0.readings.hold().await;
    let asking = tokio::spawn({
        let (sink, id, key) = (sink.clone(), id.clone(), key.clone());
        async move { sink.committed(&id, &key).await }
    });
    until("the reading waits", || !sink.0.readings.is_idle()).await;
    let other = "another".parse().unwrap();
    assert_eq!(soon("an upload that is new", sink.committed(&other, &"n.bin".parse().unwrap())).await.unwrap(), None);
    assert_eq!(soon("another id", sink.committed(&other, &key)).await.unwrap(), None);
    assert_eq!(soon("a small file", sink.committed(&"s".parse().unwrap(), &small.key)).await.unwrap(), Some(small));
    assert!(!soon("a commit", send(&sink, spec("n", "n.bin"), LARGE)).await.duplicate);
    assert!(!asking.is_finished());
    drop(held);
    assert_eq!(soon("the reading", asking).await.unwrap().unwrap(), Some(receipt));
}

/// The disk has one worker, which a reading must not keep.
#[test]
fn a_commit_that_has_to_read_what_stands_leaves_its_worker_to_others() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let disk = Forgetful::new();
        let sink = open(&disk);
        let (_, _, receipt) = committed(&disk, &sink, "a.bin").await;
        let held = sink.0.readings.hold().await;
        let again = tokio::spawn({
            let sink = sink.clone();
            async move { send(&sink, spec("b", "a.bin"), LARGE).await }
        });
        until("the commit waits for a reading", || !sink.0.readings.is_idle()).await;
        assert!(!soon("another commit", send(&sink, spec("n", "n.bin"), LARGE)).await.duplicate);
        assert!(!again.is_finished());
        drop(held);
        assert_eq!(soon("the commit", again).await.unwrap(), Receipt { duplicate: true, ..receipt });
        assert!(disk.files().keys().all(|path| !path.contains("staging")), "{:?}", disk.files());
    });
}

#[tokio::test]
async fn callers_of_one_file_share_its_reading() {
    let disk = Forgetful::new();
    let sink = open(&disk);
    let (id, key, receipt) = committed(&disk, &sink, "a.bin").await;
    let before = disk.reads();
    let held = sink.0.readings.hold().await;
    let ask = || {
        let (sink, id, key) = (sink.clone(), id.clone(), key.clone());
        tokio::spawn(async move { sink.committed(&id, &key).await.unwrap() })
    };
    let callers: Vec<_> = (0..8).map(|_| ask()).collect();
    until("all have joined", || sink.0.readings.callers() == callers.len()).await;
    drop(held);
    for caller in callers {
        assert_eq!(soon("the reading", caller).await.unwrap(), Some(receipt.clone()));
    }
    assert_eq!(disk.reads() - before, READS_OF_LARGE, "it is read once");
}

#[tokio::test]
async fn readings_take_turns() {
    let disk = Forgetful::new();
    let sink = open(&disk);
    let mut huge = Vec::new();
    let held = sink.0.readings.hold().await;
    for name in ["1", "2", "3"] {
        let bytes: &'static [u8] = Box::leak(vec![7; 8 << 20].into_boxed_slice());
        let receipt = send(&sink, spec(name, name), bytes).await;
        disk.age(Duration::from_hours(1));
        let sink = sink.clone();
        huge.push(tokio::spawn(async move { sink.stat(&receipt.key).await.unwrap() }));
    }
    let (_, key, receipt) = committed(&disk, &sink, "a.bin").await;
    until("all wait", || sink.0.readings.callers() == huge.len()).await;
    drop(held);
    assert_eq!(soon("a smaller file", sink.stat(&key)).await.unwrap(), Some(receipt));
    assert!(huge.iter().all(|huge| !huge.is_finished()), "larger ones go on");
    huge.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_reading_that_nobody_waits_for_makes_way_and_goes_on_where_it_was() {
    let disk = Forgetful::new();
    let sink = open(&disk);
    let (id, key, receipt) = committed(&disk, &sink, "a.bin").await;
    let before = disk.reads();
    let held = sink.0.readings.hold().await;
    let asking = tokio::spawn({
        let (sink, id, key) = (sink.clone(), id.clone(), key.clone());
        async move { sink.committed(&id, &key).await }
    });
    until("the reading waits", || sink.0.readings.callers() == 1).await;
    asking.abort();
    // Others have every turn.
    until("it makes way", || sink.0.readings.is_idle()).await;
    assert_eq!(sink.0.readings.stopped(), 1);
    drop(held);
    assert_eq!(sink.committed(&id, &key).await.unwrap(), Some(receipt));
    assert_eq!((sink.0.readings.stopped(), disk.reads() - before), (0, READS_OF_LARGE));
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
