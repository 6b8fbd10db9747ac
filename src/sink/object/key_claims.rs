//! Claims: the right to commit under a key, on stores where two conditional completes of one key
//! both succeed.
//!
//! A claim is a small object, `<prefix>/.tidegate/claims/<SHA-256 of the key>/<generation>.json`,
//! made by a conditional PUT, which such a store keeps. It names the upload that may commit. Why a
//! free key never has two owners that can commit:
//!
//! - One generation has one owner: the store lets one PUT create it. (The nodes of one attempt
//!   share it: they complete the same multipart upload.)
//! - A generation is followed by the next only once its owner can commit no more. Its multipart
//!   upload was aborted, and the store confirmed that. A small file cannot be fenced: its claim
//!   must be older than its `ttl`, and its owner sends nothing later than half of that after it
//!   took the claim.
//! - The first generation is removed first. The owner of a later one looks whether the first is
//!   still the one that was seen before, and begins again where it is not. So no upload goes on
//!   with a chain that was removed meanwhile.
//! - An owner removes its claims only when its object stands or its upload was aborted, and only
//!   within half of the `ttl`. What is left after a crash is taken over by the next upload of the
//!   key, or by the sweep.
//!
//! The assumption: a request has ended, in the network and in the store, once half of the `ttl`
//! has passed.

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Attributes, GetOptions, MultipartId, ObjectStore as _, PutMode};
use serde::{Deserialize, Serialize};

use super::marks::Attempt;
use super::remote::Remote;
use super::words::is_refusal;
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Digest, Key, UploadId, rfc3339};

/// Owners that died one after the other, each while it took over from the one before.
const MAX_GENERATIONS: u32 = 999;

/// The wait before the first further request; it grows with each, up to a point.
const POLL_PAUSE: Duration = Duration::from_millis(20);
const MAX_PAUSE: Duration = Duration::from_millis(500);

/// How long claims are respected.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClaimTimes {
    /// After this, a claim that was neither used nor released is taken over.
    pub(super) ttl: Duration,
    /// How long a commit waits for the owner of a claim.
    pub(super) patience: Duration,
    /// After how long it asks how old the claim is.
    pub(super) suspicion: Duration,
}

impl ClaimTimes {
    /// For a store whose requests, with their repetitions, may be under way for so long: twice
    /// that, and a minute for the store to end them.
    pub(super) fn for_requests_of(longest: Duration) -> Self {
        let (patience, suspicion) = (Duration::from_secs(10), Duration::from_secs(1));
        Self { ttl: longest * 2 + Duration::from_mins(1), patience, suspicion }
    }
}

/// The content of a claim object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct ClaimRecord {
    key: Key,
    upload_id: UploadId,
    attempt: Attempt,
    /// The multipart upload to abort before another upload may commit; none for a file that is committed by
    /// one request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    multipart: Option<MultipartId>,
    #[serde(with = "rfc3339")]
    claimed_at: SystemTime,
    ttl_ms: u64,
}

impl ClaimRecord {
    fn new(claimant: Claimant<'_>, ttl: Duration) -> Self {
        Self {
            key: claimant.key.clone(),
            upload_id: claimant.upload_id.clone(),
            attempt: claimant.attempt.clone(),
            multipart: claimant.multipart.cloned(),
            claimed_at: rfc3339::now(),
            ttl_ms: u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX),
        }
    }

    fn ttl(&self) -> Duration {
        Duration::from_millis(self.ttl_ms)
    }
}

/// The upload that wants to commit, and its key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claimant<'a> {
    pub(super) key: &'a Key,
    pub(super) upload_id: &'a UploadId,
    pub(super) attempt: &'a Attempt,
    pub(super) multipart: Option<&'a MultipartId>,
}

/// The right to commit under a key. Where it is dropped without [`KeyClaim::release`], it ends with
/// its `ttl`.
#[derive(Debug)]
pub(super) struct KeyClaim {
    folder: String,
    generation: u32,
    key: Key,
    taken: Instant,
    /// Less than that of the record, where that is older.
    ttl: Duration,
}

impl KeyClaim {
    /// Fails where the claim is too old for a commit to begin.
    ///
    /// # Errors
    /// [`ErrorKind::Store`].
    pub(super) fn check(&self) -> Result<()> {
        if self.is_fresh() {
            return Ok(());
        }
        let message = format!("the claim on {:?} is too old for a commit: send it again", self.key.as_str());
        Err(Error::new(ErrorKind::Store, message))
    }

    fn is_fresh(&self) -> bool {
        self.taken.elapsed() < self.ttl / 2
    }

    /// Ends the claim. Only for owners whose object stands, or that cannot commit any more. That
    /// something stays is no reason to fail anything.
    pub(super) async fn release(self, remote: &Remote) {
        for generation in 1..=self.generation {
            if !self.is_fresh() {
                return;
            }
            let path = remote.claim_path(&self.folder, generation);
            if let Err(error) = remote.remove_all(vec![path]).await {
                tracing::warn!(key = self.key.as_str(), %error, "claim left behind");
                return;
            }
        }
    }
}

/// A claim that was found.
#[derive(Debug)]
struct FoundClaim {
    record: ClaimRecord,
    modified: SystemTime,
}

/// The state of a claim that an upload wanted to create.
enum ClaimState {
    /// With how long it has been held.
    Mine(ClaimRecord, Duration),
    /// The owner can commit no more, or is this very attempt: the next generation may follow.
    Over(ClaimRecord),
    /// Released meanwhile.
    Free,
}

/// How long a claimant waits for others.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    begun: Instant,
    times: ClaimTimes,
}

impl Waiting {
    /// Whether the owner of a claim takes longer than a commit does, so that its age is asked for.
    fn is_suspicious(self) -> bool {
        self.begun.elapsed() >= self.times.suspicion
    }

    fn is_over(self) -> bool {
        self.begun.elapsed() >= self.times.patience
    }
}

fn busy(key: &Key) -> Error {
    Error::new(ErrorKind::Busy, format!("{:?} is being committed by another upload: send it again", key.as_str()))
}

impl Remote {
    /// The right to commit under a key, where the store needs one.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] while another upload commits there; [`ErrorKind::Store`].
    pub(super) async fn claim_key(&self, claimant: Claimant<'_>) -> Result<Option<KeyClaim>> {
        if !self.seen.needs_claims() {
            return Ok(None);
        }
        self.take_claim(&key_hash(claimant.key), claimant, self.claim_times).await.map(Some)
    }

    async fn take_claim(&self, folder: &str, claimant: Claimant<'_>, times: ClaimTimes) -> Result<KeyClaim> {
        let waiting = Waiting { begun: Instant::now(), times };
        let (mut generation, mut first) = (1, None);
        while generation <= MAX_GENERATIONS {
            let taken = Instant::now();
            let path = self.claim_path(folder, generation);
            match self.next_turn(&path, claimant, waiting).await? {
                ClaimState::Free if waiting.is_over() => return Err(busy(claimant.key)),
                ClaimState::Free => tokio::time::sleep(POLL_PAUSE).await,
                ClaimState::Over(record) => {
                    first.get_or_insert(record);
                    generation += 1;
                }
                ClaimState::Mine(record, age) if generation == 1 || self.is_still(folder, first.as_ref()).await? => {
                    let (key, ttl) = (claimant.key.clone(), record.ttl().saturating_sub(age * 2));
                    return Ok(KeyClaim { folder: folder.to_owned(), generation, key, taken, ttl });
                }
                ClaimState::Mine(..) => {
                    self.remove_all(vec![path]).await?;
                    (generation, first) = (1, None);
                }
            }
        }
        let message =
            format!("{:?} has more claims than can be: remove what lies below claims/{folder}", claimant.key.as_str());
        Err(Error::new(ErrorKind::Store, message))
    }

    /// Creates the claim at `path`, or waits until its owner is over.
    async fn next_turn(&self, path: &Path, claimant: Claimant<'_>, waiting: Waiting) -> Result<ClaimState> {
        let record = ClaimRecord::new(claimant, waiting.times.ttl);
        let json = Bytes::from(serde_json::to_vec(&record).expect("a claim is plain data with text for keys"));
        let Err(error) = self.put(path, json.into(), Attributes::new(), PutMode::Create).await else {
            return Ok(ClaimState::Mine(record, Duration::ZERO));
        };
        let mut pause = POLL_PAUSE;
        loop {
            let standing = match self.read_claim(path).await {
                Ok(Some(standing)) => standing,
                Ok(None) if is_refusal(&error) => return Ok(ClaimState::Free),
                Ok(None) | Err(_) => return Err(self.failed(format_args!("claiming {:?}", claimant.key.as_str()), &error)),
            };
            // The answer was lost, or the client has sent it twice.
            if standing.record == record {
                return Ok(ClaimState::Mine(record, Duration::ZERO));
            }
            if (standing.record.attempt == record.attempt || waiting.is_suspicious())
                && let Some(turn) = self.judge(standing, claimant.attempt).await?
            {
                return Ok(turn);
            }
            if waiting.is_over() {
                return Err(busy(claimant.key));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// What the age of a claim says to an upload that wants to commit as `attempt`; `None` where
    /// its owner may still commit.
    async fn judge(&self, standing: FoundClaim, attempt: &Attempt) -> Result<Option<ClaimState>> {
        let FoundClaim { record, modified } = standing;
        let age = self.clock().await?.duration_since(modified).unwrap_or_default();
        // Another node of the same attempt has it, or this one had it before.
        if record.attempt == *attempt {
            let is_fresh = age < record.ttl() / 2;
            return Ok(Some(if is_fresh { ClaimState::Mine(record, age) } else { ClaimState::Over(record) }));
        }
        if age < record.ttl() {
            return Ok(None);
        }
        self.fence(&record).await?;
        Ok(Some(ClaimState::Over(record)))
    }

    /// Sees to it that the owner of an old claim can complete no more.
    async fn fence(&self, record: &ClaimRecord) -> Result<()> {
        tracing::warn!(key = record.key.as_str(), upload_id = %record.upload_id, "claim of a dead upload taken over");
        match &record.multipart {
            Some(multipart) => self.abort(&self.path(&record.key)?, multipart).await.map(drop),
            None => Ok(()),
        }
    }

    /// Whether the first generation is the one that was seen before.
    async fn is_still(&self, folder: &str, first: Option<&ClaimRecord>) -> Result<bool> {
        let standing = self.read_claim(&self.claim_path(folder, 1)).await?;
        Ok(standing.map(|standing| standing.record).as_ref() == first)
    }

    async fn read_claim(&self, path: &Path) -> Result<Option<FoundClaim>> {
        let read = async {
            let object = self.clients.plain.get_opts(path, GetOptions::new()).await?;
            Ok::<_, object_store::Error>((object.meta.last_modified.into(), object.bytes().await?))
        };
        let (modified, json) = match read.await {
            Ok(read) => read,
            Err(object_store::Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(format_args!("reading {path}"), &error)),
        };
        match serde_json::from_slice(&json) {
            Ok(record) => Ok(Some(FoundClaim { record, modified })),
            Err(error) => {
                let message = format!("the claim at {path} can't be read: remove it when no server commits");
                Err(Error::new(ErrorKind::Store, message).because(error))
            }
        }
    }

    /// Removes old claims that no upload of their key came to take over; says how many keys they
    /// were of. `folders` names them.
    pub(super) async fn sweep_claims(&self, folders: Vec<String>) -> Result<u64> {
        let (mut removed, zero) = (0, Duration::ZERO);
        let at_once = ClaimTimes { patience: zero, suspicion: zero, ..self.claim_times };
        for folder in folders {
            let Some(standing) = self.read_claim(&self.claim_path(&folder, 1)).await? else { continue };
            let (key, upload_id, attempt) = (&standing.record.key, UploadId::generate(), Attempt::new());
            let sweeper = Claimant { key, upload_id: &upload_id, attempt: &attempt, multipart: None };
            match self.take_claim(&folder, sweeper, at_once).await {
                Ok(claim) => {
                    claim.release(self).await;
                    removed += 1;
                }
                // It is in use.
                Err(error) if error.kind() == ErrorKind::Busy => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }
}

/// Where the claims of a key lie: a name for each key that fits into a path, whatever the key is.
pub(super) fn key_hash(key: &Key) -> String {
    Digest::of(key.as_str().as_bytes()).to_hex()
}
