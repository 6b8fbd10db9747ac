//! The ledger as a table: columns of fixed width first, then what may be of any length.

use std::time::Duration;

use indicatif::BinaryBytes;

use crate::cli::print::{flaw, verdict_words};
use crate::escape;
use crate::ledger::{Entry, Outcome};
use crate::upload::Digest;

/// Hexadecimal digits of a digest that are shown: enough to tell files apart.
const DIGEST_DIGITS: usize = 12;

/// Whether rows are painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Paint {
    /// With the colours of a terminal.
    Colours,
    /// As they are.
    Plain,
}

/// What stands above the rows.
pub(super) fn head() -> String {
    format!(
        "{:20}  {:9}  {:>11}  {:>8}  {:DIGEST_DIGITS$}  {:16}  {:30}  WHAT",
        "TIME", "OUTCOME", "SIZE", "TOOK", "DIGEST", "FROM", "NAME"
    )
}

/// An entry as a row.
pub(super) fn row(entry: &Entry, paint: Paint) -> String {
    let time = humantime::format_rfc3339_seconds(entry.at);
    let (word, colour) = match entry.outcome {
        Outcome::Committed if entry.duplicate => ("duplicate", 36),
        Outcome::Committed => ("committed", 32),
        Outcome::Rejected => ("rejected", 31),
        Outcome::Failed => ("failed", 33),
    };
    let outcome = match paint {
        Paint::Colours => format!("\u{1b}[{colour}m{word:9}\u{1b}[0m"),
        Paint::Plain => format!("{word:9}"),
    };
    // What came of an upload that was refused; what was announced need not have come.
    let bytes = entry.size.filter(|_| entry.outcome == Outcome::Committed).unwrap_or(entry.bytes);
    let size = BinaryBytes(bytes).to_string();
    let took = took(Duration::from_millis(entry.took_ms));
    let digest = entry.digest.as_ref().map_or_else(|| "-".to_owned(), short);
    let (from, name) = (or_dash(&from(entry)), or_dash(&entry.name));
    let row =
        format!("{time}  {outcome}  {size:>11}  {took:>8}  {digest:DIGEST_DIGITS$}  {from:16}  {name:30}  {}", what(entry));
    row.trim_end().to_owned()
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-".to_owned() } else { escape::line(text).into_owned() }
}

fn from(entry: &Entry) -> String {
    match (&entry.collector, entry.peer) {
        (Some(collector), _) => collector.clone(),
        (None, Some(peer)) => peer.ip().to_string(),
        (None, None) => String::new(),
    }
}

/// What there is to say beside the numbers.
fn what(entry: &Entry) -> String {
    let mut said = Vec::new();
    said.extend(entry.verdict.map(verdict_words));
    said.extend(entry.key.as_ref().filter(|key| key.as_str() != entry.name).map(|key| format!("(stored as {key})")));
    if let (Some(reason), Some(message)) = (&entry.reason, &entry.message) {
        said.push(flaw(reason, message, entry.report.as_ref()));
    }
    escape::line(&said.join("  ")).into_owned()
}

fn short(digest: &Digest) -> String {
    let text = digest.to_string();
    let digits = text.split_once(':').map_or(text.as_str(), |(_, digits)| digits);
    digits.chars().take(DIGEST_DIGITS).collect()
}

/// `12 ms`, `3.4 s`, `2m 5s`.
fn took(time: Duration) -> String {
    match time.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => humantime::format_duration(Duration::from_secs(time.as_secs())).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::report::{Format, Verdict};

    fn committed() -> Entry {
        Entry {
            at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_500),
            key: Some("a~2.csv".parse().unwrap()),
            size: Some(1 << 20),
            bytes: 1 << 20,
            digest: Some(Digest::of(b"abc")),
            took_ms: 1_260,
            verdict: Some(Verdict { format: Format::Csv, records: 12, errors: 0 }),
            ..Entry::new(Outcome::Committed, "a.csv", None)
        }
    }

    #[test]
    fn rows_stand_below_their_heads() {
        let (head, row) = (head(), row(&committed(), Paint::Plain));
        assert_eq!(
            row,
            "1970-01-01T00:00:01Z  committed     1.00 MiB     1.3 s  ba7816bf8f01  -                 \
             a.csv                           csv, 12 records  (stored as a~2.csv)"
        );
        for (title, value) in
            [("TIME", "1970"), ("OUTCOME", "committed"), ("DIGEST", "ba78"), ("NAME", "a.csv"), ("WHAT", "csv,")]
        {
            assert_eq!(head.find(title), row.find(value), "{title}");
        }
        for (title, value) in [("SIZE", "1.00 MiB"), ("TOOK", "1.3 s")] {
            let end = |text: &str, part: &str| text.find(part).map(|at| at + part.len());
            assert_eq!(end(&head, title), end(&row, value), "{title}");
        }
    }

    #[test]
    fn colours_are_for_the_outcome_alone() {
        let row = row(&Entry { duplicate: true, ..committed() }, Paint::Colours);
        assert!(row.contains("Z  \u{1b}[36mduplicate\u{1b}[0m  "), "{row:?}");
    }

    #[test]
    fn nothing_in_it_reaches_the_terminal_as_it_is() {
        let evil = "a\u{1b}[2J\n\u{202e}\u{85}é";
        let entry = Entry {
            collector: Some(evil.to_owned()),
            reason: Some(evil.to_owned()),
            message: Some(evil.to_owned()),
            ..Entry::new(Outcome::Rejected, evil, None)
        };
        let row = row(&entry, Paint::Plain);
        assert!(!row.contains(|char: char| char.is_control() || char == '\u{202e}'), "{row:?}");
        assert_eq!(row.matches("a\\u{1b}[2J\\n\\u{202e}\\u{85}é").count(), 4, "{row}");
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        for (millis, told) in [(0, "0 ms"), (999, "999 ms"), (1_000, "1.0 s"), (59_949, "59.9 s"), (125_900, "2m 5s")] {
            assert_eq!(took(Duration::from_millis(millis)), told);
        }
    }
}
