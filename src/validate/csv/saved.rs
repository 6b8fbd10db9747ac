//! A table in the middle of being read, as it is written down.

use serde::{Deserialize, Serialize};

use super::{Csv, Cursor, MAX_HEADER_BYTES};
use crate::validate::position::{Chunk, Place};
use crate::validate::told::{Patience, Snippets, Told};

/// The longest row of which a part is written down: more is not worth its place. A header is written down whatever it holds.
const MAX_ROW_BYTES: u64 = 64 << 10;

const fn max_bytes(csv: &Csv) -> u64 {
    if csv.header.is_some() { MAX_HEADER_BYTES } else { MAX_ROW_BYTES }
}

/// What has been read. Neither the dialect nor the limits: those are of whoever goes on.
///
/// Of the record that is being read there are its bytes, so that nothing in here can contradict itself.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::validate) struct SavedCsv {
    /// Of the table; `None` until the first row of the header has ended.
    columns: Option<u64>,
    rows: u64,
    records: u64,
    /// Behind what has been read: elsewhere than here where the bytes before here were no UTF-8.
    next: u64,
    /// The record that is being read.
    begun: String,
}

impl SavedCsv {
    /// `None` where somebody judges the rows, a header of several rows is being read, the row is long, or a flaw of it has been
    /// told.
    pub(super) fn of(csv: &Csv) -> Option<Self> {
        let between = csv.header.as_ref().is_some_and(|header| !header.labels.is_empty());
        let plain = csv.judge.is_none() && !between && !csv.flawed;
        if !plain || csv.before > max_bytes(csv) {
            return None;
        }
        let (columns, begun) = (csv.lexer.columns, csv.kept.clone());
        Some(Self { columns, rows: csv.rows, records: csv.records, next: csv.next, begun })
    }

    /// `csv`, which has read nothing, as if it had read all before `here`.
    pub(super) fn into_csv(self, mut csv: Csv, here: Place) -> Option<Csv> {
        let Self { columns, rows, records, next, begun } = self;
        let last_header_row = csv.dialect.header_rows().last().copied().unwrap_or(0);
        let before = here.offset.checked_sub(begun.len() as u64)?;
        let fits = columns.is_none_or(|columns| (1..=csv.limits.max_fields).contains(&columns))
            && rows <= records
            && records <= before
            && next == here.offset
            && columns.is_some() == (records > 0 && records >= last_header_row);
        let long = begun.len() as u64 > if columns.is_some() { MAX_ROW_BYTES } else { MAX_HEADER_BYTES };
        if !fits || long || csv.judge.is_some() {
            return None;
        }
        let lines = begun.bytes().filter(|&byte| byte == b'\n').count() as u64;
        let line = here.line.checked_sub(lines).filter(|&line| line > 0)?;
        (csv.lexer.columns, csv.rows, csv.records, csv.next) = (columns, rows, records, next);
        if columns.is_some() {
            csv.header = None;
            csv.begin();
        }
        let start = Place { line, column: if line == 1 && before > 0 { 2 } else { 1 }, offset: before };
        let chunk = Chunk::new(&begun, start);
        let is_possible = chunk.place(begun.len()) == here;
        // Whole records, or flaws: nobody has saved those.
        let mut told = Told::new(Patience::default(), Snippets::default());
        csv.run(&chunk, Cursor::new(0), &mut told).ok()?;
        (is_possible && csv.records == records && csv.before == begun.len() as u64 && !csv.flawed).then_some(csv)
    }
}
