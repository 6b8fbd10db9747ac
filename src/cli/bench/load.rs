//! The load: which file is the next, until it is time to begin none any more. All connections share it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::body::Body;
use super::book::{Book, Failure};
use super::mix::Mix;
use crate::error::ErrorKind;

/// What all connections work on.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) server: Vec<SocketAddr>,
    pub(super) mix: Mix,
    /// One for each size of the mix.
    pub(super) bodies: Vec<Body>,
    pub(super) names: Names,
    pub(super) end: End,
    pub(super) book: Book,
    next: AtomicU64,
    stopped: AtomicBool,
}

/// Whereby files are called.
#[derive(Debug)]
pub(super) struct Names {
    /// What no other run has.
    pub(super) run: String,
    /// It ends with the run.
    pub(super) prefix: String,
    pub(super) extension: &'static str,
}

/// When no further file is begun.
#[derive(Debug, Clone, Copy)]
pub(super) enum End {
    /// After so many.
    Files(u64),
    /// From then on.
    At(Instant),
}

/// A file that is to be sent.
#[derive(Debug)]
pub(super) struct File<'a> {
    /// Who its upload is.
    pub(super) id: String,
    pub(super) name: String,
    /// Which of the sizes it has.
    pub(super) class: usize,
    pub(super) body: &'a Body,
}

impl Load {
    pub(super) fn new(server: Vec<SocketAddr>, mix: Mix, bodies: Vec<Body>, names: Names, end: End) -> Self {
        let book = Book::new(mix.0.len());
        Self { server, mix, bodies, names, end, book, next: AtomicU64::new(0), stopped: AtomicBool::new(false) }
    }

    /// The next file, which nobody else gets; `None` where no further one shall be begun.
    pub(super) fn next(&self) -> Option<File<'_>> {
        let over = || match self.end {
            End::Files(_) => false,
            End::At(end) => Instant::now() >= end,
        };
        if self.stopped.load(Ordering::Relaxed) || over() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if matches!(self.end, End::Files(files) if number >= files) {
            return None;
        }
        self.book.begun();
        let class = self.mix.pick(number);
        let Names { run, prefix, extension } = &self.names;
        Some(File {
            id: format!("{run}-{number:07}"),
            name: format!("{prefix}{number:07}.{extension}"),
            class,
            body: &self.bodies[class],
        })
    }

    /// Lets no further file begin.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

impl File<'_> {
    /// Holds a receipt against what was sent.
    pub(super) fn check(&self, key: &str, size: u64, digest: &str) -> Result<(), Failure> {
        let Body { size: sent, digest: hashed, .. } = self.body;
        if size != *sent {
            let message = format!("the receipt is for {size} bytes, {sent} were sent");
            return Err(Failure::new(ErrorKind::SizeMismatch, message));
        }
        if let Some(hashed) = hashed.as_ref().filter(|hashed| *hashed != digest) {
            let message = format!("the receipt is for {digest}, but what was sent has {hashed}");
            return Err(Failure::new(ErrorKind::DigestMismatch, message));
        }
        if key != self.name {
            return Err(Failure::new(ErrorKind::Conflict, format!("the name was taken, and the file lies as {key}")));
        }
        Ok(())
    }
}
