//! Senders' connections: accepted, counted, and handed to the protocol that their first byte names.

use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpStream};
use tracing::Instrument;

use super::permits::Permits;
use super::slots::{Entrance, Pace};
use super::stream::{DRAIN_GRACE, Filled, Stream};
use super::{Shared, framed, plain};
use crate::config::Limits;
use crate::error::{Error, ErrorKind};
use crate::ledger::Origin;
use crate::wire::Protocol;
use crate::wire::framed::{Event, encode_event};
use crate::wire::plain::encode_error;

/// How long to wait before accepting again when the system has no more file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts for ever.
///
/// Where there are too many connections in all, further ones wait: a sender that never reads the
/// answer would lose its file to a refusal. Too many from one address are refused.
pub(super) async fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let Limits { max_connections, max_connections_per_address, .. } = shared.limits;
    // Where one address may have every slot, as behind a proxy, its further connections wait as
    // those of others do.
    let has_limit = max_connections_per_address < max_connections;
    let permits = Permits::new(if has_limit { max_connections_per_address } else { usize::MAX });
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let entrance = shared.slots.enter().await;
        let permit = permits.admit(peer.ip());
        let connection = Connection { peer, shared: Arc::clone(shared) };
        let span = tracing::info_span!("connection", %peer);
        let task = async move {
            let _open = connection.shared.metrics.connection_open();
            match permit {
                Some(_permit) => connection.serve(socket, entrance).await,
                None => connection.turn_away(socket, entrance).await,
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
    async fn serve(&self, socket: TcpStream, entrance: Entrance) {
        // The answers are small, and somebody waits for each.
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!(%error, "setting TCP_NODELAY");
        }
        let shared = &self.shared;
        let stopping = async {
            // What was sent before the server was told to stop may still be on its way here.
            shared.drain.cancelled().await;
            tokio::time::sleep(DRAIN_GRACE).await;
        };
        let mut stopping = pin!(stopping);
        let began = tokio::select! {
            biased;
            began = self.first_byte(&socket, &entrance) => began,
            () = &mut stopping => return,
        };
        if !began {
            return;
        }
        // Nothing is read before there is a slot: the sender is slowed, and keeps what it has.
        let slot = tokio::select! {
            biased;
            slot = entrance.slot() => slot,
            () = &mut stopping => {
                let error = Error::new(ErrorKind::ShuttingDown, "the server stops; send it again");
                return self.tell(socket, &error).await;
            }
        };
        let stream = Stream::new(socket, Arc::clone(slot.pace()), &shared.budget);
        slot.pace().holder().scope(self.converse(stream, slot.pace())).await;
        // A commit whose sender has left still holds the file and the memory that its slot accounts
        // for.
        slot.pace().commits_ended().await;
    }

    /// Waits for the first byte, and leaves it in the socket. Returns whether it was received.
    async fn first_byte(&self, socket: &TcpStream, entrance: &Entrance) -> bool {
        let (metrics, mut byte) = (&self.shared.metrics, [0]);
        tokio::select! {
            biased;
            peeked = tokio::time::timeout(self.shared.limits.header_timeout, socket.peek(&mut byte)) => match peeked {
                // No byte before the end of the stream: a port scan or a health check.
                Ok(peeked) => peeked.is_ok_and(|bytes| bytes > 0),
                Err(_elapsed) => {
                    tracing::info!("silent connection closed at its deadline");
                    metrics.connection_refused("timeout");
                    false
                }
            },
            () = entrance.closing().cancelled() => {
                // The byte may have been received, and not yet been reported to this task.
                let came = SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0);
                if !came {
                    tracing::info!("silent connection closed to make room for others");
                    metrics.connection_refused("silent");
                }
                came
            }
        }
    }

    /// Serves a connection that has sent its first byte.
    async fn converse(&self, mut stream: Stream, pace: &Arc<Pace>) {
        // Does not wait: the first byte is there.
        match tokio::time::timeout(self.shared.limits.header_timeout, stream.fill_small()).await {
            Ok(Ok(Filled::Some)) => {}
            Ok(Ok(Filled::End) | Err(_)) | Err(_) => return,
        }
        let protocol = stream.buffer().first().copied().map_or(Protocol::Plain, Protocol::of);
        // An IPv4 sender has one address, whichever way it comes in.
        let peer = SocketAddr::new(self.peer.ip().to_canonical(), self.peer.port());
        let shared = &self.shared.paced(Origin { peer, protocol, collector: None }, Arc::clone(pace));
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

    /// Refuses a connection of an address that has too many.
    async fn turn_away(&self, socket: TcpStream, entrance: Entrance) {
        let (peer, most) = (self.peer.ip(), self.shared.limits.max_connections_per_address);
        let message = format!(
            "more than {most} connections from {peer}: close some, or raise limits.max_connections_per_address of the server"
        );
        let error = Error::new(ErrorKind::Busy, message);
        tracing::warn!(reason = error.kind().code(), %error, "too many connections from one address; refused");
        self.shared.metrics.connection_refused(error.kind().code());
        // The answer occupies a place for a moment, which other connections may need.
        if !self.shared.slots.is_crowded() {
            tokio::select! {
                () = self.tell(socket, &error) => {}
                () = entrance.closing().cancelled() => {}
            }
        }
    }

    /// Tells a sender why its connection is not served, in the protocol that it speaks as far as it
    /// has begun to. With a short deadline, so that a sender with too many connections can't hold
    /// places by not reading.
    async fn tell(&self, socket: TcpStream, error: &Error) {
        let mut stream = Stream::new(socket, Arc::new(Pace::new()), &self.shared.budget);
        let told = tokio::time::timeout(TURN_AWAY_TIMEOUT, async {
            // What can't be read is as good as nothing said.
            drop(tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.fill_small()).await);
            let line = match stream.buffer().first().copied().map(Protocol::of) {
                Some(Protocol::Framed) => encode_event(&Event::from_connection(error)),
                Some(Protocol::Plain | Protocol::Tls) | None => encode_error(error),
            };
            stream.answer(line.as_bytes(), TURN_AWAY_TIMEOUT).await;
        });
        if told.await.is_err() {
            tracing::debug!("the sender did not wait to be told");
        }
    }
}
