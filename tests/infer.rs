//! `tidegate infer` as a user runs it: the schema it prints, which what it was inferred from must keep to.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::report::{Format, SchemaFor};
use tidegate::validate::table::{Fault, TableSchema};
use tidegate::validate::{JsonSchema, Limits, Schema, Standard};

/// The exit code, standard output and standard error of `tidegate infer` in `folder`.
fn infer(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    fs::write(folder.join(".input"), input).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("infer")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::from(fs::File::open(folder.join(".input")).unwrap()))
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

/// The schema of some files.
fn schema(files: &[(&str, &str)], arguments: &[&str]) -> Value {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let names: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let (code, out, err) = infer(folder.path(), &[&names, arguments].concat(), "");
    assert_eq!((code, &*err), (0, ""), "{out}");
    serde_json::from_str(&out).unwrap()
}

/// What a Table Schema finds wrong with a table.
fn wrong(schema: &Value, table: &str) -> Vec<String> {
    let schema = Arc::new(TableSchema::parse(schema, &mut |name| Err(format!("no {name}"))).unwrap());
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let labels: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let mut wrong = Vec::new();
    let mut tell = |fault: Fault| wrong.push(format!("{fault:?}"));
    let mut columns = schema.columns(&labels, 1 << 24, &mut tell);
    for record in reader.records() {
        columns.row(&record.unwrap().iter().collect::<Vec<_>>(), &mut tell);
    }
    columns.finish(&mut tell);
    wrong
}

/// Whether a JSON Schema takes a file.
fn takes(schema: &Value, format: Format, text: &str) -> Result<(), String> {
    let schema = Some(Schema::Json(Arc::new(JsonSchema::parse(schema).unwrap()), SchemaFor::Document));
    let mut validator = Standard { schema, ..Standard::of(format, Limits::default()) }.validator().unwrap();
    validator.feed(text.as_bytes()).map_err(|report| report.to_string())?;
    validator.finish().map(|_verdict| ()).map_err(|report| report.to_string())
}

#[test]
fn a_table_schema_says_what_the_columns_hold() {
    let table = "\
id,zip,when,temp,ok,mail,note,void,big
1,01067,2026-01-05,20.5,true,ann@example.org,NA,,9223372036854775807
2,89073,2026-01-06,NA,false,lee@example.org,\"a, b\",,-5
3,10115,2026-01-07,-3,true,,x,,0
";
    let schema = schema(&[("a.csv", table)], &[]);
    assert_eq!(
        schema,
        json!({
            "$schema": "https://datapackage.org/profiles/2.0/tableschema.json",
            "description": "Inferred by tidegate from 3 rows of a.csv: what held there, for you to say what must hold",
            "fields": [
                {
                    "name": "id", "type": "integer", "description": "3 cells; 1 to 3; all different; for instance 1",
                    "constraints": {"required": true, "unique": true, "minimum": 1, "maximum": 3}
                },
                {
                    "name": "zip", "type": "string",
                    "description": "3 cells; 5 characters; all different; for instance 01067",
                    "constraints": {"required": true, "unique": true}
                },
                {
                    "name": "when", "type": "date",
                    "description": "3 cells; 2026-01-05 to 2026-01-07; all different; for instance 2026-01-05",
                    "constraints": {
                        "required": true, "unique": true, "minimum": "2026-01-05", "maximum": "2026-01-07"
                    }
                },
                {
                    "name": "temp", "type": "number", "description": "3 cells, 1 NA; -3 to 20.5; for instance 20.5",
                    "constraints": {"minimum": -3, "maximum": 20.5}, "missingValues": ["", "NA"]
                },
                {
                    "name": "ok", "type": "boolean", "description": "3 cells; for instance true",
                    "constraints": {"required": true}
                },
                {
                    "name": "mail", "type": "string", "format": "email",
                    "description": "3 cells, 1 empty; all different; for instance ann@example.org",
                    "constraints": {"unique": true}
                },
                {
                    "name": "note", "type": "string",
                    "description": "3 cells; 1 to 4 characters; all different; for instance a, b",
                    "constraints": {"required": true, "unique": true}
                },
                {"name": "void", "type": "any", "description": "3 cells, 3 empty"},
                {
                    "name": "big", "type": "integer",
                    "description": "3 cells; -5 to 9,223,372,036,854,775,807; all different; for instance 9223372036854775807",
                    "constraints": {"required": true, "unique": true, "minimum": -5, "maximum": "9223372036854775807"}
                },
            ],
        })
    );
    assert_eq!(wrong(&schema, table), Vec::<String>::new());
}

#[test]
fn several_files_make_one_schema_and_few_values_a_list() {
    let (one, two) = ("state\n".to_owned() + &"on\n".repeat(9), "state\n".to_owned() + &"off\n".repeat(4) + "on\n");
    let schema = schema(&[("1.csv", &one), ("2.csv", &two)], &[]);
    assert_eq!(
        schema["description"],
        "Inferred by tidegate from 14 rows of 2 files, 1.csv to 2.csv: what held there, for \
        you to say what must hold"
    );
    assert_eq!(
        schema["fields"][0],
        json!({
            "name": "state", "type": "string", "description": "14 cells; 2 to 3 characters; 2 different values",
            "constraints": {"required": true, "enum": ["off", "on"]}
        })
    );
}

#[test]
fn a_blank_line_in_a_table_of_one_column_is_an_empty_cell() {
    let schema = schema(&[("a.csv", "n\n1\n\n1\n")], &[]);
    assert_eq!(schema["fields"][0]["description"], "3 cells, 1 empty; 1 to 1; for instance 1");
    assert_eq!(schema["fields"][0]["constraints"].get("required"), None);
}

#[test]
fn only_so_many_records_are_looked_at_as_asked_for() {
    let schema_of = |files, sample| schema(files, &["--sample", sample]);
    assert_eq!(schema_of(&[("a.csv", "n\n1\n2\nx\n")], "2")["fields"][0]["type"], "integer");
    assert_eq!(schema_of(&[("a.tsv", "n\tm\n1\t2\n2\t3\nx\ty\n")], "3")["fields"][1]["type"], "string");
    assert_eq!(schema_of(&[("a.ndjson", "1\n2\n\"x\"\n")], "2")["type"], "integer");
    assert_eq!(schema_of(&[("a.json", "[1, 2, \"x\"]")], "2")["items"]["type"], "integer");
}

#[test]
fn a_json_schema_says_what_lines_hold() {
    let lines = r#"{"id": 1, "at": "2026-01-05T08:00:00Z", "who": "ann@example.org", "tags": ["a"], "x": null}
{"id": 2, "at": "2026-01-05T09:00:00+01:00", "who": "lee@example.org", "tags": [], "x": 1.5, "extra": {"deep": true}}
{"id": 2, "at": "2026-01-05T10:00:00Z", "who": "kim@example.org", "tags": ["b", "c"], "x": 7, "id": 2}
"#;
    let schema = schema(&[("events.ndjson", lines)], &[]);
    let expected = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "description": "Inferred by tidegate from 3 values of events.ndjson: what held there, for you to say what must hold",
        "$comment": "3 values",
        "type": "object",
        "required": ["at", "id", "tags", "who", "x"],
        "properties": {
            "at": {
                "$comment": "3 values; for instance 2026-01-05T08:00:00Z", "type": "string", "format": "date-time"
            },
            "extra": {
                "$comment": "1 value", "type": "object", "required": ["deep"],
                "properties": {"deep": {"$comment": "1 value", "type": "boolean"}}
            },
            "id": {"$comment": "4 values; 1 to 2; for instance 1", "type": "integer", "minimum": 1, "maximum": 2},
            "tags": {
                "$comment": "3 values", "type": "array",
                "items": {"$comment": "3 values; 1 character; for instance a", "type": "string"}
            },
            "who": {"$comment": "3 values; for instance ann@example.org", "type": "string", "format": "email"},
            "x": {
                "$comment": "3 values, 1 null; 1.5 to 7; for instance 1.5", "type": ["number", "null"],
                "minimum": 1.5, "maximum": 7
            }
        }
    });
    assert_eq!(schema, expected);
    assert_eq!(takes(&schema, Format::Ndjson, lines), Ok(()));
    assert!(takes(&schema, Format::Ndjson, "{\"id\": 1}\n").is_err());
}

#[test]
fn a_map_of_many_names_is_not_listed() {
    let text: Vec<String> = (0..3000).map(|name| format!("{{\"n{name}\": 1, \"id\": {name}}}")).collect();
    let text = format!("[{}]", text.join(","));
    let schema = schema(&[("map.json", &text)], &[]);
    let names: Vec<&String> = schema["items"]["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["id"]);
    assert_eq!(takes(&schema, Format::Json, &text), Ok(()));
}

#[test]
fn what_can_not_be_used_is_refused_with_the_reason() {
    let folder = TempDir::new().unwrap();
    for (name, text) in
        [("a.csv", "a,b\n1\n"), ("b.csv", "a\n1\n"), ("c.csv", "b\n1\n"), ("d.json", "[1e999]"), ("e.txt", "x")]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    for (arguments, input, code, reason) in [
        (&["a.csv"][..], "", 1, "missing-cell"),
        (&["b.csv", "c.csv"], "", 1, "\"c.csv\" has another header than \"b.csv\""),
        (&["b.csv", "d.json"], "", 1, "\"d.json\" is json, those before are csv"),
        (&["d.json"], "", 1, "number out of range"),
        (&["e.txt"], "", 1, "tells no format"),
        (&["-"], "", 2, "--format"),
        (&["-", "--format", "ndjson"], "{\n1\n", 1, "split-value"),
        (&["missing.csv"], "", 1, "missing.csv"),
    ] {
        let (ended, out, err) = infer(folder.path(), arguments, input);
        assert_eq!((ended, &*out), (code, ""), "{arguments:?}\n{err}");
        assert!(err.contains(reason), "{arguments:?}: {err}");
    }
    let (code, out, err) = infer(folder.path(), &["-", "--format", "csv"], "a\n1\n");
    assert_eq!((code, &*err), (0, ""), "{out}");
}

#[test]
fn the_schema_of_a_real_table_takes_that_table() {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let corpora = std::env::var_os("TIDEGATE_CORPORA").map_or_else(beside, Into::into).join("real");
    for name in ["airports.csv", "seattle-weather.csv", "sf-temps.csv", "stocks.csv", "us-employment.csv"] {
        let Ok(table) = fs::read_to_string(corpora.join(name)) else {
            eprintln!("left out: {name} is not in {} (TIDEGATE_CORPORA names the corpora)", corpora.display());
            continue;
        };
        let schema = schema(&[(name, &table)], &[]);
        assert_eq!(wrong(&schema, &table), Vec::<String>::new(), "{name}: {schema:#}");
    }
    for name in ["barley.json", "cars.json", "driving.json"] {
        let Ok(text) = fs::read_to_string(corpora.join(name)) else { continue };
        let schema = schema(&[(name, &text)], &[]);
        assert_eq!(takes(&schema, Format::Json, &text), Ok(()), "{name}: {schema:#}");
    }
}
