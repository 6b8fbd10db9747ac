//! An upload being written: bytes gather in one buffer until a part is full.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::manifest::Saved;
use super::marks::Attempt;
use super::parts::{Parts, stopped, warn_of_litter};
use super::remote::Remote;
use super::resume::Resumed;
use super::{commit, large, quarantine};
use crate::budget::{Lease, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::sink::claims::Claim;
use crate::sink::place::Content;
use crate::sink::{Quarantined, Staged};
use crate::upload::{Ending, Note, OnInvalid, Receipt, Tally, UploadId, UploadSpec, WhenCut};

/// What the buffer begins with, in bytes.
const FIRST_BUFFER: usize = 16 * 1024;

/// An upload of which at most one part, and those on their way, are in memory.
#[derive(Debug)]
pub(super) struct Writing {
    remote: Arc<Remote>,
    spec: UploadSpec,
    attempt: Attempt,
    tally: Tally,
    note: Note,
    /// Bytes of every part but the last.
    part_bytes: usize,
    /// The part that is filling up: never more than a part's bytes, nor capacity.
    buffer: Vec<u8>,
    /// For the buffer.
    lease: Lease,
    /// What is written down with the full part in the buffer.
    checkpoint: Option<Saved>,
    state: State,
    /// A write failed, or was dropped half-way, so that bytes may be missing.
    broken: bool,
    claim: Claim<UploadId>,
    /// Keeps the sweep of this process off what is held for this try.
    _held: Option<Claim<Attempt>>,
}

/// Bytes with the memory that they take.
struct Part {
    bytes: Vec<u8>,
    _lease: Lease,
}

impl AsRef<[u8]> for Part {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// How much of an upload the store knows.
#[derive(Debug)]
enum State {
    /// Nothing: all the bytes are in the buffer.
    Small,
    /// A multipart upload is being opened, by a task of its own: if `write` is dropped meanwhile, what the store has opened
    /// is still known, and can be given up.
    Opening(JoinHandle<Result<Parts>>),
    /// Every byte before the buffer's is in a part.
    Open(Box<Parts>),
}

impl Writing {
    pub(super) fn new(remote: Arc<Remote>, spec: UploadSpec, claim: Claim<UploadId>) -> Self {
        let attempt = Attempt::new();
        let held = spec.on_invalid == OnInvalid::Quarantine;
        Self {
            part_bytes: remote.part_bytes,
            lease: remote.budget.lease(Use::Parts),
            _held: held.then(|| remote.holding.claim(&attempt)).flatten(),
            remote,
            tally: Tally::of(&spec),
            spec,
            attempt,
            note: Note::default(),
            buffer: Vec::new(),
            checkpoint: None,
            state: State::Small,
            broken: false,
            claim,
        }
    }

    /// Goes on where an upload was cut off.
    pub(super) fn resumed(remote: Arc<Remote>, resumed: Resumed, mut lease: Lease, claim: Claim<UploadId>) -> Self {
        let Resumed { spec, attempt, parts, part_bytes, saved: Saved { tally, note }, tail } = resumed;
        let new = Self::new(remote, spec, claim);
        lease.shrink(tail.capacity());
        Self { attempt, tally, note, part_bytes, buffer: tail, lease, state: State::Open(Box::new(parts)), ..new }
    }

    /// Makes room for `more` bytes, but for no more than a part: doubling, so that a small file,
    /// and a sender that is slow, take little.
    async fn grow(&mut self, more: usize) -> Result<()> {
        let needed = self.buffer.len() + more;
        if needed <= self.buffer.capacity() {
            return Ok(());
        }
        let capacity = needed.max(self.buffer.capacity() * 2).max(FIRST_BUFFER).min(self.part_bytes);
        // Without memory, or where this is dropped while it waits, the next bytes are missing from
        // the buffer.
        let was_broken = std::mem::replace(&mut self.broken, true);
        self.lease.grow(capacity).await?;
        self.broken = was_broken;
        self.buffer.reserve_exact(capacity - self.buffer.len());
        Ok(())
    }

    /// The buffer with its memory, which is given back when the last request that sends it is over.
    fn take_buffer(&mut self) -> Bytes {
        let lease = std::mem::replace(&mut self.lease, self.remote.budget.lease(Use::Parts));
        Bytes::from_owner(Part { bytes: std::mem::take(&mut self.buffer), _lease: lease })
    }

    /// Sends the buffer off as a part, and begins an empty one. An empty buffer is no part, but of an empty file.
    async fn flush(&mut self) -> Result<()> {
        if self.broken {
            let message = format!("{:?} can't go on after a write that failed", self.spec.key.as_str());
            return Err(Error::new(ErrorKind::Store, message));
        }
        // Until it has worked, and also if this is dropped while it waits.
        self.broken = true;
        self.open().await?;
        let is_part = matches!(&self.state, State::Open(parts) if parts.is_empty() || !self.buffer.is_empty());
        let part = is_part.then(|| self.take_buffer());
        if let State::Open(parts) = &mut self.state {
            if let Some(part) = part {
                parts.send(part, self.checkpoint.take()).await?;
            }
            self.broken = false;
        }
        Ok(())
    }

    /// Sees to it that the multipart upload is open.
    async fn open(&mut self) -> Result<()> {
        if matches!(self.state, State::Small) {
            let (remote, spec, attempt) = (Arc::clone(&self.remote), self.spec.clone(), self.attempt.clone());
            self.state = State::Opening(tokio::spawn(async move { Parts::open(remote, &spec, &attempt).await }));
        }
        if let State::Opening(opening) = &mut self.state {
            let opened = opening.await.unwrap_or_else(|error| Err(stopped("opening a multipart upload", error)));
            // A handle can't be waited for twice; where nothing was opened, nothing is to be given up.
            self.state = State::Small;
            self.state = State::Open(Box::new(opened?));
        }
        Ok(())
    }

    async fn finish(mut self, ending: Ending) -> Result<Receipt> {
        let content = match Content::seal(&self.tally, &self.spec, ending) {
            Ok(content) => content,
            Err(error) => return Err(self.give_up(error).await),
        };
        if matches!(self.state, State::Small) && !self.broken {
            let body = self.take_buffer();
            return commit::small(&self.remote, &self.spec, &self.attempt, body, content).await;
        }
        // The buffer is the last part, unless the upload was cut where the part before it ended.
        if let Err(error) = self.flush().await {
            if let State::Open(parts) = &self.state
                && let Some(receipt) = large::completed_elsewhere(&self.remote, &self.attempt, parts, content).await
            {
                return Ok(receipt);
            }
            return Err(self.give_up(error).await);
        }
        match self.state {
            State::Open(parts) if self.spec.on_invalid == OnInvalid::Quarantine => {
                quarantine::release(&self.remote, &self.spec, &self.attempt, (*parts, content), self.claim).await
            }
            State::Open(parts) => large::commit(&self.remote, &self.spec, &self.attempt, *parts, content).await,
            State::Small | State::Opening(_) => unreachable!("a flush that works leaves the upload open"),
        }
    }

    /// Brings what is not valid into quarantine.
    async fn confine(mut self, report: Report, ending: Ending) -> Result<Quarantined> {
        let content = match Content::seal(&self.tally, &self.spec, ending) {
            Ok(content) => content,
            Err(error) => return Err(self.give_up(error).await),
        };
        if matches!(self.state, State::Small) && !self.broken {
            let body = self.take_buffer();
            return quarantine::small(&self.remote, &self.spec, &self.attempt, (body, content), report).await;
        }
        if let Err(error) = self.flush().await {
            return Err(self.give_up(error).await);
        }
        match self.state {
            State::Open(parts) => {
                quarantine::large(&self.remote, &self.spec, &self.attempt, (*parts, content), report).await
            }
            State::Small | State::Opening(_) => unreachable!("a flush that works leaves the upload open"),
        }
    }

    /// Gives the upload up because of `error`, which is answered.
    async fn give_up(self, error: Error) -> Error {
        let name = self.spec.key.clone();
        self.discard().await.unwrap_or_else(|litter| warn_of_litter(&name, &litter));
        error
    }

    /// Keeps what can be kept, and says up to which byte that is.
    async fn keep(mut self, note: Note) -> Result<u64> {
        let offset = self.tally.size();
        if let Err(error) = self.save(Saved { tally: self.tally.clone(), note }).await {
            tracing::warn!(name = self.spec.key.as_str(), %error, "an upload that was cut off is kept up to its last checkpoint");
        }
        let kept = match &mut self.state {
            State::Open(parts) if parts.is_kept() => Some(parts.saved_to().await),
            State::Open(_) | State::Opening(_) | State::Small => None,
        };
        match kept {
            Some(kept) if kept > 0 || offset == 0 => Ok(kept),
            Some(_) | None => self.discard().await.map(|()| 0),
        }
    }

    /// Brings everything that was taken to the store: as parts, and what does not fill one as a tail.
    async fn save(&mut self, saved: Saved) -> Result<()> {
        if self.broken {
            return Ok(());
        }
        self.open().await?;
        if self.buffer.len() == self.part_bytes {
            self.checkpoint = Some(saved);
            return self.flush().await;
        }
        let from = saved.tally.size() - self.buffer.len() as u64;
        let tail = self.take_buffer();
        let State::Open(parts) = &mut self.state else { return Ok(()) };
        // A tail that follows on nothing would be of no use; and what was resumed, and has not grown, is there.
        if parts.saved_to().await >= from && !parts.holds_up_to(saved.tally.size()) {
            parts.keep_tail(&saved, tail).await?;
        }
        Ok(())
    }

    async fn discard(self) -> Result<()> {
        match self.state {
            State::Small => Ok(()),
            State::Open(mut parts) => parts.abort().await,
            State::Opening(opening) => match opening.await {
                Ok(Ok(mut parts)) => parts.abort().await,
                // Never opened: nothing stays.
                Ok(Err(_)) => Ok(()),
                Err(error) => Err(stopped("opening a multipart upload", error)),
            },
        }
    }
}

#[async_trait]
impl Staged for Writing {
    fn spec(&self) -> &UploadSpec {
        &self.spec
    }

    fn offset(&self) -> u64 {
        self.tally.size()
    }

    fn note(&self) -> &Note {
        &self.note
    }

    /// To the end of the part that is filling.
    fn until_checkpoint(&self) -> u64 {
        match self.spec.when_cut {
            WhenCut::Keep if self.buffer.len() == self.part_bytes => self.part_bytes as u64,
            WhenCut::Keep => (self.part_bytes - self.buffer.len()) as u64,
            WhenCut::Drop => u64::MAX,
        }
    }

    /// Goes with the part that is full, as soon as that is sent.
    async fn checkpoint(&mut self, note: Note) -> Result<()> {
        if self.spec.when_cut == WhenCut::Keep && self.buffer.len() == self.part_bytes {
            self.checkpoint = Some(Saved { tally: self.tally.clone(), note });
        }
        Ok(())
    }

    /// Like a commit, runs to its end even if nobody waits for it.
    async fn suspend(self: Box<Self>, note: Note) -> Result<u64> {
        let suspending = tokio::spawn(async move {
            match self.spec.when_cut {
                WhenCut::Keep => self.keep(note).await,
                WhenCut::Drop => self.discard().await.map(|()| 0),
            }
        });
        suspending.await.unwrap_or_else(|error| Err(stopped("keeping an upload", error)))
    }

    async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        self.tally.add(&chunk);
        while !chunk.is_empty() {
            if self.buffer.len() == self.part_bytes {
                self.flush().await?;
            }
            let next = chunk.split_to(chunk.len().min(self.part_bytes - self.buffer.len()));
            self.grow(next.len()).await?;
            self.buffer.extend_from_slice(&next);
        }
        Ok(())
    }

    /// Once begun, a commit runs to its end even if nobody waits for it any more: the store would go on too, and an upload
    /// sent again meanwhile must be told that it is [`ErrorKind::Busy`].
    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let committing = tokio::spawn(self.finish(ending));
        committing.await.unwrap_or_else(|error| Err(stopped("the commit", error)))
    }

    /// Like a commit, runs to its end even if nobody waits for it.
    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        if self.spec.on_invalid != OnInvalid::Quarantine {
            let message = format!("{:?} was not staged as a file that may go into quarantine", self.spec.key.as_str());
            return Err(self.give_up(Error::new(ErrorKind::Store, message)).await);
        }
        let confining = tokio::spawn(self.confine(report, ending));
        confining.await.unwrap_or_else(|error| Err(stopped("putting an upload into quarantine", error)))
    }

    /// Like a commit, runs to its end even if nobody waits for it.
    async fn abort(self: Box<Self>) -> Result<()> {
        let aborting = tokio::spawn(self.discard());
        aborting.await.unwrap_or_else(|error| Err(stopped("giving up", error)))
    }
}
