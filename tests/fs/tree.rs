//! Folders, links, leftovers and strangers.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::error::ErrorKind;
use tidegate::sink::Sink;
use tidegate::sink::fs::Fs;
use tidegate::upload::{Digest, Ending, Note, OnConflict, Receipt, UploadId, UploadSpec, WhenCut};

use crate::common::serve::{Serve, until};

async fn put(sink: &Fs, key: &str, body: &'static str, on_conflict: OnConflict) -> tidegate::error::Result<Receipt> {
    let spec = UploadSpec { on_conflict, ..UploadSpec::new(UploadId::generate(), key.parse().unwrap()) };
    let mut staged = sink.stage(spec).await?;
    staged.write(body.into()).await?;
    staged.commit(Ending::default()).await
}

#[tokio::test]
async fn links_are_never_followed_out_of_the_root() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("store"), folder.path().join("outside"));
    fs::create_dir_all(&outside).unwrap();
    fs::write(outside.join("secret"), "secret").unwrap();
    let sink = Fs::open(&root, 0).unwrap();
    symlink(&outside, root.join("link")).unwrap();
    symlink(outside.join("secret"), root.join("file")).unwrap();
    for on_conflict in [OnConflict::Reject, OnConflict::Version, OnConflict::Overwrite] {
        let error = put(&sink, "link/a.bin", "body", on_conflict).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    for on_conflict in [OnConflict::Reject, OnConflict::Overwrite] {
        let error = put(&sink, "file", "body", on_conflict).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    assert_eq!(put(&sink, "file", "body", OnConflict::Version).await.unwrap().key.as_str(), "file~2");
    assert!(sink.stat(&"link/secret".parse().unwrap()).await.unwrap().is_none());
    assert!(sink.stat(&"file".parse().unwrap()).await.unwrap().is_none());
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "secret");
}

#[tokio::test]
async fn a_folder_is_not_replaced_and_a_file_is_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Fs::open(folder.path(), 0).unwrap();
    put(&sink, "a/b.bin", "body", OnConflict::Reject).await.unwrap();
    for on_conflict in [OnConflict::Reject, OnConflict::Overwrite] {
        assert_eq!(put(&sink, "a", "body", on_conflict).await.unwrap_err().kind(), ErrorKind::Conflict);
    }
    assert_eq!(put(&sink, "a/b.bin/c", "body", OnConflict::Version).await.unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(put(&sink, "a", "body", OnConflict::Version).await.unwrap().key.as_str(), "a~2");
    assert_eq!(fs::read_to_string(folder.path().join("a/b.bin")).unwrap(), "body");
}

#[tokio::test]
async fn a_file_that_was_changed_since_is_not_taken_for_what_was_sent() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Fs::open(folder.path(), 0).unwrap();
    let receipt = put(&sink, "a.bin", "good", OnConflict::Reject).await.unwrap();
    assert!(receipt.id.is_some());
    fs::OpenOptions::new().write(true).open(folder.path().join("a.bin")).unwrap().write_all(b"evil").unwrap();
    let standing = sink.stat(&receipt.key).await.unwrap().unwrap();
    assert_eq!((standing.digest, standing.id), (Digest::of(b"evil"), None));
    let again = put(&sink, "a.bin", "good", OnConflict::Version).await.unwrap();
    assert_eq!((again.key.as_str(), again.duplicate), ("a~2.bin", false));
}

#[tokio::test]
async fn two_stores_on_one_root_do_not_disturb_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let first = Fs::open(folder.path(), 0).unwrap();
    // Too large to be held back.
    let body = "body".repeat(25_000);
    let spec = UploadSpec { size: Some(100_000), ..UploadSpec::new("u1".parse().unwrap(), "a.bin".parse().unwrap()) };
    let mut staged = first.stage(spec.clone()).await.unwrap();
    staged.write(body.clone().into()).await.unwrap();
    let second = Fs::open(folder.path(), 0).unwrap();
    assert_eq!(second.stage(spec.clone()).await.unwrap_err().kind(), ErrorKind::Busy);
    staged.commit(Ending::default()).await.unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("a.bin")).unwrap(), body);
    second.stage(spec).await.unwrap().abort().await.unwrap();
}

#[tokio::test]
async fn what_was_kept_is_gone_when_an_upload_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Fs::open(folder.path(), 0).unwrap();
    let spec = UploadSpec::new("u1".parse().unwrap(), "a.bin".parse().unwrap());
    let spec = UploadSpec { when_cut: WhenCut::Keep, ..spec };
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    staged.write("old!".repeat(25_000).into()).await.unwrap();
    assert_eq!(staged.suspend(Note::default()).await.unwrap(), 100_000);
    let mut anew = sink.stage(spec.clone()).await.unwrap();
    anew.write("new".into()).await.unwrap();
    drop(anew);
    assert!(sink.resume(spec).await.unwrap().is_none(), "old and new bytes must not meet in one file");
}

#[tokio::test]
async fn an_upload_that_was_dropped_is_free_for_another_process() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (Fs::open(folder.path(), 0).unwrap(), Fs::open(folder.path(), 0).unwrap());
    let spec = UploadSpec::new("u1".parse().unwrap(), "a.bin".parse().unwrap());
    let spec = UploadSpec { when_cut: WhenCut::Keep, ..spec };
    let mut staged = first.stage(spec.clone()).await.unwrap();
    staged.write("body".repeat(25_000).into()).await.unwrap();
    drop(staged);
    let deadline = Instant::now() + Duration::from_secs(30);
    while let Err(error) = second.stage(spec.clone()).await {
        assert!(error.kind() == ErrorKind::Busy && Instant::now() < deadline, "{error}");
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_server_that_was_killed_leaves_nothing_visible_and_the_next_one_cleans_up() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let serve = Serve::below(&root);
    assert!(serve.exchange(b"whole.bin 4\nbody").starts_with("OK "));
    let _plain = serve.begin(b"half.bin 100000\nhalf");
    serve.kill();
    let serve = Serve::below(&root);
    assert!(serve.staged().is_empty());
    assert_eq!(serve.visible(), [Path::new("whole.bin")]);
    // A connection that breaks needs no restart.
    drop(serve.begin(b"half.bin 100000\nhalf"));
    until("the staged file to go", || serve.staged().is_empty());
    assert_eq!(serve.visible(), [Path::new("whole.bin")]);
}

#[tokio::test]
async fn a_root_that_is_not_where_it_was_takes_nothing_until_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let (root, away) = (folder.path().join("store"), folder.path().join("away"));
    let sink = Fs::open(&root, 0).unwrap();
    put(&sink, "before.bin", "body", OnConflict::Reject).await.unwrap();
    let kept = UploadSpec { when_cut: WhenCut::Keep, ..UploadSpec::new("u1".parse().unwrap(), "a.bin".parse().unwrap()) };
    let mut staged = sink.stage(kept.clone()).await.unwrap();
    staged.write("body".into()).await.unwrap();
    staged.suspend(Note::default()).await.unwrap();
    let begun = UploadSpec::new("u2".parse().unwrap(), "b.bin".parse().unwrap());
    for replaced in [false, true] {
        let mut staged = sink.stage(begun.clone()).await.unwrap();
        staged.write("body".into()).await.unwrap();
        fs::rename(&root, &away).unwrap();
        if replaced {
            fs::create_dir(&root).unwrap();
        }
        let refused = [
            staged.commit(Ending::default()).await.unwrap_err(),
            put(&sink, "c.bin", "body", OnConflict::Reject).await.unwrap_err(),
            put(&sink, "before.bin", "body", OnConflict::Reject).await.unwrap_err(),
            sink.resume(kept.clone()).await.unwrap_err(),
            sink.stat(&"before.bin".parse().unwrap()).await.unwrap_err(),
        ];
        for error in refused {
            assert_eq!(error.kind(), ErrorKind::Store, "{error}");
            let told = error.to_string();
            assert!(told.contains("was moved, unmounted or replaced") && told.contains("store\""), "{told}");
        }
        if replaced {
            assert_eq!(fs::read_dir(&root).unwrap().count(), 0, "nothing is written into another folder");
            fs::remove_dir(&root).unwrap();
        }
        fs::rename(&away, &root).unwrap();
    }
    put(&sink, "c.bin", "body", OnConflict::Reject).await.unwrap();
    assert_eq!(sink.resume(kept).await.unwrap().unwrap().offset(), 4);
}

#[tokio::test]
async fn an_upload_whose_record_does_not_fit_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Fs::open(folder.path(), 0).unwrap();
    // In JSON a quote takes two bytes: more than the 4 KiB that ext4 has for all attributes of a file.
    let meta = BTreeMap::from([("note".to_owned(), "\"".repeat(1500))]);
    let name = ["long", &"x".repeat(240), &"y".repeat(240), &"z".repeat(240), "a.bin"].join("/");
    let spec = UploadSpec {
        when_cut: WhenCut::Keep,
        meta: meta.try_into().unwrap(),
        ..UploadSpec::new("u1".parse().unwrap(), name.parse().unwrap())
    };
    let mut receipts = Vec::new();
    for _ in 0..2 {
        let mut staged = sink.stage(spec.clone()).await.unwrap();
        staged.write("body".into()).await.unwrap();
        receipts.push(staged.commit(Ending::default()).await.unwrap());
    }
    assert_eq!(receipts[1], Receipt { duplicate: true, ..receipts[0].clone() });
    assert_eq!(sink.committed(&spec.id, &spec.key).await.unwrap().as_ref(), Some(&receipts[0]));
}
