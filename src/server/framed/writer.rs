//! Answers, in the order of the requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};

use tokio_util::sync::CancellationToken;

use crate::budget::{Budget, Lease, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::Receipt;
use crate::wire::framed::{Event, encode_event};

/// What the sender is to be told next.
#[derive(Debug)]
pub(super) enum Answer {
    /// This.
    Now(Line),
    /// The outcome of the commit of this upload.
    Commit { id: String, line: JoinHandle<Line> },
}

/// How long an answer may take to a sender whose connection gives way to another one.
const LAST_WRITE_TIMEOUT: Duration = Duration::from_millis(100);

/// An answer with the memory that it takes until the sender has read it.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    _lease: Lease,
}

/// The part of its connection's share that an answer may take, in bytes.
const SHARE_BYTES: usize = 2 << 10;

impl Line {
    /// The line for an event. A long line waits for memory, 5 s at most; without memory, the report
    /// is left out.
    pub(super) async fn of(event: Event, budget: &Arc<Budget>) -> Self {
        let mut lease = budget.lease(Use::Answers);
        let text = encode_event(&event);
        if text.len() <= SHARE_BYTES || lease.grow(text.len()).await.is_ok() {
            return Self { text, _lease: lease };
        }
        tracing::warn!(bytes = text.len(), "report left out of an answer for want of memory");
        Self { text: encode_event(&event.without_report()), _lease: lease }
    }
}

/// Writes answers until there are no more, or the sender takes none. Commits go on by themselves then. Each answer that is
/// written is taken off `unwritten`.
pub(super) async fn run(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Answer>,
    unwritten: Arc<watch::Sender<usize>>,
    (timeout, gives_way): (Duration, CancellationToken),
) {
    while let Some(answer) = queue.recv().await {
        // The memory is held until the line is written.
        let line = match answer {
            Answer::Now(line) => Ok(line),
            Answer::Commit { id, line } => line.await.map_err(|panic| ended_early(id, panic)),
        };
        let text = line.as_ref().map_or_else(String::as_str, |line| line.text.as_str());
        let given_up = async {
            gives_way.cancelled().await;
            tokio::time::sleep(LAST_WRITE_TIMEOUT).await;
        };
        let written = tokio::select! {
            written = tokio::time::timeout(timeout, socket.write_all(text.as_bytes())) => written,
            () = given_up => return,
        };
        match written {
            Ok(Ok(())) => unwritten.send_modify(|count| *count -= 1),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the sender takes no more answers");
                return;
            }
            Err(_elapsed) => {
                tracing::info!(?timeout, "the sender does not read its answers; closing");
                return;
            }
        }
    }
    if let Err(error) = socket.shutdown().await {
        tracing::debug!(%error, "ending the answers");
    }
}

/// The event that reports the outcome of a commit.
pub(super) fn outcome(id: String, outcome: Result<Receipt>) -> Event {
    match outcome {
        Ok(receipt) => Event::Committed { id, receipt },
        Err(error) => Event::from_error(id, &error),
    }
}

fn ended_early(id: String, panic: JoinError) -> String {
    let error = Error::new(ErrorKind::Unknown, "the commit ended early").because(panic);
    tracing::error!(%error, "commit ended early");
    encode_event(&Event::from_error(id, &error))
}
