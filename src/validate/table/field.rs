//! A field of a schema: its name, its type, what counts as missing.

use std::borrow::Cow;

use serde_json::Value;

use super::constraints::Rules;
use super::glance::Glance;
use super::kind::{Kind, List, Patterns, PointForm, Words};
use super::number::{Around, Lexical, Reach};
use super::problems::{At, Problems};
use super::strptime::{Facet, Pattern};

/// A field, ready to be held against cells.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) missing: Missing,
    pub(super) presence: Presence,
    /// Whether `constraints.unique` asks for each value once.
    pub(super) repeats: Repeats,
    pub(super) rules: Option<Rules>,
    /// What nearly all cells are judged by.
    pub(super) glance: Glance,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Required,
    Optional,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeats {
    Allowed,
    Refused,
}

/// Which cells hold no value.
#[derive(Debug, Clone)]
pub(super) enum Missing {
    Empty,
    Listed { longest: usize, values: Vec<String> },
}

/// The types of fields, and the properties that only they have.
const TYPES: [(&str, &[&str]); 16] = [
    ("string", &["categories", "categoriesOrdered"]),
    ("number", &["decimalChar", "groupChar", "bareNumber"]),
    ("integer", &["groupChar", "bareNumber", "categories", "categoriesOrdered"]),
    ("boolean", &["trueValues", "falseValues"]),
    ("object", &[]),
    ("array", &[]),
    ("list", &["delimiter", "itemType"]),
    ("datetime", &[]),
    ("date", &[]),
    ("time", &[]),
    ("year", &[]),
    ("yearmonth", &[]),
    ("duration", &[]),
    ("geopoint", &[]),
    ("geojson", &[]),
    ("any", &[]),
];

/// The properties that a field of any type has.
const COMMON: [&str; 5] = ["name", "type", "format", "constraints", "missingValues"];

/// What a list may hold (Table Schema 2.0, "list").
const ITEM_TYPES: [&str; 7] = ["string", "integer", "boolean", "number", "datetime", "date", "time"];

impl Field {
    /// Reads a field; `missing` is what the schema says of all of them.
    pub(super) fn load(at: &At<'_>, missing: &Missing, problems: &mut Problems) -> Option<Self> {
        if !at.value.is_object() {
            problems.add(&at.pointer, "must be an object");
            return None;
        }
        let name = match at.child("name") {
            Some(name) => name.text(problems)?.to_owned(),
            None => {
                problems.add(&at.pointer, "name is missing");
                return None;
            }
        };
        let type_name = match at.child("type") {
            Some(kind) => kind.text(problems)?,
            None => "any",
        };
        let Some((_, own)) = TYPES.into_iter().find(|(known, _)| *known == type_name) else {
            problems.add(&at.member("type"), format_args!("unknown type {type_name:?}"));
            return None;
        };
        problems.unknown(at, &[&COMMON, own].concat(), |name| {
            let types: Vec<_> = TYPES.into_iter().filter(|(_, own)| own.contains(&name)).map(|(name, _)| name).collect();
            (!types.is_empty()).then(|| format!("the type {type_name} has no such property, only {}", types.join(" and ")))
        });
        let missing = match at.child("missingValues") {
            Some(own) => Missing::load(&own, problems),
            None => missing.clone(),
        };
        let is_set = |constraint: &str, problems: &mut Problems| {
            let constraint = at.child("constraints").and_then(|constraints| constraints.child(constraint));
            constraint.and_then(|constraint| constraint.truth(problems)).unwrap_or(false)
        };
        let presence = if is_set("required", problems) { Presence::Required } else { Presence::Optional };
        let repeats = if is_set("unique", problems) { Repeats::Refused } else { Repeats::Allowed };
        let kind = load_kind(at, type_name, problems)?;
        let rules = Rules::load(at, type_name, &kind, problems);
        let glance = Glance::of(&kind, rules.as_ref());
        Some(Self { name, kind, missing, presence, repeats, rules, glance })
    }
}

impl Missing {
    /// Reads `missingValues`: strings, or objects that give a value a label.
    pub(super) fn load(at: &At<'_>, problems: &mut Problems) -> Self {
        let mut values: Vec<String> = Vec::new();
        let mut labels = Vec::new();
        for item in at.items(problems) {
            let (value, label) = if item.value.is_object() {
                problems.unknown(&item, &["value", "label"], |_| None);
                (item.child("value"), item.child("label").and_then(|label| label.text(problems)))
            } else {
                (Some(item.clone()), None)
            };
            let Some(value) = value else {
                problems.add(&item.pointer, "value is missing");
                continue;
            };
            let Some(text) = value.text(problems) else { continue };
            if values.iter().any(|known| known == text) {
                problems.add(&value.pointer, "the same value stands there before");
            }
            if label.is_some() && labels.contains(&label) {
                problems.add(&item.pointer, "its label stands there before");
            }
            values.push(text.to_owned());
            labels.push(label);
        }
        match values.as_slice() {
            [only] if only.is_empty() => Self::Empty,
            _ => Self::Listed { longest: values.iter().map(String::len).max().unwrap_or(0), values },
        }
    }

    /// Whether this cell holds no value.
    pub(super) fn has(&self, cell: &str) -> bool {
        match self {
            Self::Empty => cell.is_empty(),
            Self::Listed { longest, values } => cell.len() <= *longest && values.iter().any(|value| value == cell),
        }
    }
}

/// Reads `type`, `format` and the properties that belong to the type.
fn load_kind(at: &At<'_>, type_name: &str, problems: &mut Problems) -> Option<Kind> {
    let format_at = at.member("format");
    let format = match at.child("format") {
        // The prefix is of version 0 of the standard, which asks to remove it.
        Some(format) => format.text(problems).map(|format| format.strip_prefix("fmt:").unwrap_or(format))?,
        None => "default",
    };
    let kind = match (type_name, format) {
        ("string", "default") => Kind::Text,
        ("string", "email") => Kind::Email,
        ("string", "uri") => Kind::Uri,
        ("string", "binary") => Kind::Binary,
        ("string", "uuid") => Kind::Uuid,
        ("number", "default") => load_number(at, Reach::Number, problems),
        ("integer", "default") => load_number(at, Reach::Integer, problems),
        ("boolean", "default") => load_boolean(at, problems)?,
        ("date", "default") => Kind::Date,
        ("time", "default") => Kind::Time,
        ("datetime", "default") => Kind::DateTime,
        ("date", pattern) => load_patterns(pattern, Facet::Date, &format_at, problems)?,
        ("time", pattern) => load_patterns(pattern, Facet::Time, &format_at, problems)?,
        ("datetime", pattern) => load_patterns(pattern, Facet::DateTime, &format_at, problems)?,
        ("year", "default") => Kind::Year,
        ("yearmonth", "default") => Kind::YearMonth,
        ("duration", "default") => Kind::Duration,
        ("geopoint", "default") => Kind::Point(PointForm::Text),
        ("geopoint", "array") => Kind::Point(PointForm::Array),
        ("geopoint", "object") => Kind::Point(PointForm::Object),
        ("geojson", "default") => Kind::GeoJson,
        ("geojson", "topojson") => Kind::TopoJson,
        ("object", "default") => Kind::Object,
        ("array", "default") => Kind::Array,
        ("list", "default") => load_list(at, problems)?,
        ("any", "default") => Kind::Any,
        _ => {
            problems.add(&format_at, format_args!("the type {type_name} has no format {format:?}"));
            return None;
        }
    };
    Some(kind)
}

fn load_number(at: &At<'_>, reach: Reach, problems: &mut Problems) -> Kind {
    let separator = |name: &str, default: &'static str, problems: &mut Problems| {
        let Some(at) = at.child(name) else { return Cow::Borrowed(default) };
        let text = at.text(problems).unwrap_or(default);
        if text.contains(|char: char| char.is_ascii_digit() || "+-eE".contains(char)) {
            problems.add(&at.pointer, "must have no digit, no sign and no E: that would be read as a part of the number");
        }
        if text.is_empty() && name == "decimalChar" {
            problems.add(&at.pointer, "must not be empty");
        }
        Cow::Owned(text.to_owned())
    };
    let decimal = separator("decimalChar", ".", problems);
    let group = separator("groupChar", "", problems);
    if reach == Reach::Number && group == decimal && !group.is_empty() {
        problems.add(&at.member("groupChar"), "must not be the decimalChar");
    }
    let bare = at.child("bareNumber").and_then(|bare| bare.truth(problems)).unwrap_or(true);
    let around = if bare { Around::Nothing } else { Around::Anything };
    match (Lexical { decimal, group, around, reach }, reach) {
        (lexical, Reach::Integer) if lexical == Lexical::INTEGER => Kind::Integer,
        (lexical, Reach::Number) if lexical == Lexical::NUMBER => Kind::Number,
        (lexical, _) => Kind::NumberAs(Box::new(lexical)),
    }
}

fn load_boolean(at: &At<'_>, problems: &mut Problems) -> Option<Kind> {
    let (yes, no) = (at.child("trueValues"), at.child("falseValues"));
    if yes.is_none() && no.is_none() {
        return Some(Kind::Boolean);
    }
    let mut words = |list: Option<At<'_>>, default: [&str; 4]| -> Vec<String> {
        let words = list.map_or_else(|| default.to_vec(), |list| list.texts(problems));
        words.into_iter().map(str::to_owned).collect()
    };
    let yes = words(yes, ["true", "True", "TRUE", "1"]);
    let no = words(no, ["false", "False", "FALSE", "0"]);
    if let Some(word) = yes.iter().find(|word| no.contains(word)) {
        problems.add(&at.pointer, format_args!("{word:?} stands for true and for false"));
        return None;
    }
    (!yes.is_empty() && !no.is_empty()).then(|| Kind::BooleanAs(Box::new(Words { yes, no })))
}

fn load_list(at: &At<'_>, problems: &mut Problems) -> Option<Kind> {
    let delimiter = match at.child("delimiter") {
        Some(delimiter) => delimiter.text(problems)?,
        None => ",",
    };
    if delimiter.is_empty() {
        problems.add(&at.member("delimiter"), "must not be empty");
        return None;
    }
    let item_type = match at.child("itemType") {
        Some(item_type) => item_type.text(problems)?,
        None => "string",
    };
    if !ITEM_TYPES.contains(&item_type) {
        problems.add(&at.member("itemType"), format_args!("a list holds no items of the type {item_type:?}"));
        return None;
    }
    // Items are in the default form of their type, so that nothing of this field's properties is theirs.
    let bare = Value::Object(serde_json::Map::new());
    let item = load_kind(&At { value: &bare, pointer: at.pointer.clone() }, item_type, problems)?;
    Some(Kind::List(Box::new(List { delimiter: delimiter.to_owned(), item })))
}

fn load_patterns(format: &str, facet: Facet, pointer: &str, problems: &mut Problems) -> Option<Kind> {
    let (patterns, expected) = if format == "any" {
        (any_patterns(facet), any_expected(facet).to_owned())
    } else {
        let noun = match facet {
            Facet::Date => "a date of the calendar",
            Facet::Time => "a time of day",
            Facet::DateTime => "a date and time",
        };
        (vec![format.to_owned()], format!("{noun} of the form {format}"))
    };
    match patterns.iter().map(|pattern| Pattern::parse(pattern)).collect::<Result<_, _>>() {
        Ok(any_of) => Some(Kind::Patterns(Box::new(Patterns { facet, any_of, expected }))),
        Err(error) => {
            problems.add(pointer, error);
            None
        }
    }
}

/// What the format `any` takes: a closed list without a form that two readers could read in two ways, such as 01/02/2024.
fn any_patterns(facet: Facet) -> Vec<String> {
    const DATES: [&str; 9] =
        ["%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y%m%d", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%a, %d %b %Y"];
    const TIMES: [&str; 5] = ["%H:%M:%S", "%H:%M:%S.%f", "%H:%M", "%I:%M %p", "%I:%M:%S %p"];
    const ZONES: [&str; 4] = ["", "%z", " %z", " %Z"];
    let clocks = || TIMES.iter().flat_map(|time| ZONES.iter().map(move |zone| format!("{time}{zone}")));
    match facet {
        Facet::Date => DATES.map(str::to_owned).to_vec(),
        Facet::Time => clocks().collect(),
        Facet::DateTime => {
            let separated = |date: &str| [format!("{date}T"), format!("{date} ")];
            DATES
                .iter()
                .flat_map(|date| separated(date))
                .flat_map(|start| clocks().map(move |clock| format!("{start}{clock}")))
                .collect()
        }
    }
}

fn any_expected(facet: Facet) -> &'static str {
    match facet {
        Facet::Date => "a date in a form that can be read in one way only, such as 2024-01-26, 2024/01/26 or 26 Jan 2024",
        Facet::Time => "a time of day, such as 15:00, 15:00:00 or 3:00 PM",
        Facet::DateTime => "a date and time, such as 2024-01-26T15:00:00Z, 2024/01/26 15:00 or 26 Jan 2024 3:00 PM",
    }
}
