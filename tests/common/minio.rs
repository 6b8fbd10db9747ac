//! A real `MinIO`, started once for the test binary and ended with it.

use std::path::Path;
use std::sync::OnceLock;

use super::bucket::Bucket;
use super::child::{Server, Start, program};

const KEY: &str = "tidegate";
const SECRET: &str = "tidegate-secret";

/// A running `MinIO`.
#[derive(Debug)]
pub struct Minio(Server);

impl Minio {
    /// The one of this test binary; `None`, and one line that says so, where there is no `MinIO` on this machine.
    ///
    /// The program is `$TIDEGATE_MINIO`, or else `minio` on the `PATH`.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Minio>> = OnceLock::new();
        let start = || match program("TIDEGATE_MINIO", "minio") {
            Some(program) => Some(Self::start(&program)),
            None => {
                super::left_out("MinIO (no `minio` on the PATH, and TIDEGATE_MINIO is not set)");
                None
            }
        };
        SHARED.get_or_init(start).as_ref()
    }

    /// A new bucket.
    pub async fn bucket(&self) -> Bucket {
        let bucket = Bucket {
            endpoint: format!("http://{}", self.0.address),
            name: format!("b-{}", uuid::Uuid::now_v7()),
            access_key_id: KEY.to_owned(),
            secret_access_key: SECRET.to_owned(),
        };
        bucket.create().await;
        bucket
    }

    fn start(program: &Path) -> Self {
        let environment =
            [("MINIO_ROOT_USER", KEY), ("MINIO_ROOT_PASSWORD", SECRET), ("MINIO_BROWSER", "off"), ("MINIO_UPDATE", "off")];
        let start = Start {
            program,
            arguments: |folder, addresses| {
                let [address, console] = addresses else { unreachable!("two were asked for") };
                let data = folder.join("data").display().to_string();
                ["server", "--address", address, "--console-address", console, &data].map(str::to_owned).into()
            },
            addresses: 2,
            environment: &environment,
            is_ready: ("/minio/health/ready", is_ready),
        };
        Self(start.start())
    }
}

fn is_ready(answer: &str) -> bool {
    // It answers 200 before its object layer is there, and says so in this header alone (healthcheck-handler.go).
    let is_offline = answer.to_ascii_lowercase().contains("x-minio-server-status: offline");
    answer.starts_with("HTTP/1.1 200") && !is_offline
}
