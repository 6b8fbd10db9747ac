//! `tidegate health`: asks a running server whether it is well, for containers and for people.

use std::process::ExitCode;
use std::time::Duration;

/// Where a server's admin listener answers unless it is told otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:5011/healthz";

/// From the first packet to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// As much of an answer as is printed, in bytes.
const SHOWN_BYTES: usize = 16 * 1024;

const AFTER_HELP: &str = "\
Examples:
  tidegate health
  tidegate health --url http://127.0.0.1:5011/readyz    also asks whether the store can be reached

Exit codes:
  0  the server says that it is well
  1  it says that it is not, or does not answer within 5 seconds
  2  the command line is wrong";

/// Ask a running server whether it is well
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The page of the server's admin listener to ask
    #[arg(long, default_value = DEFAULT_URL)]
    pub url: String,
}

/// Asks, prints the answer, and returns success where it is one.
pub async fn run(url: &str) -> ExitCode {
    match ask(url).await {
        Ok((status, answer)) if status.is_success() => {
            println!("{}", answer.trim_end());
            ExitCode::SUCCESS
        }
        Ok((status, answer)) => {
            eprintln!("{url} answers {status}: {}", answer.trim_end());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("asking {url}: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

async fn ask(url: &str) -> reqwest::Result<(http::StatusCode, String)> {
    // A proxy of the environment is not meant for the server next door.
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let mut response = client.get(url).send().await?;
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        answer.extend_from_slice(&chunk);
        if answer.len() > SHOWN_BYTES {
            answer.truncate(SHOWN_BYTES);
            break;
        }
    }
    Ok((response.status(), String::from_utf8_lossy(&answer).into_owned()))
}

/// The innermost cause, which says what happened: the outer ones repeat the URL.
fn causes(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
