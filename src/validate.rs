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
mod told;
mod utf8;

use std::fmt::Debug;

use serde_json::Value;

use self::csv::Csv;
pub use self::csv::dialect::Dialect;
use self::json::Json;
use self::ndjson::Ndjson;
use self::stream::{Scanner, Stream};
use self::told::Told;
pub use self::told::{Patience, Snippets};
use crate::report::{Compression, Format, Report, Verdict};

/// Reads a file chunk by chunk and judges it.
///
/// However the bytes are cut into chunks, the outcome is the same.
pub trait Validator: Debug + Send {
    /// Reads the next bytes; fails where enough has been found wrong that reading on is of no use: by default at the first byte
    /// that proves the file broken. After a failure the validator is spent: what it answers to further calls is unspecified.
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Box<Report>>;

    /// Bytes read so far, in this process and before.
    fn offset(&self) -> u64;

    /// All that the validator must know to go on from here, in another process too: [`resume`] makes one of it. `None` where that
    /// can't be written down, as after a failure; then the file must be read from its first byte again.
    ///
    /// This is JSON of some hundred bytes, however long the file is, and of one byte more for each level of nesting that is
    /// open. While a CSV's header is being read, its names come on top.
    fn save(&self) -> Option<Value>;

    /// Says that the file has ended; fails where it ended early, or where anything was found.
    fn finish(self: Box<Self>) -> Result<Verdict, Box<Report>>;
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

/// All that files of one kind are held to.
#[derive(Debug, Clone, PartialEq)]
pub struct Standard {
    /// What they are read as.
    pub format: Format,
    /// What is unpacked first.
    pub compression: Compression,
    /// What keeps memory bounded.
    pub limits: Limits,
    /// How long a file is read on that is known not to be valid.
    pub patience: Patience,
    /// Whether reports show what stands in the file.
    pub snippets: Snippets,
}

impl Standard {
    /// The format's own rules, within `limits`.
    pub fn of(format: Format, limits: Limits) -> Self {
        Self { format, compression: Compression::None, limits, patience: Patience::default(), snippets: Snippets::default() }
    }

    /// A validator for one file; `None` for [`Format::None`], whose bytes pass unparsed.
    pub fn validator(&self) -> Option<Box<dyn Validator>> {
        if self.compression != Compression::None {
            return None;
        }
        match self.format {
            Format::Json => Some(Box::new(self.stream(self.json()))),
            Format::Ndjson => Some(Box::new(self.stream(self.ndjson()))),
            Format::Csv | Format::Tsv => Some(Box::new(self.stream(self.csv()))),
            Format::None => None,
        }
    }

    /// A validator that goes on where the one that was [saved](Validator::save) stood, by this standard, whatever held before.
    ///
    /// `None` where what was saved is of another format or another version of tidegate, is beyond the limits already, or is
    /// nothing that a validator could have saved: then the file must be read from its first byte again.
    pub fn resume(&self, saved: &Value) -> Option<Box<dyn Validator>> {
        match self.format {
            Format::Json => Some(Box::new(self.stream(self.json()).resume(saved)?)),
            Format::Ndjson => Some(Box::new(self.stream(self.ndjson()).resume(saved)?)),
            Format::Csv | Format::Tsv => Some(Box::new(self.stream(self.csv()).resume(saved)?)),
            Format::None => None,
        }
    }

    fn stream<S: Scanner>(&self, scanner: S) -> Stream<S> {
        Stream::new(self.format, scanner, Told::new(self.patience, self.snippets))
    }

    fn json(&self) -> Json {
        Json::new(&self.limits)
    }

    fn ndjson(&self) -> Ndjson {
        Ndjson::new(&self.limits)
    }

    fn csv(&self) -> Csv {
        let dialect = if self.format == Format::Tsv { Dialect::tsv() } else { Dialect::csv() };
        Csv::new(dialect, (&self.limits).into())
    }
}

/// The validator for a format; `None` for [`Format::None`], whose bytes pass unparsed.
pub fn for_format(format: Format, limits: &Limits) -> Option<Box<dyn Validator>> {
    Standard::of(format, *limits).validator()
}

/// As [`Standard::resume`], for a format's own rules.
pub fn resume(format: Format, limits: &Limits, saved: &Value) -> Option<Box<dyn Validator>> {
    Standard::of(format, *limits).resume(saved)
}
