//! NDJSON: one JSON text a line, lines ended by LF or CRLF.
//!
//! Each line is read as [`super::json`] reads a file. A blank line holds no value and is refused, unless [`BlankLines`] are
//! allowed: then it is passed over, and is no record. The last line may lack its end; an empty file holds no record. A CR elsewhere is white space, as in all JSON.

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::Limits;
use super::json::{Machine, Profile, SavedMachine, refuse_bom, truncated};
use super::position::{Chunk, Place};
use super::stream::{Flaw, Scanner};
use crate::report::Code;

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
    /// Lines that have ended and held a value.
    records: u64,
    /// Bytes of the line that is being read.
    line_bytes: u64,
}

/// What has been read, written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedNdjson {
    records: u64,
    line_bytes: u64,
    machine: SavedMachine,
}

impl Ndjson {
    pub(super) fn new(limits: &Limits, profile: Profile, blank_lines: BlankLines) -> Self {
        let machine = Machine::new(limits, profile);
        Self { machine, max_record_bytes: limits.max_record_bytes, blank_lines, records: 0, line_bytes: 0 }
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
        Err(Flaw::new(Code::RecordBytes.name(), chunk.place(over), message))
    }

    fn end_of_line(&mut self, place: impl Fn() -> Place) -> Result<(), Flaw> {
        match self.machine.end() {
            None => {
                self.machine.last_number()?;
                self.records += 1;
            }
            Some(_) if self.machine.is_blank() => {
                if self.blank_lines == BlankLines::Refused {
                    let message = "a blank line, expected a value on each line";
                    return Err(Flaw::new(Code::BlankLine.name(), place(), message));
                }
            }
            Some(inside) => {
                let message = format!("the line ends {inside}, expected a value on each line");
                return Err(Flaw::new(Code::SplitValue.name(), place(), message));
            }
        }
        self.machine.restart();
        self.line_bytes = 0;
        Ok(())
    }
}

impl Scanner for Ndjson {
    type Saved = SavedNdjson;

    fn scan(&mut self, chunk: &Chunk<'_>) -> Result<(), Flaw> {
        refuse_bom(chunk)?;
        let bytes = chunk.bytes();
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            self.piece(chunk, at, at + length)?;
            self.end_of_line(|| chunk.place(at + length))?;
            at += length + 1;
        }
        self.piece(chunk, at, bytes.len())
    }

    fn end(&mut self, here: Place) -> Result<u64, Flaw> {
        if self.line_bytes > 0 {
            match self.machine.end() {
                Some(inside) if !self.machine.is_blank() => return Err(truncated(here, inside)),
                _ => self.end_of_line(|| here)?,
            }
        }
        Ok(self.records)
    }

    /// Every line that holds a value is a record.
    fn record(&self) -> u64 {
        self.records + 1
    }

    fn can_be_saved(&self) -> bool {
        self.machine.can_be_saved()
    }

    fn save(&self) -> SavedNdjson {
        SavedNdjson { records: self.records, line_bytes: self.line_bytes, machine: self.machine.save() }
    }

    fn resume(self, saved: SavedNdjson, here: Place) -> Option<Self> {
        let SavedNdjson { records, line_bytes, machine } = saved;
        let machine = self.machine.resume(machine, here)?;
        // A character has four bytes at most, and a line that has not begun has nothing in it.
        let columns = here.column - 1;
        let fits = line_bytes <= self.max_record_bytes.min(here.offset)
            && (columns..=columns.saturating_mul(4)).contains(&line_bytes)
            && (line_bytes > 0 || machine.is_blank())
            && match self.blank_lines {
                BlankLines::Refused => records == here.line - 1,
                BlankLines::Allowed => records < here.line,
            };
        fits.then_some(Self { machine, records, line_bytes, ..self })
    }
}
