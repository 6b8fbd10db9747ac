//! The constraints of a column, and `categories`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;

use jsonschema::{PatternOptions, Validator};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::kind::{Kind, Logical, PointForm, Quantity};
use super::pattern;
use super::problems::{At, Problems};

/// What must hold for the cells of a column besides their type; `required` and `unique` are not among it.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) min_length: Option<u64>,
    pub(super) max_length: Option<u64>,
    pub(super) bounds: Vec<Bound>,
    pub(super) pattern: Option<(Regex, String)>,
    pub(super) sets: Vec<Set>,
    pub(super) json_schema: Option<Validator>,
}

/// A bound that a column's values keep.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) constraint: &'static str,
    pub(super) value: Quantity<'static>,
    /// How the schema writes it.
    pub(super) written: String,
}

/// Values of which a cell must hold one.
#[derive(Debug)]
pub(super) struct Set {
    pub(super) constraint: &'static str,
    pub(super) values: HashSet<Box<[u8]>>,
    /// Some of them, for people.
    written: String,
}

const BOUNDS: [&str; 4] = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
const LENGTHS: [&str; 2] = ["minLength", "maxLength"];

/// How many values of a set a message names.
const NAMED_VALUES: usize = 8;

impl Rules {
    /// Reads `constraints` and `categories` of a field; `None` where they ask nothing of a cell.
    pub(super) fn load(field: &At<'_>, type_name: &str, kind: &Kind, problems: &mut Problems) -> Option<Self> {
        let mut rules = Self::default();
        if let Some(constraints) = field.child("constraints") {
            rules.load_constraints(&constraints, type_name, kind, problems);
        }
        rules.load_categories(field, type_name, kind, problems);
        let Self { min_length, max_length, bounds, pattern, sets, json_schema } = &rules;
        let nothing = min_length.is_none() && max_length.is_none() && bounds.is_empty() && pattern.is_none();
        (!nothing || !sets.is_empty() || json_schema.is_some()).then_some(rules)
    }

    fn load_constraints(&mut self, constraints: &At<'_>, type_name: &str, kind: &Kind, problems: &mut Problems) {
        let Value::Object(members) = constraints.value else {
            return problems.add(&constraints.pointer, "must be an object");
        };
        for (name, value) in members {
            let at = At { value, pointer: constraints.member(name) };
            if !is_constraint(name) {
                problems.add(&at.pointer, "unknown constraint");
                continue;
            }
            if !is_for(name, type_name) {
                problems.add(&at.pointer, format_args!("the type {type_name} has no such constraint"));
                continue;
            }
            match name.as_str() {
                // Read by the field itself.
                "required" | "unique" => {}
                "minLength" => self.min_length = load_length(&at, problems),
                "maxLength" => self.max_length = load_length(&at, problems),
                "pattern" => self.pattern = load_pattern(&at, problems),
                "enum" => self.sets.extend(load_set(&at, "enum", &at.items(problems), kind, problems)),
                "jsonSchema" => self.json_schema = load_json_schema(&at, problems),
                _ => self.bounds.extend(load_bound(&at, name, kind, problems)),
            }
        }
    }

    /// `categories` are values, or objects that give a value a label.
    fn load_categories(&mut self, field: &At<'_>, type_name: &str, kind: &Kind, problems: &mut Problems) {
        let ordered = field.child("categoriesOrdered");
        ordered.as_ref().and_then(|ordered| ordered.truth(problems));
        let Some(categories) = field.child("categories") else {
            if let Some(ordered) = ordered {
                problems.add(&ordered.pointer, "says the order of categories that are not there");
            }
            return;
        };
        if !matches!(type_name, "string" | "integer") {
            // Refused with the other properties that are not of its type.
            return;
        }
        let mut labels = HashSet::new();
        let mut values = Vec::new();
        for item in categories.items(problems) {
            if !item.value.is_object() {
                values.push(item);
                continue;
            }
            problems.unknown(&item, &["value", "label"], |_| None);
            let label = item.child("label").and_then(|label| label.text(problems));
            if label.is_some_and(|label| !labels.insert(label)) {
                problems.add(&item.pointer, "its label stands there twice");
            }
            match item.child("value") {
                Some(value) => values.push(value),
                None => problems.add(&item.pointer, "value is missing"),
            }
        }
        let Some(set) = load_set(&categories, "categories", &values, kind, problems) else { return };
        if self.sets.iter().any(|chosen| !chosen.values.is_subset(&set.values)) {
            problems.add(&field.pointer, "enum has values that are not among the categories");
        }
        self.sets.push(set);
    }

    /// Holds a cell that is of its type against all of them, and tells those that it breaks, with what was expected.
    pub(super) fn check(&self, logical: &Logical<'_>, scratch: &mut Vec<u8>, tell: &mut dyn FnMut(&'static str, String)) {
        self.check_length(logical, tell);
        if let Logical::Quantity(quantity) = logical {
            for bound in self.bounds.iter().filter(|bound| !bound.holds(quantity)) {
                tell(bound.constraint, format!("the value must be {}", bound.expected()));
            }
        }
        if let (Some((regex, written)), Logical::Text(text)) = (&self.pattern, logical)
            && !regex.is_match(text)
        {
            tell("pattern", format!("the value must match the pattern {written}"));
        }
        if !self.sets.is_empty() {
            scratch.clear();
            logical.canonical(scratch);
            for set in self.sets.iter().filter(|set| !set.values.contains(scratch.as_slice())) {
                tell(set.constraint, format!("the value must be one of {}", set.written));
            }
        }
        if let (Some(schema), Logical::Json(value)) = (&self.json_schema, logical)
            && let Err(error) = schema.validate(value)
        {
            // The crate's own message shows the value, and the instance's path its names; the schema's path shows neither.
            tell(
                "jsonSchema",
                format!("the value must fit the field's JSON Schema, which refuses it at #{}", error.schema_path()),
            );
        }
    }

    fn check_length(&self, logical: &Logical<'_>, tell: &mut dyn FnMut(&'static str, String)) {
        if self.min_length.is_none() && self.max_length.is_none() {
            return;
        }
        let Some(length) = logical.length() else { return };
        let unit = match logical {
            Logical::Text(_) => "characters",
            Logical::Json(Value::Object(_)) => "members",
            _ => "items",
        };
        if let Some(least) = self.min_length.filter(|least| length < *least) {
            tell("minLength", format!("the value must have at least {least} {unit}, it has {length}"));
        }
        if let Some(most) = self.max_length.filter(|most| length > *most) {
            tell("maxLength", format!("the value must have at most {most} {unit}, it has {length}"));
        }
    }
}

impl Bound {
    fn holds(&self, quantity: &Quantity<'_>) -> bool {
        let order = quantity.compare(&self.value);
        match self.constraint {
            "minimum" => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            "maximum" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            "exclusiveMinimum" => order == Some(Ordering::Greater),
            _ => order == Some(Ordering::Less),
        }
    }

    fn expected(&self) -> String {
        let relation = match self.constraint {
            "minimum" => "at least",
            "maximum" => "at most",
            "exclusiveMinimum" => "more than",
            _ => "less than",
        };
        format!("{relation} {}", self.written)
    }
}

fn is_constraint(name: &str) -> bool {
    BOUNDS.contains(&name)
        || LENGTHS.contains(&name)
        || matches!(name, "required" | "unique" | "pattern" | "enum" | "jsonSchema")
}

/// Which types have a constraint (Table Schema 2.0, "Field Constraints"); lengths also for lists and, by the standard's own
/// JSON Schema, for geojson.
fn is_for(constraint: &str, type_name: &str) -> bool {
    match constraint {
        "minLength" | "maxLength" => matches!(type_name, "string" | "array" | "object" | "list" | "geojson"),
        "pattern" => type_name == "string",
        "jsonSchema" => matches!(type_name, "array" | "object" | "geojson"),
        "required" | "unique" | "enum" => true,
        _ => matches!(type_name, "integer" | "number" | "date" | "time" | "datetime" | "duration" | "year" | "yearmonth"),
    }
}

fn load_length(at: &At<'_>, problems: &mut Problems) -> Option<u64> {
    let length = at.value.as_u64();
    if length.is_none() {
        problems.add(&at.pointer, "must be a whole number, 0 or more");
    }
    length
}

fn load_pattern(at: &At<'_>, problems: &mut Problems) -> Option<(Regex, String)> {
    let written = at.text(problems)?;
    let compiled = pattern::translate(written).and_then(|regex| {
        // As XML Schema has it, the dot stands for neither end of a line, CR or LF.
        RegexBuilder::new(&format!("^(?:{regex})$")).crlf(true).build().map_err(|error| error.to_string())
    });
    match compiled {
        Ok(regex) => Some((regex, written.to_owned())),
        Err(error) => {
            problems.add(&at.pointer, format_args!("is no regular expression that is supported: {error}"));
            None
        }
    }
}

fn load_bound(at: &At<'_>, name: &str, kind: &Kind, problems: &mut Problems) -> Option<Bound> {
    let constraint = BOUNDS.into_iter().find(|known| *known == name)?;
    let written = cell_of(at, kind, problems)?;
    match kind.read(&written) {
        Some(Logical::Quantity(quantity)) => {
            Some(Bound { constraint, value: quantity.into_owned(), written: written.clone().into_owned() })
        }
        _ => {
            problems.add(&at.pointer, format_args!("must be {}", kind.expected()));
            None
        }
    }
}

fn load_set(at: &At<'_>, constraint: &'static str, items: &[At<'_>], kind: &Kind, problems: &mut Problems) -> Option<Set> {
    if items.is_empty() {
        if at.value.is_array() {
            problems.add(&at.pointer, "must not be empty");
        }
        return None;
    }
    let mut set = Set { constraint, values: HashSet::new(), written: String::new() };
    let mut named = Vec::new();
    for item in items {
        let Some(cell) = cell_of(item, kind, problems) else { continue };
        let mut canonical = Vec::new();
        if kind.canonical(&cell, &mut canonical).is_none() {
            problems.add(&item.pointer, format_args!("must be {}", kind.expected()));
        } else if !set.values.insert(canonical.into()) {
            problems.add(&item.pointer, "the same value stands there before");
        }
        if named.len() < NAMED_VALUES {
            named.push(cell);
        }
    }
    set.written = match items.len().saturating_sub(NAMED_VALUES) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    };
    Some(set)
}

/// The cell that a value of the schema stands for: a string as it is, a number or another primitive as the column would have
/// it.
fn cell_of<'a>(at: &At<'a>, kind: &Kind, problems: &mut Problems) -> Option<Cow<'a, str>> {
    let plain = match (kind, at.value) {
        (_, Value::String(text)) => return Some(Cow::Borrowed(text)),
        (Kind::Integer | Kind::Number | Kind::Year, Value::Number(number)) => {
            // Beyond this a JSON number may have been rounded when the schema was read.
            if number.is_f64() && number.as_f64().is_some_and(|value| value.abs() >= 9_007_199_254_740_992.0) {
                problems.add(&at.pointer, "this number may have lost digits: write it as a string");
                return None;
            }
            whole_number(&number.to_string(), kind)
        }
        (Kind::NumberAs(lexical), Value::Number(number)) => {
            let written = if lexical.is_integer() { whole_number(&number.to_string(), kind) } else { number.to_string() };
            written.replace('.', &lexical.decimal)
        }
        (Kind::Boolean, Value::Bool(truth)) => truth.to_string(),
        (Kind::BooleanAs(words), Value::Bool(truth)) => {
            if *truth {
                words.yes[0].clone()
            } else {
                words.no[0].clone()
            }
        }
        (Kind::Object | Kind::GeoJson | Kind::TopoJson | Kind::Point(PointForm::Object), Value::Object(_))
        | (Kind::Array | Kind::Point(PointForm::Array), Value::Array(_)) => at.value.to_string(),
        _ => {
            problems.add(&at.pointer, format_args!("must be a string: {}", kind.expected()));
            return None;
        }
    };
    Some(Cow::Owned(plain))
}

/// An integer that JSON writes with a fraction of zero is one.
fn whole_number(text: &str, kind: &Kind) -> String {
    match text.strip_suffix(".0") {
        Some(whole) if !matches!(kind, Kind::Number) => whole.to_owned(),
        _ => text.to_owned(),
    }
}

fn load_json_schema(at: &At<'_>, problems: &mut Problems) -> Option<Validator> {
    if !at.value.is_object() {
        problems.add(&at.pointer, "must be an object");
        return None;
    }
    let options = jsonschema::options()
        .with_pattern_options(PatternOptions::regex())
        .should_validate_formats(true)
        .should_ignore_unknown_formats(false)
        .offline();
    match options.build(at.value) {
        Ok(validator) => Some(validator),
        Err(error) => {
            problems.add(&at.pointer, format_args!("is no JSON Schema that is supported: {error}"));
            None
        }
    }
}
