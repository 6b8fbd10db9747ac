//! Processes that are measured: what they cost of the processor, and how much memory they hold at their peak.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Where this kernel counts processor time: `CLK_TCK`, which is 100 on all that Linux runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const SAMPLE_EVERY: Duration = Duration::from_millis(20);
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// What a process and its children have cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_bytes: u64,
}

/// A process under measurement.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    cpu_before: f64,
    peak: Peak,
}

impl Process {
    /// Starts it; one at a time, or their times can't be told apart.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let cpu_before = reaped_seconds();
        let child = command.spawn()?;
        let peak = Peak::watch(child.id());
        Ok(Self { child, cpu_before, peak })
    }

    /// Waits until it listens.
    pub(crate) fn listens(&mut self, port: u16) -> io::Result<()> {
        wait_for(&mut self.child, port, START_TIMEOUT)
    }

    /// What it holds of the memory now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        tree(self.child.id()).iter().map(|pid| status_bytes(*pid, "VmRSS:")).sum()
    }

    /// Ends it as an operator does, and tells what it has cost.
    pub(crate) fn stop(mut self) -> io::Result<Cost> {
        let status = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        if !status.success() {
            return Err(io::Error::other("it was gone before its end"));
        }
        self.child.wait()?;
        Ok(self.cost())
    }

    /// Waits for a command that ends by itself; fails where it fails.
    pub(crate) fn finish(mut self) -> io::Result<Cost> {
        let status = self.child.wait()?;
        if !status.success() {
            return Err(io::Error::other(format!("it failed: {status}")));
        }
        Ok(self.cost())
    }

    fn cost(self) -> Cost {
        Cost { cpu_seconds: reaped_seconds() - self.cpu_before, peak_bytes: self.peak.end() }
    }
}

/// Waits until a process listens.
pub(crate) fn wait_for(child: &mut Child, port: u16, timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        if let Some(status) = child.try_wait()? {
            return Err(io::Error::other(format!("it ended at its start: {status}")));
        }
        if Instant::now() > deadline {
            return Err(io::Error::new(ErrorKind::TimedOut, "it does not listen"));
        }
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Watches a process and its children, some of which may come and go.
#[derive(Debug)]
struct Peak {
    bytes: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
    watcher: JoinHandle<()>,
}

impl Peak {
    fn watch(pid: u32) -> Self {
        let (bytes, ended) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (seen, over) = (Arc::clone(&bytes), Arc::clone(&ended));
        let watcher = thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let now = tree(pid).iter().map(|pid| status_bytes(*pid, "VmHWM:")).sum();
                seen.fetch_max(now, Ordering::Relaxed);
                thread::sleep(SAMPLE_EVERY);
            }
        });
        Self { bytes, ended, watcher }
    }

    fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.watcher.join().expect("it does not panic");
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Processor seconds of all children that have ended and were waited for, and of theirs.
fn reaped_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // proc(5): cutime and cstime are fields 16 and 17; the name, field 2, may hold anything.
    let fields: Vec<f64> = after_name(&stat).map(|field| field.parse().unwrap_or(0.0)).collect();
    (fields[13] + fields[14]) / TICKS_PER_SECOND
}

fn after_name(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace()
}

/// A process with its children, as far as they have not left it.
fn tree(root: u32) -> Vec<u32> {
    let mut pids = vec![root];
    let mut at = 0;
    while let Some(pid) = pids.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        pids.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        at += 1;
    }
    pids
}

fn status_bytes(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let kib =
        status.lines().find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
