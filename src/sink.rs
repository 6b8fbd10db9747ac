//! The contract between the pump and whatever stores the bytes, and the sinks that keep it.
//!
//! A sink knows keys, bytes and receipts. It does not know who sent them, by which protocol, or whether anybody waits.

mod claims;
pub mod fs;
pub mod memory;
pub mod object;
mod place;
pub mod validated;

use std::fmt::{self, Debug};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Digest, Key, Receipt, UploadId, UploadSpec};

/// A store that takes uploads whole or not at all.
///
/// What every sink promises, and the contract suite checks:
/// - No reader of the store ever sees, under a final name, a part of an upload or one that was not committed.
/// - Of two uploads to one key, at no moment is there a mixture, and neither is lost unless its policy says so.
/// - The same content under the same key is committed once: the second commit answers with the first one's receipt, and
///   [`Receipt::duplicate`] set.
#[async_trait]
pub trait Sink: Debug + Send + Sync {
    /// Opens a place for an upload's bytes, invisible until committed.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while somebody else writes an upload of this id, [`ErrorKind::NoSpace`], [`ErrorKind::Store`].
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>>;

    /// Reopens what an interrupted upload left, at the offset that is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where the sink keeps nothing of an interrupted upload.
    async fn resume(&self, id: &UploadId) -> Result<Box<dyn Staged>> {
        Err(Error::new(ErrorKind::Unsupported, format!("upload {id} can't be resumed: this sink keeps nothing of it")))
    }

    /// What stands under this key, if anything: how a retry learns that it had succeeded.
    ///
    /// The digest is that of the bytes that lie there now.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store can't be read.
    async fn stat(&self, key: &Key) -> Result<Option<Receipt>>;

    /// The receipt for what stands under this key, if this very upload put it there. Cheap where it did not: a sender may ask
    /// for any id and any key, so that nothing is read to find out that they do not belong together.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store can't be read.
    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>>;

    /// Tries out, on the store itself, everything that the contract needs, and says what it found. Leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] only where not even a finding could be made.
    async fn probe(&self) -> Result<Probe>;
}

/// An upload under way. Whoever holds it ends it by `commit` or `abort`; dropping it only leaves the staged bytes to be
/// swept up later.
#[async_trait]
pub trait Staged: Debug + Send {
    /// What was announced.
    fn spec(&self) -> &UploadSpec;

    /// Bytes taken so far: where the sender must continue.
    fn offset(&self) -> u64;

    /// Takes the next bytes. Waits while the store is slower than the sender; at no time does it hold more than a bounded
    /// number of bytes in memory. After an error the upload can only be aborted.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`], [`ErrorKind::Store`]; [`ErrorKind::Invalid`] from a validator.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Makes the upload durable *and* visible under its key, or neither; nothing staged stays behind either way.
    ///
    /// `claim` is the digest that the sender gave at the end of its bytes, where it gave one.
    ///
    /// # Errors
    /// [`ErrorKind::SizeMismatch`] and [`ErrorKind::DigestMismatch`] where the bytes are not what was announced,
    /// [`ErrorKind::Conflict`] where the key is taken, [`ErrorKind::NoSpace`], [`ErrorKind::Store`]: nothing was committed.
    /// [`ErrorKind::Unknown`]: the store did not say; [`Sink::stat`] tells.
    async fn commit(self: Box<Self>, claim: Option<Digest>) -> Result<Receipt>;

    /// Gives the upload up and removes what was staged.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where something stayed behind.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// What a [`Sink::probe`] found out.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The store in words: `files below "/var/lib/tidegate"`.
    pub store: String,
    /// What was tried, in that order.
    pub findings: Vec<Finding>,
}

/// One thing that was tried on the store.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was tried: `conditional create`.
    pub what: &'static str,
    /// What came of it, in words: how it is, or what would fail and what to do.
    pub outcome: Result<String, String>,
}

impl Probe {
    /// A probe of `store` that has found nothing yet.
    pub(crate) fn of(store: impl Into<String>) -> Self {
        Self { store: store.into(), findings: Vec::new() }
    }

    /// Notes that `what` works; `how` says more.
    pub(crate) fn pass(&mut self, what: &'static str, how: impl Into<String>) {
        self.findings.push(Finding { what, outcome: Ok(how.into()) });
    }

    /// Notes that `what` does not work.
    pub(crate) fn fail(&mut self, what: &'static str, why: impl fmt::Display) {
        self.findings.push(Finding { what, outcome: Err(why.to_string()) });
    }

    /// The first thing that does not work.
    pub fn problem(&self) -> Option<String> {
        self.findings.iter().find_map(|finding| {
            let problem = finding.outcome.as_ref().err()?;
            Some(format!("{}: {problem}", finding.what))
        })
    }
}
