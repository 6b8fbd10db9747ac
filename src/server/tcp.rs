//! Senders' connections: accepted, counted, and handed to the protocol that their first byte names.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::Instrument;

use super::permits::Permits;
use super::stream::{Filled, Stream};
use super::{Shared, framed, plain};
use crate::error::{Error, ErrorKind};
use crate::wire::Protocol;
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
        let mut stream = Stream::new(socket);
        let shared = &self.shared;
        let filled = tokio::select! {
            () = shared.drain.cancelled() => return,
            filled = tokio::time::timeout(shared.limits.header_timeout, stream.fill_small()) => filled,
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
        match stream.buffer().first().copied().map(Protocol::of) {
            Some(Protocol::Framed) => framed::serve(stream, shared).await,
            Some(Protocol::Plain) | None => plain::serve(stream, shared).await,
            Some(Protocol::Tls) => {
                let error = Error::new(ErrorKind::Unsupported, "TLS is not configured on this port; speak in the clear");
                shared.ingest.refuse("", &error);
                stream.refuse(encode_error(&error).as_bytes(), &shared.limits).await;
            }
        }
    }

    async fn turn_away(&self, mut socket: TcpStream) {
        let most = self.shared.limits.max_connections_per_address;
        tracing::warn!(peer = %self.peer.ip(), connections = most, "too many connections from this address; refused");
        self.shared.metrics.connection_refused("address_limit");
        let error =
            Error::new(ErrorKind::Busy, format!("more than {most} connections from {}; try again later", self.peer.ip()));
        let line = encode_error(&error);
        // Best effort, and quick: whoever opens too many connections must not hold places by not reading.
        let told = tokio::time::timeout(Duration::from_secs(1), socket.write_all(line.as_bytes())).await;
        tracing::debug!(?told, "turned away");
    }
}
