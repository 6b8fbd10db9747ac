//! A validator in front of any sink: what is broken is never committed.
//!
//! Bytes are fed to the validator before they are forwarded, so that a rejection comes at the first byte that proves it, and
//! a commit asks the validator first. The bytes themselves pass unchanged.

#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use super::{Probe, Sink, Staged};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::report::{Format, Rejection};
use crate::upload::{Digest, Key, Receipt, UploadId, UploadSpec};
use crate::validate::rules::Rules;
use crate::validate::{self, Limits, Validator};

/// A sink that refuses what is not of the format that the rules name for it.
#[derive(Debug)]
pub struct Validated {
    inner: Arc<dyn Sink>,
    rules: Arc<Rules>,
    limits: Limits,
    metrics: Arc<Metrics>,
}

impl Validated {
    /// Puts validators in front of `inner`.
    pub fn new(inner: Arc<dyn Sink>, rules: Arc<Rules>, limits: Limits, metrics: Arc<Metrics>) -> Self {
        Self { inner, rules, limits, metrics }
    }
}

#[async_trait]
impl Sink for Validated {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let format = self.rules.find(&spec.key).format;
        let staged = self.inner.stage(spec).await?;
        let Some(validator) = validate::for_format(format, &self.limits) else { return Ok(staged) };
        Ok(Box::new(Judged { staged, validator, format, busy: Duration::ZERO, metrics: Arc::clone(&self.metrics) }))
    }

    /// A validator can't begin in the middle of a file, and what it had read before is gone.
    async fn resume(&self, id: &UploadId) -> Result<Box<dyn Staged>> {
        Err(Error::new(ErrorKind::Unsupported, format!("upload {id} can't be resumed: its validator has to see every byte")))
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        self.inner.stat(key).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        self.inner.committed(id, key).await
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
    format: Format,
    busy: Duration,
    metrics: Arc<Metrics>,
}

fn refusal(key: &Key, rejection: Rejection) -> Error {
    let message = format!("{:?} is not valid {}", key.as_str(), rejection.format);
    Error::new(ErrorKind::Invalid, message).because(rejection)
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
        fed.map_err(|rejection| refusal(&self.staged.spec().key, rejection))?;
        self.staged.write(chunk).await
    }

    async fn commit(self: Box<Self>, claim: Option<Digest>) -> Result<Receipt> {
        let Self { staged, validator, format, busy, metrics } = *self;
        let start = Instant::now();
        let finished = validator.finish();
        metrics.validation_took(format, busy + start.elapsed());
        match finished {
            Ok(verdict) => Ok(Receipt { verdict: Some(verdict), ..staged.commit(claim).await? }),
            Err(rejection) => {
                let refusal = refusal(&staged.spec().key, rejection);
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
