//! A real `MinIO`, started once for the test binary and ended with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::bucket::Bucket;

const KEY: &str = "tidegate";
const SECRET: &str = "tidegate-secret";

/// Runs `"$2" …` on the folder `$1` until standard input ends, which it does when the test binary does, however that ends.
const WATCHDOG: &str = r#"folder=$1; shift; "$@" >"$folder/log" 2>&1 & read -r _; kill -9 $!; wait; rm -rf "$folder""#;

/// A running `MinIO`.
#[derive(Debug)]
pub struct Minio {
    endpoint: String,
    _watchdog: Child,
}

impl Minio {
    /// The one of this test binary; `None`, and one line that says so, where there is no `MinIO` on this machine.
    ///
    /// The program is `$TIDEGATE_MINIO`, or else `minio` on the `PATH`.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Minio>> = OnceLock::new();
        let start = || match program() {
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
            endpoint: self.endpoint.clone(),
            name: format!("b-{}", uuid::Uuid::now_v7()),
            access_key_id: KEY.to_owned(),
            secret_access_key: SECRET.to_owned(),
        };
        bucket.create().await;
        bucket
    }

    /// Somebody else may take a port between its choice and its use, so it is tried more than once.
    fn start(program: &PathBuf) -> Self {
        let mut logs = String::new();
        for _ in 0..3 {
            match Self::try_start(program) {
                Ok(minio) => return minio,
                Err(log) => logs.push_str(&log),
            }
        }
        panic!("MinIO is not ready after three times half a minute: {logs}");
    }

    fn try_start(program: &PathBuf) -> Result<Self, String> {
        let folder = tempfile::TempDir::new().unwrap().keep();
        let (address, console) = (free_address(), free_address());
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh"])
            .arg(&folder)
            .arg(program)
            .args(["server", "--address", &address, "--console-address", &console])
            .arg(folder.join("data"))
            .env("MINIO_ROOT_USER", KEY)
            .env("MINIO_ROOT_PASSWORD", SECRET)
            .env("MINIO_BROWSER", "off")
            .env("MINIO_UPDATE", "off")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        while !is_ready(&address) {
            if Instant::now() > deadline {
                let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
                drop(watchdog.stdin.take());
                watchdog.wait().unwrap();
                return Err(log);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Self { endpoint: format!("http://{address}"), _watchdog: watchdog })
    }
}

fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("TIDEGATE_MINIO") {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join("minio")).find(|program| program.is_file())
}

/// An address that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn is_ready(address: &str) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"GET /minio/health/ready HTTP/1.1\r\nHost: minio\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    // It answers 200 before its object layer is there, and says so in this header alone (healthcheck-handler.go).
    let is_offline = |answer: &str| answer.to_ascii_lowercase().contains("x-minio-server-status: offline");
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200") && !is_offline(&answer))
}
