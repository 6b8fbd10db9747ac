//! What is written down of an upload on its way, so that any node can go on with it: objects below
//! `<prefix>/.tidegate/uploads/<id>/`.
//!
//! - `manifest.json`: what was announced, and the multipart upload that takes the bytes.
//! - `<attempt>/<part>.json`: a part that has arrived, and how things stood at its end.
//! - `<attempt>/tail-<from>-<to>`: bytes that did not fill a part when the upload was suspended, and how things stood then.
//! - `<attempt>/resumed`: when somebody went on with it, for the sweep.
//!
//! Manifest and parts are made once, under a condition: nodes that share nothing but the bucket learn there of each other. Of
//! two tries nothing can be mixed, for each has a folder of its own. Nothing here knows how bytes come to the store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Attributes, GetOptions, MultipartId, ObjectMeta, ObjectStore as _, PutMode, PutPayload};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::marks::Attempt;
use super::remote::Remote;
use super::words::is_refusal;
use crate::config::Integrity;
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Key, Note, Tally, UploadId, UploadSpec, rfc3339};

/// What this file knows to read: 1, and 2 where the parts come with checksums, so that a server which knows no such parts
/// begins anew.
const fn format_of(integrity: Integrity) -> u32 {
    match integrity {
        Integrity::Signature => 1,
        Integrity::Checksum => 2,
    }
}

/// How often a record may be refused because something stands there, and nothing be there.
const MAX_ROUNDS: u32 = 4;

/// What is waited before the first further request; it grows with each.
const PAUSE: Duration = Duration::from_millis(50);

/// An upload that is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Manifest {
    format: u32,
    pub(super) spec: UploadSpec,
    pub(super) attempt: Attempt,
    /// What the multipart upload is bound to: the name, or a version beside it.
    pub(super) key: Key,
    pub(super) multipart: MultipartId,
    /// Bytes of every part but the last, whatever another node is configured to.
    pub(super) part_bytes: usize,
    /// How the store knows that it has the bytes of each part: the same for all of one upload.
    #[serde(default)]
    pub(super) integrity: Integrity,
    #[serde(with = "rfc3339")]
    started_at: SystemTime,
}

impl Manifest {
    /// What begins now.
    pub(super) fn new(
        spec: UploadSpec,
        attempt: Attempt,
        key: Key,
        multipart: MultipartId,
        (part_bytes, integrity): (usize, Integrity),
    ) -> Self {
        Self {
            format: format_of(integrity),
            spec,
            attempt,
            key,
            multipart,
            part_bytes,
            integrity,
            started_at: rfc3339::now(),
        }
    }
}

/// What stands where a manifest may.
#[derive(Debug)]
pub(super) enum Standing {
    Nothing,
    Manifest(Box<Manifest>),
    /// Something that this version can't read.
    Unreadable,
}

/// How an upload stands at some offset: all that is needed to go on from there.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) tally: Tally,
    pub(super) note: Note,
}

/// A part that has arrived.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PartRecord {
    /// Counted from 0.
    pub(super) index: usize,
    pub(super) bytes: usize,
    /// What the store called it.
    pub(super) part: String,
    #[serde(flatten)]
    pub(super) saved: Saved,
}

/// Where one try of an upload is written down.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    remote: Arc<Remote>,
    id: UploadId,
    attempt: Attempt,
}

impl Journal {
    /// Writes the manifest.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where another node has written one for the same upload; [`ErrorKind::Store`].
    pub(super) async fn begin(remote: Arc<Remote>, manifest: &Manifest) -> Result<Self> {
        let path = remote.manifest_path(&manifest.spec.id);
        let standing = remote.write_once(&path, manifest).await?;
        if standing.attempt != manifest.attempt {
            return Err(busy(&manifest.spec.id));
        }
        Ok(Self::of(remote, manifest))
    }

    /// What was begun before.
    pub(super) fn of(remote: Arc<Remote>, manifest: &Manifest) -> Self {
        Self { remote, id: manifest.spec.id.clone(), attempt: manifest.attempt.clone() }
    }

    /// Writes down that a part has arrived. Gives the part that stands there: another node may have sent the same.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where another node sends other bytes; [`ErrorKind::Store`].
    pub(super) async fn part(&self, record: &PartRecord) -> Result<PartId> {
        let path = self.remote.attempt_path(&self.id, &self.attempt, &part_name(record.index));
        let standing = self.remote.write_once(&path, record).await?;
        if standing.saved.tally != record.saved.tally {
            return Err(busy(&self.id));
        }
        Ok(PartId { content_id: standing.part })
    }

    /// Keeps the bytes from offset `from` on, which do not fill a part. Gives where.
    pub(super) async fn tail(&self, from: u64, saved: &Saved, bytes: Bytes) -> Result<Path> {
        let name = tail_name(from, saved.tally.size());
        let path = self.remote.attempt_path(&self.id, &self.attempt, &name);
        let mut head = json(saved);
        head.push(b'\n');
        let body = PutPayload::from_iter([Bytes::from(head), bytes]);
        match self.remote.put(&path, body, Attributes::new(), PutMode::Overwrite).await {
            Ok(()) => Ok(path),
            Err(error) => Err(self.remote.failed(format_args!("keeping the end of upload {}", self.id), &error)),
        }
    }

    /// Notes that somebody goes on with the upload.
    pub(super) async fn touch(&self) -> Result<()> {
        let path = self.remote.attempt_path(&self.id, &self.attempt, "resumed");
        let now = humantime::format_rfc3339_millis(rfc3339::now()).to_string();
        let put = self.remote.put(&path, Bytes::from(now).into(), Attributes::new(), PutMode::Overwrite).await;
        put.map_err(|error| self.remote.failed(format_args!("resuming upload {}", self.id), &error))
    }

    /// Removes everything, the manifest last; that of another try stays. (Should another node put its own there between the
    /// look and the delete, then its upload can't be resumed, but is committed all the same.)
    pub(super) async fn clear(&self) -> Result<()> {
        let listed = self.remote.list(&self.remote.attempt_folder(&self.id, &self.attempt)).await?;
        self.remote.remove_all(listed.into_iter().map(|object| object.location).collect()).await?;
        match self.remote.manifest(&self.id).await? {
            Standing::Manifest(manifest) if manifest.attempt == self.attempt => {
                self.remote.remove_all(vec![self.remote.manifest_path(&self.id)]).await
            }
            Standing::Manifest(_) | Standing::Unreadable | Standing::Nothing => Ok(()),
        }
    }
}

impl Remote {
    /// The manifest of an upload.
    pub(super) async fn manifest(&self, id: &UploadId) -> Result<Standing> {
        let path = self.manifest_path(id);
        let Some(json) = self.fetch(&path).await? else { return Ok(Standing::Nothing) };
        match serde_json::from_slice::<Manifest>(&json) {
            Ok(manifest)
                if manifest.format == format_of(manifest.integrity)
                    && manifest.spec.id == *id
                    && manifest.part_bytes > 0 =>
            {
                Ok(Standing::Manifest(Box::new(manifest)))
            }
            Ok(_) => Ok(Standing::Unreadable),
            Err(error) => {
                tracing::warn!(manifest = %path, store = self.store, %error, "a manifest can't be read");
                Ok(Standing::Unreadable)
            }
        }
    }

    /// Removes all that was written down of an upload, if every piece `is_old`, and what its multipart upload holds; says
    /// whether. The manifest goes last: as long as it stands, it is known what there is to remove.
    pub(super) async fn drop_upload(&self, id: &UploadId, is_old: impl Fn(SystemTime) -> bool) -> Result<bool> {
        let listed = self.list(&self.upload_folder(id)).await?;
        if !listed.iter().all(|object| is_old(object.last_modified.into())) {
            return Ok(false);
        }
        if let Standing::Manifest(manifest) = self.manifest(id).await? {
            self.abort(&self.path(&manifest.key)?, &manifest.multipart).await?;
        }
        let last = self.manifest_path(id);
        self.remove_all(listed.into_iter().map(|object| object.location).filter(|path| *path != last).collect()).await?;
        self.remove_all(vec![last]).await?;
        Ok(true)
    }

    /// Writes `what` down where nothing stands, and gives what stands then. An answer that was lost is settled by reading.
    pub(super) async fn write_once<T: Serialize + DeserializeOwned + Clone>(&self, path: &Path, what: &T) -> Result<T> {
        let json = Bytes::from(json(what));
        let mut rounds = 0;
        loop {
            let Err(error) = self.put(path, json.clone().into(), Attributes::new(), PutMode::Create).await else {
                return Ok(what.clone());
            };
            match self.fetch(path).await {
                Ok(Some(standing)) => {
                    return serde_json::from_slice(&standing).map_err(|error| {
                        Error::new(ErrorKind::Store, format!("what stands at {path} can't be read")).because(error)
                    });
                }
                // Somebody is about to write there, or it has gone meanwhile.
                Ok(None) if is_refusal(&error) && rounds < MAX_ROUNDS => {
                    rounds += 1;
                    tokio::time::sleep(PAUSE * rounds).await;
                }
                Ok(None) | Err(_) => return Err(self.failed(format_args!("writing {path}"), &error)),
            }
        }
    }

    /// The bytes of an object, if there is one.
    pub(super) async fn fetch(&self, path: &Path) -> Result<Option<Bytes>> {
        let read = async { self.clients.plain.get_opts(path, GetOptions::new()).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed(format_args!("reading {path}"), &error)),
        }
    }

    /// Every object below `folder`.
    pub(super) async fn list(&self, folder: &Path) -> Result<Vec<ObjectMeta>> {
        let listed = self.clients.plain.list(Some(folder)).try_collect().await;
        listed.map_err(|error| self.failed(format_args!("listing {folder}"), &error))
    }

    /// Removes objects; those that are not there are no failure.
    pub(super) async fn remove_all(&self, paths: Vec<Path>) -> Result<()> {
        let mut removed = self.clients.plain.delete_stream(futures::stream::iter(paths.into_iter().map(Ok)).boxed());
        while let Some(outcome) = removed.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(self.failed("removing what is not needed any more", &error)),
            }
        }
        Ok(())
    }
}

/// The answer to who comes second.
pub(super) fn busy(id: &UploadId) -> Error {
    Error::new(ErrorKind::Busy, format!("upload {id} is being written by somebody else"))
}

/// Of the part at `index`.
pub(super) fn part_name(index: usize) -> String {
    format!("{index:05}.json")
}

fn tail_name(from: u64, to: u64) -> String {
    format!("tail-{from}-{to}")
}

/// From where to where the bytes of a tail reach.
pub(super) fn tail_range(name: &str) -> Option<(u64, u64)> {
    let (from, to) = name.strip_prefix("tail-")?.split_once('-')?;
    Some((from.parse().ok()?, to.parse().ok()?))
}

/// How things stand at the end of a tail, and its bytes.
pub(super) fn read_tail(object: &Bytes) -> Option<(Saved, Bytes)> {
    let end = memchr::memchr(b'\n', object)?;
    Some((serde_json::from_slice(&object[..end]).ok()?, object.slice(end + 1..)))
}

fn json(what: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(what).expect("records are plain data with text for keys")
}
