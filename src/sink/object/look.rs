//! Looking at what lies under a key: the only thing that settles an answer that was lost.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Attributes, GetOptions, GetResult, ObjectStore as _, PutMode};
use tokio::sync::Semaphore;

use super::marks::{Attempt, Marks};
use super::remote::Remote;
use crate::error::Result;
use crate::sink::place::Standing;
use crate::upload::{Digest, Durability, Key, Receipt, Tally, UploadId};

/// An object that was found.
#[derive(Debug)]
pub(super) struct Found {
    key: Key,
    size: u64,
    modified: SystemTime,
    /// The entity tag (RFC 9110 section 8.8.3), where the store gives one.
    tag: Option<String>,
    marks: Option<Marks>,
    /// What is told of it in a record, and where that lies.
    record: Option<(Receipt, Path)>,
}

impl Found {
    /// Whether this try wrote it.
    pub(super) fn is_of(&self, attempt: &Attempt) -> bool {
        self.marks.as_ref().and_then(|marks| marks.attempt.as_ref()) == Some(attempt)
    }

    /// Whether it says that this upload wrote it.
    pub(super) fn is_by(&self, id: &UploadId) -> bool {
        self.marks.as_ref().is_some_and(|marks| marks.id == *id)
    }

    /// The record that belongs to the object.
    pub(super) fn record_path(&self) -> Option<Path> {
        self.record.as_ref().map(|(_, path)| path.clone())
    }

    /// What the store tells of the object without giving its bytes; `None` where that does not tell the digest.
    fn receipt(&self) -> Option<Receipt> {
        if let Some((receipt, _)) = &self.record {
            return Some(receipt.clone());
        }
        let marks = self.marks.as_ref()?;
        Some(Receipt {
            id: Some(marks.id.clone()),
            name: marks.name.clone(),
            committed_at: marks.committed_at.unwrap_or(self.modified),
            verdict: marks.verdict,
            ..self.foreign(self.size, marks.digest?)
        })
    }

    /// The receipt for an object that came by another way.
    fn foreign(&self, size: u64, digest: Digest) -> Receipt {
        Receipt {
            id: self.marks.as_ref().map(|marks| marks.id.clone()),
            name: self.key.clone(),
            key: self.key.clone(),
            size,
            digest,
            committed_at: self.modified,
            durability: Durability::ObjectStore,
            verdict: None,
            report: None,
            duplicate: false,
        }
    }
}

/// Objects that are read whole at the same time.
const MAX_READING: usize = 2;

/// Digests of objects that were read whole which are remembered; the oldest goes first.
const MAX_REMEMBERED: usize = 64;

/// The turns for reading whole objects, and the digests that spare a reading.
#[derive(Debug)]
pub(super) struct Reading {
    turns: Semaphore,
    known: Mutex<VecDeque<Known>>,
}

/// The content of an object that was read.
#[derive(Debug)]
struct Known {
    key: Key,
    tag: String,
    size: u64,
    digest: Digest,
}

impl Default for Reading {
    fn default() -> Self {
        Self { turns: Semaphore::new(MAX_READING), known: Mutex::default() }
    }
}

impl Reading {
    fn find(&self, found: &Found) -> Option<(u64, Digest)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it =
            |known: &&Known| (&known.key, Some(&known.tag), known.size) == (&found.key, found.tag.as_ref(), found.size);
        known.iter().find(is_it).map(|known| (known.size, known.digest))
    }

    fn keep(&self, found: &Found, size: u64, digest: Digest) {
        let Some(tag) = found.tag.clone() else { return };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_REMEMBERED {
            known.pop_front();
        }
        known.push_back(Known { key: found.key.clone(), tag, size, digest });
    }
}

impl Remote {
    /// What lies under `key`, if anything.
    ///
    /// # Errors
    /// [`ErrorKind::Store`](crate::error::ErrorKind::Store) where the store does not say.
    pub(super) async fn look(&self, key: &Key) -> Result<Option<Found>> {
        let Some(head) = self.head(key).await? else { return Ok(None) };
        let marks = Marks::read(&head.attributes, key);
        let (size, tag) = (head.meta.size, head.meta.e_tag.clone());
        let record = match &marks {
            // Written by one request: all is in the metadata.
            Some(Marks { digest: Some(_), committed_at: Some(_), .. }) | None => None,
            Some(marks) => self.read_record(marks, key, size).await?,
        };
        Ok(Some(Found { key: key.clone(), size, modified: head.meta.last_modified.into(), tag, marks, record }))
    }

    /// Whether the object under `key` was written by this try.
    pub(super) async fn is_by(&self, key: &Key, attempt: &Attempt) -> Result<bool> {
        let head = self.head(key).await?;
        let marks = head.and_then(|head| Marks::read(&head.attributes, key));
        Ok(marks.and_then(|marks| marks.attempt).as_ref() == Some(attempt))
    }

    /// Whether something lies under `key`.
    pub(super) async fn stands(&self, key: &Key) -> Result<bool> {
        Ok(self.size_of(key).await?.is_some())
    }

    /// Bytes of the object under `key`, if there is one.
    pub(super) async fn size_of(&self, key: &Key) -> Result<Option<u64>> {
        Ok(self.head(key).await?.map(|head| head.meta.size))
    }

    /// Not `ObjectStore::head`, which leaves out the metadata.
    async fn head(&self, key: &Key) -> Result<Option<GetResult>> {
        match self.clients.plain.get_opts(&self.path(key)?, GetOptions::new().with_head(true)).await {
            Ok(head) => Ok(Some(head)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(format_args!("looking at {:?}", key.as_str()), &error)),
        }
    }

    /// The receipt for an object that was found; reads and hashes its bytes where tidegate noted no digest. `None` where it
    /// has gone meanwhile.
    pub(super) async fn receipt(&self, found: Found) -> Result<Option<Receipt>> {
        if let Some(receipt) = found.receipt() {
            return Ok(Some(receipt));
        }
        // Only these wait for each other, so that they take no more of the line than their share.
        let _turn = self.reading.turns.acquire().await;
        if let Some((size, digest)) = self.reading.find(&found) {
            return Ok(Some(found.foreign(size, digest)));
        }
        let failed = |error| self.failed(format_args!("reading {:?}", found.key.as_str()), &error);
        let object = match self.clients.plain.get_opts(&self.path(&found.key)?, GetOptions::new()).await {
            Ok(object) => object,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let is_the_one = object.meta.e_tag == found.tag && object.meta.size == found.size;
        let mut bytes = object.into_stream();
        let mut tally = Tally::new();
        while let Some(chunk) = bytes.try_next().await.map_err(failed)? {
            tally.add(&chunk);
        }
        if is_the_one {
            self.reading.keep(&found, tally.size(), tally.digest());
        }
        Ok(Some(found.foreign(tally.size(), tally.digest())))
    }

    /// An object that was found, as the conflict policy wants to know it by someone who brings `size` bytes. `None` where it
    /// has gone meanwhile.
    pub(super) async fn standing(&self, found: Found, size: u64) -> Result<Option<Standing>> {
        // Bytes of another number need not be read to know that they are others.
        if found.receipt().is_none() && found.size != size {
            return Ok(Some(Standing::Other));
        }
        Ok(self.receipt(found).await?.map(Standing::File))
    }

    /// Notes the receipt of a multipart upload that is about to be completed.
    pub(super) async fn write_record(&self, path: &Path, receipt: &Receipt) -> Result<()> {
        let json = serde_json::to_vec_pretty(receipt).expect("a receipt is plain data with text for keys");
        self.put(path, Bytes::from(json).into(), Attributes::new(), PutMode::Overwrite)
            .await
            .map_err(|error| self.failed(format_args!("noting the receipt of {:?}", receipt.key.as_str()), &error))
    }

    /// Removes a record whose object does not stand. That it stays is no reason to fail anything: nobody follows it.
    pub(super) async fn remove_record(&self, path: &Path) {
        if let Err(error) = self.remove(path).await {
            tracing::warn!(record = %path, store = self.store, %error, "a receipt record that nothing refers to stays in the store");
        }
    }

    async fn read_record(&self, marks: &Marks, key: &Key, size: u64) -> Result<Option<(Receipt, Path)>> {
        let Some(attempt) = &marks.attempt else { return Ok(None) };
        let path = self.record_path(&marks.id, attempt);
        let read = async { self.clients.plain.get_opts(&path, GetOptions::new()).await?.bytes().await };
        let json = match read.await {
            Ok(json) => json,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(format_args!("reading the receipt of {:?}", key.as_str()), &error)),
        };
        let receipt: Receipt = match serde_json::from_slice(&json) {
            Ok(receipt) => receipt,
            Err(error) => {
                // Then the bytes themselves have to tell.
                tracing::warn!(record = %path, store = self.store, %error, "a record is not a receipt");
                return Ok(None);
            }
        };
        // A copy of the object under another key, or other bytes with its metadata, is not what the record tells of.
        let fits = receipt.id.as_ref() == Some(&marks.id) && receipt.key == *key && receipt.size == size;
        Ok(fits.then_some((receipt, path)))
    }

    async fn remove(&self, path: &Path) -> object_store::Result<()> {
        use object_store::ObjectStoreExt as _;
        match self.clients.plain.delete(path).await {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            outcome => outcome,
        }
    }
}
