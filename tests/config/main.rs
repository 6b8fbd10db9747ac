//! The layered configuration through its public door: precedence, refusals and the manual that `config/default.toml` is.

#![allow(clippy::unwrap_used, reason = "the helpers are test code too")]

mod layers;
mod manual;
mod normalised;
mod refused;
mod shown;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;
use tidegate::config::{Config, Setting};
use tidegate::error::ErrorKind;
use toml::Value;

const DEFAULT_TOML: &str = include_str!("../../config/default.toml");

/// A folder with `0.toml`, `1.toml` and so on.
fn files(texts: &[&str]) -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let paths = (0..texts.len()).map(|index| folder.path().join(format!("{index}.toml"))).collect::<Vec<_>>();
    for (path, text) in paths.iter().zip(texts) {
        fs::write(path, text).unwrap();
    }
    (folder, paths)
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load(texts: &[&str], environment: &[(&str, &str)]) -> tidegate::error::Result<Config> {
    let (_folder, paths) = files(texts);
    Config::load_with(&paths, variables(environment))
}

/// The refusal's lines, with the folder's name cut off the paths.
fn refusals(texts: &[&str], environment: &[(&str, &str)]) -> Vec<String> {
    let (folder, paths) = files(texts);
    let error = Config::load_with(&paths, variables(environment)).expect_err("must be refused");
    assert_eq!(error.kind(), ErrorKind::Config);
    let folder = format!("{}/", folder.path().display());
    error.to_string().lines().map(|line| line.replace(&folder, "")).collect()
}

/// The one line of a refusal.
fn refusal(texts: &[&str], environment: &[(&str, &str)]) -> String {
    let lines = refusals(texts, environment);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines[0].clone()
}

/// Every key of `config/default.toml` with its default.
fn default_keys() -> BTreeMap<String, Value> {
    fn leaves(section: &str, table: &toml::Table, found: &mut BTreeMap<String, Value>) {
        for (name, value) in table {
            let key = if section.is_empty() { name.clone() } else { format!("{section}.{name}") };
            match value {
                Value::Table(inner) => leaves(&key, inner, found),
                value => drop(found.insert(key, value.clone())),
            }
        }
    }
    let mut found = BTreeMap::new();
    leaves("", &DEFAULT_TOML.parse().unwrap(), &mut found);
    found
}

fn variable(key: &str) -> String {
    format!("TIDEGATE__{}", key.to_uppercase().replace('.', "__"))
}

fn explained(config: &Config) -> BTreeMap<String, Setting> {
    config.explain().into_iter().map(|setting| (setting.key.clone(), setting)).collect()
}
