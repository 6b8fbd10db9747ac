//! The fast way: stretches without a flaw, and nothing else.
//!
//! 64 bytes are looked at together (Langdale and Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 28, 2019), and the
//! grammar is held without going from token to token. A JSON text is well-formed where its brackets pair, each token may stand
//! behind the one before it, and each two of the characters `{ } [ ] , :` that follow one another may do so; so brackets
//! are gone through one by one, and all else is told by bits that are moved past white space, digits and texts with an addition.
//!
//! A block passes whole or not at all. Whatever does not pass, a flaw, a limit, a token that is rare, is left to the machine,
//! which reads on behind the last of those characters: no flaw is worded here.

use super::open::Open;
use super::{Container, Machine, Role, State};
use crate::validate::json::fault::Wanted;
use crate::validate::json::marks::Behind;
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
        let mut behind = match self.state {
            // Whether the top-level array has an element shows in the next token, which is not waited for here.
            State::Between(Wanted::ElementOrEnd) if self.open.len() == 1 => return taken,
            State::Between(wanted) => Behind::wanting(wanted),
            State::Text(Role::Name) => Behind::within_name(),
            State::Text(Role::Value) => Behind::within_text(),
            State::Escape(..) | State::Number(_) | State::Word(..) => return taken,
        };
        let Some(mut open) = Open::of(&self.open, self.max_depth, self.elements) else { return taken };
        // No token of so few bytes is too long.
        let room = usize::try_from(self.max_token_bytes - self.token_bytes).unwrap_or(usize::MAX);
        let end = bytes.len().min(start.saturating_add(room));
        let mut at = start;
        while let Some(block) = bytes[at..end].first_chunk() {
            let Some(marks) = behind.read(block, bytes, at, lf) else { break };
            let Some(inside) = open.follow(block, &marks) else { break };
            if !behind.has_names_where_they_belong(&marks, inside.names) {
                break;
            }
            open = inside.open;
            if let Some(last) = highest(marks.structure) {
                taken.at = at + last + 1;
            }
            if let Some(last) = highest(marks.ends) {
                taken.texts += u64::from(marks.ends.count_ones());
                taken.text_start = Some(at + last + 1);
            }
            at += marks.bytes;
        }
        taken.looked_to = (at + BYTES).max(taken.at + PATCH_BYTES);
        if taken.at > start {
            self.elements = open.elements;
            self.token_bytes = 0;
            open.put(&mut self.open);
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
}

/// The highest bit that is set.
fn highest(bits: u64) -> Option<usize> {
    bits.checked_ilog2().map(|index| index as usize)
}
