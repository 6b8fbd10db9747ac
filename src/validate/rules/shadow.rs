//! Rules that can never hold, because an earlier rule matches every name that they match.
//!
//! Only what is certain is found: a rule that is not named here may be shadowed all the same.

use unicode_normalization::UnicodeNormalization as _;

use super::pattern::MatchCase;
use super::{Compiled, Rules};

/// A rule that never holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadowed {
    /// The rule, counted from 1.
    pub rule: usize,
    /// The first rule that matches all its names.
    pub by: usize,
}

impl Rules {
    /// Every rule that an earlier one surely keeps from ever holding.
    pub fn shadowed(&self) -> Vec<Shadowed> {
        let numbered = || self.ordered.iter().zip(1..);
        let first_above = |(later, rule): (&Compiled, usize)| {
            let (_, by) = numbered().take(rule - 1).find(|(earlier, _)| covers(earlier, later))?;
            Some(Shadowed { rule, by })
        };
        numbered().filter_map(first_above).collect()
    }
}

/// Whether `earlier` surely matches every name that `later` matches.
fn covers(earlier: &Compiled, later: &Compiled) -> bool {
    let [one, other] = [earlier, later].map(|compiled| compiled.rule.pattern.nfc().collect::<String>());
    if ["*", "**", "**/*"].contains(&one.as_str()) {
        return true;
    }
    // Everything in a folder, whatever its case: only extensions are ever folded.
    if let Some(folder) = one.strip_suffix("/**")
        && is_literal(folder)
    {
        return other.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    }
    if earlier.rule.match_case == MatchCase::Exact && later.rule.match_case == MatchCase::Ignored {
        return false;
    }
    one == other || file_name_of(&other) == Some(one.as_str())
}

/// The last component of a glob, where that is a glob by itself.
fn file_name_of(glob: &str) -> Option<&str> {
    let (folder, name) = glob.rsplit_once('/')?;
    (!folder.contains(['[', '{', '\\']) && !name.contains(['[', '{', '\\', ']', '}']) && !name.contains("**"))
        .then_some(name)
}

fn is_literal(glob: &str) -> bool {
    !glob.contains(['*', '?', '[', ']', '{', '}', '\\', ','])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Unmatched;
    use super::*;
    use crate::upload::Key;

    fn rules(patterns: &[(&str, MatchCase)]) -> Option<Rules> {
        Rules::of_patterns(patterns, Unmatched::Accept).ok()
    }

    #[test]
    fn a_rule_below_one_that_matches_as_much_is_found() {
        use MatchCase::{Exact, Ignored};
        for (earlier, later, shadowed) in [
            (("*", Exact), ("in/*.csv", Ignored), true),
            (("**", Ignored), ("*.csv", Ignored), true),
            (("**/*", Ignored), ("a", Ignored), true),
            (("*.csv", Ignored), ("*.csv", Ignored), true),
            (("*.csv", Ignored), ("*.csv", Exact), true),
            (("*.csv", Exact), ("*.csv", Ignored), false),
            (("caf\u{e9}", Ignored), ("caf\u{65}\u{301}", Ignored), true),
            (("*.csv", Ignored), ("meters/**/*.csv", Ignored), true),
            (("*.csv", Exact), ("meters/*.csv", Ignored), false),
            (("meters/**", Exact), ("meters/a/*.csv", Ignored), true),
            (("meters/**", Ignored), ("meters*/a.csv", Ignored), false),
            (("meters/*", Ignored), ("meters/a/*.csv", Ignored), false),
            (("*/*.csv", Ignored), ("*.csv", Ignored), false),
            (("*.csv", Ignored), ("*.json", Ignored), false),
        ] {
            let found = rules(&[earlier, later]).unwrap().shadowed();
            let expected: Vec<_> = shadowed.then_some(Shadowed { rule: 2, by: 1 }).into_iter().collect();
            assert_eq!(found, expected, "{earlier:?} {later:?}");
        }
        let several = rules(&[("a", Ignored), ("*.csv", Ignored), ("a", Exact), ("in/*.csv", Ignored), ("*", Ignored)]);
        let expected = [Shadowed { rule: 3, by: 1 }, Shadowed { rule: 4, by: 2 }];
        assert_eq!(several.unwrap().shadowed(), expected);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_rule_that_is_found_never_holds(
            earlier in "(\\*|\\*\\*|\\*\\*/\\*|[aB]/\\*\\*|([aB]/|\\*/|\\*\\*/)?([aB*?]|~2|\\*\\*|\\{a,b\\}|[\\[]aB\\])(\\.(csv|CSV|gz|c\\*|\\*))?(\\.gz)?)",
            prefix in "([aB]/|\\*/|\\*\\*/|[aB]~2/|a\\*/)?",
            own in "([aB*?]|~2|\\*\\*|[\\[]aB\\])(\\.(csv|CSV|gz|c\\*|\\*))?(\\.gz)?",
            same in proptest::bool::ANY,
            exact in proptest::array::uniform2(proptest::bool::ANY),
            names in proptest::collection::vec("([aBx](~2)?/){0,2}[aBx](~2)?(\\.(csv|CSV|c|Gz))?(~3)?(\\.gz|\\.GZ)?", 16),
        ) {
            let last = earlier.rsplit('/').next().unwrap_or_default();
            let later = prefix + if same { last } else { &own };
            let case = |exact| if exact { MatchCase::Exact } else { MatchCase::Ignored };
            let Some(rules) = rules(&[(&earlier, case(exact[0])), (&later, case(exact[1]))]) else { return Ok(()) };
            if rules.shadowed().is_empty() {
                return Ok(());
            }
            for name in names {
                let Ok(key) = name.parse::<Key>() else { continue };
                prop_assert_ne!(rules.find(&key).rule, Some(2), "{} {} {}", earlier, later, name);
            }
        }
    }
}
