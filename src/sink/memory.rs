//! Uploads in memory: the reference for what the contract means, for tests and for trying the server out.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt as _;

use super::claims::{Claim, Claims};
use super::place::{Content, Place, Standing, Step};
use super::quarantine::in_order;
use super::version_index::{self, Holds, LOOKED_AT, VersionIndexes};
use super::{Held, Probe, QuarantineId, Quarantined, Sink, Staged, Swept};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::upload::{Durability, Ending, Key, Note, Receipt, Tally, UploadId, UploadSpec, WhenCut};

/// A store that forgets everything when it is dropped. Clones share what they hold.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    objects: Arc<Mutex<BTreeMap<Key, Object>>>,
    writers: Arc<Claims<UploadId>>,
    suspended: Arc<Mutex<BTreeMap<UploadId, Suspended>>>,
    quarantine: Arc<Mutex<Quarantine>>,
    versions: Arc<VersionIndexes<Key>>,
}

/// Files that are not valid, with their bytes.
type Quarantine = BTreeMap<QuarantineId, (Quarantined, Vec<Bytes>)>;

#[derive(Debug, Clone)]
struct Object {
    receipt: Receipt,
    chunks: Vec<Bytes>,
}

#[derive(Debug)]
struct Suspended {
    spec: UploadSpec,
    tally: Tally,
    chunks: Vec<Bytes>,
    note: Note,
    since: Instant,
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

    fn suspended(&self) -> MutexGuard<'_, BTreeMap<UploadId, Suspended>> {
        self.suspended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn quarantine(&self) -> MutexGuard<'_, Quarantine> {
        self.quarantine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what is kept of the upload; `used` gives the bytes that it goes on with.
    fn take_kept(&self, spec: &UploadSpec, used: impl FnOnce(&Suspended) -> u64) -> Result<Option<Suspended>> {
        let mut suspended = self.suspended();
        if let Some(kept) = suspended.get(&spec.id) {
            spec.check_continues(&kept.spec, used(kept))?;
        }
        Ok(suspended.remove(&spec.id))
    }

    /// Moves on to the first version that is free, unless one holds the same content: that is the
    /// receipt.
    fn next_number(&self, objects: &BTreeMap<Key, Object>, place: &mut Place<'_>) -> Result<Option<Receipt>> {
        let index = self.versions.of(place.second()?);
        let mut index = version_index::lock(&index);
        loop {
            if let Some(number) = index.candidate(place.content()) {
                place.go_to(number)?;
                let receipt = objects.get(place.key()).and_then(|object| place.same(&object.receipt));
                if receipt.is_some() {
                    return Ok(receipt);
                }
                index.differs(number, place.content());
            }
            place.go_to(index.next())?;
            match standing(objects, place.key()) {
                Some(Standing::File(receipt)) => index.pass(Holds::Content(receipt.digest)),
                Some(Standing::Obstacle | Standing::Other) => index.pass(Holds::Other),
                None => {
                    index.take(place.content().digest);
                    return Ok(None);
                }
            }
        }
    }

    fn claim(&self, id: &UploadId) -> Result<Claim<UploadId>> {
        let busy = || Error::new(ErrorKind::Busy, format!("upload {id} is being written by somebody else"));
        self.writers.claim(id).ok_or_else(busy)
    }
}

#[async_trait]
impl Sink for Memory {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let claim = self.claim(&spec.id)?;
        let spec = match self.take_kept(&spec, |_| 0)? {
            Some(kept) => spec.held_to(kept.spec),
            None => spec,
        };
        let (tally, chunks, note) = Default::default();
        Ok(Box::new(InMemory { store: self.clone(), spec, tally, chunks, note, _claim: claim }))
    }

    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        let claim = self.claim(&spec.id)?;
        let Some(kept) = self.take_kept(&spec, |kept| kept.tally.size())? else { return Ok(None) };
        let Suspended { spec: begun, tally, chunks, note, .. } = kept;
        let spec = spec.held_to(begun);
        Ok(Some(Box::new(InMemory { store: self.clone(), spec, tally, chunks, note, _claim: claim })))
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        Ok(self.objects().get(key).map(|object| object.receipt.clone()))
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        Ok(self.stat(key).await?.filter(|receipt| receipt.id.as_ref() == Some(id)))
    }

    async fn sweep(&self, ttl: Duration) -> Result<Swept> {
        let mut suspended = self.suspended();
        let before = suspended.len();
        suspended.retain(|_, kept| kept.since.elapsed() < ttl);
        Ok(Swept { removed: (before - suspended.len()) as u64, kept: suspended.len() as u64 })
    }

    async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        Ok(in_order(self.quarantine().values().map(|(file, _)| file.clone()).collect()))
    }

    async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>> {
        let chunks = self.quarantine().get(id).map(|(_, chunks)| chunks.clone());
        Ok(chunks.map(|chunks| futures::stream::iter(chunks.into_iter().map(Ok)).boxed()))
    }

    async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        Ok(self.quarantine().remove(id).is_some())
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
    /// What was saved where it was suspended.
    note: Note,
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

    fn note(&self) -> &Note {
        &self.note
    }

    /// There is no crash that memory survives.
    fn until_checkpoint(&self) -> u64 {
        u64::MAX
    }

    async fn checkpoint(&mut self, _note: Note) -> Result<()> {
        Ok(())
    }

    async fn suspend(self: Box<Self>, note: Note) -> Result<u64> {
        let Self { store, spec, tally, chunks, .. } = *self;
        if spec.when_cut == WhenCut::Drop {
            return Ok(0);
        }
        let offset = tally.size();
        store.suspended().insert(spec.id.clone(), Suspended { spec, tally, chunks, note, since: Instant::now() });
        Ok(offset)
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.tally.add(&chunk);
        self.chunks.push(chunk);
        Ok(())
    }

    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let mut place = Place::new(&self.spec, Content::seal(&self.tally, &self.spec, ending)?);
        let mut objects = self.store.objects();
        loop {
            let file = place.key().folders().find(|folder| objects.contains_key(*folder)).map(str::to_owned);
            if let Some(file) = file {
                place.blocked_by(&file)?;
                continue;
            }
            let Some(standing) = standing(&objects, place.key()) else { break };
            match place.taken(standing)? {
                Step::Done(receipt) => return Ok(receipt),
                Step::Replace => break,
                Step::Next if place.number() > LOOKED_AT => match self.store.next_number(&objects, &mut place)? {
                    Some(receipt) => return Ok(receipt),
                    None => break,
                },
                Step::Next => {}
            }
        }
        let receipt = place.receipt(Durability::Memory);
        objects.insert(place.key().clone(), Object { receipt: receipt.clone(), chunks: self.chunks });
        Ok(receipt)
    }

    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        let file = Quarantined::new(&self.spec, &Content::seal(&self.tally, &self.spec, ending)?, report);
        let mut quarantine = self.store.quarantine();
        let (first, _) = quarantine.entry(file.id.clone()).or_insert((file, self.chunks));
        Ok(first.clone())
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// The state of a key. As on a disk, it is a folder where anything lies below it.
fn standing(objects: &BTreeMap<Key, Object>, key: &Key) -> Option<Standing> {
    if let Some(object) = objects.get(key) {
        return Some(Standing::File(object.receipt.clone()));
    }
    let folder = format!("{key}/");
    let (first, _) = objects.range::<str, _>((Bound::Included(folder.as_str()), Bound::Unbounded)).next()?;
    first.as_str().starts_with(&folder).then_some(Standing::Obstacle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::OnConflict;

    #[tokio::test]
    async fn many_versions_are_numbered_and_found_as_few_are() {
        let (store, count) = (Memory::new(), LOOKED_AT + 40);
        for duplicate in [false, true] {
            for number in 1..=count {
                let spec = UploadSpec::new(UploadId::generate(), "a.bin".parse().unwrap());
                let spec = UploadSpec { on_conflict: OnConflict::Version, ..spec };
                let mut staged = store.stage(spec).await.unwrap();
                staged.write(format!("{number:05}").into()).await.unwrap();
                let receipt = staged.commit(Ending::default()).await.unwrap();
                let name = if number == 1 { "a.bin".to_owned() } else { format!("a~{number}.bin") };
                assert_eq!((receipt.key.as_str(), receipt.duplicate), (&*name, duplicate));
            }
        }
        assert_eq!(store.keys().len(), count as usize);
    }
}
