//! Cells that hold JSON: whether they do, and how two of them compare.

use serde::de::IgnoredAny;
use serde_json::Value;

use super::number::{Lexical, Number};

/// Whether this is a JSON text that begins with `first`, an opening brace or bracket.
pub(super) fn is_json(text: &str, first: u8) -> bool {
    starts_with(text, first) && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// The largest cell that is read as JSON, in bytes: in memory it takes up to a hundred times as much.
const MAX_JSON_BYTES: usize = 1 << 20;

/// The value of a JSON text that begins with `first`; `None` too where a number is beyond binary64, or it nests deeper than 128.
pub(super) fn value(text: &str, first: u8) -> Option<Value> {
    if text.len() <= MAX_JSON_BYTES && starts_with(text, first) { serde_json::from_str(text).ok() } else { None }
}

/// How many items or members an array or an object has.
pub(super) fn length(value: &Value) -> u64 {
    match value {
        Value::Array(items) => items.len() as u64,
        Value::Object(members) => members.len() as u64,
        _ => 0,
    }
}

/// Writes bytes that are the same for equal values, whatever the order of their members and the form of their numbers.
pub(super) fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.push(b'n'),
        Value::Bool(true) => out.push(b't'),
        Value::Bool(false) => out.push(b'f'),
        Value::Number(number) => {
            out.push(b'#');
            sized(out, |out| write_number(&number.to_string(), out));
        }
        Value::String(text) => {
            out.push(b'"');
            sized(out, |out| out.extend_from_slice(text.as_bytes()));
        }
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in members {
                sized(out, |out| out.extend_from_slice(name.as_bytes()));
                canonical(value, out);
            }
            out.push(b'}');
        }
    }
}

/// Writes a part with its length in front, so that no two parts run into each other.
pub(super) fn sized(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 8]);
    write(out);
    let length = (out.len() - at - 8) as u64;
    out[at..at + 8].copy_from_slice(&length.to_be_bytes());
}

/// A number of JSON, as one that is written in a cell.
fn write_number(text: &str, out: &mut Vec<u8>) {
    match Number::read(text.as_bytes(), &Lexical::NUMBER) {
        Some(number) => number.canonical(out),
        None => out.extend_from_slice(text.as_bytes()),
    }
}

fn starts_with(text: &str, first: u8) -> bool {
    text.trim_start_matches([' ', '\t', '\n', '\r']).as_bytes().first() == Some(&first)
}
