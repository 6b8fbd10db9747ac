//! I-JSON, the limits of its memory and of tokens, and blank lines: what is asked for by name.

use tidegate::report::{Profile, Report, Verdict};
use tidegate::validate::{BlankLines, Limits, Validator};

use super::fuzz::checks::{json, ndjson};

/// The outcome, which is the same however the bytes are cut.
fn judge(open: impl Fn() -> Box<dyn Validator>, text: &[u8]) -> Result<Verdict, Box<Report>> {
    let run = |chunks: Vec<&[u8]>| {
        let mut validator = open();
        chunks.into_iter().try_for_each(|chunk| validator.feed(chunk))?;
        validator.finish()
    };
    let whole = run(vec![text]);
    for cut in 0..=text.len() {
        let (head, tail) = text.split_at(cut);
        assert_eq!(run(vec![head, tail]), whole, "{:?} cut at {cut}", String::from_utf8_lossy(text));
    }
    assert_eq!(run(text.chunks(1).collect()), whole);
    whole
}

/// Code and offset of a flaw; `None` where there is none.
fn flaw(outcome: Result<Verdict, Box<Report>>) -> Option<(String, u64)> {
    outcome.err().map(|report| (report.code().to_owned(), report.errors[0].offset))
}

#[test]
fn i_json_is_refused_where_readers_differ() {
    for (text, expected) in [
        (&b"{\"a\":1,\"b\":{\"a\":2},\"c\":[{\"a\":1},{\"a\":1}]}"[..], None),
        (b"{\"a\":1,\"a\":2}", Some(("duplicate-name", 8))),
        (b"{\"\xc3\xa4\":1,\"\\u00e4\":2}", Some(("duplicate-name", 9))),
        (b"{\"\":{\"b\":0},\"\":2}", Some(("duplicate-name", 13))),
        (b"\"\\ud83d\\ude00\"", None),
        (b"\"\xc3\xa4\\ud800\"", Some(("lone-surrogate", 3))),
        (b"\"\xc3\xa4\\udfff\"", Some(("lone-surrogate", 3))),
        (b"\"\xc3\xa4\\udbff\\n\"", Some(("lone-surrogate", 3))),
        (b"\"\xc3\xa4\\ud800\\ud800\"", Some(("lone-surrogate", 3))),
        (b"{\"\\udc00\":1}", Some(("lone-surrogate", 2))),
        (b"[1e308]", None),
        (b"[7, 1e400 ]", Some(("number-range", 4))),
        (b"-1E400", Some(("number-range", 0))),
        (b"[9007199254740991,9007199254740992]", Some(("number-range", 18))),
    ] {
        let outcome = judge(|| json(&Limits::default(), Profile::IJson), text);
        assert_eq!(flaw(outcome), expected.map(|(code, offset)| (code.to_owned(), offset)), "{text:?}");
        assert!(judge(|| json(&Limits::default(), Profile::Rfc8259), text).is_ok(), "{text:?}");
    }
    let lines = judge(|| ndjson(&Limits::default(), Profile::IJson, BlankLines::Refused), b"{\"a\":1}\n{\"a\":2}\n1e400\n2");
    assert_eq!(flaw(lines), Some(("number-range".to_owned(), 16)));
}

#[test]
fn the_memory_for_names_is_bounded_and_given_back() {
    let limits = Limits { max_key_bytes: 100, ..Limits::default() };
    let open = || json(&limits, Profile::IJson);
    assert!(judge(open, b"[{\"a\":1,\"b\":2},{\"a\":1,\"b\":2},{\"c\":{\"d\":1}}]").is_ok());
    assert_eq!(flaw(judge(open, b"{\"a\":{\"b\":{\"c\":1}}}")), Some(("key-memory".to_owned(), 12)));
}

#[test]
fn what_has_names_to_remember_says_that_it_cannot_be_saved() {
    assert!(json(&Limits::default(), Profile::IJson).save().is_none());
    assert!(json(&Limits::default(), Profile::Rfc8259).save().is_some());
}

#[test]
fn a_token_has_a_limit_of_its_own() {
    let limits = Limits { max_token_bytes: 4, ..Limits::default() };
    for profile in [Profile::Rfc8259, Profile::IJson] {
        for (text, expected) in [
            (&b"{\"abcd\":[\"\\n12\",1234,-0.5]}"[..], None),
            (b"[\"abcde\"]", Some(("token-bytes", 6))),
            (b"[\"abcde", Some(("token-bytes", 6))),
            (b"[12345]", Some(("token-bytes", 5))),
            (b"[12345", Some(("token-bytes", 5))),
            // What is wrong before the limit, or at it, was there first.
            (b"[\"abcd\n\"]", Some(("json-syntax", 6))),
            (b"[\"abcde\n\"]", Some(("token-bytes", 6))),
            (b"[\"\\u0061\"]", Some(("token-bytes", 6))),
        ] {
            let outcome = judge(|| json(&limits, profile), text);
            assert_eq!(flaw(outcome), expected.map(|(code, offset)| (code.to_owned(), offset)), "{profile} {text:?}");
        }
    }
}

#[test]
fn blank_lines_are_passed_over_by_wish() {
    let open = || ndjson(&Limits::default(), Profile::Rfc8259, BlankLines::Allowed);
    assert_eq!(judge(open, b"\n1\r\n \t\r\n\r\n2\n\n").unwrap().records, 2);
    assert_eq!(judge(open, b"\n").unwrap().records, 0);
    assert_eq!(flaw(judge(open, b"\n[\n")), Some(("split-value".to_owned(), 2)));
}

#[test]
fn a_profile_is_known_by_its_name() {
    for profile in [Profile::Rfc8259, Profile::IJson] {
        assert_eq!(profile.name().parse::<Profile>().unwrap(), profile);
    }
    assert!("json".parse::<Profile>().is_err());
}
