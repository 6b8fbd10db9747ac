//! One writer for each upload id.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

/// What is being written in this process. A claim frees its place when it is dropped.
#[derive(Debug)]
pub(crate) struct Claims<T: Eq + Hash>(Arc<Mutex<HashSet<T>>>);

impl<T: Eq + Hash> Default for Claims<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Eq + Hash + Clone> Claims<T> {
    /// Claims `what`, unless it is claimed already.
    pub(crate) fn claim(&self, what: &T) -> Option<Claim<T>> {
        let fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(what.clone());
        fresh.then(|| Claim { what: what.clone(), all: Arc::clone(&self.0) })
    }

    /// Whether somebody has claimed `what`.
    pub(crate) fn holds(&self, what: &T) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(what)
    }
}

/// Holds what was claimed.
#[derive(Debug)]
pub(crate) struct Claim<T: Eq + Hash> {
    what: T,
    all: Arc<Mutex<HashSet<T>>>,
}

impl<T: Eq + Hash> Drop for Claim<T> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.what);
    }
}
