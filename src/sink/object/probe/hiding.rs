//! Whether the store hides what lies below an object.

use object_store::ObjectStoreExt as _;
use object_store::list::PaginatedListOptions;
use object_store::path::Path;

use super::Trial;
use crate::sink::object::words::is_broken;

const FOLDERS: &str = "names that are also folders";

impl Trial<'_> {
    /// Writes an object below the one of the probe, and looks whether a list shows both. Until that is known, the store counts as
    /// one that hides.
    pub(super) async fn hiding(&mut self) {
        let known = &self.remote.seen.hides;
        if known.get().is_none()
            && let Some(hides) = self.hides().await
        {
            // Another probe at the same time may have been first.
            let _ = known.set(hides);
        }
        self.probe.pass(
            FOLDERS,
            match known.get() {
                Some(true) => "the store hides or refuses what lies below an object: a name is either a file or a folder",
                Some(false) => "kept and listed side by side, as in S3",
                None => "the store did not say whether it lists both: a name is either a file or a folder",
            },
        );
    }

    async fn hides(&self) -> Option<bool> {
        let below = Path::parse(format!("{}/below", self.path)).expect("the path of a probe goes on");
        let plain = &self.clients.plain;
        let hides = match plain.put(&below, self.body.clone().into()).await {
            Ok(_) => {
                let options = PaginatedListOptions::default();
                let listed = plain.list_paginated(Some(self.path.as_ref()), options).await;
                listed.ok().map(|listed| !listed.result.objects.iter().any(|object| object.location == below))
            }
            Err(error) if is_broken(&error) => None,
            // It takes no such object: then it may not take one above it either.
            Err(_) => Some(true),
        };
        // What a delete does not reach, the sweep does.
        let _ = plain.delete(&below).await;
        hides
    }
}
