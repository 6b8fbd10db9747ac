//! Limits, deadlines, back-pressure.

use std::sync::Arc;
use std::time::Duration;

use tidegate::config::Rule;
use tidegate::report::Format;
use tidegate::upload::OnConflict;
use tokio::io::AsyncWriteExt;

use crate::harness::{Gated, config, soon, start, start_with, start_with_held_commits};

/// More than sockets and buffers can hold.
const FILE_BYTES: usize = 64 * 1024 * 1024;

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn a_header_has_a_deadline() {
    let mut config = config();
    config.limits.header_timeout = SHORT;
    let server = start(config).await;
    let mut slow = server.connect().await;
    slow.send("a.cs").await;
    let answer = slow.rest().await;
    assert!(answer.starts_with("ERR timeout "), "{answer}");
    let silent = server.connect().await;
    assert!(silent.closes().await);
    assert_eq!(server.metric("tidegate_connections_refused_total{reason=\"timeout\"}"), 1);
    let mut framed = server.connect().await;
    framed.send("{\"op\":").await;
    assert_eq!(framed.event().await["code"], "timeout");
}

#[tokio::test]
async fn a_sender_that_stalls_has_a_deadline() {
    let mut config = config();
    config.limits.idle_timeout = SHORT;
    let server = start(config).await;
    let mut plain = server.connect().await;
    plain.send("a.bin 10\nhalf").await;
    let answer = plain.rest().await;
    assert!(answer.starts_with("ERR timeout nothing came for 50ms after 4 bytes"), "{answer}");
    let mut framed = server.connect().await;
    framed.send("{\"op\":\"put\",\"id\":\"u\",\"name\":\"a.bin\",\"size\":10}\nhalf").await;
    let event = framed.event().await;
    assert_eq!((event["event"].as_str(), event["code"].as_str()), (Some("failed"), Some("timeout")), "{event}");
    let mut idle = server.connect().await;
    idle.send("{\"op\":\"hello\",\"version\":1}\n").await;
    assert_eq!(idle.event().await["event"], "hello");
    assert_eq!(idle.event().await["code"], "timeout");
    assert!(idle.closes().await);
    assert_eq!(server.keys(), [""; 0]);
    assert_eq!(server.metric("tidegate_uploads_total{outcome=\"failed\",reason=\"timeout\"}"), 2);
}

#[tokio::test]
async fn an_upload_as_a_whole_has_a_deadline() {
    let mut config = config();
    config.limits.upload_timeout = SHORT;
    let server = start(config).await;
    let mut sender = server.connect().await;
    sender.send("a.bin 10\nhalf").await;
    let answer = sender.rest().await;
    assert!(answer.starts_with("ERR timeout not complete within 50ms (4 bytes came)"), "{answer}");
}

#[tokio::test]
async fn a_commit_that_hangs_is_answered_and_goes_on() {
    let mut config = config();
    config.limits.commit_timeout = SHORT;
    let (server, gate) = start_with_held_commits(config).await;
    let answer = server.exchange(b"a.bin 4\nbody").await;
    assert!(answer.starts_with("ERR unknown "), "{answer}");
    assert_eq!(server.keys(), [""; 0]);
    Gated::open(&gate);
    server.until("the commit", |server| server.keys() == ["a.bin"]).await;
    // Counted as what it was told, and as what came of it.
    server
        .until("both counts", |server| server.metric("tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}") == 1)
        .await;
    assert_eq!(server.metric("tidegate_uploads_total{outcome=\"failed\",reason=\"unknown\"}"), 1);
    server.until("the upload's end", |server| server.metrics.uploads_in_flight() == 0).await;
}

#[tokio::test]
async fn a_file_has_a_limit_and_a_rule_may_lower_it() {
    let mut config = config();
    config.limits.max_file_bytes = 1000;
    let rule = Rule { pattern: "small/*".to_owned(), max_bytes: Some(10), ..Rule::default() };
    config.rules = vec![rule];
    let server = start(config).await;
    for (name, most) in [("a.bin", 1000), ("small/a.bin", 10)] {
        let fits = format!("{name}\n{}", "x".repeat(most));
        assert!(server.exchange(fits.as_bytes()).await.starts_with("OK "), "{name}");
        let announced = format!("{name} {}\n", most + 1);
        assert!(server.exchange(announced.as_bytes()).await.starts_with("ERR too_large "), "{name}");
        let sent = format!("{name}\n{}", "y".repeat(most + 1));
        assert!(server.exchange(sent.as_bytes()).await.starts_with("ERR too_large "), "{name}");
    }
    assert_eq!(server.keys(), ["a.bin", "small/a.bin"]);
}

#[tokio::test]
async fn rules_decide_by_name() {
    let mut config = config();
    let rule =
        |pattern: &str, format, on_conflict| Rule { pattern: pattern.to_owned(), format, on_conflict, ..Rule::default() };
    config.rules = vec![
        rule("raw/**", Some(Format::None), Some(OnConflict::Overwrite)),
        rule("*.dat", Some(Format::Ndjson), Some(OnConflict::Reject)),
    ];
    let server = start(config).await;
    assert!(server.exchange(b"raw/x/broken.json {").await.starts_with("OK "));
    assert!(server.exchange(b"raw/x/broken.json [").await.starts_with("OK raw/x/broken.json "));
    assert_eq!(server.stored("raw/x/broken.json").as_deref(), Some("["));
    assert!(server.exchange(b"a/b.dat {}\n{").await.starts_with("ERR invalid "));
    assert!(server.exchange(b"a/b.dat {}\n").await.starts_with("OK "));
    assert!(server.exchange(b"a/b.dat []\n").await.starts_with("ERR conflict "));
    assert_eq!(server.keys(), ["a/b.dat", "raw/x/broken.json"]);
}

#[tokio::test]
async fn one_address_has_a_limit_and_gets_its_places_back() {
    let mut config = config();
    config.limits.max_connections_per_address = 2;
    let server = start(config).await;
    let (mut first, second) = (server.connect().await, server.connect().await);
    server.until("two connections", |server| server.metric("tidegate_connections") == 2).await;
    let third = server.connect().await;
    let answer = third.rest().await;
    assert!(answer.starts_with("ERR busy "), "{answer}");
    assert_eq!(server.metric("tidegate_connections_refused_total{reason=\"busy\"}"), 1);
    drop(second);
    server.until("a place", |server| server.metric("tidegate_connections") == 1).await;
    assert!(server.exchange(b"a.bin 1\nx").await.starts_with("OK "));
    first.send("b.bin 1\nx").await;
    assert!(first.line().await.starts_with("OK "));
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_and_lose_nothing() {
    let mut config = config();
    config.limits.max_connections = 2;
    config.limits.min_rate = 0;
    let server = start(config).await;
    let mut others = [server.connect().await, server.connect().await];
    for other in &mut others {
        other.send("b.bin 10\nhalf").await;
    }
    server.until("two uploads", |server| server.metrics.uploads_in_flight() == 2).await;
    let mut third = server.connect().await;
    // An old sender: sends all, ends, and never looks back.
    third.send("a.bin \x01bod").await;
    third.end().await;
    server.until("the third one to wait", |server| server.metric("tidegate_connections_waiting") == 1).await;
    assert_eq!((server.metric("tidegate_connections "), server.metric("tidegate_connections_max")), (3, 2));
    drop(others);
    assert!(third.line().await.starts_with("OK a.bin 4 "));
}

#[tokio::test]
async fn a_slow_sink_slows_the_sender() {
    let mut gate = None;
    let server = start_with(config(), |store| {
        let gated = Gated::new(store);
        Gated::open(&gated.commits);
        gate = Some(Arc::clone(&gated.writes));
        Arc::new(gated)
    })
    .await;
    let mut sender = server.connect().await;
    sender.send(format!("a.bin {FILE_BYTES}\n")).await;
    let chunk = vec![b'x'; 64 * 1024];
    let mut sent = 0;
    // Until nothing moves any more: the sink takes nothing, so what was sent lies in the sockets' buffers and in one chunk.
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), sender.socket.write(&chunk)).await {
        sent += written.unwrap();
        assert!(sent < FILE_BYTES / 2, "{sent} bytes went into a sink that takes none");
    }
    assert!(server.metric("tidegate_received_bytes_total") <= 1024 * 1024);
    Gated::open(&gate.unwrap());
    while sent < FILE_BYTES {
        let most = chunk.len().min(FILE_BYTES - sent);
        sent += sender.socket.write(&chunk[..most]).await.unwrap();
    }
    assert!(sender.line().await.starts_with(&format!("OK a.bin {FILE_BYTES} ")));
}

#[tokio::test]
async fn nobody_holds_a_place_by_dripping() {
    let mut config = config();
    config.limits.idle_timeout = Duration::from_millis(300);
    let server = start(config).await;
    let mut blank = server.connect().await;
    blank.send("{\"op\":\"hello\"}\n").await;
    assert_eq!(blank.event().await["event"], "hello");
    let mut refused = server.connect().await;
    refused.send("../x 1000\n").await;
    assert!(refused.line().await.starts_with("ERR bad_name "));
    let mut rejected = server.connect().await;
    rejected.send("{\"op\":\"put\",\"id\":\"u\",\"name\":\"..\",\"size\":1000}\n").await;
    assert_eq!(rejected.event().await["event"], "rejected");
    soon("all three to be closed", async {
        while server.metric("tidegate_connections") > 0 {
            for sender in [&mut blank, &mut refused, &mut rejected] {
                // It may be closed by now.
                let _ = sender.socket.write_all(b"\n").await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn what_comes_behind_a_receipt_is_told() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send("a.bin 4\nbody").await;
    assert!(sender.line().await.starts_with("OK "));
    sender.send("more").await;
    server.until("the surplus", |server| server.metric("tidegate_connections_refused_total{reason=\"surplus\"}") == 1).await;
}

#[tokio::test]
async fn a_framed_sender_is_turned_away_in_its_own_protocol() {
    let mut config = config();
    config.limits.max_connections_per_address = 1;
    let server = start(config).await;
    let _first = server.connect().await;
    server.until("the first connection", |server| server.metric("tidegate_connections") == 1).await;
    let mut second = server.connect().await;
    second.send("{\"op\":\"hello\"}\n").await;
    let event = second.event().await;
    assert_eq!((event["event"].as_str(), event["code"].as_str()), (Some("error"), Some("busy")), "{event}");
}
