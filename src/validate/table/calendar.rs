//! Days, times and instants: the forms of XML Schema, and how they compare.
//!
//! Every date is one that the (proleptic Gregorian) calendar has. Fractions of a second keep all their digits.

use std::borrow::Cow;
use std::cmp::Ordering;

pub(super) const DAY_SECONDS: i64 = 24 * 60 * 60;

/// How far a text without a time zone may be from UTC, either way (XML Schema part 2, section 3.2.7.4).
const FARTHEST_ZONE_SECONDS: i64 = 14 * 60 * 60;

/// A place on the time line: of a date, a year or a month it is the first instant, of a time of day that of an unnamed day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment<'a> {
    /// Since 1970-01-01T00:00:00, in UTC where it has a zone.
    pub(super) seconds: i64,
    /// The digits behind the decimal point, without zeros at the end.
    pub(super) fraction: Cow<'a, str>,
    pub(super) zone: Zone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zone {
    Known,
    Unknown,
}

impl<'a> Moment<'a> {
    pub(super) fn new(local_seconds: i64, fraction: &'a str, offset_seconds: Option<i64>) -> Self {
        Self {
            seconds: local_seconds - offset_seconds.unwrap_or(0),
            fraction: Cow::Borrowed(fraction.trim_end_matches('0')),
            zone: if offset_seconds.is_some() { Zone::Known } else { Zone::Unknown },
        }
    }

    pub(super) fn into_owned(self) -> Moment<'static> {
        Moment { seconds: self.seconds, fraction: Cow::Owned(self.fraction.into_owned()), zone: self.zone }
    }

    pub(super) fn canonical(&self, out: &mut Vec<u8>) {
        out.push(if self.zone == Zone::Known { b'z' } else { b'l' });
        out.extend_from_slice(&self.seconds.to_be_bytes());
        out.extend_from_slice(self.fraction.as_bytes());
    }
}

impl PartialOrd for Moment<'_> {
    /// Where only one has a time zone, they compare if they are so far apart that no zone could change the answer.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let shifted = |shift: i64| (self.seconds + shift, &*self.fraction).cmp(&(other.seconds, &*other.fraction));
        if self.zone == other.zone {
            return Some(shifted(0));
        }
        let (early, late) = (shifted(-FARTHEST_ZONE_SECONDS), shifted(FARTHEST_ZONE_SECONDS));
        (early == late).then_some(early)
    }
}

/// Whether this is a date of the form `yyyy-mm-dd`.
pub(super) fn is_date(text: &[u8]) -> bool {
    day(text).is_some()
}

/// The days since 1970-01-01 of a date of the form `yyyy-mm-dd`.
pub(super) fn date(text: &[u8]) -> Option<i64> {
    day(text).map(|(year, month, day)| days(year, month, day))
}

/// Year, month and day of a date of the form `yyyy-mm-dd`.
pub(super) fn day(text: &[u8]) -> Option<(i64, i64, i64)> {
    let [y1, y2, rest @ ..] = text.first_chunk::<10>().filter(|_| text.len() == 10)?;
    let [year, _, _, month, _, _, day, _] = pairs(*rest, *b"00-00-00")?.map(i64::from);
    let year = 100 * two(*y1, *y2)? + year;
    (year > 0 && is_day(year, month, day)).then_some((year, month, day))
}

/// The second of the day that `hh:mm:ss` names. 24:00:00 is midnight.
pub(super) fn time(text: &[u8]) -> Option<i64> {
    let [hour, _, _, minute, _, _, second, _] = pairs(text.try_into().ok()?, *b"00:00:00")?.map(i64::from);
    let right = hour < 24 && minute < 60 && second < 60 || (hour, minute, second) == (24, 0, 0);
    right.then_some((hour * 60 + minute) * 60 + second)
}

/// Date, second of the day and zone of a date and time in its plainest form: `yyyy-mm-ddThh:mm:ss`, perhaps with a `Z`.
pub(super) fn plain(text: &[u8]) -> Option<((i64, i64, i64), i64, Zone)> {
    let (date, clock) = text.split_at_checked(10)?;
    let (clock, zone) = clock.strip_prefix(b"T")?.split_at_checked(8)?;
    let zone = match zone {
        [] => Zone::Unknown,
        [b'Z'] => Zone::Known,
        _ => return None,
    };
    Some((day(date)?, time(clock)?, zone))
}

/// XML Schema's `dateTime`: `yyyy-mm-ddThh:mm:ss`, perhaps with a fraction and a zone.
pub(super) fn date_time(text: &str) -> Option<Moment<'_>> {
    let (year, rest) = year(text)?;
    let [b'-', m1, m2, b'-', d1, d2, b'T', clock @ ..] = rest.as_bytes() else { return None };
    let (month, day) = (two(*m1, *m2)?, two(*d1, *d2)?);
    let seconds = time(clock.get(..8)?)?;
    let mut rest = &rest[15..];
    let mut fraction = "";
    if let Some(after) = rest.strip_prefix('.') {
        let length = after.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(after.len());
        (fraction, rest) = after.split_at(length);
        if fraction.is_empty() || seconds == DAY_SECONDS && fraction.bytes().any(|digit| digit != b'0') {
            return None;
        }
    }
    is_day(year, month, day).then_some(())?;
    zoned(days(year, month, day) * DAY_SECONDS + seconds, fraction, rest)
}

/// XML Schema's `gYear`.
pub(super) fn calendar_year(text: &str) -> Option<Moment<'static>> {
    let (year, rest) = year(text)?;
    zoned(days(year, 1, 1) * DAY_SECONDS, "", rest)
}

/// XML Schema's `gYearMonth`.
pub(super) fn calendar_month(text: &str) -> Option<Moment<'static>> {
    let (year, rest) = year(text)?;
    let [b'-', m1, m2, ..] = *rest.as_bytes() else { return None };
    let month = two(m1, m2).filter(|month| (1..=12).contains(month))?;
    zoned(days(year, month, 1) * DAY_SECONDS, "", &rest[3..])
}

/// Whether the calendar has this day.
pub(super) fn is_day(year: i64, month: i64, day: i64) -> bool {
    (1..=12).contains(&month) && day >= 1 && (day <= 28 || day <= days_of_month(year, month))
}

fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && year % 100 != 0 || year % 400 == 0
}

/// Days since 1970-01-01 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`).
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// A year and what follows it: four digits, or more without a zero in front, perhaps a minus; there is no year 0000
/// (XML Schema part 2, section 3.2.7.1). It is told astronomically: -0001 is 0.
fn year(text: &str) -> Option<(i64, &str)> {
    let digits_on = text.strip_prefix('-').unwrap_or(text);
    let length = digits_on.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits_on.len());
    let (digits, rest) = digits_on.split_at(length);
    // Nine digits keep the seconds far within 64 bits.
    let right = length == 4 || (5..=9).contains(&length) && !digits.starts_with('0');
    let year = digits.bytes().take_while(|_| right).fold(0, |year, digit| 10 * year + i64::from(digit - b'0'));
    match year {
        0 => None,
        _ if digits_on.len() < text.len() => Some((1 - year, rest)),
        _ => Some((year, rest)),
    }
}

/// A moment with the zone that is written behind it: `Z`, `+hh:mm` or `-hh:mm`, to fourteen hours, or none.
fn zoned<'a>(local_seconds: i64, fraction: &'a str, zone: &str) -> Option<Moment<'a>> {
    let (sign, h1, h2, m1, m2) = match *zone.as_bytes() {
        [] => return Some(Moment::new(local_seconds, fraction, None)),
        [b'Z'] => return Some(Moment::new(local_seconds, fraction, Some(0))),
        [b'+', h1, h2, b':', m1, m2] => (1, h1, h2, m1, m2),
        [b'-', h1, h2, b':', m1, m2] => (-1, h1, h2, m1, m2),
        _ => return None,
    };
    let (hour, minute) = (two(h1, h2)?, two(m1, m2)?);
    let seconds = (hour * 60 + minute) * 60;
    let right = minute < 60 && seconds <= FARTHEST_ZONE_SECONDS;
    right.then(|| Moment::new(local_seconds, fraction, Some(sign * seconds)))
}

/// The numbers that two digits make, each where the first of them stands, in a text of this form: `0` in it is any digit, all
/// else is itself.
///
/// All eight bytes are looked at together: without those of the form a digit is at most 9, and all else 0, or adding to it what
/// lacks to 128 sets the highest bit (Anderson, Bit Twiddling Hacks, "Determine if a word has a byte greater than n").
#[inline]
fn pairs(text: [u8; 8], form: [u8; 8]) -> Option<[u8; 8]> {
    let lacking = u64::from_le_bytes(form.map(|byte| if byte == b'0' { 0x80 - 10 } else { 0x80 - 1 }));
    let digits = u64::from_le_bytes(text) ^ u64::from_le_bytes(form);
    let wrong = (digits | digits.wrapping_add(lacking)) & ((u64::MAX / 255) << 7);
    (wrong == 0).then(|| (digits * 10 + (digits >> 8)).to_le_bytes())
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}
