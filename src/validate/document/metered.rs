//! Documents whose every reading is counted, so that a schema can't be made to read one for ever.
//!
//! A recursive schema with alternatives may look at a document of a few hundred bytes an
//! exponential number of times, and the library keeps an error for each failure of each
//! alternative. So it is given the document through [`Metered`]: each look at a value costs a unit
//! of work, and each value that it keeps for an error counts as one. When either is used up, every
//! value looks like `null`, which has nothing inside: all recursion ends at once, and the outcome
//! is discarded.

use std::borrow::Cow;
use std::cell::Cell;

use super::unique;
use jsonschema::json::{Array, Json, Node, NodeIdentity, Object, SerdeJson};
use jsonschema::types::JsonType;
use serde_json::{Map, Value};

/// The limits of the work on one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Looks at values.
    pub(super) work: u64,
    /// Errors that are kept, those of all alternatives among them.
    pub(super) errors: u64,
}

thread_local! {
    static LEFT: Cell<Allowance> = const { Cell::new(Allowance { work: 0, errors: 0 }) };
}

/// Runs `work` on a document within an allowance; `None` where the allowance was used up.
pub(super) fn within<'a, T>(allowance: Allowance, document: &'a Value, work: impl FnOnce(Metered<'a>) -> T) -> Option<T> {
    LEFT.set(allowance);
    let done = work(Metered(document));
    let Allowance { work, errors } = LEFT.get();
    (work > 0 && errors > 0).then_some(done)
}

/// The allowance that the last document of this thread has left.
#[cfg(test)]
pub(super) fn left() -> Allowance {
    LEFT.get()
}

/// Takes so many units of work. Returns whether any are left.
fn work(units: usize) -> bool {
    let mut left = LEFT.get();
    left.work = if left.errors == 0 { 0 } else { left.work.saturating_sub(units as u64) };
    LEFT.set(left);
    left.work > 0
}

/// Units for a text that is read from its first byte to its last.
fn text_units(text: &str) -> usize {
    1 + text.len() / 16
}

/// Takes units for every value below this one; whether they were left.
fn work_through(value: &Value) -> bool {
    match value {
        Value::Array(values) => work(1) && values.iter().all(work_through),
        Value::Object(members) => {
            work(1) && members.iter().all(|(name, value)| work(text_units(name)) && work_through(value))
        }
        Value::String(text) => work(text_units(text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => work(1),
    }
}

/// How documents are represented.
#[derive(Debug)]
pub(super) struct MeteredJson;

/// A value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metered<'a>(&'a Value);

#[derive(Debug)]
pub(super) struct MeteredObject<'a>(&'a Map<String, Value>);

#[derive(Debug)]
pub(super) struct MeteredArray<'a>(&'a [Value]);

/// Members or elements, each of which costs a unit.
#[derive(Debug)]
pub(super) struct Counted<I>(I);

impl Json for MeteredJson {
    type Node<'a> = Metered<'a>;
    type PreparedKey = String;
    type StringBuffer = ();

    const KEYS_PER_LOOKUP: usize = SerdeJson::KEYS_PER_LOOKUP;
    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>(buffer: &mut (), string: &str, f: impl FnOnce(Metered<'_>) -> T) -> T {
        SerdeJson::with_string_node(buffer, string, |value| f(Metered(value)))
    }
}

impl<'a> Metered<'a> {
    /// The value, or `null` where no work is left.
    fn look(self, units: usize) -> &'a Value {
        if work(units) { self.0 } else { &Value::Null }
    }
}

impl<'a> Node<'a, MeteredJson> for Metered<'a> {
    type Object = MeteredObject<'a>;
    type Array = MeteredArray<'a>;
    type Number = &'a serde_json::Number;

    fn as_object(&self) -> Option<MeteredObject<'a>> {
        self.look(1).as_object().map(MeteredObject)
    }

    fn as_array(&self) -> Option<MeteredArray<'a>> {
        self.look(1).as_array().map(|values| MeteredArray(values))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let units = self.0.as_str().map_or(1, text_units);
        self.look(units).as_str().map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a serde_json::Number> {
        self.look(1).as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        self.look(1).as_bool()
    }

    fn is_null(&self) -> bool {
        self.look(1).is_null()
    }

    fn json_type(&self) -> JsonType {
        self.look(1).json_type()
    }

    fn string_length(&self) -> Option<u64> {
        let units = self.0.as_str().map_or(1, text_units);
        Node::<SerdeJson>::string_length(&self.look(units))
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        let units = self.0.as_str().map_or(1, text_units);
        Node::<SerdeJson>::string_length_within(&self.look(units), min, max)
    }

    fn equals_value(&self, expected: &Value) -> bool {
        // Both are read side by side, at most to the end of the shorter one.
        let is_container =
            matches!((self.0, expected), (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)));
        let left = if is_container { work_through(self.0) } else { work(self.0.as_str().map_or(1, text_units)) };
        left && self.0.equals_value(expected)
    }

    /// For an error, which keeps it: what else would need it is above.
    fn to_value(&self) -> Cow<'a, Value> {
        let left = LEFT.get();
        LEFT.set(Allowance { errors: left.errors.saturating_sub(1), ..left });
        Cow::Borrowed(self.0)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        self.0.identity()
    }
}

impl<'a> Object<'a, MeteredJson> for MeteredObject<'a> {
    type Node = Metered<'a>;
    type MemberName = &'a str;
    type MembersIter = Counted<serde_json::map::Iter<'a>>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<Metered<'a>> {
        if work(text_units(key)) { self.0.get(key).map(Metered) } else { None }
    }

    fn members(&self) -> Self::MembersIter {
        Counted(self.0.iter())
    }
}

impl<'a> Iterator for Counted<serde_json::map::Iter<'a>> {
    type Item = (&'a str, Metered<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.next()?;
        work(text_units(name)).then_some((name.as_str(), Metered(value)))
    }
}

impl<'a> Array<'a, MeteredJson> for MeteredArray<'a> {
    type Node = Metered<'a>;
    type ElementsIter = Counted<std::slice::Iter<'a, Value>>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> Self::ElementsIter {
        Counted(self.0.iter())
    }

    fn is_unique(&self) -> bool {
        self.0.iter().all(work_through) && unique::is_unique(self.0)
    }
}

impl<'a> Iterator for Counted<std::slice::Iter<'a, Value>> {
    type Item = Metered<'a>;

    fn next(&mut self) -> Option<Metered<'a>> {
        let value = self.0.next()?;
        work(1).then_some(Metered(value))
    }
}
