//! A line on which nothing moves any more, in every phase of a conversation: the deadline that is meant for that phase ends
//! it, with its code, and nothing is left. All others are long, so that none can stand in for another.

use std::io::Write;
use std::time::Duration;

use crate::common::proxy::{Flow, Line, Proxy, Stop};
use crate::common::serve::until;
use crate::harness::{Server, connect, exchange, rest};

const SHORT: &str = "100ms";

/// What is short, what has been sent when the line stalls, and how the answers end.
#[rustfmt::skip]
const PHASES: &[(&str, &str, &str, &str)] = &[
    ("before the first byte", "limits.header_timeout", "", ""),
    ("inside a plain header", "limits.header_timeout", "a.bi", "ERR timeout "),
    ("inside a first control line", "limits.header_timeout", "{\"op\":\"hel", "{\"event\":\"error\",\"code\":\"timeout\""),
    ("inside a later control line", "limits.header_timeout", "{\"op\":\"hello\"}\n{\"op\":\"pu", "{\"event\":\"error\",\"code\":\"timeout\""),
    ("between two uploads", "limits.idle_timeout", "{\"op\":\"hello\"}\n", "{\"event\":\"error\",\"code\":\"timeout\""),
    ("before a plain body", "limits.idle_timeout", "a.bin 4\n", "ERR timeout nothing came "),
    ("inside a plain body", "limits.idle_timeout", "a.bin 4\nab", "ERR timeout nothing came "),
    ("before a plain end", "limits.idle_timeout", "a.bin\nabcd", "ERR timeout nothing came "),
    ("inside a framed body", "limits.idle_timeout", "{\"op\":\"put\",\"name\":\"a.bin\",\"size\":4}\nab", "\"code\":\"timeout\""),
    ("inside a chunk line", "limits.idle_timeout", "{\"op\":\"put\",\"name\":\"a.bin\"}\n{\"chu", "\"code\":\"timeout\""),
    ("inside a chunk", "limits.idle_timeout", "{\"op\":\"put\",\"name\":\"a.bin\"}\n{\"chunk\":4}\nab", "\"code\":\"timeout\""),
    ("before a framed end", "limits.idle_timeout", "{\"op\":\"put\",\"name\":\"a.bin\"}\n{\"chunk\":4}\nabcd", "\"code\":\"timeout\""),
    ("before the body that was asked for", "limits.idle_timeout", "{\"op\":\"put\",\"name\":\"a.bin\",\"resume\":true,\"size\":4}\n", "\"code\":\"timeout\""),
];

#[test]
fn a_stall_in_any_phase_is_ended_by_its_own_deadline() {
    for (phase, key, sent, expected) in PHASES {
        let server = Server::with(&[(*key, SHORT)]);
        let mut socket = connect(&server.serve.address);
        socket.write_all(sent.as_bytes()).unwrap();
        let answer = rest(socket);
        let last = answer.lines().last().unwrap_or_default();
        assert!(last.contains(expected) && last.is_empty() == expected.is_empty(), "{phase}: {answer:?}");
        server.left_nothing(phase);
        server.serves("b.csv");
    }
}

#[test]
fn who_drips_without_end_is_ended_by_the_deadline_of_the_whole_upload() {
    // Who is refused is listened to for as long as idle_timeout.
    let server = Server::with(&[("limits.upload_timeout", "300ms"), ("limits.idle_timeout", "5s")]);
    let drip = Flow { piece_bytes: 1, pause: Duration::from_millis(10), stop: None };
    let proxy = Proxy::start(&server.serve.address, move |_| Line { to_server: drip, ..Line::default() });
    let body = vec![b'x'; 100_000];
    for (header, expected) in [
        ("a.bin 100000\n", "ERR timeout not complete within 300ms"),
        ("{\"op\":\"put\",\"name\":\"a.bin\",\"size\":100000}\n", "\"code\":\"timeout\""),
    ] {
        let answer = exchange(&proxy.address(), &[header.as_bytes(), &body].concat());
        assert!(answer.contains(expected), "{answer}");
    }
    drop(proxy);
    server.left_nothing("a drip");
}

#[test]
fn who_takes_no_answers_loses_the_place() {
    let server = Server::with(&[("limits.idle_timeout", "300ms"), ("log.level", "off")]);
    let line = Line { to_client: Flow::stopping(0, Stop::Stall), ..Line::default() };
    let proxy = Proxy::start(&server.serve.address, move |_| line);
    let mut socket = connect(&proxy.address());
    // Each is answered, until the answers fill every buffer on the way.
    let asked = "{\"op\":\"put\",\"name\":\"..\",\"size\":0}\n".repeat(1000);
    while socket.write_all(asked.as_bytes()).is_ok() {}
    server.until_alone();
    server.serves("b.csv");
}

#[test]
fn a_sender_that_comes_back_to_life_goes_on() {
    let server = Server::with(&[]);
    let mut socket = connect(&server.serve.address);
    for piece in ["{\"op\":", "\"put\",\"name\":\"a.bin\"}\n{\"chu", "nk\":4}\nab", "cd{\"end\"", ":true}\n"] {
        let before = server.metric("tidegate_received_bytes_total ");
        socket.write_all(piece.as_bytes()).unwrap();
        if piece.contains("ab") {
            until("the bytes", || server.metric("tidegate_received_bytes_total ") > before);
        }
    }
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(rest(socket).contains("\"committed\""));
    assert_eq!(server.stored("a.bin").as_deref(), Some(b"abcd".as_slice()));
}
