//! Which format, size and manner hold for which name.
//!
//! Knows names alone: neither where the rules were written nor who asks.

use globset::{GlobBuilder, GlobMatcher};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, ErrorKind, Result};
use crate::report::Format;
use crate::upload::{Key, OnConflict};

/// What holds for names that match. What a rule leaves out is as if it did not match.
#[derive(Debug, Clone)]
pub struct Rule {
    /// A [`Pattern`].
    pub pattern: String,
    /// What the content is validated as.
    pub format: Option<Format>,
    /// The largest file, in bytes.
    pub max_bytes: Option<u64>,
    /// What to do where the name is taken by other content.
    pub on_conflict: Option<OnConflict>,
}

/// Rules in their order: the first that matches a name holds for it.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    rules: Vec<Compiled>,
}

/// What holds for one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// What the content is validated as; by the name's extension where no rule says it.
    pub format: Format,
    /// The largest file, in bytes, where a rule says it.
    pub max_bytes: Option<u64>,
    /// What to do where the name is taken by other content, where a rule says it.
    pub on_conflict: Option<OnConflict>,
}

#[derive(Debug, Clone)]
struct Compiled {
    pattern: Pattern,
    rule: Rule,
}

/// A glob for names: without a slash it is held against the last component, with one against the whole name. `*` and `?` do
/// not cross a slash, `**` does.
#[derive(Debug, Clone)]
pub struct Pattern {
    glob: GlobMatcher,
    against: Against,
}

#[derive(Debug, Clone, Copy)]
enum Against {
    FileName,
    WholeName,
}

impl Rules {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the pattern, where one is no glob or can match no key.
    pub fn new(rules: impl IntoIterator<Item = Rule>) -> Result<Self> {
        Ok(Self { rules: rules.into_iter().map(Compiled::new).collect::<Result<_>>()? })
    }

    /// What holds for a name.
    pub fn find(&self, key: &Key) -> Applied {
        let rule = self.rules.iter().find(|compiled| compiled.pattern.matches(key.as_str())).map(|compiled| &compiled.rule);
        Applied {
            format: rule.and_then(|rule| rule.format).unwrap_or_else(|| by_extension(key)),
            max_bytes: rule.and_then(|rule| rule.max_bytes),
            on_conflict: rule.and_then(|rule| rule.on_conflict),
        }
    }
}

impl Compiled {
    fn new(rule: Rule) -> Result<Self> {
        Ok(Self { pattern: Pattern::new(&rule.pattern)?, rule })
    }
}

impl Pattern {
    /// Compiles a glob.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the pattern, where it is no glob or can match no name.
    pub fn new(pattern: &str) -> Result<Self> {
        if pattern.is_empty() || pattern.starts_with('/') {
            let message = format!("pattern {pattern:?} matches no name: names are relative and not empty");
            return Err(Error::new(ErrorKind::Config, message));
        }
        // Keys are in NFC, so a pattern that is not would never match.
        let normal: String = pattern.nfc().collect();
        let glob = GlobBuilder::new(&normal)
            .literal_separator(true)
            .build()
            .map_err(|error| Error::new(ErrorKind::Config, format!("pattern {pattern:?}")).because(error))?;
        let against = if pattern.contains('/') { Against::WholeName } else { Against::FileName };
        Ok(Self { glob: glob.compile_matcher(), against })
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        self.glob.is_match(match self.against {
            Against::FileName => name.rsplit('/').next().unwrap_or(name),
            Against::WholeName => name,
        })
    }
}

fn by_extension(key: &Key) -> Format {
    let extension = key.file_name().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("json") => Format::Json,
        Some("ndjson" | "jsonl") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some("tsv") => Format::Tsv,
        _ => Format::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, format: Option<Format>, max_bytes: Option<u64>) -> Rule {
        Rule { pattern: pattern.to_owned(), format, max_bytes, on_conflict: None }
    }

    fn key(name: &str) -> Key {
        name.parse().unwrap()
    }

    #[test]
    fn without_a_rule_the_extension_decides() {
        let rules = Rules::default();
        for (name, format) in [
            ("a.json", Format::Json),
            ("a/b.JSON", Format::Json),
            ("a.ndjson", Format::Ndjson),
            ("a.jsonl", Format::Ndjson),
            ("a.Csv", Format::Csv),
            ("a.tsv", Format::Tsv),
            ("a.csv.gz", Format::None),
            ("csv", Format::None),
            ("dir.csv/a", Format::None),
        ] {
            assert_eq!(rules.find(&key(name)), Applied { format, max_bytes: None, on_conflict: None }, "{name}");
        }
    }

    #[test]
    fn the_first_match_holds_and_what_it_leaves_out_is_not_looked_for_further() {
        let rules = Rules::new([
            rule("raw/**", Some(Format::None), None),
            rule("big-*.csv", None, Some(7)),
            Rule { on_conflict: Some(OnConflict::Version), ..rule("*.csv", Some(Format::Tsv), Some(8)) },
        ])
        .unwrap();
        let applied = |format, max_bytes, on_conflict| Applied { format, max_bytes, on_conflict };
        assert_eq!(rules.find(&key("raw/x/a.csv")), applied(Format::None, None, None));
        assert_eq!(rules.find(&key("in/big-1.csv")), applied(Format::Csv, Some(7), None));
        assert_eq!(rules.find(&key("in/a.csv")), applied(Format::Tsv, Some(8), Some(OnConflict::Version)));
        assert_eq!(rules.find(&key("in/a.json")), applied(Format::Json, None, None));
    }

    #[test]
    fn a_star_stays_within_a_component() {
        for (pattern, name, matches) in [
            ("*.x", "a.x", true),
            ("*.x", "deep/er/a.x", true),
            ("in/*.x", "in/a.x", true),
            ("in/*.x", "in/b/a.x", false),
            ("in/?.x", "in/a.x", true),
            ("in?a.x", "in/a.x", false),
            ("in/**", "in/b/a.x", true),
            ("in/**", "out/in/a.x", false),
            ("**/b/*.x", "in/b/a.x", true),
            ("**/b/*.x", "b/a.x", true),
            ("*.{x,y}", "in/a.y", true),
            ("[ab].x", "c.x", false),
            ("*.X", "a.x", false),
            ("caf\u{65}\u{301}.x", "caf\u{e9}.x", true),
        ] {
            let rules = Rules::new([rule(pattern, Some(Format::Json), None)]).unwrap();
            assert_eq!(rules.find(&key(name)).format == Format::Json, matches, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_match_is_named() {
        for pattern in ["", "/a", "[a", "{a", "a\\"] {
            let error = Rules::new([rule("*", None, None), rule(pattern, None, None)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(&format!("{pattern:?}")), "{error}");
        }
    }
}
