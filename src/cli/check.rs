//! `tidegate check`: what is in force, and whether the store can do what is asked of it.

use std::process::ExitCode;
use std::sync::Arc;

use super::{ConfigArgs, bad_config, fail, print};
use crate::assemble;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::sink::Probe;

/// Print the configuration in force and try the store out
///
/// Loads the configuration as `serve` would, prints what is in force and where each value comes from (secrets masked), then
/// writes to the store, tries a conditional create, and deletes again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 all is well, 1 the store can't do what is needed, 2 the configuration is wrong.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: &Args) -> ExitCode {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(error) => return bad_config(&error),
    };
    print_settings(&config);
    let sink = match assemble::rules(&config).and_then(|rules| assemble::sink(&config, &rules, &Arc::new(Metrics::new()))) {
        Ok(sink) => sink,
        Err(error) => return fail(1, &error.to_string()),
    };
    match sink.probe().await {
        Ok(probe) => print_findings(&probe),
        Err(error) => fail(1, &error.to_string()),
    }
}

fn print_settings(config: &Config) {
    let settings = config.explain();
    let key_width = settings.iter().map(|setting| setting.key.chars().count()).max().unwrap_or(0);
    let value_width = settings.iter().map(|setting| setting.value.chars().count()).max().unwrap_or(0).min(40);
    for setting in &settings {
        print::line(&format!("{:key_width$}  {:value_width$}  {}", setting.key, setting.value, setting.origin));
    }
}

fn print_findings(probe: &Probe) -> ExitCode {
    print::line(&format!("\n{}", probe.store));
    for finding in &probe.findings {
        match &finding.outcome {
            Ok(how) => print::line(&format!("  ok      {}: {how}", finding.what)),
            Err(problem) => print::line(&format!("  FAILED  {}: {problem}", finding.what)),
        }
    }
    match probe.problem() {
        None => ExitCode::SUCCESS,
        Some(_) => fail(1, "the store can't do what is needed; uploads would fail"),
    }
}
