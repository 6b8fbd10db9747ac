//! What a load has come to, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::process::ExitCode;
use std::time::Instant;

use hdrhistogram::Histogram;
use indicatif::BinaryBytes;
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

use super::body::Content;
use super::book::{Failures, Tally};
use super::load::{End, Load};
use super::mix::Share;
use super::{Args, Protocol};
use crate::cli::print::{self, Form, plural};

/// What was asked for.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Setting {
    to: String,
    protocol: Protocol,
    format: Content,
    concurrency: u16,
    pipeline: u16,
    digests_checked: bool,
    /// What the names of all files begin with.
    name_prefix: String,
    #[serde(skip)]
    mix: Vec<Share>,
}

/// What it came to. The names and units of the keys are a promise to those who read them.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    #[serde(flatten)]
    setting: Setting,
    /// Files that were asked for; absent where a time was.
    #[serde(skip_serializing_if = "Option::is_none")]
    files_wanted: Option<u64>,
    files_begun: u64,
    files_committed: u64,
    files_failed: u64,
    bytes_committed: u64,
    /// From the first file's beginning to the last one's end.
    seconds: f64,
    /// Of 1,000,000 bytes.
    megabytes_per_second: f64,
    files_per_second: f64,
    /// Absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_micros: Option<Latency>,
    sizes: Vec<OfSize>,
    durability: BTreeMap<String, u64>,
    errors: BTreeMap<String, Failures>,
    /// Connections that could not be made, and whose part of the load was left.
    connections_given_up: u64,
    /// What this program itself has used, of all cores.
    client_cpu_seconds: f64,
    interrupted: bool,
}

/// What files of one size came to.
#[derive(Debug, Serialize)]
struct OfSize {
    #[serde(flatten)]
    share: Share,
    files_committed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_micros: Option<Latency>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Latency {
    min: u64,
    mean: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    p99_9: u64,
    max: u64,
}

impl Setting {
    pub(super) fn of(args: &Args, to: String, name_prefix: &str) -> Self {
        Self {
            to,
            protocol: args.protocol,
            format: args.format,
            concurrency: args.concurrency,
            pipeline: args.pipeline,
            digests_checked: !args.no_digest,
            name_prefix: name_prefix.to_owned(),
            mix: args.mix().0,
        }
    }
}

/// When it began, and what this program had used until then.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    pub(super) at: Instant,
    cpu_seconds: f64,
}

impl Start {
    pub(super) fn now() -> Self {
        Self { at: Instant::now(), cpu_seconds: cpu_seconds() }
    }
}

impl Summary {
    /// Of a load that has come to its end.
    pub(super) fn of(setting: Setting, load: &Load, start: Start) -> Self {
        let (seconds, cpu_seconds) = (start.at.elapsed().as_secs_f64(), cpu_seconds() - start.cpu_seconds);
        let tally = load.book.close();
        let files_failed = tally.begun - tally.committed;
        let latency_micros = Latency::of(&tally.all_latencies());
        let sizes =
            setting.mix.iter().zip(&tally.latencies).map(|(share, latencies)| OfSize::of(*share, latencies)).collect();
        let Tally { begun, committed, committed_bytes, durability, failures, connections_given_up, latencies: _ } = tally;
        Self {
            setting,
            files_wanted: match load.end {
                End::Files(files) => Some(files),
                End::At(_) => None,
            },
            files_begun: begun,
            files_committed: committed,
            files_failed,
            bytes_committed: committed_bytes,
            seconds: rounded(seconds),
            megabytes_per_second: rounded(per(committed_bytes, seconds) / 1e6),
            files_per_second: rounded(per(committed, seconds)),
            latency_micros,
            sizes,
            durability,
            errors: failures,
            connections_given_up,
            client_cpu_seconds: rounded(cpu_seconds),
            interrupted: load.is_stopped(),
        }
    }

    /// The numbers go to standard output, what went wrong to standard error as well.
    pub(super) fn tell(&self, form: Form) {
        match form {
            Form::Json => print::json(&serde_json::to_string(self).expect("a summary has text keys only")),
            Form::Text => {
                print::text(&self.to_string());
                self.tell_failures();
            }
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self { interrupted: true, .. } => ExitCode::from(130),
            Self { files_failed: 1.., .. } => ExitCode::FAILURE,
            Self { .. } => ExitCode::SUCCESS,
        }
    }

    fn tell_failures(&self) {
        for (code, Failures { files, messages }) in &self.errors {
            print::note(&format!("failed     {} [{code}]", plural(*files, "file")));
            for message in messages {
                print::note(&format!("           {message}"));
            }
        }
        if self.connections_given_up > 0 {
            let connections = plural(self.connections_given_up, "connection");
            print::note(&format!("given up   {connections} could not be made, and carried no further files"));
        }
    }
}

impl OfSize {
    fn of(share: Share, latencies: &Histogram<u64>) -> Self {
        Self { share, files_committed: latencies.len(), latency_micros: Latency::of(latencies) }
    }
}

impl Latency {
    fn of(latencies: &Histogram<u64>) -> Option<Self> {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a mean lies between what was measured")]
        let mean = latencies.mean() as u64;
        let at = |quantile| latencies.value_at_quantile(quantile);
        let [p50, p90, p99, p99_9] = [at(0.5), at(0.9), at(0.99), at(0.999)];
        (!latencies.is_empty()).then(|| Self { min: latencies.min(), mean, p50, p90, p99, p99_9, max: latencies.max() })
    }

    fn columns(self) -> [u64; 6] {
        [self.min, self.p50, self.p90, self.p99, self.p99_9, self.max]
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, protocol, format, concurrency, pipeline, name_prefix, mix, .. } = self;
        let protocol = match (protocol, pipeline) {
            (Protocol::Plain, _) => "plain".to_owned(),
            (Protocol::Framed, 1) => "framed".to_owned(),
            (Protocol::Framed, files) => format!("framed, {files} files on their way on each"),
        };
        let sizes: Vec<String> = mix.iter().map(|share| BinaryBytes(share.file_bytes).to_string()).collect();
        let connections = plural(u64::from(*concurrency), "connection");
        writeln!(f, "sending    .{} files of {} to {to}", format.extension(), sizes.join(", "))?;
        write!(f, "           {connections}, {protocol}; names begin with {name_prefix}")
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files_begun, files_committed, bytes_committed, seconds, .. } = self;
        let (files, bytes) =
            (print::plural(self.files_wanted.unwrap_or(*files_begun), "file"), BinaryBytes(*bytes_committed));
        writeln!(f, "committed  {files_committed} of {files}, {bytes} in {seconds:.2} s{}", self.promise())?;
        if self.files_wanted.is_some_and(|wanted| wanted > *files_begun) {
            writeln!(f, "begun      {}", plural(*files_begun, "file"))?;
        }
        let [files, bytes] = [self.files_per_second, self.megabytes_per_second];
        writeln!(f, "rate       {}, {}", three_digits(files, "files/s"), three_digits(bytes, "MB/s"))?;
        self.latency_table(f)?;
        writeln!(f, "client     {:.2} s of CPU, {:.0} % of one core", self.client_cpu_seconds, self.client_percent())
    }
}

impl Summary {
    fn latency_table(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(all) = self.latency_micros else { return Ok(()) };
        let mut row = |name: &str, cells: [String; 6]| {
            write!(f, "{name:<9}")?;
            cells.iter().try_for_each(|cell| write!(f, " {cell:>9}"))?;
            writeln!(f)
        };
        row("latency", ["min", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned))?;
        let several = self.sizes.iter().filter(|_| self.sizes.len() > 1);
        for (share, latency) in several.filter_map(|of| Some((of.share, of.latency_micros?))) {
            row(&BinaryBytes(share.file_bytes).to_string(), latency.columns().map(time))?;
        }
        row("all", all.columns().map(time))
    }

    /// `, durable on disk`: what the receipts promise, where they say it.
    fn promise(&self) -> String {
        let named = self.durability.iter().map(|(durability, files)| {
            if *files == self.files_committed { durability.clone() } else { format!("{durability} ({files})") }
        });
        let named: Vec<String> = named.collect();
        if named.is_empty() { String::new() } else { format!(", durability {}", named.join(", ")) }
    }

    fn client_percent(&self) -> f64 {
        100.0 * self.client_cpu_seconds / self.seconds.max(1e-3)
    }
}

/// Microseconds as a person reads them, to three digits.
#[allow(clippy::cast_precision_loss, reason = "it is shown to three digits")]
fn time(micros: u64) -> String {
    match micros {
        0..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => three_digits(micros as f64 / 1e3, "ms"),
        1_000_000.. => three_digits(micros as f64 / 1e6, "s"),
    }
}

fn three_digits(number: f64, unit: &str) -> String {
    let decimals = match number {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{number:.decimals$} {unit}")
}

#[allow(clippy::cast_precision_loss, reason = "a rate need not be exact to the last of 53 bits")]
fn per(number: u64, seconds: f64) -> f64 {
    number as f64 / seconds.max(1e-6)
}

/// To the thousandth, which is more than a measurement is worth.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[allow(clippy::cast_precision_loss, reason = "a process does not run for as long as 53 bits of seconds")]
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
