//! Numbers (RFC 8259 section 6): the grammar alone, of any size.

use serde::{Deserialize, Serialize};

use super::fault::Fault;

/// How far into a number the last character was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Digits {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    E,
    ESign,
    Exponent,
}

impl Digits {
    /// Whether what has come so far is a number.
    pub(super) const fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }

    /// Whether any digit leaves this state as it is.
    #[inline]
    pub(super) const fn may_go_on(self) -> bool {
        matches!(self, Self::Integer | Self::Fraction | Self::Exponent)
    }

    /// Reads the next character: the state behind it, or `None` where it ends the number and is none of it.
    #[inline]
    pub(super) fn next(self, byte: u8) -> Result<Option<Self>, Fault> {
        Ok(Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus | Self::Integer, b'1'..=b'9') | (Self::Integer, b'0') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::E,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::E, b'+' | b'-') => Self::ESign,
            (Self::E | Self::ESign | Self::Exponent, b'0'..=b'9') => Self::Exponent,
            (Self::Zero, b'0'..=b'9') => return Err(Fault::Number("no digit behind a leading zero")),
            (Self::Minus, _) => return Err(Fault::Number("a digit behind -")),
            (Self::Point, _) => return Err(Fault::Number("a digit behind the decimal point")),
            (Self::E, _) => return Err(Fault::Number("a digit or a sign in the exponent")),
            (Self::ESign, _) => return Err(Fault::Number("a digit in the exponent")),
            (Self::Zero | Self::Integer | Self::Fraction | Self::Exponent, _) => return Ok(None),
        }))
    }
}
