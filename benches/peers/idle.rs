//! Ten thousand connections that say nothing: what they cost in memory, and whether they slow a file down.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Wanted;
use crate::data::{Content, Data};
use crate::load::{Load, Speech};
use crate::process::{Process, free_port};
use crate::rivals::Server;
use crate::run::Scratch;
use crate::table::{Table, median};

const CONNECTIONS: u64 = 10_000;
const FILE_BYTES: u64 = 256_000_000;

/// Measures, and notes it below the table.
pub(crate) fn run(wanted: &Wanted, table: &mut Table) -> io::Result<()> {
    raise_open_files_limit()?;
    let scratch = Scratch::below(&wanted.folders[0])?;
    let run = scratch.fresh()?;
    let variables = [
        ("LIMITS__MAX_CONNECTIONS", "20000"),
        ("LIMITS__MAX_CONNECTIONS_PER_ADDRESS", "20000"),
        ("LIMITS__IDLE_TIMEOUT", "30m"),
        ("PLAIN__ON_CONFLICT", "overwrite"),
    ];
    let variables = variables.map(|(key, value)| (format!("TIDEGATE__{key}"), value.to_owned())).to_vec();
    let port = free_port()?;
    let mut server = Process::start(&mut Server::Tidegate { variables }.command(&run, port)?)?;
    server.listens(port)?;
    let data = Data::of(Content::Random);
    let sizes = [FILE_BYTES / wanted.share];
    let load = Load { data: &data, sizes: &sizes, connections: 1, extension: None };
    let push = || {
        let start = Instant::now();
        load.send(port, Speech::Plain).map(|_| start.elapsed().as_secs_f64())
    };
    let times = |rounds: usize| (0..rounds).map(|_| push()).collect::<io::Result<Vec<f64>>>();
    times(1)?;
    let alone = times(wanted.rounds.max(5))?;
    let before = server.resident_bytes();
    let idle = (0..CONNECTIONS).map(|_| say_hello(port)).collect::<io::Result<Vec<_>>>()?;
    let after = server.resident_bytes();
    let among_them = times(wanted.rounds.max(5))?;
    let still_there = idle.iter().filter(|socket| socket.peer_addr().is_ok()).count();
    drop(idle);
    server.stop()?;
    let (alone, among_them) = (median(alone.into_iter()), median(among_them.into_iter()));
    table.note(format!(
        "{still_there} idle connections: {:.0} MB resident, {:.0} MB before them; a file of {} MB takes {among_them:.3} s \
         among them, {alone:.3} s without (medians, {}).",
        after as f64 / 1e6,
        before as f64 / 1e6,
        sizes[0] / 1_000_000,
        scratch.kind(),
    ));
    fs::remove_dir_all(&run)
}

/// A sender that has said who it is, and has nothing to send.
fn say_hello(port: u16) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.write_all(b"{\"op\":\"hello\",\"version\":1}\n")?;
    let mut answer = String::new();
    BufReader::new(&socket).read_line(&mut answer)?;
    if answer.starts_with("{\"event\":\"hello\"") { Ok(socket) } else { Err(io::Error::other(answer)) }
}

fn raise_open_files_limit() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
