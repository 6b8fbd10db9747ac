//! The framed protocol.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate::upload::Digest;
use tokio::io::AsyncWriteExt;

use crate::harness::{Gated, Running, Sender, config, start, start_with_held_commits};

fn put(id: &str, name: &str, body: &str) -> String {
    format!("{}\n{body}", json!({"op": "put", "id": id, "name": name, "size": body.len()}))
}

/// The event and the code or the key that came with it.
fn gist(event: &Value) -> (String, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
    let detail = if event["receipt"].is_null() { &event["code"] } else { &event["receipt"]["key"] };
    (text(&event["event"]), text(&event["id"]), text(detail))
}

fn expect(event: &str, id: &str, detail: &str) -> (String, String, String) {
    (event.to_owned(), id.to_owned(), detail.to_owned())
}

async fn next(sender: &mut Sender) -> (String, String, String) {
    gist(&sender.event().await)
}

async fn events(server: &Running, bytes: &[u8]) -> Vec<(String, String, String)> {
    let answer = server.exchange(bytes).await;
    answer.lines().map(|line| gist(&serde_json::from_str(line).unwrap())).collect()
}

#[tokio::test]
async fn a_conversation_comes_out_the_same_however_it_is_cut() {
    let digest = Digest::of(b"[1, 2]\n");
    let sent = format!(
        "{{\"op\":\"hello\",\"version\":1,\"collector\":\"edge-17\",\"x\":[]}}\n{}\n{{\"op\":\"put\",\"id\":\"u2\",\"name\":\"b.json\"}}\n{{\"chunk\":4}}\n[1, \
         {{\"chunk\":0}}\n{{\"chunk\":3}}\n2]\n{{\"end\":true,\"digest\":\"{digest}\"}}\n{}{}",
        put("u1", "a.csv", "x,y\n1,2\n"),
        put("u3", "../c", "body"),
        put("u4", "d.json", "{}"),
    );
    let expected = [
        expect("hello", "", ""),
        expect("committed", "u1", "a.csv"),
        expect("committed", "u2", "b.json"),
        expect("rejected", "u3", "bad_name"),
        expect("committed", "u4", "d.json"),
    ];
    for cut in 0..=sent.len() {
        let server = start(config()).await;
        let mut sender = server.connect().await;
        sender.send(&sent[..cut]).await;
        tokio::task::yield_now().await;
        sender.send(&sent[cut..]).await;
        sender.end().await;
        let answer = sender.rest().await;
        let events: Vec<_> = answer.lines().map(|line| gist(&serde_json::from_str(line).unwrap())).collect();
        assert_eq!(events, expected, "cut at {cut}: {answer}");
        assert_eq!(server.stored("a.csv").as_deref(), Some("x,y\n1,2\n"));
        assert_eq!(server.stored("b.json").as_deref(), Some("[1, 2]\n"));
        assert_eq!(server.keys(), ["a.csv", "b.json", "d.json"]);
    }
}

#[tokio::test]
async fn a_receipt_says_all() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    let line = json!({"op": "put", "id": "u1", "name": "a.csv", "size": 8, "digest": Digest::of(b"x,y\n1,2\n"), "type": "text/csv", "meta": {"site": "n4"}});
    sender.send(format!("{line}\nx,y\n1,2\n")).await;
    let event = sender.event().await;
    let receipt = &event["receipt"];
    assert_eq!(event["id"], "u1");
    assert_eq!(receipt["id"], "u1");
    assert_eq!((receipt["name"].as_str(), receipt["key"].as_str()), (Some("a.csv"), Some("a.csv")));
    assert_eq!(receipt["size"], 8);
    assert_eq!(receipt["digest"], Digest::of(b"x,y\n1,2\n").to_string());
    assert!(receipt["committed_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(receipt["durability"], "memory");
    assert_eq!(receipt["verdict"], json!({"format": "csv", "records": 1}));
    assert_eq!(receipt["duplicate"], Value::Null);
}

#[tokio::test]
async fn what_is_at_fault_is_rejected_and_the_connection_goes_on() {
    let wrong = Digest::of(b"other");
    #[rustfmt::skip]
    let table = [
        (put("u", "a.csv", "x,y\n1\n"), "invalid"),
        (put("u", "a.json", "[1,"), "invalid"),
        (put("u", "a/../b", "body"), "bad_name"),
        (put("-u", "a.bin", "body"), "bad_header"),
        (format!("{}\nbody", json!({"op": "put", "id": "u", "name": "a.bin", "size": 4, "digest": wrong})), "digest_mismatch"),
        (format!("{}\nbody", json!({"op": "put", "id": "u", "name": "a.bin", "size": 4, "digest": "md5:1"})), "bad_header"),
        (format!("{}\nbody", json!({"op": "put", "id": "u", "name": "a.bin", "size": 4, "type": "x"})), "bad_header"),
        (format!("{}\nbody", json!({"op": "put", "id": "u", "name": "a.bin", "size": 4, "meta": {"A": "x"}})), "bad_header"),
        (format!("{}\n{{\"chunk\":4}}\nbody{{\"end\":true,\"digest\":\"{wrong}\"}}\n", json!({"op": "put", "id": "u", "name": "a.bin"})), "digest_mismatch"),
        (format!("{}\n{{\"chunk\":4}}\nbody{{\"abort\":true}}\n", json!({"op": "put", "id": "u", "name": "a.bin"})), "aborted"),
        (format!("{}\n{{\"chunk\":4}}\n[1,2{{\"chunk\":3}}\n}} x{{\"end\":true}}\n", json!({"op": "put", "id": "u", "name": "a.json"})), "invalid"),
        (format!("{}\n{{\"chunk\":1}}\n]{{\"chunk\":3}}\nabc{{\"abort\":true}}\n", json!({"op": "put", "id": "u", "name": "a.json"})), "invalid"),
    ];
    for (sent, code) in table {
        let server = start(config()).await;
        let mut sender = server.connect().await;
        sender.send(&sent).await;
        sender.send(put("next", "next.bin", "still in step")).await;
        let (event, _, detail) = next(&mut sender).await;
        assert_eq!((event.as_str(), detail.as_str()), ("rejected", code), "{sent}");
        assert_eq!(next(&mut sender).await, expect("committed", "next", "next.bin"), "{sent}");
        assert_eq!(server.keys(), ["next.bin"], "{sent}");
        assert_eq!(server.metric(&format!("tidegate_uploads_total{{outcome=\"rejected\",reason=\"{code}\"}}")), 1);
    }
}

#[tokio::test]
async fn a_rejection_carries_the_report_and_comes_before_the_end() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send("{\"op\":\"put\",\"id\":\"u\",\"name\":\"a.csv\",\"size\":1000}\nx,y\n1,2\n3,4,").await;
    let event = sender.event().await;
    assert_eq!(gist(&event), expect("rejected", "u", "invalid"));
    assert_eq!((&event["report"]["valid"], &event["report"]["complete"]), (&json!(false), &json!(false)));
    let report = &event["report"]["errors"][0];
    assert_eq!((&report["code"], &report["snippet"]), (&json!("extra-cell"), &json!("3,4,")));
    assert_eq!((report["line"].as_u64(), report["column"].as_u64()), (Some(3), Some(4)));
    assert_eq!((report["offset"].as_u64(), report["record"].as_u64()), (Some(11), Some(2)));
    // The rest of the body is dropped, then the next put is understood.
    sender.send("z".repeat(1000 - 12)).await;
    sender.send(put("v", "b.csv", "x\n")).await;
    assert_eq!(next(&mut sender).await, expect("committed", "v", "b.csv"));
}

#[tokio::test]
async fn a_refused_body_is_read_on_only_up_to_a_limit() {
    let mut config = config();
    config.limits.max_discard_bytes = 10_000;
    let server = start(config).await;
    let answer = events(
        &server,
        format!("{}\n{}", json!({"op": "put", "id": "u", "name": "..", "size": 9_000_000}), "x".repeat(9_000_000))
            .as_bytes(),
    )
    .await;
    assert_eq!(answer, [expect("rejected", "u", "bad_name")]);
    assert!(server.metric("tidegate_received_bytes_total") == 0);
}

#[tokio::test]
async fn what_breaks_the_framing_closes_the_connection() {
    let long = format!("{{\"op\":\"{}", "x".repeat(70_000));
    let chunk = |line: &str| format!("{}\n{line}\n", json!({"op": "put", "id": "u", "name": "a.bin"}));
    #[rustfmt::skip]
    let table = [
        ("{\"op\":\"get\"}\n".to_owned(), "error"),
        ("{}\n".to_owned(), "error"),
        ("{nonsense\n".to_owned(), "error"),
        ("{\"op\":\"put\",\"name\":\"a\",\"size\":-1}\nxx".to_owned(), "error"),
        ("{\"op\":\"hello\",\"version\":2}\n".to_owned(), "error"),
        (long, "error"),
        (chunk("{\"chunk\":-1}"), "rejected"),
        (chunk("{}"), "rejected"),
    ];
    for (sent, event) in table {
        let server = start(config()).await;
        let answer = events(&server, format!("{sent}{}", put("next", "next.bin", "body")).as_bytes()).await;
        assert_eq!(answer.len(), 1, "{sent}: {answer:?}");
        assert_eq!(answer[0].0, event, "{sent}");
        assert_eq!(server.keys(), [""; 0], "{sent}");
    }
}

#[tokio::test]
async fn a_body_that_is_cut_off_is_never_stored() {
    let sent = put("u", "a.bin", "a body of some length");
    let chunked = format!("{}\n{{\"chunk\":4}}\nbody{{\"end\":true}}\n", json!({"op": "put", "id": "u", "name": "a.bin"}));
    for whole in [sent, chunked] {
        let first = whole.find('\n').unwrap() + 1;
        for cut in first..whole.len() {
            let server = start(config()).await;
            let answer = events(&server, &whole.as_bytes()[..cut]).await;
            assert_eq!(answer, [expect("failed", "u", "incomplete")], "cut at {cut}");
            assert_eq!(server.keys(), [""; 0], "cut at {cut}");
        }
    }
}

#[tokio::test]
async fn other_content_is_a_conflict_and_the_same_is_not() {
    let server = start(config()).await;
    let sent = [put("u1", "a.bin", "one"), put("u2", "a.bin", "two"), put("u3", "a.bin", "one")].concat();
    let answer = events(&server, sent.as_bytes()).await;
    assert_eq!(
        answer,
        [expect("committed", "u1", "a.bin"), expect("rejected", "u2", "conflict"), expect("committed", "u3", "a.bin")]
    );
    let mut sender = server.connect().await;
    sender.send(put("u4", "a.bin", "one")).await;
    let event = sender.event().await;
    assert_eq!((&event["receipt"]["duplicate"], &event["receipt"]["id"]), (&json!(true), &json!("u1")));
    assert_eq!(server.stored("a.bin").as_deref(), Some("one"));
}

#[tokio::test]
async fn asking_first_finds_what_was_committed() {
    let server = start(config()).await;
    let ask =
        |id: &str, name: &str| format!("{}\n", json!({"op": "put", "id": id, "name": name, "resume": true, "size": 4}));
    let mut sender = server.connect().await;
    sender.send(ask("u1", "a.bin")).await;
    let event = sender.event().await;
    assert_eq!((&event["event"], &event["id"], &event["offset"]), (&json!("ready"), &json!("u1"), &json!(0)));
    sender.send("body").await;
    assert_eq!(next(&mut sender).await, expect("committed", "u1", "a.bin"));
    // The answer got lost, say; the sender asks on another connection.
    let mut again = server.connect().await;
    again.send(ask("u1", "a.bin")).await;
    let event = again.event().await;
    assert_eq!(gist(&event), expect("committed", "u1", "a.bin"));
    assert_eq!(event["receipt"]["duplicate"], true);
    // Another upload has to send its body.
    again.send(ask("u2", "a.bin")).await;
    assert_eq!(again.event().await["event"], "ready");
    again.send("body").await;
    assert_eq!(next(&mut again).await, expect("committed", "u2", "a.bin"));
    // What can't be an upload has no body either.
    again.send(ask("u3", "../a")).await;
    assert_eq!(next(&mut again).await, expect("rejected", "u3", "bad_name"));
    again.send(ask("u4", "b.bin")).await;
    assert_eq!(again.event().await["event"], "ready");
}

#[tokio::test]
async fn a_thousand_puts_are_answered_in_their_order() {
    let server = start(config()).await;
    let sent: String = (0..1000)
        .map(|number| put(&format!("u{number}"), &format!("{}/{number}.bin", number % 7), &format!("body {number}")))
        .collect();
    let answer = events(&server, sent.as_bytes()).await;
    let ids: Vec<_> = answer.iter().map(|(_, id, _)| id.clone()).collect();
    assert_eq!(ids, (0..1000).map(|number| format!("u{number}")).collect::<Vec<_>>());
    assert_eq!(server.keys().len(), 1000);
}

#[tokio::test]
async fn a_commit_goes_on_while_the_next_body_arrives() {
    let (server, gate) = start_with_held_commits(config()).await;
    let mut sender = server.connect().await;
    sender.send(put("u1", "a.bin", "first")).await;
    server.until("the first body", |server| server.metric("tidegate_received_bytes_total") == 5).await;
    // Nothing is committed yet, and the second body comes in all the same; so does a rejection, which has to wait its turn.
    sender.send(put("u2", "b.bin", "second")).await;
    sender.send(put("u3", "..", "third")).await;
    server.until("the second body", |server| server.metric("tidegate_received_bytes_total") == 11).await;
    assert_eq!(server.keys(), [""; 0]);
    Gated::open(&gate);
    assert_eq!(next(&mut sender).await, expect("committed", "u1", "a.bin"));
    assert_eq!(next(&mut sender).await, expect("committed", "u2", "b.bin"));
    assert_eq!(next(&mut sender).await, expect("rejected", "u3", "bad_name"));
}

#[tokio::test]
async fn pending_commits_are_bounded() {
    let mut config = config();
    config.framed.max_pending_commits = 2;
    let (server, gate) = start_with_held_commits(config).await;
    let mut sender = server.connect().await;
    for number in 0..8 {
        sender.send(put(&format!("u{number}"), &format!("{number}.bin"), "x")).await;
    }
    // Two commit, a third is received and waits for its turn; nobody reads on.
    server.until("three bodies", |server| server.metric("tidegate_received_bytes_total") == 3).await;
    tokio::task::yield_now().await;
    assert!(server.metrics.uploads_in_flight() <= 3);
    Gated::open(&gate);
    for number in 0..8 {
        assert_eq!(next(&mut sender).await, expect("committed", &format!("u{number}"), &format!("{number}.bin")));
    }
}

#[tokio::test]
async fn uploads_under_one_name_keep_their_order() {
    let mut config = config();
    config.framed.on_conflict = tidegate::upload::OnConflict::Overwrite;
    let server = start(config).await;
    let sent: String = (0..200).map(|number| put(&format!("u{number}"), "a.bin", &format!("version {number}"))).collect();
    assert_eq!(events(&server, sent.as_bytes()).await.len(), 200);
    assert_eq!(server.stored("a.bin").as_deref(), Some("version 199"));
}

#[tokio::test]
async fn garbage_behind_a_rejection_is_told_too() {
    let server = start(config()).await;
    let put = json!({"op": "put", "id": "u", "name": "a.csv"});
    let answer = events(&server, format!("{put}\n{{\"chunk\":10}}\na,b\n1,2,3\ngarbage\n").as_bytes()).await;
    assert_eq!(answer, [expect("rejected", "u", "invalid"), expect("error", "", "bad_header")]);
}

#[tokio::test]
async fn a_sender_that_waits_for_a_receipt_is_not_idle() {
    let mut config = config();
    config.limits.idle_timeout = Duration::from_millis(100);
    let (server, commits) = start_with_held_commits(config).await;
    let mut sender = server.connect().await;
    sender.send(put("u1", "a.bin", "one") + &put("u2", "b.bin", "two")).await;
    server.until("both commits", |server| server.metrics.uploads_in_flight() == 2).await;
    // Far longer than a sender may be silent that waits for nothing.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.metric("tidegate_connections "), 1);
    commits.add_permits(1);
    assert_eq!(next(&mut sender).await, expect("committed", "u1", "a.bin"));
    tokio::time::sleep(Duration::from_millis(500)).await;
    commits.add_permits(1);
    assert_eq!(next(&mut sender).await, expect("committed", "u2", "b.bin"));
    // From the last answer on it may be silent for so long, and no longer.
    sender.send(put("u3", "c.bin", "three")).await;
    commits.add_permits(1);
    assert_eq!(next(&mut sender).await, expect("committed", "u3", "c.bin"));
    let event = sender.event().await;
    assert_eq!((event["event"].as_str(), event["code"].as_str()), (Some("error"), Some("timeout")), "{event}");
}

#[tokio::test]
async fn a_sender_that_reads_no_answers_does_not_keep_its_place() {
    let mut config = config();
    // Longer than the server takes to read everything: it then waits for the next request when the
    // answers are given up.
    config.limits.idle_timeout = Duration::from_secs(3);
    config.framed.max_pending_commits = 100_000;
    let server = start(config).await;
    let mut sender = server.connect().await;
    // More refusals than the system buffers between the two.
    let line = format!("{{\"op\":\"put\",\"name\":\"../{}\",\"size\":0}}\n", "x".repeat(900));
    sender.socket.write_all(line.repeat(30_000).as_bytes()).await.unwrap();
    server.until("the end of the connection", |server| server.metric("tidegate_connections ") == 0).await;
}
