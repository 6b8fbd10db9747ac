//! Validators: push-driven parsers that read a stream of any length in bounded memory and say whether it is well-formed.
//!
//! Pure: no I/O, no clock, no configuration files. A validator never keeps the bytes and never changes them.
//!
//! Every format is a `Scanner` behind one shared `Stream`: the stream cuts the bytes into blocks, proves that they are UTF-8,
//! and keeps the place in the file; the scanner sees whole characters only and knows nothing but its format.

mod csv;
mod document;
mod json;
mod lanes;
mod ndjson;
mod position;
pub mod rules;
mod stream;
pub mod table;
mod told;
mod unpacked;
mod utf8;

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::Value;

use self::csv::Csv;
pub use self::csv::dialect::Dialect;
use self::csv::judge::Judge;
pub use self::document::JsonSchema;
use self::json::Json;
pub use self::ndjson::BlankLines;
use self::ndjson::Ndjson;
use self::stream::{Scanner, Stream};
use self::table::TableSchema;
use self::told::Told;
pub use self::told::{Patience, Snippets};
use self::unpacked::Unpacked;
use crate::report::{Compression, Format, Profile, Report, SchemaFor, Verdict};
use crate::upload::Digest;

/// Reads a file chunk by chunk and judges it.
///
/// However the bytes are cut into chunks, the outcome is the same.
pub trait Validator: Debug + Send {
    /// Reads the next bytes; fails where enough has been found wrong that reading on is of no use: by default at the first byte
    /// that proves the file broken. After a failure the validator is spent: what it answers to further calls is unspecified.
    fn feed(&mut self, mut chunk: &[u8]) -> Result<(), Box<Report>> {
        loop {
            let Step { read, more } = self.step(chunk, MAX_STEP_BYTES)?;
            chunk = &chunk[read..];
            if chunk.is_empty() && !more {
                return Ok(());
            }
        }
    }

    /// As [`Validator::feed`], for so much of `chunk` as is `text_bytes` of text at most, unpacked:
    /// the work of one step is bounded, and others can be served before the next one.
    fn step(&mut self, chunk: &[u8], text_bytes: usize) -> Result<Step, Box<Report>>;

    /// The memory that it takes once it has read `text_bytes` more of text, at most, in bytes. What
    /// that is beyond what it takes now is allocated by the next [`Validator::step`].
    fn memory_bytes(&self, text_bytes: usize) -> usize;

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

/// The most text that is read in one step, in bytes.
pub const MAX_STEP_BYTES: usize = 32 << 10;

/// The progress of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Bytes of the chunk.
    pub read: usize,
    /// Whether there is more to do, even where nothing of the chunk is left.
    pub more: bool,
}

/// What keeps a validator's memory bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How deep arrays and objects may nest in a JSON text; 0 allows none.
    pub max_depth: usize,
    /// The longest CSV record or NDJSON line, in bytes, without the LF that ends it.
    pub max_record_bytes: u64,
    /// The most lines of a CSV record, so that a quote that is not closed does not swallow the file; at least 1.
    pub max_record_lines: u64,
    /// The most columns of a CSV table.
    pub max_row_fields: u64,
    /// The longest string or number of a JSON text, in bytes, as it stands there, without its quotes; and the longest cell of a
    /// CSV record, with them.
    pub max_token_bytes: u64,
    /// The memory for names and keys that may stand in a file only once, in bytes.
    pub max_key_bytes: u64,
    /// The largest JSON document that is held against a schema, in bytes.
    pub max_document_bytes: u64,
    /// What compressed data may unpack to, in bytes.
    pub max_unpacked_bytes: u64,
    /// How many times its own size compressed data may unpack to, once that is more than a MiB.
    pub max_unpack_ratio: u64,
}

impl Default for Limits {
    /// Those of the configuration's defaults: 128 levels, as `serde_json` has it, and so on.
    fn default() -> Self {
        Self {
            max_depth: 128,
            max_record_bytes: 16 << 20,
            max_record_lines: 1_000,
            max_row_fields: 16_384,
            max_token_bytes: 16 << 20,
            max_key_bytes: 64 << 20,
            max_document_bytes: 1 << 20,
            max_unpacked_bytes: 64 << 30,
            max_unpack_ratio: 1000,
        }
    }
}

/// What content is held against, beyond its format.
#[derive(Debug, Clone, PartialEq)]
pub enum Schema {
    /// For CSV and TSV.
    Table(Arc<TableSchema>),
    /// For JSON and NDJSON, and which documents of the text it is for.
    Json(Arc<JsonSchema>, SchemaFor),
}

/// All that files of one kind are held to.
#[derive(Debug, Clone, PartialEq)]
pub struct Standard {
    /// What they are read as.
    pub format: Format,
    /// What is unpacked first.
    pub compression: Compression,
    /// How strict JSON is read.
    pub profile: Profile,
    /// What becomes of blank lines in NDJSON.
    pub blank_lines: BlankLines,
    /// How a CSV is written down; RFC 4180 where nobody says it.
    pub dialect: Option<Dialect>,
    /// What the content is held against, beyond its format.
    pub schema: Option<Schema>,
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
        Self {
            format,
            compression: Compression::None,
            profile: Profile::default(),
            blank_lines: BlankLines::default(),
            dialect: None,
            schema: None,
            limits,
            patience: Patience::default(),
            snippets: Snippets::default(),
        }
    }

    /// A validator for one file; `None` for [`Format::None`], whose bytes pass unparsed.
    pub fn validator(&self) -> Option<Box<dyn Validator>> {
        let validator: Box<dyn Validator> = match self.format {
            Format::Json => Box::new(self.stream(self.json())),
            Format::Ndjson => Box::new(self.stream(self.ndjson())),
            Format::Csv | Format::Tsv => Box::new(self.stream(self.csv())),
            Format::None => return None,
        };
        Some(Unpacked::before(validator, self.format, self.compression, self.limits))
    }

    /// A validator that goes on where the one that was [saved](Validator::save) stood, by this standard, whatever held before.
    ///
    /// `None` where what was saved is of another format or another version of tidegate, is beyond the limits already, or is
    /// nothing that a validator could have saved: then the file must be read from its first byte again.
    pub fn resume(&self, saved: &Value) -> Option<Box<dyn Validator>> {
        if self.compression != Compression::None {
            return None;
        }
        match self.format {
            Format::Json => Some(Box::new(self.stream(self.json()).resume(saved)?)),
            Format::Ndjson => Some(Box::new(self.stream(self.ndjson()).resume(saved)?)),
            Format::Csv | Format::Tsv => Some(Box::new(self.stream(self.csv()).resume(saved)?)),
            Format::None => None,
        }
    }

    fn stream<S: Scanner>(&self, scanner: S) -> Stream<S> {
        Stream::new(self.format, self.fingerprint(), scanner, Told::new(self.patience, self.snippets))
    }

    /// Two standards with the same one let the same pass, but for their limits.
    fn fingerprint(&self) -> String {
        let Self { format, compression, profile, blank_lines, dialect, schema, limits: _, patience: _, snippets: _ } = self;
        let schema = match schema {
            Some(Schema::Table(schema)) => Some((schema.fingerprint(), SchemaFor::Document)),
            Some(Schema::Json(schema, part)) => Some((schema.fingerprint(), *part)),
            None => None,
        };
        let all = format!("{format} {compression:?} {profile} {blank_lines:?} {dialect:?} {schema:?}");
        Digest::of(all.as_bytes()).to_string().chars().rev().take(16).collect()
    }

    fn json(&self) -> Json {
        Json::new(&self.limits, self.profile, self.json_schema())
    }

    fn ndjson(&self) -> Ndjson {
        let schema = self.json_schema().map(|(schema, _)| schema);
        Ndjson::new(&self.limits, self.profile, self.blank_lines, schema)
    }

    fn json_schema(&self) -> Option<(Arc<JsonSchema>, SchemaFor)> {
        match &self.schema {
            Some(Schema::Json(schema, part)) => Some((Arc::clone(schema), *part)),
            Some(Schema::Table(_)) | None => None,
        }
    }

    fn csv(&self) -> Csv {
        let usual = if self.format == Format::Tsv { Dialect::tsv() } else { Dialect::csv() };
        let dialect = self.dialect.clone().unwrap_or(usual);
        let judge = match &self.schema {
            Some(Schema::Table(schema)) => {
                Some(Judge::new(Arc::clone(schema), self.limits.max_key_bytes, dialect.null_sequence()))
            }
            Some(Schema::Json(..)) | None => None,
        };
        let csv = Csv::new(dialect, (&self.limits).into());
        match judge {
            Some(judge) => csv.judged_by(Box::new(judge)),
            None => csv,
        }
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
