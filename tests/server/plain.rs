//! The plain protocol.

use std::time::Duration;

use tidegate::upload::Digest;

use crate::harness::{Running, config, soon, start};

const COMMITTED: &str = "tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}";

fn ok(key: &str, body: &str) -> String {
    format!("OK {key} {} {}\n", body.len(), Digest::of(body.as_bytes()))
}

fn refused(reason: &str) -> String {
    format!("tidegate_uploads_total{{outcome=\"rejected\",reason=\"{reason}\"}}")
}

/// What arrives, the name and the body that it means.
const GOOD: &[(&str, &str, &str)] = &[
    ("a/b.csv 8\nx,y\n1,2\n", "a/b.csv", "x,y\n1,2\n"),
    ("a.csv 8\r\nx,y\n1,2\n", "a.csv", "x,y\n1,2\n"),
    ("a.csv\nx,y\n1,2\n", "a.csv", "x,y\n1,2\n"),
    ("a.csv x,y\n1,2\n", "a.csv", "x,y\n1,2\n"),
    ("a.csv 1,2\n3,4\n", "a.csv", "1,2\n3,4\n"),
    ("a.json {\"a\": [1, 2]}", "a.json", "{\"a\": [1, 2]}"),
    ("a.json 13\n{\"a\": [1, 2]}", "a.json", "{\"a\": [1, 2]}"),
    ("a.ndjson {\"a\":1}\n{\"a\":2}\n", "a.ndjson", "{\"a\":1}\n{\"a\":2}\n"),
    ("a.bin 0\n", "a.bin", ""),
    ("a.bin ", "a.bin", ""),
    ("a.bin\n", "a.bin", ""),
    ("a.bin 5\nab\ncd", "a.bin", "ab\ncd"),
    ("a.bin {}", "a.bin", "{}"),
];

#[tokio::test]
async fn every_form_stores_what_it_means_however_it_is_cut() {
    for (sent, key, body) in GOOD {
        for cut in 0..=sent.len() {
            let server = start(config()).await;
            let mut sender = server.connect().await;
            sender.send(&sent[..cut]).await;
            tokio::task::yield_now().await;
            sender.send(&sent[cut..]).await;
            sender.end().await;
            assert_eq!(sender.rest().await, ok(key, body), "{sent:?} cut at {cut}");
            assert_eq!(server.stored(key).as_deref(), Some(*body), "{sent:?} cut at {cut}");
            assert_eq!(server.metric(COMMITTED), 1);
        }
    }
}

#[tokio::test]
async fn a_pause_ends_a_header_that_has_no_newline() {
    for (header, body) in [("a.csv ", "x,y\n1,2\n"), ("a.csv", "x,y\n1,2\n"), ("a.csv 8", "x,y\n1,2\n")] {
        let mut config = config();
        config.plain.header_pause = Duration::from_millis(30);
        let server = start(config).await;
        let mut sender = server.connect().await;
        sender.send(header).await;
        server.until("the header's end", |server| server.metrics.uploads_in_flight() == 1).await;
        sender.send(body).await;
        sender.end().await;
        assert_eq!(sender.rest().await, ok("a.csv", body), "{header:?}");
        assert_eq!(server.stored("a.csv").as_deref(), Some(body));
    }
}

#[tokio::test]
async fn a_header_without_newline_can_be_switched_off() {
    let mut config = config();
    config.plain.header_without_newline = false;
    let server = start(config).await;
    assert_eq!(server.exchange(b"my file.csv 8\nx,y\n1,2\n").await, ok("my file.csv", "x,y\n1,2\n"));
    let answer = server.exchange(b"a.csv x,y").await;
    assert!(answer.starts_with("ERR incomplete "), "{answer}");
    assert_eq!(server.keys(), ["my file.csv"]);
}

#[tokio::test]
async fn what_is_refused_is_told_counted_and_not_stored() {
    #[rustfmt::skip]
    let table: &[(&[u8], &str)] = &[
        (b"a.csv 9\nx,y\n1,2\n", "size_mismatch"),
        (b"a.csv 7\nx,y\n1,2\n", "size_mismatch"),
        (b"a.csv 0\nx", "size_mismatch"),
        (b"../a.csv 1\nx", "bad_name"),
        (b"/etc/passwd 1\nx", "bad_name"),
        (b".tidegate/staging/x 1\nx", "bad_name"),
        (b"a/./b 1\nx", "bad_name"),
        (b"NUL.csv 1\nx", "bad_name"),
        (b"-rf 1\nx", "bad_name"),
        (b"\n", "bad_header"),
        (b"\xff\xfe 1\nx", "bad_header"),
        (b"a.csv 99999999999999999999\nx", "bad_header"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "bad_header"),
        (b"\x16\x03\x01\x02\x00\x01", "unsupported"),
        (b"a.csv 14\nx,y\n1,2\n3,4,5\n", "invalid"),
        (b"a.csv x,y\n1,2\n3,4,5\n", "invalid"),
        (b"a.csv ", "invalid"),
        (b"a.json {\"a\": [1, 2", "invalid"),
        (b"a.json 10\n{\"a\": [1, ", "invalid"),
        (b"a.jsonl {}\n{}{}\n", "invalid"),
        (b"a.csv 99999999999999\nx", "too_large"),
    ];
    for (sent, code) in table {
        let server = start(config()).await;
        let answer = server.exchange(sent).await;
        let shown = sent.escape_ascii();
        assert!(answer.starts_with(&format!("ERR {code} ")), "{shown}: {answer}");
        assert_eq!(answer.matches('\n').count(), 1, "{answer}");
        assert_eq!(server.keys(), [""; 0], "{shown}");
        assert_eq!(server.metric(&refused(code)), 1, "{shown}");
        assert_eq!(server.metrics.uploads_in_flight(), 0);
    }
}

#[tokio::test]
async fn a_header_that_is_too_long_is_refused() {
    let server = start(config()).await;
    let answer = server.exchange(&[b'x'; 5000]).await;
    assert!(answer.starts_with("ERR bad_header "), "{answer}");
}

#[tokio::test]
async fn a_header_that_is_cut_off_is_not_an_empty_file() {
    let server = start(config()).await;
    let answer = server.exchange(b"a.bin").await;
    assert!(answer.starts_with("ERR incomplete "), "{answer}");
    assert_eq!(server.keys(), [""; 0]);
}

#[tokio::test]
async fn a_rejection_says_where_and_comes_before_the_end() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send("a.csv x,y\n1,2\n3,4,").await;
    // The sender has not ended: the answer comes all the same.
    let answer = sender.line().await;
    let expected = "ERR invalid \"a.csv\" is not valid csv: extra-cell: row has";
    assert!(answer.starts_with(expected), "{answer}");
    assert!(answer.ends_with("(line 3, column 4, byte 11, record 2)\n"), "{answer}");
    assert_eq!(server.metric("tidegate_validation_rejections_total{code=\"extra-cell\",format=\"csv\"}"), 1);
}

#[tokio::test]
async fn a_refused_sender_that_goes_on_still_reads_its_answer() {
    let server = start(config()).await;
    let mut body = b"a.csv x,y\n1,2,3\n".to_vec();
    body.resize(8 * 1024 * 1024, b'x');
    let answer = server.exchange(&body).await;
    assert!(answer.starts_with("ERR invalid "), "{answer}");
}

#[tokio::test]
async fn a_reset_is_never_an_end() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send("a.bin ").await;
    sender.send("half of it").await;
    server.until("the upload", |server| server.metrics.uploads_in_flight() == 1).await;
    sender.reset();
    server
        .until("the failure", |server| {
            server.metric("tidegate_uploads_total{outcome=\"failed\",reason=\"incomplete\"}") == 1
        })
        .await;
    assert_eq!(server.keys(), [""; 0]);
}

#[tokio::test]
async fn the_same_content_is_stored_once_and_other_content_beside_it() {
    let server = start(config()).await;
    assert_eq!(server.exchange(b"a.csv 4\nx\n1\n").await, ok("a.csv", "x\n1\n"));
    assert_eq!(server.exchange(b"a.csv 4\nx\n2\n").await, ok("a~2.csv", "x\n2\n"));
    assert_eq!(server.exchange(b"a.csv 4\nx\n3\n").await, ok("a~3.csv", "x\n3\n"));
    assert_eq!(server.exchange(b"a.csv 4\nx\n2\n").await, ok("a~2.csv", "x\n2\n"));
    assert_eq!(server.exchange(b"a.csv 4\nx\n1\n").await, ok("a.csv", "x\n1\n"));
    assert_eq!(server.keys(), ["a.csv", "a~2.csv", "a~3.csv"]);
    assert_eq!(server.metric(COMMITTED), 3);
    assert_eq!(server.metric("tidegate_uploads_total{outcome=\"duplicate\",reason=\"ok\"}"), 2);
}

#[tokio::test]
async fn a_sender_that_keeps_the_connection_open_gets_its_receipt() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send("a.csv 4\nx\n1\n").await;
    assert_eq!(sender.line().await, ok("a.csv", "x\n1\n"));
    assert!(sender.closes().await);
}

#[tokio::test]
async fn who_only_looks_whether_the_port_is_open_is_not_an_upload() {
    let server = start(config()).await;
    assert_eq!(server.exchange(b"").await, "");
    server.until("the connection's end", |server| server.metric("tidegate_connections") == 0).await;
    let metrics = server.metrics.encode().unwrap();
    let uploads: Vec<_> = metrics.lines().filter(|line| line.starts_with("tidegate_uploads_total{")).collect();
    assert!(uploads.len() > 10);
    assert!(uploads.iter().all(|line| line.ends_with(" 0")), "{uploads:?}");
}

#[tokio::test]
async fn many_senders_that_do_not_pause_lose_nothing() {
    let server = start(config()).await;
    let senders = (0..32).map(|sender| {
        let server: &Running = &server;
        async move {
            for file in 0..25 {
                let body = format!("sender,file\n{sender},{file}\n");
                let key = format!("s{sender}/f{file}.csv");
                let answer = server.exchange(format!("{key} {body}").as_bytes()).await;
                assert_eq!(answer, ok(&key, &body));
            }
        }
    });
    soon("800 files", futures::future::join_all(senders)).await;
    assert_eq!(server.keys().len(), 800);
    assert_eq!(server.stored("s31/f24.csv").as_deref(), Some("sender,file\n31,24\n"));
}
