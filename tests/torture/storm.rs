//! A storm from its beginning to the verdict.

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Settings;
use crate::beds::Bed;
use crate::book::Book;
use crate::common::chance::Chance;
use crate::node::{Lives, Node};
use crate::{client, judge};

/// Senders at once.
const CLIENTS: usize = 8;
/// How long what must come may take once the storm is over: the last answers, and a sweep.
const PATIENCE: Duration = Duration::from_mins(2);

/// What senders share.
pub(crate) struct Storm {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) book: Book,
    pub(crate) folder: PathBuf,
    rages: Arc<AtomicBool>,
}

impl Storm {
    pub(crate) fn rages(&self) -> bool {
        self.rages.load(Ordering::SeqCst)
    }
}

/// Ends the servers, however a test ends.
struct Ended(Arc<Storm>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.rages.store(false, Ordering::SeqCst);
        self.0.nodes.iter().for_each(|node| node.end());
    }
}

/// Lets a storm rage on a bed, and judges what is left.
pub(crate) async fn run(bed: Bed, settings: &Settings) {
    let began = Instant::now();
    let folder = tempfile::Builder::new().prefix("tidegate-torture-").tempdir().unwrap().keep();
    say(&format!("torture: {}, seed {}, below {}", bed.name(), settings.seed, folder.display()));
    Bed::prepare(&folder);
    let bed = Arc::new(bed);
    let (storm, ended) = begin(&bed, &folder, settings.seed);
    rage(&storm, settings).await;
    sweep(&storm, &bed).await;
    drop(ended);
    let verdict = judge::verdict(&bed, &folder, &storm.book.uploads()).await;
    let count = |count: fn(&Node) -> u64| storm.nodes.iter().map(|node| count(node)).sum::<u64>();
    say(&format!(
        "torture: {}, seed {}, {} s, kills {}, cuts {}, {verdict}, resumed {}, bytes {}",
        bed.name(),
        settings.seed,
        began.elapsed().as_secs(),
        count(Node::kills),
        count(Node::cuts),
        storm.book.resumed.load(Ordering::Relaxed),
        storm.book.bytes(),
    ));
    if let Some(problems) = verdict.problems() {
        panic!("{problems}\n{}\neverything is kept in {}", last_words(&folder), folder.display());
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn begin(bed: &Arc<Bed>, folder: &Path, seed: u64) -> (Arc<Storm>, Ended) {
    let rages = Arc::new(AtomicBool::new(true));
    let mut chance = Chance::new(seed);
    let nodes = (0..bed.nodes()).map(|number| {
        let (bed, folder, rages_now) = (Arc::clone(bed), folder.to_owned(), Arc::clone(&rages));
        let log = std::fs::File::options().create(true).append(true).open(folder.join(format!("log-{number}"))).unwrap();
        let command = move |lives: Lives| {
            let mut command = bed.serve(&folder, lives);
            command.stderr(log.try_clone().unwrap());
            command
        };
        Arc::new(Node::new(command, rages_now, chance.fork()))
    });
    let nodes = nodes.collect();
    let storm = Arc::new(Storm { nodes, book: Book::new(folder), folder: folder.to_owned(), rages });
    (Arc::clone(&storm), Ended(storm))
}

/// Until every sender has been answered or has left.
async fn rage(storm: &Arc<Storm>, settings: &Settings) {
    let mut chance = Chance::new(settings.seed.wrapping_add(1));
    let mut keepers = JoinSet::new();
    for node in &storm.nodes {
        let (node, storm, mut chance) = (Arc::clone(node), Arc::clone(storm), chance.fork());
        keepers.spawn_blocking(move || node.torment(&storm.rages, &mut chance));
    }
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(client::run(Arc::clone(storm), chance.fork()));
    }
    tokio::time::sleep(settings.lasts).await;
    storm.rages.store(false, Ordering::SeqCst);
    within("the servers to stand again", &storm.folder, keepers.join_all()).await;
    within("every sender to be answered", &storm.folder, clients.join_all()).await;
}

/// Starts the servers once more, so that they sweep up soon, until there is nothing left to sweep.
async fn sweep(storm: &Arc<Storm>, bed: &Bed) {
    for node in &storm.nodes {
        let node = Arc::clone(node);
        let started = tokio::task::spawn_blocking(move || {
            node.kill();
            node.start(Lives::ToSweep, None)
        });
        assert!(within("a server to start", &storm.folder, started).await.unwrap(), "a server does not start for the sweep");
    }
    let deadline = Instant::now() + PATIENCE;
    // What is still there then, the judge will find.
    while Instant::now() < deadline && !bed.litter(&storm.folder).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn within<T>(what: &str, folder: &Path, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_elapsed) => {
            let shown = folder.display();
            panic!("waited {PATIENCE:?} for {what}\n{}\neverything is kept in {shown}", last_words(folder));
        }
    }
}

/// The ends of the servers' logs.
fn last_words(folder: &Path) -> String {
    let log = |number: usize| std::fs::read_to_string(folder.join(format!("log-{number}"))).ok();
    let logs = (0..).map_while(log).enumerate().map(|(number, log)| {
        let lines: Vec<_> = log.lines().collect();
        format!("the end of log-{number}:\n{}", lines[lines.len().saturating_sub(20)..].join("\n"))
    });
    logs.collect::<Vec<_>>().join("\n")
}

/// Says it where a person sees it: not `eprintln!`, whose output the test harness would keep to itself.
fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
