//! What is wrong with a descriptor, each with its place.

use std::fmt::Display;

use serde_json::{Map, Value};

/// Collects problems.
#[derive(Debug, Default)]
pub(super) struct Problems {
    pub(super) list: Vec<String>,
}

/// A part of a descriptor and where it stands, as a JSON pointer (RFC 6901).
#[derive(Debug, Clone)]
pub(super) struct At<'a> {
    pub(super) value: &'a Value,
    pub(super) pointer: String,
}

impl Problems {
    /// Adds a problem: `/fields/3/type: …`.
    pub(super) fn add(&mut self, pointer: &str, message: impl Display) {
        let place = if pointer.is_empty() { "the schema" } else { pointer };
        self.list.push(format!("{place}: {message}"));
    }

    /// Refuses the members of an object that nobody knows: a misspelt rule must not be a rule that does not hold.
    pub(super) fn unknown(&mut self, at: &At<'_>, known: &[&str], explain: impl Fn(&str) -> Option<String>) {
        for name in at.value.as_object().into_iter().flat_map(Map::keys) {
            if known.contains(&name.as_str()) || DESCRIPTIVE.contains(&name.as_str()) || name.starts_with('_') {
                continue;
            }
            let message = explain(name).unwrap_or_else(|| {
                let near = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
                match near {
                    Some((1..=2, known)) => format!("unknown property, perhaps {known:?} is meant"),
                    _ => "unknown property; what is only for readers may begin with _".to_owned(),
                }
            });
            self.add(&at.member(name), message);
        }
    }
}

/// Properties that describe for people and programs, but have nothing to do with validity.
const DESCRIPTIVE: [&str; 6] = ["title", "description", "example", "examples", "rdfType", "$comment"];

impl<'a> At<'a> {
    pub(super) fn root(value: &'a Value) -> Self {
        Self { value, pointer: String::new() }
    }

    /// The pointer of a member, whether there is one or not.
    pub(super) fn member(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    /// A member, if there is one.
    pub(super) fn child(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name)?;
        Some(Self { value, pointer: self.member(name) })
    }

    /// The items of an array; a problem where it is none.
    pub(super) fn items(&self, problems: &mut Problems) -> Vec<Self> {
        let Value::Array(items) = self.value else {
            problems.add(&self.pointer, "must be an array");
            return Vec::new();
        };
        let item = |(at, value)| Self { value, pointer: format!("{}/{at}", self.pointer) };
        items.iter().enumerate().map(item).collect()
    }

    pub(super) fn text(&self, problems: &mut Problems) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            problems.add(&self.pointer, "must be a string");
        }
        text
    }

    pub(super) fn truth(&self, problems: &mut Problems) -> Option<bool> {
        let truth = self.value.as_bool();
        if truth.is_none() {
            problems.add(&self.pointer, "must be true or false");
        }
        truth
    }

    /// Strings of which there is at least one, each once.
    pub(super) fn texts(&self, problems: &mut Problems) -> Vec<&'a str> {
        let items = self.items(problems);
        let texts: Vec<_> = items.iter().filter_map(|item| item.text(problems)).collect();
        if items.is_empty() && self.value.is_array() {
            problems.add(&self.pointer, "must not be empty");
        }
        for (at, text) in texts.iter().enumerate() {
            if texts[..at].contains(text) {
                problems.add(&self.pointer, format_args!("{text:?} stands there twice"));
            }
        }
        texts
    }
}
