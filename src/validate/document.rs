//! JSON Schema for the documents of a stream: the whole text, each element of an array, or each line.
//!
//! Knows no stream: it is given whole texts whose syntax has been proved, and where each begins.

mod items;
mod locate;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError};
use serde_json::Value;

pub(super) use self::items::{Items, memory_bytes};
use self::locate::locate;
use super::position::{Chunk, Place};
use super::told::{Flaw, Halt, More, Told};
use crate::report::{self, Code};
use crate::upload::Digest;

/// A JSON Schema, compiled: draft 2020-12, or the one that `$schema` names. Formats are asserted, patterns run in linear time,
/// and nothing is fetched.
#[derive(Debug)]
pub struct JsonSchema {
    validator: jsonschema::Validator,
    /// Of its text.
    fingerprint: u64,
}

impl PartialEq for JsonSchema {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl JsonSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// What is wrong with it, for a person: it is no schema, or it asks for what is not supported, such as a reference to
    /// another document.
    pub fn parse(schema: &Value) -> Result<Self, String> {
        let options = jsonschema::options().should_validate_formats(true).should_ignore_unknown_formats(false);
        let validator = options
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map_err(|error| format!("{}: {error}", pointer(error.instance_path().as_str())))?;
        let digest = Digest::of(schema.to_string().as_bytes()).to_string();
        let last = &digest[digest.len() - 16..];
        let fingerprint = u64::from_str_radix(last, 16).expect("a digest ends with 64 hexadecimal digits");
        Ok(Self { validator, fingerprint })
    }

    /// Two schemas with the same one are the same.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Tells what is wrong with a document, which stands at `start` of the file and there at `path` of the whole text.
    pub(super) fn check(&self, text: &str, start: Place, path: &str, record: u64, told: &mut Told) -> Result<(), Halt> {
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                // The grammar has been held already: what is left are numbers beyond a double, and nesting.
                let message = format!("can't be held against the schema: {}", reason(&error));
                return told.flaw(Flaw::new(Code::SchemaError, start, message).in_record(record));
            }
        };
        let Err(first) = self.validator.validate(&value) else { return Ok(()) };
        // All errors of a document are found before the first can be told: of a large one that is too many.
        let errors: Vec<_> = match text.len() {
            ..=ALL_ERRORS_BYTES => self.validator.iter_errors(&value).collect(),
            _ => vec![first],
        };
        for error in errors {
            let inside = error.instance_path().as_str();
            let at = locate(text, inside);
            let place = Chunk::new(text, start).place(at.start);
            let more = More {
                instance_path: Some(format!("{path}{inside}")),
                schema_path: Some(error.schema_path().as_str().to_owned()),
                ..More::default()
            };
            let snippet = text[at].chars().take(report::Flaw::SNIPPET_CHARS + 1).collect();
            let message = words(&error);
            told.flaw(
                Flaw { snippet, more: Some(Box::new(more)), ..Flaw::new(Code::SchemaError, place, message) }
                    .in_record(record),
            )?;
        }
        Ok(())
    }
}

/// The largest document of which all errors are told, in bytes; of others the first.
const ALL_ERRORS_BYTES: usize = 64 << 10;

/// What is wrong, without anything that stands in the document.
fn words(error: &ValidationError<'_>) -> String {
    let names = |unexpected: &[String]| match unexpected.len() {
        1 => "the object has a name that the schema does not allow".to_owned(),
        many => format!("the object has {many} names that the schema does not allow"),
    };
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => names(unexpected),
        ValidationErrorKind::PropertyNames { .. } => {
            "the object has a name that is not as the schema wants names".to_owned()
        }
        _ => error.masked().to_string(),
    }
}

/// What `serde_json` says, without its own line and column.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

fn pointer(path: &str) -> &str {
    if path.is_empty() { "the schema" } else { path }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_fetched_and_nothing_unknown_is_passed_over() {
        for schema in [
            json!({"$ref": "https://example.org/schema.json"}),
            json!({"type": "text"}),
            json!({"pattern": "(?=a)"}),
            json!({"format": "telephone"}),
        ] {
            assert!(JsonSchema::parse(&schema).is_err(), "{schema}");
        }
        JsonSchema::parse(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"format": "date"}}})).unwrap();
    }
}
