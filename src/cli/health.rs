//! `tidegate health`: asks a running server whether it is well, for containers and for people.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;
use std::time::Duration;

use super::{ConfigArgs, bad_config, print};
use crate::error::Result;

/// From the first packet to the last byte of the answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// As much of an answer as is printed, in bytes.
const SHOWN_BYTES: usize = 16 * 1024;

const AFTER_HELP: &str = "\
Examples:
  tidegate health
  tidegate health --url http://127.0.0.1:5011/readyz   # of the store, too

Exit codes:
  0  the server says that it is well
  1  it says that it is not, or does not answer within 5 seconds
  2  the command line is wrong";

/// Ask a running server whether it is well
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// The page of the server's admin listener to ask [default: /healthz at the listen.admin of the configuration]
    #[arg(long)]
    url: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// Asks, prints the answer, and returns success where it is one.
pub(super) async fn run(args: &Args) -> ExitCode {
    let url = match args.url.clone().map_or_else(|| configured_url(&args.config), Ok) {
        Ok(url) => url,
        Err(error) => return bad_config(&error),
    };
    match ask(&url).await {
        Ok((status, answer)) if status.is_success() => {
            answer.trim_end().lines().for_each(print::line);
            ExitCode::SUCCESS
        }
        Ok((status, answer)) => {
            print::notes(&format!("{url} answers {status}: {}", answer.trim_end()));
            ExitCode::FAILURE
        }
        Err(error) => {
            print::note(&format!("asking {url}: {}", causes(&error)));
            ExitCode::FAILURE
        }
    }
}

/// Where the server that has this configuration answers, seen from its own machine.
fn configured_url(config: &ConfigArgs) -> Result<String> {
    let mut admin = config.load()?.listen.admin;
    if admin.ip().is_unspecified() {
        admin.set_ip(if admin.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    Ok(format!("http://{admin}/healthz"))
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
