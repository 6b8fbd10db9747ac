//! The fast way: stretches without a flaw, and nothing else.
//!
//! 64 bytes are looked at together (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 28, 2019), and the
//! grammar is held without going from token to token. A JSON text is well-formed where its brackets pair, each token may stand
//! behind the one before it, and each two of the characters `{ } [ ] , :` that follow one another may do so; so brackets
//! are gone through one by one, and all else is told by bits that are moved past white space, digits and texts with an addition.
//!
//! A block passes whole or not at all. Whatever does not pass, a flaw, a limit, a token that is rare, is left to the machine,
//! which reads on behind the last of those characters: no flaw is worded here.

use super::{Container, Machine, State};
use crate::validate::json::fault::Wanted;
use crate::validate::json::marks::{Behind, Marks};
use crate::validate::lanes::BYTES;

/// What an LF outside of strings is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::validate) enum Lf {
    Space,
    /// The end of one text, behind which the next begins.
    End,
}

/// How far the fast way led.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::validate) struct Taken {
    /// The first byte that was not taken.
    pub(in crate::validate) at: usize,
    /// Behind what was looked at in vain: there it may be tried again.
    pub(in crate::validate) looked_to: usize,
    /// Texts that ended with an LF.
    pub(in crate::validate) texts: u64,
    /// Behind the last of those.
    pub(in crate::validate) text_start: Option<usize>,
}

/// What the machine reads at least before the fast way is tried again.
const PATCH_BYTES: usize = 2 * BYTES;

impl Machine {
    /// Takes what is clean from `start` on; the machine stands behind it as if it had read all that.
    pub(in crate::validate) fn take_clean(&mut self, bytes: &[u8], start: usize, lf: Lf) -> Taken {
        let mut taken = Taken { at: start, looked_to: start + PATCH_BYTES, texts: 0, text_start: None };
        if self.memory.is_some() {
            return Taken { looked_to: bytes.len(), ..taken };
        }
        let State::Between(wanted) = self.state else { return taken };
        // Whether the top-level array has an element shows in the next token, which is not waited for here.
        if wanted == Wanted::ElementOrEnd && self.open.len() == 1 {
            return taken;
        }
        // No token of so few bytes is too long.
        let room = usize::try_from(self.max_token_bytes).unwrap_or(usize::MAX);
        let end = bytes.len().min(start.saturating_add(room));
        let mut behind = Behind::wanting(wanted);
        let mut at = start;
        while let Some(block) = bytes[at..end].first_chunk() {
            let Some(marks) = behind.read(block, bytes, at, lf) else { break };
            let elements = self.elements;
            if !self.follow(&marks, &mut behind) {
                self.elements = elements;
                break;
            }
            if let Some(last) = highest(marks.structure()) {
                taken.at = at + last + 1;
            }
            if let Some(last) = highest(marks.ends) {
                taken.texts += u64::from(marks.ends.count_ones());
                taken.text_start = Some(at + last + 1);
            }
            at += BYTES;
        }
        taken.looked_to = (at + BYTES).max(taken.at + PATCH_BYTES);
        if taken.at > start {
            self.stand_behind(bytes[taken.at - 1]);
        }
        taken
    }

    fn stand_behind(&mut self, last: u8) {
        let wanted = match (last, self.open.last()) {
            (b'{', _) => Wanted::NameOrEnd,
            (b'[', _) => Wanted::ElementOrEnd,
            (b':', _) => Wanted::Member,
            (b',', Some(Container::Object)) => Wanted::Name,
            (b',', _) => Wanted::Element,
            (b'\n', _) => Wanted::Text,
            _ => self.behind_value(),
        };
        if wanted == Wanted::ElementOrEnd && self.open.len() == 1 {
            self.elements = 0;
        }
        self.state = State::Between(wanted);
    }

    /// Follows the brackets of a block; whether it passes. What is open is as before where it does not.
    #[inline]
    fn follow(&mut self, marks: &Marks, behind: &mut Behind) -> bool {
        let mut left = marks.opening | marks.closing | marks.ends;
        let mut commas_in_objects = 0;
        let mut inside = marks.commas;
        loop {
            let bit = left & left.wrapping_neg();
            let commas = inside & bit.wrapping_sub(1);
            if self.open.len() <= 1 && !self.count_commas(commas) {
                break;
            }
            if self.open.last() == Some(&Container::Object) {
                commas_in_objects |= commas;
            }
            if left == 0 {
                if behind.has_names_where_they_belong(marks, commas_in_objects) {
                    return true;
                }
                break;
            }
            if !self.bracket(marks, bit) {
                break;
            }
            inside ^= commas;
            left ^= bit;
        }
        let unread = left & left.wrapping_neg();
        self.reopen(marks, unread.wrapping_sub(1));
        false
    }

    /// Counts those of the top-level array; whether they may stand there.
    fn count_commas(&mut self, commas: u64) -> bool {
        match self.open.last() {
            None => commas == 0,
            Some(Container::Array) => {
                self.elements += u64::from(commas.count_ones());
                true
            }
            Some(Container::Object) => true,
        }
    }

    #[inline]
    fn bracket(&mut self, marks: &Marks, bit: u64) -> bool {
        let container = if marks.braces & bit == 0 { Container::Array } else { Container::Object };
        if marks.opening & bit != 0 {
            if self.open.is_empty() {
                self.elements = 1;
            }
            self.open.push(container);
            if self.open.len() > self.max_depth {
                self.open.pop();
                return false;
            }
            return true;
        }
        if marks.closing & bit == 0 {
            self.elements = 0;
            return self.open.is_empty();
        }
        if self.open.last() != Some(&container) {
            return false;
        }
        self.open.pop();
        if self.open.is_empty() && container == Container::Array && marks.empty & bit != 0 {
            self.elements = 0;
        }
        true
    }

    /// Takes the brackets back that were followed.
    #[cold]
    fn reopen(&mut self, marks: &Marks, followed: u64) {
        let mut left = (marks.opening | marks.closing) & followed;
        while let Some(index) = highest(left) {
            let bit = 1 << index;
            if marks.opening & bit != 0 {
                self.open.pop();
            } else {
                self.open.push(if marks.braces & bit == 0 { Container::Array } else { Container::Object });
            }
            left ^= bit;
        }
    }
}

/// The highest bit that is set.
fn highest(bits: u64) -> Option<usize> {
    bits.checked_ilog2().map(|index| index as usize)
}
