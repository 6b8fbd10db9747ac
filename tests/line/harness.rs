//! The built server, set up as a test wants it, and senders that say what they are told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use tempfile::TempDir;

use crate::common::serve::{DEADLINE, Serve, until};

/// A server on a folder of its own.
pub(crate) struct Server {
    pub(crate) serve: Serve,
    _folder: TempDir,
}

impl Server {
    /// With these keys set; only a newline ends a header, unless they say otherwise.
    pub(crate) fn with(keys: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("serve").env("TIDEGATE__PLAIN__HEADER", "line");
        for (key, value) in keys {
            command.env(format!("TIDEGATE__{}", key.to_uppercase().replace('.', "__")), value);
        }
        let serve = Serve::run(&mut command, &folder.path().join("store"));
        Self { serve, _folder: folder }
    }

    /// The value of a counter or a gauge, by the beginning of its line.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let metrics = self.serve.get("/metrics");
        metrics.lines().find_map(|candidate| candidate.strip_prefix(line)?.trim().parse().ok()).unwrap_or(0)
    }

    /// Waits until nobody holds a place any more, and the last commit, which may outlive its connection, has ended.
    pub(crate) fn until_alone(&self) {
        until("the end of every connection", || self.metric("tidegate_connections ") == 0);
        until("the end of every upload", || self.metric("tidegate_uploads_in_flight ") == 0);
    }

    /// Once nobody holds a place any more, nothing is there: neither a file nor a part of one.
    pub(crate) fn left_nothing(&self, of: &str) {
        self.until_alone();
        assert_eq!((self.serve.visible(), self.serve.staged()), (vec![], vec![]), "{of}");
    }

    /// The content of a file that a reader of the store sees.
    pub(crate) fn stored(&self, name: &str) -> Option<Vec<u8>> {
        std::fs::read(self.serve.root.join(name)).ok()
    }

    /// A sender that has no trouble is served.
    pub(crate) fn serves(&self, name: &str) {
        let answer = self.serve.exchange(format!("{name} 4\nx\n1\n").as_bytes());
        assert!(answer.starts_with(&format!("OK {name} 4 ")), "{answer}");
    }
}

/// A connection that waits for as long as a test does.
pub(crate) fn connect(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Sends, ends, and reads all that comes; a line that breaks on the way ends it too.
pub(crate) fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut socket = connect(address);
    let _ = socket.write_all(bytes);
    let _ = socket.shutdown(Shutdown::Write);
    rest(socket)
}

/// All that still comes until the end.
pub(crate) fn rest(mut socket: TcpStream) -> String {
    let mut answer = Vec::new();
    let ended = socket.read_to_end(&mut answer);
    let waited_in_vain =
        |error: &std::io::Error| matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
    let shown = String::from_utf8_lossy(&answer).into_owned();
    assert!(!ended.is_err_and(|error| waited_in_vain(&error)), "the server does not end this; it said: {shown:?}");
    shown
}
