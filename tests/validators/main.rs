//! The validators through their public API: corpora, vectors with exact places, and simple models.

#![allow(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod corpora;
mod fuzz;
mod i_json;
mod models;
mod saves;
mod schemas;
mod steps;
mod stretches;
mod vectors;

use serde_json::Value;
use tidegate::report::{Format, Report, Verdict};
use tidegate::validate::{Limits, Validator, for_format, resume};

/// What a validator says of a file that comes in these chunks.
fn judge<'a>(format: Format, limits: &Limits, chunks: impl IntoIterator<Item = &'a [u8]>) -> Result<Verdict, Box<Report>> {
    let mut validator = for_format(format, limits).expect("a format that is parsed");
    for chunk in chunks {
        validator.feed(chunk)?;
    }
    validator.finish()
}

/// What validators say of a file of which each reads one chunk, and goes on with what the one before it has saved.
fn judge_in_turns<'a>(
    format: Format,
    limits: &Limits,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Verdict, Box<Report>> {
    let mut validator = for_format(format, limits).expect("a format that is parsed");
    let mut bytes = 0;
    for chunk in chunks {
        validator.feed(chunk)?;
        bytes += chunk.len() as u64;
        validator = resume(format, limits, &saved(validator.as_ref())).expect("what was saved a moment ago");
        assert_eq!(validator.offset(), bytes);
    }
    validator.finish()
}

/// What a validator has saved, as it is read back.
fn saved(validator: &dyn Validator) -> Value {
    let text = validator.save().expect("a validator that has found no flaw").to_string();
    serde_json::from_str(&text).unwrap()
}

/// What a validator says of a file that comes whole.
fn judge_whole(format: Format, bytes: &[u8]) -> Result<Verdict, Box<Report>> {
    judge(format, &Limits::default(), [bytes])
}

/// Says the same of a file cut into two at every byte, and cut at every byte; and where another validator goes on at each cut.
fn judge_every_way(format: Format, limits: &Limits, bytes: &[u8]) -> Result<Verdict, Box<Report>> {
    let whole = judge(format, limits, [bytes]);
    let shown = String::from_utf8_lossy(bytes);
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(judge(format, limits, [head, tail]), whole, "{format} {shown:?} cut at {cut}");
        assert_eq!(judge_in_turns(format, limits, [head, tail]), whole, "{format} {shown:?} resumed at {cut}");
    }
    assert_eq!(judge(format, limits, bytes.chunks(1)), whole, "{format} {shown:?} byte by byte");
    assert_eq!(judge_in_turns(format, limits, bytes.chunks(1)), whole, "{format} {shown:?} resumed at every byte");
    whole
}
