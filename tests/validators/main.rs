//! The validators through their public API: corpora, vectors with exact places, and simple models.

#![allow(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod corpora;
mod models;
mod vectors;

use tidegate::report::{Format, Rejection, Verdict};
use tidegate::validate::{Limits, for_format};

/// What a validator says of a file that comes in these chunks.
fn judge<'a>(format: Format, limits: &Limits, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Verdict, Rejection> {
    let mut validator = for_format(format, limits).expect("a format that is parsed");
    for chunk in chunks {
        validator.feed(chunk)?;
    }
    validator.finish()
}

/// What a validator says of a file that comes whole.
fn judge_whole(format: Format, bytes: &[u8]) -> Result<Verdict, Rejection> {
    judge(format, &Limits::default(), [bytes])
}

/// Says the same of a file cut into two at every byte, and cut at every byte.
fn judge_every_way(format: Format, limits: &Limits, bytes: &[u8]) -> Result<Verdict, Rejection> {
    let whole = judge(format, limits, [bytes]);
    let shown = String::from_utf8_lossy(bytes);
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(judge(format, limits, [head, tail]), whole, "{format} {shown:?} cut at {cut}");
    }
    assert_eq!(judge(format, limits, bytes.chunks(1)), whole, "{format} {shown:?} byte by byte");
    whole
}
