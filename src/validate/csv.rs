//! Delimited text as RFC 4180 has it, strictly, in any [dialect](dialect), with LF or CRLF behind a record.
//!
//! Beyond the grammar: every record has as many cells as the header (section 2, rule 4), header names are neither blank nor
//! repeated, there is no NUL (a torn write, or UTF-16), and a record is limited in bytes, lines and cells. What the RFC leaves
//! open: the last record may lack its line end (rule 2); a byte order mark (U+FEFF) before the header is passed over; a blank
//! line is a record with one empty cell, and so a flaw where there are more columns.
//!
//! Two ways lead through a table: the [fast one](clean) takes whole records without a flaw, the [careful one](lexer) reads
//! the one record that is left, tells what is wrong with it, and goes on behind it. One flaw a record is told.

mod blame;
mod blocks;
mod cells;
mod clean;
pub(super) mod dialect;
mod flaws;
pub(super) mod judge;
mod kept;
mod labels;
mod lexer;
mod records;
mod recover;
pub(super) mod rows;
mod saved;
#[cfg(test)]
mod tests;

use self::cells::Cells;
use self::clean::Clean;
use self::dialect::Dialect;
use self::lexer::{Bounds, Lexer, Step};
use self::recover::Suspect;
use self::rows::{Row, Rows};
use self::saved::SavedCsv;
use super::Limits;
use super::position::{Chunk, Place};
use super::stream::Scanner;
use super::told::{Flaw, Halt, Told};
use crate::report::Code;

/// The longest header, in bytes: its names are kept to find one that is repeated.
const MAX_HEADER_BYTES: u64 = 1024 * 1024;

/// The memory for a name of the header while it is compared with the others, in bytes, beside
/// its text:
/// its span, its cell, its label, the label of the row above, and its place in a table. Some of
/// that is in a list that doubles.
const NAME_BYTES: usize = 256;

/// How much of a record is kept to find the line that is at fault: no less than a header may have.
const MAX_KEPT_BYTES: u64 = MAX_HEADER_BYTES;

/// A table.
#[derive(Debug)]
pub(super) struct Csv {
    dialect: Dialect,
    limits: TableLimits,
    /// Present once the number of columns is known, for dialects that it reads.
    clean: Option<Clean>,
    judge: Option<Box<dyn Rows>>,
    /// What the header holds so far; `None` once it has ended, or where there is none.
    header: Option<Header>,
    /// Records that have ended, comments and header rows among them.
    records: u64,
    /// Data rows that have ended.
    rows: u64,
    /// The record that is being read.
    lexer: Lexer,
    /// Bytes of the record that earlier chunks held.
    before: u64,
    /// Those bytes, up to [`Csv::max_kept_bytes`].
    kept: String,
    /// Whether a flaw of the record has been told, or bytes of it are lost that were no UTF-8.
    flawed: bool,
    /// The offset in the file behind all that was read.
    next: u64,
    /// A flaw that has been found and not told yet.
    suspect: Option<Suspect>,
    /// Bytes that were read twice to find what is at fault.
    reread: u64,
}

/// What keeps the memory for a table bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_field_names, reason = "the names say that these are maxima, and of what")]
pub(super) struct TableLimits {
    /// Without the LF that ends it.
    pub(super) max_record_bytes: u64,
    /// A quote that is not closed must not swallow the file.
    pub(super) max_record_lines: u64,
    pub(super) max_fields: u64,
    pub(super) max_cell_bytes: u64,
}

impl From<&Limits> for TableLimits {
    fn from(limits: &Limits) -> Self {
        let Limits { max_record_bytes, max_record_lines, max_row_fields, max_token_bytes, .. } = *limits;
        Self { max_record_bytes, max_record_lines, max_fields: max_row_fields, max_cell_bytes: max_token_bytes }
    }
}

/// The names of the header rows that have ended.
#[derive(Debug, Default)]
struct Header {
    labels: Vec<String>,
    last: Vec<String>,
}

/// Where the reading stands in a chunk.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    /// Where what the chunk holds of the record begins.
    start: usize,
    at: usize,
}

impl Cursor {
    /// At the beginning of a record, or where it goes on from an earlier chunk.
    const fn new(at: usize) -> Self {
        Self { start: at, at }
    }
}

impl Csv {
    pub(super) fn new(dialect: Dialect, limits: TableLimits) -> Self {
        let bounds = Bounds { max_lines: limits.max_record_lines, max_cell_bytes: limits.max_cell_bytes };
        let lexer = Lexer::new(dialect.syntax(), bounds, None);
        let header = (!dialect.header_rows().is_empty()).then(Header::default);
        Self {
            dialect,
            limits,
            clean: None,
            judge: None,
            header,
            records: 0,
            rows: 0,
            lexer,
            before: 0,
            kept: String::new(),
            flawed: false,
            next: 0,
            suspect: None,
            reread: 0,
        }
    }

    /// Hands over the cells of every row, too.
    pub(super) fn judged_by(self, judge: Box<dyn Rows>) -> Self {
        Self { judge: Some(judge), ..self }
    }

    /// The record that is being read: data rows count from 1, the header is record 0.
    fn number(&self) -> u64 {
        if self.header.is_some() { 0 } else { self.rows + 1 }
    }

    /// Reads on from the cursor to the end of the chunk.
    fn run(&mut self, chunk: &Chunk<'_>, mut cursor: Cursor, told: &mut Told) -> Result<(), Halt> {
        let bytes = chunk.bytes();
        while cursor.at < bytes.len() {
            if self.lexer.offset == 0 && !self.flawed {
                cursor = Cursor::new(self.take_clean(chunk, cursor.at, told)?);
            }
            cursor = self.step(chunk, cursor, told)?;
        }
        self.keep(&chunk.text()[cursor.start..]);
        Ok(())
    }

    /// Passes over records without a flaw.
    fn take_clean(&mut self, chunk: &Chunk<'_>, at: usize, told: &mut Told) -> Result<usize, Halt> {
        let Some(clean) = self.clean else { return Ok(at) };
        let text = &chunk.text()[at..];
        let Some(judge) = &mut self.judge else {
            let taken = clean.count(text.as_bytes());
            self.rows += taken.rows;
            self.records += taken.rows;
            return Ok(at + taken.bytes);
        };
        let syntax = *self.lexer.syntax();
        let (rows, records) = (&mut self.rows, &mut self.records);
        let taken = clean.each(text.as_bytes(), |spans| {
            let place = |index: usize| chunk.place(at + spans[index].start);
            let cells = Cells { text, spans, syntax: &syntax };
            judge.row(&Row { number: *rows + 1, cells, place: &place }, told)?;
            *rows += 1;
            *records += 1;
            Ok(())
        })?;
        Ok(at + taken.bytes)
    }

    /// Reads on in one record, up to its end, a flaw, or the end of the chunk.
    fn step(&mut self, chunk: &Chunk<'_>, cursor: Cursor, told: &mut Told) -> Result<Cursor, Halt> {
        let bytes = chunk.bytes();
        let stop = self.stop(bytes, cursor.at);
        if self.suspect.is_some() {
            return self.wait(chunk, cursor, stop, told);
        }
        match self.lexer.read(&bytes[..stop], cursor.at, &mut |_, _| ()) {
            Step::End { next } => self.end_record(chunk, Cursor { at: next, ..cursor }, told),
            Step::Fault { fault, at, next } => self.fault(chunk, Cursor { at: next, ..cursor }, fault, at, told),
            Step::More if stop == bytes.len() && self.lexer.offset <= self.max_bytes() => Ok(Cursor { at: stop, ..cursor }),
            Step::More => self.beyond(chunk, Cursor { at: stop, ..cursor }, Code::RecordBytes, self.max_bytes(), told),
        }
    }

    /// Where the limit of the record's bytes ends the reading, or the chunk does. The limit leaves room for the line end.
    fn stop(&self, bytes: &[u8], at: usize) -> usize {
        let room = usize::try_from(self.max_bytes().saturating_sub(self.lexer.offset)).unwrap_or(usize::MAX);
        let stop = at.saturating_add(room).min(bytes.len());
        if bytes.get(stop) == Some(&b'\n') { stop + 1 } else { stop }
    }
}

impl Scanner for Csv {
    type Saved = SavedCsv;

    fn scan(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let offset = chunk.place(0).offset;
        self.flawed |= offset != self.next;
        self.next = offset + chunk.bytes().len() as u64;
        let start = if chunk.begins_with_bom() { '\u{feff}'.len_utf8() } else { 0 };
        self.run(chunk, Cursor::new(start), told)
    }

    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        self.end_table(end, told)?;
        if self.header.is_some() {
            return Err(told.fatal(Flaw::at(Code::MissingHeader, end, 0, "the file has no header")));
        }
        self.judge.as_mut().map_or(Ok(()), |judge| judge.end(end, told))
    }

    /// Of a record that is looked through for its flaw there are copies.
    fn memory_bytes(&self, text_bytes: usize) -> usize {
        const COPIES: usize = 3;
        let more = |bytes: usize, most: u64| {
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            bytes.saturating_add(text_bytes).min(most)
        };
        let kept = self.kept.capacity().max(more(self.kept.len(), self.max_kept_bytes()));
        let before = usize::try_from(self.before).unwrap_or(usize::MAX);
        let names = self.header.as_ref().map_or(0, |header| {
            let labels = header.labels.iter().map(String::len).sum::<usize>();
            let names = more(usize::try_from(self.lexer.fields).unwrap_or(usize::MAX), self.limits.max_fields + 1);
            NAME_BYTES * names + COPIES * (labels + more(before, MAX_HEADER_BYTES))
        });
        let judge = self.judge.as_ref().map_or(0, |judge| judge.memory_bytes(text_bytes));
        COPIES * kept + names + judge
    }

    fn record(&self) -> u64 {
        self.number()
    }

    #[allow(clippy::misnamed_getters, reason = "what a table's records are to others are the rows here")]
    fn records(&self) -> u64 {
        self.rows
    }

    fn save(&self) -> Option<SavedCsv> {
        SavedCsv::of(self)
    }

    fn resume(self, saved: SavedCsv, here: Place) -> Option<Self> {
        saved.into_csv(self, here)
    }
}
