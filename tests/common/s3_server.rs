//! An S3 server in the test's own process: `s3s` over a temporary folder.
//!
//! It is a stand-in, and its conditional requests check first and write later: two that come at once may both succeed, and
//! an object is visible a moment before its metadata. What depends on either is tested on the real `MinIO`.

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::bucket::Bucket;

const KEY: &str = "in-process";
const SECRET: &str = "in-process-secret";

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct S3Server {
    pub bucket: Bucket,
    root: TempDir,
    _connections: JoinSet<()>,
}

impl S3Server {
    /// Starts a server with one bucket.
    pub async fn start() -> Self {
        let root = TempDir::new().unwrap();
        let name = "files".to_owned();
        std::fs::create_dir(root.path().join(&name)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let service = service.build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let service = service.clone();
                connections.spawn(async move {
                    // A connection that a client breaks off is its own affair.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        let bucket = Bucket { endpoint, name, access_key_id: KEY.to_owned(), secret_access_key: SECRET.to_owned() };
        Self { bucket, root, _connections: tasks }
    }

    /// The files of unfinished multipart uploads, as `s3s-fs` names them.
    pub fn unfinished(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload") || name.contains(".upload-")).collect()
    }
}
