//! Files that are not valid, kept as objects below `<prefix>/.tidegate/quarantine/`:
//!
//! - `<attempt>.bytes`: the file as it came.
//! - `<id>.<attempt>.json`: what it is and what is wrong with it, written behind the bytes. It is what makes them a file in
//!   quarantine; without it they are what a crash has left.
//!
//! S3 binds a multipart upload to its key before the content is known. So a large file that may have to go here is sent here,
//! and, where it proves valid, is read back and sent once more, to its own key: a copy at the store would be bound to 5 GB, and
//! could not be made under a condition everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{Attributes, GetOptions, ObjectMeta, ObjectStore as _, PutMode};

use super::marks::{self, Attempt};
use super::parts::{Completion, Parts, warn_of_litter};
use super::remote::Remote;
use super::writing::Writing;
use crate::error::Result;
use crate::report::Report;
use crate::sink::claims::Claim;
use crate::sink::place::{Content, Place, Step};
use crate::sink::quarantine::in_order;
use crate::sink::{Held, QuarantineId, Quarantined, Staged};
use crate::upload::{Ending, OnInvalid, Receipt, UploadId, UploadSpec, WhenCut};

/// Reports that are read at once.
const READERS: usize = 8;

/// Keeps `body`, which is `content`.
pub(super) async fn small(
    remote: &Remote,
    spec: &UploadSpec,
    attempt: &Attempt,
    (body, content): (Bytes, Content),
    report: Report,
) -> Result<Quarantined> {
    let kept = Quarantined::new(spec, &content, report);
    if let Some((first, _)) = remote.find_quarantined(&kept.id).await? {
        return Ok(first);
    }
    let path = remote.held_path(attempt);
    let attributes = marks::of_spec(spec, attempt, &spec.key);
    let put = remote.put(&path, body.into(), attributes, PutMode::Overwrite).await;
    put.map_err(|error| remote.failed(format_args!("putting {:?} into quarantine", spec.key.as_str()), &error))?;
    remote.describe(kept, attempt).await
}

/// Keeps what is in `parts`, which were opened here.
pub(super) async fn large(
    remote: &Remote,
    spec: &UploadSpec,
    attempt: &Attempt,
    (mut parts, content): (Parts, Content),
    report: Report,
) -> Result<Quarantined> {
    let kept = Quarantined::new(spec, &content, report);
    match remote.find_quarantined(&kept.id).await {
        Ok(None) => {}
        found => {
            give_up(spec, &mut parts).await;
            return found.map(|found| found.map_or(kept, |(first, _)| first));
        }
    }
    hold(remote, spec, &mut parts).await?;
    remote.describe(kept, attempt).await
}

/// Commits what is in `parts`, which were opened here, under its own key: it has proved valid.
pub(super) async fn release(
    remote: &Arc<Remote>,
    spec: &UploadSpec,
    attempt: &Attempt,
    (mut parts, content): (Parts, Content),
    claim: Claim<UploadId>,
) -> Result<Receipt> {
    match remote.stands_already(spec, content).await {
        Ok(None) => {}
        Ok(Some(receipt)) => {
            give_up(spec, &mut parts).await;
            return Ok(receipt);
        }
        Err(error) => {
            give_up(spec, &mut parts).await;
            return Err(error);
        }
    }
    hold(remote, spec, &mut parts).await?;
    let path = remote.held_path(attempt);
    let sent = send_on(remote, spec, &path, content, claim).await;
    remote.remove_all(vec![path]).await.unwrap_or_else(|litter| warn_of_litter(&spec.key, &litter));
    sent
}

/// Makes one object of the parts. Nobody sees it yet, so that an answer that was lost is a failure like any other.
async fn hold(remote: &Remote, spec: &UploadSpec, parts: &mut Parts) -> Result<()> {
    let arrived = parts.all_arrived().await;
    let completed = match arrived {
        Ok(()) => parts
            .complete(Completion::Replace)
            .await
            .map(drop)
            .map_err(|error| remote.failed(format_args!("completing {:?} where it is held", spec.key.as_str()), &error)),
        Err(error) => Err(error),
    };
    if completed.is_err() {
        give_up(spec, parts).await;
    }
    completed
}

async fn give_up(spec: &UploadSpec, parts: &mut Parts) {
    parts.abort().await.unwrap_or_else(|litter| warn_of_litter(&spec.key, &litter));
}

/// Reads what is held, and commits it as any other upload of this size.
async fn send_on(
    remote: &Arc<Remote>,
    spec: &UploadSpec,
    path: &Path,
    content: Content,
    claim: Claim<UploadId>,
) -> Result<Receipt> {
    let spec = UploadSpec {
        size: Some(content.size),
        digest: Some(content.digest),
        when_cut: WhenCut::Drop,
        on_invalid: OnInvalid::Reject,
        ..spec.clone()
    };
    let mut bytes = remote.stream(path).await?;
    let mut onward = Box::new(Writing::new(Arc::clone(remote), spec, claim));
    loop {
        let sent = match bytes.try_next().await {
            Ok(Some(chunk)) => onward.write(chunk).await,
            Ok(None) => return onward.commit(Ending { claim: None, verdict: content.verdict }).await,
            Err(error) => Err(error),
        };
        if let Err(error) = sent {
            let name = onward.spec().key.clone();
            onward.abort().await.unwrap_or_else(|litter| warn_of_litter(&name, &litter));
            return Err(error);
        }
    }
}

/// What lies in quarantine, by the names alone.
#[derive(Debug, Default)]
struct Inventory {
    /// The tries whose bytes are there, and since when.
    held: BTreeMap<Attempt, SystemTime>,
    /// The reports on them, those of the same file beside each other.
    reports: BTreeMap<(QuarantineId, Attempt), SystemTime>,
}

impl Inventory {
    /// What is none of ours is passed over.
    fn of(objects: Vec<ObjectMeta>) -> Self {
        let mut inventory = Self::default();
        for object in objects {
            let modified = object.last_modified.into();
            let name = object.location.filename().unwrap_or_default();
            if let Some(attempt) = name.strip_suffix(".bytes").and_then(|attempt| attempt.to_owned().try_into().ok()) {
                inventory.held.insert(attempt, modified);
            } else if let Some(report) = name.strip_suffix(".json").and_then(names_of) {
                inventory.reports.insert(report, modified);
            }
        }
        inventory
    }
}

fn names_of(stem: &str) -> Option<(QuarantineId, Attempt)> {
    let (id, attempt) = stem.split_once('.')?;
    Some((id.parse().ok()?, attempt.to_owned().try_into().ok()?))
}

impl Remote {
    /// Where the bytes lie that one try brings, and that are not, or not yet, to be seen.
    pub(super) fn held_path(&self, attempt: &Attempt) -> Path {
        self.reserved(&format!("quarantine/{attempt}.bytes"))
    }

    fn report_path(&self, id: &QuarantineId, attempt: &Attempt) -> Path {
        self.reserved(&format!("quarantine/{id}.{attempt}.json"))
    }

    /// Writes the report on what this try holds: with it, it is in quarantine.
    async fn describe(&self, kept: Quarantined, attempt: &Attempt) -> Result<Quarantined> {
        let path = self.report_path(&kept.id, attempt);
        match self.put(&path, kept.encode().into(), Attributes::new(), PutMode::Overwrite).await {
            Ok(()) => Ok(kept),
            Err(error) => Err(self.failed(format_args!("writing the report on {:?}", kept.name.as_str()), &error)),
        }
    }

    /// The receipt, where the same content lies under the very name already: that spares reading it back.
    async fn stands_already(&self, spec: &UploadSpec, content: Content) -> Result<Option<Receipt>> {
        let mut place = Place::new(spec, content);
        let Some(found) = self.look(place.key()).await? else { return Ok(None) };
        let Some(standing) = self.standing(found, content.size).await? else { return Ok(None) };
        match place.taken(standing)? {
            Step::Done(receipt) => Ok(Some(receipt)),
            Step::Replace | Step::Next => Ok(None),
        }
    }

    /// Every file in quarantine.
    pub(super) async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        let Inventory { held, reports } = Inventory::of(self.list(&self.reserved("quarantine")).await?);
        let mut there = reports.into_keys().filter(|(_, attempt)| held.contains_key(attempt)).collect::<Vec<_>>();
        // Two nodes that kept the same at once have kept it twice; the older one counts.
        there.dedup_by(|later, earlier| later.0 == earlier.0);
        let read = futures::stream::iter(there)
            .map(|(id, attempt)| async move { self.read_report(&id, &attempt).await })
            .buffer_unordered(READERS);
        let files: Vec<_> = read.try_filter_map(|file| std::future::ready(Ok(file))).try_collect().await?;
        Ok(in_order(files))
    }

    /// One of them, and the try that brought it.
    async fn find_quarantined(&self, id: &QuarantineId) -> Result<Option<(Quarantined, Attempt)>> {
        for attempt in self.tries_of(id).await? {
            let head = GetOptions::new().with_head(true);
            match self.clients.plain.get_opts(&self.held_path(&attempt), head).await {
                Ok(_) => {}
                Err(object_store::Error::NotFound { .. }) => continue,
                Err(error) => return Err(self.failed(format_args!("looking at {id} in quarantine"), &error)),
            }
            if let Some(file) = self.read_report(id, &attempt).await? {
                return Ok(Some((file, attempt)));
            }
        }
        Ok(None)
    }

    async fn read_report(&self, id: &QuarantineId, attempt: &Attempt) -> Result<Option<Quarantined>> {
        let path = self.report_path(id, attempt);
        let Some(json) = self.fetch(&path).await? else { return Ok(None) };
        let file = Quarantined::decode(&json).filter(|file| file.id == *id);
        if file.is_none() {
            tracing::warn!(report = %path, store = self.store, "what lies in quarantine as a report is none");
        }
        Ok(file)
    }

    /// The tries that have brought this file, in their order.
    async fn tries_of(&self, id: &QuarantineId) -> Result<Vec<Attempt>> {
        let prefix = format!("{}/{id}.", self.reserved("quarantine"));
        // One page: there is one try, or as many as there are nodes that kept the same at once.
        let listed = self.clients.plain.list_paginated(Some(&prefix), PaginatedListOptions::default()).await;
        let listed = listed.map_err(|error| self.failed(format_args!("looking for {id} in quarantine"), &error))?;
        Ok(Inventory::of(listed.result.objects).reports.into_keys().map(|(_, attempt)| attempt).collect())
    }

    /// The bytes of a file in quarantine, if it is there.
    pub(super) async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>> {
        match self.find_quarantined(id).await? {
            Some((_, attempt)) => self.stream(&self.held_path(&attempt)).await.map(Some),
            None => Ok(None),
        }
    }

    /// Removes a file from quarantine; whether it was there. The reports first: without them it is gone for everybody.
    pub(super) async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        let was_there = self.find_quarantined(id).await?.is_some();
        let tries = self.tries_of(id).await?;
        self.remove_all(tries.iter().map(|attempt| self.report_path(id, attempt)).collect()).await?;
        self.remove_all(tries.iter().map(|attempt| self.held_path(attempt)).collect()).await?;
        Ok(was_there)
    }

    /// Removes halves that are old: bytes without a report, and reports without bytes; says how many. What this process is
    /// about to keep, or to send on, stays.
    pub(super) async fn sweep_quarantine(&self, is_old: impl Fn(SystemTime) -> bool) -> Result<u64> {
        let Inventory { held, reports } = Inventory::of(self.list(&self.reserved("quarantine")).await?);
        let described: BTreeSet<_> = reports.keys().map(|(_, attempt)| attempt).collect();
        let bytes = held
            .iter()
            .filter(|(attempt, since)| is_old(**since) && !described.contains(attempt) && !self.holding.holds(attempt))
            .map(|(attempt, _)| self.held_path(attempt));
        let alone = reports
            .iter()
            .filter(|((_, attempt), since)| is_old(**since) && !held.contains_key(attempt))
            .map(|((id, attempt), _)| self.report_path(id, attempt));
        let halves: Vec<Path> = bytes.chain(alone).collect();
        let removed = halves.len() as u64;
        self.remove_all(halves).await.map(|()| removed)
    }

    /// The bytes of an object.
    async fn stream(&self, path: &Path) -> Result<Held> {
        let (store, place) = (self.store.clone(), path.to_string());
        let failed = move |error| super::words::failed(&store, format_args!("reading {place:?}"), &error);
        match self.clients.plain.get_opts(path, GetOptions::new()).await {
            Ok(object) => Ok(object.into_stream().map_err(failed).boxed()),
            Err(error) => Err(failed(error)),
        }
    }
}
