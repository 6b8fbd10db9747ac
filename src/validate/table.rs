//! Frictionless Table Schema 2.0: what the columns of a table hold, and the checks of a table being read.
//!
//! Knows labels and cells as text; nothing of CSV, of quotes, of chunks, nor of where a schema lies. What a schema asks for and
//! is not supported is refused when it is loaded. `docs/table-schema.md` tells what is taken where the standard leaves a choice.

mod calendar;
mod columns;
mod constraints;
mod duration;
mod field;
mod geo;
mod glance;
mod json;
mod keys;
mod kind;
mod labels;
mod load;
mod number;
mod pattern;
mod problems;
mod reference;
mod strptime;
mod text;

use std::sync::Arc;

use serde_json::Value;

pub use self::columns::{Columns, Fault};
use self::field::Field;
use self::keys::{KeyHasher, KeyRule, Purpose};
use self::labels::FieldsMatch;

/// The memory for the keys of one table, where nobody says another: 64 MiB.
pub const DEFAULT_MAX_KEY_BYTES: u64 = 64 << 20;

/// A Table Schema, checked: all uploads share one.
#[derive(Debug)]
pub struct TableSchema {
    fields: Vec<Field>,
    fields_match: FieldsMatch,
    keys: Vec<KeyRule>,
    hasher: KeyHasher,
    fingerprint: u64,
}

impl PartialEq for TableSchema {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl TableSchema {
    /// Reads a schema from its descriptor; fails with every problem, each with its JSON pointer, for a person.
    ///
    /// `read` fetches the tables that foreign keys refer to, by the name of their resource: the bytes of a CSV with a header
    /// (RFC 4180, commas). Their cells are read as those of the fields that refer to them.
    pub fn parse(descriptor: &Value, read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>) -> Result<Self, Vec<String>> {
        load::schema(descriptor, read)
    }

    /// Tells schemas apart: it is the same as long as the descriptor and its reference tables are, in every process.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The names of the fields, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|field| field.name.as_str())
    }

    /// Whether a table's checks must remember its rows, so that their state can't be written down (see
    /// [`Columns::remembers`]).
    pub fn remembers(&self) -> bool {
        self.keys.iter().any(|key| !matches!(key.purpose, Purpose::Refers { .. }))
    }

    /// Lays a header over the fields as `fieldsMatch` has it, and tells what is wrong with the labels. The checks do what can be
    /// done even so, so that a header with faults need not hide those of the cells.
    ///
    /// Labels that stand there twice and empty ones are the business of whoever read the header. `max_key_bytes` is the memory
    /// for all the keys of the table together.
    pub fn columns(self: &Arc<Self>, labels: &[&str], max_key_bytes: u64, tell: &mut dyn FnMut(Fault)) -> Columns {
        let fields = self.fields_match.lay(&self.fields, labels, tell);
        Columns::new(self, fields, max_key_bytes, tell)
    }
}
