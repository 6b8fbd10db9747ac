//! What each target asks of a file, for fuzzers and for the tests that replay their corpora. The differences from `serde_json`
//! that are meant: it refuses numbers beyond a double, its limit of depth is ours less one level, and read as `IgnoredAny` it
//! takes surrogate escapes without their other half, as we do, which it refuses in a `String`.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Value, json};
use tidegate::report::{Format, Profile, Report, Verdict};
use tidegate::validate::table::TableSchema;
use tidegate::validate::{BlankLines, Limits, Patience, Schema, Standard, Validator};

/// JSON: accepted where `serde_json` passes over it, and where it is UTF-8.
pub fn check_json(file: &[u8]) {
    let outcome = run(json(&Limits::default(), Profile::Rfc8259), file, file.len().max(1));
    assert_eq!(run(json(&Limits::default(), Profile::Rfc8259), file, 1), outcome);
    if let Some(accepted) = accepted(serde_json::from_slice::<IgnoredAny>(file)) {
        assert_eq!(outcome.is_ok(), accepted && std::str::from_utf8(file).is_ok(), "{outcome:?} {file:?}");
    }
}

/// I-JSON: accepted where the text is one whose objects hold no name twice, and `serde_json` reads all its strings and numbers.
pub fn check_i_json(file: &[u8]) {
    let outcome = run(json(&Limits::default(), Profile::IJson), file, file.len().max(1));
    assert_eq!(run(json(&Limits::default(), Profile::IJson), file, 1), outcome);
    match (accepted(serde_json::from_slice::<Once>(file)), outcome) {
        // What `serde_json` reads may still have digits that a double has not.
        (Some(true), Err(flaw)) => assert_eq!(flaw.code(), "number-range", "{flaw} {file:?}"),
        (Some(false), Ok(verdict)) => panic!("{verdict:?} {file:?}"),
        _ => {}
    }
}

/// NDJSON: accepted where each of its lines is as JSON, and no line is blank, or any may be.
pub fn check_ndjson(file: &[u8]) {
    for blank_lines in [BlankLines::Refused, BlankLines::Allowed] {
        let limits = Limits::default();
        let outcome = run(ndjson(&limits, Profile::Rfc8259, blank_lines), file, file.len().max(1));
        assert_eq!(run(ndjson(&limits, Profile::Rfc8259, blank_lines), file, 1), outcome);
        let body = file.strip_suffix(b"\n").unwrap_or(file);
        let is_blank = |line: &[u8]| line.iter().all(|byte| b" \t\r".contains(byte));
        let accepted = file.is_empty()
            || body.split(|&byte| byte == b'\n').all(|line| {
                (blank_lines == BlankLines::Allowed && is_blank(line))
                    || run(json(&limits, Profile::Rfc8259), line, line.len().max(1)).is_ok()
            });
        assert_eq!(outcome.is_ok(), accepted, "{blank_lines:?} {outcome:?} {file:?}");
    }
}

/// CSV: what is told is the same however the file is cut, and whoever goes on at the cuts; what is accepted the `csv` crate reads
/// as so many records, each with as many fields as the header. It passes over blank lines, which hold one empty field.
pub fn check_csv(file: &[u8]) {
    let untiring = Patience { max_errors: u64::MAX, ..Patience::default() };
    let small =
        Limits { max_record_bytes: 40, max_record_lines: 3, max_row_fields: 4, max_token_bytes: 20, ..Limits::default() };
    for (limits, patience) in [(small, untiring), (small, Patience::default()), (Limits::default(), untiring)] {
        let standard = Standard { patience, ..Standard::of(Format::Csv, limits) };
        let open = || standard.validator().expect("CSV is parsed");
        let whole = run(open(), file, file.len().max(1));
        for chunk_bytes in [1, 3, 64] {
            assert_eq!(run(open(), file, chunk_bytes), whole, "by {chunk_bytes}: {file:?}");
        }
        assert_eq!(run_in_turns(&standard, file), whole, "in turns: {file:?}");
    }
    let standard = Standard::of(Format::Csv, Limits::default());
    let Ok(verdict) = run(standard.validator().expect("CSV is parsed"), file, file.len().max(1)) else { return };
    let mut reader = csv::Reader::from_reader(file);
    let columns = reader.headers().expect("a table").len();
    let records = reader.records().inspect(|record| assert!(record.is_ok(), "{record:?}")).count() as u64;
    assert!(
        if columns == 1 { records <= verdict.records } else { records == verdict.records },
        "{records} {verdict:?} {file:?}"
    );
}

/// A table under a schema: what is told is the same however the file is cut, and the same as under a schema that asks for the
/// same in such words that no cell is taken at a glance. Of what is not UTF-8 the column of a header's flaw depends on the cuts.
pub fn check_table(file: &[u8]) {
    if std::str::from_utf8(file).is_err() {
        return;
    }
    let whole = run(TABLES[0].validator().expect("CSV is parsed"), file, file.len().max(1));
    for chunk_bytes in [1, 3, 64] {
        assert_eq!(
            run(TABLES[0].validator().expect("CSV is parsed"), file, chunk_bytes),
            whole,
            "by {chunk_bytes}: {file:?}"
        );
    }
    let told = |outcome: &Result<Verdict, Box<Report>>| {
        outcome.clone().map_err(|report| {
            let places = report.errors.iter().map(|flaw| (flaw.code.clone(), flaw.line, flaw.column)).collect::<Vec<_>>();
            (report.complete, report.records, report.counts, places)
        })
    };
    let careful = run(TABLES[1].validator().expect("CSV is parsed"), file, file.len().max(1));
    assert_eq!(told(&whole), told(&careful), "{file:?}");
}

/// The same table twice: bounds with an exponent and patterns that take everything are for the whole check alone.
static TABLES: LazyLock<[Standard; 2]> = LazyLock::new(|| {
    let schema = |all: Value, least: &str, most: &str| {
        let with = |mut constraints: Value| {
            if let (Value::Object(constraints), Value::Object(all)) = (&mut constraints, &all) {
                constraints.extend(all.clone());
            }
            constraints
        };
        let descriptor = json!({"fieldsMatch": "subset", "missingValues": ["", "-"], "fields": [
            {"name": "n", "type": "number", "constraints": {"minimum": least, "exclusiveMaximum": most}},
            {"name": "t", "type": "string", "constraints": with(json!({"minLength": 2, "maxLength": 4}))},
            {"name": "e", "type": "string", "constraints": with(json!({"enum": ["north", "s\u{fc}d", "", "a,b", "\"q\""]}))},
            {"name": "i", "type": "integer"},
            {"name": "d", "type": "date", "constraints": {"minimum": "2024-02-29"}},
            {"name": "c", "type": "time", "constraints": {"maximum": "15:00:00"}},
            {"name": "s", "type": "datetime"},
            {"name": "b", "type": "boolean"}
        ]});
        let none = |_: &str| Err("there is none".to_owned());
        let schema = TableSchema::parse(&descriptor, &mut { none }).expect("the schema is right");
        let patience = Patience { max_errors: u64::MAX, ..Patience::default() };
        let limits = Limits { max_record_bytes: 200, max_record_lines: 3, ..Limits::default() };
        Standard { schema: Some(Schema::Table(Arc::new(schema))), patience, ..Standard::of(Format::Csv, limits) }
    };
    [schema(json!({}), "-50", "60.5"), schema(json!({"pattern": "[\\s\\S]*"}), "-5e1", "605e-1")]
});

/// Every third byte another validator goes on, where the one before can be saved.
fn run_in_turns(standard: &Standard, file: &[u8]) -> Result<Verdict, Box<Report>> {
    let mut validator = standard.validator().expect("a format that is parsed");
    for chunk in file.chunks(3) {
        validator.feed(chunk)?;
        let Some(saved) = validator.save() else { continue };
        match standard.resume(&saved) {
            Some(next) => validator = next,
            // A record that has lost bytes is not told from one that nobody has begun.
            None => assert!(std::str::from_utf8(file).is_err(), "{saved} was saved a moment ago: {file:?}"),
        }
    }
    validator.finish()
}

/// The validator for one JSON text that keeps to `profile`.
pub fn json(limits: &Limits, profile: Profile) -> Box<dyn Validator> {
    let standard = Standard { profile, ..Standard::of(Format::Json, *limits) };
    standard.validator().expect("JSON is parsed")
}

/// The validator for lines of JSON that keep to `profile`.
pub fn ndjson(limits: &Limits, profile: Profile, blank_lines: BlankLines) -> Box<dyn Validator> {
    let standard = Standard { profile, blank_lines, ..Standard::of(Format::Ndjson, *limits) };
    standard.validator().expect("NDJSON is parsed")
}

fn run(mut validator: Box<dyn Validator>, file: &[u8], chunk_bytes: usize) -> Result<Verdict, Box<Report>> {
    file.chunks(chunk_bytes).try_for_each(|chunk| validator.feed(chunk))?;
    validator.finish()
}

/// `None` where the two may differ.
fn accepted<T>(outcome: Result<T, serde_json::Error>) -> Option<bool> {
    match outcome.map_err(|error| error.to_string()) {
        Ok(_) => Some(true),
        Err(error) if error.starts_with("number out of range") || error.starts_with("recursion limit exceeded") => None,
        Err(_) => Some(false),
    }
}

/// A value whose objects hold no name twice: the model is a visitor that collects names.
struct Once;

impl<'de> Deserialize<'de> for Once {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OnceVisitor)
    }
}

struct OnceVisitor;

impl<'de> Visitor<'de> for OnceVisitor {
    type Value = Once;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_str<E>(self, _: &str) -> Result<Once, E> {
        Ok(Once)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Once, A::Error> {
        while items.next_element::<Once>()?.is_some() {}
        Ok(Once)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Once, A::Error> {
        let mut names = HashSet::new();
        while let Some((name, Once)) = members.next_entry::<String, Once>()? {
            if !names.insert(name) {
                return Err(A::Error::custom("a name twice"));
            }
        }
        Ok(Once)
    }
}
