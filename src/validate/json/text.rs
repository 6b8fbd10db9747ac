//! Strings (RFC 8259 section 7): plain runs, and escapes.

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// How far into an escape the last character was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Escape {
    /// Behind the `\`.
    Begun,
    /// Behind `\u` and some of its digits: how many are left, and what those make so far.
    Unit { left: u8, unit: u16, half: Half },
    /// Behind the escape of a high surrogate: the other half has to follow.
    Pair,
    /// Behind the `\` behind that.
    PairBegun,
}

/// Which escape of a pair of surrogates this may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Half {
    First,
    Second,
}

impl Escape {
    /// How many bytes of it have come; `None` where no bytes lead here.
    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            Self::Begun => Some(1),
            Self::Unit { left, unit, half } => {
                let seen = 4_u8.checked_sub(left).filter(|_| left > 0)?;
                let before = if half == Half::First { 2 } else { 8 };
                (u32::from(unit) >> (4 * seen) == 0).then_some(before + u64::from(seen))
            }
            Self::Pair => Some(6),
            Self::PairBegun => Some(7),
        }
    }

    /// Reads the next character: the state behind it, or `None` where the escape has ended.
    pub(super) fn next(self, byte: u8) -> Result<Option<Self>, Fault> {
        match (self, byte) {
            (Self::Begun, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(None),
            (Self::Begun, b'u') => Ok(Some(Self::Unit { left: 4, unit: 0, half: Half::First })),
            (Self::Begun, _) => Err(Fault::Escape),
            (Self::Unit { left, unit, half }, _) => {
                let unit = unit << 4 | hex_digit(byte).ok_or(Fault::Hex)?;
                if left > 1 { Ok(Some(Self::Unit { left: left - 1, unit, half })) } else { whole_unit(unit, half) }
            }
            (Self::Pair, b'\\') => Ok(Some(Self::PairBegun)),
            (Self::Pair, _) => Err(Fault::LoneSurrogate { behind: 6 }),
            (Self::PairBegun, b'u') => Ok(Some(Self::Unit { left: 4, unit: 0, half: Half::Second })),
            (Self::PairBegun, _) => Err(Fault::LoneSurrogate { behind: 7 }),
        }
    }
}

/// RFC 8259 section 8.2, RFC 7493 section 2.1: a surrogate is half a character, and no text without the other half.
fn whole_unit(unit: u16, half: Half) -> Result<Option<Escape>, Fault> {
    match (half, unit) {
        (Half::First, 0xd800..=0xdbff) => Ok(Some(Escape::Pair)),
        (Half::First, 0xdc00..=0xdfff) => Err(Fault::LoneSurrogate { behind: 5 }),
        (Half::Second, 0xdc00..=0xdfff) | (Half::First, _) => Ok(None),
        (Half::Second, _) => Err(Fault::LoneSurrogate { behind: 11 }),
    }
}

const fn hex_digit(byte: u8) -> Option<u16> {
    match byte {
        b'0'..=b'9' => Some((byte - b'0') as u16),
        b'a'..=b'f' => Some((byte - b'a') as u16 + 10),
        b'A'..=b'F' => Some((byte - b'A') as u16 + 10),
        _ => None,
    }
}

/// The index of the first byte that is a quote, a `\` or a control character (below U+0020), eight bytes at a time.
#[inline]
pub(super) fn skip_plain(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special_bytes(u64::from_le_bytes(*word));
        if special != 0 {
            return at + special.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|&byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
        at += 1;
    }
    at
}

/// Sets the high bit of the first (lowest) byte that is special; above that one, bits may be set wrongly.
///
/// `(x - n) & !x & 0x80` finds bytes below `n` (Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than
/// n"); a byte is found equal to another where their exclusive or is below 1.
const fn special_bytes(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    let quote = word ^ (ONES * b'"' as u64);
    let backslash = word ^ (ONES * b'\\' as u64);
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (control | (quote.wrapping_sub(ONES) & !quote) | (backslash.wrapping_sub(ONES) & !backslash)) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for special in 0..=255 {
            let is_special = special < 0x20 || special == b'"' || special == b'\\';
            for length in 0..24 {
                for at in 0..length {
                    for filler in [b'a', b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xa2, 0xdc, 0xff] {
                        let mut bytes = vec![filler; length];
                        bytes[at] = special;
                        let expected = if is_special { at } else { length };
                        assert_eq!(skip_plain(&bytes, 0), expected, "{special:#x} at {at} of {length} among {filler:#x}");
                    }
                }
            }
        }
    }
}
