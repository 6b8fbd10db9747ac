//! A hostile connection: sends exactly what a test wants, blocks never for longer than the
//! deadline.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::Victim;
use crate::common::serve::DEADLINE;

/// A connection to a victim.
pub(crate) struct Attacker(TcpStream);

impl Attacker {
    pub(crate) fn connect(victim: &Victim) -> Self {
        Self::connect_from(victim, "127.0.0.1")
    }

    /// From an address of this machine: any of 127.0.0.0/8.
    pub(crate) fn connect_from(victim: &Victim, address: &str) -> Self {
        let server: SocketAddr = victim.serve.address.parse().unwrap();
        Self::reach(server, address).unwrap_or_else(|error| panic!("from {address} to {server}: {error}"))
    }

    /// To any port, such as the admin listener's.
    pub(crate) fn reach(server: SocketAddr, from: &str) -> std::io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from.parse().unwrap(), 0).into())?;
        socket.connect_timeout(&server.into(), DEADLINE)?;
        socket.set_tcp_nodelay(true)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self(stream))
    }

    /// The socket itself, with other deadlines.
    pub(crate) fn into_stream(self, deadline: Duration) -> TcpStream {
        self.waits(deadline);
        self.0
    }

    /// Sets another deadline for each read and write.
    pub(crate) fn waits(&self, deadline: Duration) {
        self.0.set_read_timeout(Some(deadline)).unwrap();
        self.0.set_write_timeout(Some(deadline)).unwrap();
    }

    /// Sends all of it, unless the server has closed, or takes nothing within the deadline; whether
    /// it was taken.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Sends what the system takes without waiting; how much that is.
    ///
    /// # Errors
    /// Where the server has closed.
    pub(crate) fn send_now(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.set_nonblocking(true)?;
        let mut sent = 0;
        let failed = loop {
            match self.0.write(&bytes[sent..]) {
                _ if sent == bytes.len() => break None,
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break None,
                Err(error) => break Some(error),
            }
        };
        self.0.set_nonblocking(false)?;
        failed.map_or(Ok(sent), Err)
    }

    /// Ends the sending side.
    pub(crate) fn end(&mut self) {
        self.shutdown(Shutdown::Write);
    }

    pub(crate) fn shutdown(&self, side: Shutdown) {
        // The server may have closed already.
        let _ = self.0.shutdown(side);
    }

    /// Closes with a reset instead of an end.
    pub(crate) fn reset(self) {
        let _ = socket2::SockRef::from(&self.0).set_linger(Some(Duration::ZERO));
    }

    /// All that the server still says, until it closes or the deadline passes.
    pub(crate) fn rest(mut self) -> String {
        let mut answer = Vec::new();
        let _ = self.0.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The next line, without its newline; `None` where none comes.
    pub(crate) fn line(&mut self) -> Option<String> {
        read_line(&mut self.0)
    }
}

/// A byte at a time, so that nothing behind the line is taken.
pub(crate) fn read_line(stream: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|read| read == 1) {
        if byte == *b"\n" {
            return Some(String::from_utf8_lossy(&line).into_owned());
        }
        line.push(byte[0]);
    }
    None
}

/// Thousands of sockets in this process need more descriptors than the usual soft limit allows.
/// Gives back how many there are.
pub(crate) fn raise_open_files_limit() -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).unwrap();
    maximum.unwrap_or(u64::MAX)
}
