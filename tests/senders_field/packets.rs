//! What of a connection over the loopback device has been read at its other end.
//!
//! Some senders are only told apart by their packets. A pause is no proof that a busy server has
//! read one packet before the next one arrives; the kernel's table of connections is.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::common::serve::DEADLINE;

/// Waits until the server has read everything that was sent, or is gone.
pub(crate) async fn until_read(socket: &TcpStream) {
    let (Ok(own), Ok(peer)) = (socket.local_addr(), socket.peer_addr()) else { return };
    let start = Instant::now();
    while is_unread(own, peer) {
        assert!(start.elapsed() < DEADLINE, "the server reads nothing for {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

/// Whether bytes are queued in either direction's socket: unacknowledged here, or unread there.
fn is_unread(own: SocketAddr, peer: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let ports = |local: SocketAddr, remote: SocketAddr| (local.port(), remote.port());
    let (here, there) = (ports(own, peer), ports(peer, own));
    table
        .lines()
        .skip(1)
        .filter_map(queues)
        .any(|(ports, to_send, to_read)| ports == here && to_send > 0 || ports == there && to_read > 0)
}

/// Local and remote port of a connection, the bytes that are not acknowledged and those that are
/// not read (proc(5)).
fn queues(line: &str) -> Option<((u16, u16), u64, u64)> {
    let mut columns = line.split_ascii_whitespace().skip(1);
    let mut port = || u16::from_str_radix(columns.next()?.rsplit(':').next()?, 16).ok();
    let ports = (port()?, port()?);
    let (to_send, to_read) = columns.nth(1)?.split_once(':')?;
    Some((ports, u64::from_str_radix(to_send, 16).ok()?, u64::from_str_radix(to_read, 16).ok()?))
}
