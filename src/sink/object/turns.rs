//! Turns: who may compare the versions of a name, and then commit.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

use crate::upload::Key;

/// One turn at a time for each name. Other names do not wait for it.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<Key, Lock>>);

type Lock = Arc<tokio::sync::Mutex<()>>;

impl Turns {
    /// Waits until nobody else has the turn for `name`.
    pub(super) async fn take(&self, name: &Key) -> Turn<'_> {
        let lock = Arc::clone(self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default());
        // Made before it waits, so that a name is forgotten also if nobody waits any more.
        let mut turn = Turn { turns: self, name: name.clone(), lock, held: None };
        turn.held = Some(Arc::clone(&turn.lock).lock_owned().await);
        turn
    }
}

/// A turn, or a place in the queue for one. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    turns: &'a Turns,
    name: Key,
    lock: Lock,
    held: Option<OwnedMutexGuard<()>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut names = self.turns.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.held = None;
        // This one, and that in the map: nobody else waits, nor can anybody come before the map is free.
        if Arc::strong_count(&self.lock) == 2 {
            names.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn names(turns: &Turns) -> usize {
        turns.0.lock().unwrap().len()
    }

    #[test]
    fn no_name_waits_for_another() {
        let turns = Turns::default();
        let held: Vec<_> = (0..100)
            .map(|number| turns.take(&format!("{number}.csv").parse().unwrap()).now_or_never().expect("it is free"))
            .collect();
        assert_eq!(names(&turns), held.len());
        drop(held);
        assert_eq!(names(&turns), 0, "names that nobody uses are forgotten");
    }

    #[test]
    fn a_name_has_one_turn_at_a_time() {
        let turns = Turns::default();
        let name: Key = "a.csv".parse().unwrap();
        let first = turns.take(&name).now_or_never().unwrap();
        let mut second = Box::pin(turns.take(&name));
        let mut third = Box::pin(turns.take(&name));
        assert!((&mut second).now_or_never().is_none());
        assert!((&mut third).now_or_never().is_none());
        drop(first);
        assert!((&mut third).now_or_never().is_none(), "in the order in which they came");
        let second = (&mut second).now_or_never().expect("its turn");
        drop(third);
        assert!(turns.take(&name).now_or_never().is_none(), "who waits no more takes no turn with him");
        drop(second);
        assert_eq!(names(&turns), 0);
        assert!(turns.take(&name).now_or_never().is_some());
    }
}
