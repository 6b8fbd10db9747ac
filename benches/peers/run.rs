//! A job, run: each contender once a round, and what that took.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::data::Data;
use crate::jobs::Job;
use crate::load::Load;
use crate::process::{Cost, Process, free_port};
use crate::rivals::{Contender, Server, Then, files};
use crate::table::Table;

/// What a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) cost: Cost,
}

/// A folder for a benchmark's files; removed at its end.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    pub(crate) fn below(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!("tidegate-peers-{}", std::process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self { path })
    }

    /// What kind of file system it is on.
    pub(crate) fn kind(&self) -> &'static str {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let kinds = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            fields.next().zip(fields.next())
        });
        let ours = kinds.filter(|(mount, _)| self.path.starts_with(mount)).max_by_key(|(mount, _)| mount.len());
        if ours.is_some_and(|(_, kind)| kind == "tmpfs") { "tmpfs" } else { "disk" }
    }

    /// What a job is called: what is sent, how much of it, and where to.
    pub(crate) fn title(&self, job: &str, share: u64) -> String {
        let part = if share == 1 { String::new() } else { format!("1/{share} of ") };
        format!("{part}{job}, {}", self.kind())
    }

    /// An empty folder for a run.
    pub(crate) fn fresh(&self) -> io::Result<PathBuf> {
        let run = self.path.join("run");
        if run.exists() {
            fs::remove_dir_all(&run)?;
        }
        fs::create_dir_all(&run)?;
        Ok(run)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("{} stays behind: {error}", self.path.display());
        }
    }
}

/// Runs a job, and enters it in the table.
pub(crate) fn job(mut job: Job, scratch: &Scratch, rounds: usize, table: &mut Table) -> io::Result<()> {
    job.contenders.retain(|contender| match contender.missing() {
        Some(program) => {
            eprintln!("{}: {} is left out, {program} is not installed", job.name, contender.name);
            false
        }
        None => true,
    });
    let data = Data::of(job.content);
    let sizes: Vec<u64> = job.sizes.iter().map(|size| data.size(*size)).collect();
    let runs: Vec<_> = job.contenders.iter().map(|contender| (contender.name.as_str(), contender)).collect();
    let measured = in_turns(&job.name, &runs, rounds, scratch, |contender, run| {
        let load = Load { data: &data, sizes: &sizes, connections: job.connections, extension: contender.extension };
        once(contender, &load, run)
    })?;
    table.enter(&job.name, &runs.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &sizes, &measured);
    Ok(())
}

/// Lets each of the contenders, which have names, run once in every round, with an empty folder. Gives what was measured of each.
pub(crate) fn in_turns<C>(
    job: &str,
    contenders: &[(&str, C)],
    rounds: usize,
    scratch: &Scratch,
    mut once: impl FnMut(&C, &Path) -> io::Result<Measured>,
) -> io::Result<Vec<Vec<Measured>>> {
    let mut measured = vec![Vec::new(); contenders.len()];
    for round in 1..=rounds {
        for ((name, contender), measured) in contenders.iter().zip(&mut measured) {
            let took =
                once(contender, &scratch.fresh()?).map_err(|error| io::Error::other(format!("{job}: {name}: {error}")))?;
            eprintln!("{job}: round {round}: {name} {:.2} s", took.seconds);
            measured.push(took);
        }
    }
    scratch.fresh()?;
    Ok(measured)
}

fn once(contender: &Contender, load: &Load<'_>, run: &Path) -> io::Result<Measured> {
    settle_disk()?;
    if let Server::HashAndCopy = contender.server {
        return hash_and_copy(load, run);
    }
    let port = free_port()?;
    let mut server = Process::start(&mut contender.server.command(run, port)?)?;
    server.listens(port)?;
    let start = Instant::now();
    load.send(port, contender.speech)?;
    if contender.then == Then::Sync {
        File::open(files(run).join("stream"))?.sync_all()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cost = server.stop()?;
    check(&files(run), load)?;
    Ok(Measured { seconds, cost })
}

/// What is left of earlier runs shall not be written on this one's time.
pub(crate) fn settle_disk() -> io::Result<()> {
    let synced = Command::new("sync").status()?;
    if synced.success() { Ok(()) } else { Err(io::Error::other("sync failed")) }
}

/// What hashing and storing the same bytes costs the tools that everybody has.
fn hash_and_copy(load: &Load<'_>, run: &Path) -> io::Result<Measured> {
    let (from, to) = (run.join("from"), run.join("to"));
    load.data.write(load.sizes[0], &mut Vec::new(), &mut File::create(&from)?)?;
    let start = Instant::now();
    let hashed = Process::start(Command::new("sha256sum").arg(&from).stdout(File::create(run.join("sum"))?))?.finish()?;
    let copied = Process::start(Command::new("cp").args(["--reflink=never"]).arg(&from).arg(&to))?.finish()?;
    let cost =
        Cost { cpu_seconds: hashed.cpu_seconds + copied.cpu_seconds, peak_bytes: hashed.peak_bytes.max(copied.peak_bytes) };
    Ok(Measured { seconds: start.elapsed().as_secs_f64(), cost })
}

/// Fails unless all files are there, with all their bytes: who loses some is not fast.
fn check(folder: &Path, load: &Load<'_>) -> io::Result<()> {
    let mut found = stored(folder)?;
    let mut sent = load.sizes.to_vec();
    found.sort_unstable();
    sent.sort_unstable();
    if found == sent {
        return Ok(());
    }
    let total = |sizes: &[u64]| format!("{} files with {} bytes", sizes.len(), sizes.iter().sum::<u64>());
    Err(io::Error::other(format!("{} were sent, {} are stored", total(&sent), total(&found))))
}

/// The sizes of all files below a folder, but for what a server keeps for itself.
fn stored(folder: &Path) -> io::Result<Vec<u64>> {
    let mut sizes = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            match entry.metadata()? {
                _ if hidden => {}
                metadata if metadata.is_dir() => folders.push(entry.path()),
                metadata => sizes.push(metadata.len()),
            }
        }
    }
    Ok(sizes)
}
