//! How an entry becomes a line of bounded length.
//!
//! The ledger records every upload's end, and so a sender chooses how many lines there are. It must
//! not choose how long they are: a report of 100 errors made 14.6 KB of a file of 248 bytes. The
//! whole report is in the answer, and beside a file in quarantine.

use super::Entry;
use crate::report::Report;

/// The longest line, with its end. Two keys of [`Key::MAX_BYTES`](crate::upload::Key), each
/// escaped, and everything else that is never cut, fit in.
pub(super) const MAX_LINE_BYTES: usize = 8 * 1024;

/// The errors of a report that a line holds: two or three. A line of a small invalid file has some
/// 900 bytes, most of which say who sent it and when.
const MAX_ERRORS_BYTES: usize = 512;

/// The longest name, as JSON: a key of the longest kind, each byte escaped by another one.
pub(super) const MAX_NAME_BYTES: usize = 2048;

/// The longest other text that a sender chose, as JSON.
pub(super) const MAX_TEXT_BYTES: usize = 1024;

/// The line of an entry, with its end.
pub(super) fn of(entry: &Entry) -> Vec<u8> {
    let line = json(entry);
    if line.len() <= MAX_LINE_BYTES {
        return line;
    }
    // Not reached by what `Entry` lets in: the bound holds whatever is added there.
    let bare = Entry { message: None, report: None, collector: None, cut: true, ..entry.clone() };
    json(&bare)
}

fn json(entry: &Entry) -> Vec<u8> {
    let mut line = serde_json::to_vec(entry).expect("an entry has text keys only, and a buffer takes all");
    line.push(b'\n');
    line
}

/// The part of a report that a line holds: its counts, and the first errors.
pub(super) fn brief(report: &Report) -> Report {
    let mut room = MAX_ERRORS_BYTES;
    let mut fits = |error: &_| {
        let bytes = serde_json::to_vec(error).map_or(usize::MAX, |json| json.len());
        room.checked_sub(bytes).inspect(|left| room = *left).is_some()
    };
    let errors = report.errors.iter().take_while(|error| fits(error)).cloned().collect();
    Report {
        format: report.format,
        valid: report.valid,
        complete: report.complete,
        records: report.records,
        bytes: report.bytes,
        errors_total: report.errors_total,
        counts: report.counts.clone(),
        errors,
        quarantined: report.quarantined.clone(),
    }
}

/// As much of a text as takes `max_bytes` in JSON.
pub(super) fn cut(text: &str, max_bytes: usize) -> &str {
    let mut room = max_bytes;
    let end = text.char_indices().find(|(_, char)| match room.checked_sub(json_bytes(*char)) {
        Some(left) => {
            room = left;
            false
        }
        None => true,
    });
    end.map_or(text, |(end, _)| &text[..end])
}

/// The bytes of a character in a JSON string (RFC 8259 section 7), at most.
fn json_bytes(char: char) -> usize {
    match char {
        '"' | '\\' => 2,
        '\0'..='\u{1f}' => 6,
        _ => char.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::error::{Error, ErrorKind};
    use crate::ledger::{Origin, Outcome};
    use crate::report::{Code, Flaw, Format, Severity};
    use crate::wire::Protocol;

    fn report(errors: usize, message: &str) -> Report {
        let flaw = Flaw {
            code: "extra-cell".to_owned(),
            severity: Severity::Error,
            message: message.to_owned(),
            record: 1,
            line: 2,
            column: 3,
            offset: 4,
            field: None,
            instance_path: None,
            schema_path: None,
            constraint: None,
            snippet: Some("1,2,3".to_owned()),
        };
        Report {
            format: Format::Csv,
            valid: false,
            complete: true,
            records: 100,
            bytes: 248,
            errors_total: errors as u64,
            counts: BTreeMap::from([("extra-cell".to_owned(), errors as u64)]),
            errors: vec![flaw; errors],
            quarantined: None,
        }
    }

    fn invalid(report: Report) -> Error {
        Error::new(ErrorKind::Invalid, "not valid csv").because(report)
    }

    fn parsed(line: &[u8]) -> Entry {
        assert!(line.len() <= MAX_LINE_BYTES, "{}", line.len());
        serde_json::from_slice(line).unwrap()
    }

    #[test]
    fn a_report_is_cut_and_its_counts_stay() {
        let whole = report(100, "one cell more than the header has");
        let line = of(&Entry::new(Outcome::Rejected, "a.csv", None).because(&invalid(whole.clone())));
        assert!(line.len() < 1200, "{}", line.len());
        let Entry { cut, report, .. } = parsed(&line);
        let report = report.unwrap();
        assert!(cut && !report.errors.is_empty() && report.errors.len() < 100);
        assert_eq!((report.errors_total, &report.counts), (100, &whole.counts));
        assert_eq!(report.errors[..], whole.errors[..report.errors.len()]);

        let one = Entry::new(Outcome::Rejected, "a.csv", None).because(&invalid(self::report(1, "x")));
        assert!(!parsed(&of(&one)).cut && !String::from_utf8(of(&one)).unwrap().contains("\"cut\""));
    }

    #[test]
    fn no_line_is_longer_whatever_a_sender_chooses() {
        for text in ["\u{1}", "\"", "é", "\u{10ffff}", "x"] {
            let long = text.repeat(100_000);
            let peer = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
            let origin = Origin { peer, protocol: Protocol::Framed, collector: Some(long.clone()) };
            let mut all = report(100, &long);
            all.counts = Code::ALL.iter().map(|code| (code.name().to_owned(), u64::MAX)).collect();
            all.quarantined = Some("x".repeat(128));
            let entry = Entry::new(Outcome::Rejected, &long, Some(&origin)).because(&invalid(all));
            let key = format!("{}\"", "\"/".repeat(511)).parse().unwrap();
            let filled = Entry {
                key: Some(key),
                id: Some("x".repeat(128).parse().unwrap()),
                size: Some(u64::MAX),
                bytes: u64::MAX,
                resumed_at: Some(u64::MAX),
                digest: Some(crate::upload::Digest::of(b"")),
                took_ms: u64::MAX,
                quarantine: Some("x".repeat(128)),
                ..entry
            };
            let read = parsed(&of(&filled));
            assert!(read.cut, "{text:?}");
            assert!(long.starts_with(&read.name) && read.name.len() >= 341, "{}", read.name.len());
            assert!(read.report.is_some_and(|report| report.errors_total == 100), "{text:?}: the counts stay");
        }
    }

    #[test]
    fn a_text_is_cut_by_its_bytes_in_json_and_between_characters() {
        for text in ["a\"b\\c\u{1}\u{1f}é\u{10ffff}\u{7f}", "", "\n\t"] {
            let whole = serde_json::to_string(text).unwrap().len() - 2;
            for max_bytes in 0..60 {
                let kept = cut(text, max_bytes);
                assert!(text.starts_with(kept));
                assert!(serde_json::to_string(kept).unwrap().len() - 2 <= max_bytes);
                assert!(kept == text || max_bytes < 6 * whole.max(1));
            }
            assert_eq!(cut(text, 1000), text);
        }
    }
}
