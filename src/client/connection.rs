//! One TCP connection: lines and bytes out, answers in, both at once. Knows the greeting, but no uploads.

use std::io;
use std::io::IoSlice;
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

use super::Options;
use crate::error::{Error, ErrorKind, Result};
use crate::wire::framed::{self, Event, Hello, Request};

/// How long an answer is looked for on a connection that takes no more bytes.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes that the system may hold which have not gone out: enough to keep a line busy, for what is on its way does not count.
const UNSENT_BYTES: u32 = 128 * 1024;

/// How many bytes of a stranger's greeting are shown.
const SHOWN_BYTES: usize = 60;

/// A connection past the greeting.
#[derive(Debug)]
pub(super) struct Connection {
    writer: Writer,
    /// What the server says.
    pub(super) answers: Answers,
    /// How long the server waits for the next byte of a body, as its greeting says.
    pub(super) idle_timeout: Duration,
}

impl Connection {
    /// Connects and exchanges greetings; [`Client::connect`](super::Client::connect) lists the errors.
    pub(super) async fn open(address: &str, options: &Options) -> Result<Self> {
        let waited = options.connect_timeout;
        let mut connected = false;
        let opening = async {
            let mut connection = Self::dial(address).await?;
            connected = true;
            let hello = Hello { version: framed::VERSION, collector: options.collector.clone() };
            connection.queue(&framed::encode_request(&Request::Hello(hello)));
            connection.greet(waited).await.map_err(|error| connection.stranger(address, error))?;
            Ok(connection)
        };
        // One deadline for both: a caller waits no longer because the first part of it went well.
        timeout(waited, opening).await.unwrap_or_else(|_| {
            let waited = humantime::format_duration(waited);
            Err(Error::new(
                ErrorKind::Timeout,
                if connected {
                    format!("greeting {address}: it takes the connection but sends no whole hello within {waited}")
                } else {
                    format!("connecting to {address}: no answer within {waited}")
                },
            ))
        })
    }

    async fn dial(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await.map_err(|cause| {
            let kind = match cause.kind() {
                io::ErrorKind::InvalidInput => ErrorKind::Config,
                _ => ErrorKind::Io,
            };
            Error::new(kind, format!("connecting to {address}")).because(cause)
        })?;
        // Answers decide what is sent next, so small lines must not wait for each other (Nagle, RFC 896).
        stream.set_nodelay(true).map_err(lost)?;
        // What waits in this side's kernel when a line is cut would have to be sent again, and may be megabytes.
        SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES).map_err(lost)?;
        let (answers, writer) = stream.into_split();
        let writer = Writer { half: writer, queued: Vec::new(), torn: false };
        let answers = Answers { half: answers, buffer: BytesMut::new(), searched: 0 };
        Ok(Self { writer, answers, idle_timeout: Duration::MAX })
    }

    async fn greet(&mut self, idle_timeout: Duration) -> Result<()> {
        // A stranger may close at once, and what it said first is still worth reading.
        let flushed = self.flush(idle_timeout).await;
        self.answers.fill_first().await.and_then(|first| match (first, flushed) {
            (b'{', _) => Ok(()),
            (_, _) => Err(Error::new(ErrorKind::BadHeader, "it does not speak the framed protocol")),
        })?;
        match self.answers.next().await? {
            Event::Hello { version: framed::VERSION, limits } => {
                self.idle_timeout = Duration::from_millis(limits.idle_timeout_ms);
                Ok(())
            }
            Event::Hello { version, .. } => {
                let message = format!("it speaks version {version} of the protocol, this client speaks {}", framed::VERSION);
                Err(Error::new(ErrorKind::Unsupported, message))
            }
            Event::Error { code, message } => Err(closed(&code, &message)),
            Event::Ready { .. } | Event::Committed { .. } | Event::Rejected { .. } | Event::Failed { .. } => {
                Err(Error::new(ErrorKind::BadHeader, "it answers an upload before there is one"))
            }
        }
    }

    /// Names the address in what went wrong with the greeting, and shows what came instead of one.
    fn stranger(&self, address: &str, error: Error) -> Error {
        let said = &self.answers.buffer[..self.answers.buffer.len().min(SHOWN_BYTES)];
        match error.kind() {
            ErrorKind::BadHeader if !said.is_empty() => {
                let message = format!("{address} is not a tidegate server: it says \"{}\"", said.escape_ascii());
                Error::new(ErrorKind::BadHeader, message)
            }
            kind => Error::new(kind, format!("greeting {address}")).because(error),
        }
    }

    /// Whether another upload can follow, as far as this side knows.
    pub(super) fn is_usable(&self) -> bool {
        !self.writer.torn
    }

    /// Lets nothing follow.
    pub(super) fn abandon(&mut self) {
        self.writer.torn = true;
    }

    /// Puts a control line before what is written next.
    pub(super) fn queue(&mut self, line: &str) {
        self.writer.queued.extend_from_slice(line.as_bytes());
    }

    /// Writes what is queued.
    pub(super) async fn flush(&mut self, idle_timeout: Duration) -> Result<()> {
        self.writer.write(&[], idle_timeout).await.map_err(lost)
    }

    /// Writes what is queued and then `bytes`, and listens meanwhile: the server's answer, if one came first.
    ///
    /// The bytes are written to their end even then, because they were announced, if that does not take longer than giving the
    /// upload up may; otherwise nothing can follow. Where the server takes no more of them, what it said before it closed comes
    /// first, and the loss of the connection only if it said nothing.
    pub(super) async fn write_listening(&mut self, bytes: &[u8], options: &Options) -> Result<Option<Event>> {
        let Self { writer, answers, .. } = self;
        let mut writing = std::pin::pin!(writer.write(bytes, options.idle_timeout));
        let cause = tokio::select! {
            biased;
            written = &mut writing => match written {
                Ok(()) => return Ok(None),
                Err(cause) => cause,
            },
            event = answers.next() => {
                let event = event?;
                if !matches!(timeout(options.abort_timeout, writing).await, Ok(Ok(()))) {
                    tracing::debug!("the server stopped reading behind an early answer");
                }
                return Ok(Some(event));
            }
        };
        match timeout(LAST_WORDS, answers.next()).await {
            Ok(Ok(event)) => Ok(Some(event)),
            Ok(Err(_)) | Err(_) => Err(lost(cause)),
        }
    }
}

/// The error with which a server turns a connection away. A code that this client does not know may pass.
pub(super) fn closed(code: &str, message: &str) -> Error {
    let kind = ErrorKind::of_code(code).unwrap_or(ErrorKind::Io);
    Error::new(kind, format!("the server closed the connection: {code}: {message}"))
}

fn lost(cause: io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::TimedOut => Error::new(ErrorKind::Timeout, "sending").because(cause),
        _ => Error::new(ErrorKind::Io, "the connection was lost").because(cause),
    }
}

#[derive(Debug)]
struct Writer {
    half: OwnedWriteHalf,
    queued: Vec<u8>,
    /// Whether a write ended in its middle, by failure or by cancellation: nothing can follow it.
    torn: bool,
}

impl Writer {
    /// Writes the queued lines and `bytes`, in as few packets as they fit in. Each write that the server takes starts the
    /// timeout again.
    async fn write(&mut self, bytes: &[u8], idle_timeout: Duration) -> io::Result<()> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let queued = std::mem::take(&mut self.queued);
        let mut slices = &mut [IoSlice::new(&queued), IoSlice::new(bytes)][..];
        // Empty slices at the front would look like a write of nothing.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match timeout(idle_timeout, self.half.write_vectored(slices)).await {
                Ok(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(Ok(written)) => IoSlice::advance_slices(&mut slices, written),
                Ok(Err(cause)) => return Err(cause),
                Err(_) => {
                    let waited = humantime::format_duration(idle_timeout);
                    let message = format!("the server has taken no byte for {waited}");
                    return Err(io::Error::new(io::ErrorKind::TimedOut, message));
                }
            }
        }
        self.torn = false;
        Ok(())
    }
}

/// The server's side of the conversation.
#[derive(Debug)]
pub(super) struct Answers {
    half: OwnedReadHalf,
    buffer: BytesMut,
    /// Bytes at the front of the buffer that are known to hold no newline.
    searched: usize,
}

impl Answers {
    /// The next answer. Cancelling loses nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Incomplete`] where the server has closed, [`ErrorKind::Io`] where the connection broke,
    /// [`ErrorKind::BadHeader`] where the line is no answer or too long.
    pub(super) async fn next(&mut self) -> Result<Event> {
        loop {
            if let Some(found) = memchr::memchr(b'\n', &self.buffer[self.searched..]) {
                let end = self.searched + found;
                let event = framed::decode_event(&self.buffer[..end])?;
                _ = self.buffer.split_to(end + 1);
                self.searched = 0;
                return Ok(event);
            }
            self.searched = self.buffer.len();
            if self.searched >= framed::MAX_LINE_BYTES {
                let message = format!("the server's answer has no end within {} bytes", framed::MAX_LINE_BYTES);
                return Err(Error::new(ErrorKind::BadHeader, message));
            }
            self.fill().await?;
        }
    }

    /// The first byte of what the server says.
    async fn fill_first(&mut self) -> Result<u8> {
        while self.buffer.is_empty() {
            self.fill().await?;
        }
        Ok(self.buffer[0])
    }

    async fn fill(&mut self) -> Result<()> {
        match self.half.read_buf(&mut self.buffer).await.map_err(lost)? {
            0 => Err(Error::new(ErrorKind::Incomplete, "the server closed the connection")),
            _ => Ok(()),
        }
    }
}
