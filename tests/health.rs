//! `tidegate health` against a page that says yes, no, or nothing.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;

fn health(url: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    // A proxy that nobody can reach: the server next door is asked directly.
    command.env("http_proxy", "http://127.0.0.1:9").args(["health", "--url", url]).output().unwrap()
}

/// Answers one request with this.
fn page(answer: &'static str) -> (String, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/healthz", listener.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() > 0 {
            request.push(byte[0]);
        }
        assert!(request.starts_with(b"GET /healthz HTTP/1.1\r\n"), "{}", request.escape_ascii());
        stream.write_all(answer.as_bytes()).unwrap();
    });
    (url, server)
}

#[test]
fn a_server_that_is_well_is_a_success() {
    let (url, server) = page("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n");
    let output = health(&url);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"ok\n"[..]), "{output:?}");
    server.join().unwrap();
}

#[test]
fn a_server_that_is_not_well_is_quoted() {
    let (url, server) = page("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\ndraining\n");
    let output = health(&url);
    let expected = format!("{url} answers 503 Service Unavailable: draining\n");
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(1), expected.as_bytes()), "{output:?}");
    server.join().unwrap();
}

#[test]
fn nobody_there_is_not_well() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = health(&format!("http://{address}/healthz"));
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Connection refused"), "{output:?}");
}
