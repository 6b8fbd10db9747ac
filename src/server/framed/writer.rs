//! Answers, in the order of the requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::error::{Error, ErrorKind, Result};
use crate::upload::Receipt;
use crate::wire::framed::{Event, encode_event};

/// What the sender is to be told next.
#[derive(Debug)]
pub(super) enum Answer {
    /// This.
    Now(Event),
    /// What comes of this commit.
    Commit { id: String, commit: JoinHandle<Result<Receipt>> },
}

/// Writes answers until there are no more, or the sender takes none. Commits go on by themselves then. Each answer that is
/// written is taken off `unwritten`.
pub(super) async fn run(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Answer>,
    unwritten: Arc<watch::Sender<usize>>,
    timeout: Duration,
) {
    while let Some(answer) = queue.recv().await {
        let event = match answer {
            Answer::Now(event) => event,
            Answer::Commit { id, commit } => outcome(id, commit).await,
        };
        match tokio::time::timeout(timeout, socket.write_all(encode_event(&event).as_bytes())).await {
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

async fn outcome(id: String, commit: JoinHandle<Result<Receipt>>) -> Event {
    match commit.await {
        Ok(Ok(receipt)) => Event::Committed { id, receipt },
        Ok(Err(error)) => Event::from_error(id, &error),
        Err(panic) => {
            let error = Error::new(ErrorKind::Unknown, "the commit ended early").because(panic);
            tracing::error!(%error, "a commit ended early");
            Event::from_error(id, &error)
        }
    }
}
