//! Uploads for the cases.

use std::sync::Arc;

use bytes::Bytes;
use tidegate::error::Result;
use tidegate::report::Format;
use tidegate::sink::Sink;
use tidegate::sink::validated::Validated;
use tidegate::upload::{Ending, Key, OnConflict, Receipt, UploadId, UploadSpec};

use crate::beds::judge_by;

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
