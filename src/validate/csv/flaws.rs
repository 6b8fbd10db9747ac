//! What is wrong with a record, in words.

use super::lexer::Fault;
use crate::report::Code;

/// What may be wrong with a record that its bytes show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// In the middle of it.
    Fault(Fault),
    /// It has so many cells, and too few.
    MissingCell(u64),
    BlankRow,
}

/// The code, and the words; `found` is the character at the place, `columns` how many cells there should be.
pub(super) fn in_words(problem: Problem, found: Option<char>, columns: u64, limit: u64) -> (Code, String) {
    match problem {
        Problem::MissingCell(cells) => (Code::MissingCell, format!("row has {}, expected {columns}", count(cells))),
        Problem::BlankRow => (Code::BlankRow, format!("blank row, expected {}", count(columns))),
        Problem::Fault(fault) => fault_in_words(fault, found, columns, limit),
    }
}

fn fault_in_words(fault: Fault, found: Option<char>, columns: u64, limit: u64) -> (Code, String) {
    match fault {
        Fault::ExtraCell => (Code::ExtraCell, format!("row has more than the {} expected", count(columns))),
        // RFC 4180 section 2, rule 5: a field without quotes has none inside.
        Fault::StrayQuote => (Code::StrayQuote, "a quote inside of a cell that does not begin with one".to_owned()),
        // The same rule: nothing stands between a closing quote and what ends the field.
        Fault::TextAfterQuote => {
            let found = found.unwrap_or_default();
            let message = format!("found {found:?} behind a closing quote, expected a delimiter or the end of the line");
            (Code::TextAfterQuote, message)
        }
        // Rules 1 and 6: a CR ends a line together with LF, or stands between quotes.
        Fault::BareCr => {
            (Code::BareCr, "a CR outside of quotes that does not end the line as the dialect has it".to_owned())
        }
        // TEXTDATA has no control characters; this one no text has.
        Fault::Nul => (Code::NulByte, "a NUL byte: a torn write, or text in UTF-16".to_owned()),
        Fault::BadEscape => {
            (Code::BadEscape, "an escape before a character that has no meaning to be escaped from".to_owned())
        }
        Fault::CellBytes => (Code::TokenBytes, format!("the cell is longer than {limit} bytes")),
        Fault::Lines => (Code::RecordLines, format!("the record has more than {limit} lines")),
    }
}

fn count(cells: u64) -> String {
    if cells == 1 { "1 cell".to_owned() } else { format!("{cells} cells") }
}
