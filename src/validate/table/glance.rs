//! A look at a cell that proves most of those that are right to be so, in a fraction of what the whole check takes.
//!
//! What it does not prove need not be wrong: then the whole check decides, and it alone finds words. So nothing here may hold
//! that does not hold there; the other way around, all that is lost is time.

use std::ops::{Add, Sub};

use super::calendar::{self, DAY_SECONDS, Zone};
use super::constraints::{Bound, Rules};
use super::kind::Kind;

/// What a cell is looked at for; its column decides.
#[derive(Debug)]
pub(super) enum Glance {
    /// Nothing: each cell takes the whole check.
    Blind,
    /// Any text will do.
    Anything,
    /// No rule asks for more than the type.
    Type,
    /// An integer between these, both included.
    Whole(Between<i64>),
    /// A number without an exponent between these, both included, in units of 10⁻¹⁸.
    Decimal(Between<i128>),
    /// A date between these, both included, its digits read as one number.
    Day(Between<i64>),
    /// A second of the day between these, both included.
    Time(Between<i64>),
    /// A date and time in the plainest form and this zone, between these, both included; in a number that rises with it.
    Instant(Zone, Between<i64>),
    /// Text of so many characters.
    Length(Between<u64>),
    /// One of these, as it stands there.
    Word(Words),
}

/// What keeps two bounds, both included.
#[derive(Debug, Clone, Copy)]
pub(super) struct Between<T> {
    least: T,
    most: T,
}

impl<T: PartialOrd> Between<T> {
    #[inline]
    fn has(&self, value: T) -> bool {
        self.least <= value && value <= self.most
    }
}

impl Glance {
    /// For a column of this type and these rules.
    pub(super) fn of(kind: &Kind, rules: Option<&Rules>) -> Self {
        let (none, has_rules) = (Rules::default(), rules.is_some());
        let Rules { min_length, max_length, bounds, pattern: None, sets, json_schema: None } = rules.unwrap_or(&none) else {
            return Self::Blind;
        };
        let lengths = Between { least: min_length.unwrap_or(0), most: max_length.unwrap_or(u64::MAX) };
        let has_lengths = min_length.is_some() || max_length.is_some();
        let glance = match (kind, has_lengths, sets.as_slice()) {
            (Kind::Integer, false, []) => range(bounds, whole, MAX_WHOLE).map(Self::Whole),
            (Kind::Number, false, []) => range(bounds, decimal, MAX_DECIMAL).map(Self::Decimal),
            (Kind::Date | Kind::Time | Kind::DateTime, false, []) if bounds.is_empty() => Some(Self::Type),
            (Kind::Date, false, []) => range(bounds, date, MAX_WHOLE).map(Self::Day),
            (Kind::Time, false, []) => range(bounds, time, MAX_WHOLE).map(Self::Time),
            (Kind::DateTime, false, []) => instants(bounds),
            (Kind::Any | Kind::Text, false, []) => Some(Self::Anything),
            (Kind::Any | Kind::Text, true, []) => Some(Self::Length(lengths)),
            (Kind::Any | Kind::Text, false, [first, more @ ..]) => {
                let in_all = |value: &&Box<[u8]>| more.iter().all(|set| set.values.contains(*value));
                Some(Self::Word(Words::of(first.values.iter().filter(in_all))))
            }
            // Rules that ask for nothing make one of JSON that it can be held.
            _ if !has_rules => Some(Self::Type),
            _ => None,
        };
        glance.unwrap_or(Self::Blind)
    }

    /// Whether it shows that a cell of such a column, one that holds something, is right.
    ///
    /// All cells come here: it stands where it is used, and what it calls does not, so that the few lines of each are all that
    /// its cells cost.
    #[allow(clippy::inline_always, reason = "measured: a tenth of all that a typed table costs")]
    #[inline(always)]
    pub(super) fn proves(&self, cell: &str, kind: &Kind) -> bool {
        match self {
            Self::Blind => false,
            Self::Anything => true,
            Self::Type => kind.accepts(cell),
            Self::Whole(between) => whole(cell.as_bytes()).is_some_and(|value| between.has(value)),
            Self::Decimal(between) => decimal(cell.as_bytes()).is_some_and(|value| between.has(value)),
            Self::Day(between) => date(cell.as_bytes()).is_some_and(|day| between.has(day)),
            Self::Time(between) => time(cell.as_bytes()).is_some_and(|second| between.has(second)),
            Self::Instant(zone, between) => instant(cell.as_bytes(), *zone).is_some_and(|instant| between.has(instant)),
            Self::Length(between) => has_length(cell, *between),
            Self::Word(words) => words.has(cell.as_bytes()),
        }
    }
}

/// The range that bounds leave of -`max` to `max`, which are all that `read` may tell; `None` where it does not read one of the
/// bounds.
fn range<T>(bounds: &[Bound], read: impl Fn(&[u8]) -> Option<T>, max: T) -> Option<Between<T>>
where
    T: Copy + Ord + From<i8> + Add<Output = T> + Sub<Output = T>,
{
    let (one, mut least, mut most) = (T::from(1), T::from(0) - max, max);
    for bound in bounds {
        let value = read(bound.written.as_bytes())?;
        match bound.constraint {
            "minimum" => least = least.max(value),
            "exclusiveMinimum" => least = least.max(value + one),
            "maximum" => most = most.min(value),
            "exclusiveMaximum" => most = most.min(value - one),
            _ => return None,
        }
    }
    Some(Between { least, most })
}

/// Digits that 64 bits hold, whatever they are.
const MAX_DIGITS: usize = 18;
const UNIT: i64 = 10_i64.pow(18);

const MAX_WHOLE: i64 = UNIT - 1;
const MAX_DECIMAL: i128 = UNIT as i128 * UNIT as i128 - 1;

/// An integer of 18 digits at most.
#[inline(never)]
fn whole(text: &[u8]) -> Option<i64> {
    let (sign, digits) = signed(text);
    let (value, rest) = leading_digits(digits);
    (rest.is_empty() && (1..=MAX_DIGITS).contains(&digits.len())).then_some(sign * value)
}

/// A number in units of 10⁻¹⁸; 18 digits at most before the point, and behind it.
#[inline(never)]
fn decimal(text: &[u8]) -> Option<i128> {
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

#[inline(never)]
fn date(text: &[u8]) -> Option<i64> {
    calendar::day(text).map(|(year, month, day)| (year * 100 + month) * 100 + day)
}

/// Midnight at the end of a day is the one at its beginning, and left to others.
#[inline(never)]
fn time(text: &[u8]) -> Option<i64> {
    calendar::time(text).filter(|second| *second < DAY_SECONDS)
}

#[inline(never)]
fn instant(text: &[u8], zone: Zone) -> Option<i64> {
    let ((year, month, day), second, found) = calendar::plain(text)?;
    let is_sure = found == zone && second < DAY_SECONDS;
    is_sure.then_some(((year * 100 + month) * 100 + day) * DAY_SECONDS + second)
}

/// Only what has the zone of the bounds, or as they has none, compares with them at a glance.
fn instants(bounds: &[Bound]) -> Option<Glance> {
    [Zone::Known, Zone::Unknown].into_iter().find_map(|zone| {
        let range = range(bounds, |text| instant(text, zone), MAX_WHOLE)?;
        Some(Glance::Instant(zone, range))
    })
}

fn signed(text: &[u8]) -> (i64, &[u8]) {
    match text {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
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

/// Whether a text has so many characters: they are not counted where their bytes tell it, as a character has one to four.
#[inline(never)]
fn has_length(text: &str, between: Between<u64>) -> bool {
    let bytes = text.len() as u64;
    let is_sure = bytes <= between.most && bytes / 4 >= between.least;
    is_sure || between.has(text.chars().count() as u64)
}

/// Words to be looked up in a few steps, each of which compares two numbers.
#[derive(Debug)]
pub(super) struct Words {
    /// In their order.
    words: Vec<Word>,
}

/// How long a word is, its first eight bytes, and all of it. So shorter words come first, and the rest is seldom looked at.
type Word = (usize, u64, Box<[u8]>);

impl Words {
    fn of<'a>(words: impl Iterator<Item = &'a Box<[u8]>>) -> Self {
        let mut words: Vec<Word> = words.map(|word| (word.len(), head(word), word.clone())).collect();
        words.sort_unstable();
        Self { words }
    }

    #[inline(never)]
    fn has(&self, text: &[u8]) -> bool {
        let key = (text.len(), head(text));
        let order = |(length, head, word): &Word| {
            let order = (*length, *head).cmp(&key);
            if text.len() > HEAD_BYTES { order.then_with(|| (**word).cmp(text)) } else { order }
        };
        self.words.binary_search_by(order).is_ok()
    }
}

const HEAD_BYTES: usize = size_of::<u64>();

/// The first bytes of a text. Of two texts of one length, those of at most eight bytes are the same if their heads are.
#[inline]
fn head(text: &[u8]) -> u64 {
    if let Some(bytes) = text.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    // The two halves overlap: what both have is the same.
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    text.iter().fold(0, |head, byte| head << 8 | u64::from(*byte))
}
