//! The ledger: a line of JSON for every upload's end, for people and for audit. Nothing in the server ever reads it.
//!
//! Append-only files, one for each UTC day, `2026-10-17.jsonl`. Uploads hand an [`Entry`] over and never wait for the disk;
//! what the disk does not take is counted and lost. Lines are not flushed one by one: a power cut may take the last seconds.
//! Nothing is ever removed or rotated here. Knows neither who makes an entry nor where a configuration puts the folder.

mod folder;
mod line;
mod reader;
mod tail;
mod writer;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use self::folder::Folder;
pub use self::reader::{Day, Reader};
pub use self::tail::Line;
use self::writer::{Desk, Writer};
use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;
use crate::report::{Report, Verdict};
use crate::upload::{Digest, Durability, Key, UploadId, rfc3339};
use crate::wire::Protocol;

/// Entries that wait for the disk, and their bytes; what comes on top of them is lost.
const QUEUED_ENTRIES: usize = 4096;
const QUEUED_BYTES: usize = 4 << 20;

/// How long the end of the server waits for the last lines.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How an upload ended. What is not known, or does not apply, is left out of the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When it ended, by the server's clock.
    #[serde(with = "rfc3339")]
    pub at: SystemTime,
    /// How it ended.
    pub outcome: Outcome,
    /// Of a committed upload: whether the same content lay there already, so that nothing was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// The name that the sender asked for; empty where none could be read, cut where it is too long for any name.
    pub name: String,
    /// Where the bytes lie: the name, or a version beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UploadId>,
    /// Bytes of the file: as committed, or else as announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Bytes of the body that came.
    pub bytes: u64,
    /// Where the upload went on, in bytes of the file: behind what was kept of it before. Absent where it began at 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_at: Option<u64>,
    /// What the file hashes to: as committed, or else as announced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// From the header to the end, in milliseconds; 0 where not even the header was good.
    pub took_ms: u64,
    /// What the receipt promises.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub durability: Option<Durability>,
    /// What the validator found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Why there is no receipt: an [`ErrorKind::code`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Why there is no receipt, for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where the file is broken; also of one that was committed all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// The sender's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<SocketAddr>,
    /// What the sender spoke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// What the sender calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<String>,
    /// The file in quarantine that was replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
    /// Whether errors of the report, or the end of a text, were left out to bound the line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// With a receipt.
    Committed,
    /// The upload is at fault: sending it again unchanged fails again.
    Rejected,
    /// The connection, the server or the store is at fault: sending it again may succeed.
    Failed,
}

/// Whose upload it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The sender's address.
    pub peer: SocketAddr,
    /// What the sender speaks.
    pub protocol: Protocol,
    /// What the sender calls itself.
    pub collector: Option<String>,
}

impl Entry {
    /// An upload that ended now, of which nothing else is known.
    pub fn new(outcome: Outcome, name: &str, origin: Option<&Origin>) -> Self {
        let collector = origin.and_then(|origin| origin.collector.as_deref());
        let kept_name = line::cut(name, line::MAX_NAME_BYTES);
        let kept_collector = collector.map(cut);
        Self {
            at: rfc3339::now(),
            outcome,
            duplicate: false,
            name: kept_name.to_owned(),
            key: None,
            id: None,
            size: None,
            bytes: 0,
            resumed_at: None,
            digest: None,
            took_ms: 0,
            durability: None,
            verdict: None,
            reason: None,
            message: None,
            report: None,
            peer: origin.map(|origin| origin.peer),
            protocol: origin.map(|origin| origin.protocol),
            collector: kept_collector.map(str::to_owned),
            quarantine: None,
            cut: kept_name != name || kept_collector != collector,
        }
    }

    /// The same, with why there is no receipt.
    #[must_use]
    pub fn because(self, error: &Error) -> Self {
        let reason = Some(error.kind().code().to_owned());
        let message = error.public_message();
        let kept = cut(&message);
        let cut = self.cut || kept.len() < message.len();
        Self { reason, message: Some(kept.to_owned()), cut, ..self }.reporting(error.find())
    }

    /// The same, with what a line holds of a report.
    #[must_use]
    pub fn reporting(self, whole: Option<&Report>) -> Self {
        let Some(whole) = whole else { return self };
        let report = line::brief(whole);
        let cut = self.cut || report.errors.len() < whole.errors.len();
        Self { report: Some(report), cut, ..self }
    }

    /// Memory that it takes while it waits, roughly.
    fn weight(&self) -> usize {
        let texts = [&self.reason, &self.message, &self.collector, &self.quarantine];
        let texts = texts.into_iter().flatten().map(String::len).sum::<usize>();
        let keys = self.name.len() + self.key.as_ref().map_or(0, |key| key.as_str().len());
        let report = self.report.as_ref().map_or(0, |report| 512 * (1 + report.errors.len()) + 64 * report.counts.len());
        size_of::<Self>() + texts + keys + report
    }
}

/// As much of a text that a sender chose as is kept beside what it sent.
pub(crate) fn cut(text: &str) -> &str {
    line::cut(text, line::MAX_TEXT_BYTES)
}

/// Where entries are handed in, or nothing. Clones hand in to the same ledger.
#[derive(Debug, Clone)]
pub struct Ledger(Option<Arc<Desk>>);

impl Ledger {
    /// Takes no entries.
    pub fn off() -> Self {
        Self(None)
    }

    /// A ledger in `folder`, which is made where it is missing, written by a thread of its own until [`Ledger::close`]. Where
    /// the folder can't be written to, that is logged, and tried again with every line.
    ///
    /// `root` is the root of the store, which is never made here. Once the root, or else the
    /// folder's parent, is not what was opened first, nothing is written until it is back.
    ///
    /// `min_free_bytes` of the file system are left free: lines that would use them are lost.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where there can't be another thread.
    pub fn open(folder: &Path, root: Option<&Path>, min_free_bytes: u64, metrics: Arc<Metrics>) -> Result<Self> {
        let desk = Arc::new(Desk::new(QUEUED_ENTRIES, QUEUED_BYTES, metrics));
        let (writer, served) = (Writer::new(Folder::new(folder, root), min_free_bytes), Arc::clone(&desk));
        std::thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || writer.serve(&served))
            .map_err(|error| Error::new(ErrorKind::Io, "starting the ledger's thread").because(error))?;
        Ok(Self(Some(desk)))
    }

    /// Tries out whether a ledger can be written in `folder`, which is made where it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where it can't.
    pub fn probe(folder: &Path) -> Result<()> {
        Writer::new(Folder::new(folder, None), 0).open_today().map_err(|error| {
            Error::new(ErrorKind::Io, format!("writing into {:?}", folder.display().to_string())).because(error)
        })
    }

    /// Hands an entry in. Never waits: where too many wait already, the entry is lost, and counted.
    pub fn enter(&self, entry: impl FnOnce() -> Entry) {
        if let Some(desk) = &self.0 {
            desk.enter(entry());
        }
    }

    /// Writes what waits. Entries that are handed in from now on are lost.
    pub async fn close(&self) {
        let Some(desk) = &self.0 else { return };
        if tokio::time::timeout(CLOSE_TIMEOUT, desk.close()).await.is_err() {
            tracing::warn!(timeout = ?CLOSE_TIMEOUT, "the disk does not take the ledger's last lines");
        }
    }
}
