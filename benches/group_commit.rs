//! What sharing flushes is worth: files per second of many senders, and how long a lone commit takes, against the same build
//! with one flush a file. Both stores take turns on one disk, in one run, because disks drift.
//!
//! ```text
//! cargo bench --bench group_commit -- [FOLDER] [ROUNDS] [SECONDS]
//! ```
//!
//! `FOLDER` must be on the disk in question (default: the current folder); a folder is made in it, and removed at the end.

#![allow(clippy::unwrap_used, reason = "a benchmark that panics has no result, as it should")]

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate::sink::Sink;
use tidegate::sink::fs::{Fs, Grouping};
use tidegate::upload::{Ending, UploadId, UploadSpec};

const SENDERS: usize = 32;
const FILE_BYTES: usize = 10 * 1024;

#[tokio::main]
async fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let benched = arguments.iter().any(|argument| argument == "--bench");
    arguments.retain(|argument| !argument.starts_with("--"));
    if !benched {
        println!("nothing is measured unless it is asked for: cargo bench --bench group_commit");
        return;
    }
    let parent = arguments.first().map_or(".", String::as_str);
    let rounds: u32 = arguments.get(1).map_or(7, |rounds| rounds.parse().unwrap());
    let length = Duration::from_secs(arguments.get(2).map_or(4, |seconds| seconds.parse().unwrap()));
    let folder = tempfile::Builder::new().prefix("group-commit-").tempdir_in(parent).unwrap();
    let stores = [Store::open(folder.path(), Grouping::Shared), Store::open(folder.path(), Grouping::One)];

    println!("{SENDERS} senders of {FILE_BYTES} bytes, {length:?} a round, files/s:");
    let mut ratios = Vec::new();
    for round in 0..rounds {
        let [shared, one] = in_turns(&stores, round, async |store: &Store| store.crowd(round, length).await).await;
        ratios.push(shared / one);
        println!("  round {round}: shared {shared:.0}, one flush a file {one:.0}, ratio {:.2}", shared / one);
    }
    println!("median ratio {:.2}", quantile(&mut ratios, 0.5));

    println!("a lone sender, {length:?} a round:");
    let [mut shared, mut one] = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        let [more_shared, more_one] = in_turns(&stores, round, async |store: &Store| store.lone(round, length).await).await;
        shared.extend(more_shared);
        one.extend(more_one);
    }
    println!("  shared:           {}", Latency::of(&mut shared));
    println!("  one flush a file: {}", Latency::of(&mut one));
}

/// Both stores, one after the other; who goes first changes from round to round.
async fn in_turns<T>(stores: &[Store; 2], round: u32, run: impl AsyncFn(&Store) -> T) -> [T; 2] {
    let [shared, one] = stores;
    if round.is_multiple_of(2) {
        let first = run(shared).await;
        [first, run(one).await]
    } else {
        let first = run(one).await;
        [run(shared).await, first]
    }
}

struct Store(Fs);

impl Store {
    fn open(folder: &Path, grouping: Grouping) -> Self {
        Self(Fs::open_with(&folder.join(format!("{grouping:?}")), 0, grouping).unwrap())
    }

    /// Files per second of many senders.
    async fn crowd(&self, round: u32, length: Duration) -> f64 {
        let began = Instant::now();
        let senders = (0..SENDERS).map(|sender| {
            let sink = self.0.clone();
            tokio::spawn(async move {
                let mut files = 0_u32;
                while began.elapsed() < length {
                    put(&sink, &format!("crowd-{round}/{sender}-{files}.bin")).await;
                    files += 1;
                }
                files
            })
        });
        let files: u32 = futures::future::try_join_all(senders).await.unwrap().into_iter().sum();
        f64::from(files) / began.elapsed().as_secs_f64()
    }

    /// How long each commit of a lone sender takes.
    async fn lone(&self, round: u32, length: Duration) -> Vec<f64> {
        let began = Instant::now();
        let mut took = Vec::new();
        while began.elapsed() < length {
            took.push(put(&self.0, &format!("lone-{round}/{}.bin", took.len())).await.as_secs_f64());
        }
        took
    }
}

/// Puts one file; says how long its commit took.
async fn put(sink: &Fs, key: &str) -> Duration {
    let spec = UploadSpec::new(UploadId::generate(), key.parse().unwrap());
    let mut staged = sink.stage(spec).await.unwrap();
    staged.write(Bytes::from_static(&[b'x'; FILE_BYTES])).await.unwrap();
    let began = Instant::now();
    staged.commit(Ending::default()).await.unwrap();
    began.elapsed()
}

struct Latency {
    commits: usize,
    median: f64,
    p99: f64,
}

impl Latency {
    fn of(seconds: &mut [f64]) -> Self {
        Self { commits: seconds.len(), median: quantile(seconds, 0.5), p99: quantile(seconds, 0.99) }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { commits, median, p99 } = self;
        write!(formatter, "median {:.2} ms, p99 {:.2} ms ({commits} commits)", median * 1e3, p99 * 1e3)
    }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn quantile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * share).round() as usize]
}
