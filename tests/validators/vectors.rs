//! Files made up for one rule each, with the exact outcome, however they are cut.

use tidegate::report::{Flaw, Format, Verdict};
use tidegate::validate::Limits;

use super::{judge, judge_every_way};

/// A flaw: its code, and line, column, offset and record.
type Wrong = (&'static str, [u64; 4]);

/// Small enough to be passed in a vector.
const LIMITS: Limits = Limits {
    max_depth: 4,
    max_record_bytes: 24,
    max_record_lines: 6,
    max_row_fields: 8,
    max_token_bytes: 48,
    max_key_bytes: 200,
    max_document_bytes: 1000,
    max_unpacked_bytes: 1000,
    max_unpack_ratio: 1000,
};

fn accepted(format: Format, vectors: &[(&str, u64)]) {
    for (text, records) in vectors {
        let outcome = judge_every_way(format, &LIMITS, text.as_bytes());
        assert_eq!(outcome, Ok(Verdict { format, records: *records, errors: 0 }), "{format} {text:?}");
    }
}

fn refused(format: Format, vectors: &[(&[u8], Wrong)]) {
    for (bytes, (code, place)) in vectors {
        let shown = String::from_utf8_lossy(bytes);
        match judge_every_way(format, &LIMITS, bytes) {
            Ok(verdict) => panic!("{format} {shown:?}: {verdict:?}"),
            Err(report) => {
                let Flaw { code: got, line, column, offset, record, message, .. } = report.first().unwrap();
                assert_eq!(
                    (got.as_str(), [*line, *column, *offset, *record]),
                    (*code, *place),
                    "{format} {shown:?}: {message}"
                );
            }
        }
    }
}

/// What a validator says in words.
fn message(format: Format, text: &str) -> String {
    judge_every_way(format, &LIMITS, text.as_bytes()).expect_err(text).errors[0].message.clone()
}

#[test]
fn json_that_is_accepted() {
    let numbers = "[0,-0,1,-1,0.5,1e5,1E+5,1e-5,10.25e00,123456789012345678901234567890e9999]";
    accepted(
        Format::Json,
        &[
            ("null", 1),
            (" true ", 1),
            ("false\r\n", 1),
            ("0", 1),
            ("-1.5e+3", 1),
            ("1e9999999999", 1),
            ("\"\"", 1),
            ("[]", 0),
            ("[ \t\r\n]", 0),
            ("[[],[]]", 2),
            ("[1 , 2\n, 3 ]", 3),
            ("{}", 1),
            (r#"{"a":[1,2],"a":{"b":[null]}}"#, 1),
            (r#"["\"\\\/\b\f\n\r\t\u00e4\uFFFF\ud83d\uDE00","ä€😀\u007f"]"#, 2),
            ("[[[[0]]],{\"\":{}}]", 2),
            (numbers, 10),
        ],
    );
}

#[test]
fn json_that_is_refused() {
    refused(
        Format::Json,
        &[
            (b"", ("json-truncated", [1, 1, 0, 0])),
            (b" \n ", ("json-truncated", [2, 2, 3, 0])),
            (b"[1,\n", ("json-truncated", [2, 1, 4, 2])),
            (b"[1", ("json-truncated", [1, 3, 2, 1])),
            (b"-", ("json-truncated", [1, 2, 1, 1])),
            (b"{\"a\"", ("json-truncated", [1, 5, 4, 1])),
            (b"\"a\\", ("json-truncated", [1, 4, 3, 1])),
            (b"tru", ("json-truncated", [1, 4, 3, 1])),
            (b"x", ("json-syntax", [1, 1, 0, 0])),
            (b"[x]", ("json-syntax", [1, 2, 1, 1])),
            (b"[1,]", ("json-syntax", [1, 4, 3, 2])),
            (b"[1 2]", ("json-syntax", [1, 4, 3, 1])),
            (b"[,1]", ("json-syntax", [1, 2, 1, 1])),
            (b"[1,,2]", ("json-syntax", [1, 4, 3, 2])),
            (b"[1}", ("json-syntax", [1, 3, 2, 1])),
            (b"[\"\xc3\xa4\", trux]", ("json-syntax", [1, 10, 10, 2])),
            (b"[\n\"\xc3\xa4\xe2\x82\xac\" \xe2\x82\xac]", ("json-syntax", [2, 6, 10, 1])),
            (b"{1:2}", ("json-syntax", [1, 2, 1, 1])),
            (b"{\"a\" 1}", ("json-syntax", [1, 6, 5, 1])),
            (b"{\"a\":}", ("json-syntax", [1, 6, 5, 1])),
            (b"{\"a\":1,}", ("json-syntax", [1, 8, 7, 1])),
            (b"{\"a\":1]", ("json-syntax", [1, 7, 6, 1])),
            (b"[[1,2],[3,{\"a\":NaN}]]", ("json-syntax", [1, 16, 15, 2])),
            (b"'a'", ("json-syntax", [1, 1, 0, 0])),
            (b"\x0c1", ("json-syntax", [1, 1, 0, 0])),
            (b"[1\xc2\xa0]", ("json-syntax", [1, 3, 2, 1])),
            (b"-x", ("json-syntax", [1, 2, 1, 1])),
            (b"[01]", ("json-syntax", [1, 3, 2, 1])),
            (b"[1.]", ("json-syntax", [1, 4, 3, 1])),
            (b"[1e]", ("json-syntax", [1, 4, 3, 1])),
            (b"[1e+]", ("json-syntax", [1, 5, 4, 1])),
            (b"[7, +1]", ("json-syntax", [1, 5, 4, 2])),
            (b".5", ("json-syntax", [1, 1, 0, 0])),
            (b"\"\\x\"", ("json-syntax", [1, 3, 2, 1])),
            (b"\"\\\xc3\xa4\"", ("json-syntax", [1, 3, 2, 1])),
            (b"\"\\u00g0\"", ("json-syntax", [1, 6, 5, 1])),
            (b"\"\\ud800\\ux", ("json-syntax", [1, 10, 9, 1])),
            (b"\"a\tb\"", ("json-syntax", [1, 3, 2, 1])),
            (b"[\"\",\n\"\xc3\xa4\n\"]", ("json-syntax", [2, 3, 8, 2])),
            (b"[1,[[[[", ("json-depth", [1, 7, 6, 2])),
            (b"[[[{\"a\":{", ("json-depth", [1, 9, 8, 1])),
            (b"[1]\n]", ("json-syntax", [2, 1, 4, 0])),
            (b"{}{}", ("json-syntax", [1, 3, 2, 0])),
            (b"1 2", ("json-syntax", [1, 3, 2, 0])),
            (b"\xef\xbb\xbf[]", ("json-bom", [1, 1, 0, 0])),
            (b"[]\xef\xbb\xbf", ("json-syntax", [1, 3, 2, 0])),
            (b"\xff\xfe[\x00", ("invalid-utf8", [1, 1, 0, 0])),
            (b"[\"\xc3\xa4\xff\"]", ("invalid-utf8", [1, 4, 4, 1])),
            (b"[\"\xe2\x82\"]", ("invalid-utf8", [1, 3, 2, 1])),
            (b"[\"\xed\xa0\x80\"]", ("invalid-utf8", [1, 3, 2, 1])),
            (b"[1,\"\xf0\x9f\x98", ("invalid-utf8", [1, 5, 4, 2])),
            // What comes first is told, even where bytes behind it are no text.
            (b"[1 2\xff", ("json-syntax", [1, 4, 3, 1])),
        ],
    );
}

#[test]
fn json_is_refused_in_words() {
    for (text, words) in [
        ("[1 2]", "found '2', expected a comma or ]"),
        ("{\"a\":1 \n\"b\"", "found '\"', expected a comma or }"),
        ("[\u{20ac}", "found '\u{20ac}', expected a value or ]"),
        ("[NaN]", "found 'N', expected a value or ] (NaN and Infinity are not JSON)"),
        ("nulL", "found 'L', expected the rest of null"),
        ("01", "found '1' in a number, expected no digit behind a leading zero"),
        ("\"\n", "the control character U+000A stands in a string unescaped"),
        ("[[[[[", "nested deeper than 4 levels"),
        ("", "the file ends before a value begins"),
        ("[{\"a", "the file ends inside a name"),
        ("[{\"a\":\"b", "the file ends inside a string"),
        ("[{\"a\":1", "the file ends inside an object"),
        ("[1.", "the file ends inside a number"),
        ("[{}", "the file ends inside an array"),
    ] {
        assert_eq!(message(Format::Json, text), words, "{text:?}");
    }
}

#[test]
fn ndjson_that_is_accepted() {
    accepted(
        Format::Ndjson,
        &[
            ("", 0),
            ("1", 1),
            ("1\n", 1),
            ("{}\r\n[]\r\n\"\"\r\n", 3),
            (" 1 \n\t[1,2]\n\"a\"", 3),
            ("[\"ä€\"]\nnull\n-0.5", 3),
            // As long as a record may be: the LF does not count.
            ("\"3456789012345678901234\"\n\"345678901234567890123\"\r\n", 2),
        ],
    );
}

#[test]
fn ndjson_that_is_refused() {
    refused(
        Format::Ndjson,
        &[
            (b"\n", ("blank-line", [1, 1, 0, 1])),
            (b"1\n\n2\n", ("blank-line", [2, 1, 2, 2])),
            (b"1\r\n\r\n", ("blank-line", [2, 2, 4, 2])),
            (b"1\n  \n", ("blank-line", [2, 3, 4, 2])),
            (b"1\n  ", ("blank-line", [2, 3, 4, 2])),
            (b"{\"a\":\n1}\n", ("split-value", [1, 6, 5, 1])),
            (b"1\n[\n", ("split-value", [2, 2, 3, 2])),
            (b"1\n\"\xc3\xa4\n\"", ("split-value", [2, 3, 5, 2])),
            (b"1.\n", ("split-value", [1, 3, 2, 1])),
            (b"tru\n", ("split-value", [1, 4, 3, 1])),
            (b"1\n{}{}\n", ("json-syntax", [2, 3, 4, 2])),
            (b"1\n[1,]\n", ("json-syntax", [2, 4, 5, 2])),
            (b"1\n[1", ("json-truncated", [2, 3, 4, 2])),
            (b"1\n[1\r", ("json-truncated", [2, 4, 5, 2])),
            (b"\xef\xbb\xbf1\n", ("json-bom", [1, 1, 0, 1])),
            (b"1\n\xef\xbb\xbf1\n", ("json-syntax", [2, 1, 2, 2])),
            (b"1\n\"\xff\"\n", ("invalid-utf8", [2, 2, 3, 2])),
            (b"1\n\"\xe2\x82", ("invalid-utf8", [2, 2, 3, 2])),
            (b"1\n[[[[[", ("json-depth", [2, 5, 6, 2])),
            (b"1\n\"34567890123456789012345\"\n", ("record-bytes", [2, 25, 26, 2])),
            (b"1\n\"34567890123456789012345\"", ("record-bytes", [2, 25, 26, 2])),
            // The first byte over is the second of a character.
            (b"1\n\"3456789012345678901234\xc3\xa4", ("record-bytes", [2, 24, 26, 2])),
            // A flaw behind the limit is none, one before it is.
            (b"\"345678901234567890123456\n\xff\"", ("record-bytes", [1, 25, 24, 1])),
            (b"                        x", ("record-bytes", [1, 25, 24, 1])),
            (b"                       x ", ("json-syntax", [1, 24, 23, 1])),
        ],
    );
}

#[test]
fn csv_that_is_accepted() {
    accepted(
        Format::Csv,
        &[
            ("a", 0),
            ("a,b\n", 0),
            ("a,b\r\n1,2\r\n", 1),
            ("a,b\n1,2\r\n3,4", 2),
            ("\u{feff}a,b\n1,2\n", 1),
            ("\u{feff}\"a\",b\n1,2\n", 1),
            ("a\n\n1\n\r\n", 3),
            ("a,b\n,\n\"\",\"\"\n", 2),
            ("a,b\n\"x,\r\n\ny\",\"\"\"\"\n", 1),
            ("\"a,1\",\"a\"\"2\"\n1,2\n", 1),
            ("A,a, a\n1,2,3\n", 1),
            ("ä,€\n😀,\u{1}\n", 1),
            ("a\n\"1\"\r\n\"2\"", 2),
            ("a,b\n12345678901,123456789012\n12345678901,12345678901\r\n1,\"345678901234567890\r\n\"\n", 3),
        ],
    );
    accepted(Format::Tsv, &[("a\tb\n1,2\t\"3\t4\"\n", 1), ("a,b\n1\n", 1)]);
}

#[test]
fn csv_that_is_refused() {
    refused(
        Format::Csv,
        &[
            (b"", ("missing-header", [1, 1, 0, 0])),
            (b"\xef\xbb\xbf", ("missing-header", [1, 2, 3, 0])),
            (b"\n", ("blank-header", [1, 1, 0, 0])),
            (b"\r\n", ("blank-header", [1, 1, 0, 0])),
            (b"a,\xc2\xa0 ,b\n", ("blank-header", [1, 3, 2, 0])),
            (b"a,\"\"\n", ("blank-header", [1, 3, 2, 0])),
            (b"a,b,", ("blank-header", [1, 5, 4, 0])),
            (b"a,b,\r\n", ("blank-header", [1, 5, 4, 0])),
            (b"\xc3\xa4,b,\xc3\xa4\n", ("duplicate-label", [1, 5, 5, 0])),
            (b"a,\"a\"", ("duplicate-label", [1, 3, 2, 0])),
            (b"\"a\"\"\",\"a\"\"\"\r\n", ("duplicate-label", [1, 7, 6, 0])),
            (b"\xef\xbb\xbfa,a\n", ("duplicate-label", [1, 4, 5, 0])),
            (b"a,b\n1,2\n3\n", ("missing-cell", [3, 2, 9, 2])),
            (b"a,b\n1,2\n3\r\n", ("missing-cell", [3, 3, 10, 2])),
            (b"a,b\n1,2\n3", ("missing-cell", [3, 2, 9, 2])),
            (b"a,b\n1,2,3\n", ("extra-cell", [2, 4, 7, 1])),
            (b"a,b\n\n", ("blank-row", [2, 1, 4, 1])),
            (b"a,b\n\"x\ny\"\n", ("missing-cell", [3, 3, 9, 1])),
            (b"a\n1,", ("extra-cell", [2, 2, 3, 1])),
            (b"a\n\xc3\xa4\"", ("stray-quote", [2, 2, 4, 1])),
            (b"a\n \"b\"", ("stray-quote", [2, 2, 3, 1])),
            (b"a\"b\n", ("stray-quote", [1, 2, 1, 0])),
            (b"a\n\"b\"\xc3\xa4\n", ("text-after-quote", [2, 4, 5, 1])),
            (b"a\n\"b\" ", ("text-after-quote", [2, 4, 5, 1])),
            (b"a\n\"b\n\xc3\xa4", ("unclosed-quote", [2, 1, 2, 1])),
            (b"\"a", ("unclosed-quote", [1, 1, 0, 0])),
            (b"a\n\"b\"\"", ("unclosed-quote", [2, 1, 2, 1])),
            (b"a\n1\r2\n", ("bare-cr", [2, 2, 3, 1])),
            (b"a\n1\r", ("bare-cr", [2, 2, 3, 1])),
            (b"a\r\r\n", ("bare-cr", [1, 2, 1, 0])),
            (b"a\n\r\xc3\xa4\n", ("bare-cr", [2, 1, 2, 1])),
            (b"a\n\"\"\r,\n", ("bare-cr", [2, 3, 4, 1])),
            (b"a\n1\n\0\0", ("nul-byte", [3, 1, 4, 2])),
            (b"a\n\"\0", ("nul-byte", [2, 2, 3, 1])),
            (b"a\n1\0", ("nul-byte", [2, 2, 3, 1])),
            (b"a\0b\0", ("nul-byte", [1, 2, 1, 0])),
            (b"a\n\"\"\0", ("nul-byte", [2, 3, 4, 1])),
            (b"\xff\xfea\0", ("invalid-utf8", [1, 1, 0, 0])),
            (b"a\n\xc3\xa4\xe4\n", ("invalid-utf8", [2, 2, 4, 1])),
            (b"a\n\xc3", ("invalid-utf8", [2, 1, 2, 1])),
            (b"a\n1\n1234567890123456789012345\n", ("record-bytes", [3, 25, 28, 2])),
            (b"a\n1\n12345678901234567890123\xc3\xa4\n", ("record-bytes", [3, 24, 28, 2])),
            (b"a\n123456789012345678901234\r\n", ("record-bytes", [2, 25, 26, 1])),
            (b"a,b3456789012345678901234", ("record-bytes", [1, 25, 24, 0])),
            (b"a,b\n\"\n34567890123456789012345\"", ("record-bytes", [3, 23, 28, 1])),
            (b"a,b\n\"\n3456789012345678901234\n", ("record-bytes", [3, 23, 28, 1])),
            (b"a\n\"\n34567890123456789012345\"", ("record-bytes", [3, 23, 26, 1])),
            // A quote that, had it been closed on its line, would leave a whole row behind it.
            (b"a\n\"\n3456789012345678901234\n", ("unclosed-quote", [2, 1, 2, 1])),
            // In a header, too: the second name is blank, and without the quote none is.
            (b"a,\"b,c\n\", \n2\",3,4\n", ("unclosed-quote", [1, 3, 2, 0])),
            (b"a\n12345678901234567890123456\"\xff", ("record-bytes", [2, 25, 26, 1])),
            (b"a\n12345678901234567890123\"x", ("stray-quote", [2, 24, 25, 1])),
        ],
    );
    refused(
        Format::Tsv,
        &[(b"a\tb\n1\t2\t3", ("extra-cell", [2, 4, 7, 1])), (b"a\ta\n", ("duplicate-label", [1, 3, 2, 0]))],
    );
}

#[test]
fn csv_is_refused_in_words() {
    for (text, words) in [
        ("a,b,c\n1,2\n", "row has 2 cells, expected 3"),
        ("a,b,c\n1\n", "row has 1 cell, expected 3"),
        ("a,b,c\n\"\"\n", "row has 1 cell, expected 3"),
        ("a,b,c\n\n", "blank row, expected 3 cells"),
        ("a,b,c\n\r\n", "blank row, expected 3 cells"),
        ("a,b\n1,2,", "row has more than the 2 cells expected"),
        ("a\n1\n2,3", "row has more than the 1 cell expected"),
        ("a, ,b\n", "field 2 of the header has no name"),
        ("a,\"b\"\"\",c,\"b\"\"\"\n", "field 4 of the header repeats the name of field 2"),
        ("a,b\n1,\"x", "the quote opened here is never closed"),
        ("a,b\n1,\"x\n\n", "the quote opened at line 2, column 3 is not closed on this line"),
        ("a,b\n1,\"x\n2,3\n", "the quote opened here is not closed on its line, and what follows reads as further rows"),
        (
            "a,b\n1,\"3456789012345678901234567",
            "the record is longer than 24 bytes; the quote opened at line 2, column 3 is not closed yet",
        ),
        ("a,b\n1,2345678901234567890123456789", "the record is longer than 24 bytes"),
    ] {
        assert_eq!(message(Format::Csv, text), words, "{text:?}");
    }
}

#[test]
fn a_rejection_comes_with_the_first_byte_that_proves_it() {
    for (format, text, proof) in [
        (Format::Json, "[1 2, 3]", 4),
        (Format::Json, "\"\\ud80x\"", 7),
        (Format::Ndjson, "1\n{\n}\n", 4),
        (Format::Csv, "a,b\n1,2,3\n", 8),
        (Format::Csv, "a,a,c\n", 6),
        (Format::Csv, "a,b\n1\r\n2,3", 7),
    ] {
        let mut validator = tidegate::validate::for_format(format, &LIMITS).expect("a format that is parsed");
        let fed = text.bytes().position(|byte| validator.feed(&[byte]).is_err()).expect("a flaw before the end");
        assert_eq!(fed + 1, proof, "{format} {text:?}");
    }
}

#[test]
fn blocks_inside_of_a_large_chunk_change_nothing() {
    // A chunk is worked on in blocks: put a character, an escape, a CRLF and a quote across every offset near their ends.
    let limits = Limits::default();
    for shift in 0..24 {
        let filler = "x".repeat((32 << 10) - 12 + shift);
        let json = format!("[\"{filler}\u{20ac}\\ud83d\\ude00\", tru]");
        let table = format!("a,b\r\n{filler},\"\"\"\u{20ac}\"\r\n1,\"2\"3\r\n");
        for (format, text) in [(Format::Json, json), (Format::Csv, table)] {
            let whole = judge(format, &limits, [text.as_bytes()]);
            assert!(whole.is_err());
            assert_eq!(judge(format, &limits, text.as_bytes().chunks(7)), whole, "{format} shift {shift}");
        }
    }
}

#[test]
fn a_format_that_is_not_parsed_has_no_validator() {
    assert!(tidegate::validate::for_format(Format::None, &Limits::default()).is_none());
}

#[test]
fn a_header_has_a_bound_of_its_own_and_a_row_has_not() {
    let limits = Limits::default();
    let mebibyte = 1 << 20;
    let names: String = (0..).map(|number| format!("n{number},")).take(16_000).collect();
    let fits = format!("{}\n", &names[..names.len() - 1]);
    assert!(fits.len() < mebibyte, "{}", fits.len());
    assert_eq!(judge(Format::Csv, &limits, fits.as_bytes().chunks(4099)).unwrap().records, 0);
    let long = format!("{},a\n", "x".repeat(mebibyte));
    for chunk in [long.len(), 4099] {
        let rejection = judge(Format::Csv, &limits, long.as_bytes().chunks(chunk)).unwrap_err();
        assert_eq!((rejection.code(), rejection.errors[0].offset), ("record-bytes", 1 << 20));
    }
    let row = format!("a,b\n{},1\n", "x".repeat(2 * mebibyte));
    assert_eq!(judge(Format::Csv, &limits, [row.as_bytes()]).unwrap().records, 1);
}
