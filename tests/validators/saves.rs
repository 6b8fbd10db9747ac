//! What validators save: how large it is, and what is made of it where it is none of ours.
//!
//! That the outcome is the same where another validator goes on is held by every vector, corpus and model.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tidegate::report::Format;
use tidegate::validate::{Limits, for_format, resume};

use super::models::{damage, damaged, document, table};
use super::saved;

const PARSED: [Format; 4] = [Format::Json, Format::Ndjson, Format::Csv, Format::Tsv];

/// What is saved behind these bytes.
fn saved_behind(format: Format, limits: &Limits, bytes: &[u8]) -> Value {
    let mut validator = for_format(format, limits).unwrap();
    validator.feed(bytes).unwrap();
    saved(validator.as_ref())
}

/// The beginning of a header.
fn names(count: usize) -> String {
    let names: Vec<_> = (0..count).map(|number| format!("name {number},")).collect();
    names.concat()
}

#[test]
fn what_is_saved_stays_small_however_long_the_file_is() {
    let limits = Limits::default();
    let json = format!("[{}", "{\"a\":[1,\"\\ud83d\\ude00\"]},\n".repeat(100_000));
    let lines = "{\"a\":[1,\"\\u00e4\"]}\n".repeat(100_000);
    let wide = names(10_000);
    let table = format!("{wide}z\n{}", format!("{wide}z\n").repeat(2));
    for (format, text) in [
        (Format::Json, json + "{\"a\":\"\\ud83d\\u"),
        (Format::Ndjson, lines + "[[\"\\ud83d\\ude"),
        (Format::Csv, table.clone() + "1,\"x"),
        (Format::Tsv, table + "\"x"),
    ] {
        let bytes = saved_behind(format, &limits, text.as_bytes()).to_string().len();
        assert!(bytes < 800, "{format}: {bytes} bytes");
    }
}

#[test]
fn a_long_row_is_not_saved_in_the_middle() {
    let mut validator = for_format(Format::Csv, &Limits::default()).unwrap();
    validator.feed(b"a\n").unwrap();
    validator.feed(&b"x".repeat(64 << 10)).unwrap();
    assert!(validator.save().is_some());
    validator.feed(b"x").unwrap();
    assert!(validator.save().is_none());
    validator.feed(b"\n").unwrap();
    assert!(validator.save().is_some());
}

#[test]
fn nesting_costs_a_byte_a_level_and_a_header_its_names() {
    let limits = Limits { max_depth: 100_000, ..Limits::default() };
    let deep = "[{\"a\":".repeat(50_000);
    for format in [Format::Json, Format::Ndjson] {
        let bytes = saved_behind(format, &limits, deep.as_bytes()).to_string().len();
        assert!((100_000..100_800).contains(&bytes), "{format}: {bytes} bytes");
    }
    let header = names(50_000);
    let bytes = saved_behind(Format::Csv, &limits, header.as_bytes()).to_string().len();
    assert!((header.len()..header.len() + 2 * 50_000 + 800).contains(&bytes), "{bytes} bytes");
}

#[test]
fn a_header_that_goes_on_knows_the_names_before() {
    let saved = saved_behind(Format::Csv, &Limits::default(), "\u{feff}a,\"b\n\"\"\u{e4}\",\"c".as_bytes());
    let judge = |rest: &str| {
        let mut validator = resume(Format::Csv, &Limits::default(), &saved).unwrap();
        validator.feed(rest.as_bytes()).and_then(|()| validator.finish())
    };
    assert_eq!(judge("\",d\n1,2,3,4\n").unwrap().records, 1);
    let rejection = judge("\",\"b\n\"\"\u{e4}\"\n").unwrap_err();
    assert_eq!(rejection.code(), "duplicate-label");
    let rejection = rejection.first().unwrap();
    assert_eq!((rejection.line, rejection.column, rejection.offset, rejection.record), (2, 10, 18, 0));
    assert!(rejection.message.contains("of field 2"), "{}", rejection.message);
}

#[test]
fn nobody_goes_on_with_what_another_version_or_format_has_saved() {
    for format in PARSED {
        let saved = saved_behind(format, &Limits::default(), b"1");
        assert!(resume(format, &Limits::default(), &saved).is_some());
        for other in PARSED.into_iter().filter(|other| *other != format).chain([Format::None]) {
            assert!(resume(other, &Limits::default(), &saved).is_none(), "{format} as {other}");
        }
        let later = saved["version"].as_u64().unwrap() + 1;
        for (name, value) in [("version", json!(later)), ("version", Value::Null), ("here", Value::Null)] {
            let mut changed = saved.clone();
            changed[name] = value;
            assert!(resume(format, &Limits::default(), &changed).is_none(), "{changed}");
        }
    }
}

#[test]
fn the_limits_are_those_of_whoever_goes_on() {
    let wide = Limits { max_depth: 8, max_record_bytes: 100, ..Limits::default() };
    for (format, bytes) in
        [(Format::Json, &b"[[[["[..]), (Format::Ndjson, b"1\n[[[["), (Format::Csv, b"a\n1234"), (Format::Csv, b"abcd")]
    {
        let saved = saved_behind(format, &wide, bytes);
        let strict = |levels, bytes| Limits { max_depth: levels, max_record_bytes: bytes, ..Limits::default() };
        let mut at_the_limit = resume(format, &strict(4, 4), &saved).unwrap();
        at_the_limit.feed(if format == Format::Csv { b"5" } else { b"[" }).unwrap_err();
        let below = if format == Format::Csv { strict(4, 3) } else { strict(3, 4) };
        assert!(resume(format, &below, &saved).is_none(), "{format}");
    }
}

#[test]
fn nothing_is_saved_behind_a_flaw() {
    for format in PARSED {
        let mut validator = for_format(format, &Limits::default()).unwrap();
        validator.feed(b"\xff").unwrap_err();
        assert_eq!(validator.save(), None);
    }
}

/// The places of all that is no list and no object in a value.
fn leaves(value: &Value, place: &str, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| leaves(item, &format!("{place}/{index}"), found));
        }
        Value::Object(members) => members.iter().for_each(|(name, item)| leaves(item, &format!("{place}/{name}"), found)),
        _ => found.push(place.to_owned()),
    }
}

/// What may stand in the place of a leaf: one that is near, far, or of another kind.
fn replaced(leaf: &Value, choice: usize) -> Value {
    let words = [
        "bare",
        "quoted",
        "quote",
        "cr",
        "blank_cr",
        "start",
        "pair",
        "pair_begun",
        "begun",
        "name",
        "value",
        "minus",
        "point",
        "exponent",
        "text",
        "nothing",
        "element",
        "element_or_end",
        "member",
        "colon",
        "comma_or_brace",
        "comma_or_bracket",
        "true",
        "null",
        "first",
        "second",
        "",
        "[",
        "{",
        "[{[[",
        "c3",
        "f09f98",
        "c3a4",
        "ff",
        "zz",
        "\0",
        "a",
    ];
    match (leaf.as_u64(), choice % 16) {
        (Some(number), 0..3) => json!(number.saturating_add(1)),
        (Some(number), 3..6) => json!(number.saturating_sub(1)),
        (_, 6) => json!([0, 1, 2, 3, 5, 1_u64 << 61, 1_u64 << 62, u64::MAX][choice / 16 % 8]),
        (_, 7) => [Value::Null, json!([]), json!({}), json!(-1), json!(true), json!(0.5)][choice / 16 % 6].clone(),
        _ => words[choice / 16 % words.len()].into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_state_that_no_validator_was_in_never_panics(
        format in select(&PARSED[..]), text in prop_oneof![document().prop_map(String::into_bytes), table()],
        damages in vec(damage(), 0..2), cut in any::<Index>(), rest in "[\\PC\"\\\\,:{}0-9eu.\t\r\n\\[\\]-]{0,12}",
        changes in vec((any::<Index>(), any::<usize>()), 0..4),
    ) {
        let bytes = damaged(text, &damages);
        let (head, tail) = bytes.split_at(cut.index(bytes.len() + 1));
        let limits = Limits { max_depth: 6, max_record_bytes: 40, max_token_bytes: 12, ..Limits::default() };
        let mut validator = for_format(format, &limits).unwrap();
        if validator.feed(head).is_ok() {
            let mut state = saved(validator.as_ref());
            for (leaf, choice) in &changes {
                let mut places = Vec::new();
                leaves(&state, "", &mut places);
                if let Some(leaf) = state.pointer_mut(&places[leaf.index(places.len())]) {
                    *leaf = replaced(leaf, *choice);
                }
            }
            for rest in [tail, rest.as_bytes(), b""] {
                if let Some(mut validator) = resume(format, &limits, &state)
                    && validator.feed(rest).is_ok()
                {
                    prop_assert!(resume(format, &limits, &saved(validator.as_ref())).is_some(), "{}", state);
                    let _ = validator.finish();
                }
            }
        }
    }

    #[test]
    fn garbage_is_not_gone_on_with(text in document(), format in select(&PARSED[..])) {
        prop_assert!(resume(format, &Limits::default(), &serde_json::from_str(&text).unwrap()).is_none());
    }
}
