//! What is sent, and to whom.

use crate::data::Content;
use crate::load::Speech;
use crate::rivals::{Contender, Server, Then};
use crate::run::Scratch;

/// Some files for some contenders, of whom the first is the one that the ratios are of.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) content: Content,
    pub(crate) sizes: Vec<u64>,
    pub(crate) connections: usize,
    pub(crate) contenders: Vec<Contender>,
}

const GB: u64 = 1_000_000_000;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const FRAMED: Speech = Speech::Framed { window: 16 };

/// All that goes to a folder.
pub(crate) fn all(scratch: &Scratch, share: u64) -> Vec<Job> {
    let repeated = |size: u64, count: u64| vec![size; usize::try_from(count / share).expect("few")];
    let at = |name: &str| scratch.title(name, share);
    let mut jobs = vec![
        stream(at("1 GB stream"), GB / share),
        stream(at("4 GB stream"), 4 * GB / share),
        files(at("20,000 files of 10 KiB"), repeated(10 * KIB, 20_000), 32),
        files(at("1,000 files of 1 MiB"), repeated(MIB, 1000), 32),
        files(at("a mix of 10 KiB, 1 MiB and 32 MiB"), mix(share), 8),
    ];
    for (name, content) in [("1 GB of CSV", Content::Csv), ("1 GB of JSON", Content::Json)] {
        let contenders = vec![
            Contender::tidegate("tidegate, validated", "disk", Speech::Plain),
            Contender::tidegate("tidegate, not validated", "disk", Speech::Plain).sent_as("bin"),
        ];
        jobs.push(Job { name: at(name), content, sizes: vec![GB / share], connections: 1, contenders });
    }
    jobs
}

fn stream(name: String, bytes: u64) -> Job {
    let contenders = vec![
        Contender::tidegate("tidegate, durable", "disk", Speech::Plain),
        Contender::tidegate("tidegate, cache", "cache", Speech::Plain),
        Contender::new("python script", Server::Threaded, Speech::Plain),
        Contender::new("socat", Server::Socat, Speech::Bare),
        Contender::new("socat, then sync", Server::Socat, Speech::Bare).then(Then::Sync),
        Contender::new("nginx, PUT", Server::Nginx, Speech::Put),
        Contender::new("dufs, PUT", Server::Dufs, Speech::Put),
        Contender::new("sha256sum and cp", Server::HashAndCopy, Speech::Bare),
    ];
    Job { name, content: Content::Random, sizes: vec![bytes], connections: 1, contenders }
}

fn files(name: String, sizes: Vec<u64>, connections: usize) -> Job {
    let contenders = vec![
        Contender::tidegate("tidegate, framed, durable", "disk", FRAMED),
        Contender::tidegate("tidegate, framed, cache", "cache", FRAMED),
        Contender::tidegate("tidegate, plain, durable", "disk", Speech::Plain),
        Contender::tidegate("tidegate, plain, cache", "cache", Speech::Plain),
        Contender::new("python script", Server::Threaded, Speech::Plain),
        Contender::new("nginx, PUT", Server::Nginx, Speech::Put),
        Contender::new("dufs, PUT", Server::Dufs, Speech::Put),
    ];
    Job { name, content: Content::Random, sizes, connections, contenders }
}

/// Four fifths small, nearly all of the rest middling, one in a hundred large.
fn mix(share: u64) -> Vec<u64> {
    (0..1000 / share)
        .map(|index| match index % 100 {
            0 => 32 * MIB,
            1..20 => MIB,
            _ => 10 * KIB,
        })
        .collect()
}
