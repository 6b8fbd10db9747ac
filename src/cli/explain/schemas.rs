//! What a schema can refuse.

use super::Example::{Under, Words};
use super::{Lesson, Pair};
use crate::report::Format::{Csv, Ndjson};

const FIELDS: &str = r#"schema: {"fields": [{"name": "id"}, {"name": "price"}]}"#;

pub(super) const MISSING_LABEL: Lesson = Lesson {
    title: "the header lacks a column of the schema",
    meaning: "\
The schema names a column that the file does not have. Perhaps it is called something else, or the
delimiter is not the one that is expected, so that the whole header is one name.",
    example: Under { rule: FIELDS, files: Pair { format: Csv, broken: b"id\n1\n", repaired: b"id,price\n1,9.50\n" } },
    standard: "Table Schema 2.0, fieldsMatch: \"MUST have exactly the same fields\" unless it says else",
    setting: Some("the schema's \"fieldsMatch\": \"superset\" or \"partial\" let columns be missing"),
};

pub(super) const EXTRA_LABEL: Lesson = Lesson {
    title: "the header has a column that the schema does not know",
    meaning: "\
Either the column is new, and the schema should say what it holds, or it was not meant to be
sent. Capitals and spaces in the name count.",
    example: Under {
        rule: FIELDS,
        files: Pair { format: Csv, broken: b"id,price,debug\n1,9.50,x\n", repaired: b"id,price\n1,9.50\n" },
    },
    standard: "Table Schema 2.0, fieldsMatch: \"MUST have exactly the same fields\" unless it says else",
    setting: Some("the schema's \"fieldsMatch\": \"subset\" or \"partial\" let columns be added"),
};

pub(super) const INCORRECT_LABEL: Lesson = Lesson {
    title: "the header has another name where the schema expects one",
    meaning: "\
Columns are held against the schema in their order. Either they stand in another order, or one of them
is called something else: capitals and spaces count.",
    example: Under {
        rule: FIELDS,
        files: Pair { format: Csv, broken: b"price,id\n9.50,1\n", repaired: b"id,price\n1,9.50\n" },
    },
    standard: "Table Schema 2.0, fieldsMatch, exact: \"Fields MUST be mapped by their order.\"",
    setting: Some("the schema's \"fieldsMatch\": \"equal\" takes them in any order"),
};

pub(super) const SCHEMA_ERROR: Lesson = Lesson {
    title: "a value that the JSON Schema refuses",
    meaning: "\
The message names the rule, \"at\" tells where the value stands in the document, and \"by the schema's\"
where the rule stands in the schema, both as JSON Pointers: /items/0/price is the price in the first
of the items.",
    example: Under {
        rule: r#"schema: {"properties": {"price": {"type": "number"}}}"#,
        files: Pair { format: Ndjson, broken: b"{\"price\": \"9.50\"}\n", repaired: b"{\"price\": 9.50}\n" },
    },
    standard: "JSON Schema, draft 2020-12 or the one that the schema's $schema names",
    setting: Some("the schema"),
};

pub(super) const SCHEMA_TOO_EXPENSIVE: Lesson = Lesson {
    title: "a document that the JSON Schema has to look at too often",
    meaning: "\
Alternatives (oneOf, anyOf, allOf, not, contains) that refer to themselves may read a small document
thousands of times, each level of it once for every alternative. Beyond 10,000 looks, and 32 more for
each byte of the document, it is refused, so that it holds up no other file.",
    example: Words(r#"alternatives that a value near their top tells apart: {"kind": {"const": "sum"}}"#),
    standard: "JSON Schema, draft 2020-12 or the one that the schema's $schema names",
    setting: Some("the schema"),
};

pub(super) const TYPE_ERROR: Lesson = Lesson {
    title: "a cell is not of its column's type",
    meaning: "\
The schema says what a column holds and how that is written, and this cell can't be read so. Look for
decimal commas, units, dates in another order, blanks around the value, and words such as n/a, which
the schema can list as missing values.",
    example: Under {
        rule: r#"schema: {"fields": [{"name": "day", "type": "date"}, {"name": "temp", "type": "number"}]}"#,
        files: Pair { format: Csv, broken: b"day,temp\n05.01.2026,\"20,1\"\n", repaired: b"day,temp\n2026-01-05,20.1\n" },
    },
    standard: "Table Schema 2.0, Field Types: the lexical form of each type",
    setting: Some("the field's \"type\", \"format\", \"decimalChar\", \"missingValues\" …"),
};

pub(super) const CONSTRAINT_ERROR: Lesson = Lesson {
    title: "a cell that its column's constraints refuse",
    meaning: "\
The value is of the right type, but not one that the schema allows: too small, too large, too long,
not in the list, of another pattern, or not there at all. The report names the constraint.",
    example: Under {
        rule: r#"schema: {"fields": [{"name": "hour", "type": "integer", "constraints": {"maximum": 23}}]}"#,
        files: Pair { format: Csv, broken: b"hour\n24\n", repaired: b"hour\n0\n" },
    },
    standard: "Table Schema 2.0, Field Constraints",
    setting: Some("the field's \"constraints\", and \"categories\""),
};

pub(super) const UNIQUE_ERROR: Lesson = Lesson {
    title: "a value stands in its column twice, where it may do so once",
    meaning: "\
The schema says that no two rows have the same value here. Mostly rows were exported twice, or two
devices have the same number. The place is that of the second one.",
    example: Under {
        rule: r#"schema: {"fields": [{"name": "id", "constraints": {"unique": true}}]}"#,
        files: Pair { format: Csv, broken: b"id\n7\n8\n7\n", repaired: b"id\n7\n8\n9\n" },
    },
    standard: "Table Schema 2.0, unique: \"all values for that field MUST be unique\"",
    setting: Some("the field's \"unique\", the schema's \"uniqueKeys\""),
};

pub(super) const PRIMARY_KEY: Lesson = Lesson {
    title: "a primary key is empty, or stands in the table twice",
    meaning: "\
The fields of the primary key name a row: together they differ from row to row, and none of them is
empty. The place is that of the second row of two.",
    example: Under {
        rule: r#"schema: {"fields": [{"name": "day"}, {"name": "hour"}], "primaryKey": ["day", "hour"]}"#,
        files: Pair {
            format: Csv,
            broken: b"day,hour\n2026-01-05,1\n2026-01-05,1\n",
            repaired: b"day,hour\n2026-01-05,1\n2026-01-05,2\n",
        },
    },
    standard: "Table Schema 2.0, primaryKey: it \"uniquely identifies each row\", and \"cannot be null\"",
    setting: Some("the schema's \"primaryKey\""),
};

pub(super) const FOREIGN_KEY: Lesson = Lesson {
    title: "a key is not in the table that it refers to",
    meaning: "\
The schema says that this value stands in a column of another table, which lies beside the schema at
whoever validates. Either the value is mistyped, or that table has to be brought up to date.",
    example: Under {
        rule: r#"schema: {"fields": [{"name": "plant"}], "foreignKeys": [{"fields": "plant", …}]}"#,
        files: Pair { format: Csv, broken: b"plant\nUlm-9\n", repaired: b"plant\nUlm-1\n" },
    },
    standard: "Table Schema 2.0, foreignKeys: values \"connect to values\" of the other table",
    setting: Some("the schema's \"foreignKeys\", and the table that they name"),
};
