//! Reports a memory budget that is used up: it was so at two looks, and uploads were refused between
//! them.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::readiness::Condition;

/// The pause between two looks. A refusal is reported for as long at least.
const PAUSE: Duration = Duration::from_secs(10);

/// Looks until the server is told to stop.
pub(super) async fn run(shared: Arc<Shared>) {
    let (mut before, mut was_exhausted) = (0, false);
    while tokio::time::timeout(PAUSE, shared.drain.cancelled()).await.is_err() {
        let (refused, is_exhausted) = (shared.budget.refused(), shared.budget.is_exhausted());
        // One sender whose uploads need too much does not make the server unready.
        let counts = is_exhausted && was_exhausted;
        report(&shared, if counts { refused - before } else { 0 });
        (before, was_exhausted) = (refused, is_exhausted);
    }
}

fn report(shared: &Shared, refused: u64) {
    let Shared { readiness, budget, .. } = shared;
    if refused == 0 {
        if readiness.clear(Condition::Memory) {
            tracing::info!("memory available again");
        }
        return;
    }
    let problem = format!(
        "nearly all of the {} bytes of memory for uploads are in use, and {refused} requests for more were refused within {PAUSE:?}: \
         raise limits.max_memory_bytes, or look at tidegate_memory_bytes for what takes it",
        budget.limit_bytes()
    );
    if readiness.set(Condition::Memory, problem) {
        tracing::warn!(refused, "memory exhausted");
    }
}
