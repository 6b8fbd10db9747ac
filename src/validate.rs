//! Validators: push-driven parsers that read a stream of any length in bounded memory and say whether it is well-formed.
//!
//! Pure: no I/O, no clock, no configuration files. A validator never keeps the bytes and never changes them.
//!
//! Every format is a `Scanner` behind one shared `Stream`: the stream cuts the bytes into blocks, proves that they are UTF-8,
//! and keeps the place in the file; the scanner sees whole characters only and knows nothing but its format.

mod csv;
mod json;
mod ndjson;
mod position;
pub mod rules;
mod stream;
pub mod table;
mod utf8;

use std::fmt::Debug;

use serde_json::Value;

use self::csv::Csv;
use self::json::Json;
use self::ndjson::Ndjson;
use self::stream::Stream;
use crate::report::{Format, Rejection, Verdict};

/// Reads a file chunk by chunk and judges it.
///
/// However the bytes are cut into chunks, the outcome is the same.
pub trait Validator: Debug + Send {
    /// Reads the next bytes; fails at the first byte that proves the file broken. After a failure the validator is spent:
    /// what it answers to further calls is unspecified.
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Rejection>;

    /// Bytes read so far, in this process and before.
    fn offset(&self) -> u64;

    /// All that the validator must know to go on from here, in another process too: [`resume`] makes one of it. `None` where that
    /// can't be written down, as after a failure; then the file must be read from its first byte again.
    ///
    /// This is JSON of some hundred bytes, however long the file is, and of one byte more for each level of nesting that is
    /// open. While a CSV's header is being read, its names come on top.
    fn save(&self) -> Option<Value>;

    /// Says that the file has ended; fails where it ended early.
    fn finish(self: Box<Self>) -> Result<Verdict, Rejection>;
}

/// What keeps a validator's memory bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep arrays and objects may nest in a JSON text; 0 allows none.
    pub max_depth: usize,
    /// The longest CSV record or NDJSON line, in bytes, without the LF that ends it.
    pub max_record_bytes: u64,
}

impl Default for Limits {
    /// 128 levels, as `serde_json` has it, and 16 MiB.
    fn default() -> Self {
        Self { max_depth: 128, max_record_bytes: 16 << 20 }
    }
}

/// The validator for a format; `None` for [`Format::None`], whose bytes pass unparsed.
pub fn for_format(format: Format, limits: &Limits) -> Option<Box<dyn Validator>> {
    match format {
        Format::Json => Some(Box::new(Stream::new(format, Json::new(limits)))),
        Format::Ndjson => Some(Box::new(Stream::new(format, Ndjson::new(limits)))),
        Format::Csv => Some(Box::new(Stream::new(format, Csv::new(b',', limits)))),
        Format::Tsv => Some(Box::new(Stream::new(format, Csv::new(b'\t', limits)))),
        Format::None => None,
    }
}

/// A validator that goes on where the one that was [saved](Validator::save) stood, within `limits`, whatever held before.
///
/// `None` where what was saved is of another format or another version of tidegate, is beyond the limits already, or is
/// nothing that a validator could have saved: then the file must be read from its first byte again.
pub fn resume(format: Format, limits: &Limits, saved: &Value) -> Option<Box<dyn Validator>> {
    match format {
        Format::Json => Some(Box::new(Stream::new(format, Json::new(limits)).resume(saved)?)),
        Format::Ndjson => Some(Box::new(Stream::new(format, Ndjson::new(limits)).resume(saved)?)),
        Format::Csv => Some(Box::new(Stream::new(format, Csv::new(b',', limits)).resume(saved)?)),
        Format::Tsv => Some(Box::new(Stream::new(format, Csv::new(b'\t', limits)).resume(saved)?)),
        Format::None => None,
    }
}
