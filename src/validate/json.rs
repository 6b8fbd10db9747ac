//! JSON, strictly as RFC 8259 has it, with any value at the top; by the wish of a [`Profile`], as RFC 7493 has it.
//!
//! Stricter than the grammar in three points: a byte order mark is refused (section 8.1 lets a parser choose), and nesting and
//! the length of strings and numbers are limited (section 9).

mod blocks;
mod fault;
mod ijson;
mod machine;
mod number;
mod profile;
mod text;

pub(super) use self::machine::{Machine, SavedMachine};
pub use self::profile::Profile;
use super::Limits;
use super::position::{Chunk, Place};
use super::stream::{Flaw, Scanner};
use crate::report::Code;

/// One JSON text.
#[derive(Debug)]
pub(super) struct Json {
    machine: Machine,
}

impl Json {
    pub(super) fn new(limits: &Limits, profile: Profile) -> Self {
        Self { machine: Machine::new(limits, profile) }
    }
}

impl Scanner for Json {
    type Saved = SavedMachine;

    fn scan(&mut self, chunk: &Chunk<'_>) -> Result<(), Flaw> {
        refuse_bom(chunk)?;
        self.machine.scan(chunk, 0..chunk.bytes().len())
    }

    fn end(&mut self, here: Place) -> Result<u64, Flaw> {
        match self.machine.end() {
            None => self.machine.last_number().map(|()| self.machine.elements()),
            Some(inside) => Err(truncated(here, inside)),
        }
    }

    /// Element `k` of the top-level array reaches from the bracket or comma before it to the one behind it; any other value
    /// is record 1; what stands outside is in record 0.
    fn record(&self) -> u64 {
        self.machine.record()
    }

    fn can_be_saved(&self) -> bool {
        self.machine.can_be_saved()
    }

    fn save(&self) -> SavedMachine {
        self.machine.save()
    }

    fn resume(self, saved: SavedMachine, here: Place) -> Option<Self> {
        Some(Self { machine: self.machine.resume(saved, here)? })
    }
}

/// A file that ends inside of something.
pub(super) fn truncated(here: Place, inside: &str) -> Flaw {
    Flaw::new(Code::JsonTruncated.name(), here, format!("the file ends {inside}"))
}

/// RFC 8259 section 8.1: implementations must not add a byte order mark to the beginning of a JSON text.
pub(super) fn refuse_bom(chunk: &Chunk<'_>) -> Result<(), Flaw> {
    if chunk.begins_with_bom() {
        return Err(Flaw::new(Code::JsonBom.name(), chunk.place(0), "a JSON text does not begin with a byte order mark"));
    }
    Ok(())
}
