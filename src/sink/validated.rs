//! A validator in front of any sink: what is broken is never committed.
//!
//! Bytes are fed to the validator before they are forwarded, so that a rejection comes at the first byte that proves it, and
//! a commit asks the validator first. The bytes themselves pass unchanged.

#![deny(clippy::missing_trait_methods)]

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::Value;

use super::{Probe, Sink, Staged, Swept};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::report::{Format, Report};
use crate::upload::{Ending, Key, Note, Receipt, UploadId, UploadSpec};
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

    fn judged(&self, staged: Box<dyn Staged>, format: Format, validator: Box<dyn Validator>) -> Box<dyn Staged> {
        Box::new(Judged { staged, validator, late: None, format, busy: Duration::ZERO, metrics: Arc::clone(&self.metrics) })
    }
}

#[async_trait]
impl Sink for Validated {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let Applied { standard, on_invalid, .. } = self.rules.find(&spec.key);
        let staged = self.inner.stage(UploadSpec { on_invalid, ..spec }).await?;
        match standard.validator() {
            Some(validator) => Ok(self.judged(staged, standard.format, validator)),
            None => Ok(staged),
        }
    }

    /// An upload whose validator can't go on where the bytes end, because none had read along or because another one would
    /// now, counts as not there.
    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        let Applied { standard, on_invalid, .. } = self.rules.find(&spec.key);
        let format = standard.format;
        let Some(staged) = self.inner.resume(UploadSpec { on_invalid, ..spec }).await? else { return Ok(None) };
        match (format, &staged.note().0) {
            (Format::None, _) => Ok(Some(staged)),
            (format, Some(saved)) => {
                let validator = standard.resume(saved);
                let validator = validator.filter(|validator| validator.offset() == staged.offset());
                Ok(validator.map(|validator| self.judged(staged, format, validator)))
            }
            (_, None) => Ok(None),
        }
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

    async fn probe(&self) -> Result<Probe> {
        self.inner.probe().await
    }
}

/// An upload that a validator reads along with.
#[derive(Debug)]
struct Judged {
    staged: Box<dyn Staged>,
    validator: Box<dyn Validator>,
    /// What the validator has read, and the store perhaps not: a write that has failed, or that nobody has waited for.
    late: Option<Bytes>,
    format: Format,
    busy: Duration,
    metrics: Arc<Metrics>,
}

impl Judged {
    /// What the validator knows, where it has read what was stored and no more.
    fn saved(&self) -> Option<Value> {
        if self.validator.offset() == self.staged.offset() { self.validator.save() } else { None }
    }
}

fn refusal(key: &Key, report: Report) -> Error {
    let message = format!("{:?} is not valid {}", key.as_str(), report.format);
    Error::new(ErrorKind::Invalid, message).because(report)
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
        let start = Instant::now();
        let fed = self.validator.feed(&chunk);
        self.busy += start.elapsed();
        fed.map_err(|report| refusal(&self.staged.spec().key, *report))?;
        self.late = Some(chunk.clone());
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

    /// With what the validator needs to go on from here; where it can't, nothing is saved.
    async fn checkpoint(&mut self, _note: Note) -> Result<()> {
        match self.saved() {
            Some(saved) => self.staged.checkpoint(Note(Some(saved))).await,
            None => Ok(()),
        }
    }

    async fn suspend(mut self: Box<Self>, _note: Note) -> Result<u64> {
        // Else the validator would be ahead of the bytes, and what is kept of no use.
        if let Some(chunk) = self.late.take()
            && self.staged.offset() + chunk.len() as u64 == self.validator.offset()
            && let Err(error) = self.staged.write(chunk).await
        {
            tracing::debug!(%error, "the last bytes of an upload that was cut off are not kept");
        }
        self.metrics.validation_took(self.format, self.busy);
        let saved = self.saved();
        self.staged.suspend(Note(saved)).await
    }

    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let Self { staged, validator, late: _, format, busy, metrics } = *self;
        let start = Instant::now();
        let finished = validator.finish();
        metrics.validation_took(format, busy + start.elapsed());
        match finished {
            Ok(verdict) => staged.commit(Ending { verdict: Some(verdict), ..ending }).await,
            Err(report) => {
                let refusal = refusal(&staged.spec().key, *report);
                if let Err(error) = staged.abort().await {
                    tracing::warn!(%error, "an upload that was refused left something behind");
                }
                Err(refusal)
            }
        }
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.metrics.validation_took(self.format, self.busy);
        self.staged.abort().await
    }
}
