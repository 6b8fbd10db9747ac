//! By what a server of this configuration would judge a file.

use crate::assemble;
use crate::cli::plan::Item;
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::report::Format;
use crate::upload::Key;
use crate::validate::Standard;
use crate::validate::rules::Rules;

/// What a server goes by.
#[derive(Debug)]
pub(super) struct Standards {
    rules: Rules,
    max_file_bytes: u64,
}

/// What one file is held to.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) standard: Standard,
    /// The largest such file, in bytes.
    pub(super) max_bytes: u64,
}

impl Standards {
    /// Those of a configuration.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] where its rules can't be used.
    pub(super) fn of(config: &Config) -> Result<Self> {
        Ok(Self { rules: assemble::rules(config)?, max_file_bytes: config.limits.max_file_bytes })
    }

    /// What an item is held to by its name; `format` wins over the name's.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`] where its name can't be a key, [`ErrorKind::TooLarge`] where it is known to be.
    pub(super) fn of_item(&self, item: &Item, format: Option<Format>) -> Result<Held> {
        // Standard input that is told its format needs no name.
        let (standard, max_bytes) = match (item.name.is_empty(), format) {
            (true, Some(_)) => (self.rules.standard().clone(), None),
            (true | false, _) => {
                let applied = self.rules.admit(&item.name.parse::<Key>()?)?;
                (applied.standard, applied.max_bytes)
            }
        };
        let max_bytes = max_bytes.map_or(self.max_file_bytes, |most| most.min(self.max_file_bytes));
        let standard = Standard { format: format.unwrap_or(standard.format), ..standard };
        let held = Held { standard, max_bytes };
        if item.size().is_some_and(|size| size > max_bytes) { Err(held.too_large(item)) } else { Ok(held) }
    }
}

impl Held {
    /// That an item is larger than it may be.
    pub(super) fn too_large(&self, item: &Item) -> Error {
        Error::new(ErrorKind::TooLarge, format!("{:?} has more than {} bytes", item.name, self.max_bytes))
    }
}
