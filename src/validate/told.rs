//! What has been found in a file so far, and how much of it is enough.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::position::{Chunk, Place};
use crate::report::{self, Code, Field, Format, Report, Severity};

/// How long a file is read on that is known not to be valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Patience {
    /// Flaws after which reading stops, at least 1: the first one, by default.
    pub max_errors: u64,
    /// The share of records with flaws, of all that were read, above which reading stops; from the hundredth record on.
    pub max_error_ratio: Option<f64>,
    /// Flaws that the report tells, at least 1; further ones are counted.
    pub max_errors_kept: usize,
    /// How long they may be together, in bytes of JSON, so that an answer that tells them fits the wire's line; the first one is
    /// told even so.
    pub max_kept_bytes: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self { max_errors: 1, max_error_ratio: None, max_errors_kept: 100, max_kept_bytes: 48 << 10 }
    }
}

/// Whether reports show what stands in the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Snippets {
    /// As it stands there, escaped.
    #[default]
    Shown,
    /// Letters as `x` and digits as `9`.
    Masked,
}

/// The first record at which the share of those with flaws is looked at.
const RATIO_FROM: u64 = 100;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) code: Code,
    pub(super) message: String,
    pub(super) place: Place,
    /// As [`report::Flaw::record`].
    pub(super) record: u64,
    /// As it stands in the file.
    pub(super) snippet: String,
    /// What most flaws have not.
    pub(super) more: Option<Box<More>>,
}

/// What is told of cells and of values.
#[derive(Debug, Default)]
pub(super) struct More {
    /// The name of a column and its index, from 0.
    pub(super) field: Option<(String, usize)>,
    pub(super) instance_path: Option<String>,
    pub(super) schema_path: Option<String>,
    pub(super) constraint: Option<&'static str>,
}

impl Flaw {
    /// At a byte of a chunk; the snippet is what the line holds up to there.
    pub(super) fn at(code: Code, chunk: &Chunk<'_>, index: usize, message: impl Into<String>) -> Self {
        let snippet = chunk.line_to(index, report::Flaw::SNIPPET_CHARS);
        Self { snippet, ..Self::new(code, chunk.place(index), message) }
    }

    /// At a place that lies behind; without a snippet.
    pub(super) fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place, record: 0, snippet: String::new(), more: None }
    }

    pub(super) fn in_record(self, record: u64) -> Self {
        Self { record, ..self }
    }
}

/// Reading is over: enough has been found, or what follows can't be understood. Only [`Told`] says so.
#[derive(Debug)]
pub(super) struct Halt(());

/// Where scanners tell what they find.
#[derive(Debug)]
pub(super) struct Told {
    patience: Patience,
    snippets: Snippets,
    found: Found,
    /// Bytes before the last flaw.
    last: u64,
    /// Bytes of JSON that those take which are kept, and whether there is room for no more.
    kept_bytes: usize,
    full: bool,
}

/// What was found, as it is written down.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Found {
    total: u64,
    counts: BTreeMap<String, u64>,
    kept: Vec<report::Flaw>,
    /// Records with flaws, and the last one of them.
    bad_records: u64,
    last_bad: Option<u64>,
}

impl Told {
    pub(super) fn new(patience: Patience, snippets: Snippets) -> Self {
        Self { patience, snippets, found: Found::default(), last: 0, kept_bytes: 0, full: false }
    }

    /// Goes on with what was found before.
    pub(super) fn resume(&mut self, found: Found) {
        self.kept_bytes = serde_json::to_string(&found.kept).map_or(0, |json| json.len());
        self.full = found.kept.len() as u64 != found.total;
        self.found = found;
    }

    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    /// The memory that the flaws take once `text_bytes` more of text have been read, at most, in
    /// bytes: each some three times its JSON, in a list that doubles, and in the report once more.
    pub(super) fn memory_bytes(&self, text_bytes: usize) -> usize {
        /// The JSON of a flaw for each byte of text: two bytes can be a record that is wrong.
        const JSON_BYTES: usize = 96;
        const COPIES: usize = 8;
        let more = if self.full || self.patience.max_errors == 1 { 0 } else { JSON_BYTES * text_bytes };
        COPIES * (self.kept_bytes + more).min(self.patience.max_kept_bytes)
    }

    /// Whether a further flaw is kept for the report, and not only counted.
    pub(super) fn keeps_more(&self) -> bool {
        self.found.kept.len() < self.patience.max_errors_kept.max(1) && !self.full
    }

    pub(super) fn total(&self) -> u64 {
        self.found.total
    }

    /// Notes a flaw behind which the scanner can go on; fails where that is not wanted any more.
    pub(super) fn flaw(&mut self, flaw: Flaw) -> Result<(), Halt> {
        let record = flaw.record;
        self.note(flaw);
        let Found { total, bad_records, .. } = self.found;
        #[allow(clippy::cast_precision_loss, reason = "a share need not be exact")]
        let too_many = self
            .patience
            .max_error_ratio
            .is_some_and(|most| record >= RATIO_FROM && bad_records as f64 > most * record as f64);
        if total >= self.patience.max_errors || too_many { Err(Halt(())) } else { Ok(()) }
    }

    /// Notes a flaw behind which nothing can be understood.
    pub(super) fn fatal(&mut self, flaw: Flaw) -> Halt {
        self.note(flaw);
        Halt(())
    }

    fn note(&mut self, flaw: Flaw) {
        let keeps_more = self.keeps_more();
        let found = &mut self.found;
        // What was written down may hold any number.
        found.total = found.total.saturating_add(1);
        let count = found.counts.entry(flaw.code.name().to_owned()).or_default();
        *count = count.saturating_add(1);
        self.last = flaw.place.offset;
        if found.last_bad != Some(flaw.record) {
            found.bad_records = found.bad_records.saturating_add(1);
            found.last_bad = Some(flaw.record);
        }
        if keeps_more {
            let flaw = shown(flaw, self.snippets);
            let bytes = serde_json::to_string(&flaw).map_or(0, |json| json.len());
            self.kept_bytes = self.kept_bytes.saturating_add(bytes);
            // Those that are told are the first ones, without a gap.
            self.full = self.kept_bytes > self.patience.max_kept_bytes && !found.kept.is_empty();
            if !self.full {
                found.kept.push(flaw);
            }
        }
    }

    /// What is told of a file that is not valid, and of which `bytes` were read; `None` where reading was given up.
    pub(super) fn report(&self, format: Format, records: u64, bytes: Option<u64>) -> Report {
        let (complete, bytes) = (bytes.is_some(), bytes.unwrap_or(self.last));
        let Found { total, counts, kept, .. } = &self.found;
        let (counts, errors) = (counts.clone(), kept.clone());
        Report { format, valid: false, complete, records, bytes, errors_total: *total, counts, errors, quarantined: None }
    }
}

fn shown(flaw: Flaw, snippets: Snippets) -> report::Flaw {
    let Flaw { code, message, place: Place { line, column, offset }, record, snippet, more } = flaw;
    let More { field, instance_path, schema_path, constraint } = more.map(|more| *more).unwrap_or_default();
    report::Flaw {
        code: code.name().to_owned(),
        severity: Severity::Error,
        message: cut(&message, MESSAGE_CHARS, Snippets::Shown),
        record,
        line,
        column,
        offset,
        field: field.map(|(name, index)| Field { name: escaped(&name, snippets), index: index as u64 + 1 }),
        instance_path: instance_path.map(|path| cut(&path, PATH_CHARS, snippets)),
        schema_path: schema_path.map(|path| cut(&path, PATH_CHARS, Snippets::Shown)),
        constraint: constraint.map(str::to_owned),
        snippet: (!snippet.is_empty()).then(|| escaped(&snippet, snippets)),
    }
}

/// The longest message and the longest path of a report, in characters.
const MESSAGE_CHARS: usize = 400;
const PATH_CHARS: usize = 200;

fn escaped(text: &str, snippets: Snippets) -> String {
    cut(text, report::Flaw::SNIPPET_CHARS, snippets)
}

/// Text of a file so that it can do nothing to a terminal or a log, and cut.
fn cut(text: &str, chars: usize, snippets: Snippets) -> String {
    let turning =
        |char| matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut shown = String::new();
    for char in text.chars().take(chars) {
        match char {
            char if char.is_control() || turning(char) => shown.extend(char.escape_default()),
            char if snippets == Snippets::Masked && char.is_numeric() => shown.push('9'),
            char if snippets == Snippets::Masked && char.is_alphabetic() => shown.push('x'),
            char => shown.push(char),
        }
    }
    if text.chars().nth(chars).is_some() {
        shown.push('…');
    }
    shown
}
