//! The JSON grammar as a machine that can stop after any character (RFC 8259 section 2).
//!
//! Its memory is one byte for each level of nesting that is open.

use std::ops::Range;

use super::fault::{Fault, Wanted, flaw};
use super::number::{self, Digits, Ended};
use super::text::{self, Escape};
use crate::validate::position::Chunk;
use crate::validate::stream::Flaw;

/// Reads one JSON text, character by character, in pieces of any size.
#[derive(Debug)]
pub(in crate::validate) struct Machine {
    state: State,
    /// What is open, outermost first.
    open: Vec<Container>,
    max_depth: usize,
    /// What the string that is being read is for.
    role: Role,
    /// Elements of the top-level array that have begun, one that a comma has announced included; 1 for another value.
    elements: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Between tokens: what has to come, white space aside.
    Between(Wanted),
    /// In a string, outside of an escape.
    Text,
    /// In a string, in an escape.
    Escape(Escape),
    /// In a number.
    Number(Digits),
    /// In `true`, `false` or `null`: the word, and how much of it has been seen.
    Word(&'static str, usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Name,
    Value,
}

/// The index behind what was read, or the fault at an index.
pub(super) type Step = Result<usize, (Fault, usize)>;

impl Machine {
    pub(in crate::validate) fn new(max_depth: usize) -> Self {
        Self { state: State::Between(Wanted::Text), open: Vec::new(), max_depth, role: Role::Value, elements: 0 }
    }

    /// Makes ready for another JSON text.
    pub(in crate::validate) fn restart(&mut self) {
        self.state = State::Between(Wanted::Text);
        self.open.clear();
        self.elements = 0;
    }

    /// Reads the characters of a chunk that stand in `range`.
    pub(in crate::validate) fn scan(&mut self, chunk: &Chunk<'_>, range: Range<usize>) -> Result<(), Flaw> {
        self.read(&chunk.bytes()[..range.end], range.start).map_err(|(fault, at)| flaw(&fault, at, chunk))
    }

    /// The text has ended: `None` where it is complete, otherwise what it ended in.
    pub(in crate::validate) fn end(&self) -> Option<&'static str> {
        match self.state {
            State::Between(Wanted::Nothing) => None,
            State::Number(digits) if self.open.is_empty() && digits.may_end() => None,
            State::Between(Wanted::Text) => Some("before a value begins"),
            State::Text | State::Escape(_) if self.role == Role::Name => Some("inside a name"),
            State::Text | State::Escape(_) => Some("inside a string"),
            State::Number(_) if self.open.is_empty() => Some("inside a number"),
            State::Number(digits) if !digits.may_end() => Some("inside a number"),
            State::Word(..) => Some("inside a literal"),
            State::Between(_) | State::Number(_) => match self.open.last() {
                Some(Container::Array) => Some("inside an array"),
                Some(Container::Object) => Some("inside an object"),
                None => Some("inside a value"),
            },
        }
    }

    /// Whether nothing but white space has come.
    pub(in crate::validate) fn is_blank(&self) -> bool {
        self.state == State::Between(Wanted::Text)
    }

    /// Elements of the top-level array; 1 where the value is another.
    pub(in crate::validate) const fn elements(&self) -> u64 {
        self.elements
    }

    /// The element in which the machine stands; 0 before and behind the value.
    pub(in crate::validate) fn record(&self) -> u64 {
        match self.state {
            State::Between(Wanted::Text | Wanted::Nothing) => 0,
            State::Between(Wanted::ElementOrEnd) if self.open.len() == 1 => 1,
            _ => self.elements,
        }
    }

    fn read(&mut self, bytes: &[u8], mut at: usize) -> Result<(), (Fault, usize)> {
        while at < bytes.len() {
            at = match self.state {
                State::Between(wanted) => self.between(wanted, bytes, at)?,
                State::Text => self.text(bytes, at)?,
                State::Escape(escape) => self.escape(escape, bytes, at)?,
                State::Number(digits) => self.number(digits, bytes, at)?,
                State::Word(word, seen) => self.word(word, seen, bytes, at)?,
            };
        }
        Ok(())
    }

    /// White space (RFC 8259 section 2), then one structural character or the first of a value.
    #[inline]
    fn between(&mut self, wanted: Wanted, bytes: &[u8], mut at: usize) -> Step {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
            at += 1;
        }
        let Some(&byte) = bytes.get(at) else { return Ok(at) };
        match (wanted, byte) {
            (Wanted::CommaOrBracket, b',') => {
                self.elements += u64::from(self.open.len() == 1);
                self.state = State::Between(Wanted::Element);
            }
            (Wanted::CommaOrBrace, b',') => self.state = State::Between(Wanted::Name),
            (Wanted::Colon, b':') => self.state = State::Between(Wanted::Member),
            (Wanted::Name | Wanted::NameOrEnd, b'"') => {
                self.role = Role::Name;
                return self.text(bytes, at + 1);
            }
            (Wanted::CommaOrBracket | Wanted::ElementOrEnd, b']') | (Wanted::CommaOrBrace | Wanted::NameOrEnd, b'}') => {
                self.open.pop();
                self.state = State::Between(self.behind_value());
            }
            (Wanted::Text | Wanted::Element | Wanted::ElementOrEnd | Wanted::Member, _) => {
                return self.value(wanted, byte, bytes, at);
            }
            (Wanted::Nothing, _) => return Err((Fault::Trailing, at)),
            _ => return Err((Fault::Unexpected(wanted), at)),
        }
        Ok(at + 1)
    }

    /// The first character of a value (RFC 8259 section 3).
    #[inline]
    fn value(&mut self, wanted: Wanted, byte: u8, bytes: &[u8], at: usize) -> Step {
        let number = Digits::begin(byte);
        let known = matches!(byte, b'"' | b'{' | b'[' | b't' | b'f' | b'n') || number.is_some();
        if !known {
            let fault = if matches!(byte, b'+' | b'.') { Fault::Number("a digit or -") } else { Fault::Unexpected(wanted) };
            return Err((fault, at));
        }
        // The top-level value, or the first element of the top-level array; a comma announces the others.
        if self.open.is_empty() {
            self.elements = u64::from(byte != b'[');
        } else if wanted == Wanted::ElementOrEnd && self.open.len() == 1 {
            self.elements = 1;
        }
        match byte {
            b'"' => {
                self.role = Role::Value;
                return self.text(bytes, at + 1);
            }
            b'{' => self.open(Container::Object, Wanted::NameOrEnd, at)?,
            b'[' => self.open(Container::Array, Wanted::ElementOrEnd, at)?,
            b't' => return self.word("true", 1, bytes, at + 1),
            b'f' => return self.word("false", 1, bytes, at + 1),
            b'n' => return self.word("null", 1, bytes, at + 1),
            _ => return number.map_or(Ok(at + 1), |digits| self.number(digits, bytes, at + 1)),
        }
        Ok(at + 1)
    }

    fn open(&mut self, container: Container, wanted: Wanted, at: usize) -> Result<(), (Fault, usize)> {
        if self.open.len() >= self.max_depth {
            return Err((Fault::TooDeep(self.max_depth), at));
        }
        self.open.push(container);
        self.state = State::Between(wanted);
        Ok(())
    }

    /// A string's characters up to its quote or an escape (RFC 8259 section 7).
    #[inline]
    fn text(&mut self, bytes: &[u8], at: usize) -> Step {
        let at = text::skip_plain(bytes, at);
        self.state = match bytes.get(at) {
            None => {
                self.state = State::Text;
                return Ok(at);
            }
            Some(b'"') if self.role == Role::Name => State::Between(Wanted::Colon),
            Some(b'"') => State::Between(self.behind_value()),
            Some(b'\\') => State::Escape(Escape::Begun),
            Some(_) => {
                self.state = State::Text;
                return Err((Fault::Control, at));
            }
        };
        Ok(at + 1)
    }

    fn escape(&mut self, mut escape: Escape, bytes: &[u8], mut at: usize) -> Step {
        while let Some(&byte) = bytes.get(at) {
            match escape.next(byte).map_err(|fault| (fault, at))? {
                Some(next) => escape = next,
                None => {
                    self.state = State::Text;
                    return Ok(at + 1);
                }
            }
            at += 1;
        }
        self.state = State::Escape(escape);
        Ok(at)
    }

    #[inline]
    fn number(&mut self, mut digits: Digits, bytes: &[u8], at: usize) -> Step {
        let read = number::read(&mut digits, bytes, at);
        self.state = match read {
            Ok((_, Ended::Yes)) => State::Between(self.behind_value()),
            Ok((_, Ended::NotYet)) | Err(_) => State::Number(digits),
        };
        read.map(|(at, _)| at)
    }

    #[inline]
    fn word(&mut self, word: &'static str, mut seen: usize, bytes: &[u8], mut at: usize) -> Step {
        while let (Some(&expected), Some(&byte)) = (word.as_bytes().get(seen), bytes.get(at)) {
            if byte != expected {
                self.state = State::Word(word, seen);
                return Err((Fault::Word(word), at));
            }
            (seen, at) = (seen + 1, at + 1);
        }
        self.state = if seen == word.len() { State::Between(self.behind_value()) } else { State::Word(word, seen) };
        Ok(at)
    }

    #[inline]
    fn behind_value(&self) -> Wanted {
        match self.open.last() {
            Some(Container::Array) => Wanted::CommaOrBracket,
            Some(Container::Object) => Wanted::CommaOrBrace,
            None => Wanted::Nothing,
        }
    }
}
