//! Arguments, run, exit code.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    tidegate::cli::run().await
}
