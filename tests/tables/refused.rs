//! Schemas that are refused, each with the place and the reason.

use serde_json::{Value, json};
use tidegate::validate::table::TableSchema;

fn problems(descriptor: &Value) -> Vec<String> {
    TableSchema::parse(descriptor, &mut |_| Err("no such table".to_owned())).err().unwrap_or_default()
}

#[test]
fn a_field_that_is_wrong_is_refused_with_its_place() {
    let cases = [
        (json!({ "type": "integr" }), "/fields/0/type: unknown type \"integr\""),
        (json!({ "type": "date", "format": "%Q" }), "/fields/0/format: the directive %Q is not supported"),
        (json!({ "type": "date", "format": "%G-%V" }), "/fields/0/format: the directive %G"),
        (json!({ "type": "date", "format": "%d%d" }), "/fields/0/format: a directive stands in the pattern twice"),
        (json!({ "type": "date", "format": "%Y%" }), "/fields/0/format: a % at the end"),
        (json!({ "type": "date", "format": "yyyy" }), "/fields/0/format: \"yyyy\" is no pattern"),
        (json!({ "type": "string", "format": "wkt" }), "/fields/0/format: the type string has no format \"wkt\""),
        (json!({ "type": "integer", "format": "hex" }), "/fields/0/format: the type integer has no format"),
        (
            json!({ "type": "date", "groupChar": "," }),
            "/fields/0/groupChar: the type date has no such property, only number",
        ),
        (
            json!({ "type": "number", "decimalchar": "," }),
            "/fields/0/decimalchar: unknown property, perhaps \"decimalChar\"",
        ),
        (json!({ "unit": "m" }), "/fields/0/unit: unknown property"),
        (
            json!({ "type": "number", "decimalChar": "," , "groupChar": "," }),
            "/fields/0/groupChar: must not be the decimalChar",
        ),
        (json!({ "type": "number", "groupChar": "0" }), "/fields/0/groupChar: must have no digit"),
        (json!({ "type": "number", "decimalChar": "" }), "/fields/0/decimalChar: must not be empty"),
        (json!({ "type": "number", "bareNumber": "no" }), "/fields/0/bareNumber: must be true or false"),
        (json!({ "type": "boolean", "trueValues": ["0"] }), "/fields/0: \"0\" stands for true and for false"),
        (json!({ "type": "boolean", "trueValues": [] }), "/fields/0/trueValues: must not be empty"),
        (json!({ "type": "list", "itemType": "object" }), "/fields/0/itemType: a list holds no items"),
        (json!({ "type": "list", "delimiter": "" }), "/fields/0/delimiter: must not be empty"),
        (json!({ "missingValues": ["", ""] }), "/fields/0/missingValues/1: the same value"),
        (json!({ "missingValues": [1] }), "/fields/0/missingValues/0: must be a string"),
        (json!({ "missingValues": "NA" }), "/fields/0/missingValues: must be an array"),
        (json!({ "missingValues": [{ "label": "x" }] }), "/fields/0/missingValues/0: value is missing"),
        (json!({ "type": "number", "categories": [1] }), "/fields/0/categories: unknown property"),
        (json!({ "type": "string", "categories": [] }), "/fields/0/categories: must not be empty"),
        (json!({ "type": "string", "categories": ["a", "a"] }), "/fields/0/categories/1: the same value"),
        (json!({ "type": "string", "categoriesOrdered": true }), "/fields/0/categoriesOrdered: says the order"),
    ];
    for (mut field, expected) in cases {
        field["name"] = json!("a");
        let found = problems(&json!({ "fields": [field] }));
        let expected = expected.replace("categories: unknown property", "categories: the type number has no such property");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{field}: {found:?}, not {expected:?}");
    }
}

#[test]
fn a_constraint_that_is_wrong_is_refused_with_its_place() {
    let cases = [
        (json!({ "type": "integer" }), json!({ "minimun": 1 }), "minimun: unknown constraint"),
        (json!({ "type": "string" }), json!({ "minimum": "1" }), "minimum: the type string has no such constraint"),
        (json!({ "type": "integer" }), json!({ "pattern": "1" }), "pattern: the type integer has no such constraint"),
        (json!({ "type": "string" }), json!({ "jsonSchema": {} }), "jsonSchema: the type string has no such"),
        (json!({ "type": "boolean" }), json!({ "maxLength": 1 }), "maxLength: the type boolean has no such"),
        (json!({ "type": "integer" }), json!({ "minimum": "x" }), "minimum: must be a whole number"),
        (json!({ "type": "integer" }), json!({ "minimum": 1.5 }), "minimum: must be a whole number"),
        (json!({ "type": "integer" }), json!({ "minimum": 1e30 }), "minimum: this number may have lost digits"),
        (json!({ "type": "date" }), json!({ "maximum": "2024-02-30" }), "maximum: must be a date"),
        (json!({ "type": "date" }), json!({ "maximum": 2024 }), "maximum: must be a string"),
        (json!({ "type": "string" }), json!({ "minLength": -1 }), "minLength: must be a whole number"),
        (json!({ "type": "string" }), json!({ "pattern": "(" }), "pattern: is no regular expression"),
        (json!({ "type": "string" }), json!({ "pattern": "(?=a)" }), "pattern: is no regular expression"),
        (
            json!({ "type": "string" }),
            json!({ "pattern": "\\i\\c*" }),
            "pattern: is no regular expression that is supported: \\i",
        ),
        (
            json!({ "type": "string" }),
            json!({ "pattern": "[a&&b]" }),
            "pattern: is no regular expression that is supported: &&",
        ),
        (
            json!({ "type": "string" }),
            json!({ "pattern": "[a[b]]" }),
            "pattern: is no regular expression that is supported: a [",
        ),
        (json!({ "type": "string" }), json!({ "enum": [] }), "enum: must not be empty"),
        (json!({ "type": "string" }), json!({ "enum": [1] }), "enum/0: must be a string"),
        (json!({ "type": "integer" }), json!({ "enum": ["1", "x"] }), "enum/1: must be a whole number"),
        (json!({ "type": "number" }), json!({ "enum": ["1", "1.0"] }), "enum/1: the same value"),
        (json!({ "type": "string" }), json!({ "required": "yes" }), "required: must be true or false"),
        (json!({ "type": "object" }), json!({ "jsonSchema": { "type": "objekt" } }), "jsonSchema: is no JSON Schema"),
        (json!({ "type": "object" }), json!({ "jsonSchema": { "$ref": "http://example.org/x" } }), "jsonSchema: is no JSON"),
    ];
    for (mut field, constraints, expected) in cases {
        field["name"] = json!("a");
        field["constraints"] = constraints;
        let found = problems(&json!({ "fields": [field] }));
        let expected = format!("/fields/0/constraints/{expected}");
        assert!(found.len() == 1 && found[0].starts_with(&expected), "{field}: {found:?}, not {expected:?}");
    }
}

#[test]
fn a_schema_that_is_wrong_is_refused_with_its_place() {
    let fields = json!([{ "name": "a", "type": "integer" }, { "name": "b", "type": "string" }]);
    let own = |reference: Value| json!([{ "fields": "a", "reference": reference }]);
    let cases = [
        ("fieldsMatch", json!("loose"), "/fieldsMatch: must be exact"),
        ("primaryKey", json!(["c"]), "/primaryKey: there is no field \"c\""),
        ("primaryKey", json!(["a", "a"]), "/primaryKey: \"a\" stands there twice"),
        ("uniqueKeys", json!([]), "/uniqueKeys: must not be empty"),
        ("uniqueKeys", json!([["a", 1]]), "/uniqueKeys/0/1: must be a string"),
        ("foreignKeys", json!([{}]), "/foreignKeys/0: must be an object that has fields and reference"),
        ("foreignKeys", own(json!({ "fields": ["a", "b"] })), "/foreignKeys/0/reference/fields: must name as many"),
        (
            "foreignKeys",
            own(json!({ "fields": "b" })),
            "/foreignKeys/0/reference/fields: the field \"b\" is of another type",
        ),
        (
            "foreignKeys",
            own(json!({ "resource": "x", "fields": "b" })),
            "/foreignKeys/0/reference: the table \"x\" can't be read",
        ),
        ("primarykey", json!("a"), "/primarykey: unknown property, perhaps \"primaryKey\""),
    ];
    for (name, value, expected) in cases {
        let found = problems(&json!({ "fields": fields, name: value }));
        assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}, not {expected:?}");
    }
    for (descriptor, expected) in [
        (json!({}), "the schema: fields is missing"),
        (json!([]), "the schema: fields is missing"),
        (json!({ "fields": [] }), "/fields: must not be empty"),
        (json!({ "fields": [{}] }), "/fields/0: name is missing"),
        (json!({ "fields": ["a"] }), "/fields/0: must be an object"),
    ] {
        assert_eq!(problems(&descriptor), [expected]);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let fields = json!([{ "name": "a", "type": "x" }, { "name": "b", "colour": 1 }, { "type": "any" }]);
    assert_eq!(problems(&json!({ "fields": fields, "fieldsMatch": 1 })).len(), 4);
}

#[test]
fn what_only_describes_is_let_be() {
    let field = json!({
        "name": "a", "title": "A", "description": "…", "example": "x", "rdfType": "http://schema.org/Country", "_note": 1,
    });
    let descriptor = json!({
        "$schema": "https://datapackage.org/profiles/2.0/tableschema.json", "title": "t", "name": "n", "fields": [field],
    });
    assert_eq!(problems(&descriptor), [""; 0]);
}
