//! Removing what nobody will come back for: uploads that were cut off long ago, multipart uploads that nobody speaks of, and
//! records whose object does not stand.
//!
//! The clock is the store's own. Other nodes are not asked: an upload that is alive writes something down with every part,
//! and when it is resumed, so that what is in use is young.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use futures::{StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{Attributes, GetOptions, MultipartId, ObjectMeta, ObjectStore as _, PutMode};

use super::manifest::Standing;
use super::marks::Attempt;
use super::remote::{Gone, Remote};
use crate::error::{Error, Result};
use crate::sink::Swept;
use crate::sink::claims::Claims;
use crate::upload::{Receipt, UploadId};

/// Records looked at, at once.
const READERS: usize = 8;

/// Records of receipts that one sweep looks at, old and young; the next one goes on behind them. Every large file has one for as
/// long as it stands, so that to look at all of them would take without end.
const RECORDS: usize = 1_000;

/// Removes what is older than `ttl`. What can't be removed does not keep the rest; the
/// first such error is the answer.
pub(super) async fn sweep(remote: &Remote, writers: &Claims<UploadId>, ttl: Duration) -> Result<Swept> {
    let now = remote.clock().await?;
    let is_old = |time: SystemTime| now.duration_since(time).unwrap_or_default() >= ttl;
    let mut sweep = Sweep { remote, writers, removed: 0, trouble: Ok(()) };
    let mut inventory = Inventory::take(remote).await?;
    for (id, newest) in std::mem::take(&mut inventory.uploads) {
        if !is_old(newest) || !sweep.upload(&id, is_old).await {
            inventory.uploads.insert(id, newest);
        }
    }
    let kept = inventory.uploads.len() as u64;
    sweep.multiparts(&inventory, is_old).await;
    let probes = std::mem::take(&mut inventory.probes).into_iter().filter(|(_, modified)| is_old(*modified));
    // A commit may look for a note until a claim of its age expires: younger notes stay.
    let is_over = |time: SystemTime| now.duration_since(time).unwrap_or_default() >= remote.claim_times.ttl;
    let is_over = |time: SystemTime| is_old(time) && is_over(time);
    let outcome = remote.remove_all(probes.map(|(path, _)| path).collect()).await;
    sweep.note(outcome);
    for (path, _) in std::mem::take(&mut inventory.notes).into_iter().filter(|(_, modified)| is_over(*modified)) {
        // It may have been written anew since it was listed.
        if let Ok(found) = remote.clients.plain.get_opts(&path, GetOptions::new().with_head(true)).await
            && is_over(found.meta.last_modified.into())
        {
            let outcome = remote.remove_all(vec![path]).await;
            sweep.note(outcome);
        }
    }
    let claims = std::mem::take(&mut inventory.claims).into_iter().filter(|(_, newest)| is_old(*newest));
    match remote.sweep_claims(claims.map(|(folder, _)| folder).collect()).await {
        Ok(removed) => sweep.removed += removed,
        Err(error) => sweep.note(Err(error)),
    }
    match remote.sweep_quarantine(is_old).await {
        Ok(removed) => sweep.removed += removed,
        Err(error) => sweep.note(Err(error)),
    }
    inventory.receipts.retain(|receipt| is_old(receipt.modified));
    sweep.receipts(inventory).await;
    sweep.trouble.map(|()| Swept { removed: sweep.removed, kept })
}

/// What lies below the reserved prefix.
#[derive(Debug, Default)]
struct Inventory {
    /// The newest time of what lies there of each upload.
    uploads: BTreeMap<UploadId, SystemTime>,
    /// Some of them: those whose turn it is.
    receipts: Vec<Record>,
    probes: Vec<(Path, SystemTime)>,
    /// The notes of folders, and their times.
    notes: Vec<(Path, SystemTime)>,
    /// The folders of claims, and the newest time of what lies there.
    claims: BTreeMap<String, SystemTime>,
}

/// The record of a receipt.
#[derive(Debug)]
struct Record {
    path: Path,
    id: UploadId,
    attempt: Attempt,
    modified: SystemTime,
}

impl Inventory {
    async fn take(remote: &Remote) -> Result<Self> {
        let folder = remote.reserved_folder();
        let mut inventory = Self::default();
        for record in remote.next_records().await? {
            inventory.add(&folder, record.location, record.last_modified.into());
        }
        for room in ["uploads", "probe", "claims", "folders"] {
            let room = remote.reserved(room);
            let mut objects = remote.clients.plain.list(Some(&room));
            while let Some(object) = objects.next().await {
                let object = object.map_err(|error| remote.failed(format_args!("listing {room}"), &error))?;
                inventory.add(&folder, object.location, object.last_modified.into());
            }
        }
        Ok(inventory)
    }

    /// What is none of ours is passed over.
    fn add(&mut self, folder: &Path, path: Path, modified: SystemTime) {
        let rest = path.as_ref().strip_prefix(folder.as_ref()).unwrap_or_default();
        let mut names = rest.trim_start_matches('/').splitn(3, '/');
        match (names.next(), names.next(), names.next()) {
            (Some("uploads"), Some(id), Some(_)) => {
                let Ok(id) = id.parse() else { return };
                let newest = self.uploads.entry(id).or_insert(modified);
                *newest = modified.max(*newest);
            }
            (Some("receipts"), Some(name), None) => {
                let parse = || {
                    let (id, attempt) = name.strip_suffix(".json")?.rsplit_once('.')?;
                    Some((id.parse().ok()?, attempt.to_owned().try_into().ok()?))
                };
                if let Some((id, attempt)) = parse() {
                    self.receipts.push(Record { path, id, attempt, modified });
                }
            }
            (Some("claims"), Some(folder), Some(_)) => {
                let newest = self.claims.entry(folder.to_owned()).or_insert(modified);
                *newest = modified.max(*newest);
            }
            (Some("folders"), Some(_), Some(_)) => self.notes.push((path, modified)),
            (Some("probe"), Some(_), _) => self.probes.push((path, modified)),
            _ => {}
        }
    }
}

struct Sweep<'a> {
    remote: &'a Remote,
    writers: &'a Claims<UploadId>,
    removed: u64,
    trouble: Result<()>,
}

impl Sweep<'_> {
    /// Removes an upload that is kept, and says whether; not one that this process is writing.
    async fn upload(&mut self, id: &UploadId, is_old: impl Fn(SystemTime) -> bool) -> bool {
        // Held, so that nobody goes on with it here meanwhile.
        let Some(_claim) = self.writers.claim(id) else { return false };
        let outcome = self.remote.drop_upload(id, is_old).await;
        let dropped = matches!(outcome, Ok(true));
        self.removed += u64::from(dropped);
        self.note(outcome.map(drop));
        dropped
    }

    /// Gives up the old multipart uploads below the prefix that no upload speaks of.
    async fn multiparts(&mut self, inventory: &Inventory, is_old: impl Fn(SystemTime) -> bool) {
        let unfinished = match self.remote.unfinished.unfinished().await {
            Ok(unfinished) => unfinished,
            Err(error) => return self.note(Err(error)),
        };
        let mut orphans: BTreeMap<MultipartId, Path> = unfinished
            .into_iter()
            .filter(|multipart| is_old(multipart.initiated) && self.remote.holds(&multipart.path))
            .filter(|multipart| !self.remote.open.holds(&multipart.id))
            .map(|multipart| (multipart.id, multipart.path))
            .collect();
        if orphans.is_empty() {
            return;
        }
        for id in inventory.uploads.keys() {
            match self.remote.manifest(id).await {
                Ok(Standing::Manifest(manifest)) => drop(orphans.remove(&manifest.multipart)),
                Ok(Standing::Nothing | Standing::Unreadable) => {}
                // Then nobody knows what it speaks of.
                Err(error) => return self.note(Err(error)),
            }
        }
        for (multipart, path) in orphans {
            let outcome = self.remote.abort(&path, &multipart).await;
            // MinIO goes on listing some that it has completed, until it is restarted: those are nothing to tell of.
            self.removed += u64::from(matches!(outcome, Ok(Gone::Now)));
            self.note(outcome.map(drop));
        }
    }

    /// Removes the records whose object does not stand. Of an upload that is alive they stay: it may be about to commit.
    async fn receipts(&mut self, inventory: Inventory) {
        let Inventory { uploads, receipts, .. } = inventory;
        let mut dead = receipts;
        dead.retain(|record| !uploads.contains_key(&record.id) && !self.writers.holds(&record.id));
        let remote = self.remote;
        let looked = futures::stream::iter(dead)
            .map(|record| async move { Ok::<_, Error>((!remote.is_followed(&record).await?).then_some(record.path)) })
            .buffer_unordered(READERS);
        let outcome = match looked.try_filter_map(|path| std::future::ready(Ok(path))).try_collect().await {
            Ok(paths) => remote.remove_all(paths).await,
            Err(error) => Err(error),
        };
        self.note(outcome);
    }

    fn note(&mut self, outcome: Result<()>) {
        if self.trouble.is_ok() {
            self.trouble = outcome;
        } else if let Err(error) = outcome {
            tracing::warn!(%error, "a sweep leaves something behind");
        }
    }
}

impl Remote {
    /// What the store's clock shows, as it tells it of an object that is written now.
    pub(super) async fn clock(&self) -> Result<SystemTime> {
        let path = self.probe_path(UploadId::generate().as_str());
        let asked = async {
            self.put(&path, "what time is it?".into(), Attributes::new(), PutMode::Overwrite).await?;
            self.clients.plain.get_opts(&path, GetOptions::new().with_head(true)).await
        };
        let outcome = asked.await.map_err(|error| self.failed("asking the store for the time", &error));
        self.remove_all(vec![path]).await?;
        Ok(outcome?.meta.last_modified.into())
    }

    /// The records of receipts whose turn it is.
    async fn next_records(&self) -> Result<Vec<ObjectMeta>> {
        let folder = self.reserved("receipts");
        let begin = self.swept_to.lock().unwrap_or_else(PoisonError::into_inner).take();
        let listed = match &begin {
            Some(begin) => self.clients.plain.list_with_offset(Some(&folder), begin),
            None => self.clients.plain.list(Some(&folder)),
        };
        let records: Vec<ObjectMeta> = listed
            .take(RECORDS)
            .try_collect()
            .await
            .map_err(|error| self.failed(format_args!("listing {folder}"), &error))?;
        if records.len() == RECORDS {
            let last = records.last().map(|record| record.location.clone());
            *self.swept_to.lock().unwrap_or_else(PoisonError::into_inner) = last;
        }
        Ok(records)
    }

    /// Whether what the record tells of stands.
    async fn is_followed(&self, record: &Record) -> Result<bool> {
        // Gone meanwhile: then nothing is to be removed.
        let Some(json) = self.fetch(&record.path).await? else { return Ok(true) };
        match serde_json::from_slice::<Receipt>(&json) {
            Ok(receipt) => self.is_by(&receipt.key, &record.attempt).await,
            Err(_) => Ok(false),
        }
    }
}
