//! The JSON grammar as a machine that can stop after any character (RFC 8259 section 2).
//!
//! Its memory is one byte for each level of nesting that is open, and what I-JSON has to remember on top.

#![allow(clippy::inline_always, reason = "each saves a call for every token, which was measured")]

mod clean;
mod open;
mod saved;
mod tokens;

use std::ops::Range;

use serde::{Deserialize, Serialize};

pub(in crate::validate) use self::clean::Lf;
pub(in crate::validate) use self::saved::SavedMachine;
use super::blocks::skip_space;
use super::fault::{Fault, Wanted, Word, flaw};
use super::ijson::Memory;
use super::number::Digits;
use super::text::Escape;
use crate::report::Profile;
use crate::validate::Limits;
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
    /// Bytes of the string or number in which the last piece ended; 0 where it ended in none.
    token_bytes: u64,
    max_token_bytes: u64,
    /// What I-JSON has to remember; `None` where all that the grammar allows may pass.
    memory: Option<Box<Memory>>,
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
    pub(in crate::validate) fn new(limits: &Limits, profile: Profile) -> Self {
        Self {
            state: State::Between(Wanted::Text),
            open: Vec::new(),
            max_depth: limits.max_depth,
            elements: 0,
            token_bytes: 0,
            max_token_bytes: limits.max_token_bytes,
            memory: (profile == Profile::IJson).then(|| Box::new(Memory::new(limits.max_key_bytes))),
        }
    }

    /// The memory that it takes once `text_bytes` more of text have been read, at most, in bytes.
    pub(in crate::validate) fn memory_bytes(&self, text_bytes: usize) -> usize {
        self.open.capacity() + self.memory.as_ref().map_or(0, |memory| memory.memory_bytes(text_bytes))
    }

    /// Makes ready for another JSON text; the last one was complete.
    pub(in crate::validate) fn restart(&mut self) {
        self.state = State::Between(Wanted::Text);
        self.open.clear();
        self.elements = 0;
        self.token_bytes = 0;
        if let Some(memory) = &mut self.memory {
            memory.clear();
        }
    }

    /// Reads the characters of a chunk that stand in `range`.
    pub(in crate::validate) fn scan(&mut self, chunk: &Chunk<'_>, range: Range<usize>) -> Result<(), Flaw> {
        let bytes = &chunk.bytes()[..range.end];
        let mut at = range.start;
        loop {
            let clean = self.take_clean(bytes, at, Lf::Space);
            let end = clean.looked_to.min(bytes.len());
            match self.read(&bytes[..end], clean.at) {
                Err(Stop::Short) if end < bytes.len() => at = end,
                Err(Stop::Short) => {
                    if let Some(memory) = &mut self.memory {
                        memory.place_held(|index| chunk.place(index));
                    }
                    return Ok(());
                }
                Err(Stop::Fault(fault)) => {
                    let held = self.memory.as_ref().and_then(|memory| memory.held_at());
                    return Err(flaw(&fault.0, fault.1, chunk, held));
                }
            }
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

    /// Judges the number in which a complete text has ended: nothing behind it had shown yet that it was whole.
    pub(in crate::validate) fn last_number(&mut self) -> Result<(), Flaw> {
        match (self.state, &mut self.memory) {
            (State::Number(_), Some(memory)) => memory.last_number(),
            _ => Ok(()),
        }
    }

    /// Whether all that it knows can be written down: names to remember can't.
    pub(in crate::validate) const fn can_be_saved(&self) -> bool {
        self.memory.is_none()
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
    ///
    /// The steps stand in the order in which they mostly come, so that each leads straight into the next.
    fn read(&mut self, bytes: &[u8], at: usize) -> Step {
        let (mut wanted, mut at) = self.go_on(bytes, at)?;
        loop {
            if let Wanted::Name | Wanted::NameOrEnd = wanted {
                (wanted, at) = self.name(wanted, bytes, at)?;
            }
            if wanted == Wanted::Colon {
                let colon = self.expect(wanted, bytes, at)?;
                if bytes[colon] != b':' {
                    return self.fail(State::Between(wanted), Fault::Unexpected(wanted), colon);
                }
                (wanted, at) = (Wanted::Member, colon + 1);
            }
            if let Wanted::Text | Wanted::Element | Wanted::ElementOrEnd | Wanted::Member = wanted {
                (wanted, at) = self.value(wanted, bytes, at)?;
            }
            while let Wanted::CommaOrBracket | Wanted::CommaOrBrace = wanted {
                (wanted, at) = self.behind(wanted, bytes, at)?;
            }
            if wanted == Wanted::Nothing {
                let at = self.expect(wanted, bytes, at)?;
                return self.fail(State::Between(wanted), Fault::Trailing, at);
            }
        }
    }

    /// Ends the token in which the last piece ended.
    fn go_on(&mut self, bytes: &[u8], at: usize) -> Step<(Wanted, usize)> {
        let behind = match self.state {
            State::Between(wanted) => (wanted, at),
            State::Text(role) => self.text(role, bytes, at)?,
            State::Escape(role, escape) => self.text_from_escape(role, escape, bytes, at)?,
            State::Number(digits) => self.number(digits, bytes, at, at)?,
            State::Word(word, seen) => self.word(word, seen, bytes, at)?,
        };
        self.token_bytes = 0;
        Ok(behind)
    }

    /// Where the next character that is no white space stands.
    #[inline(always)]
    fn expect(&mut self, wanted: Wanted, bytes: &[u8], at: usize) -> Step<usize> {
        let at = skip_space(bytes, at);
        if at < bytes.len() { Ok(at) } else { self.stop(State::Between(wanted)) }
    }

    /// A member's name, or the end of an object that holds none.
    #[inline(always)]
    fn name(&mut self, wanted: Wanted, bytes: &[u8], at: usize) -> Step<(Wanted, usize)> {
        let at = self.expect(wanted, bytes, at)?;
        match bytes[at] {
            b'"' => self.text(Role::Name, bytes, at + 1),
            b'}' if wanted == Wanted::NameOrEnd => Ok((self.close(), at + 1)),
            _ => self.fail(State::Between(wanted), Fault::Unexpected(wanted), at),
        }
    }

    /// A value, or its beginning, where it is an array or an object (RFC 8259 section 3); or the end of an array that holds none.
    #[inline(always)]
    fn value(&mut self, wanted: Wanted, bytes: &[u8], at: usize) -> Step<(Wanted, usize)> {
        let at = self.expect(wanted, bytes, at)?;
        let byte = bytes[at];
        if byte == b']' && wanted == Wanted::ElementOrEnd {
            return Ok((self.close(), at + 1));
        }
        if self.open.len() <= 1 {
            self.count(wanted, byte);
        }
        // In front of the table that the rest becomes: the two that most values are.
        if byte == b'"' {
            return self.text(Role::Value, bytes, at + 1);
        }
        if let b'-' | b'0'..=b'9' = byte {
            return self.whole_number(byte, bytes, at);
        }
        match byte {
            b'{' => self.open(Container::Object, wanted, at),
            b'[' => self.open(Container::Array, wanted, at),
            b't' => self.word(Word::True, 1, bytes, at + 1),
            b'f' => self.word(Word::False, 1, bytes, at + 1),
            b'n' => self.word(Word::Null, 1, bytes, at + 1),
            b'+' | b'.' => self.fail(State::Between(wanted), Fault::Number("a digit or -"), at),
            _ => self.fail(State::Between(wanted), Fault::Unexpected(wanted), at),
        }
    }

    /// What stands behind a value in an array or object.
    #[inline(always)]
    fn behind(&mut self, wanted: Wanted, bytes: &[u8], at: usize) -> Step<(Wanted, usize)> {
        let at = self.expect(wanted, bytes, at)?;
        let next = match (bytes[at], wanted) {
            (b',', Wanted::CommaOrBrace) => Wanted::Name,
            (b',', _) => {
                self.elements += u64::from(self.open.len() == 1);
                Wanted::Element
            }
            (b'}', Wanted::CommaOrBrace) | (b']', Wanted::CommaOrBracket) => self.close(),
            _ => return self.fail(State::Between(wanted), Fault::Unexpected(wanted), at),
        };
        Ok((next, at + 1))
    }

    /// Counts the first element of the top-level array, or the value that is none; a comma announces the others.
    fn count(&mut self, wanted: Wanted, byte: u8) {
        if self.open.is_empty() {
            self.elements = u64::from(byte != b'[');
        } else if wanted == Wanted::ElementOrEnd {
            self.elements = 1;
        }
    }

    #[inline(always)]
    fn open(&mut self, container: Container, wanted: Wanted, at: usize) -> Step<(Wanted, usize)> {
        if self.open.len() >= self.max_depth {
            return self.fail(State::Between(wanted), Fault::TooDeep(self.max_depth), at);
        }
        self.open.push(container);
        if let (Some(memory), Container::Object) = (&mut self.memory, container) {
            memory.open_object();
        }
        let inside = match container {
            Container::Array => Wanted::ElementOrEnd,
            Container::Object => Wanted::NameOrEnd,
        };
        Ok((inside, at + 1))
    }

    #[inline(always)]
    fn close(&mut self) -> Wanted {
        let closed = self.open.pop();
        if let (Some(memory), Some(Container::Object)) = (&mut self.memory, closed) {
            memory.close_object();
        }
        self.behind_value()
    }

    #[inline(always)]
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
