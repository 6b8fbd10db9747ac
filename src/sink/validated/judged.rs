//! One upload that a validator reads along with.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;
use tokio::sync::oneshot;

use super::workers::{Finished, Outcome, Reading, Rest, Workers};
use crate::budget::Lease;
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::report::{Format, Report, Verdict};
use crate::sink::{Quarantined, Staged};
use crate::upload::{Ending, Key, Note, OnInvalid, Receipt, UploadSpec};
use crate::validate::Validator;

/// A file of no more bytes is read where it arrives, if that is cheap: to wake another thread would
/// take longer.
const DIRECT_BYTES: u64 = 64 << 10;

/// The part of its connection's share that a validator takes before it needs a lease, in bytes.
const SHARE_BYTES: usize = 4 << 10;

/// The rule for an upload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) format: Format,
    pub(super) on_invalid: OnInvalid,
    /// Whether a small file is read where it arrives.
    pub(super) is_cheap: bool,
}

/// An upload that a validator reads along with.
#[derive(Debug)]
pub(super) struct Judged {
    staged: Box<dyn Staged>,
    judge: Judge,
    /// The last chunk that the validator was given, until the store has it: a write may fail, or be
    /// dropped.
    late: Option<Bytes>,
    /// The offset of the last checkpoint that can be gone on from.
    kept: Option<u64>,
    terms: Terms,
    /// The validator's memory.
    lease: Lease,
    workers: Arc<Workers>,
    metrics: Arc<Metrics>,
}

/// Where the validator is.
#[derive(Debug)]
enum Judge {
    Reading(Reading),
    /// A worker has it.
    Working(oneshot::Receiver<Outcome>),
    /// The file is not valid, and the rest of it is not read.
    GaveUp(Box<Report>, Duration),
    /// It has panicked.
    Lost,
}

impl Judged {
    pub(super) fn new(
        staged: Box<dyn Staged>,
        validator: Box<dyn Validator>,
        terms: Terms,
        lease: Lease,
        workers: Arc<Workers>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let kept = Some(staged.offset()).filter(|offset| *offset > 0);
        let judge = Judge::Reading(Reading::new(validator, SHARE_BYTES));
        Self { staged, judge, late: None, kept, terms, lease, workers, metrics }
    }

    /// The state of the validator, where it has read exactly the bytes that are stored.
    fn saved(&self) -> Option<Value> {
        match &self.judge {
            Judge::Reading(Reading { validator, .. }) if validator.offset() == self.staged.offset() => validator.save(),
            Judge::Reading(_) | Judge::Working(_) | Judge::GaveUp(..) | Judge::Lost => None,
        }
    }

    /// Lets the validator read `chunk`, if it still reads.
    async fn feed(&mut self, chunk: &Bytes) -> Result<()> {
        // The caller of an earlier write may have dropped it.
        if self.settle().await?.is_some() {
            let message = "an earlier chunk was not read to its end: send the file again";
            return Err(Error::new(ErrorKind::Store, message));
        }
        let is_direct = self.terms.is_cheap && self.staged.offset() + chunk.len() as u64 <= DIRECT_BYTES;
        match &mut self.judge {
            Judge::GaveUp(..) => return Ok(()),
            Judge::Reading(reading) if is_direct => {
                self.late = Some(chunk.clone());
                if let Err(report) = reading.read(chunk) {
                    let busy = reading.busy;
                    self.give_up(report, busy)?;
                }
            }
            Judge::Reading(_) | Judge::Working(_) | Judge::Lost => {
                self.late = Some(chunk.clone());
                self.hand_over(chunk.clone().into()).await?;
            }
        }
        self.fit_memory().await
    }

    /// Lets a worker read, and gets the memory for it. Where this is dropped meanwhile,
    /// [`Self::settle`] goes on.
    async fn hand_over(&mut self, mut rest: Rest) -> Result<()> {
        if let Judge::Reading(reading) = &self.judge
            && reading.needed_bytes() > reading.granted_bytes
        {
            let bytes = reading.needed_bytes();
            self.grow(bytes).await?;
        }
        loop {
            self.judge = match std::mem::replace(&mut self.judge, Judge::Lost) {
                Judge::Reading(reading) => Judge::Working(self.workers.read(reading, rest)),
                other => other,
            };
            match self.settle().await? {
                Some((bytes, left)) => {
                    self.grow(bytes).await?;
                    rest = left;
                }
                None => return Ok(()),
            }
        }
    }

    /// Waits for the worker that has the validator. Where the validator has stopped for want of
    /// memory, returns how much it needs in all, in bytes, and the rest of the chunk.
    async fn settle(&mut self) -> Result<Option<(usize, Rest)>> {
        let Judge::Working(outcome) = &mut self.judge else { return Ok(None) };
        // Where this is given up while it waits, the next one goes on waiting.
        let outcome = outcome.await;
        self.judge = Judge::Lost;
        match outcome {
            Ok(Outcome::Read(reading)) => self.judge = Judge::Reading(reading),
            Ok(Outcome::NeedsMemory { reading, bytes, rest }) => {
                self.judge = Judge::Reading(reading);
                return Ok(Some((bytes, rest)));
            }
            Ok(Outcome::Failed { report, busy }) => self.give_up(report, busy)?,
            Err(_panicked) => return Err(lost()),
        }
        Ok(None)
    }

    /// Enough was found wrong: refuses the file, or takes the rest of it unread, as its rule wants
    /// it.
    fn give_up(&mut self, report: Box<Report>, busy: Duration) -> Result<()> {
        self.lease.shrink(0);
        self.judge = Judge::GaveUp(report, busy);
        match (&self.judge, self.terms.on_invalid) {
            (Judge::GaveUp(report, _), OnInvalid::Reject) => Err(refusal(&self.staged.spec().key, (**report).clone())),
            _ => Ok(()),
        }
    }

    /// Gets so much memory for the validator; where it is not free at once, as little as it can go
    /// on with.
    async fn grow(&mut self, mut bytes: usize) -> Result<()> {
        if !self.lease.try_grow(bytes.saturating_sub(SHARE_BYTES)) {
            if let Judge::Reading(reading) = &mut self.judge {
                bytes = bytes.min(reading.shorten_steps());
            }
            self.lease.grow(bytes.saturating_sub(SHARE_BYTES)).await?;
        }
        if let Judge::Reading(reading) = &mut self.judge {
            // A lease can be smaller than what was asked for where that is more than there is in
            // all.
            reading.granted_bytes = bytes.max(self.lease.bytes() + SHARE_BYTES);
        }
        Ok(())
    }

    /// Holds as much memory as the validator has now, or gives back what it does not need any more.
    async fn fit_memory(&mut self) -> Result<()> {
        let Judge::Reading(reading) = &mut self.judge else { return Ok(()) };
        // With what the next step takes, so that it need not ask again.
        let bytes = reading.needed_bytes();
        if bytes > reading.granted_bytes {
            return self.grow(bytes).await;
        }
        if reading.granted_bytes > SHARE_BYTES && bytes < reading.granted_bytes / 2 {
            self.lease.shrink(bytes.saturating_sub(SHARE_BYTES));
            reading.granted_bytes = self.lease.bytes() + SHARE_BYTES;
        }
        Ok(())
    }

    /// Stores the bytes that only the validator has read: else its state would be ahead of the
    /// stored bytes, and could not be resumed from.
    async fn catch_up(&mut self) {
        let Judge::Reading(Reading { validator, .. }) = &self.judge else { return };
        let (read_to, stored) = (validator.offset(), self.staged.offset());
        let Some(chunk) = self.late.take() else { return };
        let missing = usize::try_from(read_to.saturating_sub(stored)).unwrap_or(usize::MAX);
        if (1..=chunk.len()).contains(&missing)
            && let Err(error) = self.staged.write(chunk.slice(..missing)).await
        {
            tracing::debug!(%error, "last bytes of an upload not kept");
        }
    }

    /// The processor time of the upload's validation.
    fn busy(&self) -> Duration {
        match &self.judge {
            Judge::Reading(reading) => reading.busy,
            Judge::GaveUp(_, busy) => *busy,
            Judge::Working(_) | Judge::Lost => Duration::ZERO,
        }
    }
}

impl Judge {
    async fn finish(self, terms: Terms, workers: &Workers) -> Result<Finished> {
        match self {
            Self::Reading(reading) if terms.is_cheap => Ok(reading.finish()),
            Self::Reading(reading) => workers.finish(reading).await.map_err(|_panicked| lost()),
            Self::GaveUp(report, busy) => Ok((Err(report), busy)),
            Self::Working(_) | Self::Lost => Err(lost()),
        }
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Store, "the validator ended early, by a fault of the server: report it, and send the file again")
}

/// The answer to a file that is not valid.
fn refusal(key: &Key, report: Report) -> Error {
    let kept = report.quarantined.as_ref().map(|id| format!(", kept in quarantine as {id}")).unwrap_or_default();
    let message = format!("{:?} is not valid {}{kept}", key.as_str(), report.format);
    Error::new(ErrorKind::Invalid, message).because(report)
}

/// Ends an upload that is not valid, as its rule wants it.
async fn judge_invalid(staged: Box<dyn Staged>, on_invalid: OnInvalid, report: Report, ending: Ending) -> Result<Receipt> {
    match on_invalid {
        OnInvalid::Reject => {
            let refusal = refusal(&staged.spec().key, report);
            if let Err(error) = staged.abort().await {
                tracing::warn!(%error, "an upload that was refused left something behind");
            }
            Err(refusal)
        }
        OnInvalid::Quarantine => {
            let file = staged.quarantine(report.clone(), ending).await?;
            // The same file may have been quarantined under other rules: the answer has the
            // findings of now.
            Err(refusal(&file.name, Report { quarantined: Some(file.id.into()), ..report }))
        }
        OnInvalid::Warn => {
            let verdict = Verdict { format: report.format, records: report.records, errors: report.errors_total };
            let receipt = staged.commit(Ending { verdict: Some(verdict), ..ending }).await?;
            Ok(Receipt { report: Some(Box::new(report)), ..receipt })
        }
    }
}

#[async_trait]
impl Staged for Judged {
    fn spec(&self) -> &UploadSpec {
        self.staged.spec()
    }

    fn offset(&self) -> u64 {
        self.staged.offset()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.feed(&chunk).await?;
        self.staged.write(chunk).await?;
        self.late = None;
        Ok(())
    }

    fn note(&self) -> &Note {
        self.staged.note()
    }

    fn until_checkpoint(&self) -> u64 {
        self.staged.until_checkpoint()
    }

    /// With what the validator needs to go on from here. Where it can't, the sink has its bytes
    /// flushed, but nothing that could be gone on with is replaced.
    async fn checkpoint(&mut self, _note: Note) -> Result<()> {
        match self.saved() {
            Some(saved) => {
                self.staged.checkpoint(Note(Some(saved))).await?;
                self.kept = Some(self.staged.offset());
                Ok(())
            }
            None if self.kept.is_none() => self.staged.checkpoint(Note::default()).await,
            None => Ok(()),
        }
    }

    /// Where the validator can't be written down as it is now, the last checkpoint is kept. Where
    /// there is none, as for a file whose validator has given up, nothing is: it would have to be
    /// read from its first byte again.
    async fn suspend(mut self: Box<Self>, _note: Note) -> Result<u64> {
        // The outcome of a chunk at a worker matters only for the state of the validator.
        let worked = self.settle().await;
        self.catch_up().await;
        self.metrics.validation_took(self.terms.format, self.busy());
        let given_up = worked.is_err() || matches!(self.judge, Judge::GaveUp(..));
        match (self.saved(), self.kept) {
            (Some(saved), _) => self.staged.suspend(Note(Some(saved))).await,
            // Dropped, an upload leaves what was saved of it.
            (None, Some(kept)) if !given_up => Ok(kept),
            (None, _) => self.staged.abort().await.map(|()| 0),
        }
    }

    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let Self { staged, judge, late: _, kept: _, terms, lease, workers, metrics } = *self;
        let (finished, busy) = match judge.finish(terms, &workers).await {
            Ok(finished) => finished,
            Err(error) => {
                if let Err(litter) = staged.abort().await {
                    tracing::warn!(error = %litter, "an upload that was given up left something behind");
                }
                return Err(error);
            }
        };
        drop(lease);
        metrics.validation_took(terms.format, busy);
        match finished {
            Ok(verdict) => staged.commit(Ending { verdict: Some(verdict), ..ending }).await,
            Err(report) => judge_invalid(staged, terms.on_invalid, *report, ending).await,
        }
    }

    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        self.metrics.validation_took(self.terms.format, self.busy());
        self.staged.quarantine(report, ending).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.metrics.validation_took(self.terms.format, self.busy());
        self.staged.abort().await
    }
}
