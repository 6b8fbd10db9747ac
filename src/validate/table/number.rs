//! Numbers as text: their lexical forms, and how they compare, at any size and precision.
//!
//! Nothing here turns a number into a float: two numbers are compared digit by digit, as they are written.

use std::borrow::Cow;
use std::cmp::Ordering;

/// An exponent beyond this counts as this. No number that differs from another only there is told apart.
const LARGEST_EXPONENT: i64 = 1 << 60;

/// How numbers are written in a column: `decimalChar`, `groupChar` and `bareNumber`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lexical {
    pub(super) decimal: Cow<'static, str>,
    /// Empty where digits are not grouped.
    pub(super) group: Cow<'static, str>,
    pub(super) around: Around,
    pub(super) reach: Reach,
}

/// What may stand around a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Around {
    Nothing,
    /// Units, currencies: anything that is no part of a number (`bareNumber` false).
    Anything,
}

/// Which numbers a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// With fractions, exponents, NaN, INF and -INF.
    Number,
    Integer,
}

impl Lexical {
    /// How integers are written where the schema does not say.
    pub(super) const INTEGER: Self = Self::plain(Reach::Integer);
    /// How numbers are written where the schema does not say.
    pub(super) const NUMBER: Self = Self::plain(Reach::Number);

    pub(super) fn is_integer(&self) -> bool {
        self.reach == Reach::Integer
    }

    const fn plain(reach: Reach) -> Self {
        Self { decimal: Cow::Borrowed("."), group: Cow::Borrowed(""), around: Around::Nothing, reach }
    }
}

/// Whether this is an integer in its plain form.
pub(super) fn is_integer(text: &[u8]) -> bool {
    let digits = unsigned(text);
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Whether this is a number in its plain form: XML Schema's `decimal`, perhaps with an exponent, or one of NaN, INF, -INF.
pub(super) fn is_number(text: &[u8]) -> bool {
    let digits = unsigned(text);
    let whole = leading_digits(digits);
    let mut rest = &digits[whole..];
    let mut fraction = 0;
    if let [b'.', after @ ..] = rest {
        fraction = leading_digits(after);
        rest = &after[fraction..];
    }
    if whole + fraction == 0 {
        return special(text).is_some();
    }
    match rest {
        [] => true,
        [b'e' | b'E', exponent @ ..] => is_integer(exponent),
        _ => false,
    }
}

/// A number as it is written.
#[derive(Debug, Clone)]
pub(super) enum Number<'a> {
    Undefined,
    Infinite(Sign),
    Finite(Decimal<'a>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    Minus,
    Plus,
}

/// 0.d₁d₂d₃… × 10^`top`, where the digits are those of `whole`, then those of `fraction`; d₁ and the last digit are no zeros.
#[derive(Debug, Clone)]
pub(super) struct Decimal<'a> {
    sign: Sign,
    /// What stands here and is no digit is part of a group separator.
    whole: Cow<'a, [u8]>,
    fraction: Cow<'a, [u8]>,
    top: i64,
}

impl<'a> Number<'a> {
    /// Reads a number; `None` where it is none.
    pub(super) fn read(text: &'a [u8], lexical: &Lexical) -> Option<Self> {
        let text = match lexical.around {
            Around::Nothing => text,
            Around::Anything => match core(text, &lexical.decimal) {
                Core::Number(number) => number,
                Core::NoDigits => text.trim_ascii(),
                Core::LostSign => return None,
            },
        };
        let sign = if text.first() == Some(&b'-') { Sign::Minus } else { Sign::Plus };
        let digits = unsigned(text);
        if lexical.reach == Reach::Integer {
            return Self::finite(sign, digits, &[], 0, lexical);
        }
        if let Some(special) = special(text) {
            return Some(special);
        }
        let (mantissa, exponent) = match digits.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(at) => (&digits[..at], read_exponent(&digits[at + 1..])?),
            None => (digits, 0),
        };
        match find(mantissa, lexical.decimal.as_bytes()) {
            Some(at) => Self::finite(sign, &mantissa[..at], &mantissa[at + lexical.decimal.len()..], exponent, lexical),
            None => Self::finite(sign, mantissa, &[], exponent, lexical),
        }
    }

    fn finite(sign: Sign, whole: &'a [u8], fraction: &'a [u8], exponent: i64, lexical: &Lexical) -> Option<Self> {
        let right = is_whole(whole, lexical.group.as_bytes()) && fraction.iter().all(u8::is_ascii_digit);
        (right && whole.len() + fraction.len() > 0).then(|| Self::Finite(Decimal::new(sign, whole, fraction, exponent)))
    }

    pub(super) fn into_owned(self) -> Number<'static> {
        match self {
            Self::Undefined => Number::Undefined,
            Self::Infinite(sign) => Number::Infinite(sign),
            Self::Finite(Decimal { sign, whole, fraction, top }) => Number::Finite(Decimal {
                sign,
                whole: Cow::Owned(whole.into_owned()),
                fraction: Cow::Owned(fraction.into_owned()),
                top,
            }),
        }
    }

    /// Writes bytes that are the same for the same number, however it is written, and for no other.
    pub(super) fn canonical(&self, out: &mut Vec<u8>) {
        match self {
            Self::Undefined => out.push(b'n'),
            Self::Infinite(Sign::Minus) => out.push(b'<'),
            Self::Infinite(Sign::Plus) => out.push(b'>'),
            Self::Finite(decimal) if decimal.is_zero() => out.push(b'0'),
            Self::Finite(decimal) => {
                out.push(if decimal.sign == Sign::Minus { b'-' } else { b'+' });
                out.extend_from_slice(&decimal.top.to_be_bytes());
                out.extend(decimal.digits());
            }
        }
    }
}

impl PartialOrd for Number<'_> {
    /// The order of the numbers; NaN stands in none.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let infinite = |number: &Self| match number {
            Self::Infinite(Sign::Minus) => -1,
            Self::Infinite(Sign::Plus) => 1,
            _ => 0,
        };
        match (self, other) {
            (Self::Undefined, _) | (_, Self::Undefined) => None,
            (Self::Finite(left), Self::Finite(right)) => Some(left.compare(right)),
            _ => Some(infinite(self).cmp(&infinite(other))),
        }
    }
}

impl PartialEq for Number<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl<'a> Decimal<'a> {
    fn new(sign: Sign, mut whole: &'a [u8], mut fraction: &'a [u8], exponent: i64) -> Self {
        while let [b'0' | b':'..=u8::MAX | ..b'0', rest @ ..] = whole {
            whole = rest;
        }
        let mut top = exponent + count_digits(whole);
        if whole.is_empty() {
            while let [b'0', rest @ ..] = fraction {
                fraction = rest;
                top -= 1;
            }
        }
        while let [rest @ .., b'0'] = fraction {
            fraction = rest;
        }
        if fraction.is_empty() {
            while let [rest @ .., b'0' | b':'..=u8::MAX | ..b'0'] = whole {
                whole = rest;
            }
        }
        Self { sign, whole: Cow::Borrowed(whole), fraction: Cow::Borrowed(fraction), top }
    }

    fn is_zero(&self) -> bool {
        self.whole.is_empty() && self.fraction.is_empty()
    }

    fn digits(&self) -> impl Iterator<Item = u8> + '_ {
        self.whole.iter().chain(self.fraction.iter()).copied().filter(u8::is_ascii_digit)
    }

    fn compare(&self, other: &Decimal<'_>) -> Ordering {
        let side = |decimal: &Decimal<'_>| match decimal.sign {
            _ if decimal.is_zero() => 0,
            Sign::Minus => -1,
            Sign::Plus => 1,
        };
        let magnitude = || self.top.cmp(&other.top).then_with(|| self.digits().cmp(other.digits()));
        match (side(self), side(other)) {
            (0, 0) => Ordering::Equal,
            (-1, -1) => magnitude().reverse(),
            (1, 1) => magnitude(),
            (left, right) => left.cmp(&right),
        }
    }
}

fn unsigned(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    }
}

fn leading_digits(text: &[u8]) -> usize {
    text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len())
}

fn count_digits(text: &[u8]) -> i64 {
    i64::try_from(text.iter().filter(|byte| byte.is_ascii_digit()).count()).unwrap_or(LARGEST_EXPONENT)
}

/// NaN, INF and -INF; their case need not be respected.
fn special(text: &[u8]) -> Option<Number<'static>> {
    if text.eq_ignore_ascii_case(b"nan") {
        Some(Number::Undefined)
    } else if text.eq_ignore_ascii_case(b"inf") {
        Some(Number::Infinite(Sign::Plus))
    } else if text.eq_ignore_ascii_case(b"-inf") {
        Some(Number::Infinite(Sign::Minus))
    } else {
        None
    }
}

fn read_exponent(text: &[u8]) -> Option<i64> {
    if !is_integer(text) {
        return None;
    }
    let value = unsigned(text)
        .iter()
        .fold(0_i64, |value, digit| value.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(LARGEST_EXPONENT));
    Some(if text[0] == b'-' { -value } else { value })
}

/// Whether these are digits, with a group separator nowhere but between two of them; none at all will do.
fn is_whole(text: &[u8], group: &[u8]) -> bool {
    if text.iter().all(u8::is_ascii_digit) {
        return true;
    }
    if group.is_empty() {
        return false;
    }
    let mut rest = text;
    loop {
        let digits = leading_digits(rest);
        match &rest[digits..] {
            _ if digits == 0 => return false,
            [] => return true,
            after => match after.strip_prefix(group) {
                Some(after) => rest = after,
                None => return false,
            },
        }
    }
}

enum Core<'a> {
    Number(&'a [u8]),
    NoDigits,
    /// A sign apart from its digits, as in `-€5`: to strip it would change the number.
    LostSign,
}

/// The number within a text that is not bare: from its first digit, with a decimal point and a sign right before it, to its last.
fn core<'a>(text: &'a [u8], decimal: &str) -> Core<'a> {
    let (Some(first), Some(last)) = (text.iter().position(u8::is_ascii_digit), text.iter().rposition(u8::is_ascii_digit))
    else {
        return Core::NoDigits;
    };
    let mut start = first;
    if text[..start].ends_with(decimal.as_bytes()) {
        start -= decimal.len();
    }
    if let [.., b'+' | b'-'] = &text[..start] {
        start -= 1;
    }
    if text[..start].iter().any(|byte| matches!(byte, b'+' | b'-')) {
        return Core::LostSign;
    }
    Core::Number(&text[start..=last])
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
