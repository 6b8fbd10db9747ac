//! Names with many versions: what a commit costs, and that nothing is stored twice or in a place
//! that is taken.

use std::path::Path;

use super::forgetful::Forgetful;
use crate::error::ErrorKind;
use crate::sink::Sink;
use crate::sink::fs::disk::Disk as _;
use crate::sink::fs::{Fs, Terms};
use crate::sink::version_index::LOOKED_AT;
use crate::upload::{Ending, OnConflict, Receipt, UploadId, UploadSpec};

const MANY: u32 = 600;

fn open(disk: &Forgetful) -> Fs<Forgetful> {
    Fs::on(disk.clone(), "/store".into(), Terms::of(0)).unwrap()
}

async fn send(sink: &Fs<Forgetful>, name: &str, on_conflict: OnConflict, text: &str) -> crate::error::Result<Receipt> {
    let spec = UploadSpec { on_conflict, ..UploadSpec::new(UploadId::generate(), name.parse().unwrap()) };
    let mut staged = sink.stage(spec).await.unwrap();
    staged.write(text.to_owned().into()).await.unwrap();
    staged.commit(Ending::default()).await
}

async fn version(sink: &Fs<Forgetful>, text: &str) -> Receipt {
    send(sink, "a.bin", OnConflict::Version, text).await.unwrap()
}

/// All of one size, so that only their content tells them apart.
fn text(number: u32) -> String {
    format!("{number:05}")
}

fn name_of(number: u32) -> String {
    if number == 1 { "a.bin".to_owned() } else { format!("a~{number}.bin") }
}

async fn with_versions(disk: &Forgetful, count: u32) -> Fs<Forgetful> {
    let sink = open(disk);
    for number in 1..=count {
        assert_eq!(version(&sink, &text(number)).await.key.as_str(), name_of(number));
    }
    sink
}

/// Operations of the disk for one more version.
async fn cost(disk: &Forgetful, sink: &Fs<Forgetful>, number: u32) -> u64 {
    let before = disk.operations();
    let receipt = version(sink, &text(number)).await;
    assert_eq!((receipt.key.as_str(), receipt.duplicate), (&*name_of(number), false));
    disk.operations() - before
}

fn remove(disk: &Forgetful, number: u32) {
    let root = disk.open_root(Path::new("/store")).unwrap();
    disk.unlink(&root, &name_of(number)).unwrap();
}

#[tokio::test]
async fn the_next_version_costs_the_same_however_many_there_are() {
    let disk = Forgetful::new();
    let sink = with_versions(&disk, LOOKED_AT + 9).await;
    let at_few = cost(&disk, &sink, LOOKED_AT + 10).await;
    for number in LOOKED_AT + 11..=MANY {
        version(&sink, &text(number)).await;
    }
    assert_eq!(cost(&disk, &sink, MANY + 1).await, at_few);
    let sink = open(&disk);
    let after_restart = cost(&disk, &sink, MANY + 2).await;
    assert!(after_restart < at_few + u64::from(MANY) * 6, "each version is looked at once: {after_restart}");
    assert_eq!(cost(&disk, &sink, MANY + 3).await, at_few);
}

#[tokio::test]
async fn the_same_content_is_found_among_many_versions() {
    let disk = Forgetful::new();
    let sink = with_versions(&disk, MANY).await;
    for sink in [sink, open(&disk)] {
        let before = disk.operations();
        for number in [1, LOOKED_AT, LOOKED_AT + 1, MANY / 2, MANY] {
            let again = version(&sink, &text(number)).await;
            assert_eq!((again.key.as_str(), again.duplicate), (&*name_of(number), true));
        }
        let most = u64::from(MANY) * 6 + 5 * 200;
        assert!(disk.operations() - before < most, "each version is looked at once");
    }
    assert_eq!(disk.files().len(), MANY as usize);
}

/// A file without a record: only its bytes tell what it is.
#[tokio::test]
async fn the_same_content_is_found_among_versions_without_a_record() {
    let disk = Forgetful::with_attributes_of(0, rustix::io::Errno::NOTSUP);
    let count = LOOKED_AT + 20;
    let sink = with_versions(&disk, count).await;
    for sink in [sink, open(&disk)] {
        for number in 1..=count {
            let again = version(&sink, &text(number)).await;
            assert_eq!((again.key.as_str(), again.duplicate), (&*name_of(number), true));
        }
    }
    let sink = open(&disk);
    version(&sink, &text(count + 1)).await;
    let reads = disk.reads();
    version(&sink, &text(count + 2)).await;
    assert!(disk.reads() - reads <= u64::from(LOOKED_AT) * 2, "those behind are not read again");
}

#[tokio::test]
async fn a_place_beside_many_files_costs_the_same_however_many_there_are() {
    let mut costs = Vec::new();
    for count in [LOOKED_AT + 20, MANY / 2] {
        let disk = Forgetful::new();
        let sink = with_versions(&disk, count).await;
        let mut last = 0;
        for file in 0..3 {
            let before = disk.operations();
            let receipt = send(&sink, &format!("a.bin/{file}"), OnConflict::Version, "below").await.unwrap();
            assert_eq!(receipt.key.as_str(), format!("{}/{file}", name_of(count + 1)));
            last = disk.operations() - before;
        }
        costs.push(last);
    }
    assert_eq!(costs[0], costs[1]);
}

#[tokio::test]
async fn a_number_that_becomes_free_is_taken_again() {
    let disk = Forgetful::new();
    let sink = with_versions(&disk, LOOKED_AT + 20).await;
    remove(&disk, LOOKED_AT);
    assert_eq!(version(&sink, "new 1").await.key.as_str(), name_of(LOOKED_AT), "few are looked at by each commit");
    remove(&disk, LOOKED_AT + 5);
    assert_eq!(version(&sink, "new 2").await.key.as_str(), name_of(LOOKED_AT + 21), "what was taken is believed to be");
    let sink = open(&disk);
    assert_eq!(version(&sink, "new 3").await.key.as_str(), name_of(LOOKED_AT + 5), "but not for ever");
}

#[tokio::test]
async fn what_is_put_under_the_name_of_a_version_is_known() {
    let disk = Forgetful::new();
    let sink = with_versions(&disk, LOOKED_AT + 20).await;
    let name = name_of(LOOKED_AT + 3);
    send(&sink, &name, OnConflict::Overwrite, "other").await.unwrap();
    let again = version(&sink, "other").await;
    assert_eq!((again.key.as_str(), again.duplicate), (&*name, true));
    let moved = version(&sink, &text(LOOKED_AT + 3)).await;
    assert_eq!((moved.key.as_str(), moved.duplicate), (&*name_of(LOOKED_AT + 21), false));
}

/// Two servers over one root: neither knows of the other's commits.
#[tokio::test]
async fn what_another_server_has_put_there_is_found() {
    let disk = Forgetful::new();
    let one = with_versions(&disk, LOOKED_AT + 20).await;
    let other = open(&disk);
    for number in LOOKED_AT + 21..LOOKED_AT + 40 {
        version(&other, &text(number)).await;
    }
    let again = version(&one, &text(LOOKED_AT + 30)).await;
    assert_eq!((again.key.as_str(), again.duplicate), (&*name_of(LOOKED_AT + 30), true));
    assert_eq!(version(&one, "new").await.key.as_str(), name_of(LOOKED_AT + 40));
}

#[tokio::test]
async fn commits_at_once_take_a_version_each() {
    let disk = Forgetful::new();
    let sink = with_versions(&disk, LOOKED_AT + 20).await;
    let commits = (0..40).map(|number| {
        let sink = sink.clone();
        // Each content comes twice.
        tokio::spawn(async move { version(&sink, &format!("new {}", number / 2)).await })
    });
    let receipts = futures::future::join_all(commits).await;
    let mut keys: Vec<_> = receipts.into_iter().map(|receipt| receipt.unwrap().key).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 20);
    assert_eq!(disk.files().len(), LOOKED_AT as usize + 40);
}

#[tokio::test]
async fn a_name_whose_versions_are_all_taken_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let sink = Fs::open_cached(root.path(), 0).unwrap();
    // Folders are in the way as well.
    for number in 1..=9_999 {
        std::fs::create_dir(root.path().join(name_of(number))).unwrap();
    }
    for _ in 0..2 {
        let spec = UploadSpec {
            on_conflict: OnConflict::Version,
            ..UploadSpec::new(UploadId::generate(), "a.bin".parse().unwrap())
        };
        let error = sink.stage(spec).await.unwrap().commit(Ending::default()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    assert!(root.path().join(".tidegate/staging").read_dir().unwrap().next().is_none());
}
