//! How an upload's end is counted and logged: the one place for both.

use crate::error::{Error, Fault, Result};
use crate::metrics::Metrics;
use crate::upload::{Receipt, UploadId, UploadSpec};

/// An upload ended after its bytes had all come.
pub(super) fn report(metrics: &Metrics, spec: &UploadSpec, outcome: &Result<Receipt>) {
    match outcome {
        Ok(receipt) => commit(metrics, spec, receipt),
        Err(error) => refuse(metrics, spec, error),
    }
}

/// An upload ended with a receipt; that of a duplicate is of the upload that had come first.
pub(super) fn commit(metrics: &Metrics, spec: &UploadSpec, receipt: &Receipt) {
    metrics.committed(receipt);
    let Receipt { id: first, key, size, digest, duplicate, verdict, .. } = receipt;
    let (key, id) = (key.as_str(), spec.id.as_str());
    let records = verdict.map(|verdict| verdict.records);
    if *duplicate {
        let first = first.as_ref().map(UploadId::as_str);
        tracing::info!(key, size, %digest, id, first, "duplicate");
    } else {
        tracing::info!(key, size, %digest, id, records, "committed");
    }
}

/// An upload ended without a receipt; gives the error back.
pub(super) fn refused(metrics: &Metrics, spec: &UploadSpec, error: Error) -> Error {
    refuse(metrics, spec, &error);
    error
}

/// An upload ended without a receipt.
pub(super) fn refuse(metrics: &Metrics, spec: &UploadSpec, error: &Error) {
    metrics.refused(error);
    log_refusal(spec.key.as_str(), Some(spec.id.as_str()), error);
}

/// What came can't even become an upload.
pub(super) fn log_refusal(name: &str, id: Option<&str>, error: &Error) {
    // What can't be a key may be of any length.
    let name: String = name.chars().take(200).collect();
    let reason = error.kind().code();
    match error.kind().fault() {
        Fault::Upload => tracing::warn!(name, id, reason, %error, "rejected"),
        Fault::Passing => tracing::warn!(name, id, reason, %error, "failed"),
    }
}
