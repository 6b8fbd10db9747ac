//! Checkpoints that are torn, strange, old, or of another file; and what is swept up when.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::error::ErrorKind;
use crate::sink::fs::Fs;
use crate::sink::{Sink, Staged};
use crate::upload::{ContentType, Durability, Ending, Note, UploadSpec, WhenCut};

const HOUR: Duration = Duration::from_hours(1);

struct Bench {
    folder: tempfile::TempDir,
    sink: Fs,
}

fn kept(id: &str) -> UploadSpec {
    UploadSpec { when_cut: WhenCut::Keep, ..UploadSpec::new(id.parse().unwrap(), "a.bin".parse().unwrap()) }
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sink = Fs::open(folder.path(), 0).unwrap();
        Self { folder, sink }
    }

    async fn suspend(&self, spec: &UploadSpec) {
        let mut staged = self.sink.stage(spec.clone()).await.unwrap();
        staged.write("half".into()).await.unwrap();
        assert_eq!(staged.suspend(Note::default()).await.unwrap(), 4);
    }

    async fn resume(&self, spec: &UploadSpec) -> Option<Box<dyn Staged>> {
        self.sink.resume(spec.clone()).await.unwrap()
    }

    fn path(&self, room: &str, name: &str) -> PathBuf {
        self.folder.path().join(".tidegate").join(room).join(name)
    }

    fn left(&self) -> Vec<String> {
        let names = |room: &str| {
            let entries = fs::read_dir(self.folder.path().join(".tidegate").join(room)).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        };
        let mut left = [names("staging"), names("resume")].concat();
        left.sort();
        left
    }

    fn age(&self, name: &str, age: Duration) {
        let file = fs::File::options().write(true).open(self.path("resume", name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

#[tokio::test]
async fn a_checkpoint_that_is_not_whole_counts_as_none() {
    let bench = Bench::new();
    let spec = kept("u");
    bench.suspend(&spec).await;
    let path = bench.path("resume", "u");
    let whole = fs::read(&path).unwrap();
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(bench.resume(&spec).await.is_none(), "cut at {len}");
    }
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        fs::write(&path, changed).unwrap();
        assert!(bench.resume(&spec).await.is_none(), "changed at {at}");
    }
    fs::write(&path, whole).unwrap();
    assert_eq!(bench.resume(&spec).await.unwrap().offset(), 4);
}

#[tokio::test]
async fn a_checkpoint_of_another_file_counts_as_none() {
    let bench = Bench::new();
    let spec = kept("u");
    bench.suspend(&spec).await;
    let staged = bench.path("staging", "u");
    // Shorter than what was saved; committed, as by a hard link; and another file with the same bytes.
    fs::write(&staged, "hal").unwrap();
    assert!(bench.resume(&spec).await.is_none());
    fs::write(&staged, "half").unwrap();
    let committed = bench.folder.path().join("a.bin");
    fs::hard_link(&staged, &committed).unwrap();
    assert!(bench.resume(&spec).await.is_none());
    fs::remove_file(&committed).unwrap();
    assert!(bench.resume(&spec).await.is_some());
    fs::copy(&staged, bench.path("staging", "copy")).unwrap();
    fs::rename(bench.path("staging", "copy"), &staged).unwrap();
    assert!(bench.resume(&spec).await.is_none());
}

#[tokio::test]
async fn bytes_behind_the_checkpoint_are_cut_off() {
    let bench = Bench::new();
    let spec = kept("u");
    bench.suspend(&spec).await;
    fs::write(bench.path("staging", "u"), "half of something else").unwrap();
    let mut staged = bench.resume(&spec).await.unwrap();
    assert_eq!(fs::read(bench.path("staging", "u")).unwrap(), b"half");
    staged.write(" done".into()).await.unwrap();
    staged.commit(Ending::default()).await.unwrap();
    assert_eq!(fs::read(bench.folder.path().join("a.bin")).unwrap(), b"half done");
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn what_is_left_out_is_taken_from_what_was_begun() {
    let bench = Bench::new();
    let content_type = Some(ContentType::try_from("text/csv".to_owned()).unwrap());
    let begun = UploadSpec { size: Some(9), content_type, ..kept("u") };
    bench.suspend(&begun).await;
    let staged = bench.resume(&kept("u")).await.unwrap();
    assert_eq!(staged.spec(), &begun);
    assert_eq!(staged.commit(Ending::default()).await.unwrap_err().kind(), ErrorKind::SizeMismatch);
}

#[tokio::test]
async fn what_can_be_resumed_stays_until_it_is_old() {
    let bench = Bench::new();
    for id in ["young", "old"] {
        bench.suspend(&kept(id)).await;
    }
    bench.age("old", 2 * HOUR);
    let sink = Fs::open(bench.folder.path(), 0).unwrap();
    assert_eq!(bench.left(), ["old", "old", "young", "young"], "a start takes away nothing that can be resumed");
    // Somebody who goes on with it is not disturbed, however old it is.
    let held = sink.resume(kept("old")).await.unwrap().unwrap();
    assert_eq!(bench.sink.sweep(HOUR).await.unwrap().removed, 0);
    drop(held);
    assert_eq!(bench.sink.sweep(HOUR).await.unwrap().removed, 1);
    assert_eq!(bench.left(), ["young", "young"]);
}

#[tokio::test]
async fn what_can_not_be_resumed_is_swept_at_once() {
    let litter = |bench: &Bench| {
        fs::write(bench.path("staging", "alone"), "staged bytes").unwrap();
        fs::write(bench.path("resume", "lonely"), "a checkpoint").unwrap();
        fs::write(bench.path("resume", ".draft"), "of a checkpoint").unwrap();
        fs::write(bench.path("staging", "torn"), "staged bytes").unwrap();
        fs::write(bench.path("resume", "torn"), "garbage").unwrap();
    };
    let bench = Bench::new();
    litter(&bench);
    assert_eq!(bench.sink.sweep(HOUR).await.unwrap().removed, 4);
    assert_eq!(bench.left(), Vec::<String>::new());
    litter(&bench);
    drop(Fs::open(bench.folder.path(), 0).unwrap());
    assert_eq!(bench.left(), Vec::<String>::new());
}

#[tokio::test]
async fn what_others_put_there_stays_and_is_told() {
    let bench = Bench::new();
    let strange: &Path = &bench.path("staging", "folder");
    fs::create_dir(strange).unwrap();
    fs::write(bench.path("staging", "alone"), "staged bytes").unwrap();
    assert_eq!(bench.sink.sweep(HOUR).await.unwrap_err().kind(), ErrorKind::Store);
    assert_eq!(bench.left(), ["folder"]);
    Fs::open(bench.folder.path(), 0).unwrap();
}

#[tokio::test]
async fn a_receipt_says_that_nothing_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Fs::open_cached(folder.path(), 0).unwrap();
    let spec = UploadSpec::new("u".parse().unwrap(), "a.bin".parse().unwrap());
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    staged.write("body".into()).await.unwrap();
    let receipt = staged.commit(Ending::default()).await.unwrap();
    assert_eq!(receipt.durability, Durability::Cache);
    assert_eq!(sink.committed(&spec.id, &spec.key).await.unwrap(), Some(receipt));
}
