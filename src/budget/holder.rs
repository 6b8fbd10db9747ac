//! The bytes that one connection holds of the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

tokio::task_local! {
    /// Task-local, because the sinks that take leases do not know connections.
    static HOLDER: Arc<Holder>;
}

/// The bytes that all leases of one connection hold.
#[derive(Debug, Default)]
pub struct Holder(AtomicUsize);

impl Holder {
    /// The bytes that are held now.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Runs `work`. The leases that it creates are counted here until they are dropped; those of
    /// tasks that it spawns are not.
    pub async fn scope<T>(self: &Arc<Self>, work: impl Future<Output = T>) -> T {
        HOLDER.scope(Arc::clone(self), work).await
    }

    /// The holder in whose scope the current task runs.
    pub(super) fn current() -> Option<Arc<Self>> {
        HOLDER.try_with(Arc::clone).ok()
    }

    /// Counts the change of a lease from `before` to `after` bytes.
    pub(super) fn note(&self, before: usize, after: usize) {
        self.0.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
    }
}
