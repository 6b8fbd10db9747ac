//! An upload being written: bytes gather in one buffer until a part is full.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::marks::Attempt;
use super::parts::{Parts, stopped};
use super::remote::Remote;
use super::{commit, large};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Staged;
use crate::sink::claims::Claim;
use crate::sink::place::Content;
use crate::upload::{Ending, Note, Receipt, Tally, UploadId, UploadSpec};

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
    /// The part that is filling up: never more than a part's bytes, nor capacity.
    buffer: Vec<u8>,
    state: State,
    /// A write failed, or was dropped half-way, so that bytes may be missing.
    broken: bool,
    _claim: Claim<UploadId>,
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
    Open(Parts),
}

impl Writing {
    pub(super) fn new(remote: Arc<Remote>, spec: UploadSpec, claim: Claim<UploadId>) -> Self {
        Self {
            remote,
            spec,
            attempt: Attempt::new(),
            tally: Tally::new(),
            note: Note::default(),
            buffer: Vec::new(),
            state: State::Small,
            broken: false,
            _claim: claim,
        }
    }

    /// Makes room for `more` bytes, but for no more than a part: doubling, so that a small file takes little; at once where
    /// the file is known to be large.
    fn grow(&mut self, more: usize) {
        let needed = self.buffer.len() + more;
        if needed <= self.buffer.capacity() {
            return;
        }
        let capacity = match self.state {
            State::Small => needed.max(self.buffer.capacity() * 2).max(FIRST_BUFFER).min(self.remote.part_bytes),
            State::Opening(_) | State::Open(_) => self.remote.part_bytes,
        };
        self.buffer.reserve_exact(capacity - self.buffer.len());
    }

    /// Sends the buffer off as a part, and begins an empty one.
    async fn flush(&mut self) -> Result<()> {
        if self.broken {
            let message = format!("{:?} can't go on after a write that failed", self.spec.key.as_str());
            return Err(Error::new(ErrorKind::Store, message));
        }
        // Until it has worked, and also if this is dropped while it waits.
        self.broken = true;
        self.open().await?;
        if let State::Open(parts) = &mut self.state {
            parts.send(std::mem::take(&mut self.buffer).into()).await?;
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
            self.state = State::Open(opened?);
        }
        Ok(())
    }

    async fn finish(mut self, ending: Ending) -> Result<Receipt> {
        let content = match Content::seal(&self.tally, &self.spec, ending) {
            Ok(content) => content,
            Err(error) => return Err(self.give_up(error).await),
        };
        if matches!(self.state, State::Small) && !self.broken {
            let body = Bytes::from(self.buffer);
            return commit::small(&self.remote, &self.spec, &self.attempt, body, content).await;
        }
        // The buffer is the last part, and never empty here: a part is sent only when more bytes have come.
        if let Err(error) = self.flush().await {
            return Err(self.give_up(error).await);
        }
        match self.state {
            State::Open(parts) => large::commit(&self.remote, &self.spec, &self.attempt, parts, content).await,
            State::Small | State::Opening(_) => unreachable!("a flush that works leaves the upload open"),
        }
    }

    /// Gives the upload up because of `error`, which is answered.
    async fn give_up(self, error: Error) -> Error {
        let name = self.spec.key.clone();
        if let Err(litter) = self.discard().await {
            tracing::warn!(name = name.as_str(), error = %litter, "a multipart upload stays in the store until it expires");
        }
        error
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

    fn until_checkpoint(&self) -> u64 {
        u64::MAX
    }

    async fn checkpoint(&mut self, _note: Note) -> Result<()> {
        Ok(())
    }

    async fn suspend(self: Box<Self>, _note: Note) -> Result<u64> {
        self.abort().await.map(|()| 0)
    }

    async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        self.tally.add(&chunk);
        while !chunk.is_empty() {
            if self.buffer.len() == self.remote.part_bytes {
                self.flush().await?;
            }
            let next = chunk.split_to(chunk.len().min(self.remote.part_bytes - self.buffer.len()));
            self.grow(next.len());
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
    async fn abort(self: Box<Self>) -> Result<()> {
        let aborting = tokio::spawn(self.discard());
        aborting.await.unwrap_or_else(|error| Err(stopped("giving up", error)))
    }
}
