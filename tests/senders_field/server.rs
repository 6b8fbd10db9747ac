//! The built server on a store of its own, which can be looked into.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use tempfile::TempDir;
use tokio::task::block_in_place;

use crate::common::bucket::Bucket;
use crate::common::minio::Minio;
use crate::common::serve::{Serve, until};

/// A running server.
pub(crate) struct Server {
    serve: Serve,
    /// Where the files are, unless they are in a folder.
    bucket: Option<Bucket>,
    _folder: TempDir,
}

impl Server {
    /// One that stores on disk, with these keys set.
    pub(crate) fn on_disk(keys: &[(&str, &str)]) -> Self {
        Self::start(keys, None)
    }

    /// One that stores in `MinIO`, with these keys set as well; `None` where there is none on this
    /// machine.
    pub(crate) async fn in_bucket(keys: &[(&str, &str)]) -> Option<Self> {
        let minio = block_in_place(Minio::shared)?;
        let bucket = minio.bucket().await;
        let to_bucket = [
            ("sink.kind", "s3"),
            ("sink.s3.endpoint", &bucket.endpoint),
            ("sink.s3.bucket", &bucket.name),
            ("sink.s3.region", "us-east-1"),
            ("sink.s3.access_key_id", &bucket.access_key_id),
            ("sink.s3.secret_access_key", &bucket.secret_access_key),
            ("sink.s3.allow_http", "true"),
        ];
        Some(Self::start(&[&to_bucket, keys].concat(), Some(bucket.clone())))
    }

    fn start(keys: &[(&str, &str)], bucket: Option<Bucket>) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        // These tests are of what is stored, not of what a power cut leaves.
        command.arg("serve").env("TIDEGATE__SINK__FS__DURABILITY", "cache");
        // All senders of a test have one address.
        command.env("TIDEGATE__LIMITS__MAX_CONNECTIONS_PER_ADDRESS", "4096");
        for (key, value) in keys {
            command.env(format!("TIDEGATE__{}", key.to_uppercase().replace('.', "__")), value);
        }
        let serve = block_in_place(|| Serve::run(&mut command, &folder.path().join("store")));
        Self { serve, bucket, _folder: folder }
    }

    pub(crate) fn address(&self) -> &str {
        &self.serve.address
    }

    /// Waits until every connection and every upload has ended.
    pub(crate) fn until_alone(&self) {
        let is_zero = |gauge: &str| self.metrics().lines().any(|line| line == format!("{gauge} 0"));
        block_in_place(|| {
            // A connection waits behind those that came before it: when it ends, all are accepted.
            let mut last = TcpStream::connect(self.address()).unwrap();
            last.shutdown(Shutdown::Write).unwrap();
            assert_eq!(last.read_to_end(&mut Vec::new()).unwrap(), 0);
            until("the end of every connection", || is_zero("tidegate_connections"));
            until("the end of every upload", || is_zero("tidegate_uploads_in_flight"));
        });
    }

    /// Uploads that were not committed and connections that were refused.
    pub(crate) fn refusals(&self) -> u64 {
        let metrics = self.metrics();
        let value = |line: &str| line.rsplit(' ').next()?.parse::<u64>().ok();
        let is_refusal = |line: &&str| {
            line.starts_with("tidegate_connections_refused_total{")
                || line.starts_with("tidegate_uploads_total{") && !line.contains("outcome=\"committed\"")
        };
        metrics.lines().filter(is_refusal).filter_map(value).sum()
    }

    fn metrics(&self) -> String {
        block_in_place(|| self.serve.get("/metrics"))
    }

    /// Every file that a reader of the store sees.
    pub(crate) async fn stored(&self) -> BTreeMap<String, Vec<u8>> {
        let mut stored = BTreeMap::new();
        let Some(bucket) = &self.bucket else {
            for path in self.serve.visible() {
                let bytes = std::fs::read(self.serve.root.join(&path)).unwrap();
                stored.insert(path.to_str().unwrap().to_owned(), bytes);
            }
            return stored;
        };
        for path in bucket.list().await {
            if !path.starts_with(".tidegate/") {
                let bytes = bucket.read(&path).await.unwrap();
                stored.insert(path, bytes);
            }
        }
        stored
    }

    /// Removes files on disk that have been looked at.
    pub(crate) fn remove(&self, folder: &str) {
        // Most senders that are refused leave no folder.
        drop(std::fs::remove_dir_all(self.serve.root.join(folder)));
    }
}
