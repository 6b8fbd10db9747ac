//! A push that goes on where it was cut off: against a script, and against the built server over a line that breaks.

use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::upload::Digest;

use crate::common::proxy::{Cut, Ends, Flow, How, Line, Proxy, Stop, When};
use crate::common::serve::{Serve, until};
use crate::fake::{Fake, Talk};
use crate::{Told, folder_with, push, push_command};

/// Large enough to be asked for, and no two chunks are alike.
pub(crate) fn large(bytes: u32) -> Vec<u8> {
    (0..bytes / 4).flat_map(u32::to_le_bytes).collect()
}

pub(crate) fn rejected(id: &str, code: &str) -> Value {
    json!({"event": "rejected", "id": id, "code": code, "message": "these are other bytes"})
}

#[test]
fn the_rest_is_sent_and_the_whole_is_vouched_for() {
    let bytes = large(3 << 20);
    for kept in [1, 255 << 10, 1 << 20, (1 << 20) + 1, bytes.len()] {
        let sent = bytes.clone();
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept(listener);
            let id = talk.put_kept("large", kept as u64);
            talk.whole_body(&sent[..kept], &sent[kept..]);
            talk.commit(&id, "large", &sent);
        });
        let folder = folder_with(&[("large", &bytes)]);
        let told = push(folder.path(), &server.address, &["--json", "large"]);
        told.ended(0);
        let [line] = told.json().try_into().unwrap();
        assert_eq!(line["sent_bytes"], bytes.len() - kept);
        assert_eq!(line["resumed_at"], kept);
        told.warned("1 of 1 file committed, 3.00 MiB in ");
        told.warned(" sent, 1 file resumed\n");
        server.done();
    }
}

#[test]
fn a_server_that_waits_hears_that_somebody_is_there() {
    let bytes = vec![0; 64 << 20];
    let sent = bytes.clone();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept_patiently(listener, Duration::from_millis(4));
        let id = talk.put_kept("large", sent.len() as u64);
        assert_eq!(talk.chunk(), Ok(Vec::new()), "a sign of life while the beginning is hashed");
        while talk.chunk() == Ok(Vec::new()) {}
        talk.commit(&id, "large", &sent);
    });
    let folder = folder_with(&[("large", &bytes)]);
    push(folder.path(), &server.address, &["large"]).ended(0);
    server.done();
}

#[test]
fn what_was_kept_of_something_else_is_sent_anew_once() {
    let bytes = large(2 << 20);
    for code in ["digest_mismatch", "invalid"] {
        let sent = bytes.clone();
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept(listener);
            let id = talk.put_kept("large", 7);
            talk.body();
            talk.say(&rejected(&id, code));
            if code == "digest_mismatch" {
                assert_eq!(talk.put("large"), id);
                talk.whole_body(b"", &sent);
                talk.say(&rejected(&id, code));
            }
            talk.closed();
        });
        let folder = folder_with(&[("large", &bytes)]);
        let told = push(folder.path(), &server.address, &["--json", "large"]);
        told.ended(3);
        assert_eq!(told.json()[0]["code"], code);
        assert_eq!(told.err.matches("anew       large: these are other bytes\n").count(), usize::from(code != "invalid"));
        server.done();
    }
}

/// What is told of a file of 1 MiB that is pushed to a server which plays this script, given its bytes.
fn told_of_one(script: impl FnOnce(Talk, &[u8]) + Send + 'static) -> Told {
    let bytes = large(1 << 20);
    let folder = folder_with(&[("large", &bytes)]);
    let server = Fake::play(move |listener| script(Talk::accept(listener), &bytes));
    let told = push(folder.path(), &server.address, &["large"]);
    server.done();
    told
}

#[test]
fn an_offset_beyond_the_end_is_of_something_else_too() {
    let told = told_of_one(|mut talk, bytes| {
        let id = talk.put_kept("large", bytes.len() as u64 + 1);
        assert_eq!(talk.json(), json!({"abort": true}));
        talk.say(&rejected(&id, "aborted"));
        assert_eq!(talk.put("large"), id);
        talk.whole_body(b"", bytes);
        talk.commit(&id, "large", bytes);
        talk.closed();
    });
    told.ended(0);
    told.warned("anew       large: the server has 1048577 bytes of \"large\", here it has only 1048576\n");
}

#[test]
fn a_receipt_of_other_bytes_under_the_same_id_is_not_taken_for_this_file() {
    let told = told_of_one(|mut talk, bytes| {
        let id = talk.put_again("large");
        talk.commit(&id, "large", b"other");
        assert_eq!(talk.put("large"), id);
        talk.whole_body(b"", bytes);
        talk.say(&json!({"event": "rejected", "id": id, "code": "conflict", "message": "\"large\" is taken"}));
    });
    told.ended(3);
    told.warned("rejected   large: \"large\" is taken [conflict]\n");
}

#[test]
fn tries_are_counted_from_the_last_that_got_further() {
    let bytes = large(2 << 20);
    let sent = bytes.clone();
    let server = Fake::play(move |listener| {
        for kept in [0, 100_000, 200_000, 300_000, 400_000] {
            let mut talk = Talk::accept(listener);
            talk.put_kept("large", kept);
            talk.chunk().unwrap();
        }
        for _ in 0..2 {
            let mut talk = Talk::accept(listener);
            talk.put_kept("large", 400_000);
            talk.chunk().unwrap();
        }
        let mut talk = Talk::accept(listener);
        let id = talk.put_kept("large", 500_000);
        talk.whole_body(&sent[..500_000], &sent[500_000..]);
        talk.commit(&id, "large", &sent);
    });
    let folder = folder_with(&[("large", &bytes)]);
    let told = push(folder.path(), &server.address, &["--retries", "3", "large"]);
    told.ended(0);
    assert_eq!(told.err.matches("waiting    large: ").count(), 7, "{}", told.err);
    server.done();
    let server = Fake::play(move |listener| {
        for kept in [100, 100, 100] {
            let mut talk = Talk::accept(listener);
            talk.put_kept("large", kept);
            talk.chunk().unwrap();
        }
    });
    let told = push(folder.path(), &server.address, &["--retries", "2", "large"]);
    told.ended(1);
    server.done();
}

/// The id under which a file is announced.
fn id_of(folder: &Path, file: &'static str, arguments: &[&str]) -> String {
    let (ids, known) = std::sync::mpsc::channel();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        let put = talk.json();
        let id = put["id"].as_str().unwrap().to_owned();
        talk.say(&rejected(&id, "conflict"));
        ids.send(id).unwrap();
        talk.body();
    });
    push(folder, &server.address, &[&[file], arguments].concat()).ended(3);
    server.done();
    known.recv().unwrap()
}

#[test]
fn a_file_has_one_id_until_it_is_written_to() {
    let folder = folder_with(&[("a.csv", b"x"), ("b.csv", b"x")]);
    let path = folder.path().join("a.csv");
    let id = id_of(folder.path(), "a.csv", &[]);
    assert!(id.starts_with("push-") && id.len() == 37, "{id}");
    std::os::unix::fs::symlink("a.csv", folder.path().join("link")).unwrap();
    assert_eq!(id_of(folder.path(), "a.csv", &[]), id);
    assert_eq!(id_of(folder.path(), "link", &["--name", "a.csv"]), id, "a link is the file that it leads to");
    assert_ne!(id_of(folder.path(), "b.csv", &["--name", "a.csv"]), id);
    assert_ne!(id_of(folder.path(), "a.csv", &["--name", "c.csv"]), id);
    let file = File::options().write(true).open(&path).unwrap();
    file.set_times(FileTimes::new().set_modified(SystemTime::UNIX_EPOCH)).unwrap();
    assert_ne!(id_of(folder.path(), "a.csv", &[]), id);
}

#[test]
fn a_file_that_changes_between_two_tries_is_another_upload() {
    let folder = folder_with(&[("large", &large(1 << 20))]);
    let path = folder.path().join("large");
    let new = [large(1 << 20), b"more".to_vec()].concat();
    let expected = new.clone();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        let old = talk.put_kept("large", 100);
        fs::write(&path, &expected).unwrap();
        drop(talk);
        let mut talk = Talk::accept(listener);
        let id = talk.put("large");
        assert_ne!(id, old);
        talk.whole_body(b"", &expected);
        talk.commit(&id, "large", &expected);
    });
    let told = push(folder.path(), &server.address, &["--json", "--settle", "1ms", "large"]);
    told.ended(0);
    told.warned("anew       large: it has changed since the last try\n");
    assert_eq!(fs::read(folder.path().join("large")).unwrap(), new);
    server.done();
}

/// The built server, into memory.
fn serve(folder: &TempDir) -> Serve {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    Serve::run(command.arg("serve").env("TIDEGATE__SINK__KIND", "memory"), &folder.path().join("store"))
}

fn counted(serve: &Serve, metric: &str) -> u64 {
    let text = serve.get("/metrics");
    text.lines().find_map(|line| line.strip_prefix(metric)?.trim().parse().ok()).unwrap_or(0)
}

/// What is told of the one file that was pushed, which must have arrived as these bytes.
fn arrived(told: &Told, bytes: &[u8]) -> Value {
    told.ended(0);
    let [line] = told.json().try_into().unwrap();
    assert_eq!(line["receipt"]["digest"], Digest::of(bytes).to_string(), "{}", told.err);
    line
}

#[test]
fn a_line_that_is_cut_again_and_again_brings_the_whole_file_over_once() {
    for how in [How::Close, How::Reset] {
        let bytes = large(16 << 20);
        let folder = folder_with(&[("large", &bytes)]);
        let serve = serve(&folder);
        // Slow enough that what is lost in the sockets' buffers is little.
        let line = move |_| Line { to_server: Flow::at_rate(40 << 20), ..Line::cut(When::ToServer(2 << 20), how) };
        let proxy = Proxy::start(serve.address.clone(), line);
        let told = push(folder.path(), &proxy.address(), &["--json", "--retries", "1", "large"]);
        let line = arrived(&told, &bytes);
        assert!(proxy.cuts() >= 7, "{} cuts; {}", proxy.cuts(), told.err);
        assert!(line["resumed_at"].as_u64().unwrap() > 0);
        assert!(
            proxy.to_server() < (bytes.len() + bytes.len() / 5) as u64,
            "{} bytes went over the line",
            proxy.to_server()
        );
        assert_eq!(counted(&serve, "tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}"), 1);
        assert!(counted(&serve, "tidegate_resumed_total") >= 7);
    }
}

#[test]
fn a_push_that_was_killed_goes_on_when_it_is_started_again() {
    let bytes = large(16 << 20);
    let folder = folder_with(&[("large", &bytes)]);
    let serve = serve(&folder);
    let stalls = Line { to_server: Flow::stopping(4 << 20, Stop::Stall), ..Line::default() };
    let proxy = Proxy::start(serve.address.clone(), move |_| stalls);
    let mut killed = push_command(folder.path(), &proxy.address(), &["large"]).spawn().unwrap();
    until("a part of it", || counted(&serve, "tidegate_received_bytes_total") > 4_000_000);
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The proxy still holds the old connection: the server does not know that it is dead.
    let told = push(folder.path(), &serve.address, &["--json", "large"]);
    let line = arrived(&told, &bytes);
    let resumed_at = line["resumed_at"].as_u64().unwrap();
    assert!(resumed_at > 4_000_000, "{line}");
    assert_eq!(line["sent_bytes"], bytes.len() as u64 - resumed_at);
    // A third one has nothing to do.
    let told = push(folder.path(), &serve.address, &["--json", "large"]);
    let line = arrived(&told, &bytes);
    assert_eq!((&line["sent_bytes"], &line["receipt"]["duplicate"]), (&json!(0), &json!(true)));
    // Written to, it is another file.
    fs::write(folder.path().join("large"), b"short").unwrap();
    push(folder.path(), &serve.address, &["large"]).ended(3);
}

#[test]
fn a_push_whose_server_does_not_see_the_cut_takes_over_from_itself() {
    let bytes = large(8 << 20);
    let folder = folder_with(&[("large", &bytes)]);
    let serve = serve(&folder);
    let half_open = Cut { when: When::ToServer(2 << 20), how: How::Reset, ends: Ends::Client };
    let proxy = Proxy::start(serve.address.clone(), move |number| Line {
        cut: (number == 0).then_some(half_open),
        ..Line::default()
    });
    let told = push(folder.path(), &proxy.address(), &["--json", "large"]);
    let line = arrived(&told, &bytes);
    assert!(line["resumed_at"].as_u64().unwrap() > 1_000_000, "{line}");
    assert_eq!(counted(&serve, "tidegate_uploads_total{outcome=\"failed\",reason=\"incomplete\"}"), 1);
}

#[test]
fn two_copies_of_a_push_bring_one_file_and_two_receipts() {
    let bytes = large(32 << 20);
    let folder = folder_with(&[("large", &bytes)]);
    let serve = serve(&folder);
    let copies: Vec<_> = (0..2)
        .map(|_| push_command(folder.path(), &serve.address, &["--json", "--retries", "100", "large"]).spawn().unwrap())
        .collect();
    for copy in copies {
        arrived(&Told::from(copy.wait_with_output().unwrap()), &bytes);
    }
    assert_eq!(counted(&serve, "tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}"), 1);
}
