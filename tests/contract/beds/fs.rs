//! A folder of the local file system.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use tidegate::sink::Sink;
use tidegate::sink::fs::Fs;
use tidegate::upload::{Durability, Key};

use super::Bed;

pub(crate) struct FsBed {
    folder: TempDir,
    sink: Arc<dyn Sink>,
}

#[async_trait]
impl Bed for FsBed {
    async fn open() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let sink = Arc::new(Fs::open(folder.path(), 0).unwrap());
        Some(Self { folder, sink })
    }

    fn shared(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    async fn another(&self) -> Arc<dyn Sink> {
        Arc::new(Fs::open(self.folder.path(), 0).unwrap())
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        std::fs::read(self.folder.path().join(key.as_str())).ok()
    }

    async fn names(&self) -> Vec<String> {
        files(self.folder.path(), "").into_iter().filter(|name| !name.starts_with(".tidegate/")).collect()
    }

    async fn litter(&self) -> Vec<String> {
        files(self.folder.path(), "").into_iter().filter(|name| name.starts_with(".tidegate/")).collect()
    }

    async fn notes(&self, _: &Key) -> Option<BTreeMap<String, String>> {
        None
    }

    fn durability(&self) -> Durability {
        Durability::Disk
    }
}

/// Every file below a folder, by its path from there, in order.
fn files(folder: &Path, prefix: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path(), &format!("{name}/")));
        } else {
            found.push(name);
        }
    }
    found.sort();
    found
}
