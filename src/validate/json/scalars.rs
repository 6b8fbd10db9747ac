//! Numbers and literal names for 64 bytes at once.

#![allow(clippy::inline_always, reason = "this is one long piece of straight code, which was measured")]

use crate::validate::lanes::{BYTES, Lanes};

/// Whether what stands at `scalars`, outside of strings, and is neither white space nor structure, are numbers and literal names
/// only. Each of them is whole: before and behind it stands something else.
#[inline(always)]
pub(super) fn pass(lanes: Lanes, scalars: u64, block: &[u8; BYTES]) -> bool {
    let digits = lanes.digits() & scalars;
    let points = lanes.equal(b'.') & scalars;
    let minuses = lanes.equal(b'-') & scalars;
    let letters = scalars & !(digits | points | minuses);
    let mut first = scalars & !(scalars << 1);
    let mut signs = 0;
    if letters != 0 {
        let Some(names) = names(letters & first, scalars, block) else { return false };
        first &= !names;
        let left = letters & !names;
        if left != 0 {
            let es = lanes.lower().equal(b'e') & left;
            let pluses = lanes.equal(b'+') & left;
            signs = (minuses | pluses) & es << 1;
            // An exponent stands behind a digit, and ends the number; what else is left is no part of one.
            let exponent = ((es << 1) & !signs) | signs << 1;
            let behind_exponent = run_end(digits, exponent);
            let flaws =
                left & !(es | signs) | (es & !(digits << 1)) | (exponent & !digits) | (behind_exponent & (points | es));
            if flaws != 0 {
                return false;
            }
        }
    }
    let leading = minuses & first;
    let integer = (first & !leading) | leading << 1;
    let fraction = points << 1;
    let zeros = lanes.equal(b'0') & integer;
    let flaws = (minuses & !(leading | signs))
        | ((integer | fraction) & !digits)
        | (zeros << 1 & digits)
        | (run_end(digits, fraction) & points);
    flaws == 0
}

/// The letters of the literal names that begin at `first`; `None` where something else begins.
#[inline(never)]
fn names(first: u64, scalars: u64, block: &[u8; BYTES]) -> Option<u64> {
    let mut letters = 0;
    let mut left = first;
    while left != 0 {
        let index = left.trailing_zeros();
        // What is whole has another byte behind it.
        let length = name_length(block[index as usize..].first_chunk()?)?;
        letters |= ((1_u64 << length) - 1) << index;
        left &= left - 1;
    }
    let behind = letters << 1 & !letters;
    (behind & scalars == 0).then_some(letters)
}

/// The length of the literal name that some bytes begin with.
#[inline(always)]
#[allow(clippy::needless_bitwise_bool, reason = "which name comes next is as good as random")]
fn name_length(&[head @ .., last]: &[u8; 5]) -> Option<u32> {
    let is = |name: &[u8; 4]| head == *name;
    let (is_short, is_long) = (is(b"true") | is(b"null"), is(b"fals") & (last == b'e'));
    (is_short | is_long).then_some(4 + u32::from(is_long))
}

/// Behind the runs of digits that begin at these places.
#[inline(always)]
const fn run_end(digits: u64, begin: u64) -> u64 {
    digits.wrapping_add(begin) & !digits
}
