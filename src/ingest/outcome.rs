//! How an upload's end is counted, logged and entered in the ledger: the one place for all three.

use std::time::Instant;

use super::Ingest;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::ledger::{Entry, Outcome};
use crate::upload::{Receipt, UploadId, UploadSpec};

/// As much of a name and of an error as one line of the log holds.
const MAX_NAME_CHARS: usize = 200;
const MAX_ERROR_CHARS: usize = 1000;

/// How far an upload has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Course {
    began: Instant,
    /// Bytes of the body that have come.
    bytes: u64,
    /// Where they go on, where some had come before.
    resumed_at: Option<u64>,
}

impl Course {
    /// Nothing has come yet.
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), bytes: 0, resumed_at: None }
    }

    /// The bytes go on at this offset of the file.
    pub(super) fn goes_on_at(&mut self, offset: u64) {
        self.resumed_at = (offset > 0).then_some(offset);
    }

    /// So many more bytes have come.
    pub(super) fn came(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn took_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// An error of the store, as a sender may read it: where the store lies, and what it says of itself, is for the log alone.
pub(super) fn of_store(error: Error) -> Error {
    let told = match error.kind() {
        ErrorKind::Store => "the store failed: send it again later",
        ErrorKind::NoSpace => "the store has no room: send it again later",
        ErrorKind::Unknown => "the store did not say whether the file is committed: send it again to learn it",
        ErrorKind::Io => "the server failed: send it again later",
        _ => return error,
    };
    Error::new(error.kind(), told).because_internal(error)
}

/// An upload ended after its bytes had all come.
pub(super) fn report(pump: &Ingest, spec: &UploadSpec, course: Course, outcome: &Result<Receipt>) {
    match outcome {
        Ok(receipt) => commit(pump, spec, course, receipt),
        Err(error) => refuse(pump, spec, course, error),
    }
}

/// An upload ended with a receipt; that of a duplicate is of the upload that had come first.
pub(super) fn commit(pump: &Ingest, spec: &UploadSpec, course: Course, receipt: &Receipt) {
    pump.metrics.committed(receipt);
    pump.ledger.enter(|| committed_entry(pump, spec, course, receipt));
    let Receipt { id: first, key, size, digest, duplicate, verdict, report, .. } = receipt;
    let (key, id) = (key.as_str(), spec.id.as_str());
    let records = verdict.map(|verdict| verdict.records);
    if *duplicate {
        let first = first.as_ref().map(UploadId::as_str);
        tracing::info!(key, size, %digest, id, first, "duplicate");
    } else if let Some(report) = report {
        tracing::warn!(key, size, %digest, id, records, flaws = %report, "committed although it is not valid");
    } else {
        tracing::info!(key, size, %digest, id, records, "committed");
    }
}

/// An upload ended without a receipt; gives the error back.
pub(super) fn refused(pump: &Ingest, spec: &UploadSpec, course: Course, error: Error) -> Error {
    refuse(pump, spec, course, &error);
    error
}

/// An upload ended without a receipt.
pub(super) fn refuse(pump: &Ingest, spec: &UploadSpec, course: Course, error: &Error) {
    pump.metrics.refused(error);
    pump.ledger.enter(|| Entry {
        id: Some(spec.id.clone()),
        size: spec.size,
        digest: spec.digest,
        bytes: course.bytes,
        resumed_at: course.resumed_at,
        took_ms: course.took_ms(),
        ..refused_entry(pump, spec.key.as_str(), error).replayed(pump, spec)
    });
    log_refusal(spec.key.as_str(), Some(spec.id.as_str()), error);
}

/// What came can't even become an upload.
pub(super) fn refuse_name(pump: &Ingest, name: &str, error: &Error) {
    pump.metrics.refused(error);
    pump.ledger.enter(|| refused_entry(pump, name, error));
    log_refusal(name, None, error);
}

fn committed_entry(pump: &Ingest, spec: &UploadSpec, course: Course, receipt: &Receipt) -> Entry {
    Entry {
        duplicate: receipt.duplicate,
        key: Some(receipt.key.clone()),
        id: Some(spec.id.clone()),
        size: Some(receipt.size),
        bytes: course.bytes,
        resumed_at: course.resumed_at,
        digest: Some(receipt.digest),
        took_ms: course.took_ms(),
        durability: Some(receipt.durability),
        verdict: receipt.verdict,
        ..Entry::new(Outcome::Committed, spec.key.as_str(), pump.origin.as_deref())
            .reporting(receipt.report.as_deref())
            .replayed(pump, spec)
    }
}

impl Entry {
    /// The same, with what is known of a file that comes out of quarantine, whose sender is not there.
    fn replayed(self, pump: &Ingest, spec: &UploadSpec) -> Self {
        let collector = self.collector.or_else(|| spec.collector.clone());
        Self { collector, quarantine: pump.replayed.as_ref().map(ToString::to_string), ..self }
    }
}

fn refused_entry(pump: &Ingest, name: &str, error: &Error) -> Entry {
    let outcome = match error.kind().fault() {
        Fault::Upload => Outcome::Rejected,
        Fault::Passing => Outcome::Failed,
    };
    Entry::new(outcome, name, pump.origin.as_deref()).because(error)
}

fn log_refusal(name: &str, id: Option<&str>, error: &Error) {
    // A name that is no key may be of any length, and a message may hold it again.
    let name: String = name.chars().take(MAX_NAME_CHARS).collect();
    let (reason, fault) = (error.kind().code(), error.kind().fault());
    let error: String = error.to_string().chars().take(MAX_ERROR_CHARS).collect();
    match fault {
        Fault::Upload => tracing::warn!(name, id, reason, %error, "rejected"),
        Fault::Passing => tracing::warn!(name, id, reason, %error, "failed"),
    }
}
