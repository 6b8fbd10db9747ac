//! Which of the named paths are sent, and under which name.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use crate::fake::{Fake, Talk};
use crate::{folder_with, push};

/// An address at which a push that sends anything fails.
const NOWHERE: &str = "127.0.0.1:9";

fn make_fifo(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
}

#[test]
fn a_named_path_that_is_no_regular_file_fails_unopened() {
    let folder = folder_with(&[("good", b"1")]);
    make_fifo(&folder.path().join("fifo"));
    let _listener = UnixListener::bind(folder.path().join("socket")).unwrap();
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.take("good", b"1");
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--jobs", "1", "fifo", "socket", "/dev/zero", "good"]);
    told.ended(1);
    for (path, kind) in [("fifo", "a named pipe"), ("/dev/zero", "a device")] {
        told.warned(&format!("failed     {path}: {path:?} is {kind}, not a regular file; send what it gives with: "));
        told.warned(&format!("tidegate push - --name NAME < {path} [io]\n"));
    }
    told.warned("failed     socket: \"socket\" is a socket, not a regular file; leave it out [io]\n");
    told.warned("1 of 4 files committed, ");
    server.done();
}

#[test]
fn what_is_no_regular_file_in_a_folder_is_left_out_with_a_line_that_says_so() {
    let folder = folder_with(&[("data/good", b"1")]);
    make_fifo(&folder.path().join("data/fifo"));
    let _listener = UnixListener::bind(folder.path().join("data/socket")).unwrap();
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.take("data/good", b"1");
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--jobs", "1", "data"]);
    told.ended(0);
    told.warned("skipped    data: 2 not regular files (pipes, sockets, devices)\n");
    server.done();
}

#[test]
fn a_push_of_nothing_has_a_code_of_its_own() {
    let folder = folder_with(&[("hidden/.a", b"1")]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    for arguments in [&["empty"][..], &["empty", "--json"], &["hidden"], &["empty", "hidden"]] {
        let told = push(folder.path(), NOWHERE, arguments);
        told.ended(4);
        told.warned("nothing to push: no file is in ");
        told.warned(arguments[0]);
        assert_eq!(told.out, "");
    }
}

#[test]
fn a_missing_path_is_a_failure_and_not_nothing() {
    let folder = folder_with(&[]);
    fs::create_dir(folder.path().join("empty")).unwrap();
    let told = push(folder.path(), NOWHERE, &["empty", "missing*.csv"]);
    told.ended(1);
    assert!(!told.err.contains("nothing to push"), "{}", told.err);
}

#[test]
fn files_whose_names_are_one_after_normalisation_are_refused_before_anything_is_sent() {
    let [composed, decomposed] = ["data/\u{e9}.csv", "data/e\u{301}.csv"];
    let folder = folder_with(&[(composed, b"1"), (decomposed, b"2"), ("data/good", b"3")]);
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.take("data/good", b"3");
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--jobs", "1", "data", "--json"]);
    told.ended(3);
    let lines = told.json();
    for (path, other) in [(composed, "data/e\\u{301}.csv"), (decomposed, "data/\\u{e9}.csv")] {
        let line = lines.iter().find(|line| line["path"] == path).unwrap();
        assert_eq!((&line["outcome"], &line["code"]), (&json!("rejected"), &json!("conflict")));
        let message = line["message"].as_str().unwrap();
        assert!(message.contains(&format!(" and \"{other}\"")), "{message}");
        assert!(message.contains("after Unicode normalisation (NFC)"), "{message}");
    }
    server.done();
}

#[test]
fn files_of_two_folders_with_one_name_are_refused_before_anything_is_sent() {
    let folder = folder_with(&[("a/x.csv", b"1"), ("b/x.csv", b"2"), ("c/x.csv", b"3")]);
    let told = push(folder.path(), NOWHERE, &["a/x.csv", "b/x.csv", "c/x.csv"]);
    told.ended(3);
    told.warned(
        "rejected   a/x.csv: \"a/x.csv\" and \"b/x.csv\" would both be \"x.csv\" at the server; rename one, or push each by \
         itself with --name NAME [conflict]\n",
    );
    told.warned("rejected   b/x.csv: \"b/x.csv\" and \"a/x.csv\" would both be ");
    told.warned("rejected   c/x.csv: \"c/x.csv\" and \"a/x.csv\" would both be ");
}

#[test]
fn a_file_that_is_named_twice_is_sent_once() {
    let folder = folder_with(&[("a.txt", b"1"), ("data/b", b"2")]);
    symlink(".", folder.path().join("link")).unwrap();
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.take("a.txt", b"1");
        talk.take("data/b", b"2");
        talk.closed();
    });
    let paths = ["a.txt", "./a.txt", "a.txt", "link/a.txt", "data", "data/"];
    let told = push(folder.path(), &server.address, &[&["--jobs", "1"], &paths[..]].concat());
    told.ended(0);
    for (path, first) in [("./a.txt", "a.txt"), ("a.txt", "a.txt"), ("link/a.txt", "a.txt"), ("data/b", "data/b")] {
        told.warned(&format!("skipped    {path}: the same file as {first}, named before\n"));
    }
    told.warned("2 of 2 files committed, ");
    server.done();
}

#[test]
fn a_file_that_has_a_name_of_two_folders_and_is_one_file_is_told_from_two() {
    let folder = folder_with(&[("a/x", b"1"), ("b/x", b"2")]);
    let told = push(folder.path(), NOWHERE, &["a/x", "b/x", "a/x"]);
    told.ended(3);
    told.warned("skipped    a/x: the same file as a/x, named before\n");
    told.warned("0 of 2 files committed, 2 rejected\n");
}
