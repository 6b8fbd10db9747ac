//! A multipart upload under way: opened at the store, bound to its key, its parts on their way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, PutMultipartOptions, PutResult};
use tokio::task::{JoinError, JoinSet};

use super::bindings::Binding;
use super::manifest::{Journal, Manifest, Saved};
use super::marks::{self, Attempt};
use super::probe;
use super::remote::{Clients, Remote, Seen};
use super::sending::{Arrived, Fate, Outcome, Sending};
use crate::config::Integrity;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::claims::Claim;
use crate::sink::place::MAX_VERSIONS;
use crate::sink::refusal;
use crate::sink::version_index::LOOKED_AT;
use crate::upload::{Key, OnConflict, OnInvalid, UploadSpec, WhenCut};

/// Parts of one upload that S3 takes: Amazon S3 User Guide, "Amazon S3 multipart upload limits".
pub(super) const MAX_PARTS: usize = 10_000;

/// How long an upload that is given up waits for the parts that are on their way. A part that arrives after the abort would
/// stay in the store, so they are better let through than cut.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open multipart upload.
#[derive(Debug)]
pub(super) struct Parts {
    remote: Arc<Remote>,
    key: Key,
    path: Path,
    multipart: MultipartId,
    integrity: Integrity,
    /// Bytes of every part but the last.
    part_bytes: usize,
    on_the_way: JoinSet<(usize, Outcome)>,
    /// What came of each part, by its number.
    arrived: Vec<Option<Arrived>>,
    fate: Fate,
    /// Where the upload is written down, if it is kept for a sender who comes back.
    journal: Option<Journal>,
    /// From where the upload was resumed, in bytes.
    kept_to: u64,
    /// The tail that the upload was resumed from.
    tail: Option<Path>,
    /// Keeps other uploads of this process off the version that this one is bound to.
    _version: Option<Binding>,
    /// Keeps the sweep of this process off it.
    _open: Option<Claim<MultipartId>>,
}

/// What was written down of an upload that goes on.
#[derive(Debug)]
pub(super) struct Reopened {
    pub(super) journal: Journal,
    pub(super) parts: Vec<PartId>,
    /// Bytes, with those of the tail.
    pub(super) kept_to: u64,
    pub(super) tail: Option<Path>,
}

impl Parts {
    /// Opens a multipart upload under the key that `spec` asks for or, under [`OnConflict::Version`], under the first of its
    /// versions that is free: S3 binds it to its key here, before the content is known. What may have to go into quarantine is
    /// bound to a place there.
    pub(super) async fn open(remote: Arc<Remote>, spec: &UploadSpec, attempt: &Attempt) -> Result<Self> {
        let held = spec.on_invalid == OnInvalid::Quarantine;
        let (key, version) = match spec.on_conflict {
            OnConflict::Version if !held => {
                let (key, binding) = free_version(&remote, spec).await?;
                (key, Some(binding))
            }
            OnConflict::Reject | OnConflict::Version | OnConflict::Overwrite => (spec.key.clone(), None),
        };
        let path = if held { remote.held_path(attempt) } else { remote.path(&key)? };
        let attributes = marks::of_spec(spec, attempt, &key);
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let integrity = remote.integrity();
        let opened = remote.clients.storing(integrity).create_multipart_opts(&path, options).await;
        let multipart = opened
            .map_err(|error| remote.failed(format_args!("opening a multipart upload of {:?}", key.as_str()), &error))?;
        let part_bytes = remote.part_bytes;
        let manifest = Manifest::new(spec.clone(), attempt.clone(), key, multipart, (part_bytes, integrity));
        let mut parts = Self::of(remote, &manifest, path, version);
        if spec.when_cut == WhenCut::Keep
            && let Err(error) = parts.write_down(&manifest).await
        {
            parts.abort().await.unwrap_or_else(|litter| warn_of_litter(&spec.key, &litter));
            return Err(error);
        }
        Ok(parts)
    }

    /// Goes on with a multipart upload that was opened before.
    pub(super) fn reopen(remote: Arc<Remote>, manifest: &Manifest, reopened: Reopened) -> Result<Self> {
        let Reopened { journal, parts, kept_to, tail } = reopened;
        let path = remote.path(&manifest.key)?;
        // Somebody else may be bound to that version by now: the store decides between them.
        let version = match manifest.spec.on_conflict {
            OnConflict::Version => remote.bindings.bind(&manifest.key, &manifest.spec),
            OnConflict::Reject | OnConflict::Overwrite => None,
        };
        let arrived = parts.into_iter().map(|id| Some(Arrived { id, saved: true })).collect();
        let new = Self::of(remote, manifest, path, version);
        Ok(Self { journal: Some(journal), arrived, kept_to, tail, ..new })
    }

    fn of(remote: Arc<Remote>, manifest: &Manifest, path: Path, version: Option<Binding>) -> Self {
        Self {
            key: manifest.key.clone(),
            path,
            part_bytes: manifest.part_bytes,
            integrity: manifest.integrity,
            on_the_way: JoinSet::new(),
            arrived: Vec::new(),
            fate: Fate::Ours,
            journal: None,
            kept_to: 0,
            tail: None,
            _version: version,
            _open: remote.open.claim(&manifest.multipart),
            multipart: manifest.multipart.clone(),
            remote,
        }
    }

    /// Sees to it that the upload can be resumed; on a store that ignores conditions it can't be, for nobody could tell who
    /// goes on with it.
    async fn write_down(&mut self, manifest: &Manifest) -> Result<()> {
        if let Err(error) = probe::assure(&self.remote, Seen::can_create).await {
            tracing::debug!(name = self.key.as_str(), %error, "an upload can't be resumed");
            return Ok(());
        }
        self.journal = Some(Journal::begin(Arc::clone(&self.remote), manifest).await?);
        Ok(())
    }

    /// The key that the upload is bound to.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// The store's id of the upload.
    pub(super) fn multipart(&self) -> &MultipartId {
        &self.multipart
    }

    /// Whether the upload was left to another node, which may complete it.
    pub(super) fn is_ceded(&self) -> bool {
        self.fate == Fate::Ceded
    }

    /// Whether no part was sent yet.
    pub(super) fn is_empty(&self) -> bool {
        self.arrived.is_empty()
    }

    /// Whether the store does not know the upload any more.
    pub(super) fn is_gone(&self) -> bool {
        self.fate == Fate::Gone
    }

    /// Whether it is written down what becomes of the upload.
    pub(super) fn is_kept(&self) -> bool {
        self.journal.is_some()
    }

    /// Sends the next part, once fewer than the allowed number are on their way; when it has arrived, that is written down
    /// with what is `saved`.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for one part too many; [`ErrorKind::Store`] where this or an earlier part failed;
    /// [`ErrorKind::Busy`] where another node has sent another one.
    pub(super) async fn send(&mut self, part: Bytes, saved: Option<Saved>) -> Result<()> {
        let index = self.arrived.len();
        if index >= MAX_PARTS {
            return Err(self.remote.too_large(&self.key));
        }
        while self.on_the_way.len() >= self.remote.parts_in_flight {
            self.next_arrival().await?;
        }
        self.arrived.push(None);
        let sending = Sending {
            remote: Arc::clone(&self.remote),
            path: self.path.clone(),
            multipart: self.multipart.clone(),
            integrity: self.integrity,
            index,
            saved: self.journal.clone().zip(saved),
        };
        self.on_the_way.spawn(async move { (index, sending.run(part).await) });
        Ok(())
    }

    /// Waits until every part has arrived.
    pub(super) async fn all_arrived(&mut self) -> Result<()> {
        while !self.on_the_way.is_empty() {
            self.next_arrival().await?;
        }
        Ok(())
    }

    /// Makes the object of the parts, which must all have arrived.
    pub(super) async fn complete(&self, how: Completion) -> object_store::Result<PutResult> {
        let parts = self.arrived.iter().flatten().map(|part| part.id.clone()).collect();
        let Clients { plain, creating, .. } = &self.remote.clients;
        let client = match how {
            Completion::Create => creating,
            Completion::Replace => plain,
        };
        client.complete_multipart(&self.path, &self.multipart, parts).await
    }

    /// Waits for what is on its way, and says up to which byte all that was sent can be resumed.
    pub(super) async fn saved_to(&mut self) -> u64 {
        while let Err(error) = self.all_arrived().await {
            tracing::debug!(name = self.key.as_str(), %error, "a part was not kept");
        }
        if self.fate == Fate::Gone {
            return 0;
        }
        let saved = |part: &&Option<Arrived>| part.as_ref().is_some_and(|part| part.saved);
        let run = self.arrived.iter().take_while(saved).count() as u64 * self.part_bytes as u64;
        run.max(self.kept_to)
    }

    /// Whether a tail is kept that ends there: that of the offset from which the upload was resumed.
    pub(super) fn holds_up_to(&self, offset: u64) -> bool {
        self.tail.is_some() && self.kept_to == offset
    }

    /// Keeps `bytes`, which follow on the parts, in the place of the tail that the upload was resumed from.
    pub(super) async fn keep_tail(&mut self, saved: &Saved, bytes: Bytes) -> Result<()> {
        let Some(journal) = &self.journal else { return Ok(()) };
        let written = journal.tail(saved.tally.size() - bytes.len() as u64, saved, bytes).await?;
        self.kept_to = saved.tally.size();
        match self.tail.replace(written.clone()) {
            Some(before) if before != written => self.remote.remove_all(vec![before]).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Removes what was written down, after a commit. That something stays is no reason to fail one.
    pub(super) async fn forget(&self) {
        if let Some(journal) = &self.journal {
            journal.clear().await.unwrap_or_else(|litter| warn_of_litter(&self.key, &litter));
        }
    }

    /// Gives the upload up, so that the store drops its parts and no complete can follow any more, and removes what was
    /// written down. What was left to another node stays.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store did not confirm it.
    pub(super) async fn abort(&mut self) -> Result<()> {
        let drained = async {
            while let Err(error) = self.all_arrived().await {
                tracing::debug!(name = self.key.as_str(), %error, "a part of an upload that is given up failed");
            }
        };
        if tokio::time::timeout(PATIENCE, drained).await.is_err() {
            self.on_the_way.shutdown().await;
        }
        if self.fate == Fate::Ceded {
            return Ok(());
        }
        self.fence().await?;
        match &self.journal {
            Some(journal) => journal.clear().await,
            None => Ok(()),
        }
    }

    /// Sees to it that no complete can follow any more.
    pub(super) async fn fence(&self) -> Result<()> {
        self.remote.abort(&self.path, &self.multipart).await.map(drop)
    }

    async fn next_arrival(&mut self) -> Result<()> {
        let Some(joined) = self.on_the_way.join_next().await else { return Ok(()) };
        let (index, outcome) = joined.map_err(|error| stopped("sending a part", error))?;
        match outcome {
            Ok(part) => {
                self.arrived[index] = Some(part);
                Ok(())
            }
            Err((fate, error)) => {
                if fate != Fate::Ours {
                    self.fate = fate;
                }
                if fate == Fate::Gone {
                    // So that the next try begins anew.
                    self.forget().await;
                }
                Err(error)
            }
        }
    }
}

/// Says that something stayed behind, which the sweep will find.
pub(super) fn warn_of_litter(name: &Key, litter: &Error) {
    tracing::warn!(name = name.as_str(), error = %litter, "what was sent of an upload stays in the store until it is swept up");
}

/// How a multipart upload becomes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    /// Where nothing lies under the key.
    Create,
    /// In the place of whatever lies there.
    Replace,
}

/// What a task that did not end by itself comes to: its panic goes on, a stop (the runtime ends) is an error.
pub(super) fn stopped(doing: &str, error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::new(ErrorKind::Unknown, format!("{doing} was stopped")).because(error),
    }
}

/// The first version of the name under which nothing lies and to which no other upload of this
/// process is bound, but for rivals.
async fn free_version(remote: &Remote, spec: &UploadSpec) -> Result<(Key, Binding)> {
    let name = &base(remote, &spec.key).await?;
    let mut taken = None;
    for number in 1..=MAX_VERSIONS {
        if number == LOOKED_AT + 1 {
            taken = Some(remote.taken_versions(name).await?);
        }
        if taken.as_ref().is_some_and(|taken| taken.holds(number)) {
            continue;
        }
        let key = match number {
            1 => Ok(name.clone()),
            _ => name.version(number),
        };
        let key = key.map_err(|error| refusal::versions_taken(name).because(error))?;
        let Some(binding) = remote.bindings.bind(&key, spec) else { continue };
        if let Some(size) = remote.size_of(&key).await? {
            remote.note_version(name, number, size, None);
        } else if remote.hidden_below(&key).await?.is_none() {
            return Ok((key, binding));
        }
    }
    Err(refusal::versions_taken(name))
}

/// What the versions of `name` are numbered from: itself, or its place beside the files that are in
/// the way of its folders.
async fn base(remote: &Remote, name: &Key) -> Result<Key> {
    let mut base = name.clone();
    while let Some(file) = remote.blocking_ancestor(&base).await? {
        base = remote.beside(&base, &file).await?;
    }
    Ok(base)
}
