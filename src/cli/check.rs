//! `tidegate check`: what is in force, and whether the store can do what is asked of it.

mod name;

use std::process::ExitCode;

use super::{ConfigArgs, bad_config, fail, missing_root, open_sink, print};
use crate::assemble;
use crate::config::Config;
use crate::error::Result;
use crate::ledger::Ledger;
use crate::sink::{Probe, Sink as _};
use crate::validate::rules::{Bypass, Rules, Shadowed};

/// Print the configuration in force and try the store out
///
/// Loads the configuration as `serve` would, prints what is in force and where each value comes from (secrets masked), then
/// writes to the store, tries a conditional create, and deletes again. Also tries whether the ledger can be written.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes:
  0  all is well
  1  the store or the ledger can't do what is needed, or NAME would be refused
  2  the configuration is wrong")]
pub(super) struct Args {
    /// Print which rule, format, schema and policies hold for this name, and nothing else; the store is not tried
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) async fn run(args: &Args) -> ExitCode {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(error) => return bad_config(&error),
    };
    let rules = match assemble::rules(&config) {
        Ok(rules) => rules,
        Err(error) => return bad_config(&error),
    };
    if let Some(name) = &args.name {
        return name::run(&config, &rules, name);
    }
    print_settings(&config);
    print_shadowed(&config, &rules);
    print_bypasses(&config, &rules);
    if let Some(root) = missing_root(&config) {
        let shown = root.display().to_string();
        warn(&format!(
            "the folder {shown:?} was not there and is made. Remove it again before a store that was moved or unmounted is put back"
        ));
    }
    let sink = match open_sink(&config) {
        Ok(sink) => sink,
        Err(error) => return fail(1, &error.to_string()),
    };
    let probe = match sink.probe().await {
        Ok(probe) => probe,
        Err(error) => return fail(1, &error.to_string()),
    };
    print_findings(&probe);
    let ledger = probe_ledger(&config);
    match (probe.problem(), ledger) {
        (Some(_), _) => fail(1, "the store can't do what is needed; uploads would fail"),
        (None, Err(_)) => fail(1, "the ledger can't be written; its lines would be lost"),
        (None, Ok(())) => ExitCode::SUCCESS,
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

/// Warns of rules that never hold.
fn print_shadowed(config: &Config, rules: &Rules) {
    let pattern = |rule: usize| &config.rules[rule - 1].pattern;
    for Shadowed { rule, by } in rules.shadowed() {
        warn(&format!(
            "rules[{rule}], {:?}, never holds: rules[{by}], {:?}, is above it and matches every such name. Move rules[{rule}] up, \
             or remove it",
            pattern(rule),
            pattern(by)
        ));
    }
}

/// Warns of names that a rule seems to be for, and is not.
fn print_bypasses(config: &Config, rules: &Rules) {
    const REMEDY: &str = "No rule holds for such a name: add one, or set defaults.unmatched = \"reject\"";
    let (opaque, others): (Vec<_>, Vec<_>) = rules.bypasses().into_iter().partition(Bypass::is_opaque);
    for Bypass { rule, matched, missed, difference } in others {
        let (pattern, matched, missed) = (&config.rules[rule - 1].pattern, matched.as_str(), missed.as_str());
        warn(&format!("rules[{rule}], {pattern:?}, is for {matched:?} but not for {missed:?}: {difference}. {REMEDY}"));
    }
    if let Some(Bypass { matched, missed, difference, .. }) = opaque.first() {
        let (matched, missed) = (matched.as_str(), missed.as_str());
        let mut numbers: Vec<_> = opaque.iter().map(|bypass| format!("rules[{}]", bypass.rule)).collect();
        numbers.dedup();
        let numbers = numbers.join(", ");
        warn(&format!("{numbers}: for {matched:?}, say, but not for {missed:?}: {difference}. {REMEDY}"));
    }
}

fn warn(message: &str) {
    print::line("");
    print::line(&format!("warning  {message}"));
}

fn print_findings(probe: &Probe) {
    print::line("");
    print::line(&probe.store);
    for finding in &probe.findings {
        match &finding.outcome {
            Ok(how) => print::line(&format!("  ok      {}: {how}", finding.what)),
            Err(problem) => print::line(&format!("  FAILED  {}: {problem}", finding.what)),
        }
    }
}

/// Tries the ledger out, where there is one, and says what it found.
fn probe_ledger(config: &Config) -> Result<()> {
    let folder = match assemble::ledger_folder(config) {
        Ok(folder) => folder,
        Err(why) => {
            print::line("");
            print::line(&format!("no ledger: {why}"));
            return Ok(());
        }
    };
    let probed = Ledger::probe(&folder);
    print::line("");
    print::line(&format!("the ledger in {:?}", folder.display().to_string()));
    match &probed {
        Ok(()) => print::line("  ok      append to a file: opened today's"),
        Err(error) => print::line(&format!("  FAILED  append to a file: {error}")),
    }
    probed
}
