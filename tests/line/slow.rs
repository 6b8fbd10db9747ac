//! A line that brings one byte at a time.

use crate::common::proxy::{Flow, Line, Proxy};
use crate::harness::{Server, exchange};

/// Characters of several bytes, quotes, line ends: whatever can be torn apart.
fn table() -> Vec<u8> {
    let rows = (0..200).map(|row| format!("{row},\"größer, \"\"größer\"\"\",🌊\r\n"));
    std::iter::once("n,text,sign\r\n".to_owned()).chain(rows).collect::<String>().into_bytes()
}

#[test]
fn every_protocol_works_one_byte_at_a_time() {
    let body = table();
    let chunks = |body: &[u8]| {
        let mut bytes = Vec::new();
        for chunk in body.chunks(700) {
            bytes.extend(format!("{{\"chunk\":{}}}\n", chunk.len()).bytes());
            bytes.extend(chunk);
        }
        bytes.extend(b"{\"end\":true}\n");
        bytes
    };
    let hello = "{\"op\":\"hello\",\"version\":1}\n";
    #[rustfmt::skip]
    let table = [
        ("plain-size.csv", format!("plain-size.csv {}\n", body.len()), body.clone(), "OK "),
        ("plain-end.csv", "plain-end.csv\n".to_owned(), body.clone(), "OK "),
        ("size.csv", format!("{hello}{{\"op\":\"put\",\"name\":\"size.csv\",\"size\":{}}}\n", body.len()), body.clone(), "\"committed\""),
        ("chunks.csv", format!("{hello}{{\"op\":\"put\",\"name\":\"chunks.csv\"}}\n"), chunks(&body), "\"committed\""),
    ];
    let server = Server::with(&[]);
    let line = Line { to_server: Flow::bytewise(), to_client: Flow::bytewise(), cut: None };
    let proxy = Proxy::start(&server.serve.address, move |_| line);
    for (name, header, sent, expected) in table {
        let bytes = [header.as_bytes(), &sent].concat();
        let answer = exchange(&proxy.address(), &bytes);
        assert!(answer.contains(expected), "{name}: {answer}");
        assert_eq!(server.stored(name).as_deref(), Some(body.as_slice()), "{name}");
    }
}
