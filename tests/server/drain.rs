//! How the server stops, and what it says of itself meanwhile.

use std::time::Duration;

use tidegate::server::Drained;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Gated, config, start, start_with_held_commits};

#[tokio::test]
async fn running_uploads_finish_and_nobody_else_comes_in() {
    let mut server = start(config()).await;
    let mut running = server.connect().await;
    running.send("a.bin 10\nfirst").await;
    let idle = server.connect().await;
    let mut framed = server.connect().await;
    framed.send("{\"op\":\"hello\"}\n").await;
    assert_eq!(framed.event().await["event"], "hello");
    server.until("the upload", |server| server.metric("tidegate_received_bytes_total") == 5).await;
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 200 "));
    server.stop();
    assert!(idle.closes().await);
    assert!(framed.closes().await);
    assert!(server.get("/readyz").await.starts_with("HTTP/1.1 503 "));
    assert!(TcpStream::connect(server.address).await.is_err());
    running.send("after").await;
    assert!(running.line().await.starts_with("OK a.bin 10 "));
    let store = server.store.clone();
    let Drained { finished, cut_off, .. } = server.drained().await;
    assert_eq!((finished, cut_off), (1, 0));
    assert_eq!(store.keys().len(), 1);
}

#[tokio::test]
async fn uploads_that_take_too_long_are_cut_off_and_told() {
    let mut config = config();
    config.limits.drain_timeout = Duration::from_millis(50);
    let mut server = start(config).await;
    let mut plain = server.connect().await;
    plain.send("a.bin 10\nfirst").await;
    let mut framed = server.connect().await;
    framed.send("{\"op\":\"put\",\"id\":\"u\",\"name\":\"b.bin\",\"size\":10}\nfirst").await;
    server.until("the uploads", |server| server.metric("tidegate_received_bytes_total") == 10).await;
    server.stop();
    let answer = plain.line().await;
    assert!(answer.starts_with("ERR shutting_down "), "{answer}");
    let event = framed.event().await;
    assert_eq!((event["code"].as_str(), event["retry"].as_bool()), (Some("shutting_down"), Some(true)), "{event}");
    drop((plain, framed));
    let store = server.store.clone();
    let Drained { finished, cut_off, .. } = server.drained().await;
    assert_eq!((finished, cut_off), (0, 2));
    assert_eq!(store.keys().len(), 0);
}

#[tokio::test]
async fn a_commit_under_way_is_waited_for() {
    let (mut server, gate) = start_with_held_commits(config()).await;
    let mut sender = server.connect().await;
    sender.send("{\"op\":\"put\",\"id\":\"u\",\"name\":\"b.bin\",\"size\":5}\nfirst").await;
    server.until("the body", |server| server.metric("tidegate_received_bytes_total") == 5).await;
    server.stop();
    tokio::task::yield_now().await;
    Gated::open(&gate);
    assert_eq!(sender.event().await["event"], "committed");
    let Drained { finished, cut_off, .. } = server.drained().await;
    assert_eq!((finished, cut_off), (1, 0));
}

#[tokio::test]
async fn the_admin_listener_tells_what_is() {
    let server = start(config()).await;
    assert!(server.get("/healthz").await.ends_with("\r\n\r\nok\n"));
    assert!(server.get("/readyz").await.ends_with("\r\n\r\nready\n"));
    assert!(server.exchange(b"a.csv\nx\n1\n").await.starts_with("OK "));
    let metrics = server.get("/metrics").await;
    assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
    for line in [
        "tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"} 1",
        "tidegate_committed_bytes_total 4",
        "tidegate_received_bytes_total 4",
        "tidegate_uploads_in_flight 0",
        "tidegate_commit_seconds_count 1",
        "tidegate_validation_seconds_count{format=\"csv\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    assert!(server.get("/").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_pipeliner_does_not_hold_the_drain() {
    let mut server = start(config()).await;
    let sender = server.connect().await;
    let put = |number: usize| format!("{{\"op\":\"put\",\"id\":\"u{number}\",\"name\":\"{number}.bin\",\"size\":1}}\nx");
    let many: String = (0..20_000).map(put).collect();
    let (mut reader, mut writer) = tokio::io::split(sender.take_socket());
    let sending = tokio::spawn(async move { writer.write_all(many.as_bytes()).await });
    let reading = tokio::spawn(async move {
        let mut answers = String::new();
        // A reset at the end is how a sender that goes on is left behind.
        let _ = reader.read_to_string(&mut answers).await;
        answers
    });
    server.until("some commits", |server| server.keys().len() > 10).await;
    server.stop();
    let store = server.store.clone();
    let Drained { cut_off, .. } = server.drained().await;
    assert_eq!(cut_off, 0);
    let _ = sending.await.unwrap();
    let answers = reading.await.unwrap();
    let committed = answers.lines().filter(|line| line.contains("\"committed\"")).count();
    assert_eq!(committed, store.keys().len(), "every commit was answered");
    assert!(committed < 20_000);
    assert!(answers.lines().last().unwrap().contains("shutting_down"), "{:?}", answers.lines().last());
}

#[tokio::test]
async fn a_half_sent_admin_request_does_not_hold_the_drain() {
    let server = start(config()).await;
    let mut half = TcpStream::connect(server.admin).await.unwrap();
    half.write_all(b"GET /heal").await.unwrap();
    let Drained { finished, cut_off, .. } = server.drained().await;
    assert_eq!((finished, cut_off), (0, 0));
}
