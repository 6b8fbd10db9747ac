//! What a cell or a string may be, the narrowest first.
//!
//! Stricter than the types that are guessed: who guesses an identifier to be a number loses its zeros.

/// A type that all values of a column may have.
#[derive(Debug)]
pub(super) struct Guess {
    /// As Table Schema calls it.
    pub(super) kind: &'static str,
    /// The format, where it is not the type's own.
    pub(super) format: Option<&'static str>,
    pub(super) order: Order,
    fits: fn(&str) -> bool,
}

/// How values of a type compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Integers,
    Numbers,
    /// As they are written.
    Texts,
    None,
}

/// The guesses that are still open, a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open(u32);

const fn guess(kind: &'static str, format: Option<&'static str>, order: Order, fits: fn(&str) -> bool) -> Guess {
    Guess { kind, format, order, fits }
}

const GUESSES: [Guess; 20] = [
    guess("boolean", None, Order::None, is_boolean),
    guess("integer", None, Order::Integers, is_integer),
    guess("number", None, Order::Numbers, is_number),
    guess("date", None, Order::Texts, is_date),
    guess("time", None, Order::Texts, |text| follows(text, "%H:%M:%S")),
    // Those with a zone and without one are not told apart by the standard, but only those that are written alike compare.
    guess("datetime", None, Order::Texts, |text| follows(text, "%Y-%m-%dT%H:%M:%S")),
    guess("datetime", None, Order::Texts, |text| follows(text, "%Y-%m-%dT%H:%M:%SZ")),
    guess("datetime", None, Order::None, |text| zone_of(text).is_some()),
    guess("date", Some("%Y/%m/%d"), Order::Texts, |text| follows(text, "%Y/%m/%d")),
    guess("date", Some("%d.%m.%Y"), Order::None, |text| follows(text, "%d.%m.%Y")),
    guess("time", Some("%H:%M"), Order::Texts, |text| follows(text, "%H:%M")),
    guess("datetime", Some("%Y-%m-%d %H:%M:%S"), Order::Texts, |text| follows(text, "%Y-%m-%d %H:%M:%S")),
    guess("datetime", Some("%Y-%m-%d %H:%M"), Order::Texts, |text| follows(text, "%Y-%m-%d %H:%M")),
    guess("datetime", Some("%Y/%m/%d %H:%M:%S"), Order::Texts, |text| follows(text, "%Y/%m/%d %H:%M:%S")),
    guess("datetime", Some("%Y/%m/%d %H:%M"), Order::Texts, |text| follows(text, "%Y/%m/%d %H:%M")),
    guess("datetime", Some("%d.%m.%Y %H:%M:%S"), Order::None, |text| follows(text, "%d.%m.%Y %H:%M:%S")),
    guess("datetime", Some("%d.%m.%Y %H:%M"), Order::None, |text| follows(text, "%d.%m.%Y %H:%M")),
    guess("string", Some("uuid"), Order::None, is_uuid),
    guess("string", Some("email"), Order::None, is_email),
    guess("string", Some("uri"), Order::None, is_uri),
];

impl Open {
    /// Before any value was seen.
    pub(super) const ALL: Self = Self((1 << GUESSES.len()) - 1);

    /// Closes those that a value does not fit.
    pub(super) fn see(&mut self, value: &str) {
        let mut rest = self.0;
        while rest != 0 {
            let index = rest.trailing_zeros();
            rest &= rest - 1;
            if !(GUESSES[index as usize].fits)(value) {
                self.0 &= !(1 << index);
            }
        }
    }

    /// The narrowest that is open; `None` for plain strings.
    pub(super) fn narrowest(self) -> Option<&'static Guess> {
        GUESSES.get(self.0.trailing_zeros() as usize)
    }

    /// Whether a guess of this order is open, so that bounds are worth keeping.
    pub(super) fn has(self, order: Order) -> bool {
        (0..GUESSES.len()).any(|index| self.0 >> index & 1 == 1 && GUESSES[index].order == order)
    }
}

/// The spellings that Table Schema takes where nothing else is said, without 1 and 0, which are numbers.
fn is_boolean(text: &str) -> bool {
    matches!(text, "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}

/// Digits that do not begin with a zero too many, as those of identifiers and of telephone numbers do, and not more of them
/// than most programs can count with.
fn is_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text != "-0" && is_whole(digits) && text.parse::<i64>().is_ok()
}

fn is_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let power = |text: &str| is_digits(text.strip_prefix(['-', '+']).unwrap_or(text));
    match mantissa.split_once('.') {
        Some((whole, fraction)) => is_whole(whole) && is_digits(fraction) && exponent.is_none_or(power),
        None => is_whole(mantissa) && exponent.map_or_else(|| is_integer(text), power),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_whole(text: &str) -> bool {
    is_digits(text) && (text == "0" || !text.starts_with('0'))
}

/// A day as RFC 3339 has it.
pub(super) fn is_date(text: &str) -> bool {
    follows(text, "%Y-%m-%d")
}

/// A moment with a zone, as RFC 3339 has it.
pub(super) fn is_zoned(text: &str) -> bool {
    zone_of(text).is_some_and(|zone| !zone.is_empty())
}

/// The zone of an ISO 8601 moment, perhaps with a fraction: `Z`, `+hh:mm`, or nothing. `None` where it is no moment.
fn zone_of(text: &str) -> Option<&str> {
    let (moment, rest) = text.split_at_checked(19)?;
    if !follows(moment, "%Y-%m-%dT%H:%M:%S") {
        return None;
    }
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|char: char| char.is_ascii_digit());
            if zone.len() == fraction.len() {
                return None;
            }
            zone
        }
        None => rest,
    };
    let is_offset = |offset| follows(offset, "%H:%M") && offset < "14:01";
    (matches!(zone, "" | "Z") || zone.strip_prefix(['+', '-']).is_some_and(is_offset)).then_some(zone)
}

/// Whether a text is a day, a time or both as a pattern of `strptime` has them, each number with all its digits.
fn follows(text: &str, pattern: &str) -> bool {
    let (mut year, mut month, mut day) = (1, 1, 1);
    let mut rest = text;
    let mut signs = pattern.chars();
    while let Some(sign) = signs.next() {
        if sign != '%' {
            let Some(after) = rest.strip_prefix(sign) else { return false };
            rest = after;
            continue;
        }
        let directive = signs.next();
        let Some((digits, after)) = rest.split_at_checked(if directive == Some('Y') { 4 } else { 2 }) else { return false };
        let Some(number) = is_digits(digits).then(|| digits.parse::<u32>().ok()).flatten() else { return false };
        match directive {
            Some('Y') => year = number,
            Some('m') => month = number,
            Some('d') => day = number,
            Some('H') if number > 23 => return false,
            Some('M' | 'S') if number > 59 => return false,
            _ => {}
        }
        rest = after;
    }
    rest.is_empty() && year > 0 && (1..=days(year, month)).contains(&day)
}

/// How many days a month has; 0 where there is no such month.
fn days(year: u32, month: u32) -> u32 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        _ => 0,
    }
}

/// 8-4-4-4-12 hexadecimal digits (RFC 9562 section 4).
pub(super) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// The addresses that people have: of what RFC 5321 allows, without quotes and addresses of machines.
pub(super) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let is_atom = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    let is_label = |text: &str| {
        (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    local.len() <= 64
        && domain.len() <= 253
        && domain.contains('.')
        && local.split('.').all(is_atom)
        && domain.split('.').all(is_label)
}

/// Addresses with a scheme and an authority, of the characters that RFC 3986 allows outside of brackets.
pub(super) fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let mut bytes = rest.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => (0..2).all(|_| bytes.next().is_some_and(|digit| digit.is_ascii_hexdigit())),
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?@!$&'()*+,;=".contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let (host, port) = host.split_once(':').unwrap_or((host, ""));
    scheme.starts_with(|char: char| char.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !host.is_empty()
        && authority.matches('@').count() <= 1
        && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a column of one cell would be.
    fn guessed(text: &str) -> (&'static str, Option<&'static str>) {
        let mut open = Open::ALL;
        open.see(text);
        open.narrowest().map_or(("string", None), |guess| (guess.kind, guess.format))
    }

    #[test]
    fn a_cell_is_the_narrowest_that_it_can_be() {
        for (kind, format, cells) in [
            ("boolean", None, &["true", "FALSE", "True"][..]),
            ("integer", None, &["0", "7", "-12", "9223372036854775807", "2024", "20240126"]),
            ("number", None, &["0.5", "-0.0", "1e5", "1.5E-3", "10.250"]),
            ("date", None, &["2024-02-29", "1999-12-31"]),
            ("time", None, &["00:00:00", "23:59:59"]),
            ("datetime", None, &["2024-01-26T15:00:00", "2024-01-26T15:00:00Z", "2024-01-26T15:00:00.25+05:30"]),
            ("date", Some("%Y/%m/%d"), &["2012/01/31"]),
            ("date", Some("%d.%m.%Y"), &["31.01.2012"]),
            ("datetime", Some("%Y-%m-%d %H:%M"), &["2024-01-26 15:00"]),
            ("string", Some("uuid"), &["0190d3a0-7b4c-7cc3-98c4-dc0c0c07398f"]),
            ("string", Some("email"), &["ann.lee+x@mail.example.org"]),
            ("string", Some("uri"), &["https://example.org/a?b=%20c", "s3://bucket/key", "http://h:80/"]),
        ] {
            for cell in cells {
                assert_eq!(guessed(cell), (kind, format), "{cell}");
            }
        }
    }

    #[test]
    fn what_may_be_something_else_is_left_a_string() {
        for cell in [
            "007",
            "-0",
            "-007",
            "+4912345",
            "00.5",
            "1.",
            ".5",
            "1,000",
            "9223372036854775808",
            " 1",
            "1 ",
            "yes",
            "t",
            "NaN",
            "٣",
            "2023-02-29",
            "2024-13-01",
            "2024-1-5",
            "0000-01-01",
            "24:00:00",
            "01/02/2024",
            "2024-01-26T15:00:00+15:00",
            "2024-01-26T15:00:00.",
            "a@b",
            "a@@b.c",
            "http://",
            "http://a b",
            "http://a/%zz",
            "mailto:a",
            "x",
            "1e",
            "1e+",
            "e5",
        ] {
            assert_eq!(guessed(cell), ("string", None), "{cell}");
        }
    }
}
