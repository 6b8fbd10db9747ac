//! What a file remembers of the upload that made it: an extended attribute, flushed together with the bytes.
//!
//! It is a help, not the truth: files that came by another way have none, and some file systems keep none. The digest in a
//! receipt is always that of the bytes that lie there now.

use std::io;
use std::time::SystemTime;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::disk::Disk;
use super::readings::Whole;
use crate::report::Verdict;
use crate::sink::place::Content;
use crate::upload::{ContentType, Digest, Durability, Key, Meta, Receipt, UploadId, UploadSpec, rfc3339};

const ATTRIBUTE: &str = "user.tidegate";
/// The longest attribute that is read; ext4 keeps at most a block of them.
const MAX_ATTRIBUTE_BYTES: usize = 16 * 1024;

/// The attribute's value, as JSON.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) id: UploadId,
    pub(super) name: Key,
    pub(super) digest: Digest,
    #[serde(with = "rfc3339")]
    pub(super) committed_at: SystemTime,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<Verdict>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content_type: Option<ContentType>,
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    meta: Meta,
}

impl Record {
    /// The record of an upload that is committed now.
    pub(super) fn new(spec: &UploadSpec, content: &Content) -> Self {
        Self {
            id: spec.id.clone(),
            name: spec.key.clone(),
            digest: content.digest,
            committed_at: rfc3339::now(),
            verdict: content.verdict,
            content_type: spec.content_type.clone(),
            meta: spec.meta.clone(),
        }
    }

    /// Puts the record on a file. Where it does not fit, what the sender wanted kept beside the bytes is left out; where the
    /// file system keeps no attributes, the file goes without. What is left out is logged.
    pub(super) fn write<D: Disk>(&self, disk: &D, file: &D::Handle) -> io::Result<()> {
        let Err(error) = self.write_as_it_is(disk, file)? else { return Ok(()) };
        let brief = Self { content_type: None, meta: Meta::default(), ..self.clone() };
        let key = self.name.as_str();
        match brief.write_as_it_is(disk, file)? {
            Ok(()) => tracing::warn!(key, %error, "content type and metadata not kept: they do not fit into an attribute"),
            // On a file system without attributes that is so with every file.
            Err(error @ (Errno::NOTSUP | Errno::NOSYS)) => tracing::debug!(key, %error, "upload not noted on its file"),
            Err(error) => tracing::warn!(key, %error, "upload not noted on its file: the attribute can't be set"),
        }
        Ok(())
    }

    /// Puts the record on a file; the inner error is that of a file system that can't keep it.
    fn write_as_it_is<D: Disk>(&self, disk: &D, file: &D::Handle) -> io::Result<Result<(), Errno>> {
        match disk.set_attribute(file, ATTRIBUTE, &serde_json::to_vec(self)?) {
            Ok(()) => Ok(Ok(())),
            Err(
                errno @ (Errno::NOTSUP
                | Errno::NOSYS
                | Errno::NOSPC
                | Errno::DQUOT
                | Errno::RANGE
                | Errno::TOOBIG
                | Errno::PERM),
            ) => Ok(Err(errno)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The record of a file, if it has one that can be read.
    pub(super) fn read<D: Disk>(disk: &D, file: &D::Handle) -> Option<Self> {
        let json = disk.attribute(file, ATTRIBUTE, MAX_ATTRIBUTE_BYTES).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

/// The receipt of the file under `key`, which holds this, as durable as the caller has made it.
pub(super) fn receipt<D: Disk>(
    disk: &D,
    file: &D::Handle,
    key: &Key,
    durability: Durability,
    Whole { size, digest }: Whole,
) -> Result<Receipt, Errno> {
    // A record of other bytes than these is of a file that was changed since.
    let record = Record::read(disk, file).filter(|record| record.digest == digest);
    let (id, name, committed_at, verdict) = match record {
        Some(record) => (Some(record.id), record.name, record.committed_at, record.verdict),
        None => (None, key.clone(), disk.stat(file)?.modified, None),
    };
    let (key, report, duplicate) = (key.clone(), None, false);
    Ok(Receipt { id, name, key, size, digest, committed_at, durability, verdict, report, duplicate })
}
