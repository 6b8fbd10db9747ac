//! Servers that a test binary starts once, and that end with it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs `"$2" …` on the folder `$1` until standard input ends, which it does when the test binary
/// does, however that ends.
const WATCHDOG: &str = r#"folder=$1; shift; "$@" >"$folder/log" 2>&1 & read -r _; kill -9 $!; wait; rm -rf "$folder""#;

const DEADLINE: Duration = Duration::from_mins(1);

/// A server with a folder of its own.
#[derive(Debug)]
pub struct Server {
    pub address: String,
    _watchdog: Child,
}

/// How to start a server.
pub struct Start<'a> {
    pub program: &'a Path,
    /// With the folder, and addresses that were free a moment ago: the first one is asked whether
    /// it is ready.
    pub arguments: fn(&Path, &[String]) -> Vec<String>,
    pub addresses: usize,
    pub environment: &'a [(&'a str, &'a str)],
    /// A path, and what is answered there.
    pub is_ready: (&'a str, fn(&str) -> bool),
}

impl Start<'_> {
    /// Another process may take a port between its choice and its use, so it is tried more than once.
    pub fn start(&self) -> Server {
        let mut logs = String::new();
        for _ in 0..3 {
            match self.try_start() {
                Ok(server) => return server,
                Err(log) => logs.push_str(&log),
            }
        }
        panic!("{} is not ready after three times {DEADLINE:?}: {logs}", self.program.display());
    }

    fn try_start(&self) -> Result<Server, String> {
        let folder = tempfile::TempDir::new().unwrap().keep();
        // All are held until all are chosen, so that they differ.
        let listeners: Vec<_> = (0..self.addresses).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap().to_string()).collect();
        drop(listeners);
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "sh"])
            .arg(&folder)
            .arg(self.program)
            .args((self.arguments)(&folder, &addresses))
            .envs(self.environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (path, is_ready) = self.is_ready;
        let deadline = Instant::now() + DEADLINE;
        while !ask(&addresses[0], path).is_ok_and(|answer| is_ready(&answer)) {
            if Instant::now() > deadline {
                let log = std::fs::read(folder.join("log")).unwrap_or_default();
                drop(watchdog.stdin.take());
                watchdog.wait().unwrap();
                return Err(String::from_utf8_lossy(&log).into_owned());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(Server { address: addresses[0].clone(), _watchdog: watchdog })
    }
}

/// The program that a variable names, or that is called so on the `PATH`.
pub fn program(variable: &str, name: &str) -> Option<PathBuf> {
    if let Some(program) = std::env::var_os(variable) {
        return Some(program.into());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

fn ask(address: &str, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: store\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
