//! A look at a cell that proves most of those that are right to be so, in a fraction of what the whole check takes.
//!
//! What it does not prove need not be wrong: then the whole check decides, and it alone finds words. So nothing here may hold
//! that does not hold there; the other way around, all that is lost is time.

mod plain;
#[cfg(test)]
mod tests;
mod words;

use std::ops::{Add, Sub};

use self::plain::{MAX_DECIMAL, MAX_WHOLE, date, decimal, instant, time, whole};
use self::words::Words;
use super::calendar::Zone;
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

impl<T: Copy + PartialOrd> Between<T> {
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
                let in_all = |value: &&[u8]| more.iter().all(|set| set.values.contains(*value));
                Some(Self::Word(Words::of(first.values.iter().map(AsRef::as_ref).filter(in_all))))
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

/// At a glance, only what has a zone as the bounds have one, or has none as they have none, compares with them.
fn instants(bounds: &[Bound]) -> Option<Glance> {
    [Zone::Known, Zone::Unknown].into_iter().find_map(|zone| {
        let range = range(bounds, |text| instant(text, zone), MAX_WHOLE)?;
        Some(Glance::Instant(zone, range))
    })
}

/// Whether a text has so many characters: they are not counted where their bytes tell it, as a character has one to four.
#[inline(never)]
fn has_length(text: &str, between: Between<u64>) -> bool {
    let bytes = text.len() as u64;
    let is_sure = bytes <= between.most && bytes / 4 >= between.least;
    is_sure || between.has(text.chars().count() as u64)
}
