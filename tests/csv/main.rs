//! Tables with one structural fault each: all are refused, at the line of the fault.

#![allow(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod grammar;
mod mutants;

use tidegate::report::{Format, Report, Verdict};
use tidegate::validate::{Limits, Patience, Standard};

/// What is said of a table that comes in chunks of this length.
fn judge(patience: Patience, limits: Limits, bytes: &[u8], chunk_bytes: usize) -> Result<Verdict, Box<Report>> {
    let standard = Standard { patience, ..Standard::of(Format::Csv, limits) };
    let mut validator = standard.validator().expect("a format that is parsed");
    for chunk in bytes.chunks(chunk_bytes) {
        validator.feed(chunk)?;
    }
    validator.finish()
}

fn untiring() -> Patience {
    Patience { max_errors: u64::MAX, max_error_ratio: None, max_errors_kept: 1_000, max_kept_bytes: usize::MAX }
}
