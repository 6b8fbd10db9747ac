//! NDJSON: one JSON text a line, lines ended by LF or CRLF.
//!
//! Each line is read as [`super::json`] reads a file. A blank line holds no value and is refused; the last line may lack its
//! end; an empty file holds no record. A CR elsewhere is white space, as in all JSON.

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::Limits;
use super::json::{Machine, SavedMachine, refuse_bom, truncated};
use super::position::{Chunk, Place};
use super::stream::{Flaw, Scanner};

/// Lines of JSON.
#[derive(Debug)]
pub(super) struct Ndjson {
    machine: Machine,
    max_record_bytes: u64,
    /// Lines that have ended.
    lines: u64,
    /// Bytes of the line that is being read.
    line_bytes: u64,
}

/// What has been read, written down. The lines that have ended are those before the place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedNdjson {
    line_bytes: u64,
    machine: SavedMachine,
}

impl Ndjson {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { machine: Machine::new(limits.max_depth), max_record_bytes: limits.max_record_bytes, lines: 0, line_bytes: 0 }
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
        Err(Flaw::new("record_too_long", chunk.place(over), message))
    }

    fn end_of_line(&mut self, place: impl Fn() -> Place) -> Result<(), Flaw> {
        if let Some(inside) = self.machine.end() {
            return Err(if self.machine.is_blank() {
                Flaw::new("ndjson_blank_line", place(), "a blank line, expected a value on each line")
            } else {
                Flaw::new("ndjson_split_value", place(), format!("the line ends {inside}, expected a value on each line"))
            });
        }
        self.machine.restart();
        self.lines += 1;
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
        Ok(self.lines)
    }

    /// Every line is a record.
    fn record(&self) -> u64 {
        self.lines + 1
    }

    fn save(&self) -> SavedNdjson {
        SavedNdjson { line_bytes: self.line_bytes, machine: self.machine.save() }
    }

    fn resume(self, saved: SavedNdjson, here: Place) -> Option<Self> {
        let SavedNdjson { line_bytes, machine } = saved;
        let machine = self.machine.resume(machine, here)?;
        // A character has four bytes at most, and a line that has not begun has nothing in it.
        let columns = here.column - 1;
        let fits = line_bytes <= self.max_record_bytes.min(here.offset)
            && (columns..=columns.saturating_mul(4)).contains(&line_bytes)
            && (line_bytes > 0 || machine.is_blank());
        fits.then_some(Self { machine, lines: here.line - 1, line_bytes, ..self })
    }
}
