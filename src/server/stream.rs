//! A connection's bytes: read into a buffer, handed out without copying.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::config::Limits;

/// What is read at once of a header: an idle connection holds no more.
const SMALL_BYTES: usize = 4 * 1024;
/// What is read at once of a body.
const LARGE_BYTES: usize = 128 * 1024;

/// How long a sender that was answered may pause before the connection is closed on it.
const LINGER_PAUSE: Duration = Duration::from_secs(5);

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
    buffer: BytesMut,
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
        self.buffer.reserve(room);
        match self.half.read_buf(&mut self.buffer).await? {
            0 => Ok(Filled::End),
            _ => Ok(Filled::Some),
        }
    }

    /// Takes `bytes` from the front of the buffer.
    pub(super) fn take(&mut self, bytes: usize) -> Bytes {
        self.buffer.split_to(bytes).freeze()
    }

    /// The next bytes of a body, `most` at most; `None` at the end of the stream. Giving the wait up loses nothing.
    pub(super) async fn next_chunk(&mut self, most: u64) -> io::Result<Option<Bytes>> {
        if self.buffer.is_empty() && self.fill(LARGE_BYTES).await? == Filled::End {
            return Ok(None);
        }
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        Ok(Some(self.take(self.buffer.len().min(most))))
    }
}

/// Both sides of a connection.
#[derive(Debug)]
pub(super) struct Stream {
    reader: Reader,
    writer: OwnedWriteHalf,
}

impl Stream {
    pub(super) fn new(socket: TcpStream) -> Self {
        let (half, writer) = socket.into_split();
        Self { reader: Reader { half, buffer: BytesMut::new() }, writer }
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
        let written = tokio::time::timeout(timeout, async {
            self.writer.write_all(line).await?;
            self.writer.shutdown().await
        });
        // A sender may well have gone without waiting; what became of its file is in the log.
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "the sender did not wait for the answer"),
            Err(_elapsed) => tracing::debug!("the sender did not read the answer"),
        }
    }

    /// Answers a refusal while the sender may still be sending: to close with bytes unread would reset the connection, and
    /// take the answer away before it is read. So what still comes is dropped, within limits.
    pub(super) async fn refuse(mut self, line: &[u8], limits: &Limits) {
        self.answer(line, limits.idle_timeout).await;
        self.reader.discard(limits).await;
    }
}

impl Reader {
    /// Reads and drops until the sender ends, pauses, or passes `max_discard_bytes`.
    pub(super) async fn discard(&mut self, limits: &Limits) {
        let mut left = limits.max_discard_bytes;
        loop {
            match tokio::time::timeout(LINGER_PAUSE, self.next_chunk(u64::MAX)).await {
                Ok(Ok(Some(chunk))) if (chunk.len() as u64) < left => left -= chunk.len() as u64,
                Ok(Ok(Some(_))) => {
                    tracing::debug!("the sender goes on after a refusal; closing");
                    return;
                }
                Ok(Ok(None) | Err(_)) | Err(_) => return,
            }
        }
    }
}
