//! Tables with one structural fault each: all are refused, at the line of the fault.

#![allow(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

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

/// Numbers that are the same in every run (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % count as u64).unwrap()
    }
}
