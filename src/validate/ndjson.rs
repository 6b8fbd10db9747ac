//! NDJSON: one JSON text a line, lines ended by LF or CRLF.
//!
//! Each line is read as [`super::json`] reads a file. A blank line holds no value and is refused, unless [`BlankLines`] are
//! allowed: then it is passed over, and is no record. The last line may lack its end; an empty file holds no record. A CR
//! elsewhere is white space, as in all JSON. Behind a line that is wrong, the next one is read.

use std::sync::Arc;

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::Limits;
use super::document::{JsonSchema, memory_bytes};
use super::json::{Lf, Machine, SavedMachine, refuse_bom, too_large, truncated};
use super::position::{Chunk, Place};
use super::stream::Scanner;
use super::told::{Flaw, Halt, Told};
use crate::report::{Code, Profile};

/// What becomes of lines that hold nothing but white space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum BlankLines {
    /// They are a flaw.
    #[default]
    Refused,
    /// They are passed over.
    Allowed,
}

/// Lines of JSON.
#[derive(Debug)]
pub(super) struct Ndjson {
    machine: Machine,
    max_record_bytes: u64,
    blank_lines: BlankLines,
    /// Lines that have ended and were not blank.
    records: u64,
    /// Bytes of the line that is being read.
    line_bytes: u64,
    /// Whether the line is known to be wrong: what else it holds does not matter.
    skipping: bool,
    held_against: Option<HeldAgainst>,
}

/// A schema, and what earlier chunks held of the line that is being read for it.
#[derive(Debug)]
struct HeldAgainst {
    schema: Arc<JsonSchema>,
    max_bytes: u64,
    text: String,
    start: Option<Place>,
    too_large: bool,
}

/// What has been read, written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedNdjson {
    records: u64,
    line_bytes: u64,
    skipping: bool,
    machine: SavedMachine,
}

impl Ndjson {
    pub(super) fn new(limits: &Limits, profile: Profile, blank_lines: BlankLines, schema: Option<Arc<JsonSchema>>) -> Self {
        let max_bytes = limits.max_document_bytes;
        let held_against =
            schema.map(|schema| HeldAgainst { schema, max_bytes, text: String::new(), start: None, too_large: false });
        let (machine, max_record_bytes) = (Machine::new(limits, profile), limits.max_record_bytes);
        Self { machine, max_record_bytes, blank_lines, records: 0, line_bytes: 0, skipping: false, held_against }
    }

    /// Takes lines in which nothing is wrong, and the beginning of one: where reading goes on.
    fn clean_lines(&mut self, bytes: &[u8], at: usize) -> usize {
        let fits = self.line_bytes + (bytes.len() - at) as u64 <= self.max_record_bytes;
        if self.skipping || self.held_against.is_some() || !fits {
            return at;
        }
        let clean = self.machine.take_clean(bytes, at, Lf::End);
        self.records += clean.texts;
        match clean.text_start {
            Some(start) => self.line_bytes = (clean.at - start) as u64,
            None => self.line_bytes += (clean.at - at) as u64,
        }
        clean.at
    }

    /// Reads what stands in the chunk of a line without its LF.
    fn piece(&mut self, chunk: &Chunk<'_>, from: usize, to: usize) -> Result<(), Flaw> {
        let room = self.max_record_bytes - self.line_bytes;
        let length = (to - from) as u64;
        if length <= room {
            self.line_bytes += length;
            return self.machine.scan(chunk, from..to);
        }
        // What is wrong before the limit was there first. A character that crosses the limit is not read.
        let over = to - usize::try_from(length - room).unwrap_or(to - from);
        self.machine.scan(chunk, from..chunk.text().floor_char_boundary(over))?;
        let message = format!("the line is longer than {} bytes", self.max_record_bytes);
        Err(Flaw::at(Code::RecordBytes, chunk, over, message))
    }

    /// The line has ended at an index of a chunk: whether it held a value.
    fn end_of_line(&mut self, chunk: &Chunk<'_>, at: usize) -> Result<bool, Flaw> {
        match self.machine.end() {
            None => self.machine.last_number().map(|()| true),
            Some(_) if self.machine.is_blank() && self.blank_lines == BlankLines::Allowed => Ok(false),
            Some(_) if self.machine.is_blank() => {
                Err(Flaw::at(Code::BlankLine, chunk, at, "a blank line, expected a value on each line"))
            }
            Some(inside) => {
                let message = format!("the line ends {inside}, expected a value on each line");
                Err(Flaw::at(Code::SplitValue, chunk, at, message))
            }
        }
    }

    /// The last piece of a line, which ends at `to`.
    fn line(&mut self, chunk: &Chunk<'_>, from: usize, to: usize, told: &mut Told) -> Result<(), Halt> {
        if self.skipping {
            self.next_line(true);
            return Ok(());
        }
        let holds_value = match self.piece(chunk, from, to).and_then(|()| self.end_of_line(chunk, to)) {
            Ok(holds_value) => holds_value,
            Err(flaw) => {
                self.tell(flaw, told)?;
                true
            }
        };
        let record = self.record();
        if let Some(held_against) = self.held_against.as_mut().filter(|_| holds_value && !self.skipping) {
            held_against.check(chunk, from, to, record, told)?;
        }
        self.next_line(holds_value);
        Ok(())
    }

    fn next_line(&mut self, counts: bool) {
        self.machine.restart();
        self.records += u64::from(counts);
        self.line_bytes = 0;
        self.skipping = false;
        if let Some(held_against) = &mut self.held_against {
            held_against.text.clear();
            held_against.start = None;
            held_against.too_large = false;
        }
    }

    /// Tells what is wrong with the line; nothing more of it is read.
    fn tell(&mut self, flaw: Flaw, told: &mut Told) -> Result<(), Halt> {
        self.skipping = true;
        self.machine.restart();
        told.flaw(flaw.in_record(self.record()))
    }
}

impl HeldAgainst {
    /// Keeps what a chunk holds of a line that goes on in the next one; beyond the limit only that it does.
    fn keep(&mut self, chunk: &Chunk<'_>, from: usize) {
        let piece = &chunk.text()[from..];
        if piece.is_empty() {
            return;
        }
        self.start.get_or_insert_with(|| chunk.place(from));
        self.too_large |= !self.fits(piece);
        if !self.too_large {
            self.text.push_str(piece);
        }
    }

    fn fits(&self, piece: &str) -> bool {
        (self.text.len() + piece.len()) as u64 <= self.max_bytes
    }

    fn check(&mut self, chunk: &Chunk<'_>, from: usize, to: usize, record: u64, told: &mut Told) -> Result<(), Halt> {
        let piece = &chunk.text()[from..to];
        let start = self.start.unwrap_or_else(|| chunk.place(from));
        // Where a piece was left out, what is kept does not reach to here.
        let is_whole = start.offset + self.text.len() as u64 == chunk.place(from).offset;
        if self.too_large || !self.fits(piece) {
            return told.flaw(too_large(start, self.max_bytes).in_record(record));
        }
        // A line that has lost bytes, which were no text, has been told of.
        if !is_whole {
            return Ok(());
        }
        if self.text.is_empty() {
            return self.schema.check(piece, start, "", record, told);
        }
        self.text.push_str(piece);
        self.schema.check(&self.text, start, "", record, told)
    }
}

impl Scanner for Ndjson {
    type Saved = SavedNdjson;

    fn scan(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        if let Err(flaw) = refuse_bom(chunk) {
            self.tell(flaw, told)?;
        }
        let bytes = chunk.bytes();
        let mut at = self.clean_lines(bytes, 0);
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            self.line(chunk, at, at + length, told)?;
            at = self.clean_lines(bytes, at + length + 1);
        }
        if self.skipping {
            return Ok(());
        }
        if let Err(flaw) = self.piece(chunk, at, bytes.len()) {
            return self.tell(flaw, told);
        }
        if let Some(held_against) = &mut self.held_against {
            held_against.keep(chunk, at);
        }
        Ok(())
    }

    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        if self.line_bytes == 0 && !self.skipping {
            return Ok(());
        }
        match self.machine.end() {
            Some(inside) if !self.skipping && !self.machine.is_blank() => {
                self.tell(truncated(end, inside), told)?;
                self.next_line(true);
                Ok(())
            }
            _ => self.line(end, 0, 0, told),
        }
    }

    fn memory_bytes(&self, text_bytes: usize) -> usize {
        let document = self
            .held_against
            .as_ref()
            .map_or(0, |held| memory_bytes(&held.text, text_bytes, usize::try_from(held.max_bytes).unwrap_or(usize::MAX)));
        self.machine.memory_bytes(text_bytes) + document
    }

    /// Every line that is not blank is a record.
    fn record(&self) -> u64 {
        self.records + 1
    }

    fn records(&self) -> u64 {
        self.records
    }

    /// A line that is being read for a schema can be large.
    fn save(&self) -> Option<SavedNdjson> {
        let kept = self.held_against.as_ref().is_some_and(|held_against| held_against.start.is_some());
        let Self { records, line_bytes, skipping, .. } = *self;
        (!kept && self.machine.can_be_saved()).then(|| SavedNdjson {
            records,
            line_bytes,
            skipping,
            machine: self.machine.save(),
        })
    }

    fn resume(self, saved: SavedNdjson, here: Place) -> Option<Self> {
        let SavedNdjson { records, line_bytes, skipping, machine } = saved;
        let machine = self.machine.resume(machine, here)?;
        // A character has four bytes at most, and a line that has not begun has nothing in it.
        let columns = here.column - 1;
        let fits = line_bytes <= self.max_record_bytes.min(here.offset)
            && (skipping || (columns..=columns.saturating_mul(4)).contains(&line_bytes))
            && (line_bytes > 0 || machine.is_blank())
            && (self.held_against.is_none() || line_bytes == 0)
            && match self.blank_lines {
                BlankLines::Refused => records == here.line - 1,
                BlankLines::Allowed => records < here.line,
            };
        fits.then_some(Self { machine, records, line_bytes, skipping, ..self })
    }
}
