//! A file whose header has several readings that only the number of its bytes can tell apart.
//!
//! The readings differ in some bytes at the front. Each is written to the store as an upload of its own; the one whose size is
//! that of the content is committed, and the others are given up and leave no trace.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::{Received, broken, follows, quiet, spec};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Body, Landed, Piece, too_slow};
use crate::server::stream::{Filled, Reader};
use crate::server::{Shared, rival_files};
use crate::upload::{UploadId, UploadSpec};
use crate::wire::plain::{Follows, HeaderSearch, Reading, Rivals};

/// Receives and commits the reading that the content proves.
///
/// # Errors
/// Whatever the proved reading is refused for; [`ErrorKind::SizeMismatch`] where no reading is proved.
pub(super) async fn receive(rivals: Rivals, reader: &mut Reader, shared: &Shared) -> Result<Received> {
    let name = rivals.readings.first().map(|reading| reading.header.name.clone()).unwrap_or_default();
    let landed = async {
        let _room = room(rivals.readings.len(), shared).await?;
        begin(rivals, shared)?.run(reader, shared).await
    };
    let landed = landed.await;
    let (landed, reading) = landed.inspect_err(|error| shared.ingest.refuse(&name, error))?;
    Ok((landed.commit(shared.pace.commit()).await?, reading))
}

/// Room for the files of so many readings, beside the one that every connection may have.
async fn room(readings: usize, shared: &Shared) -> Result<OwnedSemaphorePermit> {
    let busy = || Error::new(ErrorKind::Busy, format!("too many files whose headers {DIGITS}"));
    let files = u32::try_from(readings.saturating_sub(1)).unwrap_or(u32::MAX);
    if files as usize > rival_files(shared.limits.max_connections) {
        return Err(busy());
    }
    let room = Arc::clone(&shared.rival_files).acquire_many_owned(files);
    let room = tokio::time::timeout(shared.limits.idle_timeout, room).await.map_err(|_elapsed| busy())?;
    Ok(room.expect("this semaphore is never closed"))
}

fn begin(Rivals { readings, silence_proves }: Rivals, shared: &Shared) -> Result<Contest> {
    let id = UploadId::generate();
    let name = readings.first().map(|reading| reading.header.name.clone()).unwrap_or_default();
    let contenders = readings.into_iter().map(|reading| Contender::begin(reading, &id, shared)).collect::<Result<_>>()?;
    Ok(Contest { contenders, silence_proves, headers: HeaderSearch::new(&name), position: 0 })
}

/// The uploads that are under way.
struct Contest {
    contenders: Vec<Contender>,
    /// See [`Rivals::silence_proves`].
    silence_proves: bool,
    /// What looks like a header in the content so far.
    headers: HeaderSearch,
    /// Bytes of the conversation, headers included, that every contender was given.
    position: u64,
}

/// One reading, and the upload that it makes of the conversation.
struct Contender {
    reading: Reading,
    pieces: mpsc::Sender<Piece>,
    upload: JoinHandle<Result<Landed>>,
}

/// An upload whose bytes have all come, and its header.
type Finished = (Landed, Reading);

/// The bytes of a contender.
struct Relay(mpsc::Receiver<Piece>);

impl Body for Relay {
    async fn next(&mut self) -> Result<Piece> {
        let given_up = || Error::new(ErrorKind::Aborted, "another reading of the header was proved");
        self.0.recv().await.ok_or_else(given_up)
    }
}

impl Contender {
    fn begin(reading: Reading, contest: &UploadId, shared: &Shared) -> Result<Self> {
        let spec = UploadSpec { contest: Some(contest.clone()), ..spec(&reading.header, shared)? };
        let (pieces, relay) = mpsc::channel(1);
        let ingest = shared.ingest.reporting_commits_only();
        let receive = async move { ingest.receive(spec, &mut Relay(relay)).await };
        Ok(Self { reading, pieces, upload: shared.tasks.spawn(receive.in_current_span()) })
    }

    /// Passes on what is content of a chunk that begins at `position`. A refusal is looked at when the contest is over.
    async fn pass_on(&self, chunk: &Bytes, position: u64) {
        let header_left = (self.reading.bytes as u64).saturating_sub(position);
        let header_left = usize::try_from(header_left).unwrap_or(usize::MAX).min(chunk.len());
        let content = chunk.slice(header_left..);
        if !content.is_empty() {
            let _refused_already = self.pieces.send(Piece::Bytes(content)).await;
        }
    }

    /// The upload, whose content has all come.
    async fn finish(self) -> Result<Finished> {
        let _refused_already = self.pieces.send(Piece::End(None)).await;
        let ended_early = |panic| Error::new(ErrorKind::Store, "receiving the file ended early").because(panic);
        Ok((self.upload.await.map_err(ended_early)??, self.reading))
    }
}

impl Contest {
    async fn run(mut self, reader: &mut Reader, shared: &Shared) -> Result<Finished> {
        while !self.contenders.is_empty() {
            let end = self.contenders.iter().filter_map(|contender| contender.reading.end()).min();
            while end != Some(self.position) {
                if !self.fill(reader, shared).await? {
                    return self.end_of_stream(reader).await;
                }
                let most = end.map_or(u64::MAX, |end| end - self.position);
                let most = usize::try_from(most).unwrap_or(usize::MAX).min(reader.buffer().len());
                let chunk = reader.take(most);
                for contender in &self.contenders {
                    contender.pass_on(&chunk, self.position).await;
                }
                self.look_through(&chunk);
                self.position += chunk.len() as u64;
            }
            let mut ended: Vec<Contender> =
                self.contenders.extract_if(.., |contender| contender.reading.end() == end).collect();
            if let Some(contender) = ended.pop()
                && self.is_proved(&contender.reading, reader, shared).await?
            {
                // Two readings of the same bytes end here, and the number of bytes proves neither.
                return if ended.is_empty() { contender.finish().await } else { Err(in_doubt()) };
            }
        }
        Err(Error::new(ErrorKind::SizeMismatch, format!("the content is longer than any size that {DIGITS}")))
    }

    fn look_through(&mut self, chunk: &Bytes) {
        let header = self.contenders.iter().map(|contender| contender.reading.bytes).min().unwrap_or_default();
        let header_left = (header as u64).saturating_sub(self.position);
        let header_left = usize::try_from(header_left).unwrap_or(usize::MAX).min(chunk.len());
        self.headers.look_through(&chunk[header_left..]);
    }

    /// Waits until the buffer holds bytes; `false` at the end of the stream.
    async fn fill(&mut self, reader: &mut Reader, shared: &Shared) -> Result<bool> {
        if !reader.buffer().is_empty() {
            return Ok(true);
        }
        let idle_timeout = shared.limits.idle_timeout;
        let refused = futures::future::join_all(self.contenders.iter().map(|contender| contender.pieces.closed()));
        let filled = tokio::select! {
            filled = tokio::time::timeout(idle_timeout, reader.fill_large()) => filled,
            // Each was refused, and the first refusal answers for all.
            _ = refused => return self.contenders.remove(0).finish().await.map(|_| false),
            () = shared.pace.gives_way().cancelled() => {
                return Err(too_slow(&format!("the upload was slow ({} bytes came)", self.position)));
            }
        };
        match filled {
            Ok(filled) => Ok(matches!(filled, Ok(Filled::Some))),
            Err(_elapsed) => Err(self.silent(idle_timeout)),
        }
    }

    fn silent(&self, idle_timeout: Duration) -> Error {
        let message = format!("nothing came for {idle_timeout:?} after {} bytes", self.position);
        Error::new(ErrorKind::Timeout, message)
    }

    /// Whether the content of `reading`, all of which has come, is followed by the end of the
    /// stream, by a silence that proves it, or by the header of another file: one in a packet of
    /// its own, or the first text that looks like one.
    async fn is_proved(&self, reading: &Reading, reader: &mut Reader, shared: &Shared) -> Result<bool> {
        let rivals = || self.contenders.iter().map(|contender| &contender.reading);
        let is_contradicted = reading.is_contradicted_by(rivals());
        // The first line of a content looks like a header easily, and the header of a further file
        // may be in the content of a line.
        let is_line_of_words = reading.is_line && reading.has_words();
        let may_follow = !is_line_of_words && !rivals().any(|rival| rival.is_line && rival.has_words());
        let idle_timeout = shared.limits.idle_timeout;
        if !reader.buffer().is_empty() {
            let is_proof = may_follow && !is_contradicted && self.headers.is_proof_behind();
            return Ok(is_proof && follows(reader, reading, idle_timeout).await == Follows::Header);
        }
        let filled = match tokio::time::timeout(quiet(&shared.limits), reader.fill_small()).await {
            Ok(filled) => filled,
            Err(_elapsed) if self.silence_proves && !is_contradicted && !is_line_of_words => return Ok(true),
            Err(_elapsed) => {
                let filled = tokio::time::timeout(idle_timeout, reader.fill_small()).await;
                filled.map_err(|_elapsed| self.silent(idle_timeout))?
            }
        };
        let is_end = match filled {
            Ok(Filled::Some) => may_follow && follows(reader, reading, idle_timeout).await != Follows::Surplus,
            Ok(Filled::End) | Err(_) => true,
        };
        if is_end && is_contradicted {
            return Err(in_doubt());
        }
        Ok(is_end)
    }

    /// The stream ended before the content had any of the sizes: only a reading without a size may be whole.
    async fn end_of_stream(mut self, reader: &Reader) -> Result<Finished> {
        if reader.is_broken() {
            return Err(broken(reader, self.position));
        }
        let unsized_reading = self.contenders.pop().filter(|contender| contender.reading.end().is_none());
        match unsized_reading {
            Some(contender) => contender.finish().await,
            None => Err(Error::new(ErrorKind::SizeMismatch, format!("the content is shorter than the sizes that {DIGITS}"))),
        }
    }
}

fn in_doubt() -> Error {
    Error::new(ErrorKind::SizeMismatch, format!("the number of bytes fits more than one of the headers that {DIGITS}"))
}

/// The end of the sentence that refuses a content of none of the sizes.
const DIGITS: &str = "the digits behind the name may be: send `name size`, a newline, then that many bytes";
