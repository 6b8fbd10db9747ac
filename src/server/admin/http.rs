//! HTTP/1.1 for the admin listener, so bounded that no client keeps another one out.
//!
//! Knows connections and deadlines, and not what is asked for. A connection carries one request: it
//! has no idle time to bound, and a deadline for all of it covers slow writers and slow readers.
//! There is no upgrade, and no HTTP/2.

use std::cmp::Reverse;
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::metrics::{AdminClosed, Metrics};
use crate::server::permits::sender;

/// From the connection to the last byte of the request's header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// From the connection to the last byte of the answer: `HEADER_TIMEOUT`, what `/readyz` waits for
/// the store, and as much again for a slow reader.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(15);

/// The header of a request.
const MAX_HEADERS: usize = 64;
const MAX_HEADER_BYTES: usize = 16 * 1024;

/// How much of a request's unread body is read, and for how long, before the connection is closed:
/// a socket that is closed with unread bytes is reset, and the answer is lost with it.
const LINGER_BYTES: u64 = 64 * 1024;
const LINGER_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to wait before accepting again when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long the last answers may take once the listener is closed.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves until `closed` is cancelled, so many connections at once.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    metrics: &Metrics,
    closed: CancellationToken,
) {
    let mut connections = Connections { limit: max_connections, open: Vec::new(), is_full: false };
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok((socket, peer)) => connections.admit(socket, peer, &router, metrics).await,
                Err(error) => {
                    tracing::warn!(%error, "accepting an admin connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    closed.run_until_cancelled(accepting).await;
    drop(listener);
    connections.close().await;
}

/// The connections that are open, the oldest first.
struct Connections {
    limit: usize,
    open: Vec<Connection>,
    /// Whether the newest connection took the place of another one.
    is_full: bool,
}

struct Connection {
    /// The sender, as [`sender`] counts it.
    network: IpAddr,
    /// Whether an answer is on its way: the request has arrived, and the client has not got all of
    /// it.
    answering: Arc<AtomicBool>,
    task: JoinHandle<Ended>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Done,
    /// The request, or the reading of its answer, took too long.
    TimedOut,
}

impl Connections {
    /// Serves one more connection. A new one is never refused: at the limit it takes the place of
    /// another one, because a monitoring system leaves after its answer, and an attacker stays.
    async fn admit(&mut self, socket: TcpStream, peer: SocketAddr, router: &Router, metrics: &Metrics) {
        self.collect(metrics).await;
        let was_full = std::mem::replace(&mut self.is_full, self.open.len() >= self.limit);
        if self.is_full {
            if !was_full {
                tracing::warn!(%peer, limit = self.limit, "admin connections exhausted; the oldest are closed");
            }
            let victim = self.open.remove(self.victim());
            victim.task.abort();
            // Its descriptor is free once the task is gone.
            let _ = victim.task.await;
            metrics.admin_connection_closed(AdminClosed::Surplus);
        }
        let answering = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(exchange(socket, router.clone(), Arc::clone(&answering)));
        self.open.push(Connection { network: sender(peer.ip()), answering, task });
    }

    /// Drops the connections that have ended.
    async fn collect(&mut self, metrics: &Metrics) {
        for ended in self.open.extract_if(.., |connection| connection.task.is_finished()) {
            if let Ok(Ended::TimedOut) = ended.task.await {
                metrics.admin_connection_closed(AdminClosed::Timeout);
            }
        }
    }

    /// The place of the connection that makes way: one of the network that has most of them, one
    /// that waits for its request rather than one that is being answered, and of those the oldest.
    fn victim(&self) -> usize {
        let held = |network| self.open.iter().filter(|other| other.network == network).count();
        let rank =
            |connection: &Connection| (Reverse(held(connection.network)), connection.answering.load(Ordering::Relaxed));
        let oldest = self.open.iter().enumerate().min_by_key(|(_, connection)| rank(connection));
        oldest.map_or(0, |(place, _)| place)
    }

    /// Lets the answers that are on their way arrive, and closes the rest.
    async fn close(self) {
        let (answering, waiting): (Vec<_>, Vec<_>) =
            self.open.into_iter().partition(|connection| connection.answering.load(Ordering::Relaxed));
        for connection in waiting {
            connection.task.abort();
        }
        let last = async {
            for connection in answering {
                let _ = connection.task.await;
            }
        };
        let _ = timeout(CLOSE_TIMEOUT, last).await;
    }
}

/// Answers one request.
async fn exchange(mut socket: TcpStream, router: Router, answering: Arc<AtomicBool>) -> Ended {
    let Ok(ended) = timeout(CONNECTION_TIMEOUT, answer(&mut socket, router, &answering)).await else {
        return Ended::TimedOut;
    };
    answering.store(false, Ordering::Relaxed);
    let linger = async {
        socket.shutdown().await?;
        tokio::io::copy(&mut socket.take(LINGER_BYTES), &mut tokio::io::sink()).await
    };
    // The answer is out; a client that stays has no more time.
    let _ = timeout(LINGER_TIMEOUT, linger).await;
    ended
}

async fn answer(socket: &mut TcpStream, router: Router, answering: &AtomicBool) -> Ended {
    // hyper panics where the clock is not set, whether or not it sends a date.
    if let Err(error) = clock::check() {
        let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n";
        let body = format!("not ready: {error}\n");
        let _ = socket.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await;
        return Ended::Done;
    }
    let router = TowerToHyperService::new(router);
    let service = service_fn(|request| {
        answering.store(true, Ordering::Relaxed);
        Box::pin(router.call(request))
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES)
        .keep_alive(false)
        // A client that has no more to send still wants its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(socket), service);
    // Shut down by the caller, which first reads what the client still sends.
    match poll_fn(|context| connection.poll_without_shutdown(context)).await {
        Err(error) if error.is_timeout() => Ended::TimedOut,
        Err(error) => {
            tracing::debug!(%error, "admin request failed");
            Ended::Done
        }
        Ok(()) => Ended::Done,
    }
}
