//! A glance against the whole check.

use serde_json::{Value, json};

use super::super::field::{Field, Missing};
use super::super::problems::{At, Problems};

const CELLS: [&str; 53] = [
    "0",
    "-0",
    "+7",
    "9",
    "10",
    "007",
    "999",
    "1000",
    "1001",
    "-1000",
    "-1001",
    "--1",
    "000000000000000001",
    "999999999999999999",
    "1234567890123456789",
    "0.5",
    "0.500000000000000001",
    "0.5000000000000000001",
    "60",
    "60.000000000000000001",
    "-50.0",
    ".5",
    "5.",
    ".",
    "1e1",
    "NaN",
    "-INF",
    "2024-02-29",
    "2023-02-29",
    "2024-03-31",
    "2024-04-01",
    "0000-01-01",
    "2024-13-01",
    "08:00:00",
    "07:59:59",
    "24:00:00",
    "23:59:60",
    "2024-02-29T08:00:00Z",
    "2024-02-28T24:00:00Z",
    "2024-02-29T08:00:01Z",
    "2024-02-29T08:00:00",
    "2024-02-29T09:00:00+01:00",
    "2024-02-29T08:00:00.5Z",
    "true",
    "TRUE",
    "ab",
    "abc",
    "\u{e4}\u{f6}\u{fc}",
    "\u{1f600}",
    "north",
    "northwest by north",
    "northwest by south",
    "2024",
];

/// Fields, and cells that have to be proved by a glance, for a field that proves nothing costs time only.
fn fields() -> Vec<(Value, &'static [&'static str])> {
    let field = |kind: &str, constraints: Value| json!({"name": "a", "type": kind, "constraints": constraints});
    vec![
        (field("integer", json!({})), &["0", "-0", "+7", "-1001", "999999999999999999"]),
        (field("integer", json!({"minimum": -1000, "maximum": 1000})), &["-1000", "1000", "007"]),
        (field("integer", json!({"exclusiveMinimum": "+7", "exclusiveMaximum": 1000})), &["9", "999"]),
        (field("integer", json!({"minimum": "1234567890123456789"})), &[]),
        (field("number", json!({})), &["0", "-0", ".5", "5.", "60.000000000000000001"]),
        (field("number", json!({"minimum": -50, "maximum": 60})), &["60", "-50.0", "0.500000000000000001"]),
        (field("number", json!({"exclusiveMinimum": 0.5, "exclusiveMaximum": 60})), &["0.500000000000000001", "5."]),
        (field("number", json!({"maximum": "1e1"})), &[]),
        (field("date", json!({})), &["2024-02-29", "2024-03-31"]),
        (field("date", json!({"exclusiveMinimum": "2024-02-29", "maximum": "2024-03-31"})), &["2024-03-31"]),
        (field("time", json!({})), &["24:00:00"]),
        (field("time", json!({"minimum": "08:00:00"})), &["08:00:00"]),
        (field("datetime", json!({})), &["2024-02-29T08:00:00Z", "2024-02-29T08:00:00.5Z"]),
        (field("datetime", json!({"minimum": "2024-02-29T08:00:00Z"})), &["2024-02-29T08:00:00Z", "2024-02-29T08:00:01Z"]),
        (field("datetime", json!({"exclusiveMaximum": "2024-02-29T08:00:01"})), &["2024-02-29T08:00:00"]),
        (field("boolean", json!({})), &["true", "TRUE", "0"]),
        (field("string", json!({})), &["\u{1f600}"]),
        (field("string", json!({"maxLength": 3})), &["abc", "\u{e4}\u{f6}\u{fc}"]),
        (field("string", json!({"minLength": 3})), &["abc", "\u{e4}\u{f6}\u{fc}"]),
        (
            field("string", json!({"enum": ["north", "northwest by north", "ab", "2024"]})),
            &["north", "northwest by north", "ab"],
        ),
        (
            json!({"name": "a", "type": "string", "categories": ["ab", "north", "x"], "constraints": {"enum": ["ab", "x"]}}),
            &["ab"],
        ),
        (field("string", json!({"pattern": "n.*"})), &[]),
        (field("year", json!({})), &["2024"]),
    ]
}

/// What the whole check says.
fn is_right(field: &Field, cell: &str) -> bool {
    let Some(logical) = field.kind.read(cell) else { return false };
    let mut right = true;
    if let Some(rules) = &field.rules {
        rules.check(&logical, &mut Vec::new(), &mut |_, _| right = false);
    }
    right
}

#[test]
fn what_a_glance_proves_the_whole_check_finds_right() {
    let mut chance = 1_u64;
    let mut below = |count: usize| {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (chance >> 33) as usize % count
    };
    for (descriptor, proved) in fields() {
        let mut problems = Problems::default();
        let field = Field::load(&At::root(&descriptor), &Missing::Empty, &mut problems);
        let field =
            field.filter(|_| problems.list.is_empty()).unwrap_or_else(|| panic!("{descriptor}: {:?}", problems.list));
        for cell in proved {
            assert!(field.glance.proves(cell, &field.kind), "{descriptor} on {cell:?}");
        }
        for cell in CELLS {
            for changes in 0..200 {
                let mut cell: Vec<char> = cell.chars().collect();
                for _ in 0..changes.min(3) {
                    let char = b"0123456789+-.:TZen /;\x7f"[below(22)].into();
                    match (below(3), below(cell.len() + 1)) {
                        (0, at) => cell.insert(at, char),
                        (1, at) if at < cell.len() => cell[at] = char,
                        (_, at) => cell.truncate(at.max(1)),
                    }
                }
                let cell: String = cell.into_iter().collect();
                if field.glance.proves(&cell, &field.kind) {
                    assert!(is_right(&field, &cell), "{descriptor} on {cell:?}");
                }
            }
        }
    }
}
