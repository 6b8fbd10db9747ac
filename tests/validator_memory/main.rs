//! What a validator says that it may take is what it takes: each step runs below a limit of just
//! that, beyond which an allocation fails, and with it the test.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::alloc::System;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;

use cap::Cap;
use flate2::Compression as Level;
use flate2::write::GzEncoder;
use serde_json::json;
use tidegate::report::{Compression, Format, Profile, SchemaFor};
use tidegate::validate::table::TableSchema;
use tidegate::validate::{JsonSchema, Limits, MAX_STEP_BYTES, Schema, Standard};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The memory of the validator's own struct and small buffers, and reports of a few flaws.
const SLACK_BYTES: usize = 24 << 10;

struct Case {
    name: &'static str,
    standard: Standard,
    text: String,
}

fn standard(format: Format) -> Standard {
    Standard::of(format, Limits::default())
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        writeln!(text, "{}", line(number)).unwrap();
        text
    })
}

fn table_schema() -> Schema {
    let schema = json!({
        "fields": [{"name": "id", "type": "integer"}, {"name": "of", "type": "integer"}],
        "primaryKey": "id",
        "foreignKeys": [{"fields": "of", "reference": {"resource": "", "fields": "id"}}],
    });
    let schema = TableSchema::parse(&schema, &mut |name| Err(format!("no {name}"))).unwrap();
    Schema::Table(Arc::new(schema))
}

fn json_schema(part: SchemaFor) -> Schema {
    let schema = json!({"items": {"uniqueItems": true, "items": {"properties": {"a": {"type": "integer"}}}}});
    Schema::Json(Arc::new(JsonSchema::parse(&schema).unwrap()), part)
}

fn cases() -> Vec<Case> {
    let members = lines(200_000, |number| format!("\"{number}\":0,"));
    let objects = format!("[[{}0]]", "{\"a\":0},".repeat(60_000));
    let numbers = format!("[[{}0]]", "0,".repeat(500_000));
    vec![
        Case {
            name: "a header of many short names",
            standard: standard(Format::Csv),
            text: format!("{}\n", (0..10_000).map(|number| number.to_string()).collect::<Vec<_>>().join(",")),
        },
        Case {
            name: "one record of 12 MiB",
            standard: standard(Format::Csv),
            text: format!("a,b\n1,\"{}\"\n", "0123456789\n".repeat(900)) + &format!("1,{}\n", "x".repeat(12 << 20)),
        },
        Case {
            name: "keys that refer to later rows",
            standard: Standard { schema: Some(table_schema()), ..standard(Format::Csv) },
            text: "id,of\n".to_owned() + &lines(150_000, |number| format!("{number},{}", 150_000 - number)),
        },
        Case {
            name: "records of a table with a schema that are cut",
            standard: Standard { schema: Some(table_schema()), ..standard(Format::Csv) },
            text: "id,of\n".to_owned() + &lines(4, |number| format!("{number},\"{}\"", "x".repeat(1 << 20))),
        },
        Case {
            name: "names of an I-JSON object",
            standard: Standard { profile: Profile::IJson, ..standard(Format::Json) },
            text: format!("{{{members}\"z\":\"{}\"}}", "\\u0041".repeat(300_000)),
        },
        Case {
            name: "a document of objects held against a schema",
            standard: Standard { schema: Some(json_schema(SchemaFor::Document)), ..standard(Format::Json) },
            text: objects.clone(),
        },
        Case {
            name: "a document of numbers held against a schema",
            standard: Standard { schema: Some(json_schema(SchemaFor::Document)), ..standard(Format::Json) },
            text: numbers,
        },
        Case {
            name: "lines held against a schema",
            standard: Standard { schema: Some(json_schema(SchemaFor::Document)), ..standard(Format::Ndjson) },
            text: format!("{objects}\n{objects}\n"),
        },
        Case {
            name: "lines that are all wrong",
            standard: {
                let usual = standard(Format::Ndjson);
                let mut patience = usual.patience;
                (patience.max_errors, patience.max_errors_kept) = (1_000_000, 1_000_000);
                Standard { patience, ..usual }
            },
            text: "x\n".repeat(100_000),
        },
    ]
}

fn packed(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Level::best());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// Reads a file as the server's workers do, and tells the most that was claimed.
fn read(standard: &Standard, bytes: &[u8]) -> usize {
    let before = ALLOCATOR.allocated();
    let mut validator = standard.validator().unwrap();
    let mut most = 0;
    for mut chunk in bytes.chunks(256 << 10) {
        loop {
            let claimed = validator.memory_bytes(MAX_STEP_BYTES);
            most = most.max(claimed);
            ALLOCATOR.set_limit(before + claimed + SLACK_BYTES).unwrap();
            let step = validator.step(chunk, MAX_STEP_BYTES);
            ALLOCATOR.set_limit(usize::MAX).unwrap();
            let Ok(step) = step else { return most };
            chunk = &chunk[step.read..];
            if chunk.is_empty() && !step.more {
                break;
            }
        }
    }
    let claimed = validator.memory_bytes(0);
    ALLOCATOR.set_limit(before + claimed + SLACK_BYTES).unwrap();
    drop(validator.finish());
    ALLOCATOR.set_limit(usize::MAX).unwrap();
    most
}

#[test]
fn no_step_takes_more_than_was_claimed() {
    for Case { name, standard, text } in cases() {
        // The last words of a process whose allocation fails.
        println!("{name}");
        let plain = read(&standard, text.as_bytes());
        let gzip = Standard { compression: Compression::Gzip, ..standard };
        let behind_gzip = read(&gzip, &packed(&text));
        println!("{name}: {plain} bytes, {behind_gzip} behind gzip, for {} of text", text.len());
    }
}
