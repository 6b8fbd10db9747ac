//! JSON, strictly as RFC 8259 has it, with any value at the top.
//!
//! Stricter than its grammar in three points: a byte order mark is refused (section 8.1 lets a parser choose), a surrogate
//! escape without its other half is refused (section 8.2; RFC 7493 section 2.1), and nesting is limited (section 9).
//! Numbers may be of any size: whether one fits into a double is for the reader to say. Names that stand in an object twice
//! pass, because to know them all is to keep them all: the only check of an I-JSON reader that this one leaves out.

mod fault;
mod machine;
mod number;
mod text;

pub(super) use self::machine::{Machine, SavedMachine};
use super::Limits;
use super::position::{Chunk, Place};
use super::stream::Scanner;
use super::told::{Flaw, Halt, Told};
use crate::report::Code;

/// One JSON text.
#[derive(Debug)]
pub(super) struct Json {
    machine: Machine,
}

impl Json {
    pub(super) fn new(limits: &Limits) -> Self {
        Self { machine: Machine::new(limits.max_depth) }
    }
}

impl Scanner for Json {
    type Saved = SavedMachine;

    fn scan(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let read = refuse_bom(chunk).and_then(|()| self.machine.scan(chunk, 0..chunk.bytes().len()));
        read.map_err(|flaw| told.fatal(flaw.in_record(self.record())))
    }

    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        match self.machine.end() {
            None => Ok(()),
            Some(inside) => Err(told.fatal(truncated(end, inside).in_record(self.record()))),
        }
    }

    /// Element `k` of the top-level array reaches from the bracket or comma before it to the one behind it; any other value
    /// is record 1; what stands outside is in record 0.
    fn record(&self) -> u64 {
        self.machine.record()
    }

    fn records(&self) -> u64 {
        self.machine.elements()
    }

    fn save(&self) -> Option<SavedMachine> {
        Some(self.machine.save())
    }

    fn resume(self, saved: SavedMachine, here: Place) -> Option<Self> {
        Some(Self { machine: self.machine.resume(saved, here)? })
    }
}

/// A file that ends inside of something.
pub(super) fn truncated(end: &Chunk<'_>, inside: &str) -> Flaw {
    Flaw::at(Code::JsonTruncated, end, 0, format!("the file ends {inside}"))
}

/// RFC 8259 section 8.1: implementations must not add a byte order mark to the beginning of a JSON text.
pub(super) fn refuse_bom(chunk: &Chunk<'_>) -> Result<(), Flaw> {
    if chunk.begins_with_bom() {
        return Err(Flaw::at(Code::JsonBom, chunk, 0, "a JSON text does not begin with a byte order mark"));
    }
    Ok(())
}
