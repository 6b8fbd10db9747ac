//! A store that fails in between: an HTTP proxy in front of a real one, that loses answers, refuses, stalls and breaks off.
//!
//! Requests pass unchanged, with the `Host` that they were signed for, so that the store behind believes their signatures.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;

use super::bucket::Bucket;

/// The largest request, in bytes: a part.
const MAX_BODY: usize = 16 << 20;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Storing an object by one request; not those below `.tidegate/`.
    Put,
    /// The same below `.tidegate/`.
    Note,
    /// Opening a multipart upload.
    Open,
    /// Sending a part.
    Part,
    /// Completing a multipart upload.
    Complete,
    /// Giving a multipart upload up.
    Abort,
    /// Asking for an object or its metadata.
    Look,
    /// Anything else.
    Other,
}

/// How a request is failed.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// The store does not see it; the answer is this status with this code.
    Refuse(u16, &'static str),
    /// The store does it, but the answer is this.
    DoneButSays(u16, &'static str),
    /// The store does it, and the answer never comes.
    DoneButSilent,
    /// The store does it, and the connection breaks inside the answer.
    DoneButBroken,
    /// The store does it, after this long.
    Late(Duration),
    /// The store does it, and answers after this long.
    DoneButLate(Duration),
    /// The store gets a byte of what it is to store as another one.
    Garbled,
}

#[derive(Debug)]
struct Fault {
    op: Op,
    how: How,
    times: usize,
}

/// A running proxy; it ends when this is dropped.
#[derive(Debug)]
pub struct FaultyStore {
    /// The bucket behind, by way of the proxy.
    pub bucket: Bucket,
    faults: Arc<Mutex<Vec<Fault>>>,
    task: JoinHandle<()>,
}

#[derive(Clone)]
struct Behind {
    endpoint: String,
    client: reqwest::Client,
    faults: Arc<Mutex<Vec<Fault>>>,
}

impl FaultyStore {
    /// A proxy in front of the bucket's store.
    pub async fn before(bucket: &Bucket) -> Self {
        let faults = Arc::default();
        // A connection for each request: MinIO closes those whose request it has refused before its end.
        let client = reqwest::Client::builder().pool_max_idle_per_host(0).build().unwrap();
        let behind = Behind { endpoint: bucket.endpoint.clone(), client, faults: Arc::clone(&faults) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = axum::Router::new().fallback(pass).with_state(behind);
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { bucket: Bucket { endpoint, ..bucket.clone() }, faults, task }
    }

    /// Fails the next so many requests of a kind.
    pub fn fail(&self, op: Op, how: How, times: usize) {
        self.faults.lock().unwrap().push(Fault { op, how, times });
    }

    /// Fails nothing any more.
    pub fn heal(&self) {
        self.faults.lock().unwrap().clear();
    }
}

impl Drop for FaultyStore {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn pass(State(behind): State<Behind>, request: Request) -> Response {
    let op = op(&request);
    let how = {
        let mut faults = behind.faults.lock().unwrap();
        let fault = faults.iter_mut().find(|fault| fault.op == op && fault.times > 0);
        fault.map(|fault| {
            fault.times -= 1;
            fault.how
        })
    };
    match how {
        None => behind.ask(request).await,
        Some(How::Refuse(status, code)) => {
            // Read to its end first, as a store does that can't know better.
            axum::body::to_bytes(request.into_body(), MAX_BODY).await.unwrap();
            refusal(status, code)
        }
        Some(How::DoneButSays(status, code)) => {
            behind.ask(request).await;
            refusal(status, code)
        }
        Some(How::DoneButSilent) => {
            behind.ask(request).await;
            std::future::pending().await
        }
        Some(How::DoneButBroken) => {
            behind.ask(request).await;
            let broken = futures::stream::iter([Ok(Bytes::from_static(b"<")), Err("broken off")]);
            Body::from_stream(broken).into_response()
        }
        Some(How::Garbled) => {
            let (parts, body) = request.into_parts();
            let mut body = Vec::from(axum::body::to_bytes(body, MAX_BODY).await.unwrap());
            let middle = body.len() / 2;
            body[middle] ^= 1;
            behind.ask(Request::from_parts(parts, body.into())).await
        }
        Some(How::DoneButLate(wait)) => {
            let answer = behind.ask(request).await;
            tokio::time::sleep(wait).await;
            answer
        }
        Some(How::Late(wait)) => {
            tokio::time::sleep(wait).await;
            behind.ask(request).await
        }
    }
}

fn op(request: &Request) -> Op {
    let query = request.uri().query().unwrap_or_default();
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match *request.method() {
        Method::POST if has("uploads") => Op::Open,
        Method::POST if has("uploadId") => Op::Complete,
        Method::PUT if has("partNumber") => Op::Part,
        Method::DELETE if has("uploadId") => Op::Abort,
        Method::PUT if request.uri().path().contains("/.tidegate/") => Op::Note,
        Method::PUT => Op::Put,
        Method::GET | Method::HEAD if !has("list-type") && !has("uploads") => Op::Look,
        _ => Op::Other,
    }
}

impl Behind {
    async fn ask(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        let url = format!("{}{}", self.endpoint, parts.uri);
        let answer = self.client.request(parts.method, url).headers(parts.headers).body(body).send().await.unwrap();
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = answer.bytes().await.unwrap().into();
        response
    }
}

fn refusal(status: u16, code: &str) -> Response {
    let xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>made up</Message>\
         <Resource>/</Resource><RequestId>0</RequestId></Error>"
    );
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/xml")], xml).into_response()
}
