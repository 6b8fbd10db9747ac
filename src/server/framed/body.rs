//! An upload's bytes between control lines.

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Body, Piece};
use crate::server::Shared;
use crate::server::stream::{Filled, Patience, Reader};
use crate::wire::framed::{Chunk, MAX_LINE_BYTES, decode_chunk};

use super::Next;

/// Reads to the end of a control line, and takes it. Giving the wait up loses nothing.
pub(super) async fn read_line(reader: &mut Reader) -> Result<Bytes> {
    let mut searched = 0;
    loop {
        let window = &reader.buffer()[..reader.buffer().len().min(MAX_LINE_BYTES)];
        if let Some(end) = memchr::memchr(b'\n', &window[searched..]) {
            return Ok(reader.take(searched + end + 1));
        }
        if window.len() == MAX_LINE_BYTES {
            return Err(Error::new(ErrorKind::BadHeader, format!("control line is longer than {MAX_LINE_BYTES} bytes")));
        }
        searched = window.len();
        let place = if searched == 0 { "before the next control line" } else { "inside a control line" };
        match reader.fill_small().await {
            Ok(Filled::Some) => {}
            Ok(Filled::End) => {
                return Err(Error::new(ErrorKind::Incomplete, format!("the connection ended {place}")));
            }
            Err(_broken) => return Err(reader.broke(format!("the connection broke {place}"))),
        }
    }
}

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// So many bytes, and nothing behind them.
    Sized(u64),
    /// So many bytes of a chunk, then lines and further chunks.
    Chunked(u64),
    /// Nothing.
    Nothing,
    /// What can't be known: the connection broke, or what came can't be understood.
    Lost,
}

/// A body of known size, or of chunks.
#[derive(Debug)]
pub(super) struct FramedBody<'a> {
    reader: &'a mut Reader,
    rest: Rest,
    /// Bytes of the upload that have come, before this connection too.
    read: u64,
}

impl<'a> FramedBody<'a> {
    /// The body of an upload of this size, if that is known, from `offset` on.
    pub(super) fn new(reader: &'a mut Reader, size: Option<u64>, offset: u64) -> Self {
        let rest = size.map_or(Rest::Chunked(0), |size| Rest::Sized(size.saturating_sub(offset)));
        Self { reader, rest, read: offset }
    }

    /// What has not been read.
    pub(super) fn rest(self) -> Rest {
        self.rest
    }

    async fn bytes(&mut self, left: u64) -> Result<Bytes> {
        match self.reader.next_chunk(left).await {
            Ok(Some(bytes)) => {
                self.read += bytes.len() as u64;
                Ok(bytes)
            }
            Ok(None) => {
                self.rest = Rest::Lost;
                Err(Error::new(ErrorKind::Incomplete, format!("the connection ended after {} bytes", self.read)))
            }
            Err(_broken) => {
                self.rest = Rest::Lost;
                Err(self.reader.broke(format!("the connection broke after {} bytes", self.read)))
            }
        }
    }

    /// The next chunk line; [`Rest`] says what follows it.
    async fn line(&mut self) -> Result<Chunk> {
        let chunk = match read_line(self.reader).await {
            Ok(line) => decode_chunk(&line),
            Err(error) => Err(error),
        };
        self.rest = match chunk {
            Ok(Chunk::Bytes(bytes)) => Rest::Chunked(bytes),
            Ok(Chunk::End(_) | Chunk::Abort) => Rest::Nothing,
            Err(_) => Rest::Lost,
        };
        chunk
    }
}

impl Body for FramedBody<'_> {
    async fn next(&mut self) -> Result<Piece> {
        loop {
            match self.rest {
                Rest::Sized(0) | Rest::Nothing => {
                    self.rest = Rest::Nothing;
                    return Ok(Piece::End(None));
                }
                Rest::Sized(left) => {
                    let bytes = self.bytes(left).await?;
                    self.rest = Rest::Sized(left - bytes.len() as u64);
                    return Ok(Piece::Bytes(bytes));
                }
                Rest::Chunked(0) => match self.line().await? {
                    Chunk::Bytes(0) => return Ok(Piece::Alive),
                    Chunk::Bytes(_) => {}
                    Chunk::End(digest) => return Ok(Piece::End(digest)),
                    Chunk::Abort => {
                        return Err(Error::new(
                            ErrorKind::Aborted,
                            format!("the sender gave it up after {} bytes", self.read),
                        ));
                    }
                },
                Rest::Chunked(left) => {
                    let bytes = self.bytes(left).await?;
                    self.rest = Rest::Chunked(left - bytes.len() as u64);
                    return Ok(Piece::Bytes(bytes));
                }
                Rest::Lost => return Err(Error::new(ErrorKind::Incomplete, "the rest of the body is lost")),
            }
        }
    }
}

impl Rest {
    /// Reads and drops what is left of a body that was refused, so that the next request can follow; within limits.
    ///
    /// # Errors
    /// [`ErrorKind::BadHeader`] or [`ErrorKind::Incomplete`] where what comes can't be understood.
    pub(super) async fn discard(self, reader: &mut Reader, shared: &Shared) -> Result<Next> {
        let mut patience = Patience::new(shared);
        let mut body = FramedBody { reader, rest: self, read: 0 };
        loop {
            match patience.wait(body.next()).await {
                Some(Ok(Piece::Alive)) => {}
                Some(Ok(Piece::Bytes(bytes))) if patience.spend(bytes.len() as u64) => {}
                Some(Ok(Piece::Bytes(_))) => {
                    tracing::info!(bytes = body.read, "the sender goes on after a refusal; closing");
                    return Ok(Next::Close);
                }
                Some(Ok(Piece::End(_))) => return Ok(Next::Request),
                Some(Err(error)) if error.kind() == ErrorKind::Aborted => return Ok(Next::Request),
                Some(Err(error)) => return Err(error),
                None => return Ok(Next::Close),
            }
        }
    }
}
