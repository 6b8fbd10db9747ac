//! JSON Schema for the documents of a stream: the whole text, each element of an array, or each line.
//!
//! Knows no stream: it is given whole texts whose syntax has been proved, and where each begins.

mod items;
mod locate;
mod metered;
mod unique;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, ValidationError};
use serde_json::Value;

pub(super) use self::items::{Items, memory_bytes};
use self::locate::locate;
use self::metered::{Allowance, MeteredJson, within};
use super::position::{Chunk, Place};
use super::told::{Flaw, Halt, More, Told};
use crate::report::{self, Code};
use crate::upload::Digest;

/// A JSON Schema, compiled: draft 2020-12, or the one that `$schema` names. Formats are asserted, patterns run in linear time,
/// and nothing is fetched.
#[derive(Debug)]
pub struct JsonSchema {
    validator: jsonschema::Validator<MeteredJson>,
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
        let options =
            jsonschema::options_for::<MeteredJson>().should_validate_formats(true).should_ignore_unknown_formats(false);
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
        let flaw = |code: Code, message: String| Flaw::new(code, start, message).in_record(record);
        let value: Value = match serde_json::from_str(text) {
            Ok(value) => value,
            Err(error) => {
                // The grammar has been held already: what is left are numbers beyond a double, and nesting.
                let message = format!("can't be held against the schema: {}", reason(&error));
                return told.flaw(flaw(Code::SchemaError, message));
            }
        };
        let allowance = Allowance::for_document(text);
        match within(allowance, &value, |document| self.validator.is_valid(document)) {
            Some(true) => return Ok(()),
            Some(false) => {}
            None => {
                let message = format!(
                    "to hold it against the schema takes more than {} looks at its values: \
                     let alternatives differ by a value that stands near their top, or nest less",
                    allowance.work
                );
                return told.flaw(flaw(Code::SchemaTooExpensive, message));
            }
        }
        // The whole of a large document is not searched for further errors.
        let most = if text.len() <= ALL_ERRORS_BYTES { usize::MAX } else { 1 };
        let found = within(allowance, &value, |document| match most {
            1 => self.validator.validate(document).err().into_iter().collect(),
            _ => self.validator.iter_errors(document).collect::<Vec<_>>(),
        });
        let Some(errors) = found else {
            let message = "is not as the schema wants it; there are too many alternatives to tell why".to_owned();
            return told.flaw(flaw(Code::SchemaError, message));
        };
        errors.iter().try_for_each(|error| told.flaw(located(error, text, start, path, told).in_record(record)))
    }
}

/// The flaw for an error, with its place; a flaw that is only counted is not looked for in the text.
fn located(error: &ValidationError<'_>, text: &str, start: Place, path: &str, told: &Told) -> Flaw {
    if !told.keeps_more() {
        return Flaw::new(Code::SchemaError, start, "");
    }
    let inside = error.instance_path().as_str();
    let at = locate(text, inside);
    let place = Chunk::new(text, start).place(at.start);
    let more = More {
        instance_path: Some(format!("{path}{inside}")),
        schema_path: Some(error.schema_path().as_str().to_owned()),
        ..More::default()
    };
    let snippet = text[at].chars().take(report::Flaw::SNIPPET_CHARS + 1).collect();
    Flaw { snippet, more: Some(Box::new(more)), ..Flaw::new(Code::SchemaError, place, words(error)) }
}

/// The largest document of which all errors are told, in bytes; of others the first.
const ALL_ERRORS_BYTES: usize = 64 << 10;

impl Allowance {
    /// The allowance for a document. Two bytes can be a value, which a rich schema looks at some
    /// dozen times; a recursive one with alternatives, thousands of times. Of errors, a document
    /// that is wrong throughout has one in a few bytes.
    fn for_document(text: &str) -> Self {
        let bytes = text.len() as u64;
        Self { work: 10_000 + 32 * bytes, errors: 256 + bytes / 16 }
    }
}

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
    use crate::report::Format;
    use crate::validate::told::{Patience, Snippets};

    /// The codes that a document is reported with, and the allowance that is left.
    fn told_of(schema: &Value, text: &str) -> (Vec<String>, Allowance) {
        let schema = JsonSchema::parse(schema).unwrap();
        let patience = Patience { max_errors: u64::MAX, ..Patience::default() };
        let mut told = Told::new(patience, Snippets::default());
        schema.check(text, Place::START, "", 1, &mut told).unwrap();
        let report = told.report(Format::Json, 1, None);
        (report.errors.into_iter().map(|flaw| flaw.code).collect(), metered::left())
    }

    /// An expression of which each level is one of these, each of which looks at the levels below.
    fn expression(combinator: &str) -> Value {
        let operation = |names: &[&str]| {
            json!({
                "type": "object",
                "required": ["op", "values"],
                "properties": {"op": {"enum": names}, "values": {"$ref": "#/$defs/expression"}},
            })
        };
        let all = [json!({"type": "number"}), operation(&["add", "sub"]), operation(&["add", "sum"]), operation(&["add"])];
        json!({"$ref": "#/$defs/expression", "$defs": {"expression": {combinator: all}}})
    }

    fn nested(depth: usize, leaf: &str) -> String {
        format!("{}{leaf}{}", "{\"op\":\"add\",\"values\":".repeat(depth), "}".repeat(depth))
    }

    /// Alternatives without references, which nothing remembers: 4 to the power of the depth.
    fn alternatives(combinator: &str, depth: usize) -> Value {
        (0..depth).fold(
            json!({"type": "number"}),
            |inner, _| json!({combinator: [{"items": inner}, {"items": inner}, {"items": inner}, {"items": inner}]}),
        )
    }

    #[test]
    fn recursion_costs_no_more_than_is_allowed() {
        for combinator in ["oneOf", "anyOf", "allOf"] {
            let schema = expression(combinator);
            for depth in [1, 12, 22, 60, 120] {
                let text = nested(depth, "\"wrong\"");
                let (codes, left) = told_of(&schema, &text);
                assert!(!codes.is_empty(), "{combinator} at {depth}");
                let Allowance { work, errors } = Allowance::for_document(&text);
                assert!(left.work <= work && left.errors <= errors);
            }
        }
    }

    #[test]
    fn alternatives_that_look_at_a_document_too_often_are_refused() {
        for combinator in ["oneOf", "anyOf", "allOf"] {
            let schema = alternatives(combinator, 7);
            let text = format!("{}\"wrong\"{}", "[".repeat(7), "]".repeat(7));
            let (codes, _) = told_of(&schema, &text);
            // The first alternative that fails ends `allOf`.
            let expected = if combinator == "allOf" { "schema-error" } else { "schema-too-expensive" };
            assert_eq!(codes, [expected], "{combinator}");
        }
        let (codes, left) =
            told_of(&json!({"not": alternatives("anyOf", 7)}), &format!("{}\"x\"{}", "[".repeat(7), "]".repeat(7)));
        assert_eq!(
            (codes.as_slice(), left.work),
            (["schema-too-expensive".to_owned()].as_slice(), 0),
            "not even turned round"
        );
    }

    #[test]
    fn keywords_that_read_all_of_a_value_pay_for_all_of_it() {
        let values = format!("[{}0]", "[1,2,3,4,5,6,7,8,9],".repeat(500));
        let names: Vec<_> = (0..1000).map(|name| format!("\"name-{name}\":0")).collect();
        let objects = format!("{{{}}}", names.join(","));
        for (schema, text) in [
            (json!({"uniqueItems": true}), &values),
            (json!({"contains": {"contains": {"const": 17}}}), &values),
            (json!({"enum": [[1, 2], {"a": 1}, "x"]}), &values),
            (json!({"patternProperties": {"^x": {"type": "string"}, "9$": {"type": "number"}}}), &objects),
            (json!({"propertyNames": {"pattern": "^[a-z0-9-]*$"}}), &objects),
            (json!({"additionalProperties": {"type": "number"}}), &objects),
        ] {
            let (_, left) = told_of(&schema, text);
            let spent = Allowance::for_document(text).work - left.work;
            assert!(spent > 1000, "{schema} costs {spent}");
        }
    }

    #[test]
    fn ordinary_documents_stay_far_below_what_is_allowed() {
        let schema = json!({"items": {
            "type": "object",
            "required": ["id", "at", "value"],
            "properties": {
                "id": {"type": "integer", "minimum": 0},
                "at": {"type": "string", "format": "date-time"},
                "value": {"oneOf": [{"type": "number"}, {"type": "null"}, {"enum": ["low", "high"]}]},
                "tags": {"type": "array", "uniqueItems": true, "items": {"type": "string", "pattern": "^[a-z]+$"}},
            },
            "unevaluatedProperties": false,
        }});
        let item = r#"{"id":7,"at":"2026-01-01T00:00:00Z","value":1.5,"tags":["a","b"]}"#;
        let text = format!("[{}{item}]", format!("{item},").repeat(1000));
        let (codes, left) = told_of(&schema, &text);
        assert_eq!(codes, Vec::<String>::new());
        let allowed = Allowance::for_document(&text).work;
        assert!(allowed - left.work < allowed / 8, "{} of {allowed}", allowed - left.work);
    }

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
