//! A connection's bytes: read into a buffer, handed out without copying.

use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::slots::{Pace, Phase};
use crate::budget::{Budget, ConnectionShare, Lease, Use};
use crate::config::Limits;
use crate::error::{Error, ErrorKind};

/// What is read at once of a header; an idle connection holds no more.
const SMALL_BYTES: usize = 4 * 1024;
/// The size of a read of a body, in bytes: more as long as a sender fills it, so that a fast sender
/// is read in large pieces, and [`SMALL_BYTES`] of a slow one, or where the memory is in use.
const LARGE_BYTES: usize = 64 * 1024;
const LARGEST_BYTES: usize = 256 * 1024;

/// The size of a read buffer that needs no lease, in bytes.
const SHARE_BYTES: usize = 2 * SMALL_BYTES;

/// Reads of a body that are in memory at once: one is filled, one is validated, one is on its way
/// to the store.
const READS_IN_MEMORY: usize = 3;

/// How long a sender that was answered may pause before the connection is closed on it.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

/// How much longer a server that stops listens to a sender that it has refused, and to one that has
/// not begun; and a server whose slots are all taken to one that gives way.
pub(super) const DRAIN_GRACE: Duration = Duration::from_millis(200);

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// At least a byte.
    Some,
    /// The sender has ended its side.
    End,
}

/// The reading side, and what was read ahead.
#[derive(Debug)]
pub(super) struct Reader {
    half: OwnedReadHalf,
    pace: Arc<Pace>,
    buffer: BytesMut,
    large_bytes: usize,
    /// For what is read beyond the connection's share.
    lease: Lease,
    _share: ConnectionShare,
    /// How the connection broke: the system tells it once, and reports an end of the stream afterwards.
    broken: Option<io::ErrorKind>,
}

impl Reader {
    /// What was read and not yet taken.
    pub(super) fn buffer(&self) -> &[u8] {
        &self.buffer
    }

    /// Reads a little more into the buffer. Giving the wait up loses nothing.
    pub(super) async fn fill_small(&mut self) -> io::Result<Filled> {
        self.fill(SMALL_BYTES).await
    }

    async fn fill(&mut self, room: usize) -> io::Result<Filled> {
        let _waiting = self.pace.wait();
        if self.buffer.capacity() == 0 {
            // No buffer for who sends nothing.
            self.half.readable().await?;
        }
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        // To wait here for memory would look like a sender that is silent, which can prove a
        // header.
        let wanted = self.buffer.len() + room;
        if wanted > SHARE_BYTES && !self.lease.try_grow(2 * wanted) {
            self.broken = Some(io::ErrorKind::OutOfMemory);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.buffer.reserve(room);
        match self.half.read_buf(&mut self.buffer).await {
            Ok(0) => Ok(Filled::End),
            Ok(bytes) => {
                self.pace.came(bytes);
                Ok(Filled::Some)
            }
            Err(error) => {
                self.broken = Some(error.kind());
                Err(error)
            }
        }
    }

    /// Reads as much of a body as the sender's speed and the memory suggest into the buffer, which
    /// is empty.
    pub(super) async fn fill_large(&mut self) -> io::Result<Filled> {
        let room = self.room();
        let filled = self.fill(room).await?;
        self.adapt(room);
        Ok(filled)
    }

    /// Whether the connection broke, instead of being ended by the sender.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// The error of a connection that broke, and what was lost by it; [`ErrorKind::Busy`] where
    /// memory was missing to read on.
    pub(super) fn broke(&self, message: String) -> Error {
        match self.broken {
            Some(io::ErrorKind::OutOfMemory) => self.lease.refuse(2 * (self.buffer.len() + SMALL_BYTES)),
            Some(kind) => Error::new(ErrorKind::Incomplete, message).because(io::Error::from(kind)),
            None => Error::new(ErrorKind::Incomplete, message),
        }
    }

    /// Whether bytes have come that were not read yet. Waits for nothing: the socket does not block.
    pub(super) fn has_more(&self) -> bool {
        SockRef::from(self.half.as_ref()).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0)
    }

    /// Whether bytes have come that were not taken yet, be they read or not.
    pub(super) fn has_bytes(&self) -> bool {
        !self.buffer.is_empty() || self.has_more()
    }

    /// Takes `bytes` from the front of the buffer.
    pub(super) fn take(&mut self, bytes: usize) -> Bytes {
        self.buffer.split_to(bytes).freeze()
    }

    /// The next bytes of a body, `most` at most; `None` at the end of the stream. Giving the wait up loses nothing.
    pub(super) async fn next_chunk(&mut self, most: u64) -> io::Result<Option<Bytes>> {
        if self.buffer.is_empty() && self.fill_large().await? == Filled::End {
            return Ok(None);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(Some(self.take(self.buffer.len().min(most))))
    }

    /// How much to read of a body into the empty buffer.
    fn room(&mut self) -> usize {
        if self.large_bytes > SMALL_BYTES && self.lease.try_grow(READS_IN_MEMORY * self.large_bytes) {
            return self.large_bytes;
        }
        if self.lease.bytes() > 0 {
            self.buffer = BytesMut::new();
            self.lease.shrink(0);
        }
        SMALL_BYTES
    }

    /// Reads more at once of a sender that has filled `room`, and less of one that is far from it.
    fn adapt(&mut self, room: usize) {
        let came = self.buffer.len();
        if came >= room {
            self.large_bytes = (2 * room.max(LARGE_BYTES / 2)).min(LARGEST_BYTES);
        } else if came < SMALL_BYTES / 2 {
            self.large_bytes = SMALL_BYTES;
        }
    }
}

/// Both sides of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    reader: Reader,
    writer: OwnedWriteHalf,
}

impl Stream {
    /// A connection whose reads are measured by `pace`.
    pub(super) fn new(socket: TcpStream, pace: Arc<Pace>, budget: &Arc<Budget>) -> Self {
        let (half, writer) = socket.into_split();
        let (lease, share) = (budget.lease(Use::ReadBuffers), budget.connection());
        let (buffer, large_bytes) = (BytesMut::new(), LARGE_BYTES);
        let reader = Reader { half, pace, buffer, large_bytes, lease, _share: share, broken: None };
        Self { reader, writer }
    }

    pub(super) fn into_parts(self) -> (Reader, OwnedWriteHalf) {
        (self.reader, self.writer)
    }

    pub(super) fn reader(&mut self) -> &mut Reader {
        &mut self.reader
    }

    pub(super) fn buffer(&self) -> &[u8] {
        self.reader.buffer()
    }

    pub(super) async fn fill_small(&mut self) -> io::Result<Filled> {
        self.reader.fill_small().await
    }

    /// Writes the last answer and ends this side.
    pub(super) async fn answer(&mut self, line: &[u8], timeout: Duration) {
        if self.answer_and_go_on(line, timeout).await {
            self.end(timeout).await;
        }
    }

    /// Writes an answer behind which another one may follow; whether the sender took it.
    pub(super) async fn answer_and_go_on(&mut self, line: &[u8], timeout: Duration) -> bool {
        let taken = was_taken(tokio::time::timeout(timeout, self.writer.write_all(line)).await);
        // A sender whose header is not acknowledged holds its content back (RFC 9293 section
        // 3.7.4), and drops it where it closes with this answer unread (RFC 2525 section 2.17):
        // acknowledge at once, not with the next answer.
        if let Err(error) = SockRef::from(self.writer.as_ref()).set_tcp_quickack(true) {
            tracing::debug!(%error, "setting TCP_QUICKACK");
        }
        taken
    }

    /// Ends this side.
    pub(super) async fn end(&mut self, timeout: Duration) {
        was_taken(tokio::time::timeout(timeout, self.writer.shutdown()).await);
    }

    /// Answers a refusal while the sender may still be sending: to close with bytes unread would reset the connection, and
    /// take the answer away before it is read. So what still comes is dropped, within limits.
    pub(super) async fn refuse(mut self, line: &[u8], shared: &Shared) {
        self.answer(line, shared.limits.idle_timeout).await;
        self.reader.discard(shared).await;
    }
}

/// Whether an answer was written in time. A sender may have left without waiting; what became of its file is in the log.
fn was_taken(written: Result<io::Result<()>, Elapsed>) -> bool {
    match written {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            tracing::debug!(%error, "the sender did not wait for the answer");
            false
        }
        Err(Elapsed { .. }) => {
            tracing::debug!("the sender did not read the answer");
            false
        }
    }
}

impl Reader {
    /// Reads and drops until the sender ends or pauses, within limits.
    pub(super) async fn discard(&mut self, shared: &Shared) {
        let mut patience = Patience::new(shared);
        loop {
            match patience.wait(self.next_chunk(u64::MAX)).await {
                Some(Ok(Some(chunk))) if patience.spend(chunk.len() as u64) => {}
                Some(Ok(Some(_))) => {
                    tracing::debug!("the sender goes on after a refusal; closing");
                    return;
                }
                Some(Ok(None) | Err(_)) | None => return,
            }
        }
    }

    /// Gives a large buffer back, between two uploads.
    pub(super) fn relax(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
            self.large_bytes = LARGE_BYTES;
            self.lease.shrink(0);
        }
    }
}

/// How much longer a sender is listened to whose upload was refused: so that it comes to read why, but does not hold a place.
#[derive(Debug)]
pub(super) struct Patience<'a> {
    drain: &'a CancellationToken,
    pace: &'a Pace,
    until: Instant,
    left_bytes: u64,
}

impl<'a> Patience<'a> {
    /// `max_discard_bytes` within `idle_timeout`, all in all.
    pub(super) fn new(shared: &'a Shared) -> Self {
        let Limits { idle_timeout, max_discard_bytes, .. } = shared.limits;
        let pace = shared.pace.as_ref();
        pace.enter(Phase::Idle);
        let most = if pace.gives_way().is_cancelled() { DRAIN_GRACE.min(idle_timeout) } else { idle_timeout };
        Self { drain: &shared.drain, pace, until: Instant::now() + most, left_bytes: max_discard_bytes }
    }

    /// Waits for `work`; `None` where that takes too long, a server that stops has waited long
    /// enough, or the connection gives way.
    pub(super) async fn wait<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let stopping = async {
            tokio::select! {
                () = self.drain.cancelled() => {}
                () = self.pace.gives_way().cancelled() => {}
            }
            tokio::time::sleep(DRAIN_GRACE).await;
        };
        tokio::select! {
            done = tokio::time::timeout_at(self.until.min(Instant::now() + LINGER_PAUSE), work) => done.ok(),
            () = stopping => None,
        }
    }

    /// Takes note of what was read; whether more may be.
    pub(super) fn spend(&mut self, bytes: u64) -> bool {
        self.left_bytes = self.left_bytes.saturating_sub(bytes);
        self.left_bytes > 0
    }
}
