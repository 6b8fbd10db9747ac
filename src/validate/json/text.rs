//! Escapes in strings (RFC 8259 section 7).

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::report::Profile;

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

/// Which escape of a pair of surrogates this may be; the first, where surrogates need no other half.
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
    pub(super) fn next(self, byte: u8, profile: Profile) -> Result<Option<Self>, Fault> {
        match (self, byte) {
            (Self::Begun, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(None),
            (Self::Begun, b'u') => Ok(Some(Self::Unit { left: 4, unit: 0, half: Half::First })),
            (Self::Begun, _) => Err(Fault::Escape),
            (Self::Unit { left, unit, half }, _) => {
                let unit = unit << 4 | hex_digit(byte).ok_or(Fault::Hex)?;
                match profile {
                    _ if left > 1 => Ok(Some(Self::Unit { left: left - 1, unit, half })),
                    Profile::Rfc8259 => Ok(None),
                    Profile::IJson => whole_unit(unit, half),
                }
            }
            (Self::Pair, b'\\') => Ok(Some(Self::PairBegun)),
            (Self::Pair, _) => Err(Fault::LoneSurrogate { behind: 6 }),
            (Self::PairBegun, b'u') => Ok(Some(Self::Unit { left: 4, unit: 0, half: Half::Second })),
            (Self::PairBegun, _) => Err(Fault::LoneSurrogate { behind: 7 }),
        }
    }
}

/// RFC 7493 section 2.1: a surrogate is half a character, and no text without the other half.
fn whole_unit(unit: u16, half: Half) -> Result<Option<Escape>, Fault> {
    match (half, unit) {
        (Half::First, 0xd800..=0xdbff) => Ok(Some(Escape::Pair)),
        (Half::First, 0xdc00..=0xdfff) => Err(Fault::LoneSurrogate { behind: 5 }),
        (Half::Second, 0xdc00..=0xdfff) | (Half::First, _) => Ok(None),
        (Half::Second, _) => Err(Fault::LoneSurrogate { behind: 11 }),
    }
}

/// The length of the escape whose `\\` stands before these bytes, without that; `None` where there is none, or not all of it.
/// Surrogates may be alone.
pub(super) fn escape_length(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(1),
        b'u' => bytes.get(1..5)?.iter().all(u8::is_ascii_hexdigit).then_some(5),
        _ => None,
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
