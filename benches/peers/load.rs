//! The sender: the same for all servers, but for what each of them wants to hear before and after a file.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::data::Data;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speech {
    /// A connection for each file: name, size, newline, bytes, half-close. A server that answers says `OK`.
    Plain,
    /// The bytes and nothing else, for a server that knows where they go.
    Bare,
    /// HTTP/1.1 `PUT`, any number on a connection.
    Put,
    /// tidegate's framed protocol, with so many files of a connection under way at once.
    Framed { window: usize },
}

/// Some files, sent over some connections.
#[derive(Debug)]
pub(crate) struct Load<'a> {
    pub(crate) data: &'a Data,
    /// As [`Data::size`] has them.
    pub(crate) sizes: &'a [u64],
    pub(crate) connections: usize,
    /// In the place of what the content asks for.
    pub(crate) extension: Option<&'static str>,
}

/// A server that says nothing for so long has failed.
const PATIENCE: Duration = Duration::from_mins(2);

impl Load<'_> {
    /// The name of a file.
    pub(crate) fn name(&self, index: usize) -> String {
        format!("f{:03}/{index:06}.{}", index % 16, self.extension.unwrap_or(self.data.content().extension()))
    }

    /// Sends all files; answers with the time from the first connection to the last answer.
    pub(crate) fn send(&self, port: u16, speech: Speech) -> io::Result<Duration> {
        let next = AtomicUsize::new(0);
        let start = Instant::now();
        thread::scope(|scope| {
            let senders: Vec<_> =
                (0..self.connections).map(|_| scope.spawn(|| self.send_some(port, speech, &next))).collect();
            senders.into_iter().try_for_each(|sender| sender.join().expect("a sender does not panic"))
        })?;
        Ok(start.elapsed())
    }

    /// Writes all files into a folder, for those that read files.
    pub(crate) fn store(&self, folder: &Path) -> io::Result<()> {
        for (index, size) in self.sizes.iter().enumerate() {
            let path = folder.join(self.name(index));
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            self.data.write(*size, &mut Vec::new(), &mut File::create(path)?)?;
        }
        Ok(())
    }

    fn send_some(&self, port: u16, speech: Speech, next: &AtomicUsize) -> io::Result<()> {
        let files = std::iter::from_fn(|| {
            let index = next.fetch_add(1, Ordering::Relaxed);
            self.sizes.get(index).map(|size| (index, *size))
        });
        match speech {
            Speech::Plain | Speech::Bare => self.one_by_one(port, speech, files),
            Speech::Put => self.put(port, files),
            Speech::Framed { window } => self.framed(port, window, files),
        }
    }

    fn one_by_one(&self, port: u16, speech: Speech, files: impl Iterator<Item = (usize, u64)>) -> io::Result<()> {
        let (mut ahead, mut answer) = (Vec::new(), String::new());
        for (index, size) in files {
            let mut socket = connect(port)?;
            ahead.clear();
            if speech == Speech::Plain {
                writeln!(ahead, "{} {size}", self.name(index))?;
            }
            self.data.write(size, &mut ahead, &mut socket)?;
            socket.shutdown(Shutdown::Write)?;
            answer.clear();
            socket.read_to_string(&mut answer)?;
            if !(answer.is_empty() || answer.starts_with("OK ")) {
                return Err(io::Error::other(answer));
            }
        }
        Ok(())
    }

    fn put(&self, port: u16, files: impl Iterator<Item = (usize, u64)>) -> io::Result<()> {
        let mut ahead = Vec::new();
        let mut reader = BufReader::new(connect(port)?);
        for (index, size) in files {
            ahead.clear();
            write!(ahead, "PUT /{} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {size}\r\n\r\n", self.name(index))?;
            self.data.write(size, &mut ahead, reader.get_mut())?;
            if read_response(&mut reader)? == Connection::Closes {
                reader = BufReader::new(connect(port)?);
            }
        }
        Ok(())
    }

    fn framed(&self, port: u16, window: usize, files: impl Iterator<Item = (usize, u64)>) -> io::Result<()> {
        let (mut ahead, mut under_way) = (Vec::new(), 0);
        let mut reader = BufReader::new(connect(port)?);
        for (index, size) in files {
            ahead.clear();
            writeln!(ahead, "{{\"op\":\"put\",\"name\":\"{}\",\"size\":{size}}}", self.name(index))?;
            self.data.write(size, &mut ahead, reader.get_mut())?;
            under_way += 1;
            if under_way == window {
                read_receipt(&mut reader)?;
                under_way -= 1;
            }
        }
        (0..under_way).try_for_each(|_| read_receipt(&mut reader))
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(("127.0.0.1", port))?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[derive(Debug, PartialEq, Eq)]
enum Connection {
    Stays,
    Closes,
}

/// Reads a response that ends by its `Content-Length`, as those to a `PUT` do here.
fn read_response(reader: &mut impl BufRead) -> io::Result<Connection> {
    let mut line = String::new();
    let mut next_line = |reader: &mut dyn BufRead| {
        line.clear();
        reader.read_line(&mut line).map(|_| line.trim_end().to_ascii_lowercase())
    };
    let status = next_line(reader)?;
    if !status.starts_with("http/1.1 2") {
        return Err(io::Error::new(ErrorKind::InvalidData, format!("PUT was answered {status:?}")));
    }
    let (mut length, mut connection) = (0, Connection::Stays);
    loop {
        let header = next_line(reader)?;
        match header.split_once(':').map(|(name, value)| (name, value.trim())) {
            None => break,
            Some(("content-length", bytes)) => length = bytes.parse().map_err(io::Error::other)?,
            Some(("connection", "close")) => connection = Connection::Closes,
            Some(("transfer-encoding", how)) => return Err(io::Error::other(format!("{how} is not read here"))),
            Some(_) => {}
        }
    }
    io::copy(&mut reader.take(length), &mut io::sink())?;
    Ok(connection)
}

fn read_receipt(reader: &mut impl BufRead) -> io::Result<()> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    if line.starts_with("{\"event\":\"committed\"") { Ok(()) } else { Err(io::Error::other(line)) }
}
