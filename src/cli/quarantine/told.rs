//! What is in quarantine, for people and for programs.

use indicatif::BinaryBytes;

use crate::cli::print::{self, Form, harmless, line};
use crate::report::{Flaw, Report};
use crate::sink::Quarantined;

/// Digits of an id that a list shows: enough to tell files apart.
const ID_DIGITS: usize = 12;

/// A line for each file.
pub(super) fn list(form: Form, files: &[&Quarantined]) {
    match form {
        Form::Json => files.iter().for_each(|file| line(&json(file))),
        Form::Text if files.is_empty() => print::note("nothing is in quarantine"),
        Form::Text => {
            line(&format!("{:ID_DIGITS$}  {:20}  {:>11}  {:30}  WHAT", "ID", "SINCE", "SIZE", "NAME"));
            for file in files {
                line(row(file).trim_end());
            }
        }
    }
}

/// Everything that is known of a file.
pub(super) fn show(form: Form, file: &Quarantined) {
    match form {
        Form::Json => line(&json(file)),
        Form::Text => words(file).iter().for_each(|text| line(text)),
    }
}

fn json(file: &Quarantined) -> String {
    serde_json::to_string(file).expect("it is plain data with text for keys")
}

fn row(file: &Quarantined) -> String {
    let id: String = file.id.as_str().chars().take(ID_DIGITS).collect();
    let since = humantime::format_rfc3339_seconds(file.quarantined_at);
    let (size, name) = (BinaryBytes(file.size).to_string(), harmless(file.name.as_str()));
    let what = file.report.first().map(told).unwrap_or_default();
    format!("{id}  {since}  {size:>11}  {name:30}  {what}{}", more(&file.report, 1))
}

fn words(file: &Quarantined) -> Vec<String> {
    let Quarantined { id, name, size, digest, quarantined_at, upload, collector, content_type, meta, report } = file;
    let fact = |what: &str, said: &dyn std::fmt::Display| format!("{what:9}  {}", harmless(&said.to_string()));
    let mut told_of = vec![
        fact("id", id),
        fact("name", name),
        fact("size", &format_args!("{size} bytes")),
        fact("digest", digest),
        fact("since", &humantime::format_rfc3339_seconds(*quarantined_at)),
        fact("upload", upload),
    ];
    told_of.extend(collector.as_ref().map(|collector| fact("collector", collector)));
    told_of.extend(content_type.as_ref().map(|content_type| fact("type", &content_type.as_str())));
    told_of.extend(meta.iter().map(|(name, value)| fact("meta", &format_args!("{name}={value}"))));
    let read = if report.complete { "read to its end" } else { "not read to its end" };
    told_of.push(fact("read as", &format_args!("{}, {read}", report.format)));
    told_of.push(fact("errors", &report.errors_total));
    told_of.extend(report.errors.iter().map(|flaw| format!("  {}", told(flaw))));
    let kept = report.errors.len() as u64;
    if report.errors_total > kept {
        told_of.push(format!("  {}", more(report, kept).trim_start_matches(", ")));
    }
    told_of
}

/// Where it stands and what it is.
fn told(flaw: &Flaw) -> String {
    let Flaw { code, message, line, column, .. } = flaw;
    harmless(&format!("line {line}, column {column}: {message} [{code}]"))
}

/// How many there are besides the `shown` ones.
fn more(report: &Report, shown: u64) -> String {
    match report.errors_total.saturating_sub(shown) {
        0 => String::new(),
        1 => ", and 1 more error".to_owned(),
        more => format!(", and {more} more errors"),
    }
}
