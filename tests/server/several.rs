//! Several plain files on a connection, and headers that only the number of bytes decides.

use std::time::Duration;

use tidegate::upload::Digest;

use crate::harness::{config, soon, start};

const COMMITTED: &str = "tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}";
const MISMATCHED: &str = "tidegate_uploads_total{outcome=\"rejected\",reason=\"size_mismatch\"}";
const INCOMPLETE: &str = "tidegate_uploads_total{outcome=\"failed\",reason=\"incomplete\"}";
const SURPLUS: &str = "tidegate_connections_refused_total{reason=\"surplus\"}";

fn ok(key: &str, content: &[u8]) -> String {
    format!("OK {key} {} {}\n", content.len(), Digest::of(content))
}

/// Content of a column of numbers: glued to a size, its first digits could belong to the size.
fn numbers(bytes: usize) -> Vec<u8> {
    b"17\n184\n5\n".iter().copied().cycle().take(bytes).collect()
}

#[tokio::test]
async fn files_follow_each_other_on_one_connection() {
    let contents: [&[u8]; 5] = [b"x,y\n1,2\n", b"17\n18\n19\n", b"", b"\n7\n", b"{\"a\": 1}\n"];
    for newline in ["", "\n"] {
        let server = start(config()).await;
        let mut sender = server.connect().await;
        for (number, content) in contents.iter().enumerate() {
            // An empty file whose header has no newline ends only with the next header, or with the connection.
            if content.is_empty() && newline.is_empty() {
                continue;
            }
            let key = format!("{number}.bin");
            sender.send_apart(format!("{key} {}{newline}", content.len())).await;
            sender.send(content).await;
            assert_eq!(sender.line().await, ok(&key, content), "{newline:?}");
        }
        sender.end().await;
        assert_eq!(sender.rest().await, "");
        assert_eq!(server.metric(COMMITTED), if newline.is_empty() { 4 } else { 5 });
        assert_eq!((server.metric(MISMATCHED), server.metric(SURPLUS)), (0, 0));
    }
}

#[tokio::test]
async fn files_that_come_in_one_piece_are_told_apart_and_each_is_answered() {
    for newline in ["", "\n"] {
        let server = start(config()).await;
        let files = [("a.csv", &b"x,y\n1,2\n"[..]), ("b.csv", b"17\n18\n19\n"), ("c.json", b"[1, 2]")];
        let (mut sent, mut expected) = (Vec::new(), String::new());
        for (name, content) in files {
            sent.extend(format!("{name} {}{newline}", content.len()).bytes());
            sent.extend(content);
            expected += &ok(name, content);
        }
        assert_eq!(server.exchange(&sent).await, expected, "{newline:?}");
        assert_eq!(server.keys(), ["a.csv", "b.csv", "c.json"]);
    }
}

#[tokio::test]
async fn the_next_header_is_read_only_when_the_file_before_is_answered() {
    let (server, commits) = crate::harness::start_with_held_commits(config()).await;
    let mut sender = server.connect().await;
    sender.send("a.bin 4\nbodyb.bin 4\nbody").await;
    server.until("the first commit", |server| server.metrics.uploads_in_flight() == 1).await;
    commits.add_permits(1);
    assert_eq!(sender.line().await, ok("a.bin", b"body"));
    commits.add_permits(1);
    assert_eq!(sender.line().await, ok("b.bin", b"body"));
}

#[tokio::test]
async fn what_follows_a_file_and_is_no_file_is_refused() {
    for behind in ["more", "x,y\n1,2\n", "b.csv x\n", "b.csv\nx\n1\n", "5 17\n", "\n", "b.what 4\nbody", "../b.csv 4\nbody"]
    {
        let server = start(config()).await;
        // Together with its content, what is too much takes the file with it.
        let answer = server.exchange(format!("a.bin 4\nbody{behind}").as_bytes()).await;
        assert!(answer.starts_with("ERR size_mismatch more than the announced 4 bytes came"), "{behind:?}: {answer}");
        assert_eq!(server.keys(), [""; 0], "{behind:?}");
        // Behind the receipt it can't; it is answered and counted.
        let mut sender = server.connect().await;
        sender.send("c.bin 4\nbody").await;
        assert_eq!(sender.line().await, ok("c.bin", b"body"));
        sender.send(behind).await;
        sender.end().await;
        let answer = sender.rest().await;
        assert!(answer.starts_with("ERR ") && answer.lines().count() == 1, "{behind:?}: {answer}");
        assert_eq!(server.keys(), ["c.bin"], "{behind:?}");
        assert_eq!(server.metric(SURPLUS), 1, "{behind:?}");
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_another_file_only_so_long() {
    let mut config = config();
    config.plain.linger = Duration::from_millis(50);
    let server = start(config).await;
    let mut sender = server.connect().await;
    sender.send("a.bin 4\nbody").await;
    assert_eq!(sender.line().await, ok("a.bin", b"body"));
    assert!(sender.closes().await);
}

#[tokio::test]
async fn a_server_that_stops_waits_for_no_further_file() {
    let mut config = config();
    config.plain.linger = Duration::from_hours(1);
    let mut server = start(config).await;
    let mut sender = server.connect().await;
    sender.send("a.bin 4\nbody").await;
    assert_eq!(sender.line().await, ok("a.bin", b"body"));
    server.stop();
    assert!(sender.closes().await);
    server.drained().await;
}

#[tokio::test]
async fn a_reset_behind_a_whole_file_loses_nothing() {
    let server = start(config()).await;
    for (key, header) in [("a.bin", "a.bin 9"), ("b.bin", "b.bin 9\n")] {
        let mut sender = server.connect().await;
        sender.send_apart(header).await;
        sender.send(b"17\n18\n19\n").await;
        tokio::time::sleep(Duration::from_millis(2)).await;
        sender.reset();
        server.until("the file", |server| server.stored(key).as_deref() == Some("17\n18\n19\n")).await;
    }
}

#[tokio::test]
async fn a_silent_sender_of_a_header_with_several_readings_gets_its_answer() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    // Nothing ends it but the silence: the sender reads its answer before it closes.
    sender.send(b"n.bin 9171,18,19").await;
    assert_eq!(sender.line().await, ok("n.bin", b"171,18,19"));
}

#[tokio::test]
async fn the_count_decides_however_long_the_content_is() {
    for bytes in [10_000, 65_536, 100_000, 1_700_000] {
        let content = numbers(bytes);
        let sent = [format!("n.bin {bytes}").as_bytes(), &content].concat();
        let server = start(config()).await;
        assert_eq!(server.exchange(&sent).await, ok("n.bin", &content), "{bytes}");
        assert_eq!(server.stored("n.bin").unwrap().as_bytes(), content, "{bytes}");
        assert_eq!(server.keys(), ["n.bin"]);
        assert_eq!(server.metric(COMMITTED), 1);
        assert_eq!(server.metrics.uploads_in_flight(), 0);
        server.until("the end of every reading", |server| server.metrics.uploads_in_flight() == 0).await;
    }
}

#[tokio::test]
async fn a_count_proves_nothing_where_more_of_a_line_may_come_or_the_first_packet_contradicts() {
    // So many bytes as the digits say, if the last of these belongs to the content.
    let rest = [b"131072".as_slice(), b"0\n", &numbers(131_070)].concat();
    for (first, has_end, expected) in [
        ("n.bin ", true, "ERR size_mismatch "),
        ("n.bin ", false, "ERR timeout "),
        ("n.bin 1", false, "ERR timeout "),
        ("n.bin 1310720\n17\n", true, "OK n.bin 131072 "),
        ("n.bin 1310720\n17\n", false, "ERR timeout "),
        ("n.bin 131072", true, "OK n.bin 131072 "),
        ("n.bin 131072", false, "OK n.bin 131072 "),
    ] {
        let mut config = config();
        config.limits.idle_timeout = Duration::from_millis(600);
        let server = start(config).await;
        let mut sender = server.connect().await;
        sender.send_apart(first).await;
        sender.send(&[b"n.bin ".as_slice(), &rest].concat()[first.len()..]).await;
        if has_end {
            sender.end().await;
        }
        let answer = sender.line().await;
        assert!(answer.starts_with(expected), "{first:?}, {has_end}: {answer}");
        assert_eq!(server.keys().is_empty(), answer.starts_with("ERR "));
    }
}

#[tokio::test]
async fn the_count_decides_before_the_next_file_as_well() {
    let content = numbers(200_000);
    let first = [&b"n.bin 200000"[..], &content].concat();
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send_apart(&first).await;
    sender.send(b"m.bin 3abc").await;
    sender.end().await;
    assert_eq!(sender.rest().await, ok("n.bin", &content) + &ok("m.bin", b"abc"));
}

#[tokio::test]
async fn a_content_that_looks_like_headers_is_right_or_refused() {
    // A size of 1 would end the first file before a name and a number.
    let list =
        |lines: usize| (0..lines).map(|line| format!("data-{line}.csv {}\n", 1000 + line)).collect::<Vec<_>>().concat();
    for lines in [1, 5, 60, 600, 60_000] {
        let content = list(lines);
        let server = start(config()).await;
        let answer = server.exchange(format!("list.txt {}{content}", content.len()).as_bytes()).await;
        let is_right = answer == ok("list.txt", content.as_bytes());
        // A single line may be a header whose name has spaces.
        let code = if lines == 1 { "bad_header" } else { "size_mismatch" };
        assert!(is_right || answer.starts_with(&format!("ERR {code} ")), "{lines}: {answer}");
        assert_eq!(server.keys(), if is_right { vec!["list.txt"] } else { vec![] }, "{lines}");
    }
}

#[tokio::test]
async fn a_header_in_a_packet_of_its_own_ends_the_file_before_it() {
    // Without lines, the first content can be the beginning of the next name as well: that the
    // sender waits for its answers shows that it is not.
    let mut config = config();
    config.limits.idle_timeout = Duration::from_secs(3);
    let server = start(config).await;
    let mut sender = server.connect().await;
    sender.send_apart(format!("a.bin 44{}", "x".repeat(44))).await;
    sender.send(b"b.bin 3abc").await;
    assert_eq!(sender.line().await, ok("a.bin", "x".repeat(44).as_bytes()));
    assert_eq!(sender.line().await, ok("b.bin", b"abc"));
}

#[tokio::test]
async fn a_file_that_has_come_is_not_lost_with_the_answer_to_the_one_before() {
    let (server, commits) = crate::harness::start_with_held_commits(config()).await;
    let mut sender = server.connect().await;
    sender.send("a.bin 4\nbody").await;
    commits.add_permits(1);
    server.until("the first answer", |server| server.metric(COMMITTED) == 1).await;
    sender.send("b.bin 4\nbody").await;
    server.until("the second commit", |server| server.metrics.uploads_in_flight() == 1).await;
    sender.send("c.bin 4\nbody").await;
    // An answer that is not read makes a reset of this, so that the next answer can't be written.
    drop(sender);
    commits.add_permits(2);
    server.until("all files", |server| server.keys() == ["a.bin", "b.bin", "c.bin"]).await;
}

#[tokio::test]
async fn a_count_that_fits_no_reading_stores_nothing() {
    for bytes in [60_000, 199_999, 200_001] {
        let sent = [&b"n.bin 200000"[..], &numbers(bytes)].concat();
        let server = start(config()).await;
        let answer = server.exchange(&sent).await;
        assert!(answer.starts_with("ERR size_mismatch ") && answer.contains("newline"), "{bytes}: {answer}");
        assert_eq!(server.keys(), [""; 0], "{bytes}");
        assert_eq!(server.metric(MISMATCHED), 1, "{bytes}");
        server.until("the end of every reading", |server| server.metrics.uploads_in_flight() == 0).await;
    }
}

#[tokio::test]
async fn of_two_long_readings_with_one_end_none_is_stored() {
    let content = numbers(199_000);
    // What `sensor` and this number announce ends where the line does.
    let line = format!("#{} {}\n", "x", content.len());
    let size = line.len() - 1 + content.len();
    let server = start(config()).await;
    let answer = server.exchange(&[format!("sensor {size}{}", &line[1..]).as_bytes(), &content].concat()).await;
    assert!(answer.starts_with("ERR size_mismatch ") || answer.starts_with("ERR bad_header "), "{answer}");
    assert_eq!(server.keys(), [""; 0]);
}

#[tokio::test]
async fn a_line_may_hold_what_looks_like_a_header() {
    // Eight bytes behind `sensor 8`, a name and a size begin.
    let content = [b"other.csv 17\n".as_slice(), &numbers(99_987)].concat();
    let server = start(config()).await;
    let answer = server.exchange(&[b"sensor 8 100000\n".as_slice(), &content].concat()).await;
    assert_eq!(answer, ok("sensor 8", &content));
    assert_eq!(server.keys(), ["sensor 8"]);
}

#[tokio::test]
async fn of_several_readings_the_proved_one_is_validated() {
    let rows = b"17,18\n".repeat(20_000);
    let server = start(config()).await;
    let good = [format!("n.csv {}", rows.len()).as_bytes(), &rows].concat();
    assert_eq!(server.exchange(&good).await, ok("n.csv", &rows));
    let mut broken = rows.clone();
    broken[90_005] = b',';
    let bad = [format!("m.csv {}", broken.len()).as_bytes(), &broken].concat();
    let answer = soon("an answer", server.exchange(&bad)).await;
    assert!(answer.starts_with("ERR invalid "), "{answer}");
    assert_eq!(server.keys(), ["n.csv"]);
    assert_eq!(server.metric("tidegate_uploads_total{outcome=\"rejected\",reason=\"invalid\"}"), 1);
}

#[tokio::test]
async fn a_long_content_that_breaks_off_is_no_file() {
    let server = start(config()).await;
    let mut sender = server.connect().await;
    sender.send([&b"n.bin 200000"[..], &numbers(150_000)].concat()).await;
    server.until("the readings", |server| server.metrics.uploads_in_flight() > 0).await;
    sender.reset();
    server.until("the refusal", |server| server.metric(INCOMPLETE) == 1).await;
    assert_eq!(server.keys(), [""; 0]);
    server.until("the end of every reading", |server| server.metrics.uploads_in_flight() == 0).await;
}
