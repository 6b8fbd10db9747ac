//! `tidegate validate --explain CODE`: what a code means, with an example, for whoever has to repair a file.
//!
//! The lessons are data, a file for each family of codes. Nothing is validated here.

mod json;
mod limits;
mod schemas;
mod tables;

use std::fmt::Write as _;
use std::process::ExitCode;

use super::print;
use crate::escape::is_escaped;
use crate::report::{Code, Format};

/// What is to be known of a code.
struct Lesson {
    /// What is wrong, in a line.
    title: &'static str,
    /// What it means, where it comes from and what helps; a line of the screen for each line.
    meaning: &'static str,
    example: Example,
    /// Whose sentence decides.
    standard: &'static str,
    /// What changes it, if anything does.
    setting: Option<&'static str>,
}

/// A file that has the flaw.
enum Example {
    /// One that has it whatever it is held to, and how it is repaired.
    Plain(Pair),
    /// One that has it where a rule says more of such files.
    Under { rule: &'static str, files: Pair },
    /// None that could be shown.
    Words(&'static str),
}

struct Pair {
    format: Format,
    broken: &'static [u8],
    repaired: &'static [u8],
}

/// Explains a code, or lists all of them for an empty one. The exit code is 2 where there is none of that name.
pub(super) fn run(name: &str) -> ExitCode {
    if let Some(code) = Code::ALL.into_iter().find(|code| code.name() == name) {
        print::text(&explained(code));
        return ExitCode::SUCCESS;
    }
    print::text(&list());
    if name.is_empty() {
        return ExitCode::SUCCESS;
    }
    let hint = nearest(name).map(|code| format!("; did you mean {code}?")).unwrap_or_default();
    print::note(&format!("error: there is no code {name:?}{hint}"));
    ExitCode::from(2)
}

/// The code that is most like a name that is none: older names had other hyphens.
fn nearest(name: &str) -> Option<Code> {
    let name = name.to_ascii_lowercase().replace(['_', ' '], "-");
    let similar = Code::ALL.into_iter().map(|code| (strsim::jaro_winkler(&name, code.name()), code));
    let (likeness, code) = similar.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (likeness > 0.75).then_some(code)
}

fn list() -> String {
    let mut text = String::new();
    for code in Code::ALL {
        _ = writeln!(text, "{:<17} {}", code.name(), lesson(code).title);
    }
    text
}

fn explained(code: Code) -> String {
    let Lesson { title, meaning, example, standard, setting } = lesson(code);
    let mut text = format!("{code}: {title}\n\n{meaning}\n\n");
    match example {
        Example::Plain(files) => files.show(&mut text),
        Example::Under { rule, files } => {
            _ = writeln!(text, "Under a rule that says:\n\n{}", indented(rule.as_bytes()));
            files.show(&mut text);
        }
        Example::Words(words) => _ = writeln!(text, "For instance: {words}\n"),
    }
    _ = writeln!(text, "Standard: {standard}");
    _ = writeln!(text, "Setting:  {}", setting.unwrap_or("none changes it"));
    text
}

impl Pair {
    fn show(&self, text: &mut String) {
        let Self { format, broken, repaired } = self;
        _ = writeln!(text, "A broken {format} file:\n\n{}", indented(broken));
        _ = writeln!(text, "Repaired:\n\n{}", indented(repaired));
    }
}

/// The lines of a file, shown as in a report.
fn indented(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "    (nothing)\n".to_owned();
    }
    let mut text = String::new();
    for line in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n') {
        text.push_str(if line.is_empty() { "" } else { "    " });
        for chunk in line.utf8_chunks() {
            for char in chunk.valid().chars() {
                if is_escaped(char) { text.extend(char.escape_default()) } else { text.push(char) }
            }
            chunk.invalid().iter().for_each(|byte| _ = write!(text, "\\x{byte:02x}"));
        }
        text.push('\n');
    }
    text
}

fn lesson(code: Code) -> Lesson {
    match code {
        Code::InvalidUtf8 => tables::INVALID_UTF8,
        Code::BlankHeader => tables::BLANK_HEADER,
        Code::DuplicateLabel => tables::DUPLICATE_LABEL,
        Code::MissingHeader => tables::MISSING_HEADER,
        Code::BlankRow => tables::BLANK_ROW,
        Code::ExtraCell => tables::EXTRA_CELL,
        Code::MissingCell => tables::MISSING_CELL,
        Code::StrayQuote => tables::STRAY_QUOTE,
        Code::TextAfterQuote => tables::TEXT_AFTER_QUOTE,
        Code::UnclosedQuote => tables::UNCLOSED_QUOTE,
        Code::BareCr => tables::BARE_CR,
        Code::NulByte => tables::NUL_BYTE,
        Code::BadEscape => tables::BAD_ESCAPE,
        Code::JsonSyntax => json::JSON_SYNTAX,
        Code::JsonTruncated => json::JSON_TRUNCATED,
        Code::JsonBom => json::JSON_BOM,
        Code::DuplicateName => json::DUPLICATE_NAME,
        Code::LoneSurrogate => json::LONE_SURROGATE,
        Code::NumberRange => json::NUMBER_RANGE,
        Code::BlankLine => json::BLANK_LINE,
        Code::SplitValue => json::SPLIT_VALUE,
        Code::MissingLabel => schemas::MISSING_LABEL,
        Code::ExtraLabel => schemas::EXTRA_LABEL,
        Code::IncorrectLabel => schemas::INCORRECT_LABEL,
        Code::SchemaError => schemas::SCHEMA_ERROR,
        Code::SchemaTooExpensive => schemas::SCHEMA_TOO_EXPENSIVE,
        Code::TypeError => schemas::TYPE_ERROR,
        Code::ConstraintError => schemas::CONSTRAINT_ERROR,
        Code::UniqueError => schemas::UNIQUE_ERROR,
        Code::PrimaryKey => schemas::PRIMARY_KEY,
        Code::ForeignKey => schemas::FOREIGN_KEY,
        Code::JsonDepth => limits::JSON_DEPTH,
        Code::RecordBytes => limits::RECORD_BYTES,
        Code::RecordLines => limits::RECORD_LINES,
        Code::RowFields => limits::ROW_FIELDS,
        Code::TokenBytes => limits::TOKEN_BYTES,
        Code::DocumentBytes => limits::DOCUMENT_BYTES,
        Code::KeyMemory => limits::KEY_MEMORY,
        Code::CompressedData => limits::COMPRESSED_DATA,
        Code::UnpackedBytes => limits::UNPACKED_BYTES,
        Code::UnpackRatio => limits::UNPACK_RATIO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;
    use crate::validate::{Limits, for_format};

    fn judged(format: Format, bytes: &[u8]) -> Result<(), Box<Report>> {
        let mut validator = for_format(format, &Limits::default()).unwrap();
        validator.feed(bytes)?;
        validator.finish().map(|_verdict| ())
    }

    #[test]
    fn every_code_has_a_lesson_that_can_be_read() {
        for code in Code::ALL {
            let text = explained(code);
            assert!(text.starts_with(&format!("{code}: ")), "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= 110, "{code}: {line}");
                assert!(!line.ends_with(' '), "{code}: {line:?}");
            }
            let Lesson { title, meaning, standard, .. } = lesson(code);
            assert!((10..=70).contains(&title.len()) && !title.ends_with('.'), "{code}: {title}");
            assert!(meaning.len() > 100 && meaning.ends_with('.'), "{code}: {meaning}");
            assert!(standard.len() > 15, "{code}: {standard}");
        }
    }

    #[test]
    fn what_is_shown_as_broken_is_and_what_is_shown_as_repaired_is_not() {
        let mut plain = 0;
        for code in Code::ALL {
            let Example::Plain(Pair { format, broken, repaired }) = lesson(code).example else { continue };
            plain += 1;
            let report = judged(format, broken).expect_err(code.name());
            assert_eq!(report.code(), code.name(), "{report}");
            assert_eq!(judged(format, repaired).map_err(|report| report.to_string()), Ok(()), "{code}");
        }
        assert!(plain >= 15, "only {plain}");
    }

    #[test]
    fn what_a_rule_refuses_is_well_formed_by_itself() {
        for code in Code::ALL {
            let Example::Under { files: Pair { format, repaired, .. }, .. } = lesson(code).example else { continue };
            assert_eq!(judged(format, repaired).map_err(|report| report.to_string()), Ok(()), "{code}");
        }
    }

    #[test]
    fn a_name_that_is_nearly_one_is_understood() {
        for (name, code) in [
            ("straw-quote", Some(Code::StrayQuote)),
            ("JSON_DEPTH", Some(Code::JsonDepth)),
            ("missing-cells", Some(Code::MissingCell)),
            ("duplicate-labels", Some(Code::DuplicateLabel)),
            ("xyzzy", None),
        ] {
            assert_eq!(nearest(name), code, "{name}");
        }
    }
}
