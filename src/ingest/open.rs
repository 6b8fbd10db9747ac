//! What an upload holds while it is under way, and how it ends where it does not come to a commit.

use std::time::Duration;

use tokio::time::error::Elapsed;
use tracing::Instrument;

use super::outcome::Course;
use super::{Ingest, Turn};
use crate::budget::OutOfMemory;
use crate::error::{Error, ErrorKind, Fault};
use crate::metrics::InFlight;
use crate::sink::Staged;
use crate::upload::{Note, WhenCut};

/// An upload's place in the sink, and its right to it.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) staged: Box<dyn Staged>,
    /// Given back when the sink is done with the upload, and not before.
    pub(super) turn: Turn,
    pub(super) course: Course,
    pub(super) in_flight: InFlight,
    pub(super) pump: Ingest,
}

impl Open {
    /// Ends an upload because of `error`, which is counted, logged and returned. Where what went wrong may pass and its sender
    /// may come back, what has come of it is kept, and the error says so; otherwise it is given up.
    pub(super) async fn end(self, error: Error) -> Error {
        let Self { staged, turn, course, in_flight: _held, pump } = self;
        let spec = staged.spec().clone();
        if spec.when_cut == WhenCut::Drop || !passes(&error) {
            pump.finish(turn, give_up(staged)).await;
            return pump.ended(&spec, course, error);
        }
        let kept = pump.finish(turn, keep(staged)).await.unwrap_or(0);
        pump.ended(&spec, course, told_what_is_kept(error, kept, pump.bounds.resume_ttl))
    }
}

impl Ingest {
    /// Ends an upload. That goes on to its end even where the store is too slow for anybody to wait for it; `None` then.
    async fn finish<T: Send + 'static>(&self, turn: Turn, work: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let ending = async move {
            let done = work.await;
            drop(turn);
            done
        };
        let ending = self.tasks.spawn(ending.in_current_span());
        match tokio::time::timeout(self.bounds.commit_timeout, ending).await {
            Ok(Ok(done)) => return Some(done),
            Ok(Err(panic)) => tracing::error!(error = %panic, "ending an upload failed"),
            Err(Elapsed { .. }) => tracing::warn!("ending an upload takes long"),
        }
        None
    }
}

/// Whether the same upload may well succeed when it goes on. A full store gets room by giving up,
/// and what is busy is not ours, unless it is the memory.
fn passes(error: &Error) -> bool {
    let is_ours = error.kind() != ErrorKind::Busy || error.find::<OutOfMemory>().is_some();
    error.kind().fault() == Fault::Passing && error.kind() != ErrorKind::NoSpace && is_ours
}

async fn give_up(staged: Box<dyn Staged>) {
    let key = staged.spec().key.clone();
    if let Err(litter) = staged.abort().await {
        tracing::warn!(%key, error = %litter, "an upload that was given up left something behind");
    }
}

/// How many bytes are kept.
async fn keep(staged: Box<dyn Staged>) -> u64 {
    let key = staged.spec().key.clone();
    match staged.suspend(Note::default()).await {
        Ok(kept) => kept,
        Err(trouble) => {
            tracing::warn!(%key, error = %trouble, "an upload that was cut off could not be kept to its last byte");
            0
        }
    }
}

fn told_what_is_kept(error: Error, kept: u64, ttl: Duration) -> Error {
    if kept == 0 {
        return error;
    }
    error.with_suffix(&format!("; {kept} bytes are kept for {}", spoken(ttl)))
}

/// `1 day`, `2 days 12h`, `1m 30s`.
fn spoken(time: Duration) -> String {
    let text = humantime::format_duration(time).to_string();
    ["year", "month", "day"].iter().fold(text, |text, unit| text.replace(unit, &format!(" {unit}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lacks_memory_passes_and_what_others_write_does_not() {
        let busy = || Error::new(ErrorKind::Busy, "later");
        assert!(!passes(&busy()));
        assert!(passes(&busy().because(OutOfMemory { bytes: 1 })));
        assert!(passes(&Error::new(ErrorKind::Timeout, "later")));
        assert!(!passes(&Error::new(ErrorKind::NoSpace, "later")));
    }

    #[test]
    fn times_are_told_in_words() {
        for (seconds, told) in [(90, "1m 30s"), (86_400, "1 day"), (216_000, "2 days 12h")] {
            assert_eq!(spoken(Duration::from_secs(seconds)), told);
        }
    }
}
