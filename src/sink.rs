//! The contract between the pump and whatever stores the bytes, and the sinks that keep it.
//!
//! A sink knows keys, bytes and receipts. It does not know who sent them, by which protocol, or whether anybody waits.

mod claims;
pub mod fs;
pub mod memory;
pub mod object;
mod place;
mod quarantine;
mod refusal;
pub mod validated;
mod version_index;

use std::fmt::{self, Debug};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::quarantine::{Held, QuarantineId, Quarantined};
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::error::Result;
use crate::report::Report;
use crate::upload::{Ending, Key, Note, Receipt, UploadId, UploadSpec};
#[cfg(doc)]
use crate::upload::{OnConflict, OnInvalid};

/// A store that takes uploads whole or not at all.
///
/// What every sink promises, and the contract suite checks:
/// - No reader of the store ever sees, under a final name, a part of an upload or one that was not committed.
/// - Of two uploads to one key, at no moment is there a mixture, and neither is lost unless its policy says so.
/// - Where the store does not list both a key and keys below it, whichever is committed first
///   stays, and the other one is refused or, under [`OnConflict::Version`], stored beside it.
///   [`Receipt::key`] tells where.
/// - The same content under the same key is committed once: the second commit answers with the first one's receipt, and
///   [`Receipt::duplicate`] set.
#[async_trait]
pub trait Sink: Debug + Send + Sync {
    /// Opens a place for an upload's bytes, invisible until committed. What this upload has left before is dropped, but what
    /// was announced of it holds. Under the id of an upload that is not kept when it is cut, nothing is ever left.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where an upload is kept that has this id and is another one ([`UploadSpec::continues`]): it stays
    /// as it is. [`ErrorKind::Busy`] while another writer has an upload of this id, [`ErrorKind::NoSpace`], [`ErrorKind::Store`].
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>>;

    /// Reopens what an upload of this id left when it was cut off, at the offset that is durable ([`Staged::offset`]), with the
    /// [`Note`] that was saved there. `None` where nothing is left to go on with. [`Sink::stage`] then begins anew, and drops what
    /// there may be.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where what is kept is of another upload ([`UploadSpec::continues`]): it stays as it is.
    /// [`ErrorKind::Busy`] while another writer has an upload of this id, [`ErrorKind::Store`].
    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>>;

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

    /// Removes what uploads have left that were cut off and that nobody has gone on with for `ttl`, and what no upload can need
    /// any more; says what it has removed and what it has found. Whatever may still be in use stays, by this process or by
    /// another one.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store can't be read or something can't be removed.
    async fn sweep(&self, ttl: Duration) -> Result<Swept>;

    /// What [`Staged::quarantine`] has kept and nobody has dropped: the oldest first.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store can't be read.
    async fn quarantined(&self) -> Result<Vec<Quarantined>>;

    /// The bytes of a file in quarantine, which are read as they are asked for; `None` where there is none of this id.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store can't be read.
    async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>>;

    /// Removes a file from quarantine, for good; whether there was one.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where it can't be removed, [`ErrorKind::Busy`] while somebody else puts it there.
    async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool>;

    /// Tries out, on the store itself, everything that the contract needs, and says what it found. Leaves nothing behind.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] only where not even a finding could be made.
    async fn probe(&self) -> Result<Probe>;
}

/// An upload under way. Whoever holds it ends it by `commit`, `suspend` or `abort`; dropping it leaves what was saved of it, to
/// be resumed or, later, swept up.
#[async_trait]
pub trait Staged: Debug + Send {
    /// What was announced.
    fn spec(&self) -> &UploadSpec;

    /// Bytes taken so far: where the sender must continue.
    fn offset(&self) -> u64;

    /// What was saved at the offset where the upload was resumed; empty where it was not.
    fn note(&self) -> &Note;

    /// Bytes from here to where the sink wants a [`checkpoint`](Self::checkpoint), at least one; `u64::MAX` where it wants none.
    /// Nobody has to follow: what was not saved is sent again.
    fn until_checkpoint(&self) -> u64;

    /// Saves the upload as it is now, so that it can be resumed from here after a crash: with what the sink itself needs, and
    /// with `note`. Durable some time after this returns, and before the next checkpoint is. Asked for elsewhere than
    /// [`until_checkpoint`](Self::until_checkpoint) says, it does nothing.
    ///
    /// # Errors
    /// As [`Staged::write`].
    async fn checkpoint(&mut self, note: Note) -> Result<()>;

    /// Takes the next bytes. Waits while the store is slower than the sender; at no time does it hold more than a bounded
    /// number of bytes in memory. After an error the upload can only be aborted.
    ///
    /// # Errors
    /// [`ErrorKind::NoSpace`], [`ErrorKind::Store`]; [`ErrorKind::Invalid`] from a validator.
    async fn write(&mut self, chunk: Bytes) -> Result<()>;

    /// Keeps the upload for a [`Sink::resume`], and says from which offset on: that of the last byte taken where that is
    /// possible, that of the last checkpoint where it is not, as after a write that failed. Nothing is kept of an upload
    /// whose [`UploadSpec::when_cut`] says so; that gives 0.
    ///
    /// # Errors
    /// [`ErrorKind::Store`]; what a checkpoint has saved is kept even so.
    async fn suspend(self: Box<Self>, note: Note) -> Result<u64>;

    /// Makes the upload durable *and* visible under its key, or neither; nothing staged stays behind either way.
    ///
    /// # Errors
    /// [`ErrorKind::SizeMismatch`] and [`ErrorKind::DigestMismatch`] where the bytes are not what
    /// was announced, [`ErrorKind::Conflict`] where the key is taken, is a folder, or lies below a
    /// file, [`ErrorKind::NoSpace`], [`ErrorKind::Store`]: nothing was committed.
    /// [`ErrorKind::Unknown`]: the store did not say; [`Sink::stat`] tells.
    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt>;

    /// Keeps the bytes, with `report` beside them, as durable as a commit, but where nobody finds them who does not ask for what
    /// is in quarantine: [`Sink::quarantined`]. The same bytes under the same name are kept once, and the first report with
    /// them. Only for uploads that were staged under [`OnInvalid::Quarantine`].
    ///
    /// # Errors
    /// [`ErrorKind::SizeMismatch`] and [`ErrorKind::DigestMismatch`] where the bytes are not what was announced,
    /// [`ErrorKind::Busy`] while somebody else keeps the same, [`ErrorKind::NoSpace`], [`ErrorKind::Store`]: nothing is kept.
    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined>;

    /// Gives the upload up and removes what was staged.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where something stayed behind.
    async fn abort(self: Box<Self>) -> Result<()>;
}

/// What a [`Sink::sweep`] has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Uploads, or other leftovers, that were removed.
    pub removed: u64,
    /// Uploads of which something is saved still, so that they can be resumed; also those that somebody is writing.
    pub kept: u64,
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
