//! A limit on requests to the store that are on their way at once: each needs a connection, which is a file descriptor.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpResponseBody, HttpService, ReqwestConnector,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Clients of a bucket: four that are patient, four that are hasty, and two that list multipart uploads.
const CLIENTS: usize = 10;

/// A client keeps so many idle connections, of those that it may have at once, and so many requests are set apart for the
/// questions of the hasty clients: one of this number.
const SHARE: usize = 8;

/// Connections to the store at most, with the idle ones of all clients, where so many requests are allowed at once.
pub fn most_connections(max_requests: usize) -> usize {
    max_requests + share(max_requests) + CLIENTS * share(max_requests)
}

fn share(max_requests: usize) -> usize {
    (max_requests / SHARE).max(1)
}

/// Makes clients that share the limit.
#[derive(Debug, Clone)]
pub(super) struct RequestLimit {
    permits: Arc<Semaphore>,
    idle: usize,
}

impl RequestLimit {
    pub(super) fn new(max_requests: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(max_requests)), idle: share(max_requests) }
    }

    /// A limit beside this one, for requests that must not wait behind many others.
    pub(super) fn apart(max_requests: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(share(max_requests))), idle: share(max_requests) }
    }
}

impl HttpConnector for RequestLimit {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let options = options.clone().with_pool_max_idle_per_host(self.idle);
        let client = ReqwestConnector::default().connect(&options)?;
        Ok(HttpClient::new(Limited { client, permits: Arc::clone(&self.permits) }))
    }
}

/// A client whose requests wait for a permit.
#[derive(Debug)]
struct Limited {
    client: HttpClient,
    permits: Arc<Semaphore>,
}

#[async_trait]
impl HttpService for Limited {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.expect("this semaphore is never closed");
        let response = self.client.execute(request).await?;
        Ok(response.map(|body| HttpResponseBody::new(Permitted { body, _permit: permit })))
    }
}

/// The body of an answer, which occupies its connection until it is read or dropped.
#[derive(Debug)]
struct Permitted {
    body: HttpResponseBody,
    _permit: OwnedSemaphorePermit,
}

impl Body for Permitted {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
