//! What all formats share: cutting into blocks, UTF-8, the place in the file, and being written down.

use std::fmt::Debug;

use memchr::memrchr;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::position::{Chunk, Place};
use super::told::{Flaw, Halt, Told};
use super::utf8::{Gate, Mended, Tail};
use super::{MAX_STEP_BYTES, Step, Validator};
use crate::report::{self, Code, Format, Report, Verdict};

/// A format's own part: reads whole characters, and tells what is wrong with them.
pub(super) trait Scanner: Debug + Send + Sized {
    /// What it must know to go on in another process, besides the place and its limits.
    type Saved: Serialize + DeserializeOwned;

    /// Reads the next piece of text.
    fn scan(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt>;

    /// The text has ended; `end` is empty, and stands there.
    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt>;

    /// The record in which the scanner stands; 0 outside of any.
    fn record(&self) -> u64;

    /// How many records there are, once the text has ended.
    fn records(&self) -> u64;

    /// As [`Validator::memory_bytes`].
    fn memory_bytes(&self, text_bytes: usize) -> usize;

    /// What it knows between two pieces of text; `None` where that can't be written down.
    fn save(&self) -> Option<Self::Saved>;

    /// Goes on from `here` with what was saved there; `self` has read nothing yet. `None` where what was saved is beyond the
    /// limits, or is nothing that could have been saved here: whoever reads on may rely on every invariant.
    fn resume(self, saved: Self::Saved, here: Place) -> Option<Self>;
}

/// A scanner, and what it needs in front of it to be a [`Validator`].
#[derive(Debug)]
pub(super) struct Stream<S> {
    format: Format,
    /// Tells one standard from another: what one has let pass, the other may not.
    standard: String,
    scanner: S,
    gate: Gate,
    told: Told,
    /// Where the text that the scanner has not seen yet begins.
    here: Place,
    /// The end of what the line holds before that.
    line: String,
    /// Whether reading was given up: what the scanner knows is of no use then.
    spent: bool,
}

/// A stream in the middle of a file, written down.
#[derive(Debug, Serialize, Deserialize)]
struct Saved<S, F> {
    version: u32,
    format: Format,
    standard: String,
    /// What the gate holds back, in hexadecimal digits.
    held: String,
    here: Place,
    line: String,
    found: F,
    scanner: S,
}

/// Rises with every change to what a scanner saves, or to what that means.
const VERSION: u32 = 3;

/// UTF-8 check, scan and line count go over a block one after the other: it should still be in the cache.
const BLOCK_BYTES: usize = MAX_STEP_BYTES;

impl<S: Scanner> Validator for Stream<S> {
    fn step(&mut self, chunk: &[u8], text_bytes: usize) -> Result<Step, Box<Report>> {
        let block = &chunk[..chunk.len().min(text_bytes).min(BLOCK_BYTES)];
        match self.pass(block) {
            Ok(()) => Ok(Step { read: block.len(), more: false }),
            Err(Halt { .. }) => {
                self.spent = true;
                Err(Box::new(self.report(self.scanner.record(), None)))
            }
        }
    }

    fn memory_bytes(&self, text_bytes: usize) -> usize {
        self.scanner.memory_bytes(text_bytes) + self.told.memory_bytes(text_bytes)
    }

    fn offset(&self) -> u64 {
        self.here.offset + self.gate.held().len() as u64
    }

    fn save(&self) -> Option<Value> {
        if self.spent {
            return None;
        }
        let (held, line) = (hex::encode(self.gate.held()), self.line.clone());
        let (found, scanner) = (self.told.found(), self.scanner.save()?);
        serde_json::to_value(Saved {
            version: VERSION,
            format: self.format,
            standard: self.standard.clone(),
            held,
            here: self.here,
            line,
            found,
            scanner,
        })
        .ok()
    }

    fn finish(mut self: Box<Self>) -> Result<Verdict, Box<Report>> {
        match self.end() {
            Ok(()) if self.told.total() == 0 => {
                Ok(Verdict { format: self.format, records: self.scanner.records(), errors: 0 })
            }
            Ok(()) | Err(Halt { .. }) => Err(Box::new(self.report(self.scanner.records(), Some(self.offset())))),
        }
    }
}

impl<S: Scanner> Stream<S> {
    pub(super) fn new(format: Format, standard: String, scanner: S, told: Told) -> Self {
        Self {
            format,
            standard,
            scanner,
            gate: Gate::default(),
            told,
            here: Place::START,
            line: String::new(),
            spent: false,
        }
    }

    /// Goes on where another stream was saved; `self` has read nothing yet. As [`super::Standard::resume`].
    pub(super) fn resume(mut self, saved: &Value) -> Option<Self> {
        let Saved { version, format, standard, held, here, line, found, scanner } = Saved::deserialize(saved).ok()?;
        if (version, format) != (VERSION, self.format)
            || standard != self.standard
            || !here.is_possible()
            || line.len() > LINE_BYTES
        {
            return None;
        }
        let gate = Gate::holding(&hex::decode(held).ok()?)?;
        self.told.resume(found);
        Some(Self { scanner: self.scanner.resume(scanner, here)?, gate, here, line, ..self })
    }

    fn pass(&mut self, mut rest: &[u8]) -> Result<(), Halt> {
        if self.gate.holds() {
            match self.gate.mend(&mut rest) {
                Mended::Whole(char) => self.scan(char.encode_utf8(&mut [0; 4]))?,
                Mended::Short => return Ok(()),
                Mended::Broken(bytes) => self.pass_over(bytes)?,
            }
        }
        loop {
            let (text, tail) = self.gate.split(rest);
            self.scan(text)?;
            let Tail::Broken(bytes) = tail else { return Ok(()) };
            self.pass_over(bytes)?;
            rest = &rest[text.len() + bytes..];
        }
    }

    fn scan(&mut self, text: &str) -> Result<(), Halt> {
        if text.is_empty() {
            return Ok(());
        }
        let chunk = Chunk::new(text, self.here).behind(&self.line);
        self.scanner.scan(&chunk, &mut self.told)?;
        self.here = chunk.place(text.len());
        self.keep_line(text);
        Ok(())
    }

    /// Tells of bytes that are no character, all before which has been scanned, and leaves them out.
    fn pass_over(&mut self, bytes: usize) -> Result<(), Halt> {
        let here = Chunk::new("", self.here).behind(&self.line);
        let flaw = Flaw::at(Code::InvalidUtf8, &here, 0, "these bytes are not UTF-8: save the file as UTF-8");
        self.told.flaw(flaw.in_record(self.scanner.record()))?;
        self.here.offset += bytes as u64;
        self.here.column += 1;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Halt> {
        if self.gate.holds() {
            let here = Chunk::new("", self.here).behind(&self.line);
            let message = "the file ends inside of a UTF-8 character: it was cut off";
            let flaw = Flaw::at(Code::InvalidUtf8, &here, 0, message);
            return Err(self.told.fatal(flaw.in_record(self.scanner.record())));
        }
        self.scanner.end(&Chunk::new("", self.here).behind(&self.line), &mut self.told)
    }

    /// Keeps of the line what a snippet may need.
    fn keep_line(&mut self, text: &str) {
        let new = match memrchr(b'\n', text.as_bytes()) {
            Some(last) => {
                self.line.clear();
                &text[last + 1..]
            }
            None => text,
        };
        let tail = &new[new.ceil_char_boundary(new.len().saturating_sub(LINE_BYTES))..];
        let excess = (self.line.len() + tail.len()).saturating_sub(LINE_BYTES);
        self.line.drain(..self.line.ceil_char_boundary(excess));
        self.line.push_str(tail);
    }

    fn report(&self, records: u64, bytes: Option<u64>) -> Report {
        self.told.report(self.format, records, bytes)
    }
}

/// What is kept of a line: a snippet's characters have four bytes at most.
const LINE_BYTES: usize = 4 * report::Flaw::SNIPPET_CHARS;
