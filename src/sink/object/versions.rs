//! The versions of a name: which stand, and whether one of them is what somebody brings.
//!
//! They are listed by what their names have in common, for there may be gaps of any width between them: a larger file was on its
//! way to a version, others stepped aside, and then it never came. A list is only a look, and may be old before it is read:
//! who commits is told by the store whether the place is free.
//!
//! Lists and digests are remembered, so that a commit does not cost a request for each version. A
//! list of one page is asked for each time. One of several pages is believed for a minute, with
//! what this process has put there since. The digest of a version is asked for once, for as long as
//! lists show no change of it; before a version is answered to be the same, it is looked at.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt as _, TryStreamExt as _};
use object_store::ObjectMeta;
use object_store::list::{PaginatedListOptions, PaginatedListResult};
use object_store::path::Path;

use super::look::Found;
use super::remote::Remote;
use crate::error::Result;
use crate::sink::place::{Content, MAX_VERSIONS, Place, Standing};
use crate::upload::{Digest, Key, Receipt};

/// How long a list of several pages is believed.
const BELIEVED: Duration = Duration::from_mins(1);

/// Versions that are remembered, of all names; about 50 bytes each. The name that was used least
/// recently goes first.
const MAX_KNOWN: usize = 100_000;

/// Names that are remembered.
const MAX_NAMES: usize = 1 << 10;

/// Versions that are looked at, at once.
const READERS: usize = 8;

/// What stands under a name and its versions.
#[derive(Debug)]
pub(super) enum Versions {
    /// The same content: this is its receipt.
    Same(Receipt),
    /// Other content, under these numbers.
    Other(Taken),
}

/// The numbers of the versions that exist; 1 is that of the name itself.
#[derive(Debug)]
pub(super) struct Taken(Vec<bool>);

impl Taken {
    pub(super) fn holds(&self, number: u32) -> bool {
        self.0.get(number as usize).copied().unwrap_or_default()
    }

    fn insert(&mut self, number: u32) {
        if let Some(taken) = self.0.get_mut(number as usize) {
            *taken = true;
        }
    }
}

/// The remembered versions of names, each by its second version.
#[derive(Debug, Default)]
pub(super) struct KnownVersions {
    names: Mutex<Names>,
    hasher: RandomState,
}

/// By second version: the versions, and when they were last asked for.
type Names = HashMap<Key, (Arc<Mutex<List>>, Instant)>;

/// The remembered versions of one name.
#[derive(Debug, Default)]
struct List {
    /// When the store was asked for all of them, where that took several requests.
    listed: Option<Instant>,
    versions: BTreeMap<u32, Version>,
}

#[derive(Debug, Clone, Copy)]
struct Version {
    size: u64,
    /// A hash of tag, time and size, as listed; `None` for an object that this process has stored
    /// since the list.
    stamp: Option<u64>,
    /// The first bytes of its digest, where that was asked for.
    digest: Option<u64>,
}

impl KnownVersions {
    fn of(&self, second: &Key) -> Arc<Mutex<List>> {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((list, used)) = names.get_mut(second) {
            *used = now;
            return Arc::clone(list);
        }
        let len = |list: &Mutex<List>| lock(list).versions.len();
        let mut versions: usize = names.values().map(|(list, _)| len(list)).sum();
        while versions > MAX_KNOWN || names.len() >= MAX_NAMES {
            let oldest = names.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone());
            let Some((list, _)) = oldest.and_then(|name| names.remove(&name)) else { break };
            versions = versions.saturating_sub(len(&list));
        }
        let list = Arc::<Mutex<List>>::default();
        names.insert(second.clone(), (Arc::clone(&list), now));
        list
    }

    fn known(&self, second: &Key) -> Option<Arc<Mutex<List>>> {
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(second).map(|(list, _)| Arc::clone(list))
    }

    fn stamp(&self, object: &ObjectMeta) -> Option<u64> {
        let tag = object.e_tag.as_ref()?;
        Some(self.hasher.hash_one((tag, object.last_modified, object.size)))
    }
}

fn lock(list: &Mutex<List>) -> MutexGuard<'_, List> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl List {
    fn is_believed(&self) -> bool {
        self.listed.is_some_and(|listed| listed.elapsed() < BELIEVED)
    }

    /// Takes what the store has listed now. What has not changed keeps its digest.
    fn renew(&mut self, listed: BTreeMap<u32, Version>, pages: usize) {
        let before = std::mem::replace(&mut self.versions, listed);
        for (number, version) in &mut self.versions {
            let same = |old: &&Version| old.size == version.size && old.stamp.is_none_or(|old| version.stamp == Some(old));
            version.digest = before.get(number).filter(same).and_then(|old| old.digest);
        }
        self.listed = (pages > 1).then(Instant::now);
    }

    /// The versions that may hold this content.
    fn candidates(&self, content: &Content) -> Vec<u32> {
        let ours = content.digest.start();
        let may_hold =
            |version: &Version| version.size == content.size && version.digest.is_none_or(|digest| digest == ours);
        self.versions.iter().filter(|(_, version)| may_hold(version)).map(|(number, _)| *number).collect()
    }
}

impl Remote {
    /// Compares what looks for a place with all that stands under `name` and its versions, but for the key that is its `own`.
    ///
    /// What this asks of the store: one look at the name, and nothing more if that is it; then one
    /// list for each thousand versions, once a minute where there are more than that; then one look
    /// at each version of the very same size that was not looked at before. (A look is a HEAD, and
    /// the GET of a record where a multipart upload was committed.) Other objects in the folder
    /// cost nothing.
    pub(super) async fn versions(&self, place: &Place<'_>, name: &Key, own: Option<&Key>) -> Result<Versions> {
        let found = if own == Some(name) { None } else { self.look(name).await? };
        let stands = found.is_some();
        if let Some(found) = found
            && let Ok(receipt) = self.same(found, place).await?
        {
            return Ok(Versions::Same(receipt));
        }
        let Some(list) = self.list_versions(name).await? else {
            return Ok(Versions::Other(taken(stands, &List::default())));
        };
        let candidates = lock(&list).candidates(place.content());
        let keys = candidates.into_iter().filter_map(|number| Some((number, name.version(number).ok()?)));
        let keys: Vec<_> = keys.filter(|(_, key)| own != Some(key)).collect();
        let looks = keys.into_iter().map(|(number, key)| async move { Ok((number, self.look(&key).await?)) });
        let mut looks = futures::stream::iter(looks).buffered(READERS);
        while let Some((number, found)) = looks.try_next().await? {
            // Listed, and not there: it is no other content. The store decides whether the place is
            // free.
            let Some(found) = found else {
                lock(&list).versions.remove(&number);
                continue;
            };
            match self.same(found, place).await? {
                Ok(receipt) => return Ok(Versions::Same(receipt)),
                Err(digest) => {
                    if let Some(version) = lock(&list).versions.get_mut(&number) {
                        version.digest = digest.map(|digest| digest.start());
                    }
                }
            }
        }
        let taken = taken(stands, &lock(&list));
        Ok(Versions::Other(taken))
    }

    /// The numbers of the versions of `name` that are known to exist. The name itself is not looked
    /// at.
    pub(super) async fn taken_versions(&self, name: &Key) -> Result<Taken> {
        let list = self.list_versions(name).await?;
        Ok(list.map_or_else(|| taken(false, &List::default()), |list| taken(false, &lock(&list))))
    }

    /// Notes the object that was stored as, or found to be, a version.
    pub(super) fn note_version(&self, name: &Key, number: u32, size: u64, digest: Option<Digest>) {
        if let (2.., Ok(second)) = (number, name.version(2)) {
            let version = Version { size, stamp: None, digest: digest.map(|digest| digest.start()) };
            lock(&self.known_versions.of(&second)).versions.insert(number, version);
        }
    }

    /// Discards the list of the versions of `name`, which has proved to be outdated.
    pub(super) fn doubt_versions(&self, name: &Key) {
        if let Some(list) = name.version(2).ok().and_then(|second| self.known_versions.known(&second)) {
            lock(&list).listed = None;
        }
    }

    /// The receipt of what was found, if it is the same content; its digest, where that is another
    /// one.
    async fn same(&self, found: Found, place: &Place<'_>) -> Result<Result<Receipt, Option<Digest>>> {
        Ok(match self.standing(found, place.size()).await? {
            Some(Standing::File(receipt)) => place.same(&receipt).ok_or(Some(receipt.digest)),
            Some(Standing::Other | Standing::Obstacle) | None => Err(None),
        })
    }

    /// The existing versions of `name`, without the name itself. `None` where the name can't have
    /// versions.
    ///
    /// Not `ObjectStore::list`, which knows no prefix but a whole folder.
    async fn list_versions(&self, name: &Key) -> Result<Option<Arc<Mutex<List>>>> {
        let Ok(second) = name.version(2) else { return Ok(None) };
        let list = self.known_versions.of(&second);
        if lock(&list).is_believed() {
            return Ok(Some(list));
        }
        let prefix = self.below(&format!("{}~", name.around_version().0));
        let (mut versions, mut pages, mut page_token) = (BTreeMap::new(), 0, None);
        loop {
            // What lies in folders that are called so is no version: each is one entry.
            let options =
                PaginatedListOptions { delimiter: Some("/".into()), page_token, ..PaginatedListOptions::default() };
            let listed = self.clients.plain.list_paginated(Some(&prefix), options).await;
            let PaginatedListResult { result, page_token: next } =
                listed.map_err(|error| self.failed(format_args!("looking for versions of {:?}", name.as_str()), &error))?;
            pages += 1;
            for object in result.objects {
                if let Some(number) = self.version_at(name, &prefix, &object.location) {
                    let stamp = self.known_versions.stamp(&object);
                    versions.insert(number, Version { size: object.size, stamp, digest: None });
                }
            }
            page_token = next;
            if page_token.is_none() {
                break;
            }
        }
        lock(&list).renew(versions, pages);
        Ok(Some(list))
    }

    /// The number of the version of `name` that lies at `path`; `None` where that only looks like
    /// one.
    fn version_at(&self, name: &Key, prefix: &str, path: &Path) -> Option<u32> {
        let number = path.as_ref().strip_prefix(prefix)?.strip_suffix(name.around_version().1)?.parse().ok()?;
        let key = name.version(number).ok()?;
        // `a~02.csv` is the version of no name.
        let is_one = (2..=MAX_VERSIONS).contains(&number) && self.path(&key).is_ok_and(|its| its == *path);
        is_one.then_some(number)
    }
}

fn taken(name: bool, list: &List) -> Taken {
    let mut taken = Taken(vec![false; MAX_VERSIONS as usize + 1]);
    list.versions.keys().for_each(|number| taken.insert(*number));
    if name {
        taken.insert(1);
    }
    taken
}
