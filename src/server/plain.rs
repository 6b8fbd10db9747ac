//! The plain protocol over a connection: one file, one line for an answer.

use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::stream::{Filled, Patience, Reader, Stream};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Body, Piece};
use crate::upload::{Receipt, UploadId, UploadSpec};
use crate::wire::plain::{self, Header, HeaderForm, Signal};

/// How long the end of the stream, or a byte too many, is awaited behind a body of known size. A sender that goes on gets a
/// refusal if its surplus comes together with the body; one that keeps the connection open waits this long for its receipt.
const SURPLUS_PAUSE: Duration = Duration::from_millis(20);

/// Serves a connection to its end.
pub(super) async fn serve(mut stream: Stream, shared: &Shared) {
    let header = match read_header(stream.reader(), shared).await {
        Ok(Some(header)) => header,
        Ok(None) => return,
        Err(error) => {
            shared.ingest.refuse("", &error);
            return stream.refuse(plain::encode_error(&error).as_bytes(), shared).await;
        }
    };
    let sized = header.size.is_some();
    match receive(header, stream.reader(), shared).await {
        Ok(receipt) => {
            stream.answer(plain::encode_receipt(&receipt).as_bytes(), shared.limits.idle_timeout).await;
            if sized {
                watch_surplus(stream.reader(), &receipt, shared).await;
            }
        }
        Err(error) => stream.refuse(plain::encode_error(&error).as_bytes(), shared).await,
    }
}

async fn receive(header: Header, reader: &mut Reader, shared: &Shared) -> Result<Receipt> {
    let key = header.name.parse().inspect_err(|error| shared.ingest.refuse(&header.name, error))?;
    let spec = UploadSpec {
        size: header.size,
        on_conflict: shared.plain.on_conflict,
        ..UploadSpec::new(UploadId::generate(), key)
    };
    let mut body = PlainBody { reader, size: header.size, read: 0 };
    shared.ingest.receive(spec, &mut body).await?.commit(()).await
}

/// What comes behind a file of known size after its receipt can't be taken back any more; that it came is told.
async fn watch_surplus(reader: &mut Reader, receipt: &Receipt, shared: &Shared) {
    if let Some(Ok(Some(_))) = Patience::new(shared).wait(reader.next_chunk(u64::MAX)).await {
        shared.metrics.connection_refused("surplus");
        tracing::warn!(key = %receipt.key, size = receipt.size, "more bytes came behind a file of this size, after its receipt");
        reader.discard(shared).await;
    }
}

/// Reads to the end of the header; `None` where the sender went away without a word.
async fn read_header(reader: &mut Reader, shared: &Shared) -> Result<Option<Header>> {
    let form = if shared.plain.header_without_newline { HeaderForm::Any } else { HeaderForm::Newline };
    let deadline = Instant::now() + shared.limits.header_timeout;
    let mut signal = Signal::Data;
    loop {
        if let Some((header, taken)) = plain::decode(reader.buffer(), signal, form)? {
            reader.take(taken);
            return Ok(Some(header));
        }
        let pause = Instant::now() + shared.plain.header_pause;
        // After a pause that ended nothing only more bytes, or the deadline, change anything.
        let wait_until = if form == HeaderForm::Any && signal == Signal::Data { pause.min(deadline) } else { deadline };
        signal = match tokio::time::timeout_at(wait_until, reader.fill_small()).await {
            Ok(Ok(Filled::Some)) => Signal::Data,
            Ok(Ok(Filled::End)) if reader.buffer().is_empty() => return Ok(None),
            Ok(Ok(Filled::End)) => Signal::End,
            Ok(Err(error)) => {
                return Err(Error::new(ErrorKind::Incomplete, "the connection broke inside the header").because(error));
            }
            Err(_elapsed) if wait_until < deadline => Signal::Pause,
            Err(_elapsed) => {
                let message = format!("the header did not end within {:?}", shared.limits.header_timeout);
                return Err(Error::new(ErrorKind::Timeout, message));
            }
        };
    }
}

/// Exactly so many bytes, or all until the end.
#[derive(Debug)]
struct PlainBody<'a> {
    reader: &'a mut Reader,
    size: Option<u64>,
    read: u64,
}

impl Body for PlainBody<'_> {
    async fn next(&mut self) -> Result<Piece> {
        let left = self.size.map_or(u64::MAX, |size| size - self.read);
        if left == 0 {
            return self.check_surplus().await.map(|()| Piece::End(None));
        }
        match self.reader.next_chunk(left).await {
            Ok(Some(chunk)) => {
                self.read += chunk.len() as u64;
                Ok(Piece::Bytes(chunk))
            }
            // Where a size was announced, the pump holds it against what came.
            Ok(None) => Ok(Piece::End(None)),
            Err(error) => {
                let message = format!("the connection broke after {} bytes", self.read);
                Err(Error::new(ErrorKind::Incomplete, message).because(error))
            }
        }
    }
}

impl PlainBody<'_> {
    /// Fails where more comes than was announced.
    async fn check_surplus(&mut self) -> Result<()> {
        let surplus = match tokio::time::timeout(SURPLUS_PAUSE, self.reader.next_chunk(1)).await {
            Ok(Ok(surplus)) => surplus.is_some(),
            Ok(Err(error)) => {
                let message = format!("the connection broke after {} bytes", self.read);
                return Err(Error::new(ErrorKind::Incomplete, message).because(error));
            }
            Err(_elapsed) => false,
        };
        if surplus {
            return Err(Error::new(ErrorKind::SizeMismatch, format!("more than the announced {} bytes came", self.read)));
        }
        Ok(())
    }
}
