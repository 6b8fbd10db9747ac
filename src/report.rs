//! What a validator has to say, as plain data: a [`Verdict`] on a file that passed, a [`Report`] on one that did not.
//!
//! Knows no validator; the wire, the receipts and the command line print what stands here.

mod code;

use std::collections::BTreeMap;
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

/// What is unpacked before a file is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Nothing: the bytes are the text.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// What a JSON text has to keep to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// All that the grammar of RFC 8259 allows: numbers of any size, surrogate escapes without their other half, and names
    /// that stand in an object twice.
    #[default]
    Rfc8259,
    /// I-JSON, RFC 7493: what every reader understands alike. No name twice in an object, no surrogate without its other half,
    /// no number beyond binary64. Such an upload can't be resumed, because its names are to be remembered.
    IJson,
}

impl Profile {
    const ALL: [Self; 2] = [Self::Rfc8259, Self::IJson];

    /// The name used in the configuration and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc8259 => "rfc8259",
            Self::IJson => "i-json",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| Error::new(ErrorKind::Config, format!("unknown JSON profile {text:?}: use rfc8259 or i-json")))
    }
}

/// What a JSON Schema is held against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SchemaFor {
    /// The whole text; each line of an NDJSON.
    #[default]
    Document,
    /// Each element of the array that the text is.
    Items,
}

/// What a validator says of a file that it read to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What the file was read as.
    pub format: Format,
    /// Data rows of a CSV (the header does not count), lines of an NDJSON, elements of a JSON array (1 for any other value).
    pub records: u64,
    /// Flaws that were let pass, because the rule for the name says so; 0 for a file that is valid.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub errors: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde wants it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a validator found in a file that is not valid.
///
/// The same however the bytes were cut into chunks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What the file was read as.
    pub format: Format,
    /// Whether the file may be taken for what it is said to be.
    pub valid: bool,
    /// Whether the file was read to its end: there may be more flaws where it was not.
    pub complete: bool,
    /// Records read, as [`Verdict::records`] counts them; where the file was not read to its end, the last one is in work.
    pub records: u64,
    /// Bytes read, unpacked; where the file was not read to its end, those before the last flaw.
    pub bytes: u64,
    /// Flaws found, those that are not kept included.
    pub errors_total: u64,
    /// How many there are of each [`Code`], by its name.
    pub counts: BTreeMap<String, u64>,
    /// The first of them, in the order in which they were found; one at least.
    pub errors: Vec<Flaw>,
}

/// One thing that is wrong with a file, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flaw {
    /// The rule that was broken: the name of a [`Code`].
    pub code: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, for a person; lower-case, without a position, and with no more of the file's content than
    /// a character.
    pub message: String,
    /// The record the place belongs to: a CSV's data row, an NDJSON's line or a top-level array's element, counted from 1;
    /// 0 for the header, and outside of any record.
    pub record: u64,
    /// Line, counted from 1; lines end with LF.
    pub line: u64,
    /// Column in that line, counted from 1, in characters.
    pub column: u64,
    /// Bytes before the place, unpacked.
    pub offset: u64,
    /// The column of a table that it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<Field>,
    /// Where in a JSON document it stands (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_path: Option<String>,
    /// Where in the schema the broken rule stands (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_path: Option<String>,
    /// The constraint of a Table Schema that was broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraint: Option<String>,
    /// The cell, or the line up to the place and the character there: escaped, and cut to [`Flaw::SNIPPET_CHARS`] characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snippet: Option<String>,
}

/// How bad a flaw is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file is not valid.
    Error,
    /// It is, though somebody should look.
    Warning,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Its name in the header; cut like a snippet.
    pub name: String,
    /// Counted from 1.
    pub index: u64,
}

impl Flaw {
    /// The longest snippet, in characters of the file.
    pub const SNIPPET_CHARS: usize = 60;
}

impl Report {
    /// The first flaw: why the file is refused.
    pub fn first(&self) -> Option<&Flaw> {
        self.errors.first()
    }

    /// The name of the first flaw's code.
    pub fn code(&self) -> &str {
        self.first().map_or("", |flaw| &flaw.code)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(flaw) = self.first() else { return write!(f, "{} errors", self.errors_total) };
        flaw.fmt(f)?;
        match self.errors_total {
            0 | 1 => Ok(()),
            2 => f.write_str(" and 1 more error"),
            total => write!(f, " and {} more errors", total - 1),
        }
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, message, line, column, offset, record, .. } = self;
        write!(f, "{code}: {message} (line {line}, column {column}, byte {offset}, record {record})")
    }
}

impl std::error::Error for Report {}
