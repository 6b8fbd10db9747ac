//! What can be wrong with a JSON text, in words.

use serde::{Deserialize, Serialize};

use crate::report::Code;
use crate::validate::position::Chunk;
use crate::validate::told::Flaw;

/// What has to come between two tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wanted {
    /// The value that is the whole text.
    Text,
    /// An element, behind a comma.
    Element,
    /// An element, or the end of an array that has just begun.
    ElementOrEnd,
    /// A member's value.
    Member,
    /// A member's name, behind a comma.
    Name,
    /// A member's name, or the end of an object that has just begun.
    NameOrEnd,
    Colon,
    /// What follows an element.
    CommaOrBracket,
    /// What follows a member.
    CommaOrBrace,
    /// The text is complete.
    Nothing,
}

impl Wanted {
    const fn words(self) -> &'static str {
        match self {
            Self::Text | Self::Element | Self::Member => "a value",
            Self::ElementOrEnd => "a value or ]",
            Self::Name => "a name in quotes",
            Self::NameOrEnd => "a name in quotes or }",
            Self::Colon => "a colon",
            Self::CommaOrBracket => "a comma or ]",
            Self::CommaOrBrace => "a comma or }",
            Self::Nothing => "nothing more",
        }
    }
}

/// The three literal names (RFC 8259 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Word {
    True,
    False,
    Null,
}

impl Word {
    pub(super) const fn letters(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::False => "false",
            Self::Null => "null",
        }
    }
}

/// What is wrong with the character at an index.
#[derive(Debug)]
pub(super) enum Fault {
    /// Something else has to stand here.
    Unexpected(Wanted),
    /// It is not the next letter of a literal name.
    Word(Word),
    /// A number goes on otherwise.
    Number(&'static str),
    /// No escape begins so.
    Escape,
    /// No hexadecimal digit.
    Hex,
    /// A control character in a string.
    Control,
    /// It proves a surrogate without its other half, whose escape begins `behind` bytes before it.
    LoneSurrogate { behind: u64 },
    /// It opens one level too many.
    TooDeep(usize),
    /// The text is complete without it.
    Trailing,
}

/// The flaw that a fault is, with its place.
#[cold]
pub(super) fn flaw(fault: &Fault, at: usize, chunk: &Chunk<'_>) -> Flaw {
    let found = chunk.char(at).unwrap_or_default();
    let syntax = |message: String| Flaw::at(Code::JsonSyntax, chunk, at, message);
    match fault {
        Fault::Unexpected(wanted) => {
            let hint = if matches!(found, 'N' | 'I') { " (NaN and Infinity are not JSON)" } else { "" };
            syntax(format!("found {found:?}, expected {}{hint}", wanted.words()))
        }
        Fault::Word(word) => syntax(format!("found {found:?}, expected the rest of {}", word.letters())),
        Fault::Number(wanted) => syntax(format!("found {found:?} in a number, expected {wanted}")),
        Fault::Escape => syntax(format!("found {found:?} in an escape, expected one of \" \\ / b f n r t u")),
        Fault::Hex => syntax(format!("found {found:?} in an escape, expected a hexadecimal digit")),
        Fault::Control => syntax(format!("the control character U+{:04X} stands in a string unescaped", u32::from(found))),
        Fault::LoneSurrogate { behind } => {
            let flaw = Flaw::at(Code::LoneSurrogate, chunk, at, "the escape of a surrogate without its other half");
            Flaw { place: flaw.place.back(*behind), ..flaw }
        }
        Fault::TooDeep(max_depth) => Flaw::at(Code::JsonDepth, chunk, at, format!("nested deeper than {max_depth} levels")),
        Fault::Trailing => syntax(format!("found {found:?} behind the end of the value")),
    }
}
