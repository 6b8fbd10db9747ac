//! Values in the forms that most are written in, as numbers that compare as they do; `None` for all others.

use super::super::calendar::{self, DAY_SECONDS, Zone};

/// Digits that 64 bits hold, whatever they are.
const MAX_DIGITS: usize = 18;
const UNIT: i64 = 10_i64.pow(18);

/// The largest that [`whole`] tells, either way.
pub(super) const MAX_WHOLE: i64 = UNIT - 1;
/// The largest that [`decimal`] tells, either way.
pub(super) const MAX_DECIMAL: i128 = UNIT as i128 * UNIT as i128 - 1;

/// An integer of 18 digits at most.
#[inline(never)]
pub(super) fn whole(text: &[u8]) -> Option<i64> {
    let (sign, digits) = signed(text);
    let (value, rest) = leading_digits(digits);
    (rest.is_empty() && (1..=MAX_DIGITS).contains(&digits.len())).then(|| sign * value)
}

/// A number in units of 10⁻¹⁸; 18 digits at most before the point, and behind it.
#[inline(never)]
pub(super) fn decimal(text: &[u8]) -> Option<i128> {
    let (sign, digits) = signed(text);
    let (whole, rest) = leading_digits(digits);
    let before = digits.len() - rest.len();
    let (fraction, behind) = match rest {
        [] => (0, 0),
        [b'.', fraction @ ..] => {
            let (value, rest) = leading_digits(fraction);
            if !rest.is_empty() || fraction.len() > MAX_DIGITS {
                return None;
            }
            (value * POWERS[MAX_DIGITS - fraction.len()], fraction.len())
        }
        _ => return None,
    };
    let is_read = before <= MAX_DIGITS && before + behind > 0;
    is_read.then(|| i128::from(sign) * (i128::from(whole) * i128::from(UNIT) + i128::from(fraction)))
}

const POWERS: [i64; MAX_DIGITS + 1] = {
    let mut powers = [1; MAX_DIGITS + 1];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = 10 * powers[at - 1];
        at += 1;
    }
    powers
};

/// The digits of a date, read as one number.
#[inline(never)]
pub(super) fn date(text: &[u8]) -> Option<i64> {
    calendar::day(text).map(|(year, month, day)| (year * 100 + month) * 100 + day)
}

/// The second of a day. Midnight at the end of a day is the one at its beginning, and left to others.
#[inline(never)]
pub(super) fn time(text: &[u8]) -> Option<i64> {
    calendar::time(text).filter(|second| *second < DAY_SECONDS)
}

/// A number that rises with date and time, of one in its plainest form that has this zone.
#[inline(never)]
pub(super) fn instant(text: &[u8], zone: Zone) -> Option<i64> {
    let ((year, month, day), second, found) = calendar::plain(text)?;
    let is_sure = found == zone && second < DAY_SECONDS;
    is_sure.then_some(((year * 100 + month) * 100 + day) * DAY_SECONDS + second)
}

fn signed(text: &[u8]) -> (i64, &[u8]) {
    match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] | digits => (1, digits),
    }
}

/// The number that the digits in front make, and what follows them; of more than 18 it is another.
#[inline]
fn leading_digits(text: &[u8]) -> (i64, &[u8]) {
    let mut value = 0_i64;
    let mut rest = text;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
        rest = after;
    }
    (value, rest)
}
