//! The JSON grammar as a machine that can stop after any character (RFC 8259 section 2).
//!
//! Its memory is one byte for each level of nesting that is open.

mod saved;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub(in crate::validate) use self::saved::SavedMachine;
use super::fault::{Fault, Wanted, Word, flaw};
use super::number::Digits;
use super::text::{self, Escape};
use crate::validate::position::Chunk;
use crate::validate::told::Flaw;

/// Reads one JSON text, character by character, in pieces of any size.
#[derive(Debug)]
pub(in crate::validate) struct Machine {
    /// Where the last piece ended.
    state: State,
    /// What is open, outermost first.
    open: Vec<Container>,
    max_depth: usize,
    /// Elements of the top-level array that have begun, one that a comma has announced included; 1 for another value.
    elements: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// Between tokens: what has to come, white space aside.
    Between(Wanted),
    /// In a string, outside of an escape.
    Text(Role),
    /// In a string, in an escape.
    Escape(Role, Escape),
    /// In a number.
    Number(Digits),
    /// In a literal name, and how much of it has been seen.
    Word(Word, usize),
}

/// What a string is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Name,
    Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

impl Machine {
    pub(in crate::validate) fn new(max_depth: usize) -> Self {
        Self { state: State::Between(Wanted::Text), open: Vec::new(), max_depth, elements: 0 }
    }

    /// Makes ready for another JSON text.
    pub(in crate::validate) fn restart(&mut self) {
        self.state = State::Between(Wanted::Text);
        self.open.clear();
        self.elements = 0;
    }

    /// Reads the characters of a chunk that stand in `range`.
    pub(in crate::validate) fn scan(&mut self, chunk: &Chunk<'_>, range: Range<usize>) -> Result<(), Flaw> {
        match self.read(&chunk.bytes()[..range.end], range.start) {
            Err(Stop::Short) => Ok(()),
            Err(Stop::Fault(fault)) => Err(flaw(&fault.0, fault.1, chunk)),
        }
    }

    /// The text has ended: `None` where it is complete, otherwise what it ended in.
    pub(in crate::validate) fn end(&self) -> Option<&'static str> {
        match self.state {
            State::Between(Wanted::Nothing) => None,
            State::Number(digits) if self.open.is_empty() && digits.may_end() => None,
            State::Between(Wanted::Text) => Some("before a value begins"),
            State::Text(Role::Name) | State::Escape(Role::Name, _) => Some("inside a name"),
            State::Text(_) | State::Escape(..) => Some("inside a string"),
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

    /// Goes on from token to token; what the last one lacks stays in the state.
    fn read(&mut self, bytes: &[u8], at: usize) -> Step {
        let (mut wanted, mut at) = match self.state {
            State::Between(wanted) => (wanted, at),
            State::Text(role) => self.text(role, bytes, at)?,
            State::Escape(role, escape) => {
                let at = self.escape(role, escape, bytes, at)?;
                self.text(role, bytes, at)?
            }
            State::Number(digits) => self.number(digits, bytes, at)?,
            State::Word(word, seen) => self.word(word, seen, bytes, at)?,
        };
        loop {
            // White space: RFC 8259 section 2.
            while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
                at += 1;
            }
            let Some(&byte) = bytes.get(at) else { return self.stop(State::Between(wanted)) };
            (wanted, at) = self.token(wanted, byte, bytes, at)?;
        }
    }

    /// A structural character, or the first of a value: what has to come behind that token, and where.
    #[inline]
    fn token(&mut self, wanted: Wanted, byte: u8, bytes: &[u8], at: usize) -> Step<(Wanted, usize)> {
        let next = match (wanted, byte) {
            (Wanted::CommaOrBracket, b',') => {
                self.elements += u64::from(self.open.len() == 1);
                Wanted::Element
            }
            (Wanted::CommaOrBrace, b',') => Wanted::Name,
            (Wanted::Colon, b':') => Wanted::Member,
            (Wanted::Name | Wanted::NameOrEnd, b'"') => return self.text(Role::Name, bytes, at + 1),
            (Wanted::CommaOrBracket | Wanted::ElementOrEnd, b']') | (Wanted::CommaOrBrace | Wanted::NameOrEnd, b'}') => {
                self.open.pop();
                self.behind_value()
            }
            (Wanted::Text | Wanted::Element | Wanted::ElementOrEnd | Wanted::Member, _) => {
                return self.value(wanted, byte, bytes, at);
            }
            (Wanted::Nothing, _) => return self.fail(State::Between(wanted), Fault::Trailing, at),
            _ => return self.fail(State::Between(wanted), Fault::Unexpected(wanted), at),
        };
        Ok((next, at + 1))
    }

    /// The first character of a value (RFC 8259 section 3).
    #[inline]
    fn value(&mut self, wanted: Wanted, byte: u8, bytes: &[u8], at: usize) -> Step<(Wanted, usize)> {
        if self.open.len() <= 1 {
            self.count(wanted, byte);
        }
        match byte {
            b'"' => self.text(Role::Value, bytes, at + 1),
            b'{' => self.open(Container::Object, wanted, at),
            b'[' => self.open(Container::Array, wanted, at),
            b'-' => self.number(Digits::Minus, bytes, at + 1),
            b'0' => self.number(Digits::Zero, bytes, at + 1),
            b'1'..=b'9' => self.number(Digits::Integer, bytes, at + 1),
            b't' => self.word(Word::True, 1, bytes, at + 1),
            b'f' => self.word(Word::False, 1, bytes, at + 1),
            b'n' => self.word(Word::Null, 1, bytes, at + 1),
            b'+' | b'.' => self.fail(State::Between(wanted), Fault::Number("a digit or -"), at),
            _ => self.fail(State::Between(wanted), Fault::Unexpected(wanted), at),
        }
    }

    /// Counts the first element of the top-level array, or the value that is none; a comma announces the others.
    fn count(&mut self, wanted: Wanted, byte: u8) {
        if self.open.is_empty() {
            self.elements = u64::from(byte != b'[');
        } else if wanted == Wanted::ElementOrEnd {
            self.elements = 1;
        }
    }

    fn open(&mut self, container: Container, wanted: Wanted, at: usize) -> Step<(Wanted, usize)> {
        if self.open.len() >= self.max_depth {
            return self.fail(State::Between(wanted), Fault::TooDeep(self.max_depth), at);
        }
        self.open.push(container);
        let inside = match container {
            Container::Array => Wanted::ElementOrEnd,
            Container::Object => Wanted::NameOrEnd,
        };
        Ok((inside, at + 1))
    }

    /// A string's characters, up to and with its closing quote (RFC 8259 section 7).
    #[inline]
    fn text(&mut self, role: Role, bytes: &[u8], mut at: usize) -> Step<(Wanted, usize)> {
        loop {
            at = text::skip_plain(bytes, at);
            match bytes.get(at) {
                Some(b'"') if role == Role::Name => return Ok((Wanted::Colon, at + 1)),
                Some(b'"') => return Ok((self.behind_value(), at + 1)),
                Some(b'\\') => at = self.escape(role, Escape::Begun, bytes, at + 1)?,
                Some(_) => return self.fail(State::Text(role), Fault::Control, at),
                None => return self.stop(State::Text(role)),
            }
        }
    }

    fn escape(&mut self, role: Role, mut escape: Escape, bytes: &[u8], mut at: usize) -> Step<usize> {
        while let Some(&byte) = bytes.get(at) {
            match escape.next(byte) {
                Ok(Some(next)) => escape = next,
                Ok(None) => return Ok(at + 1),
                Err(fault) => return self.fail(State::Escape(role, escape), fault, at),
            }
            at += 1;
        }
        self.stop(State::Escape(role, escape))
    }

    #[inline]
    fn number(&mut self, mut digits: Digits, bytes: &[u8], mut at: usize) -> Step<(Wanted, usize)> {
        loop {
            if digits.may_go_on() {
                while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                    at += 1;
                }
            }
            let Some(&byte) = bytes.get(at) else { return self.stop(State::Number(digits)) };
            match digits.next(byte) {
                Ok(Some(next)) => digits = next,
                Ok(None) => return Ok((self.behind_value(), at)),
                Err(fault) => return self.fail(State::Number(digits), fault, at),
            }
            at += 1;
        }
    }

    #[inline]
    fn word(&mut self, word: Word, mut seen: usize, bytes: &[u8], mut at: usize) -> Step<(Wanted, usize)> {
        while let Some(&expected) = word.letters().as_bytes().get(seen) {
            match bytes.get(at) {
                Some(&byte) if byte == expected => (seen, at) = (seen + 1, at + 1),
                Some(_) => return self.fail(State::Word(word, seen), Fault::Word(word), at),
                None => return self.stop(State::Word(word, seen)),
            }
        }
        Ok((self.behind_value(), at))
    }

    #[inline]
    fn behind_value(&self) -> Wanted {
        match self.open.last() {
            Some(Container::Array) => Wanted::CommaOrBracket,
            Some(Container::Object) => Wanted::CommaOrBrace,
            None => Wanted::Nothing,
        }
    }

    fn stop<T>(&mut self, state: State) -> Step<T> {
        self.state = state;
        Err(Stop::Short)
    }

    #[cold]
    fn fail<T>(&mut self, state: State, fault: Fault, at: usize) -> Step<T> {
        self.state = state;
        Err(Stop::Fault(Box::new((fault, at))))
    }
}

/// Why reading stops: the piece has ended, or something is wrong with the character at an index.
///
/// Boxed, because it is rare, and a result of two words comes back in registers.
enum Stop {
    Short,
    Fault(Box<(Fault, usize)>),
}

/// What was read, unless reading stops. A machine that has read all stops.
type Step<T = Never> = Result<T, Stop>;

/// No value: [`Machine::read`] ends by stopping.
enum Never {}
