//! Random JSON Schemas that refer to themselves, and documents that look like what they ask for.

use serde_json::{Value, json};

use crate::common::chance::Chance;

/// Definitions of one schema, which all may refer to each other.
const DEFINITIONS: usize = 3;
/// Few, so that documents and schemas meet.
const NAMES: [&str; 4] = ["op", "left", "right", "ab"];

/// A schema whose references all resolve, and lead inside the document at some point: a reference
/// to itself at the same place would never end.
pub(super) fn schema(chance: &mut Chance) -> Value {
    let definitions: serde_json::Map<_, _> =
        (0..DEFINITIONS).map(|number| (format!("d{number}"), definition(chance))).collect();
    json!({ "$ref": "#/$defs/d0", "$defs": definitions })
}

/// A combinator over objects and arrays that refer to the definitions again.
fn definition(chance: &mut Chance) -> Value {
    let branches: Vec<_> = (0..chance.within(1..5)).map(|_| branch(chance)).collect();
    let mut schema = match chance.below(6) {
        0 | 1 => json!({ "oneOf": branches }),
        2 => json!({ "anyOf": branches }),
        3 => json!({ "allOf": branches }),
        4 => json!({ "if": branch(chance), "then": { "anyOf": branches }, "else": branch(chance) }),
        _ => json!({ "not": { "allOf": branches } }),
    };
    if chance.one_in(4) {
        schema[*chance.pick(&["unevaluatedProperties", "unevaluatedItems"])] = json!(false);
    }
    schema
}

fn branch(chance: &mut Chance) -> Value {
    match chance.below(9) {
        0 => json!({ "type": "number", "multipleOf": *chance.pick(&[1.0, 0.1, 1e-5]) }),
        1 => {
            json!({ "type": "string", "pattern": *chance.pick(&["^(a+)+$", "^(a|aa)*b$", "[a-z]{1,300}", "^\\w{0,200}$"]) })
        }
        2 => json!({ "type": "array", "uniqueItems": true, "items": refer(chance) }),
        3 => json!({ "type": "array", "contains": refer(chance), "minContains": 2 }),
        4 => json!({ "type": "array", "prefixItems": [refer(chance), refer(chance)], "items": refer(chance) }),
        5 => json!({ "type": "object", "patternProperties": { "^[a-z]+$": refer(chance), "t$": refer(chance) } }),
        6 => json!({ "type": "object", "additionalProperties": refer(chance), "propertyNames": { "maxLength": 5 } }),
        7 => json!({ "enum": [null, "a", 1, [], {}] }),
        _ => {
            let (first, second) = (*chance.pick(&NAMES), *chance.pick(&NAMES));
            json!({ "type": "object", "required": ["op"],
                "properties": { "op": { "enum": ["add", "sub"] }, first: refer(chance), second: refer(chance) } })
        }
    }
}

fn refer(chance: &mut Chance) -> Value {
    json!({ "$ref": format!("#/$defs/d{}", chance.below(DEFINITIONS)) })
}

/// A document of some levels.
pub(super) fn document(chance: &mut Chance, level: usize) -> Value {
    match chance.below(if level < 5 { 9 } else { 5 }) {
        0 => Value::Null,
        1 => json!(chance.within(0..10)),
        2 => json!("a".repeat(chance.below(200))),
        3 => json!(*chance.pick(&["add", "b", "", "é"])),
        4 => json!(0.1),
        5 | 6 => {
            let more = if level < 3 && chance.one_in(50) { 300 } else { 4 };
            (0..chance.below(more)).map(|_| document(chance, level + 1)).collect()
        }
        _ => object(chance, |chance| document(chance, level + 1)),
    }
}

/// A chain of that many levels around one.
pub(super) fn deep_document(chance: &mut Chance, depth: usize) -> Value {
    let shape = chance.below(3);
    let mut value = document(chance, 3);
    for _ in 0..depth {
        value = match shape {
            0 => json!({ "op": "add", "left": value }),
            1 => json!([value]),
            _ => json!({ "op": "sub", "ab": [value], "right": 1 }),
        };
    }
    value
}

fn object(chance: &mut Chance, mut value: impl FnMut(&mut Chance) -> Value) -> Value {
    let mut members = serde_json::Map::new();
    for _ in 0..chance.below(4) {
        members.insert((*chance.pick(&NAMES)).to_owned(), value(chance));
    }
    if chance.one_in(2) {
        members.insert("op".to_owned(), json!("add"));
    }
    Value::Object(members)
}
