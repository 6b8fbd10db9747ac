//! What all formats share: cutting into blocks, UTF-8, the place in the file, and being written down.

use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Validator;
use super::position::{Chunk, Place};
use super::utf8::{Gate, Mended, Tail};
use crate::report::{Format, Rejection, Verdict};

/// A format's own part: reads whole characters, and stops at the first flaw.
pub(super) trait Scanner: Debug + Send + Sized {
    /// What it must know to go on in another process, besides the place and its limits.
    type Saved: Serialize + DeserializeOwned;

    /// Reads the next piece of text.
    fn scan(&mut self, chunk: &Chunk<'_>) -> Result<(), Flaw>;

    /// The text has ended here: how many records it held.
    fn end(&mut self, here: Place) -> Result<u64, Flaw>;

    /// The record that the scanner stands in, or in which it has just found a flaw.
    fn record(&self) -> u64;

    /// Whether all that it knows can be written down.
    fn can_be_saved(&self) -> bool {
        true
    }

    /// What it knows between two pieces of text.
    fn save(&self) -> Self::Saved;

    /// Goes on from `here` with what was saved there; `self` has read nothing yet. `None` where what was saved is beyond the
    /// limits, or is nothing that could have been saved here: whoever reads on may rely on every invariant.
    fn resume(self, saved: Self::Saved, here: Place) -> Option<Self>;
}

/// What is wrong, and where; the stream adds the format and the record.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) place: Place,
}

impl Flaw {
    pub(super) fn new(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place }
    }
}

/// A scanner, and what it needs in front of it to be a [`Validator`].
#[derive(Debug)]
pub(super) struct Stream<S> {
    format: Format,
    scanner: S,
    gate: Gate,
    /// Where the text that the scanner has not seen yet begins.
    here: Place,
    /// Whether a flaw has been found: what the scanner knows is of no use then.
    spent: bool,
}

/// A stream in the middle of a file, written down.
#[derive(Debug, Serialize, Deserialize)]
struct Saved<S> {
    version: u32,
    format: Format,
    /// What the gate holds back, in hexadecimal digits.
    held: String,
    here: Place,
    scanner: S,
}

/// Rises with every change to what a scanner saves, or to what that means.
const VERSION: u32 = 2;

/// UTF-8 check, scan and line count go over a block one after the other: it should still be in the cache.
const BLOCK_BYTES: usize = 32 << 10;

impl<S: Scanner> Validator for Stream<S> {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Rejection> {
        chunk.chunks(BLOCK_BYTES).try_for_each(|block| self.pass(block)).map_err(|flaw| {
            self.spent = true;
            self.rejection(flaw)
        })
    }

    fn offset(&self) -> u64 {
        self.here.offset + self.gate.held().len() as u64
    }

    fn save(&self) -> Option<Value> {
        if self.spent || !self.scanner.can_be_saved() {
            return None;
        }
        let (held, scanner) = (hex::encode(self.gate.held()), self.scanner.save());
        serde_json::to_value(Saved { version: VERSION, format: self.format, held, here: self.here, scanner }).ok()
    }

    fn finish(mut self: Box<Self>) -> Result<Verdict, Rejection> {
        let ended = if self.gate.holds() {
            Err(Flaw::new("not_utf8", self.here, "the file ends inside of a UTF-8 character"))
        } else {
            self.scanner.end(self.here)
        };
        match ended {
            Ok(records) => Ok(Verdict { format: self.format, records }),
            Err(flaw) => Err(self.rejection(flaw)),
        }
    }
}

impl<S: Scanner> Stream<S> {
    pub(super) fn new(format: Format, scanner: S) -> Self {
        Self { format, scanner, gate: Gate::default(), here: Place::START, spent: false }
    }

    /// Goes on where another stream was saved; `self` has read nothing yet. As [`super::resume`].
    pub(super) fn resume(self, saved: &Value) -> Option<Self> {
        let Saved { version, format, held, here, scanner } = Saved::deserialize(saved).ok()?;
        if (version, format) != (VERSION, self.format) || !here.is_possible() {
            return None;
        }
        let gate = Gate::holding(&hex::decode(held).ok()?)?;
        Some(Self { scanner: self.scanner.resume(scanner, here)?, gate, here, ..self })
    }

    fn pass(&mut self, mut rest: &[u8]) -> Result<(), Flaw> {
        if self.gate.holds() {
            match self.gate.mend(&mut rest) {
                Mended::Whole(char) => self.scan(char.encode_utf8(&mut [0; 4]))?,
                Mended::Short => return Ok(()),
                Mended::Broken => return Err(self.not_utf8()),
            }
        }
        let (text, tail) = self.gate.split(rest);
        self.scan(text)?;
        if tail == Tail::Broken { Err(self.not_utf8()) } else { Ok(()) }
    }

    fn scan(&mut self, text: &str) -> Result<(), Flaw> {
        if text.is_empty() {
            return Ok(());
        }
        let chunk = Chunk::new(text, self.here);
        self.scanner.scan(&chunk)?;
        self.here = chunk.place(text.len());
        Ok(())
    }

    /// A flaw at the first byte of a sequence that is no character. All before it has been scanned.
    fn not_utf8(&self) -> Flaw {
        Flaw::new("not_utf8", self.here, "these bytes are not UTF-8")
    }

    fn rejection(&self, flaw: Flaw) -> Rejection {
        let Flaw { code, message, place: Place { line, column, offset } } = flaw;
        let record = self.scanner.record();
        Rejection { code: code.to_owned(), message, format: self.format, line, column, offset, record }
    }
}
