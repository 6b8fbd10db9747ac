//! Schemas from samples: what the columns of a table hold, what the members of JSON objects are, and how that is said in a
//! Table Schema or a JSON Schema.
//!
//! A schema says what held for all that was read, no more: a person tightens or loosens it. It is the same for the same samples.
//! Memory is bounded, however long the samples are. They must be valid: nothing is judged here, and nothing is opened.

mod column;
mod guess;
mod json;
mod shape;
mod table;
mod values;
mod words;

pub use self::json::{Documents, JsonSchema};
pub use self::table::{Table, TableSchema};
