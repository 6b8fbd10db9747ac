//! Names that a rule seems to be for, and is not: what a sender could call a file so that the rule does not hold.

use super::pattern::split_compression;
use super::{Compiled, Rules, Unmatched};
use crate::upload::Key;

/// How a name differs that is packed in a way that no rule looks through.
const OPAQUE: &str = "the file is packed in a way that is not looked through, as with xz, bzip2 or zip";

/// A name beside those that a rule matches, which no rule matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bypass {
    /// The rule, counted from 1.
    pub rule: usize,
    /// A name that it matches.
    pub matched: Key,
    /// The name that it does not match.
    pub missed: Key,
    /// How they differ.
    pub difference: &'static str,
}

impl Bypass {
    /// Whether it is one that most rules have: the file is packed in a way that no rule looks
    /// through.
    pub fn is_opaque(&self) -> bool {
        self.difference == OPAQUE
    }
}

impl Rules {
    /// For every rule that may hold the variants of a name of its own that no rule matches, and
    /// that are taken all the same.
    pub fn bypasses(&self) -> Vec<Bypass> {
        if self.unmatched == Unmatched::Reject {
            return Vec::new();
        }
        let never_holds: Vec<_> = self.shadowed().into_iter().map(|shadowed| shadowed.rule).collect();
        let rules = self.ordered.iter().zip(1..).filter(|(_, rule)| !never_holds.contains(rule));
        rules.flat_map(|(compiled, rule)| self.bypasses_of(compiled, rule)).collect()
    }

    fn bypasses_of(&self, compiled: &Compiled, rule: usize) -> Vec<Bypass> {
        let examples = alternatives(&compiled.rule.pattern).into_iter().filter_map(|glob| example(&glob));
        let matched = examples.filter(|name| compiled.pattern.matches(name.as_str()));
        let mut found: Vec<Bypass> = Vec::new();
        for matched in matched {
            for (missed, difference) in variants(&matched) {
                let is_known = found.iter().any(|bypass| bypass.difference == difference);
                if !is_known && self.find(&missed).rule.is_none() {
                    found.push(Bypass { rule, matched: matched.clone(), missed, difference });
                }
            }
        }
        found
    }
}

/// The globs that a glob with braces stands for; at most so many.
fn alternatives(glob: &str) -> Vec<String> {
    const MOST: usize = 16;
    let mut globs = vec![glob.to_owned()];
    while let Some((at, open, close)) = globs
        .iter()
        .enumerate()
        .find_map(|(at, glob)| glob.find('{').and_then(|open| Some((at, open, open + glob[open..].find('}')?))))
    {
        let glob = globs.remove(at);
        let each = glob[open + 1..close].split(',').map(|each| format!("{}{each}{}", &glob[..open], &glob[close + 1..]));
        globs.extend(each.collect::<Vec<_>>());
        if globs.len() > MOST {
            break;
        }
    }
    globs
}

/// A name that a glob without braces is likely to match.
fn example(glob: &str) -> Option<Key> {
    let mut name = String::new();
    let mut rest = glob.chars().peekable();
    while let Some(char) = rest.next() {
        match char {
            '*' => {
                while rest.next_if_eq(&'*').is_some() {}
                name.push('x');
            }
            '?' => name.push('x'),
            '[' => {
                let class: String = rest.by_ref().take_while(|char| *char != ']').collect();
                name.push(class.chars().find(|char| char.is_alphanumeric())?);
            }
            '\\' => name.extend(rest.next()),
            char => name.push(char),
        }
    }
    name.parse().ok()
}

/// Other names that a sender may give the same file.
fn variants(key: &Key) -> Vec<(Key, &'static str)> {
    let name = key.as_str();
    let (folder, file) = name.rsplit_once('/').map_or(("", name), |(folder, file)| (folder, file));
    let (stem, extension) = file.rsplit_once('.').unwrap_or((file, ""));
    let with = |file: String| if folder.is_empty() { file } else { format!("{folder}/{file}") };
    let swapped = match extension.to_ascii_lowercase().as_str() {
        "ndjson" => Some("jsonl"),
        "jsonl" => Some("ndjson"),
        _ => None,
    };
    let other_case = if extension.chars().any(|char| char.is_ascii_lowercase()) {
        extension.to_ascii_uppercase()
    } else {
        extension.to_ascii_lowercase()
    };
    let mut variants = vec![
        (with(format!("{stem}.{other_case}")), "the extension is written in the other case"),
        (format!("{name}.gz"), "the file is packed with gzip"),
        (format!("{name}.zst"), "the file is packed with zstd"),
        (format!("{name}.xz"), OPAQUE),
    ];
    variants.extend(
        swapped.map(|extension| (with(format!("{stem}.{extension}")), "the extension is the other one of the format")),
    );
    variants.extend(split_compression(name).map(|(unpacked, _)| (unpacked.to_owned(), "the file is not packed")));
    if !folder.is_empty() {
        variants.push((format!("{folder}/x/{file}"), "the file is in a deeper folder"));
    }
    let valid = variants.into_iter().filter_map(|(name, difference)| Some((name.parse::<Key>().ok()?, difference)));
    valid.filter(|(variant, _)| variant != key).collect()
}

#[cfg(test)]
mod tests {
    use super::super::MatchCase;
    use super::*;

    fn missed(patterns: &[(&str, MatchCase)], unmatched: Unmatched) -> Vec<(usize, String)> {
        let rules = Rules::of_patterns(patterns, unmatched).unwrap();
        rules.bypasses().into_iter().map(|bypass| (bypass.rule, bypass.missed.to_string())).collect()
    }

    #[test]
    fn names_beside_a_rule_are_found() {
        use MatchCase::{Exact, Ignored};
        let found = |patterns: &[(&str, MatchCase)]| {
            let missed = missed(patterns, Unmatched::Accept);
            missed.into_iter().filter(|(_, name)| name.rsplit('.').next() != Some("xz")).collect::<Vec<_>>()
        };
        let of_first = |names: &[&str]| names.iter().map(|name| (1, (*name).to_owned())).collect::<Vec<_>>();
        assert_eq!(found(&[("*.csv", Ignored)]), []);
        assert_eq!(found(&[("*.csv", Exact)]), of_first(&["x.CSV"]));
        assert_eq!(found(&[("*.csv", Exact), ("*.CSV", Exact)]), []);
        assert_eq!(found(&[("*.csv.gz", Ignored)]), of_first(&["x.csv"]));
        assert_eq!(found(&[("*.ndjson", Ignored)]), of_first(&["x.jsonl"]));
        assert_eq!(found(&[("*.{ndjson,jsonl}", Ignored)]), []);
        assert_eq!(found(&[("in/*.csv", Ignored)]), of_first(&["in/x/x.csv"]));
        assert_eq!(found(&[("in/**/[ab]?.csv", Ignored)]), []);
        assert_eq!(found(&[("in/*.csv", Ignored), ("*", Ignored)]), []);
        assert_eq!(missed(&[("in/*.csv", Exact)], Unmatched::Reject), []);
        assert_eq!(missed(&[("*.csv", Ignored)], Unmatched::Accept), of_first(&["x.csv.xz"]));
    }
}
