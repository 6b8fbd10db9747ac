//! What was seen, in words.

use serde_json::Value;

/// The longest example, in characters.
const EXAMPLE_CHARS: usize = 40;

/// `12,345`
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 cell`, `12,345 cells`.
pub(super) fn counted(number: u64, thing: &str) -> String {
    format!("{} {thing}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// The beginning of a value, in one line.
pub(super) fn example(value: &str) -> String {
    let mut chars = value.chars().map(|char| if char.is_control() { ' ' } else { char });
    let mut text: String = chars.by_ref().take(EXAMPLE_CHARS).collect();
    if chars.next().is_some() {
        text.push('…');
    }
    text
}

/// A number for a schema, without a fraction where it has none.
#[allow(clippy::cast_possible_truncation, reason = "below 2^53 in size an integer is itself")]
pub(super) fn plain(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0 { (number as i64).into() } else { number.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
