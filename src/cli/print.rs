//! How the subcommands say the same things.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::mpsc;
use std::time::Duration;

use indicatif::BinaryBytes;

use crate::escape;
use crate::report::{Flaw, Report, Verdict};
use crate::upload::Receipt;

/// For whom outcomes are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Form {
    /// What the flag `--json` asks for.
    pub(super) fn of(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// How long [`briefly`] waits.
const BRIEFLY: Duration = Duration::from_secs(1);

/// Prints something on a thread of its own, and waits for it a moment at most: a pipe that nobody
/// reads must not hold a server.
pub(super) fn briefly(print: impl FnOnce() + Send + 'static) {
    let (done, waits) = mpsc::channel::<()>();
    let printing = std::thread::Builder::new().name("print".to_owned()).spawn(move || {
        print();
        drop(done);
    });
    if printing.is_ok() {
        _ = waits.recv_timeout(BRIEFLY);
    }
}

/// Prints a line on standard output, and no more than one: see [`escape::line`]. A closed stream is
/// no error.
pub(super) fn line(text: &str) {
    _ = writeln!(io::stdout().lock(), "{}", escape::line(text));
}

/// Prints a JSON text on standard output, with what a terminal could act on escaped as JSON has it.
pub(super) fn json(text: &str) {
    _ = writeln!(io::stdout().lock(), "{}", escape::json(text));
}

/// Prints text on standard output as it is: it ends its lines itself, and what others chose in it
/// has been escaped. A closed stream is no error.
pub(super) fn text(text: &str) {
    _ = write!(io::stdout().lock(), "{text}");
}

/// Prints a line on standard error, for people, and no more than one. A closed stream is no error.
pub(super) fn note(text: &str) {
    _ = writeln!(io::stderr().lock(), "{}", escape::line(text));
}

/// The same for several lines.
pub(super) fn notes(text: &str) {
    _ = writeln!(io::stderr().lock(), "{}", escape::lines(text));
}

/// What is wrong with a file, and where, if a validator said it.
pub(super) fn flaw(code: &str, message: &str, report: Option<&Report>) -> String {
    let kept = report.and_then(|report| report.quarantined.as_ref());
    let kept = kept.map(|id| format!("; kept in quarantine as {id}")).unwrap_or_default();
    match report.and_then(|report| Some((report, report.first()?))) {
        Some((report, Flaw { code, message, line, column, .. })) => {
            let more = match report.errors_total {
                0 | 1 => String::new(),
                total => format!(", and {}", plural(total - 1, "more error")),
            };
            format!("line {line}, column {column}: {message} [{code}]{more}{kept}")
        }
        None => format!("{message} [{code}]"),
    }
}

/// `csv, 12 records`.
pub(super) fn verdict_words(Verdict { format, records, errors }: Verdict) -> String {
    let flaws = if errors == 0 { String::new() } else { format!(", {}", plural(errors, "error")) };
    format!("{format}, {}{flaws}", plural(records, "record"))
}

/// That a file was committed whatever its validator found.
pub(super) fn let_pass(name: &str, report: &Report) -> String {
    let what = flaw("invalid", "it is not valid", Some(report));
    format!("warning    {name}: committed although it is not valid: {what}")
}

/// `committed  a.csv  1.00 MiB  sha256:…  csv, 12 records`.
pub(super) fn committed(receipt: &Receipt) -> String {
    let Receipt { name, key, size, digest, verdict, duplicate, .. } = receipt;
    let mut told = format!("committed  {key}  {}  {digest}", BinaryBytes(*size));
    if let Some(verdict) = verdict {
        _ = write!(told, "  {}", verdict_words(*verdict));
    }
    if key != name {
        _ = write!(told, "  (stored as {key}: {name} is taken)");
    }
    if *duplicate {
        told.push_str("  (duplicate)");
    }
    told
}

/// `1 file`, `12 files`.
pub(super) fn files(number: usize) -> String {
    plural(number as u64, "file")
}

/// `1 error`, `12 errors`.
pub(super) fn plural(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}
