//! The command line: one room for each subcommand, and what they share.
//!
//! Exit codes mean the same everywhere: 0 done, 1 something failed, 2 the command line or the configuration is wrong, 3
//! something was rejected, 4 there was nothing to do it with.

mod bench;
mod check;
mod diagnosis;
mod explain;
mod health;
mod infer;
mod log;
mod log_queue;
mod plan;
mod print;
mod push;
mod quarantine;
mod serve;
mod standards;
mod target;
mod validate;
mod walk;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::assemble;
use crate::config::{Config, SinkKind};
use crate::error::{Error, Result};
use crate::escape;
use crate::metrics::Metrics;
use crate::sink::validated::Validated;
use crate::validate::rules::Rulebook;

/// Takes files over TCP, validates them, commits them whole to disk or S3, and answers with a durable receipt.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, after_help = AFTER_HELP, max_term_width = MAX_HELP_COLUMNS)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Longer lines are hard to read, however wide the terminal is.
const MAX_HELP_COLUMNS: usize = 100;

const AFTER_HELP: &str = "\
Try it:
  Listen on 127.0.0.1:5010, and store below ./data:
    tidegate serve
  Send a file: name, size, newline, bytes:
    printf 'hello.txt 6\\nhello\\n' | nc -N 127.0.0.1 5010
  Send a folder:
    tidegate push measurements/

`tidegate help COMMAND` tells more of each command.";

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Args),
    Push(push::Args),
    Validate(validate::Args),
    Infer(infer::Args),
    Check(check::Args),
    Health(health::Args),
    Log(log::Args),
    Quarantine(quarantine::Args),
    Bench(bench::Args),
}

/// Where the configuration comes from.
#[derive(Debug, Clone, Default, Args)]
struct ConfigArgs {
    /// A TOML file with settings; may be given several times, later files win, and environment variables such as
    /// `TIDEGATE__SINK__KIND` win over files
    #[arg(long = "config", value_name = "FILE", global = true)]
    files: Vec<PathBuf>,
}

impl ConfigArgs {
    fn load(&self) -> Result<Config> {
        Config::load(&self.files)
    }
}

/// Threads for what waits for a disk, where nothing says how many: a disk that flushes wants many at once.
const MAX_DISK_WORKERS: usize = 512;

/// Parses the command line and runs it.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::Push(args) => run(push::run(args)),
        Command::Validate(args) => validate::run(&args),
        Command::Infer(args) => infer::run(&args),
        Command::Check(args) => run(check::run(&args)),
        Command::Health(args) => run(health::run(&args)),
        Command::Log(args) => log::run(&args),
        Command::Quarantine(args) => run(quarantine::run(&args)),
        Command::Bench(args) => run(bench::run(args)),
    }
}

/// Says what is wrong with the command line, or prints the help or the version that it asks for. An argument may be a name that
/// a shell has put there, so what is said is said of the escaped arguments.
fn refuse(error: &clap::Error) -> ExitCode {
    let shown = std::env::args_os().map(|argument| escape::line(&escape::path(argument.as_ref())).into_owned());
    match Cli::try_parse_from(shown) {
        // A closed stream is no error.
        Err(error) => _ = error.print(),
        // The escaped arguments parse, so that the error is of a character that was escaped: the
        // first error says it, escaped.
        Ok(_) => print::note(error.render().to_string().trim_end()),
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Runs a command to its end.
fn run(command: impl Future<Output = ExitCode>) -> ExitCode {
    run_with(MAX_DISK_WORKERS, command)
}

/// As [`run`], with so many threads at most for what waits for a disk.
fn run_with(disk_workers: usize, command: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().max_blocking_threads(disk_workers).build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("starting the runtime: {error}")),
    };
    let code = runtime.block_on(command);
    // What still blocks (a write to a disk that hangs) must not keep the process.
    runtime.shutdown_background();
    code
}

/// The sink that a server of this configuration would write to, with its validators.
fn open_sink(config: &Config) -> Result<Arc<Validated>> {
    let rules = Arc::new(Rulebook::new(assemble::rules(config)?));
    assemble::sink(config, &rules, &Arc::new(Metrics::new()))
}

/// The root of a store that is a folder, where nothing is there yet, or any more: a path that is
/// relative is so to where the server runs, which need not be here.
fn missing_root(config: &Config) -> Option<PathBuf> {
    let root = &config.sink.fs.root;
    let is_missing = config.sink.kind == SinkKind::Fs && !root.exists();
    is_missing.then(|| std::path::absolute(root).unwrap_or_else(|_| root.clone()))
}

/// Says what is wrong, and gives the exit code.
fn fail(code: u8, message: &str) -> ExitCode {
    print::notes(&format!("tidegate: {message}"));
    ExitCode::from(code)
}

/// The exit code for a configuration that can't be used.
fn bad_config(error: &Error) -> ExitCode {
    fail(2, &error.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Columns of a terminal on which what is not prose must fit.
    const COLUMNS: usize = 80;

    /// Clap wraps a line that is too long for the terminal, and leaves the next one alone: a
    /// paragraph that is broken into lines by hand is broken twice.
    fn check(command: &mut clap::Command) {
        let name = command.get_name().to_owned();
        let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = [""].into_iter().chain(text.lines()).chain([""]).collect();
        for around in lines.windows(3) {
            let is_paragraph = (around[0].is_empty() || around[0].ends_with(':')) && around[2].is_empty();
            assert!(around[1].chars().count() <= COLUMNS || is_paragraph, "{name}: {:?}", around[1]);
        }
        let help = command.render_long_help().to_string();
        assert!(help.lines().all(|line| line.chars().count() <= MAX_HELP_COLUMNS), "{name}: {help}");
        command.get_subcommands_mut().for_each(check);
    }

    #[test]
    fn no_line_of_a_help_is_broken_twice() {
        let mut command = Cli::command();
        command.build();
        check(&mut command);
    }
}
