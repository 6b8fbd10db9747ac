//! The grammar of tokens for 64 bytes at once: which characters give a text its structure, and whether each token may stand
//! behind the one before it.

#![allow(clippy::inline_always, reason = "this is one long piece of straight code, which was measured")]

use super::fault::Wanted;
use super::machine::Lf;
use super::scalars::Scalars;
use super::text::escape_length;
use crate::validate::lanes::{BYTES, Lanes};

/// The characters outside of strings that matter further on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    pub(super) opening: u64,
    pub(super) closing: u64,
    /// Which of those are `{` and `}`.
    pub(super) braces: u64,
    /// Closing brackets with nothing in front of them but the opening one.
    pub(super) empty: u64,
    pub(super) commas: u64,
    colons: u64,
    /// Of texts.
    pub(super) ends: u64,
}

impl Marks {
    #[inline(always)]
    pub(super) const fn structure(&self) -> u64 {
        self.opening | self.closing | self.commas | self.colons | self.ends
    }
}

/// What a block has to know of the bytes before it. Each is a bit, as it is shifted into the block, but for the first.
#[derive(Debug, Default)]
pub(super) struct Behind {
    /// All bits are set where the block begins in a string.
    quoted: u64,
    escaped: u64,
    scalar: u64,
    /// Behind a value, a string, an opening bracket, white space aside.
    value: u64,
    string: u64,
    opening: u64,
    /// In front of what ends a name.
    name: u64,
    scalars: Scalars,
}

impl Behind {
    /// Between two tokens.
    pub(super) fn wanting(wanted: Wanted) -> Self {
        use Wanted::{Colon, CommaOrBrace, CommaOrBracket, ElementOrEnd, Name, NameOrEnd, Nothing};
        Self {
            value: u64::from(matches!(wanted, Colon | CommaOrBracket | CommaOrBrace | Nothing)),
            string: u64::from(wanted == Colon),
            opening: u64::from(matches!(wanted, ElementOrEnd | NameOrEnd)),
            name: u64::from(matches!(wanted, Name | NameOrEnd | Colon)),
            ..Self::default()
        }
    }

    /// The block of `bytes` that begins at `at`; `None` where it does not pass.
    #[inline(always)]
    pub(super) fn read(&mut self, block: &[u8; BYTES], bytes: &[u8], at: usize, lf: Lf) -> Option<Marks> {
        let lanes = Lanes::of(block);
        let mut quotes = lanes.equal(b'"');
        if self.escaped != 0 || lanes.has(b'\\') {
            quotes &= !self.escapes(lanes.equal(b'\\'), bytes, at)?;
        }
        // From each opening quote up to the closing one.
        let inside = parity(quotes) ^ self.quoted;
        self.quoted = 0_u64.wrapping_sub(inside >> 63);
        let outside = !(inside | quotes);

        let spaces = lanes.equal(b' ');
        let controls = lanes.up_to(b' ') & !spaces;
        let (mut blank, mut ends) = (spaces & outside, 0);
        if controls != 0 {
            let lfs = lanes.equal(b'\n') & outside;
            blank |= (lanes.equal(b'\r') | lanes.equal(b'\t')) & outside;
            match lf {
                Lf::Space => blank |= lfs,
                Lf::End => ends = lfs,
            }
        }
        let lower = lanes.lower();
        let opening = lower.equal(b'{') & outside;
        let closing = lower.equal(b'}') & outside;
        let (commas, colons) = (lanes.equal(b',') & outside, lanes.equal(b':') & outside);
        let mut marks = Marks { opening, closing, braces: lanes.same(lower), empty: 0, commas, colons, ends };

        let scalar = outside & !(blank | marks.structure());
        let first = scalar & !(scalar << 1 | self.scalar);
        if scalar | self.scalar != 0 && !self.scalars.pass(lanes, scalar, first, bytes, at) {
            return None;
        }
        self.scalar = scalar >> 63;

        let closing_quotes = quotes & !inside;
        let behind_value = past(blank, closing_quotes | closing | scalar, &mut self.value);
        let behind_string = past(blank, closing_quotes, &mut self.string);
        let behind_opening = past(blank, opening, &mut self.opening);
        marks.empty = closing & behind_opening;
        let values = (quotes & inside) | first | opening;
        let flaws = (controls & inside)
            | (values & behind_value)
            | ((commas | ends) & !behind_value)
            | (colons & !behind_string)
            | (closing & !behind_value & !behind_opening);
        (flaws == 0).then_some(marks)
    }

    /// Whether in objects, and there alone, each comma and each opening brace has a colon next, and each colon one of those
    /// before it; the characters of structure that are meant.
    #[inline(always)]
    pub(super) fn has_names_where_they_belong(&mut self, marks: &Marks, commas_in_objects: u64) -> bool {
        let before = (marks.opening & marks.braces) | commas_in_objects;
        let behind_name = past(!marks.structure(), before, &mut self.name);
        (marks.colons & !behind_name) | (behind_name & !marks.colons & !marks.empty) == 0
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
pub(super) const fn past(over: u64, marks: u64, carry: &mut u64) -> u64 {
    let (sum, overflows) = over.overflowing_add(marks << 1 | *carry);
    *carry = marks >> 63 | overflows as u64;
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
