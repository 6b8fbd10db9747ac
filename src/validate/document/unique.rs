//! Whether all elements of an array differ, as JSON Schema compares them: numbers by their value,
//! objects without order.
//!
//! The library compares elements of equal hash one by one, and a sender can make its hashes equal:
//! it hashes an array as its elements one behind the other, so that `[[],[]]` and `[[[]]]` have one
//! hash. Here an element is known by 128 bits that two SipHash-1-3 make of an unambiguous form,
//! under secrets of this thread.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::{Number, Value};

/// Whether no two of these are equal.
pub(super) fn is_unique(values: &[Value]) -> bool {
    thread_local! {
        static HALVES: [RandomState; 2] = [RandomState::new(), RandomState::new()];
    }
    let (mut seen, mut form) = (HashSet::with_capacity(values.len()), Vec::new());
    HALVES.with(|[high, low]| {
        values.iter().all(|value| {
            form.clear();
            write(value, &mut form);
            seen.insert(u128::from(high.hash_one(&form)) << 64 | u128::from(low.hash_one(&form)))
        })
    })
}

/// Writes a form that two values share if, and only if, they are equal.
fn write(value: &Value, form: &mut Vec<u8>) {
    match value {
        Value::Null => form.push(b'n'),
        Value::Bool(false) => form.push(b'f'),
        Value::Bool(true) => form.push(b't'),
        Value::Number(number) => write_number(number, form),
        Value::String(text) => write_sized(b's', text.as_bytes(), form),
        Value::Array(values) => {
            form.push(b'a');
            form.extend((values.len() as u64).to_le_bytes());
            for value in values {
                write(value, form);
            }
        }
        Value::Object(members) => {
            form.push(b'o');
            form.extend((members.len() as u64).to_le_bytes());
            let mut members: Vec<_> = members.iter().collect();
            members.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in members {
                write_sized(b's', name.as_bytes(), form);
                write(value, form);
            }
        }
    }
}

fn write_sized(tag: u8, bytes: &[u8], form: &mut Vec<u8>) {
    form.push(tag);
    form.extend((bytes.len() as u64).to_le_bytes());
    form.extend(bytes);
}

/// A number that is whole and fits 64 bits is written as such, however it was written.
fn write_number(number: &Number, form: &mut Vec<u8>) {
    let whole = number.as_u64().map(i128::from).or(number.as_i64().map(i128::from));
    let double = number.as_f64().unwrap_or(f64::NAN);
    #[allow(clippy::cast_possible_truncation, reason = "it is whole, and within the bounds of 64 bits")]
    let whole = whole.or_else(|| (double.fract() == 0.0 && double.abs() < 2.0_f64.powi(64)).then_some(double as i128));
    match whole {
        Some(whole) => write_sized(b'i', &whole.to_le_bytes(), form),
        None => write_sized(b'd', &double.to_bits().to_le_bytes(), form),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_equal_as_json_schema_has_it() {
        let equal = [
            json!([1, 1.0]),
            json!([0, -0.0]),
            json!([{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}]),
            json!(["a", "b", "a"]),
            json!([9_007_199_254_740_993_u64, 1, 9_007_199_254_740_993_u64]),
            json!([1e300, 1e300]),
            json!([null, [], null]),
        ];
        for values in equal {
            assert!(!is_unique(values.as_array().unwrap()), "{values}");
        }
        let different = [
            json!([1, "1", true, [1], {"1": 1}]),
            json!([[], [[]], [[], []], [[[]]], [null], [[null]], null]),
            json!([9_007_199_254_740_992_u64, 9_007_199_254_740_993_u64, 0.25]),
            json!([["a", "b"], ["ab"], ["a"], ["", "ab"]]),
            json!([{"a": null}, {}, {"a": {}}]),
            json!([0, 0.5, -1, u64::MAX, i64::MIN]),
        ];
        for values in different {
            assert!(is_unique(values.as_array().unwrap()), "{values}");
        }
    }
}
