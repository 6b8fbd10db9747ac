//! Uploads in memory: the reference for what the contract means, for tests and for trying the server out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use super::claims::{Claim, Claims};
use super::place::{Place, Standing, Step};
use super::{Probe, Sink, Staged};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Digest, Durability, Key, Receipt, Tally, UploadId, UploadSpec};

/// A store that forgets everything when it is dropped. Clones share what they hold.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    objects: Arc<Mutex<BTreeMap<Key, Object>>>,
    writers: Arc<Claims<UploadId>>,
}

#[derive(Debug, Clone)]
struct Object {
    receipt: Receipt,
    chunks: Vec<Bytes>,
}

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bytes under a key.
    pub fn read(&self, key: &Key) -> Option<Vec<u8>> {
        self.objects().get(key).map(|object| object.chunks.concat())
    }

    /// Every key that holds something, in order.
    pub fn keys(&self) -> Vec<Key> {
        self.objects().keys().cloned().collect()
    }

    fn objects(&self) -> MutexGuard<'_, BTreeMap<Key, Object>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for Memory {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let Some(claim) = self.writers.claim(&spec.id) else {
            return Err(Error::new(ErrorKind::Busy, format!("upload {} is being written by somebody else", spec.id)));
        };
        Ok(Box::new(InMemory { store: self.clone(), spec, tally: Tally::new(), chunks: Vec::new(), _claim: claim }))
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        Ok(self.objects().get(key).map(|object| object.receipt.clone()))
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        Ok(self.stat(key).await?.filter(|receipt| receipt.id.as_ref() == Some(id)))
    }

    async fn probe(&self) -> Result<Probe> {
        let mut probe = Probe::of("memory: nothing outlives the process");
        probe.pass("write", "always possible while there is memory");
        Ok(probe)
    }
}

#[derive(Debug)]
struct InMemory {
    store: Memory,
    spec: UploadSpec,
    tally: Tally,
    chunks: Vec<Bytes>,
    _claim: Claim<UploadId>,
}

#[async_trait]
impl Staged for InMemory {
    fn spec(&self) -> &UploadSpec {
        &self.spec
    }

    fn offset(&self) -> u64 {
        self.tally.size()
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.tally.add(&chunk);
        self.chunks.push(chunk);
        Ok(())
    }

    async fn commit(self: Box<Self>, claim: Option<Digest>) -> Result<Receipt> {
        let digest = self.tally.seal(&self.spec, claim)?;
        let mut place = Place::new(&self.spec, self.tally.size(), digest);
        let mut objects = self.store.objects();
        while let Some(standing) = objects.get(place.key()) {
            match place.taken(Standing::File(standing.receipt.clone()))? {
                Step::Done(receipt) => return Ok(receipt),
                Step::Replace => break,
                Step::Next => {}
            }
        }
        let receipt = place.receipt(Durability::Memory);
        objects.insert(place.key().clone(), Object { receipt: receipt.clone(), chunks: self.chunks });
        Ok(receipt)
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}
