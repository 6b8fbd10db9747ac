//! Which JSON is wanted.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// What a JSON text has to keep to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Profile {
    /// All that the grammar of RFC 8259 allows: numbers of any size, surrogate escapes without their other half, and names
    /// that stand in an object twice.
    #[default]
    Rfc8259,
    /// I-JSON, RFC 7493: what every reader understands alike. No name twice in an object, no surrogate without its other half,
    /// no number beyond binary64. What has been read can't be [saved](crate::validate::Validator::save), because the names are
    /// to be remembered.
    IJson,
}

impl Profile {
    const ALL: [Self; 2] = [Self::Rfc8259, Self::IJson];

    /// The name used in the configuration and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rfc8259 => "rfc8259",
            Self::IJson => "i-json",
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Profile {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| Error::new(ErrorKind::Config, format!("unknown JSON profile {text:?}: use rfc8259 or i-json")))
    }
}
