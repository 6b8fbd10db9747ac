//! The grammar of tokens for 64 bytes at once: which characters give a text its structure, and whether each token may stand
//! behind the one before it.

#![allow(clippy::inline_always, reason = "this is one long piece of straight code, which was measured")]

use super::fault::Wanted;
use super::machine::Lf;
use super::scalars::pass;
use super::text::escape_length;
use crate::validate::lanes::{BYTES, Lanes};

/// The last control character that no string may hold.
const LAST_CONTROL: u8 = 0x1f;

/// What matters further on of a block: the characters outside of strings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) opening: u64,
    pub(super) closing: u64,
    /// Closing brackets with nothing in front of them but the opening one.
    pub(super) empty: u64,
    pub(super) commas: u64,
    colons: u64,
    /// Of texts.
    pub(super) ends: u64,
    /// All of those.
    pub(super) structure: u64,
    scalars: u64,
    /// Where the next block begins: behind this one, or at the number or literal name in which this one ends.
    pub(super) bytes: usize,
}

impl Marks {
    /// Of a block that is in a string all over.
    const NONE: Self =
        Self { opening: 0, closing: 0, empty: 0, commas: 0, colons: 0, ends: 0, structure: 0, scalars: 0, bytes: BYTES };
}

/// What a block has to know of the bytes before it.
///
/// No block begins inside of a number or literal name, so of those there is nothing to know.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// All bits are set where the block begins in a string.
    quoted: u64,
    /// The first bit is set where the first byte is escaped.
    escaped: u64,
    /// Whether the block begins behind a value, white space aside.
    value: bool,
    /// Whether the first of the bytes stands behind an opening bracket, white space aside.
    opening: bool,
    /// Whether the block begins in front of what ends a name.
    name: bool,
}

impl Behind {
    /// Between two tokens.
    pub(super) fn wanting(wanted: Wanted) -> Self {
        use Wanted::{Colon, CommaOrBrace, CommaOrBracket, ElementOrEnd, Name, NameOrEnd, Nothing};
        Self {
            value: matches!(wanted, Colon | CommaOrBracket | CommaOrBrace | Nothing),
            opening: matches!(wanted, ElementOrEnd | NameOrEnd),
            name: matches!(wanted, Name | NameOrEnd | Colon),
            ..Self::default()
        }
    }

    /// Inside of a string that is a value, outside of an escape.
    pub(super) fn within_text() -> Self {
        Self { quoted: u64::MAX, ..Self::default() }
    }

    /// Inside of a name, outside of an escape.
    pub(super) fn within_name() -> Self {
        Self { name: true, ..Self::within_text() }
    }

    /// The block of `bytes` that begins at `at`; `None` where it does not pass.
    #[inline(always)]
    pub(super) fn read(&mut self, block: &[u8; BYTES], bytes: &[u8], at: usize, lf: Lf) -> Option<Marks> {
        let lanes = Lanes::of(block);
        let mut quotes = lanes.equal(b'"');
        let (mut controls, mut lfs) = (0, 0);
        if self.escaped != 0 || lanes.has_up_to_or(LAST_CONTROL, b'\\') {
            lfs = lanes.equal(b'\n');
            controls = lfs;
            // Indented texts have an LF in nearly all blocks, and the others in few.
            if self.escaped != 0 || lanes.but_for(b'\n').has_up_to_or(LAST_CONTROL, b'\\') {
                controls = lanes.up_to(LAST_CONTROL);
                quotes &= !self.escapes(lanes.equal(b'\\'), bytes, at)?;
            }
        }
        if quotes == 0 && self.quoted != 0 {
            return (controls == 0).then_some(Marks::NONE);
        }
        // From each opening quote up to the closing one.
        let inside = parity(quotes) ^ self.quoted;
        self.quoted = 0_u64.wrapping_sub(inside >> 63);
        let outside = !(inside | quotes);

        let (mut blank, mut ends) = (lanes.equal(b' ') & outside, 0);
        if controls != 0 {
            if controls & inside != 0 {
                return None;
            }
            if controls != lfs {
                blank |= (lanes.equal(b'\r') | lanes.equal(b'\t')) & outside;
            }
            match lf {
                Lf::Space => blank |= lfs,
                Lf::End => ends = lfs,
            }
        }
        let lower = lanes.lower();
        let opening = lower.equal(b'{') & outside;
        let closing = lower.equal(b'}') & outside;
        let (commas, colons) = (lanes.equal(b',') & outside, lanes.equal(b':') & outside);
        let between = commas | colons | ends;
        let structure = opening | closing | between;

        let scalars = outside & !(blank | structure);
        let first = scalars & !(scalars << 1);
        // What may go on behind the block is left to the next one.
        let other = (!scalars).checked_ilog2()?;
        let whole = scalars & ((1 << other) - 1);
        if whole != 0 && !pass(lanes, whole, block) {
            return None;
        }

        let behind_value = past(blank, (quotes & !inside) | closing | whole, &mut self.value);
        let values = (quotes & inside) | first | opening;
        let bare = closing & !behind_value;
        let empty = if bare == 0 { 0 } else { self.empty(bare, bytes, at) };
        let after_values = between | (closing ^ empty);
        if (behind_value ^ after_values) & (values | after_values) != 0 {
            return None;
        }
        Some(Marks { opening, closing, empty, commas, colons, ends, structure, scalars, bytes: other as usize + 1 })
    }

    /// Whether in objects, and there alone, each comma and each opening brace has a name and a colon next, and each colon one of
    /// those before it. `before` has those commas and braces.
    ///
    /// That one value stands in front of a colon is known; so where nothing but strings is passed over, it is a name.
    #[inline(always)]
    pub(super) fn has_names_where_they_belong(&mut self, marks: &Marks, before: u64) -> bool {
        let behind_name = past(!(marks.structure | marks.scalars), before, &mut self.name);
        behind_name & !marks.empty == marks.colons
    }

    /// Which of these closing brackets stand behind an opening one.
    #[cold]
    fn empty(&self, mut closing: u64, bytes: &[u8], at: usize) -> u64 {
        let mut empty = 0;
        while closing != 0 {
            let before = bytes[..at + closing.trailing_zeros() as usize].trim_ascii_end();
            if before.last().map_or(self.opening, |byte| matches!(byte, b'{' | b'[')) {
                empty |= closing & closing.wrapping_neg();
            }
            closing &= closing - 1;
        }
        empty
    }

    /// The characters behind a backslash, each of which has to make an escape with what follows it.
    #[inline(never)]
    fn escapes(&mut self, backslashes: u64, bytes: &[u8], at: usize) -> Option<u64> {
        let mut escaped = self.escaped;
        let mut left = backslashes & !escaped;
        self.escaped = 0;
        while left != 0 {
            let index = left.trailing_zeros() as usize;
            escape_length(&bytes[at + index + 1..])?;
            let behind = left & left.wrapping_neg();
            escaped |= behind << 1;
            self.escaped = behind >> 63;
            left &= !(behind | behind << 1);
        }
        Some(escaped)
    }
}

/// The places behind each of the marks, past a run of `over` that begins there; `carry` goes from block to block.
#[inline(always)]
fn past(over: u64, marks: u64, carry: &mut bool) -> u64 {
    let sum;
    (sum, *carry) = (over | marks).carrying_add(marks, *carry);
    sum & !over
}

/// For each bit whether it and those below it are an odd number of ones.
#[inline(always)]
const fn parity(bits: u64) -> u64 {
    let bits = bits ^ bits << 1;
    let bits = bits ^ bits << 2;
    let bits = bits ^ bits << 4;
    let bits = bits ^ bits << 8;
    let bits = bits ^ bits << 16;
    bits ^ bits << 32
}
