//! What a validator has to say, as plain data: a [`Verdict`] on a file that passed, a [`Rejection`] of one that did not.
//!
//! Knows no validator; the wire, the receipts and the command line print what stands here.

mod code;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use self::code::Code;
use crate::error::{Error, ErrorKind};

/// A format that can be validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON text, RFC 8259.
    Json,
    /// One JSON text a line.
    Ndjson,
    /// RFC 4180, with LF or CRLF and a header.
    Csv,
    /// As CSV, with the tabulator for the comma.
    Tsv,
    /// Anything: the bytes pass unparsed.
    None,
}

impl Format {
    /// Every format, in the order in which help texts list them.
    pub const ALL: [Self; 5] = [Self::Json, Self::Ndjson, Self::Csv, Self::Tsv, Self::None];

    /// The name used in the configuration, on the command line and in receipts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            let message = format!("unknown format {text:?}: use json, ndjson, csv, tsv or none");
            Error::new(ErrorKind::Config, message)
        })
    }
}

/// What a validator says of a file that it read to the end and found well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the file was read as.
    pub format: Format,
    /// Data rows of a CSV (the header does not count), lines of an NDJSON, elements of a JSON array (1 for any other value).
    pub records: u64,
}

/// Why a file is refused: the first thing that proves it broken, and where it stands.
///
/// The outcome is the same however the bytes were cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// A stable name for the rule that was broken, such as `csv_field_count`.
    pub code: String,
    /// What is wrong, for a person; lower-case, without a position.
    pub message: String,
    /// What the file was read as.
    pub format: Format,
    /// Line, counted from 1; lines end with LF.
    pub line: u64,
    /// Column in that line, counted from 1, in characters.
    pub column: u64,
    /// Bytes before the place.
    pub offset: u64,
    /// The record the place belongs to: a CSV's data row, an NDJSON's line or a top-level array's element, counted from 1;
    /// 0 for the header, and outside of any record.
    pub record: u64,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, message, line, column, offset, record, format: _ } = self;
        write!(f, "{code}: {message} (line {line}, column {column}, byte {offset}, record {record})")
    }
}

impl std::error::Error for Rejection {}
