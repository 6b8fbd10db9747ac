//! A server under attack: started with what a test sets, measured from outside.

#![allow(dead_code, unused_imports, reason = "not every attack needs all of it")]

mod attacker;
mod crowd;
mod good_sender;
mod watch;

use std::fmt::Display;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) use self::attacker::{Attacker, raise_open_files_limit, read_line};
pub(crate) use self::crowd::Crowd;
pub(crate) use self::good_sender::GoodSender;
pub(crate) use self::watch::Watch;
use crate::common::s3_server::S3Server;
use crate::common::serve::{Serve, until};

pub(crate) const MIB: u64 = 1 << 20;

/// A debug build is slower by a factor, and so is a machine that builds beside the tests.
pub(crate) const SLOWNESS: u32 = if cfg!(debug_assertions) { 3 } else { 1 };

/// The longest that a small commit may take, from its connection or its first byte to its receipt
/// (99 of 100 of them).
pub(crate) const BOUND: Duration = Duration::from_secs(2).saturating_mul(SLOWNESS);

/// The end of what any victim gets, in KiB.
const HARD_KIBIBYTES: u64 = 4 << 20;

/// The configuration of a test.
#[derive(Debug, Default)]
pub(crate) struct Setup {
    variables: Vec<(String, String)>,
    config: String,
    files: Vec<(String, String)>,
    shell: String,
    stored_in: Option<PathBuf>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Sets a key by its environment variable.
    pub(crate) fn set(mut self, key: &str, value: impl Display) -> Self {
        let variable = format!("TIDEGATE__{}", key.to_uppercase().replace('.', "__"));
        self.variables.push((variable, value.to_string()));
        self
    }

    /// A budget of memory.
    pub(crate) fn budget(self, bytes: u64) -> Self {
        self.set("limits.max_memory_bytes", bytes)
    }

    /// A configuration file: rules stand nowhere else. `DIR` in it is the folder of
    /// [`Setup::file`].
    pub(crate) fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self
    }

    /// A file that the configuration names as `DIR/name`: a schema.
    pub(crate) fn file(mut self, name: &str, text: impl Into<String>) -> Self {
        self.files.push((name.to_owned(), text.into()));
        self
    }

    /// A shell command before the server's start, in its process: `ulimit -n 60`.
    pub(crate) fn shell(mut self, command: &str) -> Self {
        self.shell = format!("{command};");
        self
    }

    /// Stores in a bucket, and keeps the ledger where [`Victim::ledger`] finds it.
    pub(crate) fn bucket(mut self, store: &S3Server) -> Self {
        self.stored_in = Some(store.folder());
        let S3Server { bucket, .. } = store;
        self.set("sink.kind", "s3")
            .set("sink.s3.endpoint", &bucket.endpoint)
            .set("sink.s3.bucket", &bucket.name)
            .set("sink.s3.access_key_id", &bucket.access_key_id)
            .set("sink.s3.secret_access_key", &bucket.secret_access_key)
            .set("sink.s3.allow_http", true)
            .set("ledger.folder", "DIR/store/.tidegate/ledger")
    }

    /// Starts the server, once no other victim runs: each is measured alone. A test has one victim
    /// at a time.
    pub(crate) fn start(self) -> Victim {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let placed = |text: &str| text.replace("DIR", folder.path().to_str().unwrap());
        fs::write(path("config.toml"), placed(&self.config)).unwrap();
        for (name, text) in &self.files {
            fs::write(path(name), text).unwrap();
        }
        // The shell becomes the server, so that the process id is the server's.
        // One that takes more memory than this aborts, instead of taking the machine with it.
        let script = format!("ulimit -d {HARD_KIBIBYTES}; {} exec \"$@\" 2>\"$LOG\"", self.shell);
        let mut command = Command::new("sh");
        // Another build, for comparison.
        let program = std::env::var("TIDEGATE_HOSTILE_SERVER").unwrap_or(env!("CARGO_BIN_EXE_tidegate").to_owned());
        command.args(["-c", &script, "sh", &program, "serve", "--config"]);
        command
            .arg(path("config.toml"))
            .env("LOG", path("log"))
            // As in the container image: windows of zstd go back to the system at once.
            .env("MALLOC_MMAP_THRESHOLD_", "1048576")
            .envs(self.variables.iter().map(|(key, value)| (key, placed(value))));
        let serve = Serve::run(&mut command, &path("store"));
        let stored_in = self.stored_in.unwrap_or_else(|| path("store"));
        Victim { serve, stored_in, folder, _alone: alone }
    }
}

/// A running server; killed when dropped.
pub(crate) struct Victim {
    pub(crate) serve: Serve,
    pub(crate) stored_in: PathBuf,
    folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Uploads that ended for a reason, by the ledger and by the counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) ledger: usize,
    pub(crate) metric: usize,
}

impl Victim {
    /// The log of the server without the lines of the good sender.
    pub(crate) fn log(&self) -> String {
        let text = fs::read(self.folder.path().join("log")).unwrap();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<_> = text.lines().filter(|line| !line.contains("\"good/")).collect();
        lines.join("\n")
    }

    /// Where the server's standard error goes.
    pub(crate) fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Waits until the log says so.
    pub(crate) fn logs(&self, part: &str) {
        until(&format!("{part:?} in the log"), || self.log().contains(part));
    }

    /// The sum of all values of a metric that have these labels.
    pub(crate) fn metric(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let page = self.serve.get("/metrics");
        let labels: Vec<_> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let value_of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            let (labelled, value) = rest.rsplit_once(' ')?;
            let is_name = labelled.is_empty() || labelled.starts_with('{');
            (is_name && labels.iter().all(|label| labelled.contains(label))).then(|| value.parse::<f64>().unwrap())
        };
        page.lines().filter_map(value_of).fold(0.0, |sum, value| sum + value)
    }

    /// The lines of the ledger. The last one may still be on its way to the disk: [`Victim::ended`]
    /// waits.
    pub(crate) fn ledger(&self) -> Vec<Value> {
        let folder = self.serve.root.join(".tidegate/ledger");
        let days = crate::common::serve::files(&folder);
        let lines: Vec<_> = days.iter().flat_map(|day| whole_lines(&fs::read_to_string(day).unwrap())).collect();
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// How many uploads have ended without a receipt, for `reason`, once the ledger and the counter
    /// say the same.
    pub(crate) fn ended(&self, reason: &str) -> Ended {
        let mut ended = Ended { ledger: 0, metric: 0 };
        until(&format!("agreement on how many uploads ended as {reason}"), || {
            let ledger = self.ledger().iter().filter(|entry| entry["reason"] == reason).count();
            let metric = self.metric("tidegate_uploads_total", &[("reason", reason)]);
            ended = Ended { ledger, metric: format!("{metric}").parse().unwrap() };
            ended.ledger == ended.metric
        });
        ended
    }

    /// Waits until uploads were refused for `reason`: the log, the ledger and the counter say so.
    pub(crate) fn refuses(&self, reason: &str) {
        self.logs(&format!("reason=\"{reason}\""));
        until(&format!("an upload refused for {reason} in the ledger and the counter"), || {
            self.metric("tidegate_uploads_total", &[("reason", reason)]) > 0.0
                && self.ledger().iter().any(|entry| entry["reason"] == reason)
        });
    }

    /// Waits until connections were refused for `reason`: the log and the counter say so.
    pub(crate) fn refuses_connections(&self, reason: &str) {
        self.logs(&format!("reason=\"{reason}\""));
        until(&format!("a connection refused for {reason} in the counter"), || {
            self.metric("tidegate_connections_refused_total", &[("reason", reason)]) > 0.0
        });
    }

    /// The server says in time that it is alive.
    pub(crate) fn answers_health(&self) {
        let start = Instant::now();
        let answer = self.serve.get("/healthz");
        let took = start.elapsed();
        assert!(answer.starts_with("HTTP/1.1 200") && took <= BOUND, "/healthz took {took:?}: {answer}");
    }

    /// Whether the process still runs.
    pub(crate) fn is_alive(&self) -> bool {
        self.status("State").is_some_and(|state| !state.starts_with('Z'))
    }

    /// Memory in use, in bytes.
    pub(crate) fn memory(&self) -> u64 {
        self.kibibytes("VmRSS")
    }

    /// The most memory that was in use since the peak was last forgotten.
    pub(crate) fn peak_memory(&self) -> u64 {
        self.kibibytes("VmHWM")
    }

    /// Open descriptors.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.serve.pid())).unwrap().count()
    }

    /// Makes the peak what is in use now (proc(5), `clear_refs`).
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.serve.pid()), "5").unwrap();
    }

    fn kibibytes(&self, field: &str) -> u64 {
        let value = self.status(field).unwrap_or_else(|| panic!("the server has ended:\n{}", self.log()));
        value.trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    fn status(&self, field: &str) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.serve.pid())).ok()?;
        let value = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().to_owned());
        status.lines().find_map(value)
    }
}

/// Those that have ended.
fn whole_lines(text: &str) -> Vec<String> {
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(str::to_owned).collect()
}
