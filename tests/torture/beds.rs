//! Where the servers store, and what lies there when nobody writes any more.

use std::path::Path;
use std::process::Command;

use crate::common::bucket::Bucket;
use crate::common::serve::files;
use crate::files::RULES;
use crate::node::Lives;

/// What holds for all: short waits for senders that are gone, as there are many.
const CONFIG: &str = "
[limits]
header_timeout = \"1s\"
idle_timeout = \"1s\"
max_file_bytes = \"1GiB\"
";

pub(crate) enum Bed {
    /// One node on a folder.
    Folder,
    /// Two nodes on one bucket.
    Bucket(Bucket),
}

impl Bed {
    pub(crate) fn folder() -> Self {
        Self::Folder
    }

    pub(crate) fn bucket(bucket: Bucket) -> Self {
        Self::Bucket(bucket)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Folder => "folder, one node",
            Self::Bucket(_) => "bucket, two nodes",
        }
    }

    pub(crate) fn nodes(&self) -> usize {
        match self {
            Self::Folder => 1,
            Self::Bucket(_) => 2,
        }
    }

    /// Writes down what every node is told.
    pub(crate) fn prepare(folder: &Path) {
        std::fs::write(folder.join("config.toml"), format!("{CONFIG}{RULES}")).unwrap();
    }

    /// The server, storing here.
    pub(crate) fn serve(&self, folder: &Path, lives: Lives) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("serve").arg("--config").arg(folder.join("config.toml"));
        command.env("TIDEGATE__LISTEN__TCP", "127.0.0.1:0").env("TIDEGATE__LISTEN__ADMIN", "127.0.0.1:0");
        if lives == Lives::ToSweep {
            command.env("TIDEGATE__LIMITS__UPLOAD_TIMEOUT", "1s").env("TIDEGATE__LIMITS__RESUME_TTL", "1s");
        }
        match self {
            Self::Folder => command.env("TIDEGATE__SINK__FS__ROOT", folder.join("store")),
            Self::Bucket(bucket) => command
                .env("TIDEGATE__SINK__KIND", "s3")
                .env("TIDEGATE__SINK__S3__ENDPOINT", &bucket.endpoint)
                .env("TIDEGATE__SINK__S3__BUCKET", &bucket.name)
                .env("TIDEGATE__SINK__S3__ACCESS_KEY_ID", &bucket.access_key_id)
                .env("TIDEGATE__SINK__S3__SECRET_ACCESS_KEY", &bucket.secret_access_key)
                .env("TIDEGATE__SINK__S3__ALLOW_HTTP", "true")
                .env("TIDEGATE__SINK__S3__PART_BYTES", "5MiB"),
        };
        command
    }

    /// The keys of all files that a reader sees.
    pub(crate) async fn visible(&self, folder: &Path) -> Vec<String> {
        let mut paths = match self {
            Self::Folder => below(&folder.join("store")),
            Self::Bucket(bucket) => bucket.list().await,
        };
        paths.retain(|path| !path.starts_with(".tidegate/"));
        paths
    }

    pub(crate) async fn read(&self, folder: &Path, key: &str) -> Vec<u8> {
        match self {
            Self::Folder => std::fs::read(folder.join("store").join(key)).unwrap(),
            Self::Bucket(bucket) => bucket.read(key).await.unwrap(),
        }
    }

    /// What interrupted uploads have left.
    pub(crate) async fn litter(&self, folder: &Path) -> Vec<String> {
        match self {
            Self::Folder => {
                let reserved = ["store/.tidegate/staging", "store/.tidegate/resume"];
                reserved.iter().flat_map(|reserved| below(&folder.join(reserved))).collect()
            }
            Self::Bucket(bucket) => {
                let mut litter = bucket.unfinished().await;
                let all = bucket.list().await;
                litter.extend(all.iter().filter(|path| path.starts_with(".tidegate/uploads/")).cloned());
                for path in all.iter().filter(|path| path.starts_with(".tidegate/receipts/")) {
                    if is_orphan(bucket, path).await {
                        litter.push(path.clone());
                    }
                }
                litter
            }
        }
    }
}

/// Whether this receipt, named by the try that wrote it, is for an object that does not stand.
async fn is_orphan(bucket: &Bucket, path: &str) -> bool {
    // It may have been removed since it was listed.
    let Some(noted) = bucket.read(path).await else { return false };
    let noted: serde_json::Value = serde_json::from_slice(&noted).unwrap();
    let Some(marks) = bucket.attributes(noted["key"].as_str().unwrap()).await else { return true };
    let mark = |name: &str| marks.get(name).cloned().unwrap_or_default();
    !path.ends_with(&format!("/{}.{}.json", mark("tidegate-upload-id"), mark("tidegate-attempt")))
}

/// The paths of all files below a folder, from there on.
fn below(folder: &Path) -> Vec<String> {
    let relative = |path: std::path::PathBuf| path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
    files(folder).into_iter().map(relative).collect()
}
