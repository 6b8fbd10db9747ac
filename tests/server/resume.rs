//! Going on with an upload that was cut off, on the wire.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tidegate::assemble;
use tidegate::config::Config;
use tidegate::error::ErrorKind;
use tidegate::report::Format;
use tidegate::sink::memory::Memory;
use tidegate::upload::Digest;
use tidegate::validate::rules::Rules;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::harness::{Gated, Running, Sender, config, soon, start, start_with, start_with_held_commits};

const CSV: &str = "x,y\n1,2\n\"3\n\",ä\n5,6\n";

/// How a body goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Sized,
    Chunked,
}

/// The line that announces an upload of `body`.
fn announced(shape: Shape, id: &str, name: &str, body: &str) -> Value {
    match shape {
        Shape::Sized => json!({"op": "put", "id": id, "name": name, "size": body.len()}),
        Shape::Chunked => json!({"op": "put", "id": id, "name": name}),
    }
}

/// What is sent of `body` from `offset` on, and how many bytes of the body lie before each byte of that.
fn sent(shape: Shape, body: &str, offset: usize) -> (Vec<u8>, Vec<usize>) {
    let rest = &body.as_bytes()[offset..];
    if shape == Shape::Sized {
        return (rest.to_vec(), (offset..body.len()).collect());
    }
    let (mut bytes, mut before) = (Vec::new(), Vec::new());
    let mut reached = offset;
    for chunk in rest.chunks(7) {
        let line = format!("{{\"chunk\":{}}}\n", chunk.len());
        before.extend(line.bytes().map(|_| reached).chain(reached..reached + chunk.len()));
        bytes.extend([line.as_bytes(), chunk].concat());
        reached += chunk.len();
    }
    let end = format!("{{\"end\":true,\"digest\":\"{}\"}}\n", Digest::of(body.as_bytes()));
    before.extend(end.bytes().map(|_| reached));
    bytes.extend(end.as_bytes());
    (bytes, before)
}

fn asking(mut line: Value) -> String {
    line["resume"] = json!(true);
    format!("{line}\n")
}

/// Asks on a connection of its own; the connection and the answer.
async fn ask(server: &Running, line: Value) -> (Sender, Value) {
    let mut sender = server.connect().await;
    sender.send(asking(line)).await;
    let event = sender.event().await;
    (sender, event)
}

/// Asks, and is told an offset.
async fn ready(server: &Running, line: Value) -> (Sender, u64) {
    let (sender, event) = ask(server, line).await;
    assert_eq!(event["event"], "ready", "{event}");
    (sender, event["offset"].as_u64().unwrap())
}

/// Sends a line and some bytes on a connection that then ends; what the server says of it.
async fn cut_off(server: &Running, line: Value, bytes: &[u8]) -> Value {
    let answer = server.exchange(&[format!("{line}\n").as_bytes(), bytes].concat()).await;
    serde_json::from_str(answer.lines().next().unwrap()).unwrap()
}

async fn received(server: &Running, bytes: u64) {
    server.until("the bytes", |server| server.metric("tidegate_received_bytes_total") == bytes).await;
}

fn code(event: &Value) -> (&str, &str) {
    (event["event"].as_str().unwrap(), event["code"].as_str().unwrap_or(""))
}

#[tokio::test]
async fn cut_at_any_byte_it_goes_on_there() {
    let server = start(config()).await;
    let mut resumed = (0, 0);
    for (first, then) in [
        (Shape::Sized, Shape::Sized),
        (Shape::Chunked, Shape::Chunked),
        (Shape::Sized, Shape::Chunked),
        (Shape::Chunked, Shape::Sized),
    ] {
        let (bytes, before) = sent(first, CSV, 0);
        for (cut, kept) in before.into_iter().enumerate() {
            let (id, name) = (format!("{first:?}-{then:?}-{cut}"), format!("{first:?}-{then:?}-{cut}.csv"));
            let event = cut_off(&server, announced(first, &id, &name, CSV), &bytes[..cut]).await;
            assert_eq!(code(&event), ("failed", "incomplete"), "{id}");
            let told = event["message"].as_str().unwrap();
            let expected = format!("; {kept} bytes are kept for 1 day");
            assert_eq!(told.ends_with(&expected), kept > 0, "{id}: {told}");
            let (mut sender, offset) = ready(&server, announced(then, &id, &name, CSV)).await;
            assert_eq!(offset, kept as u64, "{id}");
            sender.send(sent(then, CSV, kept).0).await;
            let event = sender.event().await;
            assert_eq!(code(&event), ("committed", ""), "{id}: {event}");
            assert_eq!(event["receipt"]["verdict"], json!({"format": "csv", "records": 3}), "{id}");
            assert_eq!(server.stored(&name).as_deref(), Some(CSV), "{id}");
            resumed = (resumed.0 + u64::from(kept > 0), resumed.1 + kept as u64);
        }
    }
    assert_eq!(server.metric("tidegate_resumed_total"), resumed.0);
    assert_eq!(server.metric("tidegate_resumed_bytes_total"), resumed.1);
}

#[tokio::test]
async fn a_rejection_behind_a_resume_tells_the_same_place_as_one_without() {
    let server = start(config()).await;
    for (name, body) in [
        ("a.csv", "x,y\n1,2\n\"ä\n\",4\n5,6,7\n8,9\n"),
        ("a.json", "{\"ä\": [1, 2,\n  {\"b\": \"c\"},\n  ]}\n"),
        ("a.ndjson", "{\"a\":1}\n[2]\n{\"ä\":3 4}\n5\n"),
    ] {
        let whole = cut_off(&server, announced(Shape::Sized, "whole", name, body), body.as_bytes()).await;
        assert_eq!(code(&whole), ("rejected", "invalid"), "{whole}");
        let place = usize::try_from(whole["report"]["errors"][0]["offset"].as_u64().unwrap()).unwrap();
        for cut in 1..=place {
            let line = announced(Shape::Sized, &format!("{name}-{cut}"), name, body);
            cut_off(&server, line.clone(), &body.as_bytes()[..cut]).await;
            let (mut sender, offset) = ready(&server, line).await;
            assert_eq!(offset, cut as u64, "{name} cut at {cut}");
            sender.send(&body.as_bytes()[cut..]).await;
            let event = sender.event().await;
            assert_eq!((&event["event"], &event["report"]), (&json!("rejected"), &whole["report"]), "{name} cut at {cut}");
        }
    }
    assert_eq!(server.keys(), [""; 0]);
}

/// What a first sender announces, what a second one says under the same id, and how the first one sends its first half.
fn strangers() -> Vec<(Value, Value)> {
    let line = |more: Value| {
        let mut line = json!({"op": "put", "id": "u", "name": "a.bin"});
        line.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        line
    };
    vec![
        (line(json!({"size": 10})), line(json!({"size": 11}))),
        (line(json!({})), line(json!({"size": 4}))),
        (line(json!({"size": 10})), line(json!({"name": "b.bin"}))),
        (line(json!({"size": 10})), line(json!({"name": "b.bin", "size": 10}))),
        (line(json!({"digest": Digest::of(b"x"), "size": 10})), line(json!({"digest": Digest::of(b"y")}))),
    ]
}

fn first_half(begun: &Value) -> &'static [u8] {
    if begun["size"].is_null() { b"{\"chunk\":5}\n01234" } else { b"01234" }
}

#[tokio::test]
async fn an_id_that_is_reused_for_another_upload_does_not_touch_what_is_kept() {
    for (begun, other) in strangers() {
        let server = start(config()).await;
        let event = cut_off(&server, begun.clone(), first_half(&begun)).await;
        assert!(event["message"].as_str().unwrap().contains("5 bytes are kept"), "{event}");
        let (_, event) = ask(&server, other.clone()).await;
        assert_eq!(code(&event), ("rejected", "conflict"), "{other}");
        let told = event["message"].as_str().unwrap();
        assert!(told.contains("upload id u ") && told.contains("use an id of its own") && !told.contains("a.bin"), "{told}");
        // Without asking, only what is of another file for sure can be told.
        if !(begun["size"].is_null()) {
            let event = cut_off(&server, other.clone(), b"0123456789").await;
            assert_eq!(code(&event), ("rejected", "conflict"), "{other}");
        }
        assert_eq!(ready(&server, begun).await.1, 5, "after {other}");
        assert_eq!(server.keys(), [""; 0]);
    }
}

#[tokio::test]
async fn an_id_that_is_reused_for_another_upload_does_not_end_the_one_under_way() {
    for (begun, other) in strangers() {
        if begun["size"].is_null() || begun.get("digest").is_some() {
            continue;
        }
        let server = start(config()).await;
        let mut sender = server.connect().await;
        sender.send(format!("{begun}\n01234")).await;
        received(&server, 5).await;
        assert_eq!(code(&ask(&server, other.clone()).await.1), ("rejected", "conflict"), "{other}");
        assert_eq!(code(&cut_off(&server, other.clone(), b"").await), ("rejected", "conflict"), "{other}");
        sender.send("56789").await;
        assert_eq!(code(&sender.event().await), ("committed", ""), "after {other}");
        assert_eq!(server.keys(), ["a.bin"]);
    }
}

#[tokio::test]
async fn an_upload_is_completed_with_the_bytes_that_its_first_sender_announced_or_not_at_all() {
    let server = start(config()).await;
    let begun = json!({"op": "put", "id": "u", "name": "a.bin", "size": 10, "digest": Digest::of(b"0123456789")});
    let vague = json!({"op": "put", "id": "u", "name": "a.bin"});
    for (rest, expected) in [("abcde", "digest_mismatch"), ("567", "size_mismatch"), ("56789-", "size_mismatch")] {
        cut_off(&server, begun.clone(), b"01234").await;
        let (mut sender, offset) = ready(&server, vague.clone()).await;
        assert_eq!(offset, 5);
        sender.send(format!("{{\"chunk\":{}}}\n{rest}{{\"end\":true}}\n", rest.len())).await;
        assert_eq!(code(&sender.event().await), ("rejected", expected));
        assert_eq!(server.keys(), [""; 0]);
    }
}

#[tokio::test]
async fn what_is_put_again_without_asking_begins_anew() {
    let server = start(config()).await;
    let line = json!({"op": "put", "id": "u", "name": "a.bin", "size": 10});
    cut_off(&server, line.clone(), b"01234").await;
    let event = cut_off(&server, line, b"0123456789").await;
    assert_eq!(event["event"], "committed");
    assert_eq!(server.stored("a.bin").as_deref(), Some("0123456789"));
}

#[tokio::test]
async fn a_beginning_of_something_else_is_refused_and_the_next_try_begins_anew() {
    let server = start(config()).await;
    let line = json!({"op": "put", "id": "u", "name": "a.bin"});
    cut_off(&server, line.clone(), b"{\"chunk\":4}\nabcd").await;
    let (mut sender, offset) = ready(&server, line.clone()).await;
    assert_eq!(offset, 4);
    sender.send(format!("{{\"chunk\":4}}\nefgh{{\"end\":true,\"digest\":\"{}\"}}\n", Digest::of(b"ABCDefgh"))).await;
    assert_eq!(code(&sender.event().await), ("rejected", "digest_mismatch"));
    assert_eq!(ready(&server, line).await.1, 0);
    assert_eq!(server.keys(), [""; 0]);
}

#[tokio::test]
async fn limits_hold_for_the_whole_and_not_for_the_rest() {
    let mut config = config();
    config.limits.max_file_bytes = 10;
    let server = start(config).await;
    let line = |id: &str| json!({"op": "put", "id": id, "name": format!("{id}.bin")});
    for (id, rest, expected) in [("fits", "67890", ("committed", "")), ("large", "67890+", ("rejected", "too_large"))] {
        cut_off(&server, line(id), b"{\"chunk\":5}\n12345").await;
        let (mut sender, offset) = ready(&server, line(id)).await;
        assert_eq!(offset, 5);
        sender.send(format!("{{\"chunk\":{}}}\n{rest}{{\"end\":true}}\n", rest.len())).await;
        assert_eq!(code(&sender.event().await), expected);
    }
    assert_eq!(ready(&server, line("large")).await.1, 0, "what is too large is not kept");
}

#[tokio::test]
async fn what_may_pass_is_kept_and_what_may_not_is_given_up() {
    let mut config = config();
    config.limits.idle_timeout = Duration::from_millis(200);
    let mut sink = None;
    let server = start_with(config, |store| {
        let gated = Gated { checkpoint_bytes: 4, ..Gated::wide_open(store) };
        sink = Some(gated.clone());
        Arc::new(gated)
    })
    .await;
    let sink = sink.unwrap();
    let line = |id: &str| json!({"op": "put", "id": id, "name": "a.bin"});
    // A sender that goes silent.
    let mut silent = server.connect().await;
    silent.send(format!("{}\n{{\"chunk\":9}}\nabcd", line("silent"))).await;
    let event = silent.event().await;
    assert_eq!(code(&event), ("failed", "timeout"));
    assert_eq!(event["message"], "nothing came for 200ms after 4 bytes; 4 bytes are kept for 1 day");
    assert_eq!(ready(&server, line("silent")).await.1, 4);
    // One that gives up.
    assert_eq!(
        code(&cut_off(&server, line("aborted"), b"{\"chunk\":4}\nabcd{\"abort\":true}\n").await),
        ("rejected", "aborted")
    );
    assert_eq!(ready(&server, line("aborted")).await.1, 0);
    // One whose id the server has made.
    let event = cut_off(&server, json!({"op": "put", "name": "a.bin", "size": 9}), b"abcd").await;
    assert_eq!(event["message"], "the connection ended after 4 bytes");
    // A store that fails.
    for (kind, kept) in [(ErrorKind::Store, 4), (ErrorKind::NoSpace, 0)] {
        let id = kind.code();
        sink.checkpoints.lock().unwrap().clear();
        let mut sender = server.connect().await;
        sender.send(format!("{}\n{{\"chunk\":4}}\nabcd", line(id))).await;
        server.until("the write", |_| !sink.checkpoints.lock().unwrap().is_empty()).await;
        sink.fail(Some(kind));
        sender.send("{\"chunk\":4}\nefgh").await;
        assert_eq!(code(&sender.event().await), ("failed", id));
        sink.fail(None);
        assert_eq!(ready(&server, line(id)).await.1, kept, "{id}");
    }
}

#[tokio::test]
async fn a_sender_comes_back_while_its_dead_line_is_still_listened_to() {
    let server = start(config()).await;
    for shape in [Shape::Sized, Shape::Chunked] {
        let name = format!("{shape:?}.csv");
        let line = announced(shape, "u", &name, CSV);
        let before = server.metric("tidegate_received_bytes_total");
        let mut dead = server.connect().await;
        let (bytes, body) = sent(shape, CSV, 0);
        dead.send([format!("{line}\n").as_bytes(), &bytes[..bytes.len() / 2]].concat()).await;
        let kept = body[bytes.len() / 2];
        received(&server, before + kept as u64).await;
        let (mut sender, offset) = ready(&server, line).await;
        assert_eq!(offset, kept as u64);
        let event = dead.event().await;
        assert_eq!(code(&event), ("failed", "incomplete"));
        let told = format!("another connection goes on with it after {kept} bytes; {kept} bytes are kept for 1 day");
        assert_eq!(event["message"].as_str(), Some(told.as_str()));
        sender.send(sent(shape, CSV, kept).0).await;
        assert_eq!(sender.event().await["event"], "committed");
        assert_eq!(server.stored(&name).as_deref(), Some(CSV));
    }
}

#[tokio::test]
async fn who_asks_while_it_commits_gets_its_receipt_and_a_third_is_told_to_wait() {
    let (server, gate) = start_with_held_commits(config()).await;
    let line = announced(Shape::Sized, "u", "a.bin", "body");
    let mut first = server.connect().await;
    first.send(format!("{line}\nbody")).await;
    received(&server, 4).await;
    let mut second = server.connect().await;
    second.send(asking(line.clone())).await;
    // Whichever of the two comes second is the one too many.
    let mut third = server.connect().await;
    third.send(asking(line)).await;
    let mut waiting = tokio::select! {
        event = second.event() => { assert_eq!(code(&event), ("failed", "busy")); third }
        event = third.event() => { assert_eq!(code(&event), ("failed", "busy")); second }
    };
    Gated::open(&gate);
    let event = first.event().await;
    assert_eq!((&event["event"], &event["receipt"]["duplicate"]), (&json!("committed"), &Value::Null));
    let event = waiting.event().await;
    assert_eq!((&event["event"], &event["receipt"]["duplicate"]), (&json!("committed"), &json!(true)));
    assert_eq!(server.keys(), ["a.bin"]);
}

#[tokio::test]
async fn who_waits_for_a_commit_does_so_for_so_long_only() {
    let mut config = config();
    config.limits.commit_timeout = Duration::from_millis(100);
    let (server, gate) = start_with_held_commits(config).await;
    let line = announced(Shape::Sized, "u", "a.bin", "body");
    let mut first = server.connect().await;
    first.send(format!("{line}\nbody")).await;
    assert_eq!(code(&first.event().await), ("failed", "unknown"));
    let (_asked, event) = ask(&server, line.clone()).await;
    assert_eq!(code(&event), ("failed", "busy"));
    Gated::open(&gate);
    server.until("the commit", |server| server.keys() == ["a.bin"]).await;
    soon("the receipt", async {
        // The place is free a moment after the file is there.
        while ask(&server, line.clone()).await.1["event"] != "committed" {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn many_who_take_over_from_each_other_all_come_to_an_end() {
    let server = Arc::new(start(config()).await);
    let body: Arc<String> = Arc::new("0123456789".repeat(20_000));
    let mut senders = JoinSet::new();
    for _ in 0..8 {
        let (server, body) = (Arc::clone(&server), Arc::clone(&body));
        senders.spawn(async move {
            let mut asked = 0;
            loop {
                asked += 1;
                let line = announced(Shape::Sized, "u", "a.bin", &body);
                let (mut sender, event) = ask(&server, line).await;
                let offset = match code(&event) {
                    ("committed", _) => return asked,
                    ("ready", _) => usize::try_from(event["offset"].as_u64().unwrap()).unwrap(),
                    ("failed", "busy" | "incomplete") => continue,
                    other => panic!("{other:?}"),
                };
                let mut halves = sender.socket.split();
                // It may be taken over at any moment, and the server then reads no more.
                let _ = tokio::io::AsyncWriteExt::write_all(&mut halves.1, &body.as_bytes()[offset..]).await;
                match code(&sender.event().await) {
                    ("committed", _) => return asked,
                    ("failed", "incomplete") => {}
                    other => panic!("{other:?}"),
                }
            }
        });
    }
    let asked = soon("all of them", senders.join_all()).await;
    assert_eq!(server.stored("a.bin").as_deref(), Some(body.as_str()), "{asked:?}");
    assert_eq!(server.keys(), ["a.bin"]);
    assert_eq!(server.metric("tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}"), 1);
    assert_eq!(server.metric("tidegate_uploads_in_flight"), 0);
}

#[tokio::test]
async fn a_server_that_stops_keeps_what_it_cuts_off() {
    let mut config = config();
    config.limits.drain_timeout = Duration::from_millis(50);
    let store = Memory::new();
    let kept = store.clone();
    let server = start_with(config.clone(), |_| Arc::new(kept)).await;
    let line = announced(Shape::Chunked, "u", "a.csv", CSV);
    let mut sender = server.connect().await;
    sender.send(format!("{line}\n{{\"chunk\":6}}\n{}", &CSV[..6])).await;
    received(&server, 6).await;
    let draining = tokio::spawn(server.drained());
    let event = sender.event().await;
    assert_eq!(code(&event), ("failed", "shutting_down"));
    assert_eq!(event["message"], "the server stopped after 6 bytes; send it again; 6 bytes are kept for 1 day");
    drop(sender);
    assert_eq!(draining.await.unwrap().cut_off, 1);
    let server = start_with(config, |_| Arc::new(store.clone())).await;
    let (mut sender, offset) = ready(&server, line).await;
    assert_eq!(offset, 6);
    sender.send(sent(Shape::Chunked, CSV, 6).0).await;
    assert_eq!(sender.event().await["event"], "committed");
    assert_eq!(store.read(&"a.csv".parse().unwrap()).unwrap(), CSV.as_bytes());
}

#[tokio::test]
async fn a_sender_that_shows_life_is_waited_for() {
    let mut config = config();
    config.limits.idle_timeout = Duration::from_secs(1);
    let server = start(config).await;
    let line = announced(Shape::Chunked, "u", "a.bin", "body");
    let (mut sender, _) = ready(&server, line).await;
    // Two and a half times as long as silence may last.
    for _ in 0..25 {
        sender.send("{\"chunk\":0}\n").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    sender.send("{\"chunk\":4}\nbody{\"end\":true}\n").await;
    assert_eq!(sender.event().await["event"], "committed");
}

#[tokio::test]
async fn pieces_are_cut_where_the_sink_wants_a_checkpoint() {
    let mut sink = None;
    let server = start_with(config(), |store| {
        let gated = Gated { checkpoint_bytes: 10, ..Gated::wide_open(store) };
        sink = Some(gated.clone());
        Arc::new(gated)
    })
    .await;
    let line = announced(Shape::Sized, "u", "a.bin", &"x".repeat(35));
    cut_off(&server, line.clone(), "x".repeat(23).as_bytes()).await;
    let (mut sender, offset) = ready(&server, line).await;
    assert_eq!(offset, 23);
    sender.send("x".repeat(12)).await;
    assert_eq!(sender.event().await["event"], "committed");
    assert_eq!(*sink.unwrap().checkpoints.lock().unwrap(), [10, 20, 30]);
}

#[tokio::test]
async fn what_nobody_goes_on_with_is_swept_up() {
    let mut config = config();
    let store = Memory::new();
    let server = start_with(config.clone(), |_| Arc::new(store.clone())).await;
    cut_off(&server, announced(Shape::Sized, "u", "a.bin", "body"), b"bo").await;
    server.drained().await;
    let server = start_with(config.clone(), |_| Arc::new(store.clone())).await;
    server.until("a sweep that keeps it", |server| server.metric("tidegate_uploads_kept") == 1).await;
    server.drained().await;
    config.limits.resume_ttl = Duration::from_millis(1);
    let gated = Gated::wide_open(store);
    gated.fail(Some(ErrorKind::Store));
    let server = start_with(config, |_| Arc::new(gated.clone())).await;
    server.until("a sweep that fails", |server| server.metric("tidegate_sweeps_failed_total") == 1).await;
    assert_eq!(server.metric("tidegate_swept_total"), 0);
    gated.fail(None);
    server.until("a sweep at the start", |server| server.metric("tidegate_swept_total") == 1).await;
    assert_eq!(server.metric("tidegate_uploads_kept"), 0);
    assert_eq!(ready(&server, announced(Shape::Sized, "u", "a.bin", "body")).await.1, 0);
    server.until("a sweep later on", |server| server.metric("tidegate_swept_total") == 2).await;
    let drained = soon("the sweeper's end", server.drained()).await;
    assert_eq!(drained.cut_off, 0);
}

/// The rules of a configuration with one rule, for `*.dat`.
fn rules_for_dat(format: Format) -> Rules {
    let mut config = config();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.toml");
    std::fs::write(&file, format!("[[rules]]\nmatch = \"*.dat\"\nformat = \"{format}\"\n")).unwrap();
    config.rules = Config::load_with(&[file], []).unwrap().rules;
    assemble::rules(&config).unwrap()
}

#[tokio::test]
async fn one_rule_holds_for_an_upload_from_its_first_look_to_its_end() {
    let looks = Arc::new(Semaphore::new(0));
    let gate = Arc::clone(&looks);
    let server = start_with(config(), |store| Arc::new(Gated { looks: gate, ..Gated::wide_open(store) })).await;
    server.rules.replace(rules_for_dat(Format::Csv));
    let mut sender = server.connect().await;
    sender.send(asking(json!({"op": "put", "id": "u", "name": "a.dat", "size": CSV.len()}))).await;
    server.until("the look at the store", |server| server.metrics.uploads_in_flight() == 1).await;
    // Between the look and the place for the bytes.
    server.rules.replace(rules_for_dat(Format::Json));
    looks.add_permits(1);
    assert_eq!(sender.event().await["event"], "ready");
    server.rules.replace(rules_for_dat(Format::Ndjson));
    sender.send(CSV).await;
    let event = sender.event().await;
    assert_eq!(code(&event), ("committed", ""), "{event}");
    assert_eq!(event["receipt"]["verdict"]["format"], "csv");
}

#[tokio::test]
async fn an_upload_that_began_under_other_rules_begins_anew() {
    let server = start(config()).await;
    server.rules.replace(rules_for_dat(Format::Csv));
    let line = json!({"op": "put", "id": "u", "name": "a.dat", "size": 8});
    let event = cut_off(&server, line.clone(), b"x,y\n").await;
    assert!(event["message"].as_str().unwrap().contains("4 bytes are kept"), "{event}");
    server.rules.replace(rules_for_dat(Format::Tsv));
    let (mut sender, offset) = ready(&server, line).await;
    assert_eq!(offset, 0, "its beginning was not read as tsv");
    sender.send("x\ty\n1\t2\n").await;
    let event = sender.event().await;
    assert_eq!(event["receipt"]["verdict"]["format"], "tsv", "{event}");
}
