//! One TCP connection, as cheap as it can be had: few writes, one buffer, and a deadline on every wait. Nothing is tried again.

use std::io::{self, IoSlice};
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::WriteHalf;
use tokio::time::timeout;

use super::book::Failure;
use super::load::Load;
use crate::error::ErrorKind;
use crate::wire::framed;

/// From the first packet to the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two writes that the server takes.
const WRITE_TIMEOUT: Duration = Duration::from_mins(2);

/// Between two answers while one is due.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(10);

/// How long an answer is looked for on a connection that takes no more bytes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Pieces given to the system at once: it copies the list of them anew for every write.
const PIECES_A_WRITE: usize = 16;

/// Connects.
pub(super) async fn dial(load: &Load) -> Result<TcpStream, Failure> {
    let failure = |kind, cause: &dyn std::fmt::Display| Failure::new(kind, format!("connecting: {cause}"));
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(&load.server[..])).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(cause)) => Err(failure(ErrorKind::Io, &cause)),
        Err(_elapsed) => {
            let waited = humantime::format_duration(CONNECT_TIMEOUT);
            Err(failure(ErrorKind::Timeout, &format_args!("no answer within {waited}")))
        }
    }
}

/// Lets a small file not wait for the acknowledgement of what went before it (Nagle, RFC 896).
pub(super) fn without_delay(stream: TcpStream) -> Result<TcpStream, Failure> {
    stream.set_nodelay(true).map_err(|cause| lost(&cause))?;
    Ok(stream)
}

/// Writes and reads at once. The reading decides: what the server has answered counts, even where it takes no more bytes.
pub(super) async fn both<T>(
    write: impl Future<Output = Result<(), Failure>>,
    read: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let (mut write, mut read) = (std::pin::pin!(write), std::pin::pin!(read));
    tokio::select! {
        biased;
        written = &mut write => match written {
            Ok(()) => read.await,
            Err(failure) => timeout(LAST_WORDS, read).await.unwrap_or(Err(failure)),
        },
        read = &mut read => read,
    }
}

/// Writes all pieces, in as few calls as the system takes them.
pub(super) async fn write_all(writer: &mut WriteHalf<'_>, mut pieces: &mut [IoSlice<'_>]) -> Result<(), Failure> {
    // Empty pieces at the front would look like a write of nothing.
    IoSlice::advance_slices(&mut pieces, 0);
    while !pieces.is_empty() {
        let some = &pieces[..pieces.len().min(PIECES_A_WRITE)];
        match timeout(WRITE_TIMEOUT, writer.write_vectored(some)).await {
            Ok(Ok(0)) => return Err(lost(&io::ErrorKind::WriteZero.into())),
            Ok(Ok(written)) => IoSlice::advance_slices(&mut pieces, written),
            Ok(Err(cause)) => return Err(lost(&cause)),
            Err(_elapsed) => {
                let waited = humantime::format_duration(WRITE_TIMEOUT);
                return Err(Failure::new(ErrorKind::Timeout, format!("the server has taken no byte for {waited}")));
            }
        }
    }
    Ok(())
}

/// Says that nothing more comes.
pub(super) async fn end(writer: &mut WriteHalf<'_>) -> Result<(), Failure> {
    writer.shutdown().await.map_err(|cause| lost(&cause))
}

/// The next line, with its newline, in `line`; whether there was one before the server closed.
pub(super) async fn read_line(reader: &mut (impl AsyncBufRead + Unpin), line: &mut Vec<u8>) -> Result<bool, Failure> {
    line.clear();
    let mut bounded = reader.take(framed::MAX_LINE_BYTES as u64);
    match timeout(ANSWER_TIMEOUT, bounded.read_until(b'\n', line)).await {
        Ok(Ok(0)) => Ok(false),
        Ok(Ok(_)) if line.ends_with(b"\n") => Ok(true),
        Ok(Ok(_)) => Err(Failure::new(ErrorKind::Incomplete, "the server's answer has no end")),
        Ok(Err(cause)) => Err(lost(&cause)),
        Err(_elapsed) => {
            let waited = humantime::format_duration(ANSWER_TIMEOUT);
            Err(Failure::new(ErrorKind::Timeout, format!("the server has not answered within {waited}")))
        }
    }
}

/// That the server has closed before it answered.
pub(super) fn unanswered() -> Failure {
    Failure::new(ErrorKind::Incomplete, "the server closed the connection without an answer")
}

fn lost(cause: &io::Error) -> Failure {
    Failure::new(ErrorKind::Io, format!("the connection was lost: {cause}"))
}
