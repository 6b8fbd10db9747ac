//! A validator in front of any sink: what is broken is not committed, unless the rule for its name says so.
//!
//! Bytes are fed to the validator before they are forwarded, so that a rejection comes at the first byte that proves it, and
//! a commit asks the validator first. Where a rule says that broken files are kept, or let pass, the bytes go on behind the flaw, and
//! are judged no further once the validator has given up. The bytes themselves pass unchanged.

#![deny(clippy::missing_trait_methods)]

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::{Held, Probe, QuarantineId, Quarantined, Sink, Staged, Swept};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::report::{Format, Report, Verdict};
use crate::upload::{Ending, Key, Note, OnInvalid, Receipt, UploadId, UploadSpec};
use crate::validate::Validator;
use crate::validate::rules::{Applied, Rulebook};

/// A sink that refuses what is not of the format that the rules name for it.
#[derive(Debug)]
pub struct Validated {
    inner: Arc<dyn Sink>,
    rules: Arc<Rulebook>,
    metrics: Arc<Metrics>,
}

impl Validated {
    /// Puts validators in front of `inner`.
    pub fn new(inner: Arc<dyn Sink>, rules: Arc<Rulebook>, metrics: Arc<Metrics>) -> Self {
        Self { inner, rules, metrics }
    }

    /// What the rules in force say of a name; an upload keeps to it for its whole life.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`] where no rule matches, and such names are refused.
    pub fn admit(&self, key: &Key) -> Result<Applied> {
        self.rules.admit(key)
    }

    /// As [`Sink::stage`], for an upload that was [admitted](Self::admit).
    ///
    /// # Errors
    /// As [`Sink::stage`].
    pub async fn stage_as(&self, spec: UploadSpec, applied: &Applied) -> Result<Box<dyn Staged>> {
        let Applied { standard, on_invalid, .. } = applied;
        let (format, on_invalid) = (standard.format, *on_invalid);
        let staged = self.inner.stage(UploadSpec { on_invalid, ..spec }).await?;
        match standard.validator() {
            Some(validator) => Ok(self.judged(staged, Terms { format, on_invalid }, validator)),
            None => Ok(staged),
        }
    }

    /// As [`Sink::resume`], for an upload that was [admitted](Self::admit). One whose validator can't go on where the bytes end
    /// counts as not there: none had read along, or other rules held then.
    ///
    /// # Errors
    /// As [`Sink::resume`].
    pub async fn resume_as(&self, spec: UploadSpec, applied: &Applied) -> Result<Option<Box<dyn Staged>>> {
        let Applied { standard, on_invalid, .. } = applied;
        let (format, on_invalid) = (standard.format, *on_invalid);
        let Some(staged) = self.inner.resume(UploadSpec { on_invalid, ..spec }).await? else { return Ok(None) };
        match (format, &staged.note().0) {
            (Format::None, _) => Ok(Some(staged)),
            (format, Some(saved)) => {
                let validator = standard.resume(saved);
                let validator = validator.filter(|validator| validator.offset() == staged.offset());
                Ok(validator.map(|validator| self.judged(staged, Terms { format, on_invalid }, validator)))
            }
            (_, None) => Ok(None),
        }
    }

    fn judged(&self, staged: Box<dyn Staged>, terms: Terms, validator: Box<dyn Validator>) -> Box<dyn Staged> {
        let (judge, busy, metrics) = (Judge::Reading(validator), Duration::ZERO, Arc::clone(&self.metrics));
        let kept = Some(staged.offset()).filter(|offset| *offset > 0);
        Box::new(Judged { staged, judge, late: None, kept, terms, busy, metrics })
    }
}

#[async_trait]
impl Sink for Validated {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let applied = self.admit(&spec.key)?;
        self.stage_as(spec, &applied).await
    }

    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        let applied = self.admit(&spec.key)?;
        self.resume_as(spec, &applied).await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        self.inner.stat(key).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        self.inner.committed(id, key).await
    }

    async fn sweep(&self, ttl: Duration) -> Result<Swept> {
        self.inner.sweep(ttl).await
    }

    async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.inner.quarantined().await
    }

    async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>> {
        self.inner.quarantined_bytes(id).await
    }

    async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        self.inner.drop_quarantined(id).await
    }

    async fn probe(&self) -> Result<Probe> {
        self.inner.probe().await
    }
}

/// What an upload is judged by.
#[derive(Debug, Clone, Copy)]
struct Terms {
    format: Format,
    on_invalid: OnInvalid,
}

/// An upload that a validator reads along with.
#[derive(Debug)]
struct Judged {
    staged: Box<dyn Staged>,
    judge: Judge,
    /// What the validator has read, and the store perhaps not: a write that has failed, or that nobody has waited for.
    late: Option<Bytes>,
    /// The offset of the last checkpoint that can be gone on from.
    kept: Option<u64>,
    terms: Terms,
    busy: Duration,
    metrics: Arc<Metrics>,
}

/// Who says whether the file is valid.
#[derive(Debug)]
enum Judge {
    Reading(Box<dyn Validator>),
    /// It is not, and the rest of it is not read.
    GaveUp(Box<Report>),
}

impl Judge {
    fn finish(self) -> Result<Verdict, Box<Report>> {
        match self {
            Self::Reading(validator) => validator.finish(),
            Self::GaveUp(report) => Err(report),
        }
    }
}

impl Judged {
    /// What the validator knows, where it has read what was stored and no more.
    fn saved(&self) -> Option<Value> {
        match &self.judge {
            Judge::Reading(validator) if validator.offset() == self.staged.offset() => validator.save(),
            Judge::Reading(_) | Judge::GaveUp(_) => None,
        }
    }

    /// Lets the validator read `chunk`, if it still reads.
    fn feed(&mut self, chunk: &Bytes) -> Result<()> {
        let Judge::Reading(validator) = &mut self.judge else { return Ok(()) };
        let start = Instant::now();
        let fed = validator.feed(chunk);
        self.busy += start.elapsed();
        match (fed, self.terms.on_invalid) {
            (Ok(()), _) => self.late = Some(chunk.clone()),
            (Err(report), OnInvalid::Reject) => return Err(refusal(&self.staged.spec().key, *report)),
            (Err(report), OnInvalid::Quarantine | OnInvalid::Warn) => self.judge = Judge::GaveUp(report),
        }
        Ok(())
    }

    /// Brings to the store what only the validator has: else it would be ahead of the bytes, and what is kept of no use.
    async fn catch_up(&mut self) {
        let read_to = match &self.judge {
            Judge::Reading(validator) => validator.offset(),
            Judge::GaveUp(_) => return,
        };
        if let Some(chunk) = self.late.take()
            && self.staged.offset() + chunk.len() as u64 == read_to
            && let Err(error) = self.staged.write(chunk).await
        {
            tracing::debug!(%error, "the last bytes of an upload that was cut off are not kept");
        }
    }
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
            // The same file may have come before, when other rules held: what is told is what was found now.
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
        self.feed(&chunk)?;
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

    /// With what the validator needs to go on from here. Where it can't, the sink has its bytes flushed, but nothing that could
    /// be gone on with is replaced.
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

    /// Where the validator can't be written down as it is now, the last checkpoint is kept. Where there is none, as for a file
    /// whose validator has given up, nothing is: it would have to be read from its first byte again.
    async fn suspend(mut self: Box<Self>, _note: Note) -> Result<u64> {
        self.catch_up().await;
        self.metrics.validation_took(self.terms.format, self.busy);
        let given_up = matches!(self.judge, Judge::GaveUp(_));
        match (self.saved(), self.kept) {
            (Some(saved), _) => self.staged.suspend(Note(Some(saved))).await,
            // Dropped, an upload leaves what was saved of it.
            (None, Some(kept)) if !given_up => Ok(kept),
            (None, _) => self.staged.abort().await.map(|()| 0),
        }
    }

    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let Self { staged, judge, late: _, kept: _, terms, busy, metrics } = *self;
        let start = Instant::now();
        let finished = judge.finish();
        metrics.validation_took(terms.format, busy + start.elapsed());
        match finished {
            Ok(verdict) => staged.commit(Ending { verdict: Some(verdict), ..ending }).await,
            Err(report) => judge_invalid(staged, terms.on_invalid, *report, ending).await,
        }
    }

    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        self.metrics.validation_took(self.terms.format, self.busy);
        self.staged.quarantine(report, ending).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.metrics.validation_took(self.terms.format, self.busy);
        self.staged.abort().await
    }
}
