//! tidegate beside what people use in its place: the same files from the same sender, on the same machine, in one run.
//!
//! ```text
//! cargo bench --bench peers -- [--rounds N] [--small] [--folder PATH]… [PART]…
//! ```
//!
//! Prints one Markdown table. `PART` picks rows by a part of their job's name, `--small` does with a tenth of the bytes, and
//! `--folder` says where to store: by default /dev/shm, where only the programs count, and the build's own folder, on its disk.
//! In every round each contender runs once, one after the other, with a fresh server and an empty folder. What is not installed
//! is left out, and said so. `docs/benchmarks.md` tells what the rivals are and do not do.

#![allow(clippy::cast_precision_loss, reason = "what is printed is rounded further")]
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark that panics has no result, as it should")]

mod data;
mod idle;
mod jobs;
mod load;
mod process;
mod rivals;
mod run;
mod store;
mod table;

use std::io;
use std::path::PathBuf;

use self::run::Scratch;
use self::table::Table;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) struct Wanted {
    rounds: usize,
    /// What all sizes and counts are divided by.
    share: u64,
    folders: Vec<PathBuf>,
    parts: Vec<String>,
}

fn main() -> io::Result<()> {
    // `cargo test` starts benchmarks too, without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        return Ok(());
    }
    let wanted = Wanted::read(std::env::args().skip(1))?;
    let mut table = Table::new(&wanted);
    for folder in &wanted.folders {
        let scratch = Scratch::below(folder)?;
        for job in jobs::all(&scratch, wanted.share) {
            if wanted.wants(&job.name) {
                run::job(job, &scratch, wanted.rounds, &mut table)?;
            }
        }
        store::run(&wanted, &scratch, &mut table)?;
    }
    if wanted.wants("idle connections") {
        idle::run(&wanted, &mut table)?;
    }
    table.print();
    Ok(())
}

impl Wanted {
    fn read(mut arguments: impl Iterator<Item = String>) -> io::Result<Self> {
        let mut wanted = Self { rounds: 5, share: 1, folders: Vec::new(), parts: Vec::new() };
        let bad = |what: &str| io::Error::other(format!("{what} is not understood: see the head of benches/peers/main.rs"));
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => {}
                "--small" => wanted.share = 10,
                "--rounds" => {
                    let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).filter(|rounds| *rounds > 0);
                    wanted.rounds = rounds.ok_or_else(|| bad("--rounds"))?;
                }
                "--folder" => wanted.folders.push(arguments.next().ok_or_else(|| bad("--folder"))?.into()),
                option if option.starts_with('-') => return Err(bad(option)),
                part => wanted.parts.push(part.to_owned()),
            }
        }
        if wanted.folders.is_empty() {
            wanted.folders = vec![PathBuf::from("/dev/shm"), PathBuf::from(env!("CARGO_TARGET_TMPDIR"))];
        }
        Ok(wanted)
    }

    fn wants(&self, name: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| name.contains(part.as_str()))
    }
}
