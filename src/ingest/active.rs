//! One upload of an id at a time in this process, and how a sender that comes back takes over from itself.
//!
//! A line that dies without a word leaves a connection behind that the server still listens to. Its sender comes back on
//! another one, and can't wait for that to time out: whoever asks to go on with an upload ends the one before it, and follows
//! when that is over. Knows no bytes and no sink.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::upload::UploadId;

/// The uploads that are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Active(Arc<Mutex<HashMap<UploadId, Slot>>>);

#[derive(Debug)]
struct Slot {
    phase: Phase,
    /// Cancelled when somebody waits to go on with it.
    wanted: CancellationToken,
    /// Who waits.
    heir: Option<oneshot::Sender<Turn>>,
}

/// Whether an upload may be taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Not yet: two senders that take over from each other before a byte has come would go on like that for ever.
    Opening,
    /// Yes.
    Open,
}

/// The right to write an upload of this id. The next one has it when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    id: UploadId,
    wanted: CancellationToken,
    active: Active,
}

impl Active {
    /// The turn, if nobody has it.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`].
    pub(super) fn claim(&self, id: &UploadId) -> Result<Turn> {
        let mut slots = self.slots();
        if slots.contains_key(id) { Err(busy(id)) } else { Ok(self.enter(&mut slots, id.clone())) }
    }

    /// The turn, behind the one who has it: that one is told that it is [wanted](Turn::wanted), and `patience` is how long it
    /// may take to be over.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where somebody else waits already, where the one before has only just begun, or is not over in time.
    pub(super) async fn take_over(&self, id: &UploadId, patience: Duration) -> Result<Turn> {
        let (heir, inherited) = oneshot::channel();
        {
            let mut slots = self.slots();
            let Some(slot) = slots.get_mut(id) else { return Ok(self.enter(&mut slots, id.clone())) };
            let somebody_waits = slot.heir.as_ref().is_some_and(|heir| !heir.is_closed());
            if slot.phase == Phase::Opening || somebody_waits {
                return Err(busy(id));
            }
            slot.heir = Some(heir);
            slot.wanted.cancel();
        }
        match tokio::time::timeout(patience, inherited).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy(id)),
        }
    }

    fn enter(&self, slots: &mut HashMap<UploadId, Slot>, id: UploadId) -> Turn {
        let wanted = CancellationToken::new();
        slots.insert(id.clone(), Slot { phase: Phase::Opening, wanted: wanted.clone(), heir: None });
        Turn { id, wanted, active: self.clone() }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<UploadId, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// From now on somebody else may take over.
    pub(super) fn opened(&self) {
        if let Some(slot) = self.active.slots().get_mut(&self.id) {
            slot.phase = Phase::Open;
        }
    }

    /// Cancelled once somebody waits to go on with this upload.
    pub(super) fn wanted(&self) -> &CancellationToken {
        &self.wanted
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let handed_over = {
            let mut slots = self.active.slots();
            let heir = slots.remove(&self.id).and_then(|slot| slot.heir);
            // In one step, so that nobody comes in between.
            heir.map(|heir| (heir, self.active.enter(&mut slots, self.id.clone())))
        };
        if let Some((heir, turn)) = handed_over {
            // An heir that waits no longer gives the turn back, and its drop frees the place.
            drop(heir.send(turn));
        }
    }
}

fn busy(id: &UploadId) -> Error {
    Error::new(ErrorKind::Busy, format!("upload {id} is being written by somebody else"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    fn id() -> UploadId {
        "u1".parse().unwrap()
    }

    #[tokio::test]
    async fn a_turn_goes_to_the_one_who_waits_and_to_nobody_in_between() {
        let active = Active::default();
        let first = active.take_over(&id(), LONG).await.unwrap();
        first.opened();
        let (heir, waiting) = (active.clone(), first.wanted().clone());
        let second = tokio::spawn(async move { heir.take_over(&id(), LONG).await });
        waiting.cancelled().await;
        assert_eq!(active.take_over(&id(), LONG).await.unwrap_err().kind(), ErrorKind::Busy, "one waits already");
        drop(first);
        assert_eq!(active.claim(&id()).unwrap_err().kind(), ErrorKind::Busy, "it was handed over at once");
        let second = second.await.unwrap().unwrap();
        assert!(!second.wanted().is_cancelled());
        drop(second);
        drop(active.claim(&id()).unwrap());
        assert!(active.slots().is_empty());
    }

    #[tokio::test]
    async fn what_is_only_being_opened_is_not_taken_over() {
        let active = Active::default();
        let first = active.claim(&id()).unwrap();
        assert_eq!(active.take_over(&id(), LONG).await.unwrap_err().kind(), ErrorKind::Busy);
        assert!(!first.wanted().is_cancelled());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let active = Active::default();
        let first = active.claim(&id()).unwrap();
        first.opened();
        assert_eq!(active.take_over(&id(), Duration::ZERO).await.unwrap_err().kind(), ErrorKind::Busy);
        let id = id();
        let mut second = Box::pin(active.take_over(&id, LONG));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the place of the one who gave up is free, and the turn is not"),
            () = std::future::ready(()) => {}
        }
        drop(first);
        // The turn is on its way to one who never takes it.
        drop(second);
        assert!(active.slots().is_empty());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn many_at_once_all_come_to_an_end() {
        let active = Active::default();
        let tasks: Vec<_> = (0..64).map(|_| tokio::spawn(hundred_turns(active.clone()))).collect();
        for task in tasks {
            tokio::time::timeout(LONG, task).await.unwrap().unwrap();
        }
        assert!(active.slots().is_empty());
    }

    async fn hundred_turns(active: Active) {
        let mut turns = 0;
        while turns < 100 {
            if let Ok(turn) = active.take_over(&id(), LONG).await {
                turns += 1;
                turn.opened();
            }
            tokio::task::yield_now().await;
        }
    }
}
