//! Peers that are gone without a word, and crowds that only want to hold places.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::common::proxy::{Flow, Line, Proxy, Stop};
use crate::common::serve::until;
use crate::harness::{Server, connect};

/// Connections of a crowd.
const CROWD: usize = 200;

#[test]
fn half_open_peers_are_let_go_and_their_places_are_free_again() {
    let keys = [
        ("limits.header_timeout", "300ms"),
        ("limits.idle_timeout", "300ms"),
        ("plain.linger", "300ms"),
        ("limits.max_connections", "6"),
    ];
    let server = Server::with(&keys);
    let said = [
        "",
        "a.bi",
        "a.bin 10\nhalf",
        "whole.csv 4\nx\n1\n",
        "{\"op\":\"hello\"}\n",
        "{\"op\":\"put\",\"name\":\"b.bin\",\"size\":10}\nhalf",
    ];
    // From here on the line takes everything, in both directions, and passes nothing on: not even the end.
    let lengths = said.map(|said| said.len() as u64);
    let proxy = Proxy::start(&server.serve.address, move |number| Line {
        to_server: Flow::stopping(lengths[usize::try_from(number).unwrap()], Stop::Swallow),
        to_client: Flow::stopping(0, Stop::Swallow),
        cut: None,
    });
    for (number, said) in (1..).zip(said) {
        let mut socket = connect(&proxy.address());
        socket.write_all(said.as_bytes()).unwrap();
        // So that the connections have the order of what is said on them.
        until("the connection", || proxy.connections() == number);
    }
    // Every place may be taken now; this one waits for one of them.
    server.serves("b.csv");
    server.until_alone();
    assert_eq!(server.stored("whole.csv").as_deref(), Some(b"x\n1\n".as_slice()));
    assert!(server.serve.staged().is_empty());
}

/// Opens the crowd's connections, and lets each say a byte of a header that never ends, again and again, while `test` runs.
fn among_a_crowd(server: &Server, test: impl FnOnce()) {
    let mut crowd: Vec<TcpStream> = (0..CROWD).map(|_| connect(&server.serve.address)).collect();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut pieces = b"{\"op\":\"".iter().chain(std::iter::repeat(&b'x'));
            while !is_over.load(Ordering::SeqCst) {
                let piece = [*pieces.next().unwrap()];
                for socket in &mut crowd {
                    // Some may have been let go.
                    let _ = socket.write_all(&piece);
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        // Also where the test fails, so that the scope ends.
        let _over = Over(&is_over);
        test();
    });
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_slow_loris_by_the_hundred_does_not_keep_anybody_waiting() {
    let server = Server::with(&[("limits.header_timeout", "10m")]);
    among_a_crowd(&server, || {
        until("the crowd", || server.metric("tidegate_connections ") == CROWD as u64);
        for number in 0..20 {
            server.serves(&format!("a/{number}.csv"));
        }
        // They were served among the crowd, not behind it.
        assert!(server.metric("tidegate_connections ") >= CROWD as u64);
    });
}

#[test]
fn a_slow_loris_is_let_go_however_busily_it_drips() {
    let server = Server::with(&[("limits.header_timeout", "500ms"), ("log.level", "off")]);
    let refused = || server.metric("tidegate_connections_refused_total{reason=\"timeout\"}");
    among_a_crowd(&server, || until("the end of all", || refused() == CROWD as u64));
    server.until_alone();
    server.serves("b.csv");
}
