//! Random cells against models so simple that they are plainly right.

use proptest::prelude::*;
use serde_json::json;
use tidegate::report::Code;

use super::{column, faults};

fn is_taken(field: &serde_json::Value, cell: &str) -> bool {
    let (_, mut columns) = column(field);
    faults(&mut columns, &[cell]).is_empty()
}

/// The days of a month, counted on the fingers.
fn days_of(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(400) || year.is_multiple_of(4) && !year.is_multiple_of(100);
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => 0,
    }
}

/// A decimal as a whole number of 10^-20ths, which is exact for those that are made here.
fn scaled(whole: i64, fraction: u64, digits: u32, negative: bool) -> i128 {
    let magnitude = i128::from(whole) * 10_i128.pow(20) + i128::from(fraction) * 10_i128.pow(20 - digits);
    if negative { -magnitude } else { magnitude }
}

prop_compose! {
    /// A decimal, as it is written and as it is.
    fn decimal()(
        whole in prop_oneof![0..3_i64, 0..1_000_000_000_i64],
        digits in 1..=6_u32,
        fraction in any::<u64>(),
        negative in any::<bool>(),
        zeros in 0..3_usize,
        shift in -3..=3_i32,
    ) -> (String, i128) {
        let fraction = fraction % 10_u64.pow(digits);
        let sign = if negative { "-" } else { "" };
        let text = format!("{sign}{}{whole}.{fraction:0width$}{}", "0".repeat(zeros), "0".repeat(zeros), width = digits as usize);
        let value = scaled(whole, fraction, digits, negative);
        if shift < 0 {
            (format!("{text}E{shift}"), value / 10_i128.pow(shift.unsigned_abs()))
        } else {
            (format!("{text}E+{shift}"), value * 10_i128.pow(shift.unsigned_abs()))
        }
    }
}

proptest! {
    #[test]
    fn integers_are_those_of_a_parser(cell in "[+-]?[0-9]{0,12}[ a.]?") {
        prop_assert_eq!(is_taken(&json!({ "type": "integer", "missingValues": [] }), &cell), cell.parse::<i128>().is_ok());
    }

    #[test]
    fn numbers_are_those_of_a_parser(cell in "[+-]?[0-9]{0,4}[.]?[0-9]{0,4}([eE][+-]?[0-9]{0,2})?") {
        prop_assert_eq!(is_taken(&json!({ "type": "number", "missingValues": [] }), &cell), cell.parse::<f64>().is_ok());
    }

    #[test]
    fn the_quick_check_of_a_number_and_the_whole_one_agree(cell in "[-+0-9.eEinfaNx ]{1,8}") {
        let quick = is_taken(&json!({ "type": "number", "missingValues": [] }), &cell);
        // With any constraint a cell is read in the other way.
        let (_, mut columns) = column(&json!({ "type": "number", "constraints": { "minimum": 0 }, "missingValues": [] }));
        let whole = faults(&mut columns, &[&cell]).iter().all(|fault| fault.code != Code::TypeError);
        prop_assert_eq!(quick, whole);
    }

    #[test]
    fn integers_compare_as_integers(cell in any::<i128>(), bound in any::<i128>(), near in -3..=3_i128) {
        for cell in [cell, bound.saturating_add(near)] {
            let within = |constraint: &str| {
                is_taken(&json!({ "type": "integer", "constraints": { constraint: bound.to_string() } }), &cell.to_string())
            };
            prop_assert_eq!(within("minimum"), cell >= bound);
            prop_assert_eq!(within("maximum"), cell <= bound);
            prop_assert_eq!(within("exclusiveMinimum"), cell > bound);
            prop_assert_eq!(within("exclusiveMaximum"), cell < bound);
        }
    }

    #[test]
    fn decimals_compare_as_exact_fractions((cell, value) in decimal(), (bound, limit) in decimal()) {
        let within = |constraint: &str| is_taken(&json!({ "type": "number", "constraints": { constraint: bound } }), &cell);
        prop_assert_eq!(within("minimum"), value >= limit, "{} {}", cell, bound);
        prop_assert_eq!(within("exclusiveMaximum"), value < limit, "{} {}", cell, bound);
        prop_assert_eq!(is_taken(&json!({ "type": "number", "constraints": { "enum": [bound] } }), &cell), value == limit);
    }

    #[test]
    fn dates_are_those_of_a_calendar(year in 0..=9999_u32, month in 0..=13_u32, day in 0..=32_u32) {
        let real = year > 0 && (1..=days_of(year, month)).contains(&day);
        prop_assert_eq!(is_taken(&json!({ "type": "date" }), &format!("{year:04}-{month:02}-{day:02}")), real);
        let written = format!("{day:02}/{month:02}/{year:04}");
        prop_assert_eq!(is_taken(&json!({ "type": "date", "format": "%d/%m/%Y" }), &written), real);
    }

    #[test]
    fn dates_compare_by_year_then_month_then_day(
        cell in (1..=9999_u32, 1..=12_u32, 1..=28_u32),
        bound in (1..=9999_u32, 1..=12_u32, 1..=28_u32),
    ) {
        let text = |(year, month, day)| format!("{year:04}-{month:02}-{day:02}");
        let field = json!({ "type": "date", "constraints": { "minimum": text(bound) } });
        prop_assert_eq!(is_taken(&field, &text(cell)), cell >= bound);
    }

    #[test]
    fn no_cell_of_any_kind_brings_a_check_down(cell in "\\PC{0,24}", kind in 0..1000_usize) {
        let (_, mut columns) = column(&super::cells::field(kind));
        faults(&mut columns, &[&cell]);
    }
}
