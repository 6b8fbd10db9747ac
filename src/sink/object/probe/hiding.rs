//! Whether the store hides what lies below an object, or refuses an object where something lies
//! below.

use object_store::list::PaginatedListOptions;
use object_store::path::Path;
use object_store::{ObjectStore as _, PutMode, PutOptions};

use super::{Trial, remove};
use crate::sink::object::words::is_refusal;

const FOLDERS: &str = "names that are also folders";

impl Trial<'_> {
    /// Writes an object below a name, then one under that name, and looks whether a list shows
    /// both. Until that is known, the store counts as one that hides.
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
        let folder = Path::parse(format!("{}-folder", self.path)).expect("the path of a probe goes on");
        let below = Path::parse(format!("{folder}/below")).expect("the path of a probe goes on");
        let plain = &self.clients.plain;
        let put = async |path: &Path| {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            plain.put_opts(path, self.body.clone().into(), options).await
        };
        let hides = match put(&below).await {
            Ok(_) => match put(&folder).await {
                Ok(_) => {
                    let listed = plain.list_paginated(Some(folder.as_ref()), PaginatedListOptions::default()).await;
                    listed.ok().map(|listed| !listed.result.objects.iter().any(|object| object.location == below))
                }
                // It takes no file where a folder is.
                Err(error) if is_refusal(&error) => Some(true),
                Err(_) => None,
            },
            Err(_) => None,
        };
        for path in [folder, below] {
            // The sweep removes the object where this delete fails.
            let _ = remove(self.clients, &path).await;
        }
        hides
    }
}
