//! `tidegate serve`: runs the server until it is told to stop.

mod descriptors;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::convert::Infallible;
use std::io::IsTerminal;
use std::num::NonZero;
use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

pub(super) use self::descriptors::raise_limit as raise_open_files_limit;

use super::log_queue::LogQueue;
use super::{ConfigArgs, MAX_DISK_WORKERS, bad_config, fail, print, run_with};
use crate::assemble;
use crate::config::{Config, FsDurability, Log, LogFormat, SinkKind};
use crate::error::{Error, ErrorKind, Result};
use crate::escape;
use crate::metrics::Metrics;
use crate::server::{Drained, Server};
use crate::validate::rules::Rulebook;

/// Threads for the disk on each core, where nothing is flushed for a commit.
const CACHED_WORKERS_PER_CORE: usize = 4;

/// Run the server
///
/// Without any configuration it listens on 127.0.0.1:5010 and stores below ./data.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
SIGTERM and ctrl-c stop accepting, let running uploads finish within limits.drain_timeout, then end the server; a second \
one ends it at once. SIGHUP loads the rules and their schemas anew; where they are wrong, the old ones stay. Logs go to \
standard error.

Exit codes:
  0    stopped, and every running upload had ended
  1    it could not start, or cut uploads off after limits.drain_timeout
  2    the configuration is wrong
  130  stopped at once by a second signal")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let mut config = match args.config.load() {
        Ok(config) => config,
        Err(error) => return bad_config(&error),
    };
    let metrics = Arc::new(Metrics::new());
    let log = match init_log(&config.log, &metrics) {
        Ok(log) => log,
        Err(error) => return bad_config(&error),
    };
    let _last_lines = log.flush_at_end();
    let (workers, allowed) = (disk_workers(&config), raise_open_files_limit());
    let plan = match descriptors::fit(&mut config, workers, allowed, descriptors::open_now()) {
        Ok(plan) => plan,
        Err(error) => return fail(1, &error.to_string()),
    };
    if let Some(lowered) = &plan.lowered {
        tracing::warn!(%lowered, "limits lowered to fit the file descriptors");
    }
    run_with(plan.disk_workers, async {
        let served = serve(&config, &args.config, metrics, &log).await;
        // Before the last words, which go past the log.
        log.flush();
        match served {
            Ok(drained) => said(&drained),
            Err(error) => end_with(error),
        }
    })
}

/// Threads for what waits for the disk. Where commits wait for no flush, those that a few threads take one after the other cost
/// less than those that wake a thread each.
fn disk_workers(config: &Config) -> usize {
    match (config.sink.kind, config.sink.fs.durability) {
        (SinkKind::Fs, FsDurability::Cache) => {
            CACHED_WORKERS_PER_CORE * std::thread::available_parallelism().map_or(1, NonZero::get).max(2)
        }
        (SinkKind::Fs | SinkKind::S3 | SinkKind::Memory, _) => MAX_DISK_WORKERS,
    }
}

/// Says why the server did not start, and gives the exit code.
fn end_with(error: Error) -> ExitCode {
    let code = if error.kind() == ErrorKind::Config { 2 } else { 1 };
    print::briefly(move || _ = fail(code, &error.to_string()));
    ExitCode::from(code)
}

/// What there is to say of a server that has stopped.
fn said(Drained { finished, cut_off, took }: &Drained) -> ExitCode {
    let took = took.as_secs_f64();
    let line = format!("stopped after {took:.1} s: {finished} running uploads ended, {cut_off} were cut off");
    print::briefly(move || print::line(&line));
    if *cut_off == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn serve(config: &Config, layers: &ConfigArgs, metrics: Arc<Metrics>, log: &LogQueue) -> Result<Drained> {
    survive_file_size_limit()?;
    // First, for a signal that nobody listens to ends the process.
    let hangup =
        signal(SignalKind::hangup()).map_err(|error| Error::new(ErrorKind::Io, "listening for signals").because(error))?;
    let rules = Arc::new(Rulebook::new(assemble::rules(config)?));
    let sink = assemble::sink(config, &rules, &metrics)?;
    let ledger = assemble::ledger(config, &metrics)?;
    match assemble::ledger_folder(config) {
        Ok(folder) => tracing::info!(folder = %folder.display(), "writing the ledger"),
        Err(why) => tracing::info!(why, "no ledger is written"),
    }
    // Before the listeners, so that a signal is never missed once somebody can connect.
    let shutdown = shutdown_signal(log.clone())?;
    let reloads = Arc::clone(&metrics);
    let server = Server::bind(config, sink, ledger, metrics)?;
    greet(&server, &server.store().await)?;
    // A task of its own: connections are then accepted by a worker, and not by this thread for one.
    let mut running = tokio::spawn(server.run(shutdown));
    tokio::select! {
        drained = &mut running => drained.map_err(|error| Error::new(ErrorKind::Io, "the server ended early").because(error)),
        never = reload_at(hangup, layers, &rules, &reloads) => match never {},
    }
}

/// At each SIGHUP puts the rules in force that the configuration has now, with their schemas and dialects. Where it is wrong, the
/// old ones stay. Running uploads keep the rules that they began with.
async fn reload_at(mut hangup: Signal, layers: &ConfigArgs, rules: &Rulebook, metrics: &Metrics) -> Infallible {
    loop {
        // The stream of a signal does not end.
        hangup.recv().await;
        let layers = layers.clone();
        // Files may lie where reading takes long: nobody else waits for them.
        let reading = tokio::task::spawn_blocking(move || {
            let config = layers.load()?;
            Ok((assemble::rules(&config)?, config.rules.len()))
        });
        let broken = |error| Err(Error::new(ErrorKind::Io, "loading the rules anew").because(error));
        let loaded: Result<_> = reading.await.unwrap_or_else(broken);
        metrics.reloaded(&loaded);
        match loaded {
            Ok((new, count)) => {
                rules.replace(new);
                tracing::info!(rules = count, "rules and schemas are loaded anew; other changes need a restart");
            }
            Err(error) => tracing::error!(%error, "the rules can't be loaded anew: the old ones stay in force"),
        }
    }
}

fn greet(server: &Server, store: &str) -> Result<()> {
    let (senders, admin) = (server.address()?, server.admin_address()?);
    let lines = [
        format!("tidegate {}", env!("CARGO_PKG_VERSION")),
        format!("  listening  {senders} for files, http://{admin} for /healthz /readyz /metrics"),
        format!("  storing    {store}"),
        format!("  try        printf 'hello.txt 6\\nhello\\n' | nc -N {} {}", senders.ip(), senders.port()),
    ];
    print::briefly(move || lines.iter().for_each(|line| print::line(line)));
    Ok(())
}

/// Done at the first SIGTERM or ctrl-c; the second one ends the process.
fn shutdown_signal(log: LogQueue) -> Result<impl Future<Output = ()>> {
    let failed = |error: std::io::Error| Error::new(ErrorKind::Io, "listening for signals").because(error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        let name = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = name, "stopping");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            log.flush();
            print::briefly(|| print::note("tidegate: stopped at once; uploads that were under way are not committed"));
            std::process::exit(130);
        });
    })
}

/// A write beyond `RLIMIT_FSIZE` fails with `EFBIG`, and its upload with it. Unless SIGXFSZ is
/// handled it ends the process.
fn survive_file_size_limit() -> Result<()> {
    let kind = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    // The handler stays in place once its stream is dropped.
    signal(kind).map(drop).map_err(|error| Error::new(ErrorKind::Io, "listening for signals").because(error))
}

/// The standard library's hook waits for standard error.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(panic = %escape::line(&panic.to_string()), backtrace, "a thread panicked");
}

fn init_log(log: &Log, metrics: &Metrics) -> Result<LogQueue> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| {
        Error::new(
            ErrorKind::Config,
            format!("log.level: {:?} is not a filter such as info or warn,tidegate=debug", log.level),
        )
        .because(error)
    })?;
    let queue = LogQueue::start(std::io::stderr(), metrics.log_lost())
        .map_err(|error| Error::new(ErrorKind::Io, "starting the log's thread").because(error))?;
    let colours = std::io::stderr().is_terminal();
    // A log that can't be written (a full disk, a closed pipe) must not take the server with it: by default the layer would
    // say so on standard error, and panic where that fails as well.
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .log_internal_errors(false)
        .with_writer(queue.clone());
    let started = match log.format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| Error::new(ErrorKind::Config, "starting the log").because(error))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(queue)
}
