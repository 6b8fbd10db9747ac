//! The way from files and variables to a checked [`Config`].
//!
//! Knows the order of the layers, and nothing of what is in them.

use std::env;
use std::path::PathBuf;

use ::config::{Config as Layers, ConfigError};

use super::Config;
use super::keys::VARIABLE_PREFIX;
use super::layer::Layer;
use super::problems::Problems;
use super::{check, read};
use crate::error::{Error, ErrorKind, Result};

impl Config {
    /// The built-in defaults, overridden by the files in the order given, overridden by the process's environment.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] with a line for each problem: the key's full name, what is wrong and where it stands. An unknown
    /// key is refused in every layer; a bad value only where no later layer overrides it.
    pub fn load(files: &[PathBuf]) -> Result<Self> {
        let mut problems = Problems::default();
        let mut environment = Vec::new();
        for (name, value) in env::vars_os() {
            // A name that is not UTF-8 is none of ours, and refused as such if it has our prefix.
            let name = name.to_string_lossy().into_owned();
            match value.into_string() {
                Ok(value) => environment.push((name, value)),
                Err(_) if name.starts_with(VARIABLE_PREFIX) => problems.unread(format!("{name}: the value is not UTF-8")),
                Err(_) => {}
            }
        }
        load(files, environment, problems)
    }

    /// As [`Config::load`], with these variables for the process's.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn load_with(files: &[PathBuf], environment: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        load(files, environment, Problems::default())
    }
}

/// The built-in defaults.
impl Default for Config {
    fn default() -> Self {
        Self::load_with(&[], []).expect("the built-in defaults are a good configuration: a test loads them")
    }
}

fn load(
    files: &[PathBuf],
    environment: impl IntoIterator<Item = (String, String)>,
    mut problems: Problems,
) -> Result<Config> {
    let defaults = Layer::defaults(&mut problems);
    let mut layers = vec![defaults.clone()];
    layers.extend(files.iter().map(|path| Layer::file(path, &mut problems)));
    layers.push(Layer::environment(environment, &mut problems));

    let layered = |error: ConfigError| Error::new(ErrorKind::Config, "laying the configuration's layers").because(error);
    let in_force = lay(layers).map_err(layered)?;
    let defaults = lay(vec![defaults]).map_err(layered)?;
    let config = read::config(&in_force.cache, &defaults.cache, &mut problems);
    check::config(&config, &mut problems);
    problems.into_result()?;
    Ok(config)
}

fn lay(layers: Vec<Layer>) -> Result<Layers, ConfigError> {
    let mut builder = Layers::builder();
    for layer in layers {
        builder = builder.add_source(layer);
    }
    builder.build()
}
