//! Buckets: one in the test's own process, and one of a real `MinIO`.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStoreExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use tidegate::sink::Sink;
use tidegate::sink::object::Object;
use tidegate::upload::{Durability, Key, Receipt};

use super::Bed;
use crate::common::bucket::Bucket;
use crate::common::minio::Minio;
use crate::common::s3_server::S3Server;

const PREFIX: &str = "in/coming";
const PART_BYTES: usize = 5 << 20;

pub(crate) struct InProcessBed {
    server: S3Server,
    sink: Arc<dyn Sink>,
}

#[async_trait]
impl Bed for InProcessBed {
    async fn open() -> Option<Self> {
        let server = S3Server::start().await;
        let sink = Arc::new(Object::connect(&server.bucket.config(PREFIX)).unwrap());
        Some(Self { server, sink })
    }

    fn shared(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    async fn another(&self) -> Arc<dyn Sink> {
        Arc::new(Object::connect(&self.server.bucket.config(PREFIX)).unwrap())
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        self.server.bucket.read(&path(key)).await
    }

    async fn names(&self) -> Vec<String> {
        names(&self.server.bucket).await
    }

    async fn litter(&self) -> Vec<String> {
        let mut litter = self.server.unfinished();
        litter.extend(stray(&self.server.bucket).await);
        litter
    }

    async fn notes(&self, key: &Key) -> Option<BTreeMap<String, String>> {
        self.server.bucket.attributes(&path(key)).await
    }

    fn durability(&self) -> Durability {
        Durability::ObjectStore
    }

    fn part_bytes(&self) -> usize {
        PART_BYTES
    }

    /// `s3s-fs` 0.14 checks a condition first and writes later, so two writers at once may both win.
    fn is_atomic(&self) -> bool {
        false
    }
}

pub(crate) struct MinioBed {
    bucket: Bucket,
    sink: Arc<dyn Sink>,
}

/// A sink that has seen what the store can do, as that of a server has at its start.
async fn connect(bucket: &Bucket) -> Arc<dyn Sink> {
    let sink = Object::connect(&bucket.config(PREFIX)).unwrap();
    assert_eq!(sink.probe().await.unwrap().problem(), None);
    Arc::new(sink)
}

#[async_trait]
impl Bed for MinioBed {
    async fn open() -> Option<Self> {
        let bucket = Minio::shared()?.bucket().await;
        let sink = connect(&bucket).await;
        Some(Self { bucket, sink })
    }

    fn shared(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    async fn another(&self) -> Arc<dyn Sink> {
        connect(&self.bucket).await
    }

    async fn read(&self, key: &Key) -> Option<Vec<u8>> {
        self.bucket.read(&path(key)).await
    }

    async fn names(&self) -> Vec<String> {
        names(&self.bucket).await
    }

    async fn litter(&self) -> Vec<String> {
        let mut litter = self.bucket.unfinished().await;
        litter.extend(stray(&self.bucket).await);
        litter
    }

    async fn notes(&self, key: &Key) -> Option<BTreeMap<String, String>> {
        self.bucket.attributes(&path(key)).await
    }

    fn durability(&self) -> Durability {
        Durability::ObjectStore
    }

    fn part_bytes(&self) -> usize {
        PART_BYTES
    }

    /// `MinIO` keeps a file and a folder of one name, and hides the latter.
    fn decides_folders(&self) -> bool {
        false
    }
}

fn path(key: &Key) -> String {
    format!("{PREFIX}/{key}")
}

/// The names below the prefix; whatever lies outside of it shows up with its whole path.
async fn names(bucket: &Bucket) -> Vec<String> {
    let below = |path: String| path.strip_prefix(&format!("{PREFIX}/")).map(str::to_owned).unwrap_or(path);
    let names = bucket.list().await.into_iter().map(below);
    names.filter(|name| !name.starts_with(".tidegate/")).collect()
}

/// What lies below the reserved prefix, but for the records of objects that stand.
async fn stray(bucket: &Bucket) -> Vec<String> {
    let mut stray = Vec::new();
    for place in bucket.list().await {
        // A note of a folder stays until it is old.
        if !place.starts_with(&format!("{PREFIX}/.tidegate/")) || place.contains("/.tidegate/folders/") {
            continue;
        }
        let json = bucket.read(&place).await.unwrap_or_default();
        let owner = match serde_json::from_slice::<Receipt>(&json) {
            Ok(receipt) => bucket.attributes(&path(&receipt.key)).await,
            Err(_) => None,
        };
        let attempt = owner.and_then(|notes| notes.get("tidegate-attempt").cloned());
        if !attempt.is_some_and(|attempt| place.ends_with(&format!(".{attempt}.json"))) {
            stray.push(place);
        }
    }
    stray
}

/// The suite believes `litter`, so litter must be seen where there is some.
async fn assert_litter_is_seen(bed: &dyn Bed, bucket: &Bucket) {
    let object = Path::parse(path(&"a.bin".parse().unwrap())).unwrap();
    let multipart = bucket.client().create_multipart(&object).await.unwrap();
    bucket.client().put_part(&object, &multipart, 0, "abc".into()).await.unwrap();
    assert_ne!(bed.litter().await, Vec::<String>::new(), "an unfinished upload");
    bucket.client().abort_multipart(&object, &multipart).await.unwrap();
    assert_eq!(bed.litter().await, Vec::<String>::new());
    for stray in ["receipts/u.json", "uploads/u/manifest.json", "uploads/u/0a/00000.json", "uploads/u/0a/tail-0-3"] {
        let stray = Path::parse(format!("{PREFIX}/.tidegate/{stray}")).unwrap();
        bucket.client().put(&stray, "{}".into()).await.unwrap();
        assert_eq!(bed.litter().await, [stray.to_string()]);
        bucket.client().delete(&stray).await.unwrap();
    }
}

#[tokio::test]
async fn litter_is_seen_in_process() {
    let bed = InProcessBed::open().await.unwrap();
    assert_litter_is_seen(&bed, &bed.server.bucket).await;
}

#[tokio::test]
async fn litter_is_seen_in_minio() {
    if let Some(bed) = MinioBed::open().await {
        assert_litter_is_seen(&bed, &bed.bucket).await;
    }
}
