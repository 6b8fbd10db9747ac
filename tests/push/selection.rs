//! Which of the named paths are sent, and under which name.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;

use serde_json::json;

use crate::fake::{Fake, Talk};
use crate::{Told, folder_with, push, push_command};

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
fn a_repeated_file_does_not_hide_that_another_has_its_name() {
    let folder = folder_with(&[("a/x", b"1"), ("b/x", b"2")]);
    let told = push(folder.path(), NOWHERE, &["a/x", "b/x", "a/x"]);
    told.ended(3);
    told.warned("skipped    a/x: the same file as a/x, named before\n");
    told.warned("0 of 2 files committed, 2 rejected\n");
}

#[test]
fn names_that_are_not_utf_8_are_shown_byte_by_byte_with_the_remedy() {
    let folder = folder_with(&[]);
    fs::create_dir(folder.path().join("data")).unwrap();
    let names = [&b"a\xff.csv"[..], b"a\xfe.csv"].map(OsStr::from_bytes);
    for name in names {
        fs::write(folder.path().join("data").join(name), "1").unwrap();
    }
    let told = push(folder.path(), NOWHERE, &["data"]);
    told.ended(3);
    for shown in ["data/a\\xff.csv", "data/a\\xfe.csv"] {
        told.warned(&format!(
            "rejected   {shown}: name \"{shown}\" is not UTF-8; rename it, or push it by itself with --name NAME [bad_name]\n"
        ));
    }
    let told = push(folder.path(), NOWHERE, &["data", "--json"]);
    let paths = told.json().iter().map(|line| (line["path"].clone(), line["name"].clone())).collect::<Vec<_>>();
    let shown = |name: &str| (json!(format!("data/{name}")), json!(format!("data/{name}")));
    assert_eq!(paths, [shown("a\\xfe.csv"), shown("a\\xff.csv")]);
}

#[test]
fn a_file_whose_name_is_not_utf_8_goes_by_a_given_name() {
    let folder = folder_with(&[]);
    let path = OsStr::from_bytes(b"a\xff.csv");
    fs::write(folder.path().join(path), "1").unwrap();
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a.csv");
        talk.whole_body(b"", b"1");
        talk.say(&json!({"event": "failed", "id": id, "code": "no_space", "message": "disk full", "retry": false}));
        talk.closed();
    });
    let mut command = push_command(folder.path(), &server.address, &["--name", "a.csv"]);
    let told: Told = command.arg(path).output().unwrap().into();
    told.ended(1);
    told.warned("failed     a\\xff.csv: disk full [no_space]\n");
    server.done();
}
