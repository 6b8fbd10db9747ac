//! One layer: the text of a file, or the environment, as keys with values that know where they came from.
//!
//! Names are checked here, and what has no place is told; values are passed on as they were written. The `config` crate
//! then lays the layers over each other. Its own `File` and `Environment` would do but for the origin: they know neither a
//! value's line nor the variable that held it.

use std::path::Path;

use ::config::{ConfigError, Map, Source, Value, ValueKind};
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::keys::{self, DEFAULT_TOML, KEYS, RULE_KEYS, RULES, VARIABLE_PREFIX};
use super::problems::{DEFAULT, Problems};
use super::value::shown;

/// Known keys with values as they were written; the origin of each is the value's own.
#[derive(Debug, Clone)]
pub(super) struct Layer(Vec<(String, Value)>);

impl Layer {
    /// What holds where nothing else is said.
    pub(super) fn defaults(problems: &mut Problems) -> Self {
        Self::from_toml(DEFAULT_TOML, DEFAULT, &|_| DEFAULT.to_owned(), problems)
    }

    /// What a TOML file says.
    pub(super) fn file(path: &Path, problems: &mut Problems) -> Self {
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::from_toml(&text, &shown, &|line| format!("{shown}, line {line}"), problems),
            Err(error) => {
                problems.unread(format!("{shown}: cannot be read: {error}"));
                Self(Vec::new())
            }
        }
    }

    /// What the variables say that are ours. One that was surely meant to be ours is told; the
    /// others are passed over.
    pub(super) fn environment(variables: impl IntoIterator<Item = (String, String)>, problems: &mut Problems) -> Self {
        let mut all: Vec<_> = variables.into_iter().collect();
        all.sort_unstable();
        let mut entries = Vec::new();
        for (name, value) in all {
            match KEYS.iter().find(|key| keys::variable(key) == name) {
                Some(key) => entries.push((key.to_owned(), Value::new(Some(&name), value))),
                None if name.starts_with(VARIABLE_PREFIX) => tell_variable(&name, problems),
                None => tell_misspelt_variable(&name, problems),
            }
        }
        Self(entries)
    }

    fn from_toml(text: &str, place: &str, origin: &dyn Fn(usize) -> String, problems: &mut Problems) -> Self {
        let document = match DeTable::parse(text) {
            Ok(document) => document.into_inner(),
            Err(error) => {
                let (line, column) = position(text, error.span().map_or(0, |span| span.start));
                // The message alone: the error's own text quotes the line, and there may be a secret in it.
                let message = error.message().replace('\n', ", ");
                problems.unread(format!("{place}, line {line}, column {column}: {message}"));
                return Self(Vec::new());
            }
        };
        let mut reading = Reading { text, origin, entries: Vec::new(), problems };
        reading.section("", document);
        Self(reading.entries)
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.iter().cloned().collect())
    }
}

/// Why a variable with our prefix sets nothing.
fn tell_variable(name: &str, problems: &mut Problems) {
    let path = name[VARIABLE_PREFIX.len()..].to_lowercase().replace("__", ".");
    if path == RULES || path.starts_with("rules.") {
        return problems.value(&path, "rules can only stand in files", name);
    }
    if KEYS.is_section(&path) {
        let what = format!("is a section, not a key: set one of {}", KEYS.children(&path).join(", "));
        return problems.value(&path, &what, name);
    }
    let shown = if path.is_empty() { name } else { &path };
    match KEYS.nearest(&path).filter(|near| KEYS.contains(near)) {
        Some(near) => {
            let hint = format!("did you mean {near}, which is {}?", keys::variable(&near));
            problems.unknown(shown, name, Some(&near), &hint);
        }
        None => problems.unknown(shown, name, None, &KEYS.listing(&path)),
    }
}

/// That a variable without our prefix sets nothing, where it seems to be for a key: Kubernetes,
/// scripts and tests have variables of their own that begin with `TIDEGATE_`, so that only the very
/// name of a key or a section is told.
fn tell_misspelt_variable(name: &str, problems: &mut Problems) {
    let what = "sets nothing, for variables begin with TIDEGATE__, in capitals, and have two underscores for each dot";
    match KEYS.meant_by(name) {
        Some(path) if KEYS.contains(&path) => {
            let hint = format!("did you mean {path}, which is {}?", keys::variable(&path));
            problems.variable(name, &format!("{what}; {hint}"), Some(&path));
        }
        Some(path) if path == RULES => problems.variable(name, "sets nothing: rules can only stand in files", None),
        Some(path) => {
            let keys: Vec<_> = KEYS.children(&path).into_iter().map(|key| keys::join(&path, key)).collect();
            problems.variable(
                name,
                &format!("{what}; {path} is a section, not a key: set one of {}", keys.join(", ")),
                None,
            );
        }
        None if name.to_uppercase().starts_with(VARIABLE_PREFIX) => problems.variable(name, what, None),
        None => {}
    }
}

/// A TOML document on its way to a layer.
struct Reading<'a> {
    text: &'a str,
    origin: &'a dyn Fn(usize) -> String,
    entries: Vec<(String, Value)>,
    problems: &'a mut Problems,
}

impl Reading<'_> {
    fn section(&mut self, section: &str, table: DeTable<'_>) {
        for (name, value) in in_order(table) {
            let key = keys::join(section, name.get_ref());
            let origin = self.origin_at(name.span().start);
            match value.into_inner() {
                rules if key == RULES => self.rules(rules, &origin),
                DeValue::Table(inner) if KEYS.is_section(&key) => self.section(&key, inner),
                _ if KEYS.is_section(&key) => {
                    let what = format!("is a section, with the keys {}", KEYS.children(&key).join(", "));
                    self.problems.value(&key, &what, &origin);
                }
                DeValue::Table(_) if KEYS.contains(&key) => {
                    self.problems.value(&key, "is a table, and must be a single value", &origin);
                }
                value if KEYS.contains(&key) => self.entries.push((key, Value::new(Some(&origin), kind(&value)))),
                _ => self.unknown(&key, &origin),
            }
        }
    }

    fn unknown(&mut self, key: &str, origin: &str) {
        let nearest = KEYS.nearest(key);
        let hint = match &nearest {
            Some(near) => format!("did you mean {near}?"),
            None => KEYS.listing(key),
        };
        self.problems.unknown(key, origin, nearest.as_deref(), &hint);
    }

    /// The list of rules, as an array of tables whose values carry their own origin.
    fn rules(&mut self, value: DeValue<'_>, origin: &str) {
        let DeValue::Array(list) = value else {
            return self.problems.value(RULES, "is a list: each rule begins with [[rules]]", origin);
        };
        let mut rules = Vec::new();
        for (index, rule) in list.into_iter().enumerate() {
            let name = format!("{RULES}[{}]", index + 1);
            let origin = self.origin_at(rule.span().start);
            match rule.into_inner() {
                DeValue::Table(table) => rules.push(Value::new(Some(&origin), self.rule(&name, table))),
                other => {
                    self.problems.value(&name, &format!("{} is not a table", shown(&kind(&other))), &origin);
                }
            }
        }
        self.entries.push((RULES.to_owned(), Value::new(Some(&origin.to_owned()), rules)));
    }

    fn rule(&mut self, rule: &str, table: DeTable<'_>) -> Map<String, Value> {
        let mut known = Map::new();
        for (name, value) in in_order(table) {
            let origin = self.origin_at(name.span().start);
            let name: &str = name.get_ref();
            if RULE_KEYS.contains(&name) {
                known.insert(name.to_owned(), Value::new(Some(&origin), kind(value.get_ref())));
                continue;
            }
            let meant = keys::nearest(&name.to_lowercase().replace('-', "_"), RULE_KEYS.into_iter());
            let meant = meant.map(|near| format!("{rule}.{near}"));
            let hint = match &meant {
                Some(near) => format!("did you mean {near}?"),
                None => format!("the keys of a rule are {}", RULE_KEYS.join(", ")),
            };
            self.problems.unknown(&keys::join(rule, name), &origin, meant.as_deref(), &hint);
        }
        known
    }

    fn origin_at(&self, offset: usize) -> String {
        (self.origin)(position(self.text, offset).0)
    }
}

/// Name and value of a table's entries, as the text has them: the parser sorts them by name.
fn in_order(table: DeTable<'_>) -> Vec<(Spanned<DeString<'_>>, Spanned<DeValue<'_>>)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
}

/// A value as the `config` crate holds it. What a number cannot hold stays text, and is refused as a number later.
fn kind(value: &DeValue<'_>) -> ValueKind {
    match value {
        DeValue::String(text) => ValueKind::String(text.clone().into_owned()),
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Integer(digits) => match i64::from_str_radix(digits.as_str(), digits.radix()) {
            Ok(number) => ValueKind::I64(number),
            Err(_) => ValueKind::String(digits.as_str().to_owned()),
        },
        DeValue::Float(digits) => match digits.as_str().parse() {
            Ok(number) => ValueKind::Float(number),
            Err(_) => ValueKind::String(digits.as_str().to_owned()),
        },
        DeValue::Datetime(datetime) => ValueKind::String(datetime.to_string()),
        DeValue::Array(_) => ValueKind::Array(Vec::new()),
        DeValue::Table(_) => ValueKind::Table(Map::new()),
    }
}

/// Line and column of a byte, counted from 1; the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
