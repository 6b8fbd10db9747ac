//! Which names a glob is for.

use std::borrow::Cow;
use std::iter::successors;

use globset::{GlobBuilder, GlobMatcher};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, ErrorKind, Result};
use crate::report::{Compression, Format};
use crate::upload::unversioned;

/// A glob for names: without a slash it is held against the last component, with one against the whole name. `*` and `?` do
/// not cross a slash, `**` does.
///
/// A name with suffixes of compression (`.gz`, `.zst`, `.zstd`) or numbers of versions
/// (`day~2.csv`, `meters~2/day.csv`) is meant as well where the name without them is, so that
/// packing a file, or the place where a version goes, does not take it out of its rule.
#[derive(Debug, Clone)]
pub struct Pattern {
    glob: GlobMatcher,
    /// The same with its extensions in lower case, for names whose extensions are in lower case.
    folded: Option<GlobMatcher>,
    against: Against,
}

/// How the extensions of a name and of a glob are compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MatchCase {
    /// ASCII letters match in either case.
    #[default]
    Ignored,
    /// As they are written.
    Exact,
}

#[derive(Debug, Clone, Copy)]
enum Against {
    FileName,
    WholeName,
}

impl Pattern {
    /// Compiles a glob.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming the pattern, where it is no glob or can match no name.
    pub fn new(pattern: &str, match_case: MatchCase) -> Result<Self> {
        if pattern.is_empty() || pattern.starts_with('/') {
            let message = format!("pattern {pattern:?} matches no name: names are relative and not empty");
            return Err(Error::new(ErrorKind::Config, message));
        }
        // Keys are in NFC, so a pattern that is not would never match.
        let normal: String = pattern.nfc().collect();
        let compile = |glob: &str| match GlobBuilder::new(glob).literal_separator(true).build() {
            Ok(glob) => Ok(glob.compile_matcher()),
            Err(error) => Err(Error::new(ErrorKind::Config, format!("pattern {pattern:?}")).because(error)),
        };
        let folded = match match_case {
            MatchCase::Ignored => Some(compile(&fold_globbed_extensions(&normal))?),
            MatchCase::Exact => None,
        };
        let against = if pattern.contains('/') { Against::WholeName } else { Against::FileName };
        Ok(Self { glob: compile(&normal)?, folded, against })
    }

    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let name = match self.against {
            Against::FileName => name.rsplit('/').next().unwrap_or(name),
            Against::WholeName => name,
        };
        if successors(Some(name), |name| unpacked(name)).any(|name| self.matches_as_it_is(name)) {
            return true;
        }
        // `day.csv~2.gz` is a version of `day.csv.gz`; `day~2.csv.gz` is a packed `day~2.csv`.
        let plainer = |name: &str| unversioned(name).or_else(|| unpacked(name).map(str::to_owned));
        name.contains('~') && successors(plainer(name), |name| plainer(name)).any(|name| self.matches_as_it_is(&name))
    }

    fn matches_as_it_is(&self, name: &str) -> bool {
        self.glob.is_match(name) || self.folded.as_ref().is_some_and(|folded| folded.is_match(&*fold_extension(name)))
    }
}

/// A name without its suffix of compression.
fn unpacked(name: &str) -> Option<&str> {
    split_compression(name).map(|(name, _)| name)
}

/// A name without its suffix of compression, and what that says.
pub(super) fn split_compression(name: &str) -> Option<(&str, Compression)> {
    let (rest, suffix) = name.rsplit_once('.')?;
    let compression = match suffix.to_ascii_lowercase().as_str() {
        "gz" => Compression::Gzip,
        "zst" | "zstd" => Compression::Zstd,
        _ => return None,
    };
    Some((rest, compression))
}

/// The format and the compression that a file's name says.
pub(super) fn by_extension(name: &str) -> (Format, Compression) {
    let (name, compression) = split_compression(name).unwrap_or((name, Compression::None));
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    let format = match extension.as_deref() {
        Some("json") => Format::Json,
        Some("ndjson" | "jsonl") => Format::Ndjson,
        Some("csv") => Format::Csv,
        Some("tsv") => Format::Tsv,
        _ => Format::None,
    };
    (format, compression)
}

/// A name with its extension in lower case, and its suffix of compression.
fn fold_extension(name: &str) -> Cow<'_, str> {
    let unpacked = unpacked(name).unwrap_or(name);
    match unpacked.rfind(['.', '/']) {
        Some(dot) if unpacked[dot..].starts_with('.') => {
            Cow::Owned(name[..dot].to_owned() + &name[dot..].to_ascii_lowercase())
        }
        Some(_) | None => Cow::Borrowed(name),
    }
}

/// A glob with the extensions in lower case that it says: what follows the last dot of the whole, and of each alternative.
fn fold_globbed_extensions(glob: &str) -> String {
    let mut folded = String::with_capacity(glob.len());
    let mut rest = glob;
    while let Some(end) = rest.find([',', '}']) {
        let (alternative, behind) = rest.split_at(end + 1);
        let (name, mark) = alternative.split_at(end);
        folded += &fold_extension(name);
        folded += mark;
        rest = behind;
    }
    folded += &fold_extension(rest);
    // Alternatives of extensions: `*.{csv,tsv}`.
    match folded.rfind(".{") {
        Some(dot) if !folded[dot + 1..].contains('.') => folded[..dot].to_owned() + &folded[dot..].to_ascii_lowercase(),
        Some(_) | None => folded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert_eq!(Pattern::new(pattern, MatchCase::Exact).unwrap().matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn packing_a_file_does_not_take_it_out_of_its_rule() {
        for (pattern, name, matches) in [
            ("meters/**/*.csv", "meters/a/t.csv", true),
            ("meters/**/*.csv", "meters/a/t.csv.gz", true),
            ("meters/**/*.csv", "meters/t.csv.zst", true),
            ("meters/**/*.csv", "meters/t.csv.zstd", true),
            ("meters/**/*.csv", "meters/t.csv.bz2", false),
            ("*.csv", "a/t.csv.gz", true),
            ("*.csv.gz", "a/t.csv.gz", true),
            ("*.csv.gz", "a/t.csv", false),
            ("*.csv.gz", "a/t.csv.zst", false),
            ("*.gz", "a/t.csv.gz", true),
            ("*", "a.gz", true),
            ("a", "a.gz", true),
            ("*.csv", "a/t.csv.gz.zst", true),
            ("*.csv", "a/t.csv.gz.gz.gz", true),
        ] {
            for match_case in [MatchCase::Ignored, MatchCase::Exact] {
                let pattern = Pattern::new(pattern, match_case).unwrap();
                assert_eq!(pattern.matches(name), matches, "{pattern:?} {name}");
            }
        }
    }

    #[test]
    fn a_version_of_a_name_is_held_to_its_rule() {
        for (pattern, name, matches) in [
            ("day.csv", "in/day~2.csv", true),
            ("day.csv", "day~2.csv.gz", true),
            ("day.csv", "day.csv~2.gz", true),
            ("meters/**/*.csv", "meters~2/t.csv", true),
            ("meters/**/*.csv", "meters~2/a~3/t~4.csv.gz", true),
            ("meters~2/*.csv", "meters~2/t.csv", true),
            ("meters~2/*.csv", "meters~2/t.csv.gz", true),
            ("meters~2/*.csv", "meters/t.csv", false),
            ("day.csv", "day~x.csv", false),
            ("day.csv", "day~1.csv", false),
        ] {
            assert_eq!(Pattern::new(pattern, MatchCase::Ignored).unwrap().matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn extensions_match_in_either_case_unless_a_rule_wants_it_exactly() {
        for (pattern, name) in [
            ("meters/**/*.csv", "meters/a/T.CSV"),
            ("meters/**/*.csv", "meters/a/T.Csv.GZ"),
            ("meters/**/*.csv", "meters/a/T.csv.gz"),
            ("*.CSV", "a/t.csv"),
            ("*.Csv.Gz", "a/t.cSV.gZ"),
            ("*.{csv,TSV}", "a/t.CSV"),
            ("*.{csv,TSV}", "a/t.tsv"),
            ("{a/*.CSV,b/*.Json}", "a/t.csv"),
            ("{a/*.CSV,b/*.Json}", "b/t.JSON.zst"),
            ("*.[cC]sv", "t.CSV"),
            ("log.*", "log.CSV"),
        ] {
            assert!(Pattern::new(pattern, MatchCase::Ignored).unwrap().matches(name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.csv", "t.CSV"), ("*.CSV", "t.csv"), ("*.csv", "t.CSV.gz")] {
            assert!(!Pattern::new(pattern, MatchCase::Exact).unwrap().matches(name), "{pattern} {name}");
        }
        // Only extensions: names that differ in case are different names.
        for (pattern, name) in [("meters/*.csv", "Meters/t.csv"), ("t.csv", "T.csv"), ("a.B/*", "a.b/t.csv")] {
            assert!(!Pattern::new(pattern, MatchCase::Ignored).unwrap().matches(name), "{pattern} {name}");
        }
    }
}
