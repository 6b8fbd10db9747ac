//! Servers that say much and do nothing, or do not even listen: every push of theirs ends.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use tidegate::client::{Attempt, Options, Outcome, Retry, Sender, Source, Upload};

use crate::fake::{Fake, Talk};
use crate::resumes::large;
use crate::{Told, folder_with, push};

/// What is told of a file that no socket buffers hold, pushed to a server that plays this script for each of two tries.
fn told_of_large(script: impl Fn(&TcpListener) + Send + 'static) -> Told {
    let folder = folder_with(&[("large", &large(32 << 20))]);
    let server = Fake::play(move |listener| (0..2).for_each(|_| script(listener)));
    let told = push(
        folder.path(),
        &server.address,
        &["--idle-timeout", "50ms", "--answer-timeout", "5s", "--retries", "1", "large"],
    );
    told.ended(1);
    server.done();
    told
}

#[test]
fn a_server_that_does_not_read_is_not_waited_for_without_end() {
    let told = told_of_large(|listener| {
        let mut talk = Talk::accept(listener);
        talk.put_asked("large");
        talk.wait_unread();
    });
    told.warned("failed     large: sending: the server has taken no byte for 50ms [timeout]\n");
}

#[test]
fn a_server_that_does_not_say_how_much_it_has_is_not_waited_for_without_end() {
    let told = told_of_large(|listener| {
        let mut talk = Talk::accept(listener);
        talk.put_again("large");
        talk.closed();
    });
    told.warned("failed     large: the server has not answered within 50ms [timeout]\n");
}

#[test]
fn an_answer_that_has_no_end_is_none() {
    let told = told_of_large(|listener| {
        let mut talk = Talk::accept(listener);
        talk.put_again("large");
        // A space every few milliseconds.
        talk.wait_unread();
    });
    told.warned("failed     large: the server has not answered within 50ms [timeout]\n");
}

#[test]
fn a_server_that_is_ready_for_ever_is_no_progress() {
    // At the question, in the body, and behind the end of a file that is sent without a question.
    let ready = |id: &str| format!("{{\"event\":\"ready\",\"id\":\"{id}\",\"offset\":0}}\n").repeat(1000);
    let folder = folder_with(&[("large", &large(8 << 20)), ("small", b"1")]);
    for name in ["large", "small"] {
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept(listener);
            let id = if name == "large" { talk.put_again(name) } else { talk.put(name) };
            talk.say_for_ever(ready(&id).as_bytes());
        });
        let told = push(folder.path(), &server.address, &[name]);
        told.ended(1);
        told.warned("the server answers a file's end with something else than its outcome [bad_header]\n");
        server.done();
    }
}

#[test]
fn a_receipt_for_another_file_is_none() {
    let folder = folder_with(&[("a.csv", b"1")]);
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a.csv");
        talk.whole_body(b"", b"1");
        talk.commit(&id, "b.csv", b"1");
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--retries", "0", "a.csv"]);
    told.ended(1);
    told.warned("the receipt is for \"b.csv\", but \"a.csv\" was sent [bad_header]\n");
    server.done();
}

#[test]
fn messages_that_nobody_knows_are_no_progress() {
    for noise in ["{\"event\":\"patience\"}\n", "{\"event\":\"patience\"", "\n"] {
        let folder = folder_with(&[("a.csv", b"1"), ("large", &large(8 << 20))]);
        for name in ["a.csv", "large"] {
            let server = Fake::play(move |listener| {
                let mut talk = Talk::accept(listener);
                talk.json();
                talk.say_for_ever(noise.as_bytes());
            });
            push(folder.path(), &server.address, &[name]).ended(1);
            server.done();
        }
    }
}

#[test]
fn a_server_that_claims_a_byte_more_each_time_is_not_tried_for_ever() {
    let folder = folder_with(&[("large", &large(2 << 20))]);
    let server = Fake::play(|listener| {
        for kept in 0..4 {
            let mut talk = Talk::accept(listener);
            talk.put_kept("large", kept);
            talk.chunk().unwrap();
        }
    });
    let told = push(folder.path(), &server.address, &["--retries", "3", "large"]);
    told.ended(1);
    assert_eq!(told.err.matches("waiting    large: ").count(), 3, "{}", told.err);
    server.done();
}

#[test]
fn an_answer_counts_though_the_server_reads_no_further() {
    let folder = folder_with(&[("large", &large(32 << 20))]);
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put_asked("large");
        talk.chunk().unwrap();
        talk.say(&json!({"event": "rejected", "id": id, "code": "too_large", "message": "no"}));
        talk.wait_unread();
    });
    let options = Options { abort_timeout: Duration::from_millis(50), ..Options::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let upload = Upload::new("large".parse().unwrap());
    let mut source = Source::file(folder.path().join("large"));
    let delivery = runtime.block_on(async {
        let mut sender = Sender::new(&server.address[..], options, Retry::default());
        sender.send(&upload, Attempt::Again, &mut source, |_| {}).await
    });
    assert!(matches!(&delivery.outcome, Outcome::Rejected { code, .. } if code == "too_large"), "{delivery:?}");
    drop(runtime);
    server.done();
}
