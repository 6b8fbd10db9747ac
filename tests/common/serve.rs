//! The built server as a process of its own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a test waits for what must come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// A server that stores below a folder; killed when dropped.
pub(crate) struct Serve {
    pub child: Child,
    pub address: String,
    pub admin: String,
    pub root: PathBuf,
}

impl Serve {
    pub(crate) fn below(root: &Path) -> Self {
        Self::run(Command::new(env!("CARGO_BIN_EXE_tidegate")).arg("serve"), root)
    }

    /// Runs a command that ends up in `tidegate serve`.
    pub(crate) fn run(command: &mut Command, root: &Path) -> Self {
        let mut child = command
            .env("TIDEGATE__LISTEN__TCP", "127.0.0.1:0")
            .env("TIDEGATE__LISTEN__ADMIN", "127.0.0.1:0")
            .env("TIDEGATE__SINK__FS__ROOT", root)
            .envs(small_disk(root))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let listening = said.find_map(|line| Some(line.unwrap().trim().strip_prefix("listening  ")?.to_owned())).unwrap();
        // The greeting's last line says that all is set up.
        said.find(|line| line.as_ref().unwrap().trim().starts_with("try ")).unwrap().unwrap();
        let address = listening.split(' ').next().unwrap().to_owned();
        let admin = listening.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
        Self { child, address, admin, root: root.to_owned() }
    }

    /// Sends, ends, and reads the whole answer.
    pub(crate) fn exchange(&self, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        // The server may have refused and closed already.
        let _ = socket.write_all(bytes);
        let _ = socket.shutdown(Shutdown::Write);
        let mut answer = String::new();
        let _ = socket.read_to_string(&mut answer);
        answer
    }

    /// An upload whose end never comes: begun, and known to have reached the staging folder. It must be announced to be larger
    /// than what is held back.
    pub(crate) fn begin(&self, bytes: &[u8]) -> TcpStream {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        socket.write_all(bytes).unwrap();
        until("the staged file", || !self.staged().is_empty());
        socket
    }

    pub(crate) fn get(&self, path: &str) -> String {
        let mut socket = TcpStream::connect(&self.admin).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn staged(&self) -> Vec<PathBuf> {
        let mut staged = files(&self.root.join(".tidegate"));
        staged.retain(|path| !path.starts_with(self.root.join(".tidegate/ledger")));
        staged
    }

    /// What a reader of the store sees.
    pub(crate) fn visible(&self) -> Vec<PathBuf> {
        let all = files(&self.root).into_iter();
        all.filter_map(|path| path.strip_prefix(&self.root).ok().map(Path::to_owned))
            .filter(|path| !path.starts_with(".tidegate"))
            .collect()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        // What runs it (strace) would leave it running.
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        for child in children.split_whitespace() {
            let _ = Command::new("kill").args(["-KILL", child]).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A disk of a few megabytes can't leave as much free as the default asks for.
fn small_disk(root: &Path) -> Option<(&'static str, &'static str)> {
    let stat = rustix::fs::statvfs(root.parent().unwrap_or(root)).ok()?;
    (stat.f_blocks * stat.f_frsize < 64 << 20).then_some(("TIDEGATE__SINK__FS__MIN_FREE", "64KiB"))
}

/// Every file below a folder, in order.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                // Renamed or removed while we look.
                Err(_) => {}
            }
        }
    }
    found.sort();
    found
}

/// Waits until `condition` holds.
pub(crate) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "{what} did not happen within {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a tool is here, tried with an argument that does no harm; where it is not, says in one line what is left out.
pub(crate) fn has(tool: &str, harmless: &str, test: &str) -> bool {
    let found = Command::new(tool).arg(harmless).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        super::left_out(&format!("{test} (no {tool} on this machine)"));
    }
    found
}
