//! Which format, size and manner hold for which name.
//!
//! Knows names alone: neither where the rules were written nor who asks.

use std::sync::{Arc, PoisonError, RwLock};

use globset::{GlobBuilder, GlobMatcher};
use unicode_normalization::UnicodeNormalization;

use super::{Limits, Standard};
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Compression, Format};
use crate::upload::{Key, OnConflict, OnInvalid};

/// What holds for names that match. What a rule leaves out is as if it did not match.
#[derive(Debug, Clone)]
pub struct Rule {
    /// A [`Pattern`].
    pub pattern: String,
    /// What the content is validated as; by the name's extension where no rule says it.
    pub format: Option<Format>,
    /// What is unpacked first; by the name's extension where no rule says it.
    pub compression: Option<Compression>,
    /// What the content is held to, whatever its format and compression.
    pub standard: Standard,
    /// The largest file, in bytes.
    pub max_bytes: Option<u64>,
    /// What to do where the name is taken by other content.
    pub on_conflict: Option<OnConflict>,
    /// What to do with a file that is not valid.
    pub on_invalid: OnInvalid,
}

/// Rules in their order: the first that matches a name holds for it.
#[derive(Debug, Clone)]
pub struct Rules {
    rules: Vec<Compiled>,
    /// Where no rule matches.
    standard: Standard,
}

/// What holds for one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// What the content is held to.
    pub standard: Standard,
    /// The largest file, in bytes, where a rule says it.
    pub max_bytes: Option<u64>,
    /// What to do where the name is taken by other content, where a rule says it.
    pub on_conflict: Option<OnConflict>,
    /// What to do with a file that is not valid.
    pub on_invalid: OnInvalid,
}

/// The rules in force, which can be replaced while they are in use: who has found what holds for a name keeps to that.
#[derive(Debug)]
pub struct Rulebook(RwLock<Arc<Rules>>);

impl Rulebook {
    /// Begins with these.
    pub fn new(rules: Rules) -> Self {
        Self(RwLock::new(Arc::new(rules)))
    }

    /// As [`Rules::find`], by the rules in force.
    pub fn find(&self, key: &Key) -> Applied {
        // Nothing panics while the lock is held.
        let rules = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        rules.find(key)
    }

    /// Puts other rules in force.
    pub fn replace(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
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
    /// Compiles the patterns. `standard` holds where no rule matches.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the pattern, where one is no glob or can match no key.
    pub fn new(rules: impl IntoIterator<Item = Rule>, standard: Standard) -> Result<Self> {
        Ok(Self { rules: rules.into_iter().map(Compiled::new).collect::<Result<_>>()?, standard })
    }

    /// No rules: extensions decide, and `limits` hold.
    pub fn none(limits: Limits) -> Self {
        Self { rules: Vec::new(), standard: Standard::of(Format::None, limits) }
    }

    /// What content is held to that no rule is for, and that has no name.
    pub const fn standard(&self) -> &Standard {
        &self.standard
    }

    /// What holds for a name.
    pub fn find(&self, key: &Key) -> Applied {
        let rule = self.rules.iter().find(|compiled| compiled.pattern.matches(key.as_str())).map(|compiled| &compiled.rule);
        let (format, compression) = by_extension(key);
        let standard = Standard {
            format: rule.and_then(|rule| rule.format).unwrap_or(format),
            compression: rule.and_then(|rule| rule.compression).unwrap_or(compression),
            ..rule.map_or(&self.standard, |rule| &rule.standard).clone()
        };
        Applied {
            standard,
            max_bytes: rule.and_then(|rule| rule.max_bytes),
            on_conflict: rule.and_then(|rule| rule.on_conflict),
            on_invalid: rule.map(|rule| rule.on_invalid).unwrap_or_default(),
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

fn by_extension(key: &Key) -> (Format, Compression) {
    let name = key.file_name().to_ascii_lowercase();
    let (name, compression) = match name.rsplit_once('.') {
        Some((name, "gz")) => (name, Compression::Gzip),
        Some((name, "zst" | "zstd")) => (name, Compression::Zstd),
        _ => (name.as_str(), Compression::None),
    };
    let format = match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("json") => Format::Json,
        Some("ndjson" | "jsonl") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some("tsv") => Format::Tsv,
        _ => Format::None,
    };
    (format, compression)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, format: Option<Format>, max_bytes: Option<u64>) -> Rule {
        let (pattern, standard) = (pattern.to_owned(), standard());
        Rule { pattern, format, compression: None, standard, max_bytes, on_conflict: None, on_invalid: OnInvalid::Warn }
    }

    fn standard() -> Standard {
        Standard::of(Format::None, Limits::default())
    }

    fn rules(rules: impl IntoIterator<Item = Rule>) -> Result<Rules> {
        Rules::new(rules, standard())
    }

    fn key(name: &str) -> Key {
        name.parse().unwrap()
    }

    #[test]
    fn without_a_rule_the_extension_decides() {
        let rules = rules([]).unwrap();
        for (name, format, compression) in [
            ("a.json", Format::Json, Compression::None),
            ("a/b.JSON", Format::Json, Compression::None),
            ("a.ndjson", Format::Ndjson, Compression::None),
            ("a.jsonl", Format::Ndjson, Compression::None),
            ("a.Csv", Format::Csv, Compression::None),
            ("a.tsv", Format::Tsv, Compression::None),
            ("a.csv.gz", Format::Csv, Compression::Gzip),
            ("a.ndjson.ZST", Format::Ndjson, Compression::Zstd),
            ("a.gz", Format::None, Compression::Gzip),
            ("csv", Format::None, Compression::None),
            ("csv.gz", Format::None, Compression::Gzip),
            ("dir.csv/a", Format::None, Compression::None),
        ] {
            let standard = Standard { format, compression, ..standard() };
            let applied = Applied { standard, max_bytes: None, on_conflict: None, on_invalid: OnInvalid::Reject };
            assert_eq!(rules.find(&key(name)), applied, "{name}");
        }
    }

    #[test]
    fn the_first_match_holds_and_what_it_leaves_out_is_not_looked_for_further() {
        let rules = rules([
            rule("raw/**", Some(Format::None), None),
            rule("big-*.csv", None, Some(7)),
            Rule { on_conflict: Some(OnConflict::Version), ..rule("*.csv", Some(Format::Tsv), Some(8)) },
        ])
        .unwrap();
        let applied = |format, max_bytes, on_conflict| Applied {
            standard: Standard { format, ..standard() },
            max_bytes,
            on_conflict,
            on_invalid: OnInvalid::Warn,
        };
        assert_eq!(rules.find(&key("raw/x/a.csv")), applied(Format::None, None, None));
        assert_eq!(rules.find(&key("in/big-1.csv")), applied(Format::Csv, Some(7), None));
        assert_eq!(rules.find(&key("in/a.csv")), applied(Format::Tsv, Some(8), Some(OnConflict::Version)));
        assert_eq!(
            rules.find(&key("in/a.json")),
            Applied { on_invalid: OnInvalid::Reject, ..applied(Format::Json, None, None) }
        );
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
            let rules = rules([rule(pattern, Some(Format::Json), None)]).unwrap();
            assert_eq!(rules.find(&key(name)).standard.format == Format::Json, matches, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_match_is_named() {
        for pattern in ["", "/a", "[a", "{a", "a\\"] {
            let error = rules([rule("*", None, None), rule(pattern, None, None)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains(&format!("{pattern:?}")), "{error}");
        }
    }
}
