//! One upload of an id at a time in this process, and how a sender that comes back takes over from itself.
//!
//! A line that dies without a word leaves a connection behind that the server still listens to. Its sender comes back on
//! another one, and can't wait for that to time out: whoever asks to go on with an upload ends the one before it, and follows
//! when that is over. Only the same upload is taken over: an id that is reused for another one ends nothing. Knows no bytes and no
//! sink.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::upload::{UploadId, UploadSpec};

/// The uploads that are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Active(Arc<Mutex<HashMap<UploadId, Slot>>>);

#[derive(Debug)]
struct Slot {
    spec: UploadSpec,
    phase: Phase,
    /// Cancelled when somebody waits to go on with it.
    wanted: CancellationToken,
    /// Who waits, and with which upload.
    heir: Option<(oneshot::Sender<Turn>, UploadSpec)>,
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
    /// [`ErrorKind::Busy`]; [`ErrorKind::Conflict`] where the upload under way is another one.
    pub(super) fn claim(&self, spec: &UploadSpec) -> Result<Turn> {
        let mut slots = self.slots();
        let Some(slot) = slots.get(&spec.id) else { return Ok(self.enter(&mut slots, spec.clone())) };
        spec.check_continues(&slot.spec, 0)?;
        Err(busy(&spec.id))
    }

    /// The turn, behind the one who has it: that one is told that it is [wanted](Turn::wanted), and `patience` is how long it
    /// may take to be over.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where another sender waits already, where the one before has only just begun, or is not over in time;
    /// [`ErrorKind::Conflict`] where the upload under way is another one, which goes on.
    pub(super) async fn take_over(&self, spec: &UploadSpec, patience: Duration) -> Result<Turn> {
        let (heir, inherited) = oneshot::channel();
        {
            let mut slots = self.slots();
            let Some(slot) = slots.get_mut(&spec.id) else { return Ok(self.enter(&mut slots, spec.clone())) };
            spec.check_continues(&slot.spec, 0)?;
            let somebody_waits = slot.heir.as_ref().is_some_and(|(heir, _)| !heir.is_closed());
            if slot.phase == Phase::Opening || somebody_waits {
                return Err(busy(&spec.id));
            }
            slot.heir = Some((heir, spec.clone()));
            slot.wanted.cancel();
        }
        match tokio::time::timeout(patience, inherited).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(busy(&spec.id)),
        }
    }

    fn enter(&self, slots: &mut HashMap<UploadId, Slot>, spec: UploadSpec) -> Turn {
        let (id, wanted) = (spec.id.clone(), CancellationToken::new());
        slots.insert(id.clone(), Slot { spec, phase: Phase::Opening, wanted: wanted.clone(), heir: None });
        Turn { id, wanted, active: self.clone() }
    }

    fn slots(&self) -> MutexGuard<'_, HashMap<UploadId, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// From now on the same upload may take over: this one, with all that was announced of it.
    pub(super) fn opened(&self, spec: &UploadSpec) {
        if let Some(slot) = self.active.slots().get_mut(&self.id) {
            slot.phase = Phase::Open;
            slot.spec = spec.clone();
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
            heir.map(|(heir, spec)| (heir, self.active.enter(&mut slots, spec)))
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

    fn upload() -> UploadSpec {
        UploadSpec::new("u1".parse().unwrap(), "a.csv".parse().unwrap())
    }

    #[tokio::test]
    async fn another_upload_of_the_id_neither_waits_nor_ends_anything() {
        let active = Active::default();
        let begun = UploadSpec { size: Some(9), ..upload() };
        let turn = active.claim(&upload()).unwrap();
        turn.opened(&begun);
        for other in [UploadSpec { size: Some(8), ..upload() }, UploadSpec { key: "b.csv".parse().unwrap(), ..upload() }] {
            assert_eq!(active.claim(&other).unwrap_err().kind(), ErrorKind::Conflict);
            assert_eq!(active.take_over(&other, LONG).await.unwrap_err().kind(), ErrorKind::Conflict);
        }
        assert!(!turn.wanted().is_cancelled());
    }

    #[tokio::test]
    async fn a_turn_goes_to_the_one_who_waits_and_to_nobody_in_between() {
        let active = Active::default();
        let first = active.take_over(&upload(), LONG).await.unwrap();
        first.opened(&upload());
        let (heir, waiting) = (active.clone(), first.wanted().clone());
        let second = tokio::spawn(async move { heir.take_over(&upload(), LONG).await });
        waiting.cancelled().await;
        assert_eq!(active.take_over(&upload(), LONG).await.unwrap_err().kind(), ErrorKind::Busy, "one waits already");
        drop(first);
        assert_eq!(active.claim(&upload()).unwrap_err().kind(), ErrorKind::Busy, "it was handed over at once");
        let second = second.await.unwrap().unwrap();
        assert!(!second.wanted().is_cancelled());
        drop(second);
        drop(active.claim(&upload()).unwrap());
        assert!(active.slots().is_empty());
    }

    #[tokio::test]
    async fn what_is_only_being_opened_is_not_taken_over() {
        let active = Active::default();
        let first = active.claim(&upload()).unwrap();
        assert_eq!(active.take_over(&upload(), LONG).await.unwrap_err().kind(), ErrorKind::Busy);
        assert!(!first.wanted().is_cancelled());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_nothing_behind() {
        let active = Active::default();
        let first = active.claim(&upload()).unwrap();
        first.opened(&upload());
        assert_eq!(active.take_over(&upload(), Duration::ZERO).await.unwrap_err().kind(), ErrorKind::Busy);
        let upload = upload();
        let mut second = Box::pin(active.take_over(&upload, LONG));
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
            if let Ok(turn) = active.take_over(&upload(), LONG).await {
                turns += 1;
                turn.opened(&upload());
            }
            tokio::task::yield_now().await;
        }
    }
}
