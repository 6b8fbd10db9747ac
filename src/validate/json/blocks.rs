//! Finding the next byte that matters, many bytes at a time.
//!
//! Sixteen at a time with what every processor of the architecture has (SSE2, NEON), and eight near the end of the bytes.

#![allow(clippy::inline_always, reason = "each saves a call for every token, which was measured")]

use wide::u8x16;

/// The index of the first byte that is a quote, a `\` or a control character (below U+0020).
#[inline(always)]
pub(super) fn skip_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special(*block);
        if special != 0 {
            return at + special.trailing_zeros() as usize;
        }
        at += block.len();
    }
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += word.len();
    }
    while bytes.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

/// The index of the first byte that is no white space (RFC 8259 section 2).
#[inline(always)]
pub(super) fn skip_space(bytes: &[u8], at: usize) -> usize {
    // None at all in a compact text, and one behind a colon or a comma, are the common cases.
    match bytes.get(at) {
        Some(b' ' | b'\n' | b'\t' | b'\r') if bytes.get(at + 1).is_some_and(|&byte| byte > b' ') => at + 1,
        Some(b' ' | b'\n' | b'\t' | b'\r') => skip_long_space(bytes, at + 1),
        _ => at,
    }
}

/// As [`skip_space`], where a line end and an indentation are to be expected.
#[inline]
fn skip_long_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let other = no_space(*block);
        if other != 0 {
            return at + other.trailing_zeros() as usize;
        }
        at += block.len();
    }
    while let Some(b' ' | b'\n' | b'\t' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

/// The index of the first byte that is no digit.
#[inline(always)]
pub(super) fn skip_digits(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let other = no_digits(u64::from_le_bytes(*word));
        if other != 0 {
            return at + other.trailing_zeros() as usize / 8;
        }
        at += word.len();
    }
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES << 7;

/// Sets the high bit of the first (lowest) byte that is special; above that one, bits may be set wrongly.
///
/// `(x - n) & !x & 0x80` finds bytes below `n` (Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than
/// n"); a byte is found equal to another where their exclusive or is below 1.
const fn special_bytes(word: u64) -> u64 {
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH
}

/// Sets the high bit of every byte that is no digit.
const fn no_digits(word: u64) -> u64 {
    // A digit becomes its value; what is above 9 reaches the high bit with 0x76 added, and none carries into the next byte.
    let value = word ^ (ONES * b'0' as u64);
    (((value & !HIGH) + ONES * 0x76) | value) & HIGH
}

/// A bit for every byte that is a quote, a `\` or a control character.
#[inline]
fn special(block: [u8; 16]) -> u32 {
    let block = u8x16::new(block);
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    (control | block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'))).to_bitmask()
}

/// A bit for every byte that is no white space.
#[inline]
fn no_space(block: [u8; 16]) -> u32 {
    let block = u8x16::new(block);
    let blank = block.simd_eq(u8x16::splat(b' ')) | block.simd_eq(u8x16::splat(b'\t'));
    let line_end = block.simd_eq(u8x16::splat(b'\n')) | block.simd_eq(u8x16::splat(b'\r'));
    !(blank | line_end).to_bitmask() & 0xffff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Puts every byte at every place among fillers that are passed over, and sees where `skip` stops.
    fn stops_at(skip: fn(&[u8], usize) -> usize, passes: fn(u8) -> bool, fillers: &[u8]) {
        for byte in 0..=255 {
            for length in 0..40 {
                for at in 0..length {
                    for &filler in fillers {
                        let mut bytes = vec![filler; length];
                        bytes[at] = byte;
                        let expected = if passes(byte) { length } else { at };
                        assert_eq!(skip(&bytes, 0), expected, "{byte:#x} at {at} of {length} among {filler:#x}");
                    }
                }
            }
        }
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        let passes = |byte| byte >= 0x20 && byte != b'"' && byte != b'\\';
        stops_at(skip_plain, passes, &[b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff]);
    }

    #[test]
    fn the_first_byte_that_is_no_space_is_found_wherever_it_stands() {
        stops_at(skip_space, |byte| b" \t\r\n".contains(&byte), b" \t\r\n");
    }

    #[test]
    fn the_first_byte_that_is_no_digit_is_found_wherever_it_stands() {
        stops_at(skip_digits, |byte| byte.is_ascii_digit(), b"0189");
    }
}
