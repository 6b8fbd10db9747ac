//! Which format, size and manner hold for which name.
//!
//! Knows names alone: neither where the rules were written nor who asks.

mod bypass;
mod pattern;
mod shadow;

use std::sync::{Arc, PoisonError, RwLock};

pub use self::bypass::Bypass;
use self::pattern::by_extension;
pub use self::pattern::{MatchCase, Pattern};
pub use self::shadow::Shadowed;
use super::{Limits, Standard};
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Compression, Format};
use crate::upload::{Key, OnConflict, OnInvalid};

/// What holds for names that match. What a rule leaves out is as if it did not match.
#[derive(Debug, Clone)]
pub struct Rule {
    /// A [`Pattern`].
    pub pattern: String,
    /// How its extensions are compared.
    pub match_case: MatchCase,
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
    ordered: Vec<Compiled>,
    /// Where no rule matches.
    standard: Standard,
    unmatched: Unmatched,
}

/// What becomes of a name that no rule matches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unmatched {
    /// It is taken; its extension decides how it is validated.
    #[default]
    Accept,
    /// It is refused.
    Reject,
}

/// What holds for one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// The rule that matches, counted from 1.
    pub rule: Option<usize>,
    /// What the content is held to.
    pub standard: Standard,
    /// The largest file, in bytes, where a rule says it.
    pub max_bytes: Option<u64>,
    /// What to do where the name is taken by other content, where a rule says it.
    pub on_conflict: Option<OnConflict>,
    /// What to do with a file that is not valid.
    pub on_invalid: OnInvalid,
}

/// The rules in force, which can be replaced while they are in use: an upload keeps to what was found for it when it began.
#[derive(Debug)]
pub struct Rulebook(RwLock<Arc<Rules>>);

impl Rulebook {
    /// Begins with these.
    pub fn new(rules: Rules) -> Self {
        Self(RwLock::new(Arc::new(rules)))
    }

    /// As [`Rules::admit`], by the rules in force.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`] where no rule matches, and such names are refused.
    pub fn admit(&self, key: &Key) -> Result<Applied> {
        // Nothing panics while the lock is held.
        let rules = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        rules.admit(key)
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

impl Rules {
    /// Compiles the patterns. `standard` holds where no rule matches.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the pattern, where one is no glob or can match no key.
    pub fn new(rules: impl IntoIterator<Item = Rule>, standard: Standard, unmatched: Unmatched) -> Result<Self> {
        Ok(Self { ordered: rules.into_iter().map(Compiled::new).collect::<Result<_>>()?, standard, unmatched })
    }

    /// No rules: extensions decide, and `limits` hold.
    pub fn none(limits: Limits) -> Self {
        Self { ordered: Vec::new(), standard: Standard::of(Format::None, limits), unmatched: Unmatched::Accept }
    }

    /// Rules of these patterns that say nothing else.
    #[cfg(test)]
    fn of_patterns(patterns: &[(&str, MatchCase)], unmatched: Unmatched) -> Result<Self> {
        let standard = || Standard::of(Format::None, Limits::default());
        let rules = patterns.iter().map(|(pattern, match_case)| Rule {
            pattern: (*pattern).to_owned(),
            match_case: *match_case,
            format: None,
            compression: None,
            standard: standard(),
            max_bytes: None,
            on_conflict: None,
            on_invalid: OnInvalid::Reject,
        });
        Self::new(rules, standard(), unmatched)
    }

    /// What content is held to that no rule is for, and that has no name.
    pub const fn standard(&self) -> &Standard {
        &self.standard
    }

    /// What holds for the name of an upload.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`] where no rule matches, and such names are refused.
    pub fn admit(&self, key: &Key) -> Result<Applied> {
        let applied = self.find(key);
        if applied.rule.is_none() && self.unmatched == Unmatched::Reject {
            let message = format!(
                "no rule matches {:?}, and defaults.unmatched is \"reject\": use a name that a rule is for, or add a rule",
                key.as_str()
            );
            return Err(Error::new(ErrorKind::BadName, message));
        }
        Ok(applied)
    }

    /// What holds for a name: by the first rule that matches it, or else by its extension.
    pub fn find(&self, key: &Key) -> Applied {
        let matching = self.ordered.iter().zip(1..).find(|(compiled, _)| compiled.pattern.matches(key.as_str()));
        let rule = matching.map(|(compiled, _)| &compiled.rule);
        let (format, compression) = by_extension(key.file_name());
        let standard = Standard {
            format: rule.and_then(|rule| rule.format).unwrap_or(format),
            compression: rule.and_then(|rule| rule.compression).unwrap_or(compression),
            ..rule.map_or(&self.standard, |rule| &rule.standard).clone()
        };
        Applied {
            rule: matching.map(|(_, number)| number),
            standard,
            max_bytes: rule.and_then(|rule| rule.max_bytes),
            on_conflict: rule.and_then(|rule| rule.on_conflict),
            on_invalid: rule.map(|rule| rule.on_invalid).unwrap_or_default(),
        }
    }
}

impl Compiled {
    fn new(rule: Rule) -> Result<Self> {
        Ok(Self { pattern: Pattern::new(&rule.pattern, rule.match_case)?, rule })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str, format: Option<Format>, max_bytes: Option<u64>) -> Rule {
        Rule {
            pattern: pattern.to_owned(),
            match_case: MatchCase::default(),
            format,
            compression: None,
            standard: standard(),
            max_bytes,
            on_conflict: None,
            on_invalid: OnInvalid::Warn,
        }
    }

    fn standard() -> Standard {
        Standard::of(Format::None, Limits::default())
    }

    fn rules(rules: impl IntoIterator<Item = Rule>) -> Result<Rules> {
        Rules::new(rules, standard(), Unmatched::Accept)
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
            let applied =
                Applied { rule: None, standard, max_bytes: None, on_conflict: None, on_invalid: OnInvalid::Reject };
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
        let applied = |rule, format, max_bytes, on_conflict| Applied {
            rule: Some(rule),
            standard: Standard { format, ..standard() },
            max_bytes,
            on_conflict,
            on_invalid: OnInvalid::Warn,
        };
        assert_eq!(rules.find(&key("raw/x/a.csv")), applied(1, Format::None, None, None));
        assert_eq!(rules.find(&key("in/big-1.csv")), applied(2, Format::Csv, Some(7), None));
        assert_eq!(rules.find(&key("in/a.csv")), applied(3, Format::Tsv, Some(8), Some(OnConflict::Version)));
        assert_eq!(
            rules.find(&key("in/a.json")),
            Applied { rule: None, on_invalid: OnInvalid::Reject, ..applied(0, Format::Json, None, None) }
        );
    }

    #[test]
    fn a_name_that_no_rule_matches_can_be_refused() {
        let rules = Rules::new([rule("*.csv", None, None)], standard(), Unmatched::Reject).unwrap();
        assert_eq!(rules.admit(&key("in/a.CSV.gz")).unwrap().rule, Some(1));
        let error = rules.admit(&key("in/a.json")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadName);
        assert!(error.to_string().contains("no rule matches \"in/a.json\""), "{error}");
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
