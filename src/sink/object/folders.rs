//! Names that are also folders, on stores that hide what lies below an object: `MinIO` keeps `p/a`,
//! and no listing shows it once `p` exists.
//!
//! Before a commit the store is asked for an object at each ancestor of the key, and for one object
//! below the key. Commits of `p` and `p/a` at the same time have at most one receipt:
//!
//! - In one process they take turns.
//! - Another process learns of the first file of a folder by a note,
//!   `<prefix>/.tidegate/folders/<SHA-256 of the folder>/<attempt>.json`, which names that file. It
//!   is written before the store is asked for `p`. After storing `p`, a committer looks for notes
//!   before it answers: what is noted later finds `p`.
//! - A folder in which something stands needs no note: a committer of `p` sees that.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::try_join_all;
use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{Attributes, PutMode};
use serde::{Deserialize, Serialize};

use super::key_claims::key_hash;
use super::marks::Attempt;
use super::remote::Remote;
use super::turns::Turn;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::place::MAX_VERSIONS;
use crate::sink::refusal;
use crate::sink::version_index::LOOKED_AT;
use crate::upload::Key;

/// Folders that are remembered, and for how long. A committer sees what stands below its key, so
/// that no file comes over a folder, unless the folder was emptied by another way.
const MAX_KNOWN: usize = 10_000;
const BELIEVED: Duration = Duration::from_secs(10);

/// Stands beside the notes of a folder. Written before each, and removed by the sweep alone.
const SIGN: &str = "noted";

const NOTE_POLL_PAUSE: Duration = Duration::from_millis(100);

/// The folders in which this process has seen something, and when it has last looked for a file of
/// that name.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<Key, Instant>>);

impl Known {
    fn holds(&self, folder: &Key) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(folder).is_some_and(|seen| seen.elapsed() < BELIEVED)
    }

    fn add(&self, folder: Key) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(folder, Instant::now());
    }
}

/// An object that would hide a file, or be hidden by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum InTheWay {
    /// An ancestor that is a file.
    File(Key),
    /// The key is a folder; one object below it.
    Below(String),
}

impl InTheWay {
    /// The answer to an upload that wants to commit `key`.
    pub(super) fn conflict(&self, key: &Key) -> Error {
        match self {
            Self::File(file) => refusal::below_file(key, file.as_str()),
            Self::Below(below) => refusal::is_folder(key, Some(below)),
        }
    }
}

/// That a file is about to be the first of its folder.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    folder: Key,
    key: Key,
}

/// A key to which the way is clear. Nothing of this process commits what would get into it as long
/// as this is held.
#[derive(Debug)]
pub(super) struct ClearWay<'a> {
    remote: &'a Remote,
    key: Key,
    /// Ancestors that were not known to be folders.
    new_folders: Vec<Key>,
    notes: Vec<Path>,
    turns: Vec<Turn<'a>>,
}

impl ClearWay<'_> {
    /// To be asked when the object stands and before that is answered: what another writer has
    /// brought meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] where that can't be seen.
    pub(super) async fn look_back(self) -> Result<Option<InTheWay>> {
        let _turns = self.turns;
        let blind = |error: Error| {
            let message = format!("whether {:?} hides what came below it can't be seen", self.key.as_str());
            Error::new(ErrorKind::Unknown, message).because(error)
        };
        let noted = self.remote.noted_below(&self.key).await.map_err(blind)?;
        if let Some(below) = &noted {
            tracing::error!(key = self.key.as_str(), hidden = ?below, "file hides another: move it elsewhere");
        }
        self.new_folders.into_iter().for_each(|folder| self.remote.known_folders.add(folder));
        Ok(noted)
    }

    /// To be called when nothing was committed and nothing can follow.
    pub(super) async fn give_up(self) {
        if let Err(error) = self.remote.remove_all(self.notes).await {
            tracing::warn!(key = self.key.as_str(), %error, "note of a folder left behind");
        }
    }
}

impl Remote {
    /// Whether the store may hide what lies below an object.
    pub(super) fn may_hide(&self) -> bool {
        self.seen.hides.get() != Some(&false)
    }

    /// The way to `key`, or what is in it; `None` where nothing can be.
    pub(super) async fn clear_way(&self, key: &Key, attempt: &Attempt) -> Result<Result<Option<ClearWay<'_>>, InTheWay>> {
        if !self.may_hide() {
            return Ok(Ok(None));
        }
        let mut way =
            ClearWay { remote: self, key: key.clone(), new_folders: Vec::new(), notes: Vec::new(), turns: Vec::new() };
        // A known folder is no file, and stays none.
        let ancestors: Vec<_> = ancestors(key).into_iter().filter(|folder| !self.known_folders.holds(folder)).collect();
        // From the root on, the key last: so that commits which wait for each other come to an end.
        for folder in ancestors.iter().chain([key]) {
            way.turns.push(self.names.take(folder).await);
        }
        for folder in &ancestors {
            if self.one_below(folder).await?.is_none() {
                way.notes.push(self.note(folder, key, attempt).await?);
            }
        }
        let in_the_way = match tokio::join!(self.file_above(&ancestors), self.one_below(key)) {
            (Err(error), _) | (_, Err(error)) => {
                way.give_up().await;
                return Err(error);
            }
            (Ok(file), Ok(below)) => file.map(InTheWay::File).or(below.map(InTheWay::Below)),
        };
        let Some(in_the_way) = in_the_way else {
            way.new_folders = ancestors;
            return Ok(Ok(Some(way)));
        };
        way.give_up().await;
        Ok(Err(in_the_way))
    }

    /// The first of the ancestors of `key` that is a file.
    pub(super) async fn blocking_ancestor(&self, key: &Key) -> Result<Option<Key>> {
        if !self.may_hide() {
            return Ok(None);
        }
        self.file_above(&ancestors(key)).await
    }

    async fn file_above(&self, ancestors: &[Key]) -> Result<Option<Key>> {
        let found = try_join_all(ancestors.iter().map(|ancestor| self.stands(ancestor))).await?;
        Ok(ancestors.iter().zip(found).find_map(|(ancestor, stands)| stands.then(|| ancestor.clone())))
    }

    /// An object below `key`, as a name, if there is one. Sees none where `key` itself stands and
    /// the store hides.
    pub(super) async fn one_below(&self, key: &Key) -> Result<Option<String>> {
        let prefix = self.below(&format!("{key}/"));
        let options = PaginatedListOptions { max_keys: Some(1), ..PaginatedListOptions::default() };
        let listed = self.clients.plain.list_paginated(Some(&prefix), options).await;
        let listed = listed.map_err(|error| self.failed(format_args!("looking below {:?}", key.as_str()), &error))?;
        let name = |path: &Path| path.as_ref().strip_prefix(&self.below("")).unwrap_or(path.as_ref()).to_owned();
        Ok(listed.result.objects.first().map(|object| name(&object.location)))
    }

    /// As [`Remote::one_below`], where the store would hide it, or refuse what is to be stored
    /// under `key`.
    pub(super) async fn hidden_below(&self, key: &Key) -> Result<Option<String>> {
        if self.may_hide() { self.one_below(key).await } else { Ok(None) }
    }

    /// Where `name` goes whose ancestor `file` is a file: below the first version of that which is
    /// free, or a folder.
    pub(super) async fn beside(&self, name: &Key, file: &Key) -> Result<Key> {
        let taken = || InTheWay::File(file.clone()).conflict(name);
        let mut stand = None;
        for number in 2..=MAX_VERSIONS {
            if number == LOOKED_AT + 1 {
                stand = Some(self.taken_versions(file).await?);
            }
            if stand.as_ref().is_some_and(|stand| stand.holds(number)) {
                continue;
            }
            let folder = file.version(number).map_err(|error| taken().because(error))?;
            if !self.stands(&folder).await? {
                let rest = name.as_str().strip_prefix(file.as_str()).unwrap_or_default();
                return format!("{folder}{rest}").parse().map_err(|error: Error| taken().because(error));
            }
        }
        Err(taken())
    }

    async fn note(&self, folder: &Key, key: &Key, attempt: &Attempt) -> Result<Path> {
        let path = self.reserved(&format!("folders/{}/{attempt}.json", key_hash(folder)));
        let note = Note { folder: folder.clone(), key: key.clone() };
        let json = Bytes::from(serde_json::to_vec(&note).expect("a note is plain data with text for keys"));
        for path in [&self.sign_path(folder), &path] {
            let put = self.put(path, json.clone().into(), Attributes::new(), PutMode::Overwrite).await;
            put.map_err(|error| self.failed(format_args!("noting the folder {:?}", folder.as_str()), &error))?;
        }
        Ok(path)
    }

    /// Says that there may be notes of a folder: to look for one object costs less than a list.
    fn sign_path(&self, folder: &Key) -> Path {
        self.reserved(&format!("folders/{}/{SIGN}", key_hash(folder)))
    }

    /// A noted file below `key` that exists. Waits for what was noted and does not stand yet.
    async fn noted_below(&self, key: &Key) -> Result<Option<InTheWay>> {
        if self.fetch(&self.sign_path(key)).await?.is_none() {
            return Ok(None);
        }
        let folder = self.reserved(&format!("folders/{}", key_hash(key)));
        let begun = Instant::now();
        loop {
            let mut notes = self.list(&folder).await?;
            notes.retain(|object| object.location.filename() != Some(SIGN));
            if notes.is_empty() {
                return Ok(None);
            }
            let now = self.clock().await?;
            let mut is_young = false;
            for object in notes {
                let Some(json) = self.fetch(&object.location).await? else { continue };
                let Ok(note) = serde_json::from_slice::<Note>(&json) else {
                    // The file that it names is not known, so that it keeps the folder until the sweep
                    // removes it.
                    tracing::warn!(path = %object.location, "a note of a folder can't be read");
                    is_young = true;
                    continue;
                };
                if self.stands(&note.key).await? {
                    return Ok(Some(InTheWay::Below(note.key.into())));
                }
                let age = now.duration_since(object.last_modified.into()).unwrap_or_default();
                is_young |= age < self.claim_times.ttl;
            }
            if !is_young {
                return Ok(None);
            }
            if begun.elapsed() >= self.claim_times.patience {
                let message = format!("a file below {:?} is being committed: send it again", key.as_str());
                return Err(Error::new(ErrorKind::Busy, message));
            }
            tokio::time::sleep(NOTE_POLL_PAUSE).await;
        }
    }
}

/// The folders that a key lies in, from the root on.
fn ancestors(key: &Key) -> Vec<Key> {
    key.folders().map(|folder| folder.parse().expect("the beginning of a key, up to a slash, is a key")).collect()
}
