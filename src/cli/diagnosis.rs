//! A report as a good compiler would print it: for each flaw the line, a caret under the place, and the reason.
//!
//! Knows reports and lines; not who judged, nor by what.

mod excerpt;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use self::excerpt::Excerpt;
use super::print::plural;
use crate::escape;
use crate::report::{Compression, Field, Flaw, Format, Report, Severity};
use crate::validate::{Dialect, Snippets, Standard};

/// What the lines of a file are shown from.
#[derive(Debug)]
pub(super) struct Origin {
    /// As the user would call it.
    name: String,
    /// Where it can be read again, if it can.
    file: Option<PathBuf>,
    /// What ends a cell.
    delimiter: u8,
    snippets: Snippets,
}

impl Origin {
    /// A file that was held to a standard. What is `None` can't be read twice: there the report's snippets stand in, and so they
    /// do for what was unpacked, whose offsets are not those of the file.
    pub(super) fn new(path: &Path, file: Option<&Path>, standard: &Standard) -> Self {
        let file = file.filter(|_| standard.compression == Compression::None).map(Path::to_owned);
        let usual = if standard.format == Format::Tsv { b'\t' } else { b',' };
        let delimiter = standard.dialect.as_ref().map_or(usual, Dialect::delimiter);
        Self { name: escape::line(&escape::path(path)).into_owned(), file, delimiter, snippets: standard.snippets }
    }
}

/// Whether colours help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Colours {
    On,
    Off,
}

impl Colours {
    /// Only where a person looks at standard output who has not refused them (<https://no-color.org>).
    pub(super) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if io::stdout().is_terminal() && !refused && !dumb { Self::On } else { Self::Off }
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self {
            Self::On if !text.is_empty() => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::On | Self::Off => text.to_owned(),
        }
    }
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const BLUE: &str = "1;34";

/// Every flaw that a report tells, a paragraph for each.
pub(super) fn flaws(report: &Report, origin: &Origin, colours: Colours) -> String {
    // Who can't read the file any more sees what the report has kept of it.
    let mut file = origin.file.as_ref().and_then(|path| File::open(path).ok());
    let mut text = String::new();
    for flaw in &report.errors {
        let excerpt = file
            .as_mut()
            .and_then(|file| Excerpt::read(file, flaw, origin.delimiter, origin.snippets).ok().flatten())
            .or_else(|| Excerpt::of_snippet(flaw));
        text.push_str(&paragraph(flaw, &origin.name, excerpt.as_ref(), colours));
        text.push('\n');
    }
    let untold = report.errors_total.saturating_sub(report.errors.len() as u64);
    if untold > 0 {
        _ = writeln!(text, "… and {} that the report only counts\n", plural(untold, "more error"));
    }
    text
}

/// `csv, 3 errors in 1000 records: 1 extra-cell, 2 missing-cell`
pub(super) fn summary(report: &Report) -> String {
    let Report { format, complete, records, bytes, errors_total, counts, .. } = report;
    let errors = plural(*errors_total, "error");
    let counts: Vec<_> = counts.iter().map(|(code, number)| format!("{number} {code}")).collect();
    let counts = counts.join(", ");
    if *complete {
        return format!("{format}, {errors} in {}: {counts}", plural(*records, "record"));
    }
    format!("{format}, {errors}: {counts}; not read beyond byte {bytes} in record {records}")
}

fn paragraph(flaw: &Flaw, name: &str, excerpt: Option<&Excerpt>, colours: Colours) -> String {
    let Flaw { code, severity, message, line, column, .. } = flaw;
    let (word, colour) = match severity {
        Severity::Error => ("error", RED),
        Severity::Warning => ("warning", YELLOW),
    };
    let gutter = " ".repeat(line.to_string().len() + 1);
    let bar = colours.paint(BLUE, "|");
    let head = colours.paint(colour, &format!("{word}[{code}]"));
    let mut text = format!("{head}{}\n", colours.paint(BOLD, &format!(": {}", escape::line(message))));
    // Of what is told of a whole file or of a row that is long gone, no line is known.
    let place = if *line == 0 { String::new() } else { format!(":{line}:{column}") };
    _ = writeln!(text, "{}{} {name}{place}", &gutter[1..], colours.paint(BLUE, "-->"));
    if let Some(Excerpt { shown, before, carets }) = excerpt {
        let number = colours.paint(BLUE, &line.to_string());
        let carets = colours.paint(colour, &"^".repeat(*carets));
        // Nothing stands behind the bar of a blank line.
        let line = if shown.is_empty() { String::new() } else { format!(" {shown}") };
        _ = writeln!(text, "{gutter}{bar}\n{number} {bar}{line}\n{gutter}{bar} {}{carets}", " ".repeat(*before));
    }
    for note in notes(flaw) {
        _ = writeln!(text, "{gutter}{} {note}", colours.paint(BLUE, "="));
    }
    text
}

/// What else is known of the place, a line for each thing.
fn notes(flaw: &Flaw) -> Vec<String> {
    let Flaw { record, field, constraint, instance_path, schema_path, .. } = flaw;
    let mut first = if *record == 0 { Vec::new() } else { vec![format!("record {record}")] };
    if let Some(Field { name, index }) = field {
        first.push(format!("field {index}, {}", escape::line(name)));
    }
    let mut notes = if first.is_empty() { Vec::new() } else { vec![first.join(", ")] };
    for (what, value) in [("constraint", constraint), ("at", instance_path), ("by the schema's", schema_path)] {
        notes.extend(value.as_ref().map(|value| format!("{what} {}", escape::line(value))));
    }
    notes
}
