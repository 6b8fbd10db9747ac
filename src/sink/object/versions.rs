//! The versions of a name: which stand, and whether one of them is what somebody brings.
//!
//! They are listed by what their names have in common, for there may be gaps of any width between them: a larger file was on its
//! way to a version, others stepped aside, and then it never came. A list is only a look, and may be old before it is read:
//! who commits is told by the store whether the place is free.

use std::collections::{BTreeMap, HashSet};

use object_store::list::{PaginatedListOptions, PaginatedListResult};
use object_store::path::Path;

use super::look::Found;
use super::remote::Remote;
use crate::error::Result;
use crate::sink::place::{MAX_VERSIONS, Place, Standing};
use crate::upload::{Key, Receipt};

/// What stands under a name and its versions.
#[derive(Debug)]
pub(super) enum Versions {
    /// The same content: this is its receipt.
    Same(Receipt),
    /// Other content, under these keys.
    Other(HashSet<Key>),
}

impl Remote {
    /// Compares what looks for a place with all that stands under `name` and its versions, but for the key that is its `own`.
    ///
    /// What this asks of the store: one look at the name, and nothing more if that is it; then one list for each thousand
    /// versions; then one look at each version of the very same size. (A look is a HEAD, and the GET of a record where a
    /// multipart upload was committed.) How much else lies in the folder does not matter.
    pub(super) async fn versions(&self, place: &Place<'_>, name: &Key, own: Option<&Key>) -> Result<Versions> {
        let mut taken = HashSet::new();
        if own != Some(name)
            && let Some(found) = self.look(name).await?
        {
            if let Some(receipt) = self.same(found, place).await? {
                return Ok(Versions::Same(receipt));
            }
            taken.insert(name.clone());
        }
        for (key, size) in self.list_versions(name).await?.into_values() {
            if size == place.size() && own != Some(&key) {
                // Listed, and not there: it is no other content. The store decides whether the
                // place is free.
                let Some(found) = self.look(&key).await? else { continue };
                if let Some(receipt) = self.same(found, place).await? {
                    return Ok(Versions::Same(receipt));
                }
            }
            taken.insert(key);
        }
        Ok(Versions::Other(taken))
    }

    async fn same(&self, found: Found, place: &Place<'_>) -> Result<Option<Receipt>> {
        match self.standing(found, place.size()).await? {
            Some(Standing::File(receipt)) => Ok(place.same(&receipt)),
            Some(Standing::Other | Standing::Obstacle) | None => Ok(None),
        }
    }

    /// The versions of `name` that stand, by their number, and how many bytes each has. The name itself is none of them.
    ///
    /// Not `ObjectStore::list`, which knows no prefix but a whole folder.
    async fn list_versions(&self, name: &Key) -> Result<BTreeMap<u32, (Key, u64)>> {
        let prefix = self.below(&format!("{}~", name.around_version().0));
        let mut versions = BTreeMap::new();
        let mut page_token = None;
        loop {
            // What lies in folders that are called so is no version: each is one entry.
            let options =
                PaginatedListOptions { delimiter: Some("/".into()), page_token, ..PaginatedListOptions::default() };
            let listed = self.clients.plain.list_paginated(Some(&prefix), options).await;
            let PaginatedListResult { result, page_token: next } =
                listed.map_err(|error| self.failed(format_args!("looking for versions of {:?}", name.as_str()), &error))?;
            for object in result.objects {
                if let Some((number, key)) = self.version_at(name, &prefix, &object.location) {
                    versions.insert(number, (key, object.size));
                }
            }
            if next.is_none() {
                return Ok(versions);
            }
            page_token = next;
        }
    }

    /// The version of `name` that lies at `path`; `None` where that only looks like one.
    fn version_at(&self, name: &Key, prefix: &str, path: &Path) -> Option<(u32, Key)> {
        let number = path.as_ref().strip_prefix(prefix)?.strip_suffix(name.around_version().1)?.parse().ok()?;
        let key = name.version(number).ok()?;
        // `a~02.csv` is the version of no name.
        let is_one = (2..=MAX_VERSIONS).contains(&number) && self.path(&key).is_ok_and(|its| its == *path);
        is_one.then_some((number, key))
    }
}
