//! Property tests against models that are simple because they see the whole file at once.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use tidegate::report::{Flaw, Format, Report, Verdict};
use tidegate::validate::{Limits, for_format};

use super::{judge, judge_in_turns, judge_whole};

/// A JSON value of a few levels.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((any::<String>(), inner), 0..6).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A JSON text, with or without white space.
pub(crate) fn document() -> impl Strategy<Value = String> {
    (value(), any::<bool>()).prop_map(|(value, pretty)| if pretty { format!("{value:#}") } else { value.to_string() })
}

/// A change to a file: at a place, some bytes are replaced by others.
pub(crate) fn damage() -> impl Strategy<Value = (Index, usize, Vec<u8>)> {
    let telling = select(&b"\"\\,:[]{}0123456789-+.eEtfnul \t\r\n\x00\x1f\x7f\x80\xc3\xe2\xf0\xffud8Cx"[..]);
    (any::<Index>(), 0..3_usize, vec(telling, 0..4))
}

pub(crate) fn damaged(mut bytes: Vec<u8>, changes: &[(Index, usize, Vec<u8>)]) -> Vec<u8> {
    for (place, removed, added) in changes {
        let from = place.index(bytes.len() + 1);
        let to = (from + removed).min(bytes.len());
        bytes.splice(from..to, added.iter().copied());
    }
    bytes
}

/// The chunks between some places.
fn cut<'a>(bytes: &'a [u8], places: &[Index]) -> Vec<&'a [u8]> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    ends.sort_unstable();
    let mut from = 0;
    let mut chunks = Vec::new();
    for end in ends.into_iter().chain([bytes.len()]) {
        chunks.push(&bytes[from..end]);
        from = end;
    }
    chunks
}

/// What `serde_json` says; `None` where the two may differ: it refuses numbers beyond a double.
fn serde_json_accepts(bytes: &[u8]) -> Option<bool> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(_) => Some(true),
        Err(error) if error.to_string().starts_with("number out of range") => None,
        Err(_) => Some(false),
    }
}

/// Line by line; `None` where a line is one on which the two may differ.
fn serde_json_accepts_lines(bytes: &[u8]) -> Option<bool> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return Some(true);
    }
    body.split(|&byte| byte == b'\n').try_fold(true, |all, line| Some(all & serde_json_accepts(line)?))
}

/// The grammar of RFC 4180 over a whole table: its records with their fields, or `None` where it is broken.
fn rfc4180(text: &str) -> Option<Vec<Vec<String>>> {
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut records = Vec::new();
    while !rest.is_empty() {
        let mut record = Vec::new();
        loop {
            let (field, behind) = match rest.strip_prefix('"') {
                Some(inner) => quoted_field(inner)?,
                None => rest.split_at(rest.find([',', '\n', '\r']).unwrap_or(rest.len())),
            };
            if !rest.starts_with('"') && field.contains('"') {
                return None;
            }
            record.push(field.replace("\"\"", "\""));
            match behind.strip_prefix(',') {
                Some(next) => rest = next,
                None => {
                    rest = behind;
                    break;
                }
            }
        }
        rest = match rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')) {
            Some(next) => next,
            None if rest.is_empty() => rest,
            None => return None,
        };
        records.push(record);
    }
    Some(records)
}

/// What stands before the closing quote, and what stands behind it.
fn quoted_field(inner: &str) -> Option<(&str, &str)> {
    let mut at = 0;
    loop {
        at += inner[at..].find('"')?;
        if !inner[at + 1..].starts_with('"') {
            return Some((&inner[..at], &inner[at + 1..]));
        }
        at += 2;
    }
}

/// The records of a table that keeps all the rules, not only those of the grammar.
fn table_model(bytes: &[u8]) -> Option<Vec<Vec<String>>> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))?;
    let records = rfc4180(text)?;
    let header = records.first()?;
    let distinct: std::collections::HashSet<_> = header.iter().collect();
    let named = distinct.len() == header.len() && header.iter().all(|name| !name.trim().is_empty());
    (named && records.iter().all(|record| record.len() == header.len())).then_some(records)
}

/// A table as a spreadsheet might write it, mostly well-formed.
pub(crate) fn table() -> impl Strategy<Value = Vec<u8>> {
    let field = prop_oneof![
        4 => "[a-z0-9 \u{e4}\u{20ac}]{0,6}".prop_map(|text: String| text),
        2 => "[a-z,\"\r\n\u{1f600}]{0,6}".prop_map(|text| format!("\"{}\"", text.replace('"', "\"\""))),
        1 => "[a-z\"\r, ]{0,4}".prop_map(|text: String| text),
    ];
    (1..5_usize).prop_flat_map(move |columns| {
        let rows = vec(vec(field.clone(), columns), 0..8);
        (Just(columns), rows, select(&["\n", "\r\n"][..]), any::<bool>(), any::<bool>()).prop_map(
            |(columns, rows, line_end, bom, ended)| {
                let header = (0..columns).map(|column| format!("name {column}")).collect();
                let lines: Vec<String> = std::iter::once(header).chain(rows).map(|row: Vec<String>| row.join(",")).collect();
                let (bom, end) = (if bom { "\u{feff}" } else { "" }, if ended { line_end } else { "" });
                format!("{bom}{}{end}", lines.join(line_end)).into_bytes()
            },
        )
    })
}

/// The crate reads a table that was accepted as the model does; it passes over blank lines, which hold one empty field.
fn same_as_the_crate(bytes: &[u8], records: &[Vec<String>]) -> Result<(), TestCaseError> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let read: Vec<Vec<String>> =
        reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
    let empty = |record: &&Vec<String>| record.len() > 1 || !record[0].is_empty();
    let expected: Vec<_> = records.iter().filter(empty).cloned().collect();
    prop_assert_eq!(read.into_iter().filter(|record| empty(&record)).collect::<Vec<_>>(), expected);
    Ok(())
}

/// However the bytes are cut, and whoever goes on at the cuts, the outcome is this one.
fn same_in_chunks(format: Format, bytes: &[u8], places: &[Index]) -> Result<Result<Verdict, Box<Report>>, TestCaseError> {
    let limits = Limits { max_depth: 6, max_record_bytes: 40, max_token_bytes: 12, ..Limits::default() };
    for limits in [limits, Limits::default()] {
        let whole = judge(format, &limits, [bytes]);
        prop_assert_eq!(judge(format, &limits, cut(bytes, places)), whole.clone());
        prop_assert_eq!(judge(format, &limits, bytes.chunks(1)), whole.clone());
        prop_assert_eq!(judge_in_turns(format, &limits, cut(bytes, places)), whole.clone());
        if let Err(report) = whole {
            let Flaw { line, column, offset, .. } = report.errors[0];
            prop_assert_eq!((line, column), counted(bytes, offset));
        }
    }
    Ok(judge_whole(format, bytes))
}

/// Line and column of an offset, counted from the beginning of the file.
fn counted(bytes: &[u8], offset: u64) -> (u64, u64) {
    let before = &bytes[..usize::try_from(offset).unwrap()];
    let line_start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
    let line = before.split(|&byte| byte == b'\n').count() as u64;
    // All before a flaw is text, but for a character that the flaw stands in.
    let column = match std::str::from_utf8(&before[line_start..]) {
        Ok(text) => text.chars().count() + 1,
        Err(error) => std::str::from_utf8(&before[line_start..][..error.valid_up_to()]).unwrap().chars().count() + 1,
    };
    (line, column as u64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_document_is_accepted(text in document(), places in vec(any::<Index>(), 0..6)) {
        let records = match serde_json::from_str(&text).unwrap() {
            Value::Array(elements) => elements.len() as u64,
            _ => 1,
        };
        let outcome = same_in_chunks(Format::Json, text.as_bytes(), &places)?;
        prop_assert_eq!(outcome, Ok(Verdict { format: Format::Json, records, errors: 0 }));
    }

    #[test]
    fn a_damaged_document_is_judged_as_serde_json_does(
        text in document(), changes in vec(damage(), 1..4), places in vec(any::<Index>(), 0..6),
    ) {
        let bytes = damaged(text.into_bytes(), &changes);
        let outcome = same_in_chunks(Format::Json, &bytes, &places)?;
        if let Some(accepted) = serde_json_accepts(&bytes) {
            prop_assert_eq!(outcome.is_ok(), accepted, "{:?} {:?}", String::from_utf8_lossy(&bytes), outcome);
        }
    }

    #[test]
    fn lines_are_judged_as_serde_json_does_each(
        values in vec(value(), 0..5), crlf in any::<bool>(), ended in any::<bool>(),
        changes in vec(damage(), 0..3), places in vec(any::<Index>(), 0..6),
    ) {
        let line_end = if crlf { "\r\n" } else { "\n" };
        let lines: Vec<String> = values.iter().map(Value::to_string).collect();
        let end = if ended && !lines.is_empty() { line_end } else { "" };
        let bytes = damaged(format!("{}{end}", lines.join(line_end)).into_bytes(), &changes);
        let outcome = same_in_chunks(Format::Ndjson, &bytes, &places)?;
        if let Some(accepted) = serde_json_accepts_lines(&bytes) {
            prop_assert_eq!(outcome.is_ok(), accepted, "{:?} {:?}", String::from_utf8_lossy(&bytes), outcome);
        }
        if changes.is_empty() {
            prop_assert_eq!(outcome, Ok(Verdict { format: Format::Ndjson, records: values.len() as u64, errors: 0 }));
        }
    }

    #[test]
    fn a_table_is_judged_as_the_grammar_does(
        table in table(), changes in vec(damage(), 0..3), places in vec(any::<Index>(), 0..6),
    ) {
        let bytes = damaged(table, &changes);
        let outcome = same_in_chunks(Format::Csv, &bytes, &places)?;
        match table_model(&bytes) {
            None => prop_assert!(outcome.is_err(), "{:?}", String::from_utf8_lossy(&bytes)),
            Some(records) => {
                prop_assert_eq!(outcome, Ok(Verdict { format: Format::Csv, records: records.len() as u64 - 1, errors: 0 }));
                same_as_the_crate(&bytes, &records)?;
            }
        }
    }
}

#[test]
fn a_long_file_is_read_to_its_end() {
    // Places are carried from chunk to chunk: they are right far behind the first one.
    let element = br#"{"name":"\u00e4\ud83d\ude00","value":[-1.5e3,true,null]},"#;
    let piece = element.repeat(1 << 12);
    let mut validator = for_format(Format::Json, &Limits::default()).unwrap();
    validator.feed(b"[").unwrap();
    for _ in 0..16 {
        validator.feed(&piece).unwrap();
    }
    let report = validator.feed(b"]").unwrap_err();
    let Flaw { code, line, column, offset, record, .. } = report.errors[0].clone();
    let bytes = 16 * piece.len() as u64 + 1;
    assert_eq!((code.as_str(), line, column, offset, record), ("json-syntax", 1, bytes + 1, bytes, (16 << 12) + 1));
}
