//! What of a plan is sent: regular files and standard input, each once and under a name of its own.

use std::collections::BTreeMap;
use std::fs;

use unicode_normalization::UnicodeNormalization;

use crate::cli::plan::{Input, Item, Plan, Special};
use crate::error::{Error, ErrorKind};
use crate::escape;

/// The plan without the items that must not be sent: repeated ones get a note, others are refused.
pub(super) fn of(mut plan: Plan) -> Plan {
    plan.refused = plan.refused.into_iter().map(with_remedy).collect();
    refuse_special(&mut plan);
    drop_repeated(&mut plan);
    refuse_ambiguous(&mut plan);
    plan
}

/// A name that is not UTF-8 has no other form that a server takes.
fn with_remedy((item, error): (Item, Error)) -> (Item, Error) {
    match error.kind() {
        ErrorKind::BadName => (item, error.with_suffix("; rename it, or push it by itself with --name NAME")),
        _ => (item, error),
    }
}

/// Refuses what can't be read a second time, and whose opening may block without end.
fn refuse_special(plan: &mut Plan) {
    refuse(plan, |_, item| {
        let Input::Special(kind) = item.input else { return None };
        let path = escape::path(&item.path);
        let remedy = match kind {
            Special::Pipe | Special::Device => format!("send what it gives with: tidegate push - --name NAME < {path}"),
            Special::Socket => "leave it out".to_owned(),
        };
        Some(Error::new(ErrorKind::Io, format!("\"{path}\" is {kind}, not a regular file; {remedy}")))
    });
}

/// Drops an item that is the same file, under the same name, as one before it. Sent at the same
/// time, the second one would be refused as another sender of the first.
fn drop_repeated(plan: &mut Plan) {
    let repeated: BTreeMap<usize, String> = groups(&plan.items)
        .into_values()
        .flat_map(|group| repeated(&plan.items, &group))
        .map(|(index, first)| {
            let [path, first] = [index, first].map(|index| escape::path(&plan.items[index].path));
            (index, format!("skipped    {path}: the same file as {first}, named before"))
        })
        .collect();
    let items = std::mem::take(&mut plan.items).into_iter().enumerate();
    plan.items = items.filter(|(index, _)| !repeated.contains_key(index)).map(|(_, item)| item).collect();
    plan.notes.extend(repeated.into_values());
}

/// The items of a group that are the same file as one before them, and which that is.
fn repeated(items: &[Item], group: &[usize]) -> Vec<(usize, usize)> {
    let mut first_of = BTreeMap::new();
    // Not by device and inode: some file systems give one number to several files.
    let found = group.iter().filter_map(|&index| Some((index, fs::canonicalize(&items[index].path).ok()?)));
    let repeated = found.filter_map(|(index, path)| {
        let first = *first_of.entry(path).or_insert(index);
        (first != index).then_some((index, first))
    });
    repeated.collect()
}

/// Refuses files that would have one name at the server. The second of them would be in conflict
/// with the first, replace it or become its version, and chance would say which is the first.
fn refuse_ambiguous(plan: &mut Plan) {
    let mut errors = BTreeMap::new();
    for (name, group) in groups(&plan.items) {
        for &index in &group {
            let other = group[usize::from(index == group[0])];
            errors.insert(index, ambiguous(&name, &plan.items[index], &plan.items[other]));
        }
    }
    refuse(plan, |index, _| errors.remove(&index));
}

fn ambiguous(name: &str, item: &Item, other: &Item) -> Error {
    let mut paths = [item, other].map(|item| escape::path(&item.path).into_owned());
    let mut why = "";
    if item.name != other.name {
        // On a screen they are the same unless their characters are escaped.
        paths = paths.map(|path| escape::non_ascii(&path).into_owned());
        why = " after Unicode normalisation (NFC)";
    }
    let [shown, other_shown] = paths;
    let message = format!(
        "\"{shown}\" and \"{other_shown}\" would both be \"{name}\" at the server{why}; rename one, or push each by itself \
         with --name NAME"
    );
    Error::new(ErrorKind::Conflict, message)
}

/// The items that share a name, by that name as a [`Key`](crate::upload::Key) composes it.
fn groups(items: &[Item]) -> BTreeMap<String, Vec<usize>> {
    let mut groups = BTreeMap::<String, Vec<usize>>::new();
    for (index, item) in items.iter().enumerate() {
        groups.entry(item.name.nfc().collect()).or_default().push(index);
    }
    groups.retain(|_, group| group.len() > 1);
    groups
}

/// Moves the items for which there is an error to those that are refused.
fn refuse(plan: &mut Plan, mut error: impl FnMut(usize, &Item) -> Option<Error>) {
    for (index, item) in std::mem::take(&mut plan.items).into_iter().enumerate() {
        match error(index, &item) {
            Some(error) => plan.refused.push((item, error)),
            None => plan.items.push(item),
        }
    }
}
