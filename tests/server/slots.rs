//! Which connections are served when there are more than slots.

use std::time::Duration;

use tidegate::config::Config;

use crate::harness::{Gated, Running, Sender, config, start, start_with_held_commits};

/// One slot, which a sender may hold for a moment before its rate counts.
fn one_slot() -> Config {
    let mut config = config();
    config.limits.max_connections = 1;
    config.limits.min_rate_grace = Duration::from_millis(50);
    config
}

/// A connection that holds the slot with what it sends.
async fn holder(server: &Running, sends: &str) -> Sender {
    let mut holder = server.connect().await;
    holder.send(sends).await;
    server.until("the slot to be taken", |server| server.metric("tidegate_received_bytes_total") > 0).await;
    holder
}

#[tokio::test]
async fn a_slow_upload_gives_its_slot_to_a_waiting_connection() {
    let server = start(one_slot()).await;
    let holder = holder(&server, "slow.bin 1000\nhalf").await;
    // Ended by nothing but the connection that waits.
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(server.metrics.uploads_in_flight(), 1);
    assert!(server.exchange(b"a.bin 4\nbody").await.starts_with("OK a.bin 4 "));
    let answer = holder.rest().await;
    assert!(answer.starts_with("ERR too_slow the server had no more connection slots"), "{answer}");
    assert_eq!(server.metric("tidegate_uploads_total{outcome=\"failed\",reason=\"too_slow\"}"), 1);
    assert_eq!(server.keys(), ["a.bin"]);
}

#[tokio::test]
async fn a_slow_upload_that_can_be_resumed_is_kept() {
    let server = start(one_slot()).await;
    let put = "{\"op\":\"put\",\"id\":\"u1\",\"name\":\"slow.bin\",\"size\":10,\"resume\":true}\n";
    let mut holder = server.connect().await;
    holder.send(put).await;
    assert_eq!(holder.event().await["event"], "ready");
    holder.send("half").await;
    server.until("the bytes", |server| server.metric("tidegate_received_bytes_total") == 4).await;
    assert!(server.exchange(b"a.bin 4\nbody").await.starts_with("OK a.bin 4 "));
    let event = holder.event().await;
    assert_eq!((event["event"].as_str(), event["code"].as_str()), (Some("failed"), Some("too_slow")), "{event}");
    assert!(event["message"].as_str().unwrap().contains("4 bytes are kept"), "{event}");
    assert!(holder.closes().await);
    let mut again = server.connect().await;
    again.send(put).await;
    assert_eq!(again.event().await["offset"], 4);
    again.send("filled").await;
    assert_eq!(again.event().await["event"], "committed");
}

#[tokio::test]
async fn a_slow_header_gives_way_in_each_protocol() {
    for (begins, refusal) in [("a.cs", "ERR too_slow "), ("{\"op\":", "too_slow")] {
        let server = start(one_slot()).await;
        let mut holder = server.connect().await;
        holder.send(begins).await;
        let others = async {
            loop {
                assert!(server.exchange(b"a.bin 4\nbody").await.starts_with("OK a.bin 4 "));
            }
        };
        let answer = tokio::select! {
            answer = holder.rest() => answer,
            () = others => unreachable!("it is stopped by the answer"),
        };
        assert!(answer.contains(refusal), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_without_an_upload_gives_way() {
    let mut config = one_slot();
    config.plain.linger = Duration::from_mins(10);
    config.limits.idle_timeout = Duration::from_mins(10);
    let server = start(config).await;
    let mut framed = server.connect().await;
    framed.send("{\"op\":\"hello\",\"version\":1}\n").await;
    assert_eq!(framed.event().await["event"], "hello");
    let mut plain = server.connect().await;
    plain.send("a.bin 4\nbody").await;
    assert!(plain.line().await.starts_with("OK a.bin 4 "));
    let event = framed.event().await;
    assert_eq!((event["event"].as_str(), event["code"].as_str()), (Some("error"), Some("busy")), "{event}");
    // A refusal that is not read to its end.
    let mut refused = server.connect().await;
    refused.send("../x 1000\n").await;
    assert!(refused.line().await.starts_with("ERR bad_name "));
    assert!(plain.closes().await);
    assert!(server.exchange(b"b.bin 4\nbody").await.starts_with("OK b.bin 4 "));
}

#[tokio::test]
async fn an_upload_that_is_fast_enough_is_never_ended() {
    let mut config = one_slot();
    config.limits.min_rate = 100;
    let server = start(config).await;
    let mut holder = holder(&server, &format!("fast.bin 2000\n{}", "x".repeat(1000))).await;
    let mut waiting = server.connect().await;
    waiting.send("a.bin 4\nbody").await;
    server.until("the second one to wait", |server| server.metric("tidegate_connections_waiting") == 1).await;
    // Long enough for a slow one to be ended: 1000 bytes at the start are fast for ten seconds.
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.metrics.uploads_in_flight(), 1);
    holder.send("x".repeat(1000)).await;
    assert!(holder.line().await.starts_with("OK fast.bin 2000 "));
    assert!(waiting.line().await.starts_with("OK a.bin 4 "));
}

#[tokio::test]
async fn a_commit_that_is_under_way_is_never_ended() {
    let mut config = one_slot();
    config.plain.linger = Duration::from_mins(10);
    let (server, gate) = start_with_held_commits(config).await;
    let mut framed = server.connect().await;
    framed.send("{\"op\":\"put\",\"id\":\"u\",\"name\":\"a.bin\",\"size\":4}\nbody").await;
    let bytes = |server: &Running| server.metric("tidegate_received_bytes_total");
    server.until("the first one to commit", |server| bytes(server) == 4).await;
    let mut plain = server.connect().await;
    plain.send("b.bin 5\nbody2").await;
    server.until("the second one to wait", |server| server.metric("tidegate_connections_waiting") == 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bytes(&server), 4, "the slot of a commit is not given away");
    Gated::open(&gate);
    assert_eq!(framed.event().await["event"], "committed");
    assert_eq!(framed.event().await["code"], "busy");
    assert!(plain.line().await.starts_with("OK b.bin 5 "));
}

#[tokio::test]
async fn commits_of_all_connections_have_a_limit() {
    let mut config = config();
    config.framed.max_pending_commits_total = 1;
    let (server, gate) = start_with_held_commits(config).await;
    let put = |name: &str| format!("{{\"op\":\"put\",\"name\":\"{name}\",\"size\":4}}\nbody");
    let bytes = |server: &Running| server.metric("tidegate_received_bytes_total");
    let mut first = server.connect().await;
    first.send(put("a.bin")).await;
    server.until("the first commit", |server| bytes(server) == 4).await;
    let mut second = server.connect().await;
    second.send(put("b.bin") + &put("c.bin")).await;
    server.until("the second one to wait", |server| bytes(server) == 8).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(bytes(&server), 8, "its next file is not read before its commit has begun");
    Gated::open(&gate);
    assert_eq!(first.event().await["event"], "committed");
    assert_eq!(second.event().await["event"], "committed");
    assert_eq!(second.event().await["event"], "committed");
}

#[tokio::test]
async fn files_of_headers_with_several_readings_have_a_limit() {
    // Each digit may be the last one of the size.
    let sent = format!("n.bin 200000{}", "1234567\n".repeat(25_000));
    for (max_connections, expected) in [(16, "ERR busy "), (16 * 16, "OK n.bin 200000 ")] {
        let mut config = config();
        config.limits.max_connections = max_connections;
        let server = start(config).await;
        let answer = server.exchange(sent.as_bytes()).await;
        assert!(answer.starts_with(expected), "{answer}");
    }
}

#[tokio::test]
async fn an_address_that_may_have_every_slot_waits_for_one() {
    let mut config = one_slot();
    config.limits.max_connections_per_address = 1;
    config.limits.min_rate = 0;
    let server = start(config).await;
    let mut holder = holder(&server, "held.bin 8\nhalf").await;
    let mut waiting = server.connect().await;
    waiting.send("a.bin 4\nbody").await;
    server.until("the second one to wait", |server| server.metric("tidegate_connections_waiting") == 1).await;
    holder.send("held").await;
    assert!(holder.line().await.starts_with("OK held.bin 8 "));
    assert!(waiting.line().await.starts_with("OK a.bin 4 "));
}

#[tokio::test]
async fn exhaustion_is_reported_while_connections_wait() {
    let mut config = one_slot();
    config.limits.min_rate = 0;
    let server = start(config).await;
    let holder = holder(&server, "held.bin 1000\nhalf").await;
    assert!(server.get("/readyz").await.contains("\r\n\r\nready"));
    let mut waiting = server.connect().await;
    waiting.send("a.bin 4\nbody").await;
    let is_exhausted = |answer: &str| answer.contains("not ready: connections: all 1 connection slots are taken");
    while !is_exhausted(&server.get("/readyz").await) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(server.get("/metrics").await.contains("\ntidegate_unready{condition=\"connections\"} 1\n"));
    drop(holder);
    assert!(waiting.line().await.starts_with("OK a.bin 4 "));
    while server.get("/readyz").await.contains("connections") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.metric("tidegate_connections_waiting"), 0);
}

#[tokio::test]
async fn the_first_silent_connection_makes_room_for_others() {
    let mut config = one_slot();
    config.limits.max_silent_connections = 3;
    config.limits.header_timeout = Duration::from_mins(10);
    let server = start(config).await;
    let mut silent = Vec::new();
    for number in 1..=3 {
        silent.push(server.connect().await);
        server.until("the connection", |server| server.metric("tidegate_connections ") == number).await;
    }
    // Silent until now, and not closed: what it sends counts.
    let mut third = silent.pop().unwrap();
    assert!(server.exchange(b"a.bin 4\nbody").await.starts_with("OK a.bin 4 "));
    assert_eq!(server.metric("tidegate_connections_refused_total{reason=\"silent\"}"), 1);
    assert!(silent.remove(0).closes().await);
    third.send("b.bin 4\nbody").await;
    assert!(third.line().await.starts_with("OK b.bin 4 "));
}
