//! Durations as XML Schema writes and compares them (part 2, section 3.2.6).

use std::borrow::Cow;
use std::cmp::Ordering;

use super::calendar::{DAY_SECONDS, days};

/// More digits than this in one number of a duration are refused; all sums of such numbers fit 128 bits.
const MOST_DIGITS: usize = 18;

/// The days by which durations are compared: added to any of them, months are of every length there is.
const ANCHORS: [(i64, i64); 4] = [(1696, 9), (1697, 2), (1903, 3), (1903, 7)];

/// Months, and seconds with their fraction, all of one sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Duration<'a> {
    months: i128,
    seconds: i128,
    fraction: Cow<'a, str>,
    direction: i128,
}

impl<'a> Duration<'a> {
    /// Reads `PnYnMnDTnHnMnS`, perhaps with a minus in front.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let positive = text.strip_prefix('-');
        let direction = if positive.is_some() { -1 } else { 1 };
        let rest = positive.unwrap_or(text).strip_prefix('P')?;
        let (date, time) = match rest.split_once('T') {
            Some((_, "")) => return None,
            Some((date, time)) => (date, time),
            None if rest.is_empty() => return None,
            None => (rest, ""),
        };
        let (years, date) = part(date, 'Y')?;
        let (months, date) = part(date, 'M')?;
        let (days, date) = part(date, 'D')?;
        let (hours, time) = part(time, 'H')?;
        let (minutes, time) = part(time, 'M')?;
        let (seconds, fraction) = last_part(time)?;
        let fraction = fraction.trim_end_matches('0');
        let months = direction * (years * 12 + months);
        let seconds = direction * (days * i128::from(DAY_SECONDS) + hours * 3600 + minutes * 60 + seconds);
        let nothing = months == 0 && seconds == 0 && fraction.is_empty();
        let direction = if nothing { 1 } else { direction };
        date.is_empty().then_some(Self { months, seconds, fraction: Cow::Borrowed(fraction), direction })
    }

    pub(super) fn into_owned(self) -> Duration<'static> {
        Duration { fraction: Cow::Owned(self.fraction.into_owned()), ..self }
    }

    pub(super) fn canonical(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.months.to_be_bytes());
        out.extend_from_slice(&self.seconds.to_be_bytes());
        out.push(if self.direction < 0 { b'-' } else { b'+' });
        out.extend_from_slice(self.fraction.as_bytes());
    }

    /// The seconds from a day to the one that lies this far from it.
    fn from(&self, anchor: (i64, i64)) -> i128 {
        let (year, month) = anchor;
        let total = i128::from(year) * 12 + i128::from(month) - 1 + self.months;
        // The calendar comes again every 400 years, so that any month can be told from one that fits.
        let cycle = 400 * 12;
        let within = i64::try_from(total.rem_euclid(cycle)).unwrap_or(0);
        let (to_year, to_month) = (within / 12, within % 12 + 1);
        let between = i128::from(days(to_year, to_month, 1) - days(year, month, 1)) + total.div_euclid(cycle) * 146_097;
        between * i128::from(DAY_SECONDS) + self.seconds
    }

    /// A fraction of a second counts down in a negative duration.
    fn compare_from(&self, other: &Self, anchor: (i64, i64)) -> Ordering {
        let fractions = || match (self.direction, other.direction) {
            (1, 1) => self.fraction.cmp(&other.fraction),
            (-1, -1) => other.fraction.cmp(&self.fraction),
            (left, right) => {
                let (left, right) = (left * length(&self.fraction), right * length(&other.fraction));
                left.cmp(&right)
            }
        };
        self.from(anchor).cmp(&other.from(anchor)).then_with(fractions)
    }
}

impl PartialOrd for Duration<'_> {
    /// Whether one is longer from whatever day they are counted; a month and thirty days do not compare.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let mut orders = ANCHORS.into_iter().map(|anchor| self.compare_from(other, anchor));
        let first = orders.next()?;
        orders.all(|order| order == first).then_some(first)
    }
}

fn length(fraction: &str) -> i128 {
    i128::from(!fraction.is_empty())
}

/// A number before its letter, and the text behind it; 0 where that letter does not come next.
fn part(text: &str, letter: char) -> Option<(i128, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match text[digits..].strip_prefix(letter) {
        Some(rest) => Some((number(&text[..digits])?, rest)),
        None => Some((0, text)),
    }
}

/// The seconds, which may have a fraction, and nothing behind them.
fn last_part(text: &str) -> Option<(i128, &str)> {
    if text.is_empty() {
        return Some((0, ""));
    }
    let number_text = text.strip_suffix('S')?;
    let (whole, fraction) = match number_text.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (number_text, ""),
    };
    fraction.bytes().all(|byte| byte.is_ascii_digit()).then_some((number(whole)?, fraction))
}

fn number(digits: &str) -> Option<i128> {
    let right = (1..=MOST_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    if right { digits.parse().ok() } else { None }
}
