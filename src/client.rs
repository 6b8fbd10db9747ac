//! A client of the framed protocol: one connection that sends files one after another and brings back what became of them.
//!
//! [`Client`] is one connection and one try; [`Sender`] tries again what may be tried again, and goes on where the server has
//! kept what came before. The bytes are hashed while they are sent, so that a file is read once, and an answer that comes before
//! the end of a file stops the sending. This module does not know folders, terminals or command lines.

mod answered;
mod connection;
mod look;
mod options;
mod outcome;
mod path;
mod sender;
mod source;
mod trail;

use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use self::connection::Connection;
use self::look::Change;
pub use self::look::Look;
pub use self::options::Options;
pub use self::outcome::Outcome;
use self::outcome::{outcome, owned_by, unreadable};
pub use self::sender::{Delivery, Retry, Sender, Step};
pub use self::source::{Body, OpenFile, Source};
pub use self::trail::Trail;
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{ContentType, Key, Meta, Tally, UploadId};
use crate::wire::framed::{self, Chunk, Event, Put, Request};

/// The most bytes of a chunk.
const CHUNK_BYTES: usize = 256 * 1024;

/// How often the server hears something within its patience while this side only hashes.
const SIGNS_OF_LIFE: u32 = 4;

/// Bytes of a file after which it is looked at for changes, so that little is sent of a file that changes.
const LOOK_EVERY_BYTES: u64 = 16 << 20;

/// What the server has to know of a file before its first byte.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Who this upload is: the same in every try, so that the server recognises it.
    pub id: UploadId,
    /// Where the bytes shall lie.
    pub key: Key,
    /// The media type, for stores that keep one.
    pub content_type: Option<ContentType>,
    /// What shall be kept beside the bytes.
    pub meta: Meta,
}

impl Upload {
    /// An upload with a new id, and nothing but its bytes.
    pub fn new(key: Key) -> Self {
        Self { id: UploadId::generate(), key, content_type: None, meta: Meta::default() }
    }
}

/// Whether the server may have seen this upload before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It can't have: the body goes out without waiting.
    First,
    /// It may have: the server is asked first how far it came.
    Again,
}

/// A connection to a server, past the greeting.
#[derive(Debug)]
pub struct Client {
    connection: Connection,
    options: Options,
}

/// How the sending of a body ended.
enum Sent {
    /// All of it went out, and the end with its digest.
    Whole(Tally),
    /// The server answered before the end, and the rest was given up.
    Answered(Event),
    /// This side's file could not be read on, and the upload was given up.
    Unreadable(std::io::Error),
    /// This side's file ends before what the server has of it, and the upload was given up.
    Short(Tally),
    /// This side's file has changed since its first byte was read, and the upload was given up.
    Changed(Change),
}

impl Client {
    /// Connects to `address`, as `host:port`, and exchanges greetings.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where nobody listens or the host is not known, [`ErrorKind::Timeout`] where nobody answers,
    /// [`ErrorKind::BadHeader`] where what answers is not a tidegate server, [`ErrorKind::Unsupported`] where it speaks
    /// another version, [`ErrorKind::Config`] where `address` is none; or the error with which the server turned it away.
    pub async fn connect(address: &str, options: &Options) -> Result<Self> {
        let connection = Connection::open(address, options).await?;
        Ok(Self { connection, options: options.clone() })
    }

    /// Whether another file can follow on this connection, as far as this side knows.
    pub fn is_usable(&self) -> bool {
        self.connection.is_usable()
    }

    /// Sends one file, or what the server does not have of it, and waits for what becomes of it. `trail` is what the tries
    /// before have left of the same file. `progress` is told how many bytes of the file are behind, each time that number has grown.
    ///
    /// After an [`Outcome`] the connection is ready for the next file if [`Client::is_usable`] says so; that the server has
    /// closed it meanwhile, only the next call finds out. Cancelling the call leaves the connection in the middle of a file: drop it then.
    ///
    /// # Errors
    /// The connection is of no further use: [`ErrorKind::Io`] or [`ErrorKind::Incomplete`] where it was lost,
    /// [`ErrorKind::Timeout`], [`ErrorKind::BadHeader`] where the server broke the protocol; or the error with which it
    /// closed. Whether the file was committed is then unknown, and [`Attempt::Again`] with the same id settles it.
    pub async fn put(
        &mut self,
        upload: &Upload,
        attempt: Attempt,
        source: &mut Body<'_>,
        trail: &mut Trail,
        mut progress: impl FnMut(u64),
    ) -> Result<Outcome> {
        self.connection.queue(&framed::encode_request(&Request::Put(put_line(upload, attempt))));
        trail.server_had = 0;
        if attempt == Attempt::Again {
            self.connection.flush(self.options.idle_timeout).await?;
            match self.answer(upload, self.options.idle_timeout).await? {
                Event::Ready { offset, id: _ } => {
                    trail.server_had = offset;
                    trail.resumed_at = trail.resumed_at.max(offset);
                    progress(offset);
                }
                Event::Committed { receipt, id: _ } => {
                    trail.server_had = receipt.size;
                    return Ok(answered::compare(upload, receipt, source, trail).await);
                }
                event => return outcome(upload, event, None),
            }
        }
        let offset = trail.server_had;
        Ok(match self.body(source, trail, progress).await? {
            Sent::Whole(tally) => {
                let event = self.answer(upload, self.options.answer_timeout).await?;
                return outcome(upload, event, Some(&tally));
            }
            Sent::Answered(event) => return outcome(upload, owned_by(upload, event)?, None),
            Sent::Unreadable(cause) => {
                self.abort(upload).await;
                unreadable(upload, cause)
            }
            Sent::Short(tally) => {
                self.abort(upload).await;
                let name = upload.key.as_str();
                let message = format!("the server has {offset} bytes of {name:?}, here it has only {}", tally.size());
                Outcome::failed(&Error::new(ErrorKind::SizeMismatch, message))
            }
            Sent::Changed(change) => {
                self.abort(upload).await;
                Outcome::changed(upload, change)
            }
        })
    }

    /// Sends what the server does not have, in chunks, for as long as it does not answer. What lies before is only hashed,
    /// from the last mark on: the digest is that of the whole. The end is sent only where all bytes are of one state of the file.
    async fn body(&mut self, source: &mut Body<'_>, trail: &mut Trail, mut progress: impl FnMut(u64)) -> Result<Sent> {
        let mut buffer = vec![0; CHUNK_BYTES];
        let mut tally = trail.before(trail.server_had);
        if let Err(cause) = source.go_to(tally.size()).await {
            return Ok(Sent::Unreadable(cause));
        }
        let mut spoken = Instant::now();
        let mut looked_at = tally.size();
        loop {
            let to_hash = trail.server_had.saturating_sub(tally.size());
            let room = match usize::try_from(to_hash) {
                Ok(some @ 1..CHUNK_BYTES) => some,
                Ok(_) | Err(_) => CHUNK_BYTES,
            };
            let read = tokio::select! {
                biased;
                event = self.connection.answers.next() => return Ok(self.give_up(event?).await),
                read = source.read(&mut buffer[..room]) => read,
            };
            let chunk = match read {
                Ok(read) => &buffer[..read],
                Err(cause) => return Ok(Sent::Unreadable(cause)),
            };
            if chunk.is_empty() || tally.size() - looked_at >= LOOK_EVERY_BYTES {
                looked_at = tally.size();
                if let Some(stopped) = look(source).await {
                    return Ok(stopped);
                }
            }
            if chunk.is_empty() {
                return if to_hash > 0 { Ok(Sent::Short(tally)) } else { self.end(tally).await };
            }
            tally.add(chunk);
            trail.mark(&tally);
            let answered = if to_hash > 0 {
                self.show_life(&mut spoken).await?
            } else {
                trail.sent_bytes += chunk.len() as u64;
                self.connection.queue(&framed::encode_chunk(Chunk::Bytes(chunk.len() as u64)));
                let event = self.connection.write_listening(chunk, &self.options).await?;
                progress(tally.size());
                event
            };
            if let Some(event) = answered {
                return Ok(self.give_up(event).await);
            }
        }
    }

    /// Ends a body that has all gone out.
    async fn end(&mut self, tally: Tally) -> Result<Sent> {
        self.connection.queue(&framed::encode_chunk(Chunk::End(Some(tally.digest()))));
        Ok(match self.connection.write_listening(&[], &self.options).await? {
            Some(event) => Sent::Answered(event),
            None => Sent::Whole(tally),
        })
    }

    /// Sends an empty chunk now and then, for a server that waits while a long beginning is hashed; its answer, if one came.
    async fn show_life(&mut self, spoken: &mut Instant) -> Result<Option<Event>> {
        if spoken.elapsed() < self.connection.idle_timeout / SIGNS_OF_LIFE {
            return Ok(None);
        }
        *spoken = Instant::now();
        self.connection.queue(&framed::encode_chunk(Chunk::Bytes(0)));
        self.connection.write_listening(&[], &self.options).await
    }

    /// Gives the upload up, and takes the answer that an abort has too, behind which the connection is free again. What became of
    /// the file is known without it. A connection on which this fails is of no further use.
    async fn abort(&mut self, upload: &Upload) {
        self.connection.queue(&framed::encode_chunk(Chunk::Abort));
        let aborted = timeout(self.options.abort_timeout, async {
            self.connection.flush(self.options.idle_timeout).await?;
            self.answer(upload, self.options.answer_timeout).await
        });
        if !matches!(aborted.await, Ok(Ok(Event::Rejected { .. } | Event::Failed { .. }))) {
            tracing::debug!("giving an upload up was not answered");
            self.connection.abandon();
        }
    }

    /// Ends a body that the server has answered early. An answer that has come counts, even where the connection is lost
    /// behind it; the next call will find that out.
    async fn give_up(&mut self, event: Event) -> Sent {
        self.connection.queue(&framed::encode_chunk(Chunk::Abort));
        let flush = self.connection.flush(self.options.idle_timeout);
        if !matches!(timeout(self.options.abort_timeout, flush).await, Ok(Ok(()))) {
            tracing::debug!("the server closed the connection behind an early answer");
            self.connection.abandon();
        }
        Sent::Answered(event)
    }

    async fn answer(&mut self, upload: &Upload, patience: Duration) -> Result<Event> {
        let event = timeout(patience, self.connection.answers.next()).await.map_err(|_| {
            let message = format!("the server has not answered within {}", humantime::format_duration(patience));
            Error::new(ErrorKind::Timeout, message)
        })??;
        owned_by(upload, event)
    }
}

/// Why a file is not sent on, where what was read of it is not, or not known to be, of one state.
async fn look(source: &mut Body<'_>) -> Option<Sent> {
    match source.change().await {
        Ok(None) => None,
        Ok(Some(change)) => Some(Sent::Changed(change)),
        Err(cause) => Some(Sent::Unreadable(cause)),
    }
}

fn put_line(upload: &Upload, attempt: Attempt) -> Put {
    Put {
        id: Some(upload.id.to_string()),
        name: upload.key.to_string(),
        content_type: upload.content_type.clone().map(Into::into),
        meta: upload.meta.clone().into(),
        resume: attempt == Attempt::Again,
        ..Put::default()
    }
}
