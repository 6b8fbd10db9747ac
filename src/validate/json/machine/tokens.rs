//! The tokens that may be cut anywhere: strings, numbers and literal names.

#![allow(clippy::inline_always, reason = "each saves a call for every token, which was measured")]

use super::{Machine, Role, State, Step, Stop};
use crate::report::Profile;
use crate::validate::json::blocks::{skip_digits, skip_plain};
use crate::validate::json::fault::{Fault, Wanted, Word};
use crate::validate::json::number::Digits;
use crate::validate::json::text::Escape;

impl Machine {
    /// A string's characters, up to and with its closing quote (RFC 8259 section 7).
    #[inline(always)]
    pub(super) fn text(&mut self, role: Role, bytes: &[u8], start: usize) -> Step<(Wanted, usize)> {
        // Nearly all strings are plain, short and whole, and nothing is to be remembered of them.
        let end = skip_plain(bytes, start);
        let fits = (end - start) as u64 <= self.max_token_bytes - self.token_bytes;
        match role {
            _ if bytes.get(end) != Some(&b'"') || !fits => self.text_in_steps(role, bytes, start),
            Role::Value => Ok((self.behind_value(), end + 1)),
            Role::Name if self.memory.is_none() => Ok((Wanted::Colon, end + 1)),
            Role::Name => self.text_in_steps(role, bytes, start),
        }
    }

    #[inline(never)]
    fn text_in_steps(&mut self, role: Role, bytes: &[u8], start: usize) -> Step<(Wanted, usize)> {
        let end = self.closing_quote(role, bytes, start);
        self.whole_text(role, end, bytes, start)
    }

    pub(super) fn text_from_escape(
        &mut self,
        role: Role,
        escape: Escape,
        bytes: &[u8],
        start: usize,
    ) -> Step<(Wanted, usize)> {
        let end = self.escape(role, escape, bytes, start).and_then(|at| self.closing_quote(role, bytes, at));
        self.whole_text(role, end, bytes, start)
    }

    fn whole_text(&mut self, role: Role, end: Step<usize>, bytes: &[u8], start: usize) -> Step<(Wanted, usize)> {
        let end = self.within_limit(State::Text(role), end, bytes, start)?;
        if role == Role::Value {
            return Ok((self.behind_value(), end + 1));
        }
        if let Some(memory) = &mut self.memory
            && let Err(fault) = memory.name(&bytes[start..end])
        {
            return self.fail(State::Text(role), fault, start);
        }
        Ok((Wanted::Colon, end + 1))
    }

    fn closing_quote(&mut self, role: Role, bytes: &[u8], mut at: usize) -> Step<usize> {
        loop {
            at = skip_plain(bytes, at);
            match bytes.get(at) {
                Some(b'"') => return Ok(at),
                Some(b'\\') => at = self.escape(role, Escape::Begun, bytes, at + 1)?,
                Some(_) => return self.fail(State::Text(role), Fault::Control, at),
                None => return self.stop(State::Text(role)),
            }
        }
    }

    fn escape(&mut self, role: Role, mut escape: Escape, bytes: &[u8], mut at: usize) -> Step<usize> {
        let profile = if self.memory.is_some() { Profile::IJson } else { Profile::Rfc8259 };
        while let Some(&byte) = bytes.get(at) {
            match escape.next(byte, profile) {
                Ok(Some(next)) => escape = next,
                Ok(None) => return Ok(at + 1),
                Err(fault) => return self.fail(State::Escape(role, escape), fault, at),
            }
            at += 1;
        }
        self.stop(State::Escape(role, escape))
    }

    /// A number from its first character, `byte`, on (RFC 8259 section 6).
    #[inline(always)]
    pub(super) fn whole_number(&mut self, byte: u8, bytes: &[u8], start: usize) -> Step<(Wanted, usize)> {
        match plain_number_end(byte, bytes, start) {
            Some(end) if self.memory.is_none() && (end - start) as u64 <= self.max_token_bytes => {
                Ok((self.behind_value(), end))
            }
            _ => self.number_in_steps(byte, bytes, start),
        }
    }

    #[inline(never)]
    fn number_in_steps(&mut self, byte: u8, bytes: &[u8], start: usize) -> Step<(Wanted, usize)> {
        let digits = match byte {
            b'-' => Digits::Minus,
            b'0' => Digits::Zero,
            _ => Digits::Integer,
        };
        self.number(digits, bytes, start + 1, start)
    }

    /// The rest of a number from `at` on; in these bytes it begins at `start`.
    pub(super) fn number(&mut self, digits: Digits, bytes: &[u8], at: usize, start: usize) -> Step<(Wanted, usize)> {
        let end = self.number_end(digits, bytes, at);
        let end = self.within_limit(State::Number(Digits::Integer), end, bytes, start)?;
        if let Some(memory) = &mut self.memory
            && let Err(fault) = memory.number(&bytes[start..end])
        {
            return self.fail(State::Number(Digits::Integer), fault, start);
        }
        Ok((self.behind_value(), end))
    }

    fn number_end(&mut self, mut digits: Digits, bytes: &[u8], mut at: usize) -> Step<usize> {
        loop {
            if digits.may_go_on() {
                at = skip_digits(bytes, at);
            }
            let Some(&byte) = bytes.get(at) else { return self.stop(State::Number(digits)) };
            match digits.next(byte) {
                Ok(Some(next)) => digits = next,
                Ok(None) => return Ok(at),
                Err(fault) => return self.fail(State::Number(digits), fault, at),
            }
            at += 1;
        }
    }

    pub(super) fn word(&mut self, word: Word, mut seen: usize, bytes: &[u8], mut at: usize) -> Step<(Wanted, usize)> {
        while let Some(&expected) = word.letters().as_bytes().get(seen) {
            match bytes.get(at) {
                Some(&byte) if byte == expected => (seen, at) = (seen + 1, at + 1),
                Some(_) => return self.fail(State::Word(word, seen), Fault::Word(word), at),
                None => return self.stop(State::Word(word, seen)),
            }
        }
        Ok((self.behind_value(), at))
    }

    /// Where a string or number ends whose bytes in this piece begin at `start`, unless it is too long. What is wrong before
    /// the limit, or at it, was there first.
    fn within_limit(&mut self, token: State, end: Step<usize>, bytes: &[u8], start: usize) -> Step<usize> {
        let room = self.max_token_bytes - self.token_bytes;
        match end {
            Ok(end) if (end - start) as u64 <= room => Ok(end),
            Err(Stop::Short) if (bytes.len() - start) as u64 <= room => {
                self.token_bytes += (bytes.len() - start) as u64;
                if let (Some(memory), State::Text(Role::Name) | State::Escape(Role::Name, _) | State::Number(_)) =
                    (&mut self.memory, self.state)
                {
                    memory.hold(&bytes[start..], start);
                }
                Err(Stop::Short)
            }
            Err(Stop::Fault(fault)) if (fault.1 - start) as u64 <= room => Err(Stop::Fault(fault)),
            // The limit lies in these bytes, so the room is no larger than they are.
            _ => self.fail(token, Fault::TooLong(self.max_token_bytes), start + usize::try_from(room).unwrap_or(0)),
        }
    }
}

/// The end of a number without an exponent, where it is seen to end in these bytes, and nothing is wrong with it.
#[inline(always)]
fn plain_number_end(byte: u8, bytes: &[u8], start: usize) -> Option<usize> {
    let first = start + usize::from(byte == b'-');
    let mut end = match *bytes.get(first)? {
        b'0' => first + 1,
        b'1'..=b'9' => skip_digits(bytes, first + 1),
        _ => return None,
    };
    if bytes.get(end) == Some(&b'.') {
        let fraction = end + 1;
        end = skip_digits(bytes, fraction);
        if end == fraction {
            return None;
        }
    }
    match bytes.get(end)? {
        b'0'..=b'9' | b'.' | b'e' | b'E' => None,
        _ => Some(end),
    }
}
