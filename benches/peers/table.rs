//! The table that is printed.

use std::fs;

use crate::Wanted;
use crate::run::Measured;

/// Rows of Markdown.
#[derive(Debug)]
pub(crate) struct Table {
    head: String,
    rows: Vec<String>,
    notes: Vec<String>,
}

/// From here on files count, not bytes.
const MANY_FILES: usize = 100;

impl Table {
    pub(crate) fn new(wanted: &Wanted) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ")).map_or("", |it| it.1);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let rounds = wanted.rounds;
        let head = format!("{cores} cores of {model}, Linux {}; medians of {rounds} rounds.", kernel.trim());
        Self { head, rows: Vec::new(), notes: Vec::new() }
    }

    /// Takes the rows of a job: what each contender measured, round by round.
    pub(crate) fn enter(&mut self, job: &str, contenders: &[&str], sizes: &[u64], measured: &[Vec<Measured>]) {
        let bytes = sizes.iter().sum::<u64>() as f64;
        let many = sizes.len() >= MANY_FILES;
        let amount = if many { sizes.len() as f64 } else { bytes / 1e6 };
        for (index, (contender, runs)) in contenders.iter().zip(measured).enumerate() {
            let mut rates: Vec<f64> = runs.iter().map(|run| amount / run.seconds).collect();
            rates.sort_by(f64::total_cmp);
            let ratio = median(measured[0].iter().zip(runs).map(|(ours, run)| run.seconds / ours.seconds));
            let unit = if many { "files/s" } else { "MB/s" };
            let cpu = median(runs.iter().map(|run| run.cost.cpu_seconds));
            let cpu = if many { cpu / sizes.len() as f64 * 1e3 } else { cpu / bytes * 1e9 };
            let per = if many { "1,000 files" } else { "GB" };
            let peak = median(runs.iter().map(|run| run.cost.peak_bytes as f64)) / 1e6;
            self.rows.push(format!(
                "| {} | {contender} | {:.0} {unit} ({:.0} to {:.0}) | {ratio:.2} | {cpu:.2} s per {per} | {peak:.0} MB |",
                if index == 0 { job } else { "" },
                median(rates.iter().copied()),
                rates[0],
                rates[rates.len() - 1],
            ));
        }
    }

    /// Takes a sentence to stand below the table.
    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn print(&self) {
        println!("{}\n", self.head);
        println!("| job | who | throughput (spread) | the first is so many times as fast | processor | peak memory |");
        println!("|---|---|---|---|---|---|");
        self.rows.iter().for_each(|row| println!("{row}"));
        self.notes.iter().for_each(|note| println!("\n{note}"));
    }
}

pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}
