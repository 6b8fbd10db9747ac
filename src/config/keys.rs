//! Which keys there are, and which of them somebody meant who wrote something else.
//!
//! The keys are those of `config/default.toml`, so that a key cannot exist without a default and an explanation. Knows
//! nothing about values.

use std::sync::LazyLock;

use toml::de::{DeTable, DeValue};

/// What every variable of ours begins with.
pub(super) const VARIABLE_PREFIX: &str = "TIDEGATE__";

/// The built-in defaults, which are also the reference manual.
pub(super) const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// The one name that is neither a section nor a key with a single value.
pub(super) const RULES: &str = "rules";

/// The keys of a rule.
pub(super) const RULE_KEYS: [&str; 15] = [
    "match",
    "match_case",
    "format",
    "max_bytes",
    "on_conflict",
    "on_invalid",
    "compression",
    "schema",
    "schema_for",
    "dialect",
    "profile",
    "blank_lines",
    "max_errors",
    "max_error_ratio",
    "mask_snippets",
];

/// The keys there are.
pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let parsed = DeTable::parse(DEFAULT_TOML).expect("the built-in defaults parse: a test reads them");
    let mut found = Vec::new();
    leaves("", parsed.get_ref(), &mut found);
    found.sort_unstable();
    Keys { keys: found.into_iter().map(|(_, key)| key).collect() }
});

/// Every key with its place in the text.
fn leaves(section: &str, table: &DeTable<'_>, found: &mut Vec<(usize, String)>) {
    for (name, value) in table {
        let key = join(section, name.get_ref());
        match value.get_ref() {
            DeValue::Table(inner) => leaves(&key, inner, found),
            _ => found.push((name.span().start, key)),
        }
    }
}

/// The full name of what stands in a section; a name that needs quotes in TOML keeps them.
pub(super) fn join(section: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if section.is_empty() { name } else { format!("{section}.{name}") }
}

/// The environment variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", key.replace('.', "__").to_uppercase())
}

/// The name of a variable in capitals, with single underscores.
fn plain(name: &str) -> String {
    let parts: Vec<_> = name.split('_').filter(|part| !part.is_empty()).collect();
    parts.join("_").to_uppercase()
}

/// Full names with dots, in the order of `config/default.toml`.
#[derive(Debug)]
pub(super) struct Keys {
    keys: Vec<String>,
}

impl Keys {
    /// Every key.
    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(String::as_str)
    }

    /// Whether this is a key, which has a single value.
    pub(super) fn contains(&self, path: &str) -> bool {
        self.iter().any(|key| key == path)
    }

    /// Whether this is a section, which has keys or sections below it.
    pub(super) fn is_section(&self, path: &str) -> bool {
        self.iter().any(|key| below(path, key).is_some())
    }

    /// The key, section or list of rules that a variable of this name is for, whatever its case and
    /// however many underscores stand in a row.
    pub(super) fn meant_by(&self, variable_name: &str) -> Option<String> {
        let sections = self.iter().flat_map(parents);
        let mut paths = self.iter().chain(sections).chain([RULES]);
        paths.find(|path| plain(&variable(path)) == plain(variable_name)).map(str::to_owned)
    }

    /// What stands directly in a section, in order; in `""`, all that stands at the top.
    pub(super) fn children(&self, section: &str) -> Vec<&str> {
        let mut names = Vec::new();
        for key in self.iter() {
            let rest = if section.is_empty() { Some(key) } else { below(section, key) };
            let Some(name) = rest.and_then(|rest| rest.split('.').next()) else { continue };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The key or section that was probably meant, if one is near enough.
    pub(super) fn nearest(&self, path: &str) -> Option<String> {
        let path = path.to_lowercase().replace('-', "_");
        let mut names: Vec<String> = self.iter().map(str::to_owned).collect();
        names.extend(self.iter().flat_map(parents).map(str::to_owned));
        names.push(RULES.to_owned());
        names.dedup();
        nearest(&path, names.iter().map(String::as_str)).map(str::to_owned).or_else(|| self.only_one_named_so(&path))
    }

    /// The only key or section with this last component: right name, wrong section.
    fn only_one_named_so(&self, path: &str) -> Option<String> {
        let mut same: Vec<&str> =
            self.iter().flat_map(|key| parents(key).chain([key])).filter(|known| last(known) == last(path)).collect();
        same.dedup();
        <[&str; 1]>::try_from(same).ok().map(|[only]| only.to_owned())
    }

    /// What there is where something unknown was written: the names of the nearest section that exists.
    pub(super) fn listing(&self, path: &str) -> String {
        match parents(path).filter(|parent| self.is_section(parent)).last() {
            Some(section) => format!("the keys of {section} are {}", self.children(section).join(", ")),
            None => format!("the sections are {} and [[{RULES}]]", self.children("").join(", ")),
        }
    }
}

/// The candidate with the fewest typing errors from `path`, as long as there are few for the length of the last component.
pub(super) fn nearest<'a>(path: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let budget = (last(path).chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::osa_distance(path, candidate), candidate))
        .filter(|(distance, _)| *distance <= budget)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What is left of a key below a section.
fn below<'a>(section: &str, key: &'a str) -> Option<&'a str> {
    key.strip_prefix(section)?.strip_prefix('.')
}

/// The sections that hold a key, outermost first.
fn parents(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('.').map(|(dot, _)| &path[..dot])
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_is_found_or_none() {
        for (written, meant) in [
            ("sink.s3.buckett", Some("sink.s3.bucket")),
            ("sink.s3.Access-Key-ID", Some("sink.s3.access_key_id")),
            ("sink.fs.bucket", Some("sink.s3.bucket")),
            ("listen.tpc", Some("listen.tcp")),
            ("bucket", Some("sink.s3.bucket")),
            ("limits.level", Some("log.level")),
            ("s3", Some("sink.s3")),
            ("sinc", Some("sink")),
            ("rule", Some("rules")),
            ("limits.timeout", None),
            ("listen.port", None),
            ("log.on_conflict", None),
            ("", None),
        ] {
            assert_eq!(KEYS.nearest(written).as_deref(), meant, "{written}");
        }
    }

    #[test]
    fn the_listing_is_that_of_the_nearest_section() {
        assert_eq!(KEYS.listing("listen.port"), "the keys of listen are tcp, admin");
        assert_eq!(KEYS.listing("sink.s4.x"), "the keys of sink are kind, fs, s3");
        assert_eq!(
            KEYS.listing("x.y"),
            "the sections are listen, sink, limits, plain, framed, log, ledger, defaults and [[rules]]"
        );
    }
}
