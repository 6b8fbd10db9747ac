//! The command line: what there is to say, and which subcommand says it.

pub mod health;
mod plan;
mod print;
pub mod push;
pub mod validate;
mod walk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::validate::{Limits, rules::Rules};

/// Takes files over TCP, validates them, and stores them whole or not at all
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send files to a server and print a receipt for each
    Push(push::Args),
    /// Check files as the server would, without a server
    Validate(validate::Args),
    /// Ask a running server whether it is well
    Health(health::Args),
}

/// Runs the subcommand that the arguments name.
pub async fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Push(args) => push::run(args).await,
        Command::Validate(args) => validate::run(&args, &Rules::default(), &Limits::default()),
        Command::Health(args) => health::run(&args.url).await,
    }
}
