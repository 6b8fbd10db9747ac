//! A validator in front of any sink: what is broken is not committed, unless the rule for its name says so.
//!
//! Bytes are fed to the validator before they are forwarded, so that a rejection comes at the first byte that proves it, and
//! a commit asks the validator first. Where a rule says that broken files are kept, or let pass, the bytes go on behind the flaw, and
//! are judged no further once the validator has given up. The bytes themselves pass unchanged.
//!
//! Where the clock is not set nothing reaches the sink: a receipt would have a wrong time, and the
//! clients of S3 panic.

#![deny(clippy::missing_trait_methods)]

mod judged;
#[cfg(test)]
mod tests;
mod workers;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::judged::{Judged, Terms};
use self::workers::Workers;
use super::{Held, Probe, QuarantineId, Quarantined, Sink, Staged, Swept};
use crate::budget::{Budget, Use};
use crate::clock;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::report::{Compression, Format};
use crate::upload::{Key, Receipt, UploadId, UploadSpec};
use crate::validate::rules::{Applied, Rulebook};
use crate::validate::{Standard, Validator};

/// A sink that refuses what is not of the format that the rules name for it.
#[derive(Debug)]
pub struct Validated {
    inner: Arc<dyn Sink>,
    rules: Arc<Rulebook>,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    workers: Arc<Workers>,
}

impl Validated {
    /// Puts validators in front of `inner`, whose memory nothing bounds but their limits.
    pub fn new(inner: Arc<dyn Sink>, rules: Arc<Rulebook>, metrics: Arc<Metrics>) -> Self {
        Self::within(Budget::unlimited(), inner, rules, metrics)
    }

    /// Puts validators in front of `inner`, whose memory is taken from `budget`.
    pub fn within(budget: Arc<Budget>, inner: Arc<dyn Sink>, rules: Arc<Rulebook>, metrics: Arc<Metrics>) -> Self {
        Self { inner, rules, metrics, budget, workers: Arc::new(Workers::new()) }
    }

    /// The memory that uploads share.
    pub fn budget(&self) -> &Arc<Budget> {
        &self.budget
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
        clock::check()?;
        let on_invalid = applied.on_invalid;
        let staged = self.inner.stage(UploadSpec { on_invalid, ..spec }).await?;
        match applied.standard.validator() {
            Some(validator) => Ok(self.judged(staged, applied, validator)),
            None => Ok(staged),
        }
    }

    /// As [`Sink::resume`], for an upload that was [admitted](Self::admit). One whose validator can't go on where the bytes end
    /// counts as not there: none had read along, or other rules held then.
    ///
    /// # Errors
    /// As [`Sink::resume`].
    pub async fn resume_as(&self, spec: UploadSpec, applied: &Applied) -> Result<Option<Box<dyn Staged>>> {
        clock::check()?;
        let Applied { standard, on_invalid, .. } = applied;
        let on_invalid = *on_invalid;
        let Some(staged) = self.inner.resume(UploadSpec { on_invalid, ..spec }).await? else { return Ok(None) };
        match (standard.format, &staged.note().0) {
            (Format::None, _) => Ok(Some(staged)),
            (_, Some(saved)) => {
                let validator = standard.resume(saved);
                let validator = validator.filter(|validator| validator.offset() == staged.offset());
                Ok(validator.map(|validator| self.judged(staged, applied, validator)))
            }
            (_, None) => Ok(None),
        }
    }

    fn judged(&self, staged: Box<dyn Staged>, applied: &Applied, validator: Box<dyn Validator>) -> Box<dyn Staged> {
        let Applied { standard, on_invalid, .. } = applied;
        let terms = Terms { format: standard.format, on_invalid: *on_invalid, is_cheap: is_cheap(standard) };
        let (workers, metrics) = (Arc::clone(&self.workers), Arc::clone(&self.metrics));
        Box::new(Judged::new(staged, validator, terms, self.budget.lease(Use::Validators), workers, metrics))
    }
}

/// Whether reading a few kilobytes takes so little that it need not be handed to another thread.
fn is_cheap(standard: &Standard) -> bool {
    standard.compression == Compression::None && standard.schema.is_none()
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
        clock::check()?;
        self.inner.stat(key).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        clock::check()?;
        self.inner.committed(id, key).await
    }

    async fn sweep(&self, ttl: Duration) -> Result<Swept> {
        clock::check()?;
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
        clock::check()?;
        self.inner.probe().await
    }
}
