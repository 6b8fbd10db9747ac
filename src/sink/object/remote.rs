//! The bucket: how to reach it, and where in it things lie.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use object_store::list::PaginatedListStore;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{Attributes, MultipartId, ObjectStore, PutMode, PutOptions, PutPayload};

use super::bindings::Bindings;
use super::folders::Known;
use super::key_claims::ClaimTimes;
use super::look::Reading;
use super::marks::Attempt;
use super::parts::MAX_PARTS;
use super::turns::Turns;
use super::unfinished::Unfinished;
use super::versions::KnownVersions;
use crate::budget::Budget;
use crate::config::Integrity;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::claims::Claims;
use crate::upload::{Key, UploadId};

/// What stands before everything that is the server's own. No [`Key`] begins so.
const RESERVED: &str = ".tidegate";

/// Since when there is no such multipart upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gone {
    Now,
    Before,
}

/// A store of objects that takes them in parts, and lists them by any prefix.
pub(super) trait Blobs: ObjectStore + MultipartStore + PaginatedListStore {}

impl<T: ObjectStore + MultipartStore + PaginatedListStore> Blobs for T {}

/// The ways to speak to one store.
#[derive(Clone)]
pub(super) struct Clients {
    /// For everything but what follows.
    pub(super) plain: Arc<dyn Blobs>,
    /// Completes a multipart upload only where nothing lies under its key; used for nothing else.
    pub(super) creating: Arc<dyn Blobs>,
    /// Stores bytes with a checksum, and does not sign them.
    pub(super) checked: Arc<dyn Blobs>,
    /// Stores bytes with a checksum that is not theirs: what a trial wants to see refused.
    pub(super) lying: Arc<dyn Blobs>,
}

impl Clients {
    /// What stores bytes so.
    pub(super) fn storing(&self, integrity: Integrity) -> &Arc<dyn Blobs> {
        match integrity {
            Integrity::Checksum => &self.checked,
            Integrity::Signature => &self.plain,
        }
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clients").field(&self.plain.to_string()).finish()
    }
}

/// The bucket, with what its uploads share.
#[derive(Debug)]
pub(super) struct Remote {
    pub(super) clients: Clients,
    /// What is wanted; what the store can do is [`Remote::integrity`].
    pub(super) wanted: Integrity,
    /// The store in words: `bucket "files" at http://127.0.0.1:9000`.
    pub(super) store: String,
    /// What stands before every key, without slashes at its ends; may be empty.
    pub(super) prefix: String,
    /// Bytes of every part but the last, and the most that is stored by one PUT.
    pub(super) part_bytes: usize,
    /// Parts of one upload on their way at once; at least one.
    pub(super) parts_in_flight: usize,
    /// The keys that multipart uploads of this process are bound to.
    pub(super) bindings: Bindings,
    /// The multipart uploads that this process writes to.
    pub(super) open: Claims<MultipartId>,
    /// The tries of this process whose bytes lie, or come to lie, where they are held.
    pub(super) holding: Claims<Attempt>,
    /// Knows the multipart uploads that the store holds.
    pub(super) unfinished: Arc<dyn Unfinished>,
    /// Who compares the versions of a name, and then commits.
    pub(super) turns: Turns,
    /// The turns of commits under a name that may be a folder, where the store hides what lies below an
    /// object.
    pub(super) names: Turns,
    pub(super) known_folders: Known,
    pub(super) known_versions: KnownVersions,
    pub(super) reading: Reading,
    /// What the store was seen to do.
    pub(super) seen: Seen,
    /// How long claims of keys are respected.
    pub(super) claim_times: ClaimTimes,
    /// Up to which record of a receipt the last sweep came; `None` at the end.
    pub(super) swept_to: std::sync::Mutex<Option<Path>>,
    /// Memory for parts.
    pub(super) budget: Arc<Budget>,
}

/// What the store was seen to do. Nothing is committed under a condition before it was seen to be kept: a store that ignores
/// it would answer as if all were well, and overwrite.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A conditional PUT is refused where something stands, and of two at once one is refused.
    pub(super) create: AtomicBool,
    /// How conditional completes are kept, once they were seen to be refused where something
    /// stands.
    pub(super) complete: OnceLock<Completes>,
    /// Whether it hides what lies below an object.
    pub(super) hides: OnceLock<bool>,
    /// Whether it compares checksums, once that is known.
    pub(super) checksums: OnceLock<bool>,
    /// Held while the store is tried out for a commit: one trial serves all uploads that need it.
    pub(super) trying: tokio::sync::Mutex<()>,
}

/// The outcome of two concurrent conditional completes of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Completes {
    /// One of them is refused: the condition alone guards a commit.
    Hold,
    /// Both succeed, and one file is lost: each commit needs a claim of its key.
    Lose,
}

impl Seen {
    /// Whether a commit needs a claim of its key. Also where nothing is known of completes yet:
    /// another node may know more, and a commit without a claim would pass its claims by.
    pub(super) fn needs_claims(&self) -> bool {
        self.can_create() && self.complete.get() != Some(&Completes::Hold)
    }

    /// Whether a multipart upload can be completed under a condition without a loss.
    pub(super) fn can_complete(&self) -> bool {
        match self.complete.get() {
            Some(Completes::Hold) => true,
            Some(Completes::Lose) => self.can_create(),
            None => false,
        }
    }

    /// Whether an object can be created under a condition without a loss.
    pub(super) fn can_create(&self) -> bool {
        self.create.load(Ordering::Relaxed)
    }
}

impl Remote {
    /// How the store knows that it has the bytes that are sent from now on.
    pub(super) fn integrity(&self) -> Integrity {
        match self.seen.checksums.get() {
            Some(true) => self.wanted,
            Some(false) | None => Integrity::Signature,
        }
    }

    /// Whether checksums may do in the place of signatures: they are wanted, and the store was not seen to pass over them.
    pub(super) fn may_send_checksums(&self) -> bool {
        self.wanted == Integrity::Checksum && self.seen.checksums.get() != Some(&false)
    }

    /// Where the object of `key` lies.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`] where key and prefix together are too long for S3.
    pub(super) fn path(&self, key: &Key) -> Result<Path> {
        let text = self.below(key.as_str());
        if text.len() > Key::MAX_BYTES {
            let message = format!(
                "name {:?} is too long: {} bytes with the prefix of the store, {} at most",
                key.as_str(),
                text.len(),
                Key::MAX_BYTES
            );
            return Err(Error::new(ErrorKind::BadName, message));
        }
        // Not `Path::from`, which would store `a~2.csv` as `a%7E2.csv`.
        Path::parse(&text).map_err(|error| {
            Error::new(ErrorKind::BadName, format!("name {:?} can't be an object's", key.as_str())).because(error)
        })
    }

    /// Where the receipt of a multipart upload lies. Its attempt is part of the name, so that an upload that is sent again
    /// can't touch the record of the object that stands.
    pub(super) fn record_path(&self, id: &UploadId, attempt: &Attempt) -> Path {
        self.reserved(&format!("receipts/{id}.{attempt}.json"))
    }

    /// Where all lies that is the server's own.
    pub(super) fn reserved_folder(&self) -> Path {
        Path::parse(self.below(RESERVED)).expect("the prefix was checked")
    }

    /// Where all lies that is written down of an upload.
    pub(super) fn upload_folder(&self, id: &UploadId) -> Path {
        self.reserved(&format!("uploads/{id}"))
    }

    /// Where it is written down that an upload is on its way.
    pub(super) fn manifest_path(&self, id: &UploadId) -> Path {
        self.reserved(&format!("uploads/{id}/manifest.json"))
    }

    /// Where all lies that one try of an upload writes down.
    pub(super) fn attempt_folder(&self, id: &UploadId, attempt: &Attempt) -> Path {
        self.reserved(&format!("uploads/{id}/{attempt}"))
    }

    /// Where one try of an upload writes down what is called `name`.
    pub(super) fn attempt_path(&self, id: &UploadId, attempt: &Attempt, name: &str) -> Path {
        self.reserved(&format!("uploads/{id}/{attempt}/{name}"))
    }

    /// Where the claims of a key lie, one for each generation.
    pub(super) fn claim_path(&self, folder: &str, generation: u32) -> Path {
        self.reserved(&format!("claims/{folder}/{generation:03}.json"))
    }

    /// Where a probe of this name may write.
    pub(super) fn probe_path(&self, name: &str) -> Path {
        self.reserved(&format!("probe/{name}"))
    }

    /// Whether the object lies below the prefix.
    pub(super) fn holds(&self, path: &Path) -> bool {
        self.prefix.is_empty() || path.as_ref().strip_prefix(&self.prefix).is_some_and(|rest| rest.starts_with('/'))
    }

    pub(super) fn reserved(&self, rest: &str) -> Path {
        let text = self.below(&format!("{RESERVED}/{rest}"));
        Path::parse(text).expect("the prefix was checked, and ids hold neither slashes nor control characters")
    }

    /// `rest`, a path or the beginning of one, below the prefix.
    pub(super) fn below(&self, rest: &str) -> String {
        if self.prefix.is_empty() { rest.to_owned() } else { format!("{}/{rest}", self.prefix) }
    }

    /// Stores an object by one request.
    pub(super) async fn put(
        &self,
        path: &Path,
        body: PutPayload,
        attributes: Attributes,
        mode: PutMode,
    ) -> object_store::Result<()> {
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        self.clients.storing(self.integrity()).put_opts(path, body, options).await.map(drop)
    }

    /// Gives a multipart upload up, so that the store drops its parts and no complete can follow any more.
    pub(super) async fn abort(&self, path: &Path, multipart: &MultipartId) -> Result<Gone> {
        match self.clients.plain.abort_multipart(path, multipart).await {
            Ok(()) => Ok(Gone::Now),
            // Given up before, or completed.
            Err(object_store::Error::NotFound { .. }) => Ok(Gone::Before),
            Err(error) => Err(self.failed(format_args!("giving up the multipart upload of {:?}", path.as_ref()), &error)),
        }
    }

    /// The answer to an upload that would need too many parts.
    pub(super) fn too_large(&self, key: &Key) -> Error {
        let message = format!(
            "{:?} is larger than {MAX_PARTS} parts of {} bytes, the most that the store takes: sink.s3.part_bytes must be larger",
            key.as_str(),
            self.part_bytes
        );
        Error::new(ErrorKind::TooLarge, message)
    }
}
