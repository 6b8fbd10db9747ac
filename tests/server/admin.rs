//! HTTP on the admin listener, as clients of every kind speak it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::harness::{Running, config, soon, start};

impl Running {
    /// The answer to a client that sends this and keeps its side open.
    async fn hears(&self, request: &[u8]) -> String {
        let mut socket = soon("connecting", TcpStream::connect(self.admin)).await.unwrap();
        // The server may have answered and closed before the end.
        let _ = socket.write_all(request).await;
        heard(socket).await
    }

    async fn closed(&self, reason: &str) -> u64 {
        self.get("/healthz").await;
        self.metric(&format!("tidegate_admin_connections_closed_total{{reason=\"{reason}\"}}"))
    }
}

async fn heard(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    soon("an answer", socket.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> &str {
    answer.lines().next().unwrap_or_default()
}

#[tokio::test]
async fn every_kind_of_request_is_answered_and_ends_its_connection() {
    let server = start(config()).await;
    for (request, expected) in [
        ("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET /healthz HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
        ("GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.0 200 OK"),
        ("GET http://elsewhere/healthz HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET /healthz?verbose=1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"),
        ("HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK"),
        ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("BREW /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 404 Not Found"),
        ("GET /healthz HTTP/1.1\r\nHost: x y\r\nno colon\r\n\r\n", "HTTP/1.1 400 Bad Request"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request"),
    ] {
        let answer = server.hears(request.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{request:?}: {answer}");
    }
    let head = server.hears(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(head.contains("content-length: 3\r\n") && head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn another_method_is_told_the_right_ones() {
    let server = start(config()).await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        let answer = server.hears(format!("{method} /readyz HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert_eq!(status(&answer), "HTTP/1.1 405 Method Not Allowed", "{answer}");
        assert!(answer.to_lowercase().contains("\r\nallow: get,head\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_takes_no_answer_with_it() {
    let server = start(config()).await;
    let body = "x".repeat(50_000);
    let posted = format!("POST /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let chunked =
        format!("POST /readyz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n{body}\r\n0\r\n\r\n");
    let got = "GET /readyz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nx".to_owned();
    for (request, expected) in
        [(posted, "HTTP/1.1 405 Method Not Allowed"), (chunked, "HTTP/1.1 405 Method Not Allowed"), (got, "HTTP/1.1 200 OK")]
    {
        assert_eq!(status(&server.hears(request.as_bytes()).await), expected);
    }
}

#[tokio::test]
async fn neither_http_2_nor_an_upgrade_nor_a_second_request_is_served() {
    let server = start(config()).await;
    let answer = server.hears(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer:?}");
    let upgrades = ["h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", "websocket"];
    for upgrade in upgrades {
        let request = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n");
        let answer = server.hears(request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
    }
    let two = server.hears("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n".repeat(2).as_bytes()).await;
    assert_eq!(two.matches("HTTP/1.1 ").count(), 1, "{two}");
    assert!(two.contains("connection: close\r\n"), "{two}");
}

#[tokio::test]
async fn a_header_is_bounded() {
    let server = start(config()).await;
    let many = "X-Many: y\r\n".repeat(100);
    let long = format!("X-Long: {}\r\n", "y".repeat(20_000));
    for headers in [many, long] {
        let answer = server.hears(format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes()).await;
        assert_eq!(status(&answer), "HTTP/1.1 431 Request Header Fields Too Large", "{answer}");
    }
    let target = format!("GET /healthz?{} HTTP/1.1\r\nHost: x\r\n\r\n", "y".repeat(20_000));
    let answer = server.hears(target.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 414 ") || answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_client_that_ends_its_side_is_answered() {
    let server = start(config()).await;
    for page in ["/healthz", "/readyz", "/metrics"] {
        let mut socket = TcpStream::connect(server.admin).await.unwrap();
        socket.write_all(format!("GET {page} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
        assert!(heard(socket).await.starts_with("HTTP/1.1 200 "), "{page}");
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_closed() {
    let server = start(config()).await;
    let silent = TcpStream::connect(server.admin).await.unwrap();
    let mut half = TcpStream::connect(server.admin).await.unwrap();
    half.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").await.unwrap();
    let (mut slow, mut writing) = TcpStream::connect(server.admin).await.unwrap().into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"G").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert_eq!(heard(silent).await, "");
    assert_eq!(heard(half).await, "");
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _ = soon("the end", slow.read_to_end(&mut answer)).await;
    assert!(answer.is_empty());
    soon("the end of the trickle", trickle).await.unwrap();
    assert_eq!(server.closed("timeout").await, 3);
}

#[tokio::test]
async fn the_newest_connection_takes_the_place_of_the_oldest() {
    let server = start(config()).await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut socket = TcpStream::connect(server.admin).await.unwrap();
        socket.write_all(b"GET ").await.unwrap();
        held.push(socket);
    }
    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200 "));
    assert_eq!(server.closed("surplus").await, 1);
    // The others were not touched.
    let mut newest = held.pop().unwrap();
    newest.write_all(b"/healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(heard(newest).await.starts_with("HTTP/1.1 200 "));
    let oldest = heard(held.remove(0)).await;
    assert_eq!(oldest, "");
}

#[tokio::test]
async fn the_connection_that_makes_way_is_of_the_address_that_has_most() {
    let server = start(config()).await;
    let bound = |address: &str| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{address}:0").parse().unwrap()).unwrap();
        socket
    };
    let mut single = bound("127.0.0.3").connect(server.admin).await.unwrap();
    single.write_all(b"GET ").await.unwrap();
    let mut held = Vec::new();
    for _ in 0..200 {
        held.push(bound("127.0.0.2").connect(server.admin).await.unwrap());
    }
    server.closed("surplus").await;
    single.write_all(b"/readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert!(heard(single).await.starts_with("HTTP/1.1 200 "));
    assert!(server.closed("surplus").await >= 137);
}
