//! Dates and times by the patterns of Python's `strptime`, in the C locale.
//!
//! Takes what Python's `datetime.strptime` takes (library reference, `datetime`), one-digit days
//! and months and any case included, but for day 366 of a year that has 365.

use super::calendar::{DAY_SECONDS, Moment, days, is_day, is_leap};

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// Directives that may stand in a pattern once each.
const DIRECTIVES: &str = "aAwdbBmyYHIpMSfzZjUW";

/// A pattern, ready to be held against cells.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    items: Vec<Item>,
}

/// What a pattern's cells are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Facet {
    Date,
    Time,
    DateTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// A character, in any case.
    Char(char),
    /// White space, one character or more.
    Space,
    Directive(char),
}

impl Pattern {
    /// Reads a pattern; fails with what is wrong with it, for a person.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let expanded = pattern.replace("%c", "%a %b %d %H:%M:%S %Y").replace("%x", "%m/%d/%y").replace("%X", "%H:%M:%S");
        let mut items = Vec::new();
        let mut chars = expanded.chars();
        while let Some(char) = chars.next() {
            let item = match char {
                '%' => match chars.next() {
                    Some('%') => Item::Char('%'),
                    Some(directive) if DIRECTIVES.contains(directive) => Item::Directive(directive),
                    Some(other) => return Err(format!("the directive %{other} is not supported")),
                    None => return Err("a % at the end of the pattern begins no directive".to_owned()),
                },
                space if space.is_whitespace() => Item::Space,
                other => Item::Char(other),
            };
            if matches!(item, Item::Directive(_)) && items.contains(&item) {
                return Err(format!("a directive stands in the pattern twice, in {pattern:?}"));
            }
            if item != Item::Space || items.last() != Some(&Item::Space) {
                items.push(item);
            }
        }
        if items.iter().any(|item| matches!(item, Item::Directive(_))) {
            Ok(Self { items })
        } else {
            Err(format!("{pattern:?} is no pattern: it has no directive such as %Y"))
        }
    }

    /// Reads a cell; `None` where it does not fit the pattern or names no day or time that there is.
    pub(super) fn read<'a>(&self, text: &'a str, facet: Facet) -> Option<Moment<'a>> {
        let mut parts = Parts::default();
        matches(&self.items, text, &mut parts).then_some(())?;
        let days = parts.days()?;
        let clock = parts.clock();
        match facet {
            Facet::Date => Some(Moment::new(days * DAY_SECONDS, "", None)),
            Facet::Time => Some(Moment::new(clock, parts.fraction, parts.offset_seconds)),
            Facet::DateTime => Some(Moment::new(days * DAY_SECONDS + clock, parts.fraction, parts.offset_seconds)),
        }
    }
}

/// What the directives of a pattern have read.
#[derive(Debug, Default, Clone)]
struct Parts<'a> {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    /// From Monday, 0.
    weekday: Option<i64>,
    /// The week of the year, where they begin on Sundays.
    sunday_week: Option<i64>,
    monday_week: Option<i64>,
    hour: i64,
    half_day_hour: Option<i64>,
    half: Option<Half>,
    minute: i64,
    second: i64,
    fraction: &'a str,
    offset_seconds: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Half {
    Morning,
    Afternoon,
}

impl Parts<'_> {
    /// Days since 1970-01-01; what is not said is that of 1900-01-01, and a day of the year outweighs month and day.
    fn days(&self) -> Option<i64> {
        let year = self.year.unwrap_or(1900);
        let new_year = days(year, 1, 1);
        if let Some(day) = self.day_of_year {
            return (day <= 365 || is_leap(year)).then_some(new_year + day - 1);
        }
        if let (Some(_), Some(weekday)) = (self.year, self.weekday) {
            // 1970-01-01 was a Thursday.
            let first_weekday = (new_year + 3).rem_euclid(7);
            if let Some(week) = self.monday_week {
                return Some(in_week(new_year, first_weekday, week, weekday));
            }
            if let Some(week) = self.sunday_week {
                return Some(in_week(new_year, (first_weekday + 1) % 7, week, (weekday + 1) % 7));
            }
        }
        let (month, day) = (self.month.unwrap_or(1), self.day.unwrap_or(1));
        is_day(year, month, day).then(|| days(year, month, day))
    }

    fn clock(&self) -> i64 {
        let hour = match (self.half_day_hour, self.half) {
            (None, _) => self.hour,
            (Some(hour), Some(Half::Afternoon)) => hour % 12 + 12,
            (Some(hour), _) => hour % 12,
        };
        (hour * 60 + self.minute) * 60 + self.second
    }
}

/// The day of a week that is counted from the year's first full one; what comes before that is in week 0.
fn in_week(new_year: i64, first_weekday: i64, week: i64, weekday: i64) -> i64 {
    let week_0_length = (7 - first_weekday) % 7;
    if week == 0 { new_year + weekday - first_weekday } else { new_year + week_0_length + 7 * (week - 1) + weekday }
}

/// Whether the whole text fits; tries the longest reading of each directive first, as a regular expression would.
fn matches<'a>(items: &[Item], text: &'a str, parts: &mut Parts<'a>) -> bool {
    let Some((item, items)) = items.split_first() else { return text.is_empty() };
    match *item {
        Item::Char(expected) => {
            let mut chars = text.chars();
            let fits = chars.next().is_some_and(|char| char == expected || char.eq_ignore_ascii_case(&expected));
            fits && matches(items, chars.as_str(), parts)
        }
        Item::Space => {
            let rest = text.trim_start();
            rest.len() < text.len() && matches(items, rest, parts)
        }
        Item::Directive(directive) => match directive {
            'a' => named(&WEEKDAYS.map(|name| &name[..3]), items, text, parts, |parts, at| parts.weekday = Some(at)),
            'A' => named(&WEEKDAYS, items, text, parts, |parts, at| parts.weekday = Some(at)),
            'b' => named(&MONTHS.map(|name| &name[..3]), items, text, parts, |parts, at| parts.month = Some(at + 1)),
            'B' => named(&MONTHS, items, text, parts, |parts, at| parts.month = Some(at + 1)),
            'p' => named(&["am", "pm"], items, text, parts, |parts, at| {
                parts.half = Some(if at == 0 { Half::Morning } else { Half::Afternoon });
            }),
            'Z' => named(&["utc", "gmt"], items, text, parts, |parts, _| parts.offset_seconds = Some(0)),
            'z' => zone(items, text, parts),
            'f' => (1..=6).rev().any(|width| {
                let Some((digits, rest)) = digits(text, width) else { return false };
                parts.fraction = digits;
                matches(items, rest, parts)
            }),
            numeric => number(numeric, items, text, parts),
        },
    }
}

fn number<'a>(directive: char, items: &[Item], text: &'a str, parts: &mut Parts<'a>) -> bool {
    let (widths, range) = match directive {
        'Y' => (4..=4, 1..=9999),
        'y' => (2..=2, 0..=99),
        'm' | 'I' => (1..=2, 1..=12),
        'd' => (1..=2, 1..=31),
        'H' => (1..=2, 0..=23),
        'M' | 'S' => (1..=2, 0..=59),
        'j' => (1..=3, 1..=366),
        'w' => (1..=1, 0..=6),
        _ => (1..=2, 0..=53),
    };
    widths.rev().any(|width| {
        let Some((digits, rest)) = digits(text, width) else { return false };
        let value = digits.bytes().fold(0, |value, digit| 10 * value + i64::from(digit - b'0'));
        if !range.contains(&value) {
            return false;
        }
        match directive {
            'Y' => parts.year = Some(value),
            // POSIX: 69 to 99 are of the 20th century.
            'y' => parts.year = Some(if value < 69 { 2000 + value } else { 1900 + value }),
            'm' => parts.month = Some(value),
            'd' => parts.day = Some(value),
            'j' => parts.day_of_year = Some(value),
            'w' => parts.weekday = Some((value + 6) % 7),
            'U' => parts.sunday_week = Some(value),
            'W' => parts.monday_week = Some(value),
            'H' => parts.hour = value,
            'I' => parts.half_day_hour = Some(value),
            'M' => parts.minute = value,
            _ => parts.second = value,
        }
        matches(items, rest, parts)
    })
}

fn named<'a>(names: &[&str], items: &[Item], text: &'a str, parts: &mut Parts<'a>, set: fn(&mut Parts<'a>, i64)) -> bool {
    (0..).zip(names).any(|(at, name)| {
        let fits = text.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        if fits {
            set(parts, at);
        }
        fits && matches(items, &text[name.len()..], parts)
    })
}

/// `Z`, `+hhmm`, `+hh:mm`, perhaps with seconds.
fn zone<'a>(items: &[Item], text: &'a str, parts: &mut Parts<'a>) -> bool {
    if let Some(rest) = text.strip_prefix('Z') {
        parts.offset_seconds = Some(0);
        return matches(items, rest, parts);
    }
    let (sign, after) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(after), _) => (1, after),
        (_, Some(after)) => (-1, after),
        _ => return false,
    };
    let two = |text: &'a str| digits(text, 2).and_then(|(digits, rest)| Some((digits.parse::<i64>().ok()?, rest)));
    let Some((hours, rest)) = two(after).filter(|(hours, _)| *hours < 24) else { return false };
    let colon = if rest.starts_with(':') { ":" } else { "" };
    let next = |text: &'a str| two(text.strip_prefix(colon)?).filter(|(value, _)| *value < 60);
    let Some((minutes, rest)) = next(rest) else { return false };
    let mut offset_with = |seconds: i64, rest: &'a str| {
        parts.offset_seconds = Some(sign * ((hours * 60 + minutes) * 60 + seconds));
        matches(items, rest, parts)
    };
    if let Some((seconds, after)) = next(rest)
        && offset_with(seconds, after)
    {
        return true;
    }
    offset_with(0, rest)
}

fn digits(text: &str, width: usize) -> Option<(&str, &str)> {
    let (digits, rest) = text.split_at_checked(width)?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some((digits, rest))
}
