//! What can be wrong with a JSON text, in words.

use serde::{Deserialize, Serialize};

use crate::report::Code;
use crate::validate::position::{Chunk, Place};
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
    /// It is the first byte of a string or number beyond the limit.
    TooLong(u64),
    /// The name stands in the object before.
    DuplicateName,
    /// The number is none of binary64, and why.
    Range(&'static str),
    /// There is no memory for the name.
    KeyMemory(u64),
}

/// The flaw that a fault is. The place is that of the character, but for what is wrong with a name or number as a whole: that
/// begins there, or in an earlier piece, `held_at`.
#[cold]
pub(super) fn flaw(fault: &Fault, at: usize, chunk: &Chunk<'_>, held_at: Option<Place>) -> Flaw {
    let place = chunk.place(at);
    let found = chunk.char(at).unwrap_or_default();
    let here = |code: Code, message: String| Flaw::at(code, chunk, at, message);
    let syntax = |message: String| here(Code::JsonSyntax, message);
    // Without a snippet: the token may have begun in an earlier piece.
    let whole = |code: Code, message: String| Flaw::new(code, held_at.unwrap_or(place), message);
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
        Fault::Trailing => syntax(format!("found {found:?} behind the end of the value")),
        Fault::LoneSurrogate { behind } => {
            let message = "the escape of a surrogate without its other half".to_owned();
            Flaw { place: place.back(*behind), ..here(Code::LoneSurrogate, message) }
        }
        Fault::TooDeep(max) => here(Code::JsonDepth, format!("nested deeper than {max} levels")),
        Fault::TooLong(max) => here(Code::TokenBytes, format!("the string or number is longer than {max} bytes")),
        Fault::DuplicateName => whole(Code::DuplicateName, "the object has this name already".to_owned()),
        Fault::Range(why) => whole(Code::NumberRange, (*why).to_owned()),
        Fault::KeyMemory(max) => {
            whole(Code::KeyMemory, format!("the names of the open objects take more than {max} bytes of memory"))
        }
    }
}
