//! `tidegate push` against a scripted server: what goes over the wire byte by byte, and what the user is told.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod fake;
mod lies;
mod links;
mod resumes;
mod selection;
mod terminal;
mod troubles;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use self::common::told::Told;
use self::fake::{Fake, Talk, committed};

/// `tidegate push` in `folder`, that waits next to nothing between its tries.
fn push_command(folder: &Path, to: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["push", "--to", to, "--backoff", "1ms"]).args(arguments);
    command.current_dir(folder).env_remove("TIDEGATE_TO");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn push(folder: &Path, to: &str, arguments: &[&str]) -> Told {
    push_command(folder, to, arguments).output().unwrap().into()
}

fn push_stdin(folder: &Path, to: &str, arguments: &[&str], input: &[u8]) -> Told {
    let mut child = push_command(folder, to, arguments).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap().into()
}

/// A folder with these files in it.
fn folder_with(files: &[(&str, &[u8])]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

#[test]
fn a_file_goes_out_and_its_receipt_comes_back() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.take("a.csv", b"x,y\n1,2\n");
        talk.closed();
    });
    let folder = folder_with(&[("a.csv", b"x,y\n1,2\n")]);
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(0);
    let digest = tidegate::upload::Digest::of(b"x,y\n1,2\n");
    assert_eq!(told.out, format!("committed  a.csv  8 B  {digest}\n"));
    told.warned("1 of 1 file committed, 8 B in ");
    assert!(!told.err.contains("resumed"), "{}", told.err);
    server.done();
}

#[test]
fn an_empty_file_and_one_of_many_chunks_are_files_like_others() {
    let large: Vec<u8> = (0..1_000_003_u32).flat_map(u32::to_le_bytes).collect();
    let sent = large.clone();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        talk.take("empty", b"");
        let id = talk.put_asked("large");
        talk.whole_body(b"", &sent);
        talk.commit(&id, "large", &sent);
    });
    let folder = folder_with(&[("empty", b""), ("large", &large)]);
    push(folder.path(), &server.address, &["--jobs", "1", "empty", "large"]).ended(0);
    server.done();
}

#[test]
fn a_folder_keeps_its_shape() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        for name in ["data/a.csv", "data/b/c.csv", "data/b/d.csv", "data/z.csv"] {
            talk.take(name, name.as_bytes());
        }
        talk.closed();
    });
    let folder = folder_with(&[
        ("data/z.csv", b"data/z.csv"),
        ("data/b/d.csv", b"data/b/d.csv"),
        ("data/b/c.csv", b"data/b/c.csv"),
        ("data/a.csv", b"data/a.csv"),
        ("data/.hidden.csv", b""),
        ("data/.git/config", b""),
        ("data/b/.c.csv.swp", b""),
    ]);
    let told = push(folder.path(), &server.address, &["--jobs", "1", "data/"]);
    told.ended(0);
    told.warned("skipped    data/: 3 hidden (leading dot)\n");
    server.done();
}

#[test]
fn the_current_folder_goes_by_its_name() {
    let folder = folder_with(&[("till-7/a.csv", b"1")]);
    let server = Fake::play(|listener| Talk::accept(listener).take("till-7/a.csv", b"1"));
    push(&folder.path().join("till-7"), &server.address, &["."]).ended(0);
    server.done();
}

#[test]
fn a_name_stands_for_the_own_name_of_a_file_or_folder() {
    let folder = folder_with(&[("a.csv", b"1"), ("data/b/c.csv", b"2")]);
    for (path, name, sent, bytes) in [("a.csv", "x/y.csv", "x/y.csv", b"1"), ("data", "n4/today", "n4/today/b/c.csv", b"2")]
    {
        let server = Fake::play(move |listener| Talk::accept(listener).take(sent, bytes));
        push(folder.path(), &server.address, &[path, "--name", name]).ended(0);
        server.done();
    }
}

#[test]
fn standard_input_is_a_file_with_a_given_name() {
    let server = Fake::play(|listener| Talk::accept(listener).take("dump.sql", b"create table x;"));
    let folder = TempDir::new().unwrap();
    let told = push_stdin(folder.path(), &server.address, &["-", "--name", "dump.sql", "--json"], b"create table x;");
    told.ended(0);
    let [line] = told.json().try_into().unwrap();
    assert_eq!((&line["path"], &line["name"], &line["outcome"]), (&json!("-"), &json!("dump.sql"), &json!("committed")));
    server.done();
}

#[test]
fn jobs_share_the_files_over_a_connection_each() {
    let folder = folder_with(&[("a", b"a"), ("b", b"b"), ("c", b"c")]);
    let server = Fake::play(|listener| {
        // Nobody is answered before both have come: one connection alone would be stuck.
        let mut talks = [Talk::accept(listener), Talk::accept(listener)];
        let puts = talks.each_mut().map(|talk| {
            let line = talk.json();
            talk.body();
            (line["id"].as_str().unwrap().to_owned(), line["name"].as_str().unwrap().to_owned())
        });
        for (talk, (id, name)) in talks.iter_mut().zip(&puts) {
            talk.commit(id, name, name.as_bytes());
        }
        let mut last = talks.into_iter().filter_map(|mut talk| {
            let line = talk.line();
            (!line.is_empty()).then(|| {
                let put: Value = serde_json::from_str(&line).unwrap();
                talk.body();
                talk.commit(put["id"].as_str().unwrap(), "c", b"c");
            })
        });
        assert!(last.next().is_some() || last.next().is_some());
    });
    let told = push(folder.path(), &server.address, &["--jobs", "2", "a", "b", "c"]);
    told.ended(0);
    assert_eq!(told.out.lines().count(), 3);
    server.done();
}

/// A report as servers send it.
fn missing_cell() -> serde_json::Value {
    json!({"format": "csv", "valid": false, "complete": false, "records": 3, "bytes": 18, "errors_total": 1,
        "counts": {"missing-cell": 1}, "errors": [{"code": "missing-cell", "severity": "error",
            "message": "row has 1 field, the header has 2", "record": 3, "line": 4, "column": 2, "offset": 17}]})
}

#[test]
fn json_lines_tell_all_three_outcomes() {
    let report = missing_cell();
    let sent = report.clone();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a.csv");
        talk.body();
        let mut event = committed(&id, "a.csv", b"1");
        event["receipt"]["key"] = json!("a~2.csv");
        event["receipt"]["verdict"] = json!({"format": "csv", "records": 12});
        talk.say(&event);
        let id = talk.put("b.csv");
        talk.body();
        talk.say(&json!({"event": "rejected", "id": id, "code": "invalid", "message": "\"b.csv\" is not valid csv",
            "report": sent}));
        let id = talk.put("c.csv");
        talk.body();
        talk.say(&json!({"event": "failed", "id": id, "code": "no_space", "message": "disk full", "retry": false}));
    });
    let folder = folder_with(&[("a.csv", b"1"), ("b.csv", b"2"), ("c.csv", b"3")]);
    let told = push(folder.path(), &server.address, &["--jobs", "1", "--json", "a.csv", "b.csv", "c.csv"]);
    told.ended(1);
    let [a, b, c] = told.json().try_into().unwrap();
    assert_eq!((&a["outcome"], &a["receipt"]["key"]), (&json!("committed"), &json!("a~2.csv")));
    assert_eq!(a["receipt"]["verdict"]["records"], 12);
    assert_eq!(
        b,
        json!({"path": "b.csv", "name": "b.csv", "sent_bytes": 1, "outcome": "rejected", "code": "invalid",
            "message": "\"b.csv\" is not valid csv", "report": report})
    );
    assert_eq!(
        c,
        json!({"path": "c.csv", "name": "c.csv", "sent_bytes": 1, "outcome": "failed", "code": "no_space",
            "message": "disk full"})
    );
    told.warned("1 of 3 files committed, 1 B in ");
    told.warned(", 1 rejected, 1 failed\n");
    server.done();
}

#[test]
fn people_are_told_what_the_receipt_holds_and_where_a_file_is_wrong() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a.csv");
        talk.body();
        let mut event = committed(&id, "a.csv", b"1");
        event["receipt"]["key"] = json!("a~2.csv");
        event["receipt"]["duplicate"] = json!(true);
        event["receipt"]["verdict"] = json!({"format": "csv", "records": 1});
        talk.say(&event);
        let id = talk.put("b.csv");
        talk.body();
        talk.say(&json!({"event": "rejected", "id": id, "code": "invalid", "message": "no",
            "report": missing_cell()}));
    });
    let folder = folder_with(&[("a.csv", b"1"), ("b.csv", b"2")]);
    let told = push(folder.path(), &server.address, &["--jobs", "1", "a.csv", "b.csv"]);
    told.ended(3);
    assert!(told.out.ends_with("  csv, 1 record  (stored as a~2.csv: a.csv is taken)  (duplicate)\n"), "{}", told.out);
    told.warned("rejected   b.csv: line 4, column 2: row has 1 field, the header has 2 [missing-cell]\n");
    server.done();
}

#[test]
fn a_sender_may_have_a_name() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept_silently(listener);
        assert_eq!(talk.json(), json!({"op": "hello", "version": 1, "collector": "edge-17"}));
        talk.greet(Duration::from_mins(1));
        talk.take("a", b"1");
    });
    let folder = folder_with(&[("a", b"1")]);
    push(folder.path(), &server.address, &["--collector", "edge-17", "a"]).ended(0);
    server.done();
}

#[test]
fn the_environment_may_name_the_server() {
    let server = Fake::play(|listener| Talk::accept(listener).take("a", b"1"));
    let folder = folder_with(&[("a", b"1")]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["push", "a"]).current_dir(folder.path()).env("TIDEGATE_TO", &server.address);
    assert_eq!(command.output().unwrap().status.code(), Some(0));
    server.done();
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused_before_anything_is_sent() {
    let folder = folder_with(&[("a", b"1"), ("b", b"1")]);
    for (arguments, why) in [
        (&["-"][..], "standard input needs a name"),
        (&["a", "b", "--name", "c"], "--name goes with one PATH"),
        (&[], "<PATH>..."),
        (&["a", "--to", "nowhere"], "HOST:PORT"),
        (&["a", "--jobs", "0"], "--jobs"),
        (&["a", "--collector", ""], "--collector"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let told: Told = command.arg("push").args(arguments).current_dir(folder.path()).output().unwrap().into();
        told.ended(2);
        told.warned(why);
    }
}
