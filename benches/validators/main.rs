//! What the validators cost beside the parsers that people would use in their place, on one core.
//!
//! ```text
//! cargo bench --bench validators -- [json | ndjson | csv]
//! ```
//!
//! Each group first measures all its contenders in turns, in one run, and prints the medians of their ratios, because a machine
//! that others use drifts; what criterion prints after that is its own view of the same functions.

#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "the numbers are made up, and small")]
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that panics has no result, as it should")]

mod csv;
mod json;
mod turns;

use criterion::{criterion_group, criterion_main};

criterion_group!(benches, json::json, json::ndjson, csv::structure, csv::typed);
criterion_main!(benches);
