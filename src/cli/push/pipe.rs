//! A blocking reader on a thread of its own.
//!
//! A read from a terminal or a pipe may never return, and a runtime waits for its own blocking reads when it ends: a push
//! that has its answer, or is interrupted, would hang until the next line is typed. A plain thread ends with the process.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;

/// Bytes a read.
const READ_BYTES: usize = 256 * 1024;

/// Reads that wait to be taken.
const READS_AHEAD: usize = 2;

/// Opens and reads on a thread; at most 768 KiB are in memory.
pub(super) fn read<R: Read + 'static>(open: impl FnOnce() -> io::Result<R> + Send + 'static) -> impl AsyncRead + Send {
    let (sender, reads) = mpsc::channel(READS_AHEAD);
    std::thread::spawn(move || match open() {
        Ok(reader) => pass(reader, &sender),
        // Nobody is left to be told where the receiver has gone.
        Err(cause) => drop(sender.blocking_send(Err(cause))),
    });
    Piped { reads, rest: Bytes::new(), ended: false }
}

fn pass(mut reader: impl Read, sender: &mpsc::Sender<io::Result<Bytes>>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let read = match reader.read(&mut buffer) {
            // An end that is said: a thread that merely stops has not read to the end.
            Ok(0) => return drop(sender.blocking_send(Ok(Bytes::new()))),
            Ok(read) => Ok(Bytes::copy_from_slice(&buffer[..read])),
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => Err(cause),
        };
        let failed = read.is_err();
        if sender.blocking_send(read).is_err() || failed {
            return;
        }
    }
}

struct Piped {
    reads: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
    /// Whether the end was said.
    ended: bool,
}

impl AsyncRead for Piped {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.reads.poll_recv(context)) {
                Some(read) => self.rest = read?,
                None if self.ended => {}
                None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
            }
        }
        self.ended |= self.rest.is_empty();
        let taken = self.rest.len().min(into.remaining());
        into.put_slice(&self.rest[..taken]);
        self.rest.advance(taken);
        Poll::Ready(Ok(()))
    }
}
