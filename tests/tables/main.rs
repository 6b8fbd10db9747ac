//! Table Schema through its public API: tables of cells, headers, keys, refused schemas, and simple models.

#![allow(clippy::unwrap_used, reason = "what fails in a test's helper fails the test")]

mod cells;
mod headers;
mod keys;
mod models;
mod refused;

use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::validate::table::{Columns, DEFAULT_MAX_KEY_BYTES, Fault, TableSchema};

/// A schema that refers to no tables.
fn schema(descriptor: &Value) -> Arc<TableSchema> {
    let schema = TableSchema::parse(descriptor, &mut |name| Err(format!("no test has the table {name}")));
    Arc::new(schema.unwrap_or_else(|problems| panic!("{descriptor}: {problems:?}")))
}

/// The schema of one field, which needs no name.
fn column(field: &Value) -> (Arc<TableSchema>, Columns) {
    let mut field = field.clone();
    field["name"] = json!("cell");
    let schema = schema(&json!({ "fields": [field] }));
    let columns = schema.columns(&["cell"], DEFAULT_MAX_KEY_BYTES, &mut |fault| panic!("{fault:?}"));
    (schema, columns)
}

/// What is wrong with a row.
fn faults(columns: &mut Columns, cells: &[&str]) -> Vec<Fault> {
    let mut faults = Vec::new();
    columns.row(cells, &mut |fault| faults.push(fault));
    faults
}

#[test]
fn checks_may_move_to_another_thread_and_a_schema_is_shared() {
    fn moves<T: Send>() {}
    fn is_shared<T: Send + Sync>() {}
    moves::<Columns>();
    is_shared::<TableSchema>();
}
