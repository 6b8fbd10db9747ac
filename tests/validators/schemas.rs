//! Content held against schemas, and behind compression: what is told, and where, however the bytes are cut.

use std::io::Write;
use std::sync::Arc;

use serde_json::{Value, json};
use tidegate::report::{Compression, Format, Report, SchemaFor, Verdict};
use tidegate::validate::table::TableSchema;
use tidegate::validate::{Dialect, JsonSchema, Limits, Patience, Schema, Snippets, Standard};

fn table(descriptor: &Value) -> Schema {
    let none = |_: &str| Err("there is none".to_owned());
    Schema::Table(Arc::new(TableSchema::parse(descriptor, &mut { none }).unwrap()))
}

fn held_to(format: Format, schema: Schema) -> Standard {
    let patience = Patience { max_errors: 1000, ..Patience::default() };
    Standard { schema: Some(schema), patience, ..Standard::of(format, Limits::default()) }
}

fn judge(standard: &Standard, bytes: &[u8], chunk: usize) -> Result<Verdict, Box<Report>> {
    let mut validator = standard.validator().unwrap();
    bytes.chunks(chunk).try_for_each(|chunk| validator.feed(chunk))?;
    validator.finish()
}

/// The same in whatever chunks.
fn judge_every_way(standard: &Standard, bytes: &[u8]) -> Result<Verdict, Box<Report>> {
    let whole = judge(standard, bytes, bytes.len().max(1));
    for chunk in 1..bytes.len() {
        assert_eq!(judge(standard, bytes, chunk), whole, "in chunks of {chunk}");
    }
    whole
}

/// Code, record, line, column and snippet of each flaw.
fn told(report: &Report) -> Vec<(&str, u64, u64, u64, &str)> {
    let told = |flaw: &'_ tidegate::report::Flaw| (flaw.record, flaw.line, flaw.column);
    let all = report.errors.iter().map(|flaw| {
        let (record, line, column) = told(flaw);
        (flaw.code.as_str(), record, line, column, flaw.snippet.as_deref().unwrap_or_default())
    });
    all.collect()
}

fn readings() -> Standard {
    held_to(
        Format::Csv,
        table(&json!({"fields": [
            {"name": "site", "type": "string", "constraints": {"pattern": "[a-z]+"}},
            {"name": "at", "type": "date"},
            {"name": "value", "type": "number", "constraints": {"minimum": 0}}
        ], "primaryKey": ["site", "at"]})),
    )
}

#[test]
fn every_cell_of_a_table_is_held_against_its_schema() {
    let text = "site,at,value\nnorth,2026-01-31,1.5\n\"NORTH\",2026-02-30,-1\nsouth,\"2026-01-31\",\"x\"\"y\nz\"\n1,2\nnorth,2026-01-31,2\n";
    let report = judge_every_way(&readings(), text.as_bytes()).unwrap_err();
    assert_eq!(
        told(&report),
        [
            ("constraint-error", 2, 3, 1, "NORTH"),
            ("type-error", 2, 3, 9, "2026-02-30"),
            ("constraint-error", 2, 3, 20, "-1"),
            ("type-error", 3, 4, 20, "x\"y\\nz"),
            ("missing-cell", 4, 6, 4, "1,2"),
            ("primary-key", 5, 7, 1, ""),
        ]
    );
    let flaw = &report.errors[2];
    assert_eq!(flaw.field.as_ref().map(|field| (field.name.as_str(), field.index)), Some(("value", 3)));
    assert_eq!((flaw.constraint.as_deref(), flaw.offset), (Some("minimum"), 54));
    assert_eq!((report.records, report.errors_total, report.complete), (5, 6, true));
    assert_eq!(judge_every_way(&readings(), b"site,at,value\nnorth,2026-01-31,1.5\n").unwrap().records, 1);
}

#[test]
fn a_header_is_held_against_the_schema() {
    let report = judge_every_way(&readings(), b"site,when,value\na,2026-01-31,1\n").unwrap_err();
    assert_eq!(told(&report)[0], ("incorrect-label", 0, 1, 6, "when"));
}

#[test]
fn snippets_can_be_masked() {
    let standard = Standard { snippets: Snippets::Masked, ..readings() };
    let report = judge_every_way(&standard, b"site,at,value\nnorth,31.1.2026,1\n").unwrap_err();
    assert_eq!(told(&report), [("type-error", 1, 2, 7, "99.9.9999")]);
    assert!(!serde_json::to_string(&report).unwrap().contains("31"), "{report:?}");
}

#[test]
fn a_table_without_a_header_is_as_wide_as_its_schema() {
    let schema = table(&json!({"fields": [{"name": "id"}, {"name": "amount", "constraints": {"required": true}}]}));
    let dialect = Some(Dialect::parse(&json!({"header": false})).unwrap());
    let standard = Standard { dialect, ..held_to(Format::Csv, schema) };
    assert_eq!(judge_every_way(&standard, b"1,a\n2,b\n").unwrap().records, 2);
    assert_eq!(judge_every_way(&standard, b"1\n2\n").unwrap_err().code(), "missing-cell");
    assert_eq!(judge_every_way(&standard, b"1,a,x\n2,b,y\n").unwrap_err().code(), "extra-cell");
}

#[test]
fn reports_stay_short_and_show_no_names_of_their_own() {
    let schema = json!({"additionalProperties": false, "properties": {"a": {"items": {"type": "string"}}}});
    let schema = Schema::Json(Arc::new(JsonSchema::parse(&schema).unwrap()), SchemaFor::Document);
    let standard = Standard { snippets: Snippets::Masked, ..held_to(Format::Ndjson, schema) };
    let line = format!("{{\"{}\":1}}\n", "secret".repeat(10_000));
    let report = judge(&standard, line.repeat(50).as_bytes(), 4096).unwrap_err();
    let json = serde_json::to_string(&report).unwrap();
    assert!(json.len() < 64 << 10 && !json.contains("secret"), "{json}");
    assert_eq!(report.errors_total, 50);
    // However many flaws there are, and whatever stands in them, an answer that tells of them fits a line.
    let cells = format!("site,at,value\n{}", format!("{},2026-01-01,x\n", "\u{1}".repeat(60)).repeat(300));
    let report = judge(&readings(), cells.as_bytes(), 4096).unwrap_err();
    assert!(serde_json::to_string(&report).unwrap().len() < 60 << 10);
    assert!(report.errors.len() > 10 && report.errors_total >= 600, "{}", report.errors_total);
}

#[test]
fn keys_beyond_their_memory_are_told() {
    let limits = Limits { max_key_bytes: 1000, ..Limits::default() };
    let rows: Vec<_> = (0..1000).map(|row| format!("a,2026-01-31,{row}")).collect();
    let text = rows.join("\n");
    let schema =
        table(&json!({"fields": [{"name": "site"}, {"name": "at"}, {"name": "n", "constraints": {"unique": true}}]}));
    let standard = Standard { limits, ..held_to(Format::Csv, schema) };
    let report = judge(&standard, format!("site,at,n\n{text}").as_bytes(), 4096).unwrap_err();
    assert_eq!(report.counts.keys().collect::<Vec<_>>(), ["key-memory"]);
}

fn documents(part: SchemaFor) -> Schema {
    let schema = json!({"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}, "tags": {"items": {"maxLength": 3}}}});
    Schema::Json(Arc::new(JsonSchema::parse(&schema).unwrap()), part)
}

#[test]
fn lines_are_held_against_a_json_schema() {
    let text = "{\"id\":1}\n{\"id\": \"x\", \"tags\":[\"ab\",\"\u{e4}bcd\"]}\nnull\n{]\n{\"id\":2}";
    let report = judge_every_way(&held_to(Format::Ndjson, documents(SchemaFor::Document)), text.as_bytes()).unwrap_err();
    assert_eq!(
        told(&report),
        [
            ("schema-error", 2, 2, 8, "\"x\""),
            ("schema-error", 2, 2, 26, "\"\u{e4}bcd\""),
            ("schema-error", 3, 3, 1, "null"),
            ("json-syntax", 4, 4, 2, "{]"),
        ]
    );
    assert_eq!(report.errors[1].instance_path.as_deref(), Some("/tags/1"));
    assert_eq!(report.errors[1].schema_path.as_deref(), Some("/properties/tags/items/maxLength"));
    assert_eq!(report.records, 5);
}

#[test]
fn elements_and_whole_texts_are_held_against_a_json_schema() {
    let text = "[ {\"id\":1},\n {\"id\":true} , {}\n]";
    let report = judge_every_way(&held_to(Format::Json, documents(SchemaFor::Items)), text.as_bytes()).unwrap_err();
    assert_eq!(told(&report), [("schema-error", 2, 2, 8, "true"), ("schema-error", 3, 2, 16, "{}")]);
    assert_eq!(report.errors[0].instance_path.as_deref(), Some("/1/id"));
    let report = judge_every_way(&held_to(Format::Json, documents(SchemaFor::Document)), text.as_bytes()).unwrap_err();
    assert_eq!((report.code(), report.errors[0].offset), ("schema-error", 0));
    let report = judge_every_way(&held_to(Format::Json, documents(SchemaFor::Items)), b" {\"id\":1}").unwrap_err();
    assert_eq!((report.code(), report.errors[0].offset), ("schema-error", 1));
    assert!(judge_every_way(&held_to(Format::Json, documents(SchemaFor::Document)), b" {\"id\":1}\n").is_ok());
}

#[test]
fn documents_that_are_too_large_for_a_schema_are_told() {
    let limits = Limits { max_document_bytes: 10, ..Limits::default() };
    for (format, part, text, line) in [
        (Format::Json, SchemaFor::Document, "{\"id\":12345}", 1),
        (Format::Json, SchemaFor::Items, "[{\"id\":1},\n{\"id\":12345}]", 2),
        (Format::Ndjson, SchemaFor::Document, "{\"id\":1}\n{\"id\":12345}\n{\"id\":2}\n", 2),
    ] {
        let standard = Standard { limits, ..held_to(format, documents(part)) };
        let report = judge_every_way(&standard, text.as_bytes()).unwrap_err();
        assert_eq!((report.code(), report.errors_total, report.errors[0].line), ("document-bytes", 1, line), "{text}");
    }
}

fn packed(compression: Compression, text: &[u8]) -> Vec<u8> {
    match compression {
        Compression::None => text.to_vec(),
        Compression::Gzip => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            packer.write_all(text).unwrap();
            packer.finish().unwrap()
        }
        Compression::Zstd => {
            let mut packer = zstd::Encoder::new(Vec::new(), 3).unwrap();
            packer.include_checksum(true).unwrap();
            packer.write_all(text).unwrap();
            packer.finish().unwrap()
        }
    }
}

#[test]
fn compressed_files_are_judged_by_their_text() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let standard = Standard { compression, ..Standard::of(Format::Csv, Limits::default()) };
        let good = packed(compression, b"a,b\n1,2\n3,4\n");
        assert_eq!(judge_every_way(&standard, &good).unwrap().records, 2, "{compression:?}");
        let report = judge_every_way(&standard, &packed(compression, b"a,b\n1,2\n3\n")).unwrap_err();
        assert_eq!((report.code(), report.errors[0].line), ("missing-cell", 3), "{compression:?}");
        // Members, or frames, one behind the other are one text.
        let both = [packed(compression, b"a,b\n1,"), packed(compression, b"2\n")].concat();
        assert_eq!(judge_every_way(&standard, &both).unwrap().records, 1, "{compression:?}");
        for cut in 0..good.len() {
            let report = judge(&standard, &good[..cut], 7).unwrap_err();
            assert_eq!(report.code(), "compressed-data", "{compression:?} cut at {cut}");
        }
        for at in 0..good.len() {
            let mut broken = good.clone();
            broken[at] ^= 0x55;
            // Some bits of the headers say nothing; what is read is right, or refused.
            if let Ok(verdict) = judge(&standard, &broken, 5) {
                assert!(verdict.records == 2 && at < 10, "{compression:?} changed at {at}");
            }
        }
    }
}

#[test]
fn what_unpacks_to_too_much_is_refused() {
    let zeros = vec![b'1'; 8 << 20];
    for compression in [Compression::Gzip, Compression::Zstd] {
        let bomb = packed(compression, &zeros);
        let most = |limits| Standard { compression, ..Standard::of(Format::Json, limits) };
        let bytes = Limits { max_unpacked_bytes: 1 << 20, ..Limits::default() };
        assert_eq!(judge(&most(bytes), &bomb, 4096).unwrap_err().code(), "unpacked-bytes", "{compression:?}");
        let ratio = Limits { max_unpack_ratio: 100, ..Limits::default() };
        assert_eq!(judge(&most(ratio), &bomb, 4096).unwrap_err().code(), "unpack-ratio", "{compression:?}");
        let enough = Limits { max_unpack_ratio: 100_000, ..Limits::default() };
        assert!(judge(&most(enough), &bomb, 4096).is_ok(), "{compression:?}");
    }
}

#[test]
fn nobody_goes_on_by_another_standard() {
    let plain = Standard::of(Format::Ndjson, Limits::default());
    let mut validator = plain.validator().unwrap();
    validator.feed(b"1\n").unwrap();
    let saved = validator.save().unwrap();
    assert!(plain.resume(&saved).is_some());
    let with_schema = held_to(Format::Ndjson, documents(SchemaFor::Document));
    assert!(with_schema.resume(&saved).is_none());
}
