//! Everything that is wrong with a configuration, gathered so that one start tells all of it.
//!
//! Knows how a problem is worded, not how one is found.

use std::collections::BTreeSet;

use super::keys::VARIABLE_PREFIX;
use crate::error::{Error, ErrorKind, Result};
use crate::escape;

/// The origin of what stands in `config/default.toml`. Any other origin is a variable's name, or a file's path and a line.
pub(super) const DEFAULT: &str = "default";

/// The problems found so far, one line each, in the order in which they were found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    lines: Vec<String>,
    /// Keys whose value is not the one that was meant: what follows from it is not worth telling.
    troubled: BTreeSet<String>,
    /// Whether a whole layer is missing.
    unread: bool,
}

impl Problems {
    /// A file could not be read or parsed: nothing can be said about what it might have set.
    pub(super) fn unread(&mut self, line: String) {
        self.unread = true;
        self.lines.push(line);
    }

    /// A key has a value that it cannot have.
    pub(super) fn value(&mut self, key: &str, what: &str, origin: &str) {
        self.troubled.insert(key.to_owned());
        self.lines.push(format!("{key}: {what} ({})", whence(origin)));
    }

    /// There is no such key. `meant` is the key that was probably meant, `hint` how to go on.
    pub(super) fn unknown(&mut self, key: &str, origin: &str, meant: Option<&str>, hint: &str) {
        self.troubled.extend(meant.map(str::to_owned));
        self.lines.push(format!("{key}: unknown key ({}); {hint}", whence(origin)));
    }

    /// A variable sets nothing. `meant` is the key that was meant.
    pub(super) fn variable(&mut self, name: &str, what: &str, meant: Option<&str>) {
        self.troubled.extend(meant.map(str::to_owned));
        self.lines.push(format!("{name}: {what}"));
    }

    /// A key's value does not go with those of others.
    pub(super) fn clash(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Whether the value in force for this key is the one that was meant, as far as that is known.
    pub(super) fn trusts(&self, key: &str) -> bool {
        !self.unread && !self.troubled.contains(key)
    }

    /// Fails if there was any problem: the message has one line for each.
    pub(super) fn into_result(self) -> Result<()> {
        if self.lines.is_empty() {
            return Ok(());
        }
        let lines: Vec<_> = self.lines.iter().map(|line| escape::line(line)).collect();
        Err(Error::new(ErrorKind::Config, lines.join("\n")))
    }
}

/// An origin as it stands in a sentence.
pub(super) fn whence(origin: &str) -> String {
    if origin == DEFAULT {
        "by default".to_owned()
    } else if origin.starts_with(VARIABLE_PREFIX) {
        format!("from {origin}")
    } else {
        format!("in {origin}")
    }
}
