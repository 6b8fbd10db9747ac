//! Stores that check a condition first and write later: `SeaweedFS` and moto, started once for the
//! test binary.

use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::bucket::Bucket;
use super::child::{Server, Start, program};

const KEY: &str = "tidegate";
const SECRET: &str = "tidegate-secret";

/// The one `SeaweedFS` of this test binary; `None`, and one line that says so, where there is none
/// on this machine.
///
/// The program is `$TIDEGATE_SEAWEEDFS`, or else `weed` on the `PATH`.
pub async fn seaweedfs_bucket() -> Option<Bucket> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    bucket(&SHARED, ("SeaweedFS", "TIDEGATE_SEAWEEDFS", "weed"), start_seaweedfs).await
}

/// The same of moto: `$TIDEGATE_MOTO`, or else `moto_server` on the `PATH`.
pub async fn moto_bucket() -> Option<Bucket> {
    static SHARED: OnceLock<Option<Server>> = OnceLock::new();
    bucket(&SHARED, ("moto", "TIDEGATE_MOTO", "moto_server"), start_moto).await
}

/// A new bucket, once the store takes objects.
async fn bucket(
    shared: &'static OnceLock<Option<Server>>,
    (store, variable, name): (&str, &str, &str),
    start: fn(&Path) -> Server,
) -> Option<Bucket> {
    let server = shared.get_or_init(|| {
        let program = program(variable, name);
        if program.is_none() {
            super::left_out(&format!("{store} (no `{name}` on the PATH, and {variable} is not set)"));
        }
        program.as_deref().map(start)
    });
    let bucket = Bucket {
        endpoint: format!("http://{}", server.as_ref()?.address),
        name: format!("b-{}", uuid::Uuid::now_v7()),
        access_key_id: KEY.to_owned(),
        secret_access_key: SECRET.to_owned(),
    };
    let deadline = Instant::now() + Duration::from_mins(1);
    while !bucket.is_usable().await {
        assert!(Instant::now() < deadline, "{store} takes no objects");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Some(bucket)
}

fn start_seaweedfs(program: &Path) -> Server {
    let start = Start {
        program,
        arguments: |folder, addresses| {
            let identities = format!(
                r#"{{"identities":[{{"name":"t","credentials":[{{"accessKey":"{KEY}","secretKey":"{SECRET}"}}],"actions":["Admin"]}}]}}"#
            );
            std::fs::write(folder.join("identities.json"), identities).unwrap();
            let ports = [
                "s3.port",
                "s3.port.grpc",
                "master.port",
                "master.port.grpc",
                "volume.port",
                "volume.port.grpc",
                "filer.port",
                "filer.port.grpc",
            ];
            let port = |address: &str| address.rsplit_once(':').unwrap().1.to_owned();
            let ports = ports.iter().zip(addresses).map(|(name, address)| format!("-{name}={}", port(address)));
            let folder = folder.display();
            let rest = [
                "-s3".to_owned(),
                "-ip=127.0.0.1".to_owned(),
                "-ip.bind=127.0.0.1".to_owned(),
                "-master.telemetry=false".to_owned(),
                "-s3.port.iceberg=0".to_owned(),
                "-s3.port.lance=0".to_owned(),
                "-master.volumeSizeLimitMB=64".to_owned(),
                "-volume.max=0".to_owned(),
                format!("-dir={folder}"),
                format!("-s3.config={folder}/identities.json"),
                format!("-filer.localSocket={folder}/filer.sock"),
                format!("-s3.localSocket={folder}/s3.sock"),
            ];
            std::iter::once("server".to_owned()).chain(ports).chain(rest).collect()
        },
        addresses: 8,
        environment: &[],
        is_ready: ("/status", |answer| answer.starts_with("HTTP/1.1 200")),
    };
    start.start()
}

fn start_moto(program: &Path) -> Server {
    let start = Start {
        program,
        arguments: |_, addresses| {
            let (host, port) = addresses[0].rsplit_once(':').unwrap();
            ["-H", host, "-p", port].map(str::to_owned).into()
        },
        addresses: 1,
        environment: &[],
        is_ready: ("/moto-api/", |answer| answer.starts_with("HTTP/1.1 200")),
    };
    start.start()
}
