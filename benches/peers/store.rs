//! Into object storage: tidegate into a MinIO, beside the store's own clients into the same.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Wanted;
use crate::data::{Content, Data};
use crate::load::{Load, Speech};
use crate::process::{Cost, Process, free_port, wait_for};
use crate::rivals::{Server, find};
use crate::run::{Measured, Scratch, in_turns, settle_disk};
use crate::table::Table;

const BUCKET: &str = "peers";
const USER: &str = "peers";
const PASSWORD: &str = "peers-password";
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs all that goes to a store, and enters it in the table.
pub(crate) fn run(wanted: &Wanted, scratch: &Scratch, table: &mut Table) -> io::Result<()> {
    let share = wanted.share;
    let jobs = [
        (scratch.title("1 GB into S3", share), vec![1_000_000_000 / share], 1),
        (
            format!("1,000 files of 1 MiB into S3, {}", scratch.kind()),
            vec![1 << 20; usize::try_from(1000 / share).expect("few")],
            32,
        ),
    ];
    for (name, sizes, connections) in jobs {
        if !wanted.wants(&name) {
            continue;
        }
        let Some(minio) = minio() else {
            eprintln!("{name}: left out, MinIO is not installed (TIDEGATE_MINIO names its binary)");
            continue;
        };
        let there = Way::all(sizes.len()).into_iter().filter(|way| way.is_there(&name));
        let ways: Vec<_> = there.map(|way| (way.name(), way)).collect();
        let data = Data::of(Content::Random);
        let load = Load { data: &data, sizes: &sizes, connections, extension: None };
        let measured = in_turns(&name, &ways, wanted.rounds, scratch, |way, run| once(*way, &load, &minio, run))?;
        table.enter(&name, &ways.iter().map(|(name, _)| *name).collect::<Vec<_>>(), &sizes, &measured);
    }
    Ok(())
}

/// How the files get into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Tidegate(Speech),
    Client(Client),
}

/// A program that puts files into a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    /// MinIO's client, with all files at once.
    Mc,
    /// With as many transfers as there are connections.
    RcloneCopy,
    /// From a pipe, as a stream that is not a file arrives.
    RcloneCat,
}

impl Way {
    fn all(files: usize) -> Vec<Self> {
        let (plain, framed) = (Self::Tidegate(Speech::Plain), Self::Tidegate(Speech::Framed { window: 16 }));
        match files {
            1 => vec![plain, Self::Client(Client::Mc), Self::Client(Client::RcloneCopy), Self::Client(Client::RcloneCat)],
            _ => vec![plain, framed, Self::Client(Client::Mc), Self::Client(Client::RcloneCopy)],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Tidegate(Speech::Framed { .. }) => "tidegate, framed",
            Self::Tidegate(_) => "tidegate, plain",
            Self::Client(client) => client.name(),
        }
    }

    fn is_there(self, job: &str) -> bool {
        let there = match self {
            Self::Tidegate(_) => true,
            Self::Client(Client::Mc) => mc().is_some(),
            Self::Client(Client::RcloneCopy | Client::RcloneCat) => find("rclone").is_some(),
        };
        if !there {
            eprintln!("{job}: {} is left out, it is not installed", self.name());
        }
        there
    }
}

impl Client {
    fn name(self) -> &'static str {
        match self {
            Self::Mc => "mc cp",
            Self::RcloneCopy => "rclone copy",
            Self::RcloneCat => "rclone rcat",
        }
    }

    /// The command for what lies in `from`.
    fn command(self, from: &Path, load: &Load<'_>, endpoint: &str) -> io::Result<Command> {
        let mut command = match self {
            Self::Mc => {
                let mut command = Command::new(mc().ok_or_else(|| io::Error::other("mc is gone"))?);
                let address = endpoint.trim_start_matches("http://");
                command.env("MC_HOST_peers", format!("http://{USER}:{PASSWORD}@{address}"));
                command.arg("--config-dir").arg(from.with_extension("mc")).args(["--quiet", "cp", "--recursive"]);
                command.arg(format!("{}/", from.display())).arg(format!("peers/{BUCKET}/"));
                command
            }
            Self::RcloneCopy => {
                let mut command = rclone(endpoint);
                command
                    .args(["copy", "--transfers", &load.connections.to_string()])
                    .arg(from)
                    .arg(format!("peers:{BUCKET}"));
                command
            }
            Self::RcloneCat => {
                let mut command = rclone(endpoint);
                command.args(["rcat", &format!("peers:{BUCKET}/stream")]).stdin(File::open(from.join(load.name(0)))?);
                command
            }
        };
        command.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(command)
    }
}

fn once(way: Way, load: &Load<'_>, minio: &Path, run: &Path) -> io::Result<Measured> {
    let from = run.join("from");
    if let Way::Client(_) = way {
        load.store(&from)?;
    }
    settle_disk()?;
    let store = Store::start(minio, run)?;
    let start = Instant::now();
    let (seconds, cost) = match way {
        Way::Tidegate(speech) => through_tidegate(speech, load, &store, run)?,
        Way::Client(client) => {
            let cost = Process::start(&mut client.command(&from, load, &store.endpoint)?)?.finish()?;
            (start.elapsed().as_secs_f64(), cost)
        }
    };
    let stored = fs::read_dir(run.join("store").join(BUCKET))?.count();
    if stored == 0 {
        return Err(io::Error::other("nothing is stored"));
    }
    Ok(Measured { seconds, cost })
}

fn through_tidegate(speech: Speech, load: &Load<'_>, store: &Store, run: &Path) -> io::Result<(f64, Cost)> {
    let settings = [
        ("KIND", "s3"),
        ("S3__ENDPOINT", store.endpoint.as_str()),
        ("S3__BUCKET", BUCKET),
        ("S3__ALLOW_HTTP", "true"),
        ("S3__ACCESS_KEY_ID", USER),
        ("S3__SECRET_ACCESS_KEY", PASSWORD),
    ];
    let variables = settings.iter().map(|(key, value)| (format!("TIDEGATE__SINK__{key}"), (*value).to_owned())).collect();
    let port = free_port()?;
    let mut server = Process::start(&mut Server::Tidegate { variables }.command(run, port)?)?;
    server.listens(port)?;
    let start = Instant::now();
    load.send(port, speech)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok((seconds, server.stop()?))
}

/// A MinIO with an empty bucket; ended when it is dropped.
#[derive(Debug)]
struct Store {
    child: Child,
    endpoint: String,
}

impl Store {
    fn start(minio: &Path, run: &Path) -> io::Result<Self> {
        let (folder, port, console) = (run.join("store"), free_port()?, free_port()?);
        // A folder at the top of an empty store is a bucket.
        fs::create_dir_all(folder.join(BUCKET))?;
        let log = File::create(run.join("store.log"))?;
        let mut command = Command::new(minio);
        command.arg("server").arg(&folder).args(["--quiet", "--address", &format!("127.0.0.1:{port}")]);
        command.args(["--console-address", &format!("127.0.0.1:{console}")]);
        command.env("MINIO_ROOT_USER", USER).env("MINIO_ROOT_PASSWORD", PASSWORD).env("MINIO_BROWSER", "off");
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn()?;
        let mut store = Self { child, endpoint: format!("http://127.0.0.1:{port}") };
        wait_for(&mut store.child, port, START_TIMEOUT)?;
        store.wait_until_ready(port)?;
        Ok(store)
    }

    /// It listens before it can answer for its bucket.
    fn wait_until_ready(&self, port: u16) -> io::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let mut socket = std::net::TcpStream::connect(("127.0.0.1", port))?;
            socket.write_all(b"GET /minio/health/ready HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
            let mut answer = String::new();
            socket.read_to_string(&mut answer)?;
            if answer.starts_with("HTTP/1.1 200") {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(io::Error::other(format!("{} is not ready", self.endpoint)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let ended = self.child.kill().and_then(|()| self.child.wait());
        if let Err(error) = ended {
            eprintln!("MinIO does not end: {error}");
        }
    }
}

fn rclone(endpoint: &str) -> Command {
    let mut command = Command::new("rclone");
    let settings = [
        ("TYPE", "s3"),
        ("PROVIDER", "Minio"),
        ("ENDPOINT", endpoint),
        ("ACCESS_KEY_ID", USER),
        ("SECRET_ACCESS_KEY", PASSWORD),
    ];
    // No file of this user's shall have a say; and a bundle of certificates, which plain HTTP does not need, makes it fail.
    command.env("RCLONE_CONFIG", "/dev/null").env_remove("AWS_CA_BUNDLE");
    for (key, value) in settings {
        command.env(format!("RCLONE_CONFIG_PEERS_{key}"), value);
    }
    command
}

/// As the tests find it.
fn minio() -> Option<PathBuf> {
    std::env::var_os("TIDEGATE_MINIO").map(PathBuf::from).or_else(|| find("minio"))
}

/// MinIO's client: beside MinIO, or in the PATH, where another program may have its name.
fn mc() -> Option<PathBuf> {
    let beside = minio()?.with_file_name("mc");
    if beside.is_file() { Some(beside) } else { find("mc").or_else(|| find("mcli")) }
}
