//! Keys: `unique`, `primaryKey`, `uniqueKeys`, `foreignKeys`, and the memory they may take.

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::report::Code;
use tidegate::validate::table::{DEFAULT_MAX_KEY_BYTES, Fault, TableSchema};

use super::schema;

/// The faults of a table, each with its data row.
fn judge(
    schema: &Arc<TableSchema>,
    labels: &[&str],
    rows: &[&[&str]],
) -> Vec<(u64, Code, Option<&'static str>, Option<usize>)> {
    let mut found = Vec::new();
    let tell = |row: u64, fault: Fault| (fault.row.unwrap_or(row), fault.code, fault.constraint, fault.field);
    let mut columns = schema.columns(labels, DEFAULT_MAX_KEY_BYTES, &mut |fault| found.push(tell(0, fault)));
    for (row, cells) in (1..).zip(rows) {
        columns.row(cells, &mut |fault| found.push(tell(row, fault)));
    }
    columns.finish(&mut |fault| found.push(tell(0, fault)));
    found
}

/// A schema of the fields a and b, both integers, with more properties.
fn integers(more: &Value) -> Value {
    let mut descriptor = json!({ "fields": [{ "name": "a", "type": "integer" }, { "name": "b", "type": "integer" }] });
    descriptor.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    descriptor
}

fn referring(descriptor: &Value, table: &[u8]) -> Result<Arc<TableSchema>, Vec<String>> {
    TableSchema::parse(descriptor, &mut |name| {
        assert_eq!(name, "codes");
        Ok(table.to_vec())
    })
    .map(Arc::new)
}

#[test]
fn a_unique_value_comes_once_however_it_is_written_and_null_as_often_as_it_likes() {
    let field = json!({ "name": "a", "type": "number", "constraints": { "unique": true } });
    let schema = schema(&json!({ "fields": [field] }));
    let rows: [&[&str]; 7] = [&["1"], &["2"], &[""], &[""], &["1.0"], &["x"], &["20E-1"]];
    let found = judge(&schema, &["a"], &rows);
    let twice = |row| (row, Code::UniqueError, Some("unique"), Some(0));
    assert_eq!(found, [twice(5), (6, Code::TypeError, None, Some(0)), twice(7)]);
}

#[test]
fn a_primary_key_is_there_and_comes_once() {
    for key in [json!(["a", "b"]), json!("a")] {
        let composite = key.is_array();
        let schema = schema(&integers(&json!({ "primaryKey": key })));
        let rows: [&[&str]; 6] = [&["1", "1"], &["1", "2"], &["1", "1"], &["", "1"], &["", ""], &["11", ""]];
        let column = if composite { None } else { Some(0) };
        let wrong = if composite { vec![3, 4, 5, 6] } else { vec![2, 3, 4, 5] };
        let wrong: Vec<_> = wrong.into_iter().map(|row| (row, Code::PrimaryKey, Some("primaryKey"), column)).collect();
        assert_eq!(judge(&schema, &["a", "b"], &rows), wrong);
    }
}

#[test]
fn unique_keys_leave_out_rows_with_a_null() {
    let schema = schema(&integers(&json!({ "uniqueKeys": [["a", "b"], ["b"]] })));
    let rows: [&[&str]; 5] = [&["1", "1"], &["1", ""], &["1", ""], &["2", "1"], &["1", "01"]];
    let both = (5, Code::UniqueError, Some("uniqueKeys"), None);
    let one = |row| (row, Code::UniqueError, Some("uniqueKeys"), Some(1));
    assert_eq!(judge(&schema, &["a", "b"], &rows), [one(4), both, one(5)]);
}

#[test]
fn the_cells_of_a_key_do_not_run_into_each_other() {
    let schema = schema(&json!({ "fields": [{ "name": "a" }, { "name": "b" }], "primaryKey": ["a", "b"] }));
    assert_eq!(judge(&schema, &["a", "b"], &[&["ab", "c"], &["a", "bc"]]), []);
}

#[test]
fn a_foreign_key_stands_in_its_table() {
    let key = json!({ "fields": ["a", "b"], "reference": { "resource": "codes", "fields": ["x", "y"] } });
    let descriptor = integers(&json!({ "foreignKeys": [key] }));
    let schema = referring(&descriptor, b"\xEF\xBB\xBFname,x,y\r\n\"a, \"\"b\"\"\r\n\",1,2\r\nc,3,04\r\nd,,5\r\n").unwrap();
    let rows: [&[&str]; 6] = [&["1", "2"], &["+3", "4"], &["2", "1"], &["", "9"], &["", ""], &["1", "4"]];
    let nowhere = |row| (row, Code::ForeignKey, Some("foreignKeys"), None);
    assert_eq!(judge(&schema, &["a", "b"], &rows), [nowhere(3), nowhere(6)]);
    assert!(!schema.remembers(), "a table that is known beforehand asks for no memory of rows");
}

#[test]
fn a_reference_table_that_is_no_good_is_refused_with_the_schema() {
    let key = json!({ "fields": "a", "reference": { "resource": "codes", "fields": "x" } });
    let descriptor = integers(&json!({ "foreignKeys": [key] }));
    let bad: [(&[u8], &str); 8] = [
        (b"", "is empty"),
        (b"y\n1\n", "no column \"x\""),
        (b"x\none\n", "row 1"),
        (b"x,y\n1\n", "record 2"),
        (b"x\n\"1\n", "never closed"),
        (b"x\n1\"\n", "stray quote"),
        (b"x\n\"1\"2\n", "closing quote"),
        (b"x\n\xFF\n", "UTF-8 at byte 2"),
    ];
    for (table, reason) in bad {
        let problems = referring(&descriptor, table).unwrap_err();
        assert!(problems.len() == 1 && problems[0].starts_with("/foreignKeys/0/reference:"), "{problems:?}");
        assert!(problems[0].contains(reason), "{problems:?} lacks {reason:?}");
    }
}

#[test]
fn a_key_that_refers_to_its_own_table_is_decided_at_the_end() {
    for reference in [json!({ "fields": ["a"] }), json!({ "resource": "", "fields": "a" })] {
        let schema = schema(&integers(&json!({ "foreignKeys": [{ "fields": "b", "reference": reference }] })));
        let rows: [&[&str]; 5] = [&["1", "3"], &["2", "9"], &["3", "1"], &["4", ""], &["5", "5"]];
        assert_eq!(judge(&schema, &["a", "b"], &rows), [(2, Code::ForeignKey, Some("foreignKeys"), Some(1))]);
        assert!(schema.remembers());
    }
}

#[test]
fn sets_beyond_their_memory_fail_once_and_loudly() {
    let more = json!({ "primaryKey": "a", "foreignKeys": [{ "fields": "b", "reference": { "fields": "a" } }] });
    let schema = schema(&integers(&more));
    let mut faults = Vec::new();
    let mut columns = schema.columns(&["a", "b"], 64 << 10, &mut |fault| faults.push(fault));
    for row in 0..10_000_u32 {
        columns.row(&[row.to_string(), (row / 2).to_string()], &mut |fault| faults.push(fault));
    }
    columns.finish(&mut |fault| faults.push(fault));
    let codes: Vec<_> = faults.iter().map(|fault| fault.code).collect();
    assert_eq!(codes, [Code::KeyMemory]);
    assert!(faults[0].message.contains("65536"), "{faults:?}");
}

#[test]
fn as_many_keys_fit_as_the_cap_has_room_for() {
    let schema = schema(&integers(&json!({ "primaryKey": "a" })));
    // 2^17 slots of 16 bytes hold 98,304 keys, and half as many more bytes are wanted while they grow.
    let mut columns = schema.columns(&["a", "b"], 3 << 20, &mut |fault| panic!("{fault:?}"));
    for row in 0..98_000_u32 {
        columns.row(&[row.to_string(), String::new()], &mut |fault| panic!("{fault:?}"));
    }
    let mut faults = Vec::new();
    columns.row(&["97999".to_owned(), String::new()], &mut |fault| faults.push(fault.code));
    assert_eq!(faults, [Code::PrimaryKey]);
}

#[test]
fn the_fingerprint_follows_the_descriptor_and_the_reference_tables() {
    let key = json!({ "fields": "a", "reference": { "resource": "codes", "fields": "x" } });
    let descriptor = integers(&json!({ "foreignKeys": [key] }));
    let print = |descriptor: &Value, table: &[u8]| referring(descriptor, table).unwrap().fingerprint();
    let mut other = descriptor.clone();
    other["fields"][0]["constraints"] = json!({ "required": true });
    assert_eq!(print(&descriptor, b"x\n1\n"), print(&descriptor, b"x\n1\n"));
    assert_ne!(print(&descriptor, b"x\n1\n"), print(&descriptor, b"x\n2\n"));
    assert_ne!(print(&descriptor, b"x\n1\n"), print(&other, b"x\n1\n"));
}
