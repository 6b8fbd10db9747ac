//! A multipart upload under way: opened at the store, bound to its key, its parts on their way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{MultipartId, PutMultipartOptions, PutResult};
use tokio::task::{JoinError, JoinSet};

use super::marks::{self, Attempt};
use super::remote::{Clients, Remote};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::claims::Claim;
use crate::sink::place::MAX_VERSIONS;
use crate::upload::{Key, OnConflict, UploadSpec};

/// Parts of one upload that S3 takes: Amazon S3 User Guide, "Amazon S3 multipart upload limits".
pub(super) const MAX_PARTS: usize = 10_000;

/// How long an upload that is given up waits for the parts that are on their way. A part that arrives after the abort would
/// stay in the store, so they are better let through than cut.
const PATIENCE: Duration = Duration::from_secs(10);

/// An open multipart upload.
#[derive(Debug)]
pub(super) struct Parts {
    remote: Arc<Remote>,
    key: Key,
    path: Path,
    multipart: MultipartId,
    on_the_way: JoinSet<(usize, object_store::Result<PartId>)>,
    /// What the store answered, by the part's number.
    arrived: Vec<Option<PartId>>,
    /// Keeps other uploads of this process off the version that this one is bound to.
    _version: Option<Claim<Key>>,
}

impl Parts {
    /// Opens a multipart upload under the key that `spec` asks for or, under [`OnConflict::Version`], under the first of its
    /// versions that is free: S3 binds it to its key here, before the content is known.
    pub(super) async fn open(remote: Arc<Remote>, spec: &UploadSpec, attempt: &Attempt) -> Result<Self> {
        let (key, version) = match spec.on_conflict {
            OnConflict::Version => {
                let (key, claim) = free_version(&remote, &spec.key).await?;
                (key, Some(claim))
            }
            OnConflict::Reject | OnConflict::Overwrite => (spec.key.clone(), None),
        };
        let path = remote.path(&key)?;
        let attributes = marks::of_spec(spec, attempt, &key);
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let opened = remote.clients.plain.create_multipart_opts(&path, options).await;
        let multipart = opened
            .map_err(|error| remote.failed(format_args!("opening a multipart upload of {:?}", key.as_str()), &error))?;
        Ok(Self { remote, key, path, multipart, on_the_way: JoinSet::new(), arrived: Vec::new(), _version: version })
    }

    /// The key that the upload is bound to.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// Sends the next part, once fewer than the allowed number are on their way.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for one part too many; [`ErrorKind::Store`] where this or an earlier part failed.
    pub(super) async fn send(&mut self, part: Bytes) -> Result<()> {
        let index = self.arrived.len();
        if index >= MAX_PARTS {
            return Err(self.remote.too_large(&self.key));
        }
        while self.on_the_way.len() >= self.remote.parts_in_flight {
            self.next_arrival().await?;
        }
        self.arrived.push(None);
        let (remote, path, multipart) = (Arc::clone(&self.remote), self.path.clone(), self.multipart.clone());
        self.on_the_way
            .spawn(async move { (index, remote.clients.plain.put_part(&path, &multipart, index, part.into()).await) });
        Ok(())
    }

    /// Waits until every part has arrived.
    pub(super) async fn all_arrived(&mut self) -> Result<()> {
        while !self.on_the_way.is_empty() {
            self.next_arrival().await?;
        }
        Ok(())
    }

    /// Makes the object of the parts, which must all have arrived.
    pub(super) async fn complete(&self, how: Completion) -> object_store::Result<PutResult> {
        let parts = self.arrived.iter().flatten().cloned().collect();
        let Clients { plain, creating } = &self.remote.clients;
        let client = match how {
            Completion::Create => creating,
            Completion::Replace => plain,
        };
        client.complete_multipart(&self.path, &self.multipart, parts).await
    }

    /// Gives the upload up, so that the store drops its parts and no complete can follow any more.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store did not confirm it.
    pub(super) async fn abort(&mut self) -> Result<()> {
        let drained = async { while self.on_the_way.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, drained).await.is_err() {
            self.on_the_way.shutdown().await;
        }
        match self.remote.clients.plain.abort_multipart(&self.path, &self.multipart).await {
            // Gone already: given up before, or completed.
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => {
                let doing = format_args!("giving up the multipart upload of {:?}", self.key.as_str());
                Err(self.remote.failed(doing, &error))
            }
        }
    }

    async fn next_arrival(&mut self) -> Result<()> {
        let Some(joined) = self.on_the_way.join_next().await else { return Ok(()) };
        let (index, answer) = joined.map_err(|error| stopped("sending a part", error))?;
        let id = answer.map_err(|error| {
            let doing = format_args!("sending part {} of {:?}", index + 1, self.key.as_str());
            self.remote.failed(doing, &error)
        })?;
        self.arrived[index] = Some(id);
        Ok(())
    }
}

/// How a multipart upload becomes an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completion {
    /// Where nothing lies under the key.
    Create,
    /// In the place of whatever lies there.
    Replace,
}

/// What a task that did not end by itself comes to: its panic goes on, a stop (the runtime ends) is an error.
pub(super) fn stopped(doing: &str, error: JoinError) -> Error {
    match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(error) => Error::new(ErrorKind::Unknown, format!("{doing} was stopped")).because(error),
    }
}

/// The first version of `name` under which nothing lies and to which no other upload of this process is bound.
async fn free_version(remote: &Remote, name: &Key) -> Result<(Key, Claim<Key>)> {
    let mut key = name.clone();
    for number in 2..=MAX_VERSIONS + 1 {
        if let Some(claim) = remote.larger.claim(&key)
            && remote.look(&key).await?.is_none()
        {
            return Ok((key, claim));
        }
        key = match name.version(number) {
            Ok(key) => key,
            Err(error) => return Err(all_taken(name).because(error)),
        };
    }
    Err(all_taken(name))
}

fn all_taken(name: &Key) -> Error {
    let message = format!("{:?} and every version beside it are taken by other content", name.as_str());
    Error::new(ErrorKind::Conflict, message)
}
