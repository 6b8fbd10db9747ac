//! The plain protocol.

use std::time::Duration;

use tidegate::config::Config;
use tidegate::upload::Digest;
use tidegate::wire::plain::{HeaderForm, Sizes};

use crate::harness::{Running, config, soon, start};

const COMMITTED: &str = "tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}";

fn ok(key: &str, body: &str) -> String {
    format!("OK {key} {} {}\n", body.len(), Digest::of(body.as_bytes()))
}

fn refused(reason: &str) -> String {
    format!("tidegate_uploads_total{{outcome=\"rejected\",reason=\"{reason}\"}}")
}

/// Line forms: what is sent, and the name and the content that it means.
const LINES: &[(&str, &str, &str)] = &[
    ("a/b.csv 8\nx,y\n1,2\n", "a/b.csv", "x,y\n1,2\n"),
    ("a.csv 8\r\nx,y\n1,2\n", "a.csv", "x,y\n1,2\n"),
    ("a.csv\nx,y\n1,2\n", "a.csv", "x,y\n1,2\n"),
    ("a.json 13\n{\"a\": [1, 2]}", "a.json", "{\"a\": [1, 2]}"),
    ("readings/a.bin 11\nhello\nworld", "readings/a.bin", "hello\nworld"),
    ("readings 5\nhello", "readings", "hello"),
    ("n.csv 9\n17\n18\n19\n", "n.csv", "17\n18\n19\n"),
    ("a.bin 0\n", "a.bin", ""),
    ("a.bin\n", "a.bin", ""),
];

/// Headers without a newline: the header, which is a packet of its own, and the content.
const PACKETS: &[(&str, &str, &str)] = &[
    ("a.csv ", "a.csv", "x,y\n1,2\n"),
    ("a.csv ", "a.csv", "1,2\n3,4\n"),
    ("n.csv ", "n.csv", "17\n18\n19\n"),
    ("a.bin ", "a.bin", "{}"),
    ("a.csv", "a.csv", "x,y\n1,2\n"),
    ("n.csv", "n.csv", "17\n18\n19\n"),
    ("a.b.txt", "a.b.txt", "x y"),
    ("a.csv 8", "a.csv", "x,y\n1,2\n"),
    ("n.csv 9", "n.csv", "17\n18\n19\n"),
    ("n.bin 4", "n.bin", "\n\n17"),
    ("n.bin 3", "n.bin", "   "),
    ("readings 6", "readings", "667788"),
    ("n.bin 0", "n.bin", ""),
];

/// What is sent in two packets is stored right, and answered.
async fn check_pair(first: &str, second: &str, key: &str, content: &str) {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send_apart(first).await;
    sender.send(second).await;
    sender.end().await;
    assert_eq!(sender.rest().await, ok(key, content), "{first:?} {second:?}");
    assert_eq!(server.stored(key).as_deref(), Some(content), "{first:?} {second:?}");
    assert_eq!(server.keys(), [key]);
    assert_eq!(server.metric(COMMITTED), 1);
}

#[tokio::test]
async fn a_line_is_a_header_however_the_network_cuts_it() {
    for (sent, key, content) in LINES {
        for cut in 0..=sent.len() {
            check_pair(&sent[..cut], &sent[cut..], key, content).await;
        }
    }
}

#[tokio::test]
async fn a_packet_of_its_own_is_a_header() {
    for (header, key, content) in PACKETS {
        if *header != "n.bin 0" {
            check_pair(header, content, key, content).await;
        }
    }
}

#[tokio::test]
async fn a_size_that_matches_to_the_byte_proves_a_header_that_content_is_glued_to() {
    for (header, key, content) in PACKETS.iter().filter(|(header, ..)| header.ends_with(|last: char| last.is_ascii_digit()))
    {
        if content.starts_with('\n') || content.is_empty() {
            continue; // Glued together, these read as a line, or as a header that was cut off.
        }
        // A first packet that ends inside of the digits, or with them, is taken for the end of the size.
        let sent = format!("{header}{content}");
        let digits = content.bytes().take_while(u8::is_ascii_digit).count();
        for cut in header.len() + digits + 2..=sent.len() {
            check_pair(&sent[..cut], &sent[cut..], key, content).await;
        }
    }
}

#[tokio::test]
async fn content_that_is_glued_to_a_name_is_stored_right_or_refused() {
    let right = [("a.csv ", "x,y\n1,2\n"), ("a.json ", "{\"a\": [1, 2]}"), ("a.bin ", "{}")];
    for (header, content) in right {
        check_pair(&format!("{header}{content}"), "", header.trim_end(), content).await;
    }
    for sent in ["a.csv 1,2\n3,4\n", "n2.csvts,temp\n1,2\n", "n.csv22\n", "a.csv{}"] {
        let server = start(config()).await;
        let answer = server.exchange(sent.as_bytes()).await;
        assert!(answer.starts_with("ERR ") && answer.contains("newline"), "{sent:?}: {answer}");
        assert_eq!(server.keys(), [""; 0], "{sent:?}");
    }
}

#[tokio::test]
async fn a_header_that_stalls_and_ends_is_no_file() {
    for header in ["readings/a.bin 11", "readings/a", "readings", "a.bin ", "a.bin", "a.bin 0", "a.bin 1"] {
        let server = start(config()).await;
        let mut sender = server.connect().await;
        sender.send_apart(header).await;
        sender.end().await;
        let answer = sender.rest().await;
        assert!(answer.starts_with("ERR incomplete "), "{header:?}: {answer}");
        assert_eq!(server.keys(), [""; 0], "{header:?}");
        assert_eq!(server.metric("tidegate_uploads_total{outcome=\"failed\",reason=\"incomplete\"}"), 1);
    }
    let mut config = config();
    config.limits.header_timeout = Duration::from_millis(100);
    for header in ["readings/a.bin 11", "readings/a", "readings", "a.bin "] {
        let server = start(config.clone()).await;
        let mut sender = server.connect().await;
        sender.send(header).await;
        let answer = sender.rest().await;
        assert!(answer.starts_with("ERR timeout "), "{header:?}: {answer}");
        assert_eq!(server.keys(), [""; 0], "{header:?}");
    }
}

#[tokio::test]
async fn another_protocol_leaves_a_counter_and_no_file() {
    #[rustfmt::skip]
    let others: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HELP\r\n", b"USER anonymous\r\n", b"EHLO example.org\r\n", b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<13>Oct 17 03:12:44 host app: message", b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 5010\r\na.csv 1\nx",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 50000 5010\r\na.csv 1,2\n", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01\x7f\0\0\x01\x13\x88\x13\x92a.csv x",
        b"OPTIONS sip:nm SIP/2.0\r\n",
    ];
    for bytes in others {
        for header in [HeaderForm::Auto, HeaderForm::FirstPacket, HeaderForm::Line] {
            let (server, shown) = (start(with_header(header)).await, bytes.escape_ascii());
            let mut sender = server.connect().await;
            sender.send_apart(bytes).await;
            sender.end().await;
            let answer = sender.rest().await;
            assert!(answer.starts_with("ERR bad_header these are the first words of "), "{shown}: {answer}");
            assert_eq!(server.keys(), [""; 0], "{shown}");
            assert_eq!(server.metric("tidegate_connections_refused_total{reason=\"other_protocol\"}"), 1, "{shown}");
            assert_eq!(server.metric(&refused("bad_header")), 0, "a probe is no upload: {shown}");
        }
    }
}

#[tokio::test]
async fn a_probe_that_says_a_word_leaves_no_file() {
    for word in ["stats\r\n", "version\n", "a001\n", "readings/in\n"] {
        let server = start(config()).await;
        let answer = server.exchange(word.as_bytes()).await;
        assert!(answer.starts_with("ERR incomplete nothing came behind "), "{word:?}: {answer}");
        assert_eq!(server.keys(), [""; 0], "{word:?}");
        assert_eq!(server.exchange(b"readings 0\n").await, ok("readings", ""));
        assert_eq!(server.exchange(b"a.bin\n").await, ok("a.bin", ""));
    }
    let server = start(with_header(HeaderForm::Line)).await;
    assert_eq!(server.exchange(b"readings\n").await, ok("readings", ""));
}

fn with_header(header: HeaderForm) -> Config {
    let mut config = config();
    config.plain.header = header;
    config
}

#[tokio::test]
async fn only_a_line_can_be_demanded() {
    let server = start(with_header(HeaderForm::Line)).await;
    assert_eq!(server.exchange(b"my file.csv 8\nx,y\n1,2\n").await, ok("my file.csv", "x,y\n1,2\n"));
    let answer = server.exchange(b"a.csv x,y").await;
    assert!(answer.starts_with("ERR incomplete "), "{answer}");
    assert_eq!(server.keys(), ["my file.csv"]);
}

#[tokio::test]
async fn a_first_packet_can_be_the_name_whatever_it_looks_like() {
    for header in [HeaderForm::Auto, HeaderForm::FirstPacket] {
        let server = start(with_header(header)).await;
        let mut sender = server.connect().await;
        sender.send_apart("readings").await;
        sender.send("1,2\n3,4\n").await;
        sender.end().await;
        let answer = sender.rest().await;
        if header == HeaderForm::FirstPacket {
            assert_eq!(answer, ok("readings", "1,2\n3,4\n"));
        } else {
            assert!(answer.starts_with("ERR bad_header ") && answer.contains("plain.header"), "{answer}");
            assert_eq!(server.keys(), [""; 0]);
        }
    }
}

#[tokio::test]
async fn sizes_can_be_demanded_or_excluded() {
    let mut demanded = config();
    demanded.plain.require_size = true;
    let server = start(demanded).await;
    assert_eq!(server.exchange(b"a.csv 4\nx\n1\n").await, ok("a.csv", "x\n1\n"));
    for sent in [&b"b.csv\nx\n1\n"[..], b"b.csv x\n1\n"] {
        let answer = server.exchange(sent).await;
        assert!(answer.starts_with("ERR bad_header ") && answer.contains("send `name size`"), "{answer}");
    }
    assert_eq!(server.keys(), ["a.csv"]);
    let mut excluded = config();
    excluded.plain.sizes = Sizes::Never;
    let server = start(excluded).await;
    assert_eq!(server.exchange(b"n.csv 17\n18\n19\n").await, ok("n.csv", "17\n18\n19\n"));
    assert_eq!(server.exchange(b"o.csv 2\n18\n").await, ok("o.csv", "2\n18\n"));
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
        (b"\x16\x03\x01\x02\x00\x01", "unsupported"),
        (b"a.csv 14\nx,y\n1,2\n3,4,5\n", "invalid"),
        (b"a.csv x,y\n1,2\n3,4,5\n", "invalid"),
        (b"a.csv 0\n", "invalid"),
        (b"a.json {\"a\": [1, ", "invalid"),
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
    // Before the header is decided, and behind it.
    for first in ["a.bin half ", "a.bin ", "a.bin", "a.bin\n"] {
        let server = start(config()).await;
        let mut sender = server.connect().await;
        sender.send_apart(first).await;
        sender.send_apart("half of it").await;
        sender.reset();
        server
            .until("the failure", |server| {
                server.metric("tidegate_uploads_total{outcome=\"failed\",reason=\"incomplete\"}") == 1
                    || server.metric(&refused("bad_header")) == 1
            })
            .await;
        assert_eq!(server.keys(), [""; 0], "{first:?}");
    }
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
