//! JSON, strictly as RFC 8259 has it, with any value at the top; by the wish of a [`Profile`], as RFC 7493 has it.
//!
//! Stricter than the grammar in three points: a byte order mark is refused (section 8.1 lets a parser choose), and nesting and
//! the length of strings and numbers are limited (section 9). With a schema, the documents that it is for are cut out of the
//! text and held against it.

mod blocks;
mod fault;
mod ijson;
mod machine;
mod marks;
mod number;
mod scalars;
mod text;

use std::sync::Arc;

pub(super) use self::machine::{Lf, Machine, SavedMachine};
use super::Limits;
use super::document::{Items, JsonSchema};
use super::position::{Chunk, Place};
use super::stream::Scanner;
use super::told::{Flaw, Halt, Told};
use crate::report::{Code, Profile, SchemaFor};

/// One JSON text.
#[derive(Debug)]
pub(super) struct Json {
    machine: Machine,
    held_against: Option<HeldAgainst>,
}

/// A schema, and the document that is being read for it.
#[derive(Debug)]
struct HeldAgainst {
    schema: Arc<JsonSchema>,
    part: SchemaFor,
    items: Items,
    max_bytes: u64,
}

impl Json {
    pub(super) fn new(limits: &Limits, profile: Profile, schema: Option<(Arc<JsonSchema>, SchemaFor)>) -> Self {
        let held_against = schema.map(|(schema, part)| {
            let items = Items::new(part, limits.max_document_bytes);
            HeldAgainst { schema, part, items, max_bytes: limits.max_document_bytes }
        });
        Self { machine: Machine::new(limits, profile), held_against }
    }
}

impl Scanner for Json {
    type Saved = SavedMachine;

    fn scan(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let read = refuse_bom(chunk).and_then(|()| self.machine.scan(chunk, 0..chunk.bytes().len()));
        read.map_err(|flaw| told.fatal(flaw.in_record(self.record())))?;
        self.held_against.as_mut().map_or(Ok(()), |held_against| held_against.read(chunk, told))
    }

    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let ended = match self.machine.end() {
            None => self.machine.last_number(),
            Some(inside) => Err(truncated(end, inside)),
        };
        ended.map_err(|flaw| told.fatal(flaw.in_record(self.record())))?;
        self.held_against.as_mut().map_or(Ok(()), |held_against| held_against.end(told))
    }

    fn memory_bytes(&self, text_bytes: usize) -> usize {
        let document = self.held_against.as_ref().map_or(0, |held| held.items.memory_bytes(text_bytes));
        self.machine.memory_bytes(text_bytes) + document
    }

    /// Element `k` of the top-level array reaches from the bracket or comma before it to the one behind it; any other value
    /// is record 1; what stands outside is in record 0.
    fn record(&self) -> u64 {
        self.machine.record()
    }

    fn records(&self) -> u64 {
        self.machine.elements()
    }

    /// A document that is being read for a schema can be large.
    fn save(&self) -> Option<SavedMachine> {
        (self.held_against.is_none() && self.machine.can_be_saved()).then(|| self.machine.save())
    }

    fn resume(self, saved: SavedMachine, here: Place) -> Option<Self> {
        let Self { machine, held_against: None } = self else { return None };
        Some(Self { machine: machine.resume(saved, here)?, held_against: None })
    }
}

impl HeldAgainst {
    fn read(&mut self, chunk: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let mut at = 0;
        while let Some(end) = self.items.read(chunk, at) {
            self.check(told)?;
            at = end;
        }
        Ok(())
    }

    /// What ends with the text is a document where the whole is one.
    fn end(&mut self, told: &mut Told) -> Result<(), Halt> {
        if self.part == SchemaFor::Document {
            return self.check(told);
        }
        let Some(start) = self.items.begun() else { return Ok(()) };
        let message = "the text is no array, whose elements the schema is for";
        told.flaw(Flaw::new(Code::SchemaError, start, message).in_record(1))
    }

    fn check(&mut self, told: &mut Told) -> Result<(), Halt> {
        let Self { schema, part, items, max_bytes } = self;
        items.take(|item| {
            let record = item.index + 1;
            let path = if *part == SchemaFor::Items { format!("/{}", item.index) } else { String::new() };
            match item.text {
                Some(text) => schema.check(text, item.start, &path, record, told),
                None => told.flaw(too_large(item.start, *max_bytes).in_record(record)),
            }
        })
    }
}

/// A document that can't be held against its schema.
pub(super) fn too_large(start: Place, max_bytes: u64) -> Flaw {
    Flaw::new(Code::DocumentBytes, start, format!("larger than the {max_bytes} bytes that can be held against a schema"))
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
