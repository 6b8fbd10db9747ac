//! Flaws of single characters, in words.

use crate::report::Code;
use crate::validate::position::{Chunk, Place};
use crate::validate::told::Flaw;

/// RFC 4180 section 2, rule 5: a field without quotes has none inside.
pub(super) fn stray_quote(place: Place) -> Flaw {
    Flaw::new(Code::StrayQuote, place, "a quote inside of a field that does not begin with one")
}

/// RFC 4180 section 2, rule 5: nothing stands between a closing quote and what ends the field.
pub(super) fn text_after_quote(chunk: &Chunk<'_>, at: usize) -> Flaw {
    let found = chunk.char(at).unwrap_or_default();
    let message = format!("found {found:?} behind a closing quote, expected a delimiter or the end of the line");
    Flaw::new(Code::TextAfterQuote, chunk.place(at), message)
}

/// RFC 4180 section 2, rules 1 and 6: a CR ends a line together with LF, or stands between quotes. `behind` follows the CR.
pub(super) fn bare_cr(behind: Place) -> Flaw {
    Flaw::new(Code::BareCr, behind.back(1), "a CR that no LF follows, outside of quotes")
}

/// RFC 4180 section 2 (TEXTDATA) has no control characters; this one no text has.
pub(super) fn nul(place: Place) -> Flaw {
    Flaw::new(Code::NulByte, place, "a NUL byte: a torn write, or text in UTF-16")
}
