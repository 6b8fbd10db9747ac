//! Removes what is left of uploads that nobody goes on with: at the start, and in the course of time.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::sink::{Sink, Swept};

/// The pause between two sweeps is a part of the time that uploads are kept, within these bounds.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
const PAUSES_IN_TTL: u32 = 8;

/// How long a sweep may go on once the server stops: until what it has begun to write is deleted
/// again.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// Sweeps until the server is told to stop.
pub(super) async fn run(sink: Arc<dyn Sink>, shared: Arc<Shared>) {
    let ttl = shared.limits.resume_ttl;
    let pause = (ttl / PAUSES_IN_TTL).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    while !shared.drain.is_cancelled() {
        let stopped = async {
            shared.drain.cancelled().await;
            tokio::time::sleep(STOP_GRACE).await;
        };
        tokio::select! {
            () = sweep(sink.as_ref(), ttl, &shared) => {}
            () = stopped => return,
        }
        let _ = tokio::time::timeout(pause, shared.drain.cancelled()).await;
    }
}

async fn sweep(sink: &dyn Sink, ttl: Duration, shared: &Shared) {
    match sink.sweep(ttl).await {
        Ok(Swept { removed, kept }) => {
            shared.metrics.swept(removed, kept);
            if removed == 0 {
                tracing::debug!(kept, "nothing to sweep up");
            } else {
                tracing::info!(leftovers = removed, kept, ?ttl, "swept up what nobody has gone on with");
            }
        }
        Err(error) => {
            shared.metrics.sweep_failed();
            tracing::warn!(%error, "sweeping up failed; it is tried again");
        }
    }
}
