//! Senders' connections: accepted, counted, and handed to the protocol that their first byte names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::permits::Permits;
use super::stream::{DRAIN_GRACE, Filled, Stream};
use super::{Shared, framed, plain};
use crate::error::{Error, ErrorKind};
use crate::ledger::Origin;
use crate::wire::Protocol;
use crate::wire::framed::{Event, encode_event};
use crate::wire::plain::encode_error;

/// How long to wait before accepting again when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts for ever.
///
/// Where there are too many connections in all, further ones wait in the listener's queue: a sender that never reads the
/// answer would lose its file to a refusal. Too many from one address are refused.
pub(super) async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let places = Arc::new(Semaphore::new(shared.limits.max_connections));
    let permits = Permits::new(shared.limits.max_connections_per_address);
    loop {
        if places.available_permits() == 0 {
            tracing::warn!(connections = shared.limits.max_connections, "no place for more connections; they wait");
        }
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes this semaphore");
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let permit = permits.admit(peer.ip());
        let connection = Connection { peer, shared: Arc::clone(shared) };
        let span = tracing::info_span!("connection", %peer);
        let task = async move {
            let _held = (place, connection.shared.metrics.connection_open());
            match permit {
                Some(_permit) => connection.serve(socket).await,
                None => connection.turn_away(socket).await,
            }
        };
        shared.tasks.spawn(task.instrument(span));
    }
}

/// How long a connection that is one too many is held to be told so.
const TURN_AWAY_TIMEOUT: Duration = Duration::from_secs(1);
/// How much of that is spent on learning which protocol it speaks.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_millis(300);

#[derive(Debug)]
struct Connection {
    peer: SocketAddr,
    shared: Arc<Shared>,
}

impl Connection {
    async fn serve(&self, socket: TcpStream) {
        // The answers are small, and somebody waits for each.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY");
        }
        let mut stream = Stream::new(socket, &self.shared.budget);
        let shared = &self.shared;
        let stopping = async {
            // What was sent before the server was told to stop may still be on its way here.
            shared.drain.cancelled().await;
            tokio::time::sleep(DRAIN_GRACE).await;
        };
        let filled = tokio::select! {
            biased;
            filled = tokio::time::timeout(shared.limits.header_timeout, stream.fill_small()) => filled,
            () = stopping => return,
        };
        match filled {
            Ok(Ok(Filled::Some)) => {}
            // Somebody looked whether the port is open.
            Ok(Ok(Filled::End) | Err(_)) => return,
            Err(_elapsed) => {
                tracing::info!("nothing came; closing");
                shared.metrics.connection_refused("timeout");
                return;
            }
        }
        let protocol = stream.buffer().first().copied().map_or(Protocol::Plain, Protocol::of);
        // An IPv4 sender has one address, whichever way it comes in.
        let peer = SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port());
        let shared = &shared.of(Origin { peer, protocol, collector: None });
        match protocol {
            // Boxed, so that a connection on which nothing has come yet is small.
            Protocol::Framed => Box::pin(framed::serve(stream, shared)).await,
            Protocol::Plain => Box::pin(plain::serve(stream, shared)).await,
            Protocol::Tls => {
                let error = Error::new(ErrorKind::Unsupported, "TLS is not configured on this port; speak in the clear");
                shared.ingest.refuse("", &error);
                stream.refuse(encode_error(&error).as_bytes(), shared).await;
            }
        }
    }

    /// Tells a sender that there is no place, in the protocol that it speaks as far as it has begun to. Quickly: whoever opens
    /// too many connections must not hold places by not reading.
    async fn turn_away(&self, socket: TcpStream) {
        let (peer, most) = (self.peer.ip(), self.shared.limits.max_connections_per_address);
        let error = Error::new(ErrorKind::Busy, format!("more than {most} connections from {peer}; try again later"));
        tracing::warn!(reason = error.kind().code(), %error, "too many connections from one address; refused");
        self.shared.metrics.connection_refused(error.kind().code());
        let mut stream = Stream::new(socket, &self.shared.budget);
        let told = tokio::time::timeout(TURN_AWAY_TIMEOUT, async {
            // What can't be read is as good as nothing said.
            drop(tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.fill_small()).await);
            let line = match stream.buffer().first().copied().map(Protocol::of) {
                Some(Protocol::Framed) => encode_event(&Event::from_connection(&error)),
                Some(Protocol::Plain | Protocol::Tls) | None => encode_error(&error),
            };
            stream.answer(line.as_bytes(), TURN_AWAY_TIMEOUT).await;
        });
        if told.await.is_err() {
            tracing::debug!("the sender did not wait to be told");
        }
    }
}
