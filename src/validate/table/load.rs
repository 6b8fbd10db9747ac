//! A descriptor, made into a schema.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::TableSchema;
use super::field::{Field, Missing, Repeats};
use super::glance::Glance;
use super::keys::{Budget, Hashes, Key, KeyHasher, KeyRule, Purpose};
use super::kind::Kind;
use super::labels::FieldsMatch;
use super::problems::{At, Problems};
use super::reference::Reference;

/// The properties of a schema; those of the second line describe it.
const KNOWN: [&str; 11] = [
    "$schema",
    "fields",
    "fieldsMatch",
    "missingValues",
    "primaryKey",
    "uniqueKeys",
    "foreignKeys",
    "name",
    "homepage",
    "version",
    "licenses",
];

/// The reference tables, each fetched and read once.
struct Tables<'a> {
    read: &'a mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
    known: BTreeMap<String, Reference>,
    digest: Sha256,
}

pub(super) fn schema(
    descriptor: &Value,
    read: &mut dyn FnMut(&str) -> Result<Vec<u8>, String>,
) -> Result<TableSchema, Vec<String>> {
    let mut problems = Problems::default();
    let root = At::root(descriptor);
    problems.unknown(&root, &KNOWN, |_| None);
    let missing = root.child("missingValues").map_or(Missing::Empty, |missing| Missing::load(&missing, &mut problems));
    let fields = load_fields(&root, &missing, &mut problems);
    let fields_match = load_fields_match(&root, &mut problems);
    // The digest covers what decides: the descriptor, whose members stand in the order of their names, and the tables.
    let digest = Sha256::new_with_prefix(descriptor.to_string());
    let mut tables = Tables { read, known: BTreeMap::new(), digest };
    let hasher = KeyHasher::new();
    // Where a field was refused, the keys could only be misread.
    let keys = match &fields {
        Some(fields) => load_keys(&root, fields, &hasher, &mut tables, &mut problems),
        None => Vec::new(),
    };
    let fingerprint = tables.digest.finalize().iter().take(8).fold(0, |bits, byte| bits << 8 | u64::from(*byte));
    match fields {
        Some(mut fields) if problems.list.is_empty() => {
            hold_keys(&mut fields, &keys);
            Ok(TableSchema { fields, fields_match, keys, hasher, fingerprint })
        }
        _ => Err(problems.list),
    }
}

/// JSON in a key must be one that can be held, not only be well-formed: rules, be they none, see to that.
fn hold_keys(fields: &mut [Field], keys: &[KeyRule]) {
    for key in keys {
        let targets = if let Purpose::RefersHere { targets } = &key.purpose { targets.as_slice() } else { &[] };
        for field in key.fields.iter().chain(targets) {
            if matches!(fields[*field].kind, Kind::Object | Kind::Array) {
                let Field { kind, rules, glance, .. } = &mut fields[*field];
                let rules = rules.get_or_insert_default();
                *glance = Glance::of(kind, Some(rules));
            }
        }
    }
}

/// All fields, or none where one is wrong.
fn load_fields(root: &At<'_>, missing: &Missing, problems: &mut Problems) -> Option<Vec<Field>> {
    let Some(fields) = root.child("fields") else {
        problems.add(&root.pointer, "fields is missing");
        return None;
    };
    let items = fields.items(problems);
    if items.is_empty() && fields.value.is_array() {
        problems.add(&fields.pointer, "must not be empty");
        return None;
    }
    let loaded: Vec<_> = items.iter().map(|item| Field::load(item, missing, problems)).collect();
    loaded.into_iter().collect()
}

fn load_fields_match(root: &At<'_>, problems: &mut Problems) -> FieldsMatch {
    let Some(at) = root.child("fieldsMatch") else { return FieldsMatch::Exact };
    // The standard has a string; its JSON Schema, by mistake, an array of one.
    let name = match at.value {
        Value::Array(items) if items.len() == 1 => items[0].as_str(),
        value => value.as_str(),
    };
    match FieldsMatch::NAMES.into_iter().find(|(known, _)| Some(*known) == name) {
        Some((_, fields_match)) => fields_match,
        None => {
            problems.add(&at.pointer, "must be exact, equal, subset, superset or partial");
            FieldsMatch::Exact
        }
    }
}

fn load_keys(
    root: &At<'_>,
    fields: &[Field],
    hasher: &KeyHasher,
    tables: &mut Tables<'_>,
    problems: &mut Problems,
) -> Vec<KeyRule> {
    let mut keys = Vec::new();
    for (at, field) in fields.iter().enumerate() {
        if field.repeats == Repeats::Refused {
            keys.push(KeyRule { fields: vec![at], purpose: Purpose::Unique });
        }
    }
    if let Some(primary) = root.child("primaryKey") {
        keys.push(KeyRule { fields: names(&primary, fields, problems), purpose: Purpose::Primary });
    }
    if let Some(unique) = root.child("uniqueKeys") {
        let items = unique.items(problems);
        if items.is_empty() && unique.value.is_array() {
            problems.add(&unique.pointer, "must not be empty");
        }
        for item in items {
            keys.push(KeyRule { fields: names(&item, fields, problems), purpose: Purpose::UniqueKey });
        }
    }
    if let Some(foreign) = root.child("foreignKeys") {
        for item in foreign.items(problems) {
            keys.extend(load_foreign_key(&item, fields, hasher, tables, problems));
        }
    }
    keys
}

fn load_foreign_key(
    at: &At<'_>,
    fields: &[Field],
    hasher: &KeyHasher,
    tables: &mut Tables<'_>,
    problems: &mut Problems,
) -> Option<KeyRule> {
    problems.unknown(at, &["fields", "reference", "name"], |_| None);
    let (Some(own), Some(reference)) = (at.child("fields"), at.child("reference")) else {
        problems.add(&at.pointer, "must be an object that has fields and reference");
        return None;
    };
    problems.unknown(&reference, &["resource", "fields"], |_| None);
    let Some(theirs) = reference.child("fields") else {
        problems.add(&reference.pointer, "must be an object that has fields");
        return None;
    };
    let resource = match reference.child("resource") {
        Some(resource) => resource.text(problems)?,
        // Version 1 of the standard wrote the empty string for the table itself.
        None => "",
    };
    let before = problems.list.len();
    let own_fields = names(&own, fields, problems);
    let their_names = one_or_more(&theirs, problems);
    if problems.list.len() > before {
        return None;
    }
    if own_fields.len() != their_names.len() {
        problems.add(&theirs.pointer, format_args!("must name as many fields as {}", own.pointer));
        return None;
    }
    let purpose = if resource.is_empty() {
        let targets = names(&theirs, fields, problems);
        for (from, to) in own_fields.iter().zip(&targets) {
            if fields[*from].kind.family() != fields[*to].kind.family() {
                let message = format!("the field {:?} is of another type than the one that refers to it", fields[*to].name);
                problems.add(&theirs.pointer, message);
            }
        }
        Purpose::RefersHere { targets }
    } else {
        let referring: Vec<_> = own_fields.iter().map(|field| &fields[*field]).collect();
        let known = tables.keys(resource, &their_names, &referring, hasher).map_err(|error| {
            problems.add(&reference.pointer, format_args!("the table {resource:?} {error}"));
        });
        Purpose::Refers { resource: resource.to_owned(), known: known.ok()? }
    };
    Some(KeyRule { fields: own_fields, purpose })
}

impl Tables<'_> {
    /// The keys that a table has in these columns, each read as the field that refers to it.
    fn keys(&mut self, name: &str, columns: &[&str], fields: &[&Field], hasher: &KeyHasher) -> Result<Hashes, String> {
        let table = self.table(name)?;
        let mut places = Vec::new();
        for column in columns {
            let place = table.header.iter().position(|label| label == column);
            places.push(place.ok_or_else(|| format!("has no column {column:?}"))?);
        }
        let mut keys = Hashes::default();
        // The operator's own file, which is in memory already, has no cap.
        let mut budget = Budget { left_bytes: u64::MAX };
        let mut scratch = Vec::new();
        for (at, row) in table.rows.iter().enumerate() {
            let cells = fields.iter().zip(&places).map(|(field, place)| (*field, Some(Cow::Borrowed(row[*place].as_str()))));
            match hasher.key(cells, &mut scratch) {
                Key::Hash(hash) => {
                    keys.insert(hash, &mut budget).map_err(|_| "has too many rows".to_owned())?;
                }
                Key::Null => {}
                Key::Broken => {
                    return Err(format!(
                        "has a key in row {} that is not of the type of the field that refers to it",
                        at + 1
                    ));
                }
            }
        }
        Ok(keys)
    }

    fn table(&mut self, name: &str) -> Result<&Reference, String> {
        if !self.known.contains_key(name) {
            let bytes = (self.read)(name).map_err(|error| format!("can't be read: {error}"))?;
            self.digest.update((name.len() as u64).to_be_bytes());
            self.digest.update(name);
            self.digest.update((bytes.len() as u64).to_be_bytes());
            self.digest.update(&bytes);
            self.known.insert(name.to_owned(), Reference::read(&bytes)?);
        }
        Ok(&self.known[name])
    }
}

/// The fields that a key names.
fn names(at: &At<'_>, fields: &[Field], problems: &mut Problems) -> Vec<usize> {
    let mut found = Vec::new();
    for name in one_or_more(at, problems) {
        match fields.iter().position(|field| field.name == name) {
            Some(field) => found.push(field),
            None => problems.add(&at.pointer, format_args!("there is no field {name:?}")),
        }
    }
    found
}

/// Names in an array, or one alone, as version 1 of the standard wrote it.
fn one_or_more<'a>(at: &At<'a>, problems: &mut Problems) -> Vec<&'a str> {
    match at.value {
        Value::String(name) => vec![name],
        _ => at.texts(problems),
    }
}
