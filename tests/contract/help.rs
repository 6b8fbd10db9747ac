//! Uploads for the cases.

use std::sync::Arc;

use bytes::Bytes;
use tidegate::error::Result;
use tidegate::metrics::Metrics;
use tidegate::report::Format;
use tidegate::sink::Sink;
use tidegate::sink::validated::Validated;
use tidegate::upload::{Ending, Key, OnConflict, OnInvalid, Receipt, UploadId, UploadSpec};
use tidegate::validate::rules::{Rule, Rulebook, Rules};
use tidegate::validate::{Limits, Standard};

/// Bytes a chunk, where a case does not care.
const CHUNK: usize = 64 * 1024;

/// A name. Those of the cases end so that no validator reads what is stored under them, unless it is meant to.
pub(crate) fn key(name: &str) -> Key {
    name.parse().unwrap()
}

/// A new upload to a name.
pub(crate) fn spec(name: &str, on_conflict: OnConflict) -> UploadSpec {
    UploadSpec { on_conflict, ..UploadSpec::new(UploadId::generate(), key(name)) }
}

/// Validators in front of a sink that read what is called `kept/…` and `warned/…` as `format`, and do as that says.
pub(crate) fn judge_by(inner: Arc<dyn Sink>, format: Format) -> Validated {
    let rule = |pattern: &str, on_invalid| Rule {
        pattern: pattern.to_owned(),
        format: Some(format),
        compression: None,
        standard: Standard::of(Format::None, Limits::default()),
        max_bytes: None,
        on_conflict: None,
        on_invalid,
    };
    let rules = [rule("kept/**", OnInvalid::Quarantine), rule("warned/**", OnInvalid::Warn)];
    let rules = Rules::new(rules, Standard::of(Format::None, Limits::default())).unwrap();
    Validated::new(inner, Arc::new(Rulebook::new(rules)), Arc::new(Metrics::new()))
}

/// The same for tables.
pub(crate) fn judging(inner: &Arc<dyn Sink>) -> Validated {
    judge_by(Arc::clone(inner), Format::Csv)
}

/// Stages, writes and commits.
pub(crate) async fn send(sink: &dyn Sink, spec: UploadSpec, bytes: &[u8]) -> Result<Receipt> {
    let mut staged = sink.stage(spec).await?;
    for chunk in bytes.chunks(CHUNK) {
        staged.write(Bytes::copy_from_slice(chunk)).await?;
    }
    staged.commit(Ending::default()).await
}

/// Bytes that look like none that another seed makes (Marsaglia, "Xorshift RNGs").
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).take(len / 8 + 1).flatten().collect();
    bytes.truncate(len);
    bytes
}
