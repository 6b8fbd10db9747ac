//! The names in a header: each once, and none blank.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::report::Code;

/// What is wrong with the name of a field: the field's index, and the words for it.
pub(super) type Wrong = (usize, Code, String);

/// Adds the names of another header row; one that stands above itself is not repeated.
pub(super) fn join(labels: &mut Vec<String>, last: &mut Vec<String>, row: &[Cow<'_, str>], between: &str) {
    for (index, name) in row.iter().enumerate() {
        match (labels.get_mut(index), last.get(index)) {
            (Some(label), Some(above)) if above != name => {
                label.push_str(between);
                label.push_str(name);
            }
            (Some(_), Some(_)) => {}
            _ => labels.push(name.to_string()),
        }
    }
    *last = row.iter().map(ToString::to_string).collect();
}

/// All that is wrong, in the order of the fields.
pub(super) fn wrong(labels: &[String]) -> Vec<Wrong> {
    let mut found = Vec::new();
    let mut known = HashMap::with_capacity(labels.len());
    for (index, name) in labels.iter().enumerate() {
        let number = index + 1;
        if name.trim().is_empty() {
            found.push((index, Code::BlankHeader, format!("field {number} of the header has no name")));
            continue;
        }
        match known.entry(name.as_str()) {
            Entry::Vacant(vacant) => {
                vacant.insert(number);
            }
            Entry::Occupied(first) => {
                let message = format!("field {number} of the header repeats the name of field {}", first.get());
                found.push((index, Code::DuplicateLabel, message));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_several_rows_are_joined() {
        let (mut labels, mut last) = (Vec::new(), Vec::new());
        for row in [["size", "size", "name"], ["width", "height", "name"]] {
            join(&mut labels, &mut last, &row.map(Cow::Borrowed), " ");
        }
        assert_eq!(labels, ["size width", "size height", "name"]);
    }
}
