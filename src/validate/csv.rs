//! CSV as RFC 4180 has it, strictly, with any ASCII delimiter, and with LF or CRLF behind a record.
//!
//! Beyond the grammar: every record has as many fields as the header (section 2, rule 4), header names are neither blank nor
//! repeated, there is no NUL (a torn write, or UTF-16), and a record is limited in length. What the RFC leaves open: the last
//! record may lack its line end (rule 2); a byte order mark (U+FEFF) before the header is passed over; a blank line is a
//! record with one empty field, and so a flaw where the header has more than one.

mod flaws;
mod header;
mod mark;
mod saved;

use std::ops::Range;

use memchr::memchr2;
use serde::{Deserialize, Serialize};

use self::flaws::{bare_cr, nul, stray_quote, text_after_quote};
use self::header::Header;
use self::mark::Mark;
use self::saved::SavedCsv;
use super::Limits;
use super::position::{Chunk, Place};
use super::stream::Scanner;
use super::told::{Flaw, Halt, Told};
use crate::report::Code;

/// The longest header, in bytes: its names are kept to find one that is repeated, and that of many short ones takes some
/// sixteen times their bytes.
const MAX_HEADER_BYTES: u64 = 1024 * 1024;

/// A table with a header.
#[derive(Debug)]
pub(super) struct Csv {
    delimiter: u8,
    max_record_bytes: u64,
    state: State,
    /// What the header holds so far; `None` once it has ended.
    header: Option<Header>,
    /// Fields of the header, once it has ended.
    columns: u64,
    /// Data rows that have ended.
    rows: u64,
    /// Fields of the record that have ended.
    fields: u64,
    /// Bytes of the record that earlier chunks held.
    record_bytes: u64,
    /// Where the field begins that is being read; kept for names of the header and for fields with quotes.
    field: Mark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Where a field begins.
    Start,
    /// In a field without quotes.
    Bare,
    /// In a field with quotes, between them.
    Quoted,
    /// Behind a quote in such a field: its end, or the first of two that stand for one.
    Quote,
    /// Behind a CR that has to be followed by LF.
    Cr,
    /// Behind a CR that has to be followed by LF, and that is the first character of its line.
    BlankCr,
}

/// How far [`Csv::read`] came.
enum Read {
    /// To the end of the record: the index behind it.
    Record(usize),
    /// To the end of the range.
    All,
}

impl Csv {
    pub(super) fn new(delimiter: u8, limits: &Limits) -> Self {
        Self {
            delimiter,
            max_record_bytes: limits.max_record_bytes,
            state: State::Start,
            header: Some(Header::default()),
            columns: 0,
            rows: 0,
            fields: 0,
            record_bytes: 0,
            field: Mark::Earlier(Place::START),
        }
    }

    /// Reads on in one record, up to its end or to the end of the range.
    fn read(&mut self, chunk: &Chunk<'_>, range: Range<usize>) -> Result<Read, Flaw> {
        let bytes = &chunk.bytes()[..range.end];
        let mut at = range.start;
        while let Some(&byte) = bytes.get(at) {
            match (self.state, byte) {
                (State::Quoted, _) => {
                    at = self.quoted(chunk, bytes, at)?;
                    continue;
                }
                (_, b'\n') => {
                    self.end_record(chunk, at)?;
                    return Ok(Read::Record(at + 1));
                }
                (State::Cr | State::BlankCr, _) => return Err(bare_cr(chunk.place(at))),
                (_, 0) => return Err(nul(chunk.place(at))),
                (State::Start, b'\r') if self.fields == 0 => self.state = State::BlankCr,
                (_, b'\r') => self.state = State::Cr,
                (_, byte) if byte == self.delimiter => self.end_field(chunk, at)?,
                (State::Start, b'"') => {
                    self.field = Mark::Here(at);
                    self.state = State::Quoted;
                }
                (State::Quote, b'"') => self.state = State::Quoted,
                (State::Quote, _) => return Err(text_after_quote(chunk, at)),
                (State::Bare, b'"') => return Err(stray_quote(chunk.place(at))),
                (State::Start | State::Bare, _) => {
                    self.state = State::Bare;
                    at = self.skip_bare(bytes, at + 1);
                    continue;
                }
            }
            at += 1;
        }
        Ok(Read::All)
    }

    /// Passes over what has no meaning in a field without quotes.
    ///
    /// All that has one stands no higher than the delimiter or the quote, most text stands higher: eight bytes at a time are
    /// held against that (Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than n"), and only those that
    /// are not higher are looked at closely.
    fn skip_bare(&self, bytes: &[u8], mut at: usize) -> usize {
        const ONES: u64 = u64::MAX / 255;
        const HIGH: u64 = ONES << 7;
        let lowest_plain = ONES * (u64::from(self.delimiter.max(b'"')) + 1);
        loop {
            while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
                let word = u64::from_le_bytes(*word);
                let low = word.wrapping_sub(lowest_plain) & !word & HIGH;
                at += low.trailing_zeros() as usize / 8;
                if low != 0 {
                    break;
                }
            }
            match bytes.get(at) {
                Some(&byte) if !matches!(byte, 0 | b'\n' | b'\r' | b'"') && byte != self.delimiter => at += 1,
                Some(_) | None => return at,
            }
        }
    }

    /// Passes over what has no meaning between quotes, and the quote behind it.
    fn quoted(&mut self, chunk: &Chunk<'_>, bytes: &[u8], at: usize) -> Result<usize, Flaw> {
        match memchr2(b'"', 0, &bytes[at..]) {
            None => Ok(bytes.len()),
            Some(length) if bytes[at + length] == 0 => Err(nul(chunk.place(at + length))),
            Some(length) => {
                self.state = State::Quote;
                Ok(at + length + 1)
            }
        }
    }

    /// A delimiter: the field has ended, and another begins.
    fn end_field(&mut self, chunk: &Chunk<'_>, at: usize) -> Result<(), Flaw> {
        self.state = State::Start;
        self.fields += 1;
        if let Some(header) = &mut self.header {
            header.end_field(&chunk.bytes()[self.field.index()..at], || self.field.place(chunk))?;
            self.field = Mark::Here(at + 1);
        } else if self.fields == self.columns {
            let message = format!("row has more fields than the header, which has {}", self.columns);
            return Err(Flaw::at(Code::ExtraCell, chunk, at, message));
        }
        Ok(())
    }

    /// A line end, or the end of the file: the record has ended.
    fn end_record(&mut self, chunk: &Chunk<'_>, at: usize) -> Result<(), Flaw> {
        if let Some(header) = &mut self.header {
            header.end_field(&chunk.bytes()[self.field.index()..at], || self.field.place(chunk))?;
            self.columns = self.fields + 1;
            self.header = None;
        } else if self.fields + 1 < self.columns {
            return Err(self.short_row(chunk, at));
        } else {
            self.rows += 1;
        }
        self.state = State::Start;
        self.fields = 0;
        self.record_bytes = 0;
        Ok(())
    }

    /// A blank line is told from other rows of one field: it is what a person has to look for.
    fn short_row(&self, chunk: &Chunk<'_>, at: usize) -> Flaw {
        let columns = self.columns;
        let message = match self.fields + 1 {
            1 if matches!(self.state, State::Start | State::BlankCr) => {
                return Flaw::at(Code::BlankRow, chunk, at, format!("blank line, the header has {columns} fields"));
            }
            1 => format!("row has 1 field, the header has {columns}"),
            fields => format!("row has {fields} fields, the header has {columns}"),
        };
        Flaw::at(Code::MissingCell, chunk, at, message)
    }

    /// The most bytes of this record.
    fn limit(&self) -> u64 {
        if self.header.is_some() { self.max_record_bytes.min(MAX_HEADER_BYTES) } else { self.max_record_bytes }
    }

    fn too_long(&self, chunk: &Chunk<'_>, at: usize) -> Flaw {
        let what = if self.header.is_some() { "header" } else { "record" };
        let message = format!("the {what} is longer than {} bytes", self.limit());
        let message = match self.state {
            State::Quoted => {
                let Place { line, column, .. } = self.field.place(chunk);
                format!("{message}; the quote opened at line {line}, column {column} is not closed yet")
            }
            _ => message,
        };
        Flaw::at(Code::RecordBytes, chunk, at, message)
    }

    /// Keeps what the next chunk has to know of this one.
    fn keep(&mut self, chunk: &Chunk<'_>, record_start: usize) {
        let bytes = chunk.bytes();
        self.record_bytes += (bytes.len() - record_start) as u64;
        if let Some(header) = &mut self.header {
            header.keep(&bytes[self.field.index()..]);
        }
        if self.keeps_field() {
            self.field = Mark::Earlier(self.field.place(chunk));
        }
    }

    /// Whether somebody may ask where the field begins.
    fn keeps_field(&self) -> bool {
        self.header.is_some() || matches!(self.state, State::Quoted | State::Quote)
    }
}

impl Csv {
    fn read_on(&mut self, chunk: &Chunk<'_>) -> Result<(), Flaw> {
        let bytes = chunk.bytes();
        let mut at = 0;
        if chunk.begins_with_bom() {
            at = '\u{feff}'.len_utf8();
            self.field = Mark::Here(at);
        }
        loop {
            let room = usize::try_from(self.limit() - self.record_bytes).unwrap_or(usize::MAX);
            let stop = at.saturating_add(room).min(bytes.len());
            at = match self.read(chunk, at..stop)? {
                Read::Record(end) => end,
                Read::All if stop == bytes.len() => break,
                // The limit leaves room for the line end.
                Read::All if bytes[stop] == b'\n' && self.state != State::Quoted => {
                    self.end_record(chunk, stop)?;
                    stop + 1
                }
                Read::All => return Err(self.too_long(chunk, stop)),
            };
        }
        self.keep(chunk, at);
        Ok(())
    }

    fn read_end(&mut self, nothing: &Chunk<'_>) -> Result<(), Flaw> {
        let here = nothing.place(0);
        if self.record_bytes == 0 {
            return match self.header {
                Some(_) => Err(Flaw::at(Code::MissingHeader, nothing, 0, "the file has no header")),
                None => Ok(()),
            };
        }
        match self.state {
            State::Quoted => {
                let Place { line, column, .. } = self.field.place(nothing);
                let message = format!("the quote opened at line {line}, column {column} is never closed");
                Err(Flaw::at(Code::UnclosedQuote, nothing, 0, message))
            }
            State::Cr | State::BlankCr => Err(bare_cr(here)),
            State::Start | State::Bare | State::Quote => self.end_record(nothing, 0),
        }
    }
}

impl Scanner for Csv {
    type Saved = SavedCsv;

    fn scan(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        self.read_on(chunk).map_err(|flaw| told.fatal(flaw.in_record(self.record())))
    }

    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        self.read_end(end).map_err(|flaw| told.fatal(flaw.in_record(self.record())))
    }

    /// Data rows count from 1; the header is record 0.
    fn record(&self) -> u64 {
        if self.header.is_some() { 0 } else { self.rows + 1 }
    }

    fn records(&self) -> u64 {
        self.rows
    }

    fn save(&self) -> Option<SavedCsv> {
        Some(SavedCsv::of(self))
    }

    fn resume(self, saved: SavedCsv, here: Place) -> Option<Self> {
        saved.into_csv(&self, here)
    }
}
