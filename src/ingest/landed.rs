//! An upload whose bytes have all come: commits it, and does not lose sight of the commit where nobody waits for it.

use std::time::Instant;

use tokio::sync::oneshot;
use tokio::time::error::Elapsed;
use tracing::Instrument;

use super::Open;
use super::outcome::{of_store, refused, report};
use crate::error::{Error, ErrorKind, Result};
#[cfg(doc)]
use crate::sink::Staged;
use crate::upload::{Digest, Ending, Receipt, UploadSpec};

/// An upload whose bytes are all staged.
#[derive(Debug)]
#[must_use = "a landed upload is neither committed nor given up yet"]
pub struct Landed {
    open: Open,
    claim: Option<Digest>,
}

impl Landed {
    pub(super) fn new(open: Open, claim: Option<Digest>) -> Self {
        Self { open, claim }
    }

    /// What was announced.
    pub fn spec(&self) -> &UploadSpec {
        self.open.staged.spec()
    }

    /// Commits, counts and logs. `held` is dropped when the commit has ended, also where nobody waits for it any more.
    ///
    /// # Errors
    /// As [`Staged::commit`]; [`ErrorKind::Unknown`] where the commit takes longer than `commit_timeout`. It then goes on by
    /// itself: given up halfway, it could leave something behind. How it ends is counted and logged once more.
    pub async fn commit<T: Send + 'static>(self, held: T) -> Result<Receipt> {
        let Self { open: Open { staged, turn, course, in_flight, pump }, claim } = self;
        let spec = staged.spec().clone();
        let (tell, told) = oneshot::channel();
        let commit = {
            let (pump, spec) = (pump.clone(), spec.clone());
            async move {
                let began = Instant::now();
                let outcome = staged.commit(Ending { claim, verdict: None }).await.map_err(of_store);
                pump.metrics.commit_took(began.elapsed());
                report(&pump, &spec, course, &outcome);
                drop((turn, in_flight, held));
                if let Err(outcome) = tell.send(outcome) {
                    tracing::warn!(key = %spec.key, committed = outcome.is_ok(), "a commit that nobody waited for has ended");
                }
            }
        };
        pump.tasks.spawn(commit.in_current_span());
        let timeout = pump.bounds.commit_timeout;
        match tokio::time::timeout(timeout, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panicked)) => {
                Err(refused(&pump, &spec, course, Error::new(ErrorKind::Unknown, "the commit ended early")))
            }
            Err(Elapsed { .. }) => {
                let message = format!("the store did not confirm within {timeout:?}; send it again to learn how it ended");
                Err(refused(&pump, &spec, course, Error::new(ErrorKind::Unknown, message)))
            }
        }
    }

    /// Ends the upload because of `error`, which is counted, logged and returned.
    pub async fn abandon(self, error: Error) -> Error {
        self.open.end(error).await
    }
}
