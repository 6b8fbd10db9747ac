//! Names: where an upload's bytes shall lie.

mod version;

pub(crate) use self::version::unversioned;
use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::error::{Error, ErrorKind, Result};
use crate::escape;

/// A relative path of `/`-separated components that is safe on every store: UTF-8 in NFC (Unicode Annex 15), at most 1024
/// bytes, each component 1 to 255 bytes.
///
/// Bad names are refused, never repaired. What is refused: empty components, a component that
/// begins with `.` (so `.` and `..`, and what the server keeps for itself in `.tidegate/`), a
/// leading `/` or `-`, `\`, `:`, control and bidirectional characters, components that begin with
/// white space, or end with it or a dot, and the names that Windows reserves, with or without
/// extension.
///
/// White space at the ends is any of Unicode (`White_Space`): it is invisible in a list, and many
/// tools trim it, so that one name is taken for another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(String);

impl Key {
    /// The longest key, in bytes (the limit of S3).
    pub const MAX_BYTES: usize = 1024;
    /// The longest component, in bytes (the limit of the usual file systems).
    pub const MAX_COMPONENT_BYTES: usize = 255;

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components: at least one, none empty.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The folders that the key lies in, from the outermost on: `a` and `a/b` of `a/b/c.csv`.
    pub fn folders(&self) -> impl Iterator<Item = &str> {
        self.0.match_indices('/').map(|(at, _)| &self.0[..at])
    }

    /// The last component.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }
}

impl FromStr for Key {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let name: String = text.nfc().collect();
        match flaw(&name) {
            None => Ok(Self(name)),
            Some(flaw) => {
                let shown: String = name.chars().take(80).collect();
                Err(Error::new(ErrorKind::BadName, format!("name {shown:?} {flaw}")))
            }
        }
    }
}

/// Compared as text: keys in a map are found by it.
impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with a name, as the end of a sentence that begins with it.
fn flaw(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("is empty".to_owned());
    }
    if name.len() > Key::MAX_BYTES {
        return Some(format!("has {} bytes, {} at most", name.len(), Key::MAX_BYTES));
    }
    if name.starts_with(['/', '-']) {
        return Some("begins with / or -".to_owned());
    }
    if let Some(bad) = name.chars().find(|&char| forbidden(char)) {
        return Some(format!("holds the character {bad:?}"));
    }
    name.split('/').find_map(component_flaw)
}

fn component_flaw(component: &str) -> Option<String> {
    if component.is_empty() {
        return Some("has an empty component".to_owned());
    }
    if component.len() > Key::MAX_COMPONENT_BYTES {
        return Some(format!("has a component of {} bytes, {} at most", component.len(), Key::MAX_COMPONENT_BYTES));
    }
    if component.starts_with('.') {
        return Some(format!("has a component that begins with a dot: {component:?}"));
    }
    if component.starts_with(char::is_whitespace) {
        return Some(format!("has a component that begins with a space: {component:?}"));
    }
    if component.ends_with(|char: char| char == '.' || char.is_whitespace()) {
        return Some(format!("has a component that ends with a dot or a space: {component:?}"));
    }
    is_windows_device(component).then(|| format!("has a component that Windows reserves: {component:?}"))
}

/// Separators of other systems, controls (C0, DEL, C1, line and paragraph separators), what
/// reorders text on a screen (Unicode Annex 9), and what is invisible
/// (`Default_Ignorable_Code_Point`) but for joiners and variation selectors, which scripts and
/// emoji need.
fn forbidden(char: char) -> bool {
    let is_needed = matches!(char,
        '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}'..='\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e0fff}');
    matches!(char, '\\' | ':') || escape::is_escaped(char) && !is_needed
}

/// CON, PRN, AUX, NUL, COM0 to COM9 and LPT0 to LPT9 (also with superscript digits), CONIN$ and CONOUT$, in any case, with
/// or without extension: "Naming Files, Paths, and Namespaces", Microsoft.
fn is_windows_device(component: &str) -> bool {
    let stem = component.split('.').next().unwrap_or(component).trim_end().to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let mut digit = match stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT")) {
        Some(rest) => rest.chars(),
        None => return false,
    };
    matches!((digit.next(), digit.next()), (Some('0'..='9' | '¹' | '²' | '³'), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass_as_they_are() {
        let longest = "x".repeat(255);
        for name in ["a", "a.csv", "readings/2026/a b.csv", "~", "é.json", "a~2.csv", "a-", "COM10", "console", &longest] {
            assert_eq!(name.parse::<Key>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_are_composed_once() {
        assert_eq!("e\u{301}.csv".parse::<Key>().unwrap().as_str(), "\u{e9}.csv");
    }

    #[test]
    fn bad_names_are_refused() {
        let long_component = "x".repeat(256);
        let long = format!("{}x", "xx/".repeat(342));
        #[rustfmt::skip]
        let bad = [
            "", ".", "..", "/", "/etc/passwd", "-rf", "a//b", "a/", "a/./b", "a/../b", "../a", "a/..", ".hidden", "a/.hidden",
            ".tidegate/x", "a\\b", "C:\\x", "c:x", "a\0", "a\nb", "a\u{7f}", "a\u{85}", "a\u{202e}b", "a\u{2066}b", "a\u{200f}",
            "a.", "a ", "a./b", " a.csv", " a", " ", "a/ b", "\u{a0}a", "a/\u{3000}b", "a\u{2003}", "a\u{a0}/b", "CON", "con.csv", "x/NUL", "nul.tar.gz", "aux .txt", "COM1", "lpt9.csv", "COM¹",
            &long_component, &long,
        ];
        for name in bad {
            assert_eq!(name.parse::<Key>().unwrap_err().kind(), ErrorKind::BadName, "{name:?}");
        }
    }
}
