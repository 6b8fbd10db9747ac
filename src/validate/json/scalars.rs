//! Numbers and literal names for 64 bytes at once.

#![allow(clippy::inline_always, reason = "this is one long piece of straight code, which was measured")]

use crate::validate::lanes::Lanes;

/// What a block has to know of the bytes before it: bits, as they are shifted into the block.
#[derive(Debug, Default)]
pub(super) struct Scalars {
    /// The letters of a literal name that began in the block before.
    letters: u64,
    digit: u64,
    /// Behind the minus of a number, and behind a leading zero.
    minus: u64,
    zero: u64,
    /// Behind a decimal point, and in the digits there.
    point: u64,
    fraction: u64,
    /// Behind an E, behind its sign, and in the digits there.
    e: u64,
    sign: u64,
    exponent: u64,
}

impl Scalars {
    /// Whether what stands outside of strings, and is neither white space nor structure, are numbers and literal names only.
    /// `first` has the first byte of each.
    #[inline(always)]
    pub(super) fn pass(&mut self, lanes: Lanes, scalar: u64, first: u64, bytes: &[u8], at: usize) -> bool {
        let digits = lanes.digits() & scalar;
        let points = lanes.equal(b'.') & scalar;
        let minuses = lanes.equal(b'-') & scalar;
        let mut letters = scalar & !(digits | points | minuses);
        let mut numbers = first;
        if letters | self.letters != 0 {
            let Some(names) = self.names(letters & first, bytes, at) else { return false };
            letters &= !names;
            numbers &= !names;
        }
        let (mut es, mut pluses) = (0, 0);
        if letters != 0 {
            es = lanes.lower().equal(b'e') & letters;
            pluses = lanes.equal(b'+') & letters;
        }
        let behind_e = behind(es, &mut self.e);
        let signs = (minuses | pluses) & behind_e;
        let leading = minuses & first;
        let integer = (numbers & !leading) | behind(leading, &mut self.minus);
        let zeros = lanes.equal(b'0') & integer;
        let behind_point = behind(points, &mut self.point);
        let exponent = (behind_e & !signs) | behind(signs, &mut self.sign);
        let behind_fraction = run_end(digits, behind_point, &mut self.fraction);
        let behind_exponent = run_end(digits, exponent, &mut self.exponent);
        let flaws = (letters & !(es | pluses))
            | (pluses & !signs)
            | (minuses & !(signs | first))
            | ((integer | behind_point | exponent) & !digits)
            | (behind(zeros, &mut self.zero) & digits)
            | (es & !behind(digits, &mut self.digit))
            | (behind_fraction & points)
            | (behind_exponent & (points | es));
        flaws == 0
    }

    /// The letters of the literal names that begin at `first` or began before; `None` where something else begins.
    #[inline(never)]
    fn names(&mut self, first: u64, bytes: &[u8], at: usize) -> Option<u64> {
        let mut letters = self.letters;
        let mut left = first;
        self.letters = 0;
        while left != 0 {
            let index = left.trailing_zeros();
            let length = name_length(&bytes[at + index as usize..])?;
            let name = (1_u64 << length) - 1;
            letters |= name << index;
            // What is beyond the block; the last name alone can be.
            self.letters = name.checked_shr(u64::BITS - index).unwrap_or(0);
            left &= left - 1;
        }
        Some(letters)
    }
}

/// The length of the literal name that some bytes begin with, where it is seen to end.
fn name_length(bytes: &[u8]) -> Option<usize> {
    let length = match bytes.first_chunk()? {
        b"true" | b"null" => 4,
        b"fals" if bytes.get(4) == Some(&b'e') => 5,
        _ => return None,
    };
    matches!(bytes.get(length)?, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n').then_some(length)
}

#[inline(always)]
const fn behind(marks: u64, carry: &mut u64) -> u64 {
    let behind = marks << 1 | *carry;
    *carry = marks >> 63;
    behind
}

/// Behind the runs of digits that begin at these places, or have begun before.
#[inline(always)]
const fn run_end(digits: u64, begin: u64, carry: &mut u64) -> u64 {
    let (sum, overflows) = digits.overflowing_add(begin | *carry);
    *carry = overflows as u64;
    sum & !digits
}
