//! Folders, links, leftovers and strangers.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::error::ErrorKind;
use tidegate::sink::Sink;
use tidegate::sink::fs::Fs;
use tidegate::upload::{Digest, Ending, Note, OnConflict, UploadId, UploadSpec, WhenCut};

use crate::common::serve::{Serve, until};

async fn put(
    sink: &Fs,
    key: &str,
    body: &'static str,
    on_conflict: OnConflict,
) -> tidegate::error::Result<tidegate::upload::Receipt> {
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
