//! NDJSON: one JSON text a line, lines ended by LF or CRLF.
//!
//! Each line is read as [`super::json`] reads a file. A blank line holds no value and is refused; the last line may lack its
//! end; an empty file holds no record. A CR elsewhere is white space, as in all JSON.

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::Limits;
use super::json::{Machine, SavedMachine, refuse_bom, truncated};
use super::position::{Chunk, Place};
use super::stream::Scanner;
use super::told::{Flaw, Halt, Told};
use crate::report::Code;

/// Lines of JSON.
#[derive(Debug)]
pub(super) struct Ndjson {
    machine: Machine,
    max_record_bytes: u64,
    /// Lines that have ended.
    lines: u64,
    /// Bytes of the line that is being read.
    line_bytes: u64,
    /// Whether the line is known to be wrong: what else it holds does not matter.
    skipping: bool,
}

/// What has been read, written down. The lines that have ended are those before the place.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedNdjson {
    line_bytes: u64,
    skipping: bool,
    machine: SavedMachine,
}

impl Ndjson {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            machine: Machine::new(limits.max_depth),
            max_record_bytes: limits.max_record_bytes,
            lines: 0,
            line_bytes: 0,
            skipping: false,
        }
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

    /// The line has ended at an index of a chunk.
    fn end_of_line(&mut self, chunk: &Chunk<'_>, at: usize) -> Result<(), Flaw> {
        if let Some(inside) = self.machine.end() {
            return Err(if self.machine.is_blank() {
                Flaw::at(Code::BlankLine, chunk, at, "a blank line, expected a value on each line")
            } else {
                Flaw::at(Code::SplitValue, chunk, at, format!("the line ends {inside}, expected a value on each line"))
            });
        }
        self.next_line();
        Ok(())
    }

    fn next_line(&mut self) {
        self.machine.restart();
        self.lines += 1;
        self.line_bytes = 0;
    }

    /// Tells what is wrong with the line; nothing more of it is read.
    fn tell(&mut self, flaw: Flaw, told: &mut Told) -> Result<(), Halt> {
        self.skipping = true;
        self.machine.restart();
        told.flaw(flaw.in_record(self.record()))
    }
}

impl Scanner for Ndjson {
    type Saved = SavedNdjson;

    fn scan(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        if let Err(flaw) = refuse_bom(chunk) {
            self.tell(flaw, told)?;
        }
        let bytes = chunk.bytes();
        let mut at = 0;
        while let Some(length) = memchr(b'\n', &bytes[at..]) {
            let end = at + length;
            if !self.skipping
                && let Err(flaw) = self.piece(chunk, at, end).and_then(|()| self.end_of_line(chunk, end))
            {
                self.tell(flaw, told)?;
            }
            if std::mem::take(&mut self.skipping) {
                self.next_line();
            }
            at = end + 1;
        }
        if self.skipping {
            return Ok(());
        }
        self.piece(chunk, at, bytes.len()).or_else(|flaw| self.tell(flaw, told))
    }

    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        if self.skipping {
            self.next_line();
        } else if self.line_bytes > 0 {
            let ended = match self.machine.end() {
                Some(inside) if !self.machine.is_blank() => Err(truncated(end, inside)),
                _ => self.end_of_line(end, 0),
            };
            if let Err(flaw) = ended {
                self.tell(flaw, told)?;
            }
        }
        Ok(())
    }

    /// Every line is a record.
    fn record(&self) -> u64 {
        self.lines + 1
    }

    fn records(&self) -> u64 {
        self.lines
    }

    fn save(&self) -> Option<SavedNdjson> {
        Some(SavedNdjson { line_bytes: self.line_bytes, skipping: self.skipping, machine: self.machine.save() })
    }

    fn resume(self, saved: SavedNdjson, here: Place) -> Option<Self> {
        let SavedNdjson { line_bytes, skipping, machine } = saved;
        let machine = self.machine.resume(machine, here)?;
        // A character has four bytes at most, and a line that has not begun has nothing in it.
        let columns = here.column - 1;
        let fits = skipping
            || line_bytes <= self.max_record_bytes.min(here.offset)
                && (columns..=columns.saturating_mul(4)).contains(&line_bytes)
                && (line_bytes > 0 || machine.is_blank());
        fits.then_some(Self { machine, lines: here.line - 1, line_bytes, skipping, ..self })
    }
}
