//! The plain protocol over a connection: files, one line for an answer to each.
//!
//! A file of known size may be followed by another one; a file without a size lasts until the end of the stream.

mod contest;

use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use super::slots::Phase;
use super::stream::{Filled, Reader, Stream};
use crate::config::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Body, Piece, too_slow};
use crate::upload::{Receipt, UploadId, UploadSpec};
use crate::wire::plain::{self, Conversation, Decoded, Follows, Header, HeaderForm, LineState, Options, Reading, Rivals};

/// How long a sender must be silent to be taken for one that waits for its answer, where its header has more than one reading.
/// Longer than the pauses that senders make between two calls of `send`.
const QUIET: Duration = Duration::from_secs(5);

/// [`QUIET`], or less, so that the silence is noticed before it is too long.
fn quiet(limits: &Limits) -> Duration {
    QUIET.min(limits.idle_timeout / 2)
}

/// Bytes that are read before several readings of a header are written to the store side by side. Most files are shorter, and
/// are decided by their end.
const MAX_UNDECIDED_BYTES: usize = 64 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve(mut stream: Stream, shared: &Shared) {
    let mut headers = HeaderReader::new(&stream, None);
    loop {
        let header = match headers.read_header(stream.reader(), shared).await {
            Ok(Some(header)) => header,
            Ok(None) => return stream.end(shared.limits.idle_timeout).await,
            Err(error) => {
                headers.refuse(&error, shared);
                return stream.refuse(plain::encode_error(&error).as_bytes(), shared).await;
            }
        };
        let received = match header {
            Next::Header(reading) => receive(reading, stream.reader(), shared).await,
            Next::Undecided(rivals) => contest::receive(rivals, stream.reader(), shared).await,
            Next::OtherProtocol(name) => Err(other_protocol(name, shared)),
        };
        let (receipt, reading) = match received {
            Ok(received) => received,
            Err(error) => return stream.refuse(plain::encode_error(&error).as_bytes(), shared).await,
        };
        let answer = plain::encode_receipt(&receipt);
        if reading.header.size.is_none() {
            return stream.answer(answer.as_bytes(), shared.limits.idle_timeout).await;
        }
        if !stream.answer_and_go_on(answer.as_bytes(), shared.limits.idle_timeout).await && !stream.reader().has_bytes() {
            return;
        }
        headers = HeaderReader::new(&stream, Some(reading));
    }
}

/// What `[plain]` of the configuration asks of headers.
fn options(shared: &Shared) -> Options {
    let crate::config::Plain { header, sizes, require_size, .. } = shared.plain;
    Options { form: header, sizes, require_size }
}

/// What a connection says next.
enum Next {
    Header(Reading),
    /// The number of bytes decides between these.
    Undecided(Rivals),
    /// The first words of this protocol.
    OtherProtocol(&'static str),
}

/// Where a header is looked for.
#[derive(Debug)]
struct HeaderReader {
    /// Bytes of the first packet, behind the end of the file before.
    first_packet: usize,
    /// Bytes that came before the last packet.
    before_last_packet: usize,
    /// The header of the file before.
    previous: Option<Reading>,
}

impl HeaderReader {
    /// At what has come so far behind the file with the header `previous`.
    fn new(stream: &Stream, previous: Option<Reading>) -> Self {
        Self { first_packet: stream.buffer().len(), before_last_packet: 0, previous }
    }

    /// Reads to the end of the header; `None` where the sender has no more files.
    async fn read_header(&mut self, reader: &mut Reader, shared: &Shared) -> Result<Option<Next>> {
        if reader.buffer().is_empty() && !self.await_next(reader, shared).await {
            return Ok(None);
        }
        let (begun, limits, mut line) = (Instant::now(), &shared.limits, LineState::Open);
        loop {
            let Self { first_packet, before_last_packet, ref previous } = *self;
            let (bytes, previous) = (reader.buffer(), previous.as_ref());
            let conversation = Conversation { bytes, first_packet, before_last_packet, line, previous };
            let decoded = plain::decode(&conversation, options(shared));
            let in_full = |error| if reader.is_broken() { broken(reader, reader.buffer().len() as u64) } else { error };
            let (wait_until, after_wait) = match decoded.map_err(in_full)? {
                Decoded::Header(reading) => {
                    reader.take(reading.bytes);
                    return Ok(Some(Next::Header(reading)));
                }
                Decoded::Undecided(rivals) if reader.buffer().len() >= MAX_UNDECIDED_BYTES => {
                    return Ok(Some(Next::Undecided(rivals)));
                }
                Decoded::OtherProtocol(name) => return Ok(Some(Next::OtherProtocol(name))),
                Decoded::Undecided(_) if line == LineState::Open => (Instant::now() + quiet(limits), Some(LineState::Quiet)),
                Decoded::Undecided(_) => (Instant::now() + limits.idle_timeout, None),
                Decoded::Incomplete => (begun + limits.header_timeout, None),
            };
            let deadline = wait_until.min(begun + limits.upload_timeout);
            let came = reader.buffer().len();
            let filled = tokio::select! {
                biased;
                filled = tokio::time::timeout_at(deadline, reader.fill_small()) => filled,
                () = shared.pace.gives_way().cancelled() => {
                    return Err(too_slow(&format!("the header was slow ({came} bytes came)")));
                }
            };
            line = match (filled, after_wait) {
                (Ok(Ok(Filled::Some)), _) => {
                    self.before_last_packet = came;
                    LineState::Open
                }
                // Bytes that came before a reset are a file only where their number proves it.
                (Ok(Ok(Filled::End) | Err(_)), _) => LineState::Ended,
                (Err(_elapsed), Some(line)) => line,
                (Err(_elapsed), None) => return Err(header_timeout(begun.elapsed())),
            };
        }
    }

    /// Waits for the first bytes behind a file of known size; whether any come.
    async fn await_next(&mut self, reader: &mut Reader, shared: &Shared) -> bool {
        shared.pace.enter(Phase::Idle);
        let filled = tokio::select! {
            biased;
            filled = tokio::time::timeout(shared.plain.linger, reader.fill_small()) => filled,
            () = shared.drain.cancelled() => return false,
            () = shared.pace.gives_way().cancelled() => return false,
        };
        shared.pace.enter(Phase::Sending);
        self.first_packet = reader.buffer().len();
        matches!(filled, Ok(Ok(Filled::Some)))
    }

    /// Counts and logs a header that is none.
    fn refuse(&self, error: &Error, shared: &Shared) {
        if self.previous.is_some() {
            shared.metrics.connection_refused("surplus");
        }
        shared.ingest.refuse("", error);
    }
}

/// The refusal of what came over a connection that broke: bytes are lost.
fn broken(reader: &Reader, came: u64) -> Error {
    reader.broke(format!(
        "the connection broke after {came} bytes, and nothing proves that they are a file: \
         read every answer, or end the sending side, before closing"
    ))
}

fn header_timeout(waited: Duration) -> Error {
    let message = format!(
        "the header was not complete, or its size not proved, within {waited:.1?}: send `name size`, a newline, then the bytes"
    );
    Error::new(ErrorKind::Timeout, message)
}

/// Counts a client of another protocol, which has no file to lose, and tells it.
fn other_protocol(name: &str, shared: &Shared) -> Error {
    shared.metrics.connection_refused("other_protocol");
    tracing::info!(protocol = name, "connection of another protocol refused");
    Error::new(
        ErrorKind::BadHeader,
        format!("these are the first words of {name}: send `name size`, a newline, then the bytes"),
    )
}

/// The spec of a plain upload.
fn spec(header: &Header, shared: &Shared) -> Result<UploadSpec> {
    let key = header.name.parse()?;
    Ok(UploadSpec { size: header.size, on_conflict: shared.plain.on_conflict, ..UploadSpec::new(UploadId::generate(), key) })
}

/// The receipt of a file, and its header.
type Received = (Receipt, Reading);

async fn receive(reading: Reading, reader: &mut Reader, shared: &Shared) -> Result<Received> {
    let header = &reading.header;
    let spec = spec(header, shared).inspect_err(|error| shared.ingest.refuse(&header.name, error))?;
    let (form, idle_timeout) = (shared.plain.header, shared.limits.idle_timeout);
    let mut body = PlainBody { reader, reading: &reading, read: 0, form, idle_timeout };
    let receipt = shared.ingest.receive(spec, &mut body).await?.commit(shared.pace.commit()).await?;
    Ok((receipt, reading))
}

/// Exactly so many bytes, or all until the end.
#[derive(Debug)]
struct PlainBody<'a> {
    reader: &'a mut Reader,
    reading: &'a Reading,
    read: u64,
    form: HeaderForm,
    idle_timeout: Duration,
}

impl Body for PlainBody<'_> {
    async fn next(&mut self) -> Result<Piece> {
        let left = self.reading.header.size.map_or(u64::MAX, |size| size - self.read);
        if left == 0 {
            return self.check_surplus().await.map(|()| Piece::End(None));
        }
        match self.reader.next_chunk(left).await {
            Ok(Some(chunk)) => {
                self.read += chunk.len() as u64;
                Ok(Piece::Bytes(chunk))
            }
            Ok(None) => self.check_end().map(|()| Piece::End(None)),
            Err(_broken) => Err(self.reader.broke(format!("the connection broke after {} bytes", self.read))),
        }
    }
}

impl PlainBody<'_> {
    /// Fails where the stream ended before the announced size, of which the pump would not know
    /// what it may have been instead, and behind a single word, which may be one of another
    /// protocol.
    fn check_end(&self) -> Result<()> {
        match self.reading.header.size {
            Some(size) if !self.reading.is_line => Err(self.wrong_size(&format!("{} of {size} bytes came", self.read))),
            None if self.read == 0 && !self.is_shown_by_name() => {
                let message =
                    format!("nothing came behind {:?}: end the header of an empty file with ` 0`", self.reading.header.name);
                Err(Error::new(ErrorKind::Incomplete, message))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the name alone shows that this is a file.
    fn is_shown_by_name(&self) -> bool {
        self.form == HeaderForm::Line || plain::has_known_extension(self.reading.header.name.as_bytes())
    }

    /// Fails where more has come than was announced, and is no header of a further file. Waits for nothing where nothing more
    /// has come.
    async fn check_surplus(&mut self) -> Result<()> {
        match follows(self.reader, self.reading, self.idle_timeout).await {
            Follows::Header | Follows::Unknown => Ok(()),
            Follows::Surplus => Err(self.wrong_size(&format!("more than the announced {} bytes came", self.read))),
        }
    }

    fn wrong_size(&self, what: &str) -> Error {
        let remedy = if self.reading.is_line {
            "announce as many bytes as follow"
        } else {
            "send `name size`, a newline, then that many bytes; or set plain.sizes = \"never\" where no sender announces a size"
        };
        Error::new(ErrorKind::SizeMismatch, format!("{what} behind {:?}: {remedy}", self.reading.header.name))
    }
}

/// What has come behind a file of known size: the header of another one, [`Follows::Unknown`] where nothing has, or surplus.
async fn follows(reader: &mut Reader, previous: &Reading, idle_timeout: Duration) -> Follows {
    let mut has_ended = false;
    loop {
        if reader.buffer().is_empty() && (has_ended || !reader.has_more()) {
            return Follows::Unknown;
        }
        match plain::follows(reader.buffer(), previous, has_ended) {
            Follows::Unknown if has_ended => return Follows::Surplus,
            Follows::Unknown => {}
            told => return told,
        }
        let filled = tokio::time::timeout(idle_timeout, reader.fill_small()).await;
        has_ended = !matches!(filled, Ok(Ok(Filled::Some)));
    }
}
