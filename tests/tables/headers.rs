//! `fieldsMatch`: which headers a schema takes, and what it tells of the others.

use serde_json::json;
use tidegate::report::Code;
use tidegate::validate::table::DEFAULT_MAX_KEY_BYTES;

use super::schema;

/// A way to match, a header, and the faults with their columns.
type Case = (&'static str, &'static [&'static str], &'static [(Code, Option<usize>)]);

const MISSING: (Code, Option<usize>) = (Code::MissingLabel, None);

const CASES: [Case; 24] = [
    ("exact", &["a", "b"], &[]),
    ("exact", &["b", "a"], &[(Code::IncorrectLabel, Some(0)), (Code::IncorrectLabel, Some(1))]),
    ("exact", &["a", "x"], &[(Code::IncorrectLabel, Some(1))]),
    ("exact", &["a", "B"], &[(Code::IncorrectLabel, Some(1))]),
    ("exact", &["a"], &[MISSING]),
    ("exact", &[], &[MISSING, MISSING]),
    ("exact", &["a", "b", "c"], &[(Code::ExtraLabel, Some(2))]),
    ("equal", &["a", "b"], &[]),
    ("equal", &["b", "a"], &[]),
    ("equal", &["b"], &[MISSING]),
    ("equal", &["b", "c", "a"], &[(Code::ExtraLabel, Some(1))]),
    ("equal", &["b", "b"], &[(Code::ExtraLabel, Some(1)), MISSING]),
    ("subset", &["b", "a"], &[]),
    ("subset", &["x", "b", "y", "a"], &[]),
    ("subset", &["x", "b"], &[MISSING]),
    ("superset", &["a", "b"], &[]),
    ("superset", &["b"], &[]),
    ("superset", &[], &[]),
    ("superset", &["b", "x"], &[(Code::ExtraLabel, Some(1))]),
    ("partial", &["a"], &[]),
    ("partial", &["x", "b", "y"], &[]),
    ("partial", &["x"], &[MISSING]),
    ("partial", &[], &[MISSING]),
    ("partial", &["A"], &[MISSING]),
];

#[test]
fn every_way_to_match_takes_and_refuses_the_listed_headers() {
    for (fields_match, labels, expected) in CASES {
        let fields = json!([{ "name": "a", "type": "integer" }, { "name": "b", "type": "boolean" }]);
        let schema = schema(&json!({ "fields": fields, "fieldsMatch": fields_match }));
        let mut found = Vec::new();
        schema.columns(labels, DEFAULT_MAX_KEY_BYTES, &mut |fault| found.push((fault.code, fault.field)));
        assert_eq!(found, expected, "{fields_match} {labels:?}");
    }
}

#[test]
fn cells_are_checked_as_the_field_that_their_label_names() {
    let fields = json!([{ "name": "a", "type": "integer" }, { "name": "b", "type": "boolean" }]);
    let schema = schema(&json!({ "fields": fields, "fieldsMatch": ["partial"] }));
    let mut columns = schema.columns(&["b", "x", "a"], DEFAULT_MAX_KEY_BYTES, &mut |fault| panic!("{fault:?}"));
    let mut found = Vec::new();
    columns.row(&["7", "anything", "true"], &mut |fault| found.push(fault.field));
    columns.row(&["true", "anything", "7", "one too many"], &mut |fault| panic!("{fault:?}"));
    assert_eq!(found, [Some(0), Some(2)]);
}

#[test]
fn a_column_may_not_be_absent_where_its_values_may_not() {
    let required = json!({ "name": "b", "constraints": { "required": true } });
    let descriptors = [
        json!({ "fields": [{ "name": "a" }, required], "fieldsMatch": "superset" }),
        json!({ "fields": [{ "name": "a" }, { "name": "b" }], "primaryKey": ["a", "b"], "fieldsMatch": "partial" }),
    ];
    for descriptor in descriptors {
        let mut found = Vec::new();
        schema(&descriptor).columns(&["a"], DEFAULT_MAX_KEY_BYTES, &mut |fault| found.push((fault.code, fault.field)));
        assert_eq!(found, [MISSING], "{descriptor}");
    }
}

#[test]
fn fields_of_one_name_are_laid_out_in_their_order() {
    let fields = json!([{ "name": "a", "type": "integer" }, { "name": "a", "type": "boolean" }]);
    for fields_match in ["exact", "equal"] {
        let schema = schema(&json!({ "fields": fields, "fieldsMatch": fields_match }));
        let mut columns = schema.columns(&["a", "a"], DEFAULT_MAX_KEY_BYTES, &mut |fault| panic!("{fault:?}"));
        columns.row(&["7", "true"], &mut |fault| panic!("{fault:?}"));
    }
}
