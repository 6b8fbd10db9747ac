//! From a checked configuration to a sink, and to what stands beside it: the one file that names the sinks there are.

mod memory;
pub mod schemas;

use std::path::PathBuf;
use std::sync::Arc;

use crate::budget::Budget;
use crate::config::{self, Config, FsDurability, SinkKind};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Ledger;
use crate::metrics::Metrics;
use crate::report::Format;
use crate::sink::Sink;
pub(crate) use crate::sink::fs::max_readings;
use crate::sink::fs::{self, Fs};
use crate::sink::memory::Memory;
use crate::sink::object::{self, Object};
use crate::sink::validated::Validated;
use crate::validate::rules::{MatchCase, Pattern, Rule, Rulebook, Rules};
use crate::validate::{BlankLines, Limits, Patience, Snippets, Standard};

/// The ledger's folder, below what the file system's sink keeps for itself.
const LEDGER: &str = "ledger";

/// The sink that the configuration asks for, with validators in front of it.
///
/// # Errors
/// Where the store can't be opened.
pub fn sink(config: &Config, rules: &Arc<Rulebook>, metrics: &Arc<Metrics>) -> Result<Arc<Validated>> {
    let limits = &config.limits;
    let budget = Arc::new(Budget::new(memory::budget(limits.max_memory_bytes), limits.max_connections, metrics));
    let store: Arc<dyn Sink> = match config.sink.kind {
        SinkKind::Fs => {
            let open = match config.sink.fs.durability {
                FsDurability::Disk => Fs::open,
                FsDurability::Cache => Fs::open_cached,
            };
            Arc::new(open(&config.sink.fs.root, config.sink.fs.min_free)?.within(Arc::clone(&budget)))
        }
        SinkKind::S3 => Arc::new(Object::connect(&config.sink.s3)?.within(Arc::clone(&budget))),
        SinkKind::Memory => Arc::new(Memory::new()),
    };
    Ok(Arc::new(Validated::within(budget, store, Arc::clone(rules), Arc::clone(metrics))))
}

/// Connections to a bucket at most, with idle ones, where so many requests are allowed at once.
pub fn store_connections(max_requests: usize) -> usize {
    object::most_connections(max_requests)
}

/// The ledger that the configuration asks for, which may be none.
///
/// # Errors
/// As [`Ledger::open`].
pub fn ledger(config: &Config, metrics: &Arc<Metrics>) -> Result<Ledger> {
    let root = (config.sink.kind == SinkKind::Fs).then_some(config.sink.fs.root.as_path());
    match ledger_folder(config) {
        Ok(folder) => Ledger::open(&folder, root, config.sink.fs.min_free, Arc::clone(metrics)),
        Err(_why) => Ok(Ledger::off()),
    }
}

/// Where the ledger is, or else why there is none.
///
/// # Errors
/// The reason, for a person.
pub fn ledger_folder(config: &Config) -> Result<PathBuf, &'static str> {
    let Config { ledger, sink, .. } = config;
    match (&ledger.folder, sink.kind) {
        _ if !ledger.enabled => Err("ledger.enabled is false"),
        (Some(folder), _) => Ok(folder.clone()),
        (None, SinkKind::Fs) => Ok(sink.fs.root.join(fs::RESERVED).join(LEDGER)),
        (None, SinkKind::S3 | SinkKind::Memory) => {
            Err("sink.kind is not fs, and ledger.folder is not set: set it to a folder of this machine")
        }
    }
}

/// The rules of the configuration, for names, with the schemas and dialects that they name.
///
/// # Errors
/// [`ErrorKind::Config`] with a line for each rule whose pattern is none, or whose schema or
/// dialect can't be read or asks for what tidegate does not do: the key, the file and its fault,
/// and where the configuration names it.
pub fn rules(config: &Config) -> Result<Rules> {
    let standard = Standard { patience: patience(config, None), ..Standard::of(Format::None, limits(config)) };
    let (mut rules, mut problems) = (Vec::new(), Vec::new());
    for (rule, number) in config.rules.iter().zip(1..) {
        match made(config, rule) {
            Ok(rule) => rules.push(rule),
            Err((key, error)) => {
                let key = format!("rules[{number}].{key}");
                problems.push(format!("{key}: {error} ({})", config.whence(&key)));
            }
        }
    }
    if !problems.is_empty() {
        return Err(Error::new(ErrorKind::Config, problems.join("\n")));
    }
    Rules::new(rules, standard, config.defaults.unmatched)
}

/// A rule, or the key that is at fault and what is wrong with it.
fn made(config: &Config, rule: &config::Rule) -> Result<Rule, (&'static str, Error)> {
    let match_case = if rule.match_case == Some(true) { MatchCase::Exact } else { MatchCase::Ignored };
    Pattern::new(&rule.pattern, match_case).map_err(|error| ("match", error))?;
    Ok(Rule {
        pattern: rule.pattern.clone(),
        match_case,
        format: rule.format,
        compression: rule.compression,
        standard: held_to(config, rule)?,
        max_bytes: rule.max_bytes,
        on_conflict: rule.on_conflict,
        on_invalid: rule.on_invalid.unwrap_or_default(),
    })
}

/// What a rule holds content to, whatever its format.
fn held_to(config: &Config, rule: &config::Rule) -> Result<Standard, (&'static str, Error)> {
    let format = rule.format.unwrap_or(Format::None);
    let usual = Standard::of(format, limits(config));
    let dialect = rule.dialect.as_deref().map(|path| schemas::dialect(path, format)).transpose();
    let schema = rule.schema.as_deref().map(|path| schemas::schema(path, format, rule.schema_for.unwrap_or_default()));
    Ok(Standard {
        profile: rule.profile.unwrap_or_default(),
        blank_lines: if rule.blank_lines == Some(true) { BlankLines::Allowed } else { BlankLines::Refused },
        dialect: dialect.map_err(|error| ("dialect", error))?,
        schema: schema.transpose().map_err(|error| ("schema", error))?,
        patience: patience(config, Some(rule)),
        snippets: if rule.mask_snippets == Some(true) { Snippets::Masked } else { Snippets::Shown },
        ..usual
    })
}

fn patience(config: &Config, rule: Option<&config::Rule>) -> Patience {
    let usual = Patience { max_errors_kept: config.limits.max_errors_kept, ..Patience::default() };
    Patience {
        max_errors: rule.and_then(|rule| rule.max_errors).unwrap_or(usual.max_errors),
        max_error_ratio: rule.and_then(|rule| rule.max_error_ratio),
        ..usual
    }
}

/// What validators bound.
fn limits(config: &Config) -> Limits {
    let limits = &config.limits;
    Limits {
        max_depth: limits.max_json_depth,
        max_record_bytes: limits.max_record_bytes,
        max_record_lines: limits.max_record_lines,
        max_row_fields: limits.max_row_fields,
        max_token_bytes: limits.max_token_bytes,
        max_key_bytes: limits.max_key_bytes,
        max_document_bytes: limits.max_document_bytes,
        max_unpacked_bytes: limits.max_unpacked_bytes,
        max_unpack_ratio: limits.max_unpack_ratio,
    }
}
