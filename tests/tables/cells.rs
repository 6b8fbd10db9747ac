//! `cells.json`: for every type, format and constraint the cells that are taken and those that are refused.
//!
//! `tests/tables/second_opinion.py` holds frictionless-py against the same file. In it `breaks` names the constraint that
//! refuses the bad cells (else it is their type), `differs` the cells of which frictionless-py thinks otherwise, and `why` the
//! paragraph of docs/table-schema.md that explains it.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::{Value, json};
use tidegate::report::Code;

use super::{column, faults};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    field: Value,
    good: Vec<String>,
    bad: Vec<String>,
    breaks: Option<String>,
    #[serde(default)]
    differs: Vec<String>,
    why: Option<String>,
}

#[test]
fn every_type_format_and_constraint_takes_and_refuses_the_listed_cells() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (_, mut columns) = column(&case.field);
        for cell in &case.good {
            let faults = faults(&mut columns, &[cell]);
            if !faults.is_empty() {
                wrong.push(format!("{} refuses {cell:?}: {faults:?}", case.field));
            }
        }
        for cell in &case.bad {
            let faults = faults(&mut columns, &[cell]);
            let found: Vec<_> = faults.iter().map(|fault| (fault.code, fault.constraint, fault.field)).collect();
            let expected = match &case.breaks {
                Some(constraint) => (Code::ConstraintError, Some(constraint.as_str()), Some(0)),
                None => (Code::TypeError, None, Some(0)),
            };
            if found != [expected] {
                wrong.push(format!("{} on {cell:?}: {faults:?}, not {expected:?}", case.field));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_message_shows_a_cell() {
    let rules = [
        json!({ "type": "string", "constraints": { "enum": ["a"], "pattern": "b", "maxLength": 1 } }),
        json!({ "type": "object", "constraints": { "jsonSchema": { "additionalProperties": false } } }),
        json!({ "type": "array", "constraints": { "jsonSchema": { "items": { "type": "integer" } } } }),
    ];
    let mut told = 0;
    for field in cases().into_iter().map(|case| case.field).chain(rules) {
        let (_, mut columns) = column(&field);
        for cell in ["zebra", "{\"zebra\":\"zebra\"}", "[\"zebra\"]"] {
            for fault in faults(&mut columns, &[cell]) {
                told += 1;
                assert!(!fault.message.contains("zebra"), "{field}: {fault:?}");
            }
        }
    }
    assert!(told > 300, "only {told} faults");
}

#[test]
fn the_list_of_cells_covers_every_type_and_constraint_and_explains_its_differences() {
    let manual = include_str!("../../docs/table-schema.md");
    let mut types = BTreeSet::new();
    let mut constraints = BTreeSet::new();
    for case in cases() {
        types.insert(case.field["type"].as_str().unwrap_or("any").to_owned());
        constraints.extend(case.field["constraints"].as_object().into_iter().flat_map(|all| all.keys().cloned()));
        assert_eq!(case.differs.is_empty(), case.why.is_none(), "{:?}", case.field);
        for cell in &case.differs {
            assert!(case.good.contains(cell) || case.bad.contains(cell), "{cell:?} of {}", case.field);
        }
        for why in case.why.iter().flat_map(|why| why.split(' ')) {
            assert!(manual.contains(&format!("**{why}.**")), "docs/table-schema.md does not explain {why:?}");
        }
    }
    assert_eq!(types.len(), 16, "{types:?}");
    // `unique` is about more than one cell: see keys.rs.
    assert_eq!(constraints.len(), 10, "{constraints:?}");
}

/// One of the fields.
pub(super) fn field(at: usize) -> Value {
    let mut cases = cases();
    cases.swap_remove(at % cases.len()).field
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("cells.json")).unwrap()
}
