//! An S3 server in the test's own process: `s3s` over a temporary folder.
//!
//! It is a stand-in, and its conditional requests check first and write later, so they come to it
//! one at a time. An object is visible a moment before its metadata: what depends on that is tested
//! on the real `MinIO`.

use std::sync::Arc;

use http::header::IF_NONE_MATCH;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::bucket::Bucket;

const KEY: &str = "in-process";
const SECRET: &str = "in-process-secret";

/// A running server; it ends when this is dropped.
#[derive(Debug)]
pub struct S3Server {
    pub bucket: Bucket,
    /// Requests whose path has this part wait with their bodies unread, until it is set anew.
    held: Arc<watch::Sender<Option<&'static str>>>,
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
        let folder = root.path().to_owned();
        let conditions = Arc::new(tokio::sync::Mutex::new(()));
        let held = Arc::new(watch::Sender::new(None));
        let holding = Arc::clone(&held);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (service, conditions) = (service.clone(), Arc::clone(&conditions));
                let folder = folder.clone();
                let holding = Arc::clone(&holding);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (service, conditions) = (service.clone(), Arc::clone(&conditions));
                    // Of a folder `s3s-fs` says that it has failed, and a store has no folders.
                    let path = object_store::path::Path::from_url_path(request.uri().path());
                    let is_folder = path.is_ok_and(|path| folder.join(path.as_ref()).is_dir());
                    let target = request.uri().to_string();
                    let mut holding = holding.subscribe();
                    let is_look = [Method::HEAD, Method::GET].contains(request.method()) && request.uri().query().is_none();
                    async move {
                        // The sender is kept as long as this is.
                        let _ = holding.wait_for(|held| held.is_none_or(|part| !target.contains(part))).await;
                        if is_folder && is_look {
                            let nothing = Response::builder().status(StatusCode::NOT_FOUND).body(s3s::Body::empty());
                            return Ok(nothing.unwrap());
                        }
                        let conditional = request.headers().contains_key(IF_NONE_MATCH);
                        let _turn = if conditional { Some(conditions.lock().await) } else { None };
                        service.call(request.map(s3s::Body::from)).await
                    }
                });
                connections.spawn(async move {
                    // A connection that a client breaks off is its own affair.
                    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await;
                });
            }
        });
        let bucket = Bucket { endpoint, name, access_key_id: KEY.to_owned(), secret_access_key: SECRET.to_owned() };
        Self { bucket, held, root, _connections: tasks }
    }

    /// Lets requests wait whose path or query has this part; `None` lets all go on.
    pub fn hold(&self, part: Option<&'static str>) {
        self.held.send_replace(part);
    }

    /// The folder of the bucket: objects lie in it under their keys.
    pub fn folder(&self) -> std::path::PathBuf {
        self.root.path().join(&self.bucket.name)
    }

    /// The files of unfinished multipart uploads, as `s3s-fs` names them.
    pub fn unfinished(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.root.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(".upload") || name.contains(".upload-")).collect()
    }
}
