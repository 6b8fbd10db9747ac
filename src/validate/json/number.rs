//! Numbers (RFC 8259 section 6): the grammar alone, of any size.

use super::fault::Fault;

/// How far into a number the last character was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Whether a character that belongs to no number has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    Yes,
    NotYet,
}

impl Digits {
    /// The state behind a number's first character.
    #[inline]
    pub(super) const fn begin(byte: u8) -> Option<Self> {
        match byte {
            b'-' => Some(Self::Minus),
            b'0' => Some(Self::Zero),
            b'1'..=b'9' => Some(Self::Integer),
            _ => None,
        }
    }

    /// Whether what has come so far is a number.
    pub(super) const fn may_end(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::Exponent)
    }
}

/// Reads on in a number: the index of the first character that is not read, and whether it ends the number.
#[inline]
pub(super) fn read(digits: &mut Digits, bytes: &[u8], mut at: usize) -> Result<(usize, Ended), (Fault, usize)> {
    loop {
        if matches!(digits, Digits::Integer | Digits::Fraction | Digits::Exponent) {
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                at += 1;
            }
        }
        let Some(&byte) = bytes.get(at) else { return Ok((at, Ended::NotYet)) };
        *digits = match (*digits, byte) {
            (Digits::Minus, b'0') => Digits::Zero,
            (Digits::Minus, b'1'..=b'9') => Digits::Integer,
            (Digits::Zero | Digits::Integer, b'.') => Digits::Point,
            (Digits::Zero | Digits::Integer | Digits::Fraction, b'e' | b'E') => Digits::E,
            (Digits::Point, b'0'..=b'9') => Digits::Fraction,
            (Digits::E, b'+' | b'-') => Digits::ESign,
            (Digits::E | Digits::ESign, b'0'..=b'9') => Digits::Exponent,
            (Digits::Zero, b'0'..=b'9') => return Err((Fault::Number("no digit behind a leading zero"), at)),
            (Digits::Minus, _) => return Err((Fault::Number("a digit behind -"), at)),
            (Digits::Point, _) => return Err((Fault::Number("a digit behind the decimal point"), at)),
            (Digits::E, _) => return Err((Fault::Number("a digit or a sign in the exponent"), at)),
            (Digits::ESign, _) => return Err((Fault::Number("a digit in the exponent"), at)),
            (Digits::Zero | Digits::Integer | Digits::Fraction | Digits::Exponent, _) => return Ok((at, Ended::Yes)),
        };
        at += 1;
    }
}
