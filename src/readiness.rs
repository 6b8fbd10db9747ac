//! The conditions that keep a running server from being ready, as `/readyz` reports them.
//!
//! Modules set a condition while it holds and clear it when it ends. This module knows neither HTTP
//! nor how a condition is found.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A reason for which a server is not ready. The order is that of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    /// The server stops.
    ShuttingDown,
    /// The store can't be written to.
    Store,
    /// Every connection slot is taken.
    Connections,
    /// The memory budget is used up.
    Memory,
}

impl Condition {
    /// Every condition, in the order of the report.
    pub const ALL: [Self; 4] = [Self::ShuttingDown, Self::Store, Self::Connections, Self::Memory];

    /// The name in `/readyz` and in the label of `tidegate_unready`.
    pub fn name(self) -> &'static str {
        match self {
            Self::ShuttingDown => "shutting_down",
            Self::Store => "store",
            Self::Connections => "connections",
            Self::Memory => "memory",
        }
    }
}

/// The conditions that hold now, each with its problem. A server without any is ready.
#[derive(Debug, Default)]
pub struct Readiness {
    holding: Mutex<BTreeMap<Condition, String>>,
}

impl Readiness {
    /// No condition holds.
    pub fn new() -> Self {
        Self::default()
    }

    /// A condition holds. `problem` names the cause and the remedy, and replaces an earlier one.
    /// Returns whether the condition did not hold before, so that a caller logs the change and not
    /// each repetition.
    pub fn set(&self, condition: Condition, problem: impl Into<String>) -> bool {
        self.lock().insert(condition, problem.into()).is_none()
    }

    /// A condition does not hold any more. Returns whether it held before.
    pub fn clear(&self, condition: Condition) -> bool {
        self.lock().remove(&condition).is_some()
    }

    /// Whether a condition holds.
    pub fn holds(&self, condition: Condition) -> bool {
        self.lock().contains_key(&condition)
    }

    /// Every condition that holds, with its problem.
    pub fn problems(&self) -> BTreeMap<Condition, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Condition, String>> {
        self.holding.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_reported_in_their_order_until_they_are_cleared() {
        let readiness = Readiness::new();
        assert!(readiness.problems().is_empty());
        assert!(readiness.set(Condition::Memory, "no memory"));
        assert!(readiness.set(Condition::Store, "no store"));
        assert!(!readiness.set(Condition::Store, "no room"));
        let problems = [(Condition::Store, "no room".to_owned()), (Condition::Memory, "no memory".to_owned())];
        assert!(readiness.problems().into_iter().eq(problems));
        assert!(readiness.clear(Condition::Store));
        assert!(!readiness.clear(Condition::Store));
        assert!(readiness.holds(Condition::Memory) && !readiness.holds(Condition::Store));
    }

    #[test]
    fn every_condition_is_listed_once_in_order() {
        assert!(Condition::ALL.is_sorted_by(|one, next| one < next));
    }
}
