//! Uploads as objects in a bucket: S3 and what speaks like it.
//!
//! A file that fits in one part is stored by one conditional PUT; a larger one as a multipart upload, of which a bounded
//! number of parts is on its way at once. Either way the store makes the object visible at once and whole. Objects carry
//! the upload's id, and their digest in their metadata or, where that was not known when the multipart upload was opened,
//! in a record below `<prefix>/.tidegate/receipts/`.
//!
//! Of an upload whose sender may come back it is written down, below `<prefix>/.tidegate/uploads/`, what has arrived
//! (`manifest`), so that any node can go on with it (`resume`). Nodes share nothing but the bucket: each thing that two of
//! them may do at once is decided by one conditional request. What a crash leaves behind is invisible, but takes room until
//! it is swept up (`sweep`).
//!
//! What is not valid is kept, where a rule wants it, below `<prefix>/.tidegate/quarantine/` (`quarantine`).
//!
//! Only `s3` knows how S3 is configured and what it answers; everything else speaks through `object_store`.

mod bindings;
mod commit;
mod folders;
mod key_claims;
mod large;
mod look;
mod manifest;
mod marks;
mod parts;
mod probe;
mod quarantine;
mod remote;
mod request_limit;
mod resume;
mod s3;
mod sending;
mod sweep;
#[cfg(test)]
mod tests;
mod turns;
mod unfinished;
mod versions;
mod words;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use self::bindings::Bindings;
use self::folders::Known;
use self::key_claims::ClaimTimes;
use self::look::Reading;
use self::parts::MAX_PARTS;
use self::remote::{Clients, Remote, Seen};
pub use self::request_limit::most_connections;
use self::turns::Turns;
use self::versions::KnownVersions;
use self::writing::Writing;
use super::claims::{Claim, Claims};
use super::{Held, Probe, QuarantineId, Quarantined, Sink, Staged, Swept};
use crate::budget::{Budget, Use};
use crate::config;
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Key, OnInvalid, Receipt, UploadId, UploadSpec, WhenCut};

/// A bucket, or what lies below a prefix in it, as a store.
#[derive(Debug)]
pub struct Object {
    remote: Arc<Remote>,
    /// The same store through clients that give up soon, for questions whose answer somebody waits for.
    hasty: Clients,
    writers: Claims<UploadId>,
}

impl Object {
    /// A sink for the configured bucket. Sends nothing yet: [`Sink::probe`] tells whether the store is there.
    ///
    /// Credentials, and whatever else the configuration leaves open, come from `AWS_*` variables, web identity or the
    /// instance's metadata.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where the configuration can't work.
    pub fn connect(config: &config::S3) -> Result<Self> {
        let s3::Connection { patient, hasty, unfinished, store } = s3::connect(config)?;
        let bad_size = |_| Error::new(ErrorKind::Config, "sink.s3.part_bytes is more than this machine can address");
        Ok(Self::over(
            Remote {
                clients: patient,
                wanted: config.integrity,
                store,
                prefix: config.prefix.clone(),
                part_bytes: usize::try_from(config.part_bytes).map_err(bad_size)?,
                parts_in_flight: config.parts_in_flight,
                bindings: Bindings::default(),
                open: Claims::default(),
                holding: Claims::default(),
                unfinished,
                turns: Turns::default(),
                names: Turns::default(),
                known_folders: Known::default(),
                known_versions: KnownVersions::default(),
                reading: Reading::default(),
                seen: Seen::default(),
                claim_times: ClaimTimes::for_requests_of(config.request_timeout + config.retry_timeout),
                swept_to: std::sync::Mutex::default(),
                budget: Budget::unlimited(),
            },
            hasty,
        ))
    }

    /// The same sink, whose memory for parts is taken from `budget`.
    ///
    /// # Panics
    /// If the sink is in use already.
    #[must_use]
    pub fn within(mut self, budget: Arc<Budget>) -> Self {
        Arc::get_mut(&mut self.remote).expect("a sink gets its budget before it is used").budget = budget;
        self
    }

    fn over(remote: Remote, hasty: Clients) -> Self {
        Self { remote: Arc::new(remote), hasty, writers: Claims::default() }
    }

    fn claim(&self, id: &UploadId) -> Result<Claim<UploadId>> {
        self.writers.claim(id).ok_or_else(|| manifest::busy(id))
    }
}

#[async_trait]
impl Sink for Object {
    /// An upload that may have to go into quarantine can't be resumed: it is not where it would be in the end.
    async fn stage(&self, mut spec: UploadSpec) -> Result<Box<dyn Staged>> {
        self.remote.path(&spec.key)?;
        let largest = self.remote.part_bytes as u64 * MAX_PARTS as u64;
        if spec.size.is_some_and(|size| size > largest) {
            return Err(self.remote.too_large(&spec.key));
        }
        let claim = self.claim(&spec.id)?;
        if spec.when_cut == WhenCut::Keep {
            spec = resume::begin_anew(&self.remote, spec).await?;
        }
        if spec.on_invalid == OnInvalid::Quarantine {
            spec.when_cut = WhenCut::Drop;
        }
        Ok(Box::new(Writing::new(Arc::clone(&self.remote), spec, claim)))
    }

    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        let claim = self.claim(&spec.id)?;
        if spec.on_invalid == OnInvalid::Quarantine {
            return Ok(None);
        }
        // For what did not fill a part, and is read back.
        let mut lease = self.remote.budget.lease(Use::Parts);
        let whole = spec.size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        lease.grow(whole.min(self.remote.part_bytes)).await?;
        let Some(resumed) = resume::resume(&self.remote, spec).await? else { return Ok(None) };
        Ok(Some(Box::new(Writing::resumed(Arc::clone(&self.remote), resumed, lease, claim))))
    }

    /// What lies under `key`. The digest is the one that tidegate noted when it wrote the object; of an object that came by
    /// another way, the bytes are read and hashed.
    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        match self.remote.look(key).await? {
            Some(found) => self.remote.receipt(found).await,
            None => Ok(None),
        }
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        match self.remote.look(key).await? {
            Some(found) if found.is_by(id) => self.remote.receipt(found).await,
            Some(_) | None => Ok(None),
        }
    }

    async fn sweep(&self, ttl: Duration) -> Result<Swept> {
        sweep::sweep(&self.remote, &self.writers, ttl).await
    }

    async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.remote.quarantined().await
    }

    async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>> {
        self.remote.quarantined_bytes(id).await
    }

    async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        self.remote.drop_quarantined(id).await
    }

    async fn probe(&self) -> Result<Probe> {
        Ok(probe::run(&self.remote, &self.hasty).await)
    }
}
