//! `tidegate bench`: sends files that it makes up to a running server, and says how many, how fast, and what went wrong.
//!
//! A load generator with so many connections, each of which sends the next file when an earlier one has its receipt: what the
//! server does not take, it is not sent. Nothing is tried again, because a second try would make the first one's time vanish.

mod body;
mod book;
mod chance;
mod framed;
mod line;
mod load;
mod mix;
mod plain;
mod summary;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use indicatif::BinaryBytes;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use self::body::{Body, Content, Digests, Stock};
use self::load::{End, Load, Names};
use self::mix::Mix;
use self::summary::{Setting, Start, Summary};
use self::watch::Watch;
use crate::cli::print::{self, Form};
use crate::cli::{fail, serve, target};
use crate::client::{Client, Options};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Key, UploadId};

/// How long it goes on where nobody says how long.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

const AFTER_HELP: &str = "\
What is measured:
  N connections, each of which begins a file when an earlier one has its receipt. A latency goes \
from the first byte (plain: from the connection's first packet) to the receipt; with --pipeline \
it holds the wait behind the files before. Every receipt is held against what was sent: name, \
size, and the digest unless --no-digest.

  Nothing is tried again: what fails is counted and shown. A connection that is lost costs the \
files on their way; one that can't be made ends its part of the load.

  The files are real and stay at the server, in a folder that the output names: remove it when \
done.

Mixes:
  small  1KiB:40,10KiB:50,100KiB:10
  mixed  10KiB:80,1MiB:19,100MiB:1
  large  16MiB:70,64MiB:25,256MiB:5

Examples:
  tidegate bench
  tidegate bench --files 20000 --size 10KiB --concurrency 32 --pipeline 16
  tidegate bench --protocol plain --format csv --size 1MiB --duration 1m
  tidegate bench --mix mixed --files 1000 --json | jq .latency_micros.p99

Exit codes:
  0    every file that was begun has its receipt
  1    a file has none, or the server can't be reached
  2    the command line is wrong
  130  interrupted; what was begun was waited for, unless interrupted twice";

/// Load a server with files that are made up, and measure it
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    // No doc comment: it would have to put the variable's name into backticks, and clap prints them.
    #[arg(long, value_name = "HOST:PORT", value_parser = target::address)]
    #[arg(help = "The server [default: what TIDEGATE_TO says, or 127.0.0.1:5010]")]
    to: Option<String>,
    /// Send so many files
    #[arg(long, value_name = "N", conflicts_with = "duration", value_parser = clap::value_parser!(u64).range(1..))]
    files: Option<u64>,
    /// Begin files for so long, as 30s or 5m [default: 10s]
    #[arg(long, value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// The size of every file
    #[arg(long, default_value = "10KiB", value_parser = mix::size)]
    size: u64,
    /// Files of several sizes: small, mixed, large, or SIZE:WEIGHT,…
    #[arg(long, conflicts_with = "size")]
    mix: Option<Mix>,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Files that each connection may have on their way before it waits for a receipt; framed only
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    pipeline: u16,
    /// What is spoken
    #[arg(long, value_enum, default_value_t = Protocol::Framed)]
    protocol: Protocol,
    /// What the files hold; by the extension the server chooses how they are validated
    #[arg(long, value_enum, default_value_t = Content::Random)]
    format: Content,
    /// What the names begin with, before a folder of this run's own
    #[arg(long, value_name = "PREFIX", default_value = "bench/")]
    name_prefix: String,
    /// Neither send digests nor hold receipts against them
    #[arg(long)]
    no_digest: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Protocol {
    /// a connection for each file
    Plain,
    /// a connection for many files
    Framed,
}

/// Loads the server as the arguments say; the exit code is one of those that the help lists.
pub(super) async fn run(args: Args) -> ExitCode {
    let (to, names, bodies) = match prepared(&args) {
        Ok(prepared) => prepared,
        Err(flaw) => {
            print::notes(&format!("error: {flaw}\n\nFor more information, try 'tidegate bench --help'."));
            return ExitCode::from(2);
        }
    };
    let server = match reach(&to).await {
        Ok(server) => server,
        Err(error) => return fail(1, &error.to_string()),
    };
    serve::raise_open_files_limit();
    let setting = Setting::of(&args, to, &names.prefix);
    if !args.json {
        print::notes(&setting.to_string());
    }
    // One for all of the time: between two of them a second interrupt would be lost.
    let mut interrupts = match signal(SignalKind::interrupt()) {
        Ok(interrupts) => interrupts,
        Err(error) => return fail(1, &format!("listening for interrupts: {error}")),
    };
    let start = Start::now();
    let end = match (args.files, start.at.checked_add(args.duration.unwrap_or(DEFAULT_DURATION))) {
        (Some(files), _) => End::Files(files),
        (None, Some(at)) => End::At(at),
        (None, None) => return fail(2, "--duration is longer than any clock goes"),
    };
    let load = Arc::new(Load::new(server, args.mix(), bodies, names, end));
    drive(&args, &load, start, &mut interrupts).await;
    let summary = Summary::of(setting, &load, start);
    summary.tell(Form::of(args.json));
    summary.exit_code()
}

impl Args {
    fn mix(&self) -> Mix {
        self.mix.clone().unwrap_or_else(|| Mix::of(self.size))
    }
}

/// Where the server is, how the files are called, and what is in them; or what is wrong with the arguments.
fn prepared(args: &Args) -> Result<(String, Names, Vec<Body>), String> {
    if args.protocol == Protocol::Plain && args.pipeline > 1 {
        return Err("--pipeline needs --protocol framed: a plain sender waits for each answer".to_owned());
    }
    let to = target::server(args.to.as_deref())?;
    let names = names(&args.name_prefix, args.format)?;
    let stock = Stock::of(args.format);
    let digests = if args.no_digest { Digests::Left } else { Digests::Checked };
    let too_small = |size| {
        let (least, extension) = (stock.least_bytes(), args.format.extension());
        format!("a {extension} of {} can't be made: it has at least {least} bytes", BinaryBytes(size))
    };
    let body = |size| stock.body(size, digests).ok_or_else(|| too_small(size));
    let bodies = args.mix().0.iter().map(|share| body(share.file_bytes)).collect::<Result<_, _>>()?;
    Ok((to, names, bodies))
}

/// Names that no other run has.
fn names(prefix: &str, content: Content) -> Result<Names, String> {
    let id = UploadId::generate();
    // The last part of a UUID version 7 is random (RFC 9562 section 5.7).
    let run = id.as_str().rsplit('-').next().unwrap_or(id.as_str()).to_owned();
    let prefix = format!("{prefix}{run}/");
    if prefix.contains(' ') {
        return Err(format!("--name-prefix: a space ends a name of the plain protocol, and {prefix:?} holds one"));
    }
    match format!("{prefix}0.bin").parse::<Key>() {
        Ok(_) => Ok(Names { run, prefix, extension: content.extension() }),
        Err(error) => Err(format!("--name-prefix: {error}")),
    }
}

/// Greets the server once, so that one that is not there, or is none, is told before anything is counted.
async fn reach(to: &str) -> Result<Vec<std::net::SocketAddr>> {
    drop(Client::connect(to, &Options::default()).await?);
    let looked_up = tokio::net::lookup_host(to).await;
    let server = looked_up.map_err(|cause| Error::new(ErrorKind::Io, format!("looking up {to}")).because(cause))?;
    Ok(server.collect())
}

/// Runs all connections to their end. The first interrupt lets nothing more begin, a second one waits for nothing more.
async fn drive(args: &Args, load: &Arc<Load>, start: Start, interrupts: &mut Signal) {
    let mut connections = JoinSet::new();
    for _ in 0..args.concurrency {
        let load = Arc::clone(load);
        match args.protocol {
            Protocol::Plain => connections.spawn(async move { plain::run(&load).await }),
            Protocol::Framed => {
                let pipeline = usize::from(args.pipeline);
                connections.spawn(async move { framed::run(&load, pipeline).await })
            }
        };
    }
    let mut watch = Watch::over(load, start.at);
    loop {
        tokio::select! {
            ended = connections.join_next() => match ended {
                Some(Ok(())) => {}
                Some(Err(error)) => std::panic::resume_unwind(error.into_panic()),
                None => break,
            },
            () = watch.tick() => {}
            _ = interrupts.recv() => {
                if load.is_stopped() {
                    break;
                }
                load.stop();
                watch.note("interrupted: waiting for the receipts of what was begun; interrupt again not to");
            }
        }
    }
    watch.end();
}
