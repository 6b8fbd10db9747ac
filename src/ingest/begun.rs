//! An upload that the sink has a place for: takes the bytes, and cuts them where the sink wants to save how far it has come.

use bytes::Bytes;
use tokio::time::Instant;
use tokio::time::error::Elapsed;

use super::{Body, Landed, Open, Piece, too_large, too_slow};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Digest, Note};

/// What is still taken of a body whose upload goes on elsewhere: it has come already, and would be sent again.
const LATE_BYTES: u64 = 8 << 20;

/// An upload that waits for its bytes.
#[derive(Debug)]
#[must_use = "a begun upload is neither received nor given up yet"]
pub struct Begun {
    open: Open,
    max_bytes: u64,
    deadline: Instant,
    late_bytes: u64,
}

impl Begun {
    pub(super) fn new(open: Open, max_bytes: u64, deadline: Instant) -> Self {
        Self { open, max_bytes, deadline, late_bytes: 0 }
    }

    /// Bytes that are there already: where the sender must continue.
    pub fn offset(&self) -> u64 {
        self.open.staged.offset()
    }

    /// Takes the body from [`Begun::offset`] on. What fails is kept or given up, counted and logged before this returns.
    ///
    /// # Errors
    /// Whatever ends the upload before it can be committed.
    pub async fn receive(mut self, body: &mut impl Body) -> Result<Landed> {
        match self.pump(body).await {
            Ok(claim) => Ok(Landed::new(self.open, claim)),
            Err(error) => Err(self.open.end(error).await),
        }
    }

    /// Ends the upload because of `error`, which is counted, logged and returned.
    pub async fn abandon(self, error: Error) -> Error {
        self.open.end(error).await
    }

    async fn pump(&mut self, body: &mut impl Body) -> Result<Option<Digest>> {
        let mut bytes = self.offset();
        loop {
            let chunk = match self.next_piece(body, bytes).await? {
                Piece::Bytes(chunk) => chunk,
                Piece::Alive => continue,
                Piece::End(claim) => return self.open.staged.spec().check_size(bytes).map(|()| claim),
            };
            bytes += chunk.len() as u64;
            self.open.pump.metrics.received(chunk.len() as u64);
            self.open.course.came(chunk.len() as u64);
            if self.open.turn.wanted().is_cancelled() {
                self.late_bytes += chunk.len() as u64;
            }
            if bytes > self.max_bytes {
                return Err(too_large(self.open.staged.spec(), "more", self.max_bytes));
            }
            self.write(chunk).await?;
        }
    }

    async fn write(&mut self, mut chunk: Bytes) -> Result<()> {
        let (deadline, Open { staged, pump, .. }) = (Some(self.deadline), &mut self.open);
        while !chunk.is_empty() {
            let room = staged.until_checkpoint();
            let piece = chunk.split_to(chunk.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            let left = room - piece.len() as u64;
            pump.step("writing it", deadline, staged.write(piece)).await?;
            if left == 0 {
                pump.step("saving how far it came", deadline, staged.checkpoint(Note::default())).await?;
            }
        }
        Ok(())
    }

    async fn next_piece(&mut self, body: &mut impl Body, bytes: u64) -> Result<Piece> {
        let (bounds, wanted) = (&self.open.pump.bounds, self.open.turn.wanted());
        let taken_over = || {
            let message = format!("another connection goes on with it after {bytes} bytes");
            Error::new(ErrorKind::Incomplete, message)
        };
        if self.late_bytes > LATE_BYTES {
            return Err(taken_over());
        }
        let idle = Instant::now() + bounds.idle_timeout;
        tokio::select! {
            biased;
            () = self.open.pump.stop.cancelled() => {
                Err(Error::new(ErrorKind::ShuttingDown, format!("the server stopped after {bytes} bytes; send it again")))
            }
            piece = tokio::time::timeout_at(idle.min(self.deadline), body.next()) => match piece {
                Ok(piece) => piece,
                Err(Elapsed { .. }) if self.deadline < idle => {
                    let message = format!("not complete within {:?} ({bytes} bytes came)", bounds.upload_timeout);
                    Err(Error::new(ErrorKind::Timeout, message))
                }
                Err(Elapsed { .. }) => {
                    let message = format!("nothing came for {:?} after {bytes} bytes", bounds.idle_timeout);
                    Err(Error::new(ErrorKind::Timeout, message))
                }
            },
            () = wanted.cancelled() => Err(taken_over()),
            () = self.open.pump.gives_way.cancelled() => Err(too_slow(&format!("the upload was slow ({bytes} bytes came)"))),
        }
    }
}
