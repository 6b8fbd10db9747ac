//! What can go wrong on the way, and what a push makes of it.

use std::fs::File;
use std::io::Write;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::mpsc;

use serde_json::json;
use tempfile::TempDir;

use crate::fake::{Fake, Talk, committed, failed};
use crate::{Told, folder_with, push, push_command, push_stdin};

/// A folder with a file `large` that no socket buffer swallows.
fn folder_with_large(bytes: u64) -> TempDir {
    let folder = TempDir::new().unwrap();
    File::create(folder.path().join("large")).unwrap().set_len(bytes).unwrap();
    folder
}

#[test]
fn an_early_rejection_stops_the_sending_and_leaves_the_connection_for_the_next_file() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put_asked("large");
        let first = talk.chunk().unwrap();
        talk.say(&json!({"event": "rejected", "id": id, "code": "too_large", "message": "\"large\" has more than 9 bytes"}));
        let rest = talk.body();
        assert!(first.len() + rest.bytes.len() < 100 << 20, "it was sent to its end");
        assert_eq!(rest.end, json!({"abort": true}));
        talk.take("small", b"1");
        talk.closed();
    });
    let folder = folder_with_large(200 << 20);
    std::fs::write(folder.path().join("small"), b"1").unwrap();
    let told = push(folder.path(), &server.address, &["--jobs", "1", "large", "small"]);
    told.ended(3);
    told.warned("rejected   large: \"large\" has more than 9 bytes [too_large]\n");
    assert!(told.out.starts_with("committed  small  "), "{}", told.out);
    server.done();
}

#[test]
fn an_answer_counts_even_where_the_server_closes_behind_it() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put_asked("large");
        talk.say(&json!({"event": "rejected", "id": id, "code": "invalid", "message": "not a csv"}));
        // Bytes lie unread, so this is a reset.
        drop(talk);
        // Whether the loss was seen before the next file was announced is the network's choice.
        Talk::accept(listener).take_perhaps_again("small", b"1");
    });
    let folder = folder_with_large(64 << 20);
    std::fs::write(folder.path().join("small"), b"1").unwrap();
    let told = push(folder.path(), &server.address, &["--jobs", "1", "--json", "large", "small"]);
    let lines = told.json();
    assert_eq!((&lines[0]["outcome"], &lines[0]["message"]), (&json!("rejected"), &json!("not a csv")), "{}", told.err);
    assert_eq!(lines[1]["outcome"], "committed", "{}", told.err);
    server.done();
}

#[test]
fn a_lost_connection_is_tried_again_with_the_same_id() {
    let (ids, known) = mpsc::channel();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        ids.send(talk.put_asked("large")).unwrap();
        talk.chunk().unwrap();
        drop(talk);
        let mut talk = Talk::accept(listener);
        let id = talk.put_again("large");
        ids.send(id.clone()).unwrap();
        talk.say(&json!({"event": "ready", "id": id, "offset": 0}));
        let bytes = vec![0; 4 << 20];
        talk.whole_body(b"", &bytes);
        talk.commit(&id, "large", &bytes);
    });
    let folder = folder_with_large(4 << 20);
    let told = push(folder.path(), &server.address, &["large"]);
    told.ended(0);
    told.warned("waiting    large: the ");
    assert_eq!(known.recv().unwrap(), known.recv().unwrap());
    server.done();
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_and_not_sent_again() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.put("a.csv");
        talk.whole_body(b"", b"1,2");
        drop(talk);
        let mut talk = Talk::accept(listener);
        let id = talk.put_again("a.csv");
        let mut event = committed(&id, "a.csv", b"1,2");
        event["receipt"]["duplicate"] = json!(true);
        talk.say(&event);
        talk.closed();
    });
    let folder = folder_with(&[("a.csv", b"1,2")]);
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(0);
    assert!(told.out.ends_with("  (duplicate)\n"), "{}", told.out);
    server.done();
}

#[test]
fn a_passing_failure_is_tried_again_over_the_same_connection() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a.csv");
        talk.whole_body(b"", b"1,2");
        talk.say(&failed(&id, "store"));
        assert_eq!(talk.put_again("a.csv"), id);
        talk.say(&failed(&id, "busy"));
        assert_eq!(talk.put_again("a.csv"), id);
        talk.say(&json!({"event": "ready", "id": id, "offset": 0}));
        talk.whole_body(b"", b"1,2");
        talk.commit(&id, "a.csv", b"1,2");
        talk.closed();
    });
    let folder = folder_with(&[("a.csv", b"1,2")]);
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(0);
    told.warned("waiting    a.csv: the store is away; next try in ");
    server.done();
}

#[test]
fn a_receipt_for_something_else_is_a_failure() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a.csv");
        talk.body();
        talk.commit(&id, "a.csv", b"xyz");
    });
    let folder = folder_with(&[("a.csv", b"1,2")]);
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(1);
    told.warned("failed     a.csv: the receipt is for 3 bytes with sha256:");
    told.warned("[digest_mismatch]\n");
    server.done();
}

#[test]
fn a_server_that_breaks_the_protocol_is_not_believed() {
    for (answer, why) in [
        ("{\"event\":\"committed\",\"id\":\"other\"}\n", "can't be understood"),
        (
            "{\"event\":\"failed\",\"id\":\"other\",\"code\":\"x\",\"message\":\"\",\"retry\":true}\n",
            "\"other\", which is not under way",
        ),
        (
            "{\"event\":\"hello\",\"version\":1,\"limits\":{\"max_file_bytes\":1,\"max_line_bytes\":1,\"idle_timeout_ms\":1}}\n",
            "hello in the middle",
        ),
        ("{\"event\":\"error\",\"code\":\"bad_header\",\"message\":\"what is this\"}\n", "bad_header: what is this"),
        ("ok\n", "can't be understood"),
    ] {
        let server = Fake::play(|listener| {
            let mut talk = Talk::accept(listener);
            talk.put("a.csv");
            talk.body();
            talk.say_bytes(answer.as_bytes());
            talk.closed();
        });
        let folder = folder_with(&[("a.csv", b"1,2")]);
        let told = push(folder.path(), &server.address, &["a.csv"]);
        told.ended(1);
        told.warned(why);
        server.done();
    }
}

#[test]
fn what_is_no_tidegate_server_is_shown_and_not_tried_again() {
    let server = Fake::play(|listener| Talk::accept_silently(listener).say_bytes(b"SSH-2.0-OpenSSH_9.6\r\n"));
    let folder = folder_with(&[("a.csv", b"1,2")]);
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(1);
    told.warned(&format!(
        "{} is not a tidegate server: it says \"SSH-2.0-OpenSSH_9.6\\r\\n\" [bad_header]\n",
        server.address
    ));
    server.done();
}

#[test]
fn another_version_is_not_spoken_to() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept_silently(listener);
        talk.line();
        talk.say(&json!({"event": "hello", "version": 2,
            "limits": {"max_file_bytes": 1, "max_line_bytes": 1, "idle_timeout_ms": 1}}));
        talk.closed();
    });
    let folder = folder_with(&[("a.csv", b"1,2")]);
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(1);
    told.warned("it speaks version 2 of the protocol, this client speaks 1 [unsupported]\n");
    server.done();
}

#[test]
fn a_server_that_is_full_is_tried_again() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept_silently(listener);
        talk.line();
        talk.say(&json!({"event": "error", "code": "busy", "message": "too many connections"}));
        drop(talk);
        Talk::accept(listener).take("a.csv", b"1,2");
    });
    let folder = folder_with(&[("a.csv", b"1,2")]);
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(0);
    told.warned("the server closed the connection: busy: too many connections; next try in ");
    server.done();
}

#[test]
fn where_nobody_listens_the_tries_are_bounded() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let folder = folder_with(&[("a.csv", b"1"), ("b.csv", b"2")]);
    let told = push(folder.path(), &address, &["--jobs", "1", "--retries", "2", "a.csv", "b.csv"]);
    told.ended(1);
    assert_eq!(told.err.matches("waiting    a.csv: ").count(), 2, "{}", told.err);
    assert_eq!(told.err.matches("waiting    b.csv: ").count(), 0, "one try shows that it is still so: {}", told.err);
    told.warned(&format!("failed     b.csv: connecting to {address}: Connection refused"));
    told.warned("0 of 2 files committed, 2 failed\n");
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for_without_end() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.put("a.csv");
        talk.body();
        talk.closed();
    });
    let folder = folder_with(&[("a.csv", b"1")]);
    let told = push(folder.path(), &server.address, &["--answer-timeout", "20ms", "--retries", "0", "a.csv"]);
    told.ended(1);
    told.warned("the server has not answered within 20ms [timeout]\n");
    server.done();
}

#[test]
fn a_greeting_is_waited_for_as_long_as_the_user_says() {
    for beginning in ["", "{\"event\":\"hello\","] {
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept_silently(listener);
            talk.line();
            talk.say_bytes(beginning.as_bytes());
            talk.closed();
        });
        let folder = folder_with(&[("a.csv", b"1")]);
        let deadlines = ["--connect-timeout", "20ms", "--idle-timeout", "1h", "--answer-timeout", "1h", "--retries", "0"];
        let told = push(folder.path(), &server.address, &[&deadlines[..], &["a.csv"]].concat());
        told.ended(1);
        told.warned(&format!(
            "greeting {}: it takes the connection but sends no whole hello within 20ms [timeout]\n",
            server.address
        ));
        server.done();
    }
}

#[test]
fn standard_input_that_has_been_read_is_not_tried_again() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("x");
        talk.body();
        talk.say(&failed(&id, "store"));
        talk.closed();
    });
    let folder = TempDir::new().unwrap();
    let told = push_stdin(folder.path(), &server.address, &["-", "--name", "x"], b"1,2");
    told.ended(1);
    told.warned("failed     -: the store is away [store]\n");
    server.done();
}

#[test]
fn standard_input_waits_for_no_one_who_has_refused_it() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("x");
        assert_eq!(talk.chunk(), Ok(b"bad".to_vec()));
        talk.say(&json!({"event": "rejected", "id": id, "code": "invalid", "message": "no json"}));
        assert_eq!(talk.json(), json!({"abort": true}));
    });
    let folder = TempDir::new().unwrap();
    let mut child =
        push_command(folder.path(), &server.address, &["-", "--name", "x"]).stdin(Stdio::piped()).spawn().unwrap();
    // It stays open: the push must end all the same.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"bad").unwrap();
    let told: Told = child.wait_with_output().unwrap().into();
    told.ended(3);
    drop(input);
    server.done();
}

#[test]
fn what_can_not_be_sent_fails_by_itself() {
    let server = Fake::play(|listener| Talk::accept(listener).take("good", b"1"));
    let folder = folder_with(&[("good", b"1"), ("a:b", b"1")]);
    let told = push(folder.path(), &server.address, &["missing", "a:b", "good"]);
    told.ended(1);
    told.warned("failed     missing: reading \"missing\": No such file or directory");
    told.warned("rejected   a:b: name \"a:b\" holds the character ':' [bad_name]\n");
    assert!(told.out.starts_with("committed  good  "), "{}", told.out);
    server.done();
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_breaks_while_it_is_read_is_given_up() {
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("mem");
        assert_eq!(talk.json(), json!({"abort": true}));
        talk.say(&json!({"event": "rejected", "id": id, "code": "aborted", "message": "given up"}));
        talk.take("good", b"1");
    });
    let folder = folder_with(&[("good", b"1")]);
    // It opens, but nothing is mapped at its first byte.
    let told = push(folder.path(), &server.address, &["--jobs", "1", "/proc/self/mem", "good"]);
    told.ended(1);
    told.warned("failed     /proc/self/mem: reading \"mem\": Input/output error");
    server.done();
}

#[test]
fn a_bad_name_alone_is_a_rejection() {
    let folder = folder_with(&[("a:b", b"1")]);
    push(folder.path(), "127.0.0.1:9", &["a:b"]).ended(3);
}

#[test]
fn an_interrupt_ends_it_at_once_and_tells_how_far_it_came() {
    let (reached, waiting) = mpsc::channel();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        talk.take("a", b"1");
        talk.put("b");
        talk.body();
        reached.send(()).unwrap();
        talk.closed();
    });
    let folder = folder_with(&[("a", b"1"), ("b", b"2")]);
    let child = push_command(folder.path(), &server.address, &["--jobs", "1", "a", "b"]).spawn().unwrap();
    waiting.recv().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let told: Told = child.wait_with_output().unwrap().into();
    told.ended(130);
    told.warned("interrupted: 1 of 2 files committed\n");
    server.done();
}
