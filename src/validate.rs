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
mod utf8;

use std::fmt::Debug;

use serde_json::Value;

use self::csv::Csv;
use self::json::Json;
pub use self::json::Profile;
pub use self::ndjson::BlankLines;
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
    /// The longest string or number of a JSON text, in bytes, as it stands there, without its quotes.
    pub max_token_bytes: u64,
    /// The memory for names and keys that may stand in a file only once, in bytes.
    pub max_key_bytes: u64,
}

impl Default for Limits {
    /// 128 levels, as `serde_json` has it, records and tokens of 16 MiB, and 64 MiB for keys.
    fn default() -> Self {
        Self { max_depth: 128, max_record_bytes: 16 << 20, max_token_bytes: 16 << 20, max_key_bytes: 64 << 20 }
    }
}

/// The validator for a format; `None` for [`Format::None`], whose bytes pass unparsed.
pub fn for_format(format: Format, limits: &Limits) -> Option<Box<dyn Validator>> {
    match format {
        Format::Json => Some(Box::new(Stream::new(format, Json::new(limits, Profile::default())))),
        Format::Ndjson => {
            Some(Box::new(Stream::new(format, Ndjson::new(limits, Profile::default(), BlankLines::default()))))
        }
        Format::Csv => Some(Box::new(Stream::new(format, Csv::new(b',', limits)))),
        Format::Tsv => Some(Box::new(Stream::new(format, Csv::new(b'\t', limits)))),
        Format::None => None,
    }
}

/// The validator for one JSON text that keeps to `profile`.
pub fn json(limits: &Limits, profile: Profile) -> Box<dyn Validator> {
    Box::new(Stream::new(Format::Json, Json::new(limits, profile)))
}

/// The validator for lines of JSON that keep to `profile`.
pub fn ndjson(limits: &Limits, profile: Profile, blank_lines: BlankLines) -> Box<dyn Validator> {
    Box::new(Stream::new(Format::Ndjson, Ndjson::new(limits, profile, blank_lines)))
}

/// A validator that goes on where the one that was [saved](Validator::save) stood, within `limits`, whatever held before.
///
/// `None` where what was saved is of another format or another version of tidegate, is beyond the limits already, or is
/// nothing that a validator could have saved: then the file must be read from its first byte again.
pub fn resume(format: Format, limits: &Limits, saved: &Value) -> Option<Box<dyn Validator>> {
    match format {
        Format::Json => Some(Box::new(Stream::new(format, Json::new(limits, Profile::default())).resume(saved)?)),
        Format::Ndjson => Some(Box::new(
            Stream::new(format, Ndjson::new(limits, Profile::default(), BlankLines::default())).resume(saved)?,
        )),
        Format::Csv => Some(Box::new(Stream::new(format, Csv::new(b',', limits)).resume(saved)?)),
        Format::Tsv => Some(Box::new(Stream::new(format, Csv::new(b'\t', limits)).resume(saved)?)),
        Format::None => None,
    }
}
