//! Reports a memory budget that is used up: uploads were refused for want of memory since the last
//! look.

use std::sync::Arc;
use std::time::Duration;

use super::Shared;
use crate::readiness::Condition;

/// The pause between two looks. A refusal is reported for as long at least.
const PAUSE: Duration = Duration::from_secs(10);

/// Looks until the server is told to stop.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut before = 0;
    while tokio::time::timeout(PAUSE, shared.drain.cancelled()).await.is_err() {
        let refused = shared.budget.refused();
        report(&shared, refused - before);
        before = refused;
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
        "all {} bytes of memory for uploads are in use, and {refused} requests for more were refused within {PAUSE:?}: \
         raise limits.max_memory_bytes, or look at tidegate_memory_bytes for what takes it",
        budget.limit_bytes()
    );
    if readiness.set(Condition::Memory, problem) {
        tracing::warn!(refused, "memory exhausted");
    }
}
