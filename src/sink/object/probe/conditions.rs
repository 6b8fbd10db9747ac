//! Whether the store keeps the conditions that commits rely on, alone and in races.

use std::sync::atomic::Ordering;

use object_store::{Error as StoreError, PutMode};

use super::race::{self, Races};
use super::{Trial, ignores};
use crate::sink::object::remote::{Clients, Completes};
use crate::sink::object::words::is_refusal;

const CREATE: &str = "conditional create";
const COMPLETE: &str = "conditional complete of a multipart upload";

impl Trial<'_> {
    /// Whether conditions are kept: first where something stands, then in races.
    pub(super) async fn conditions(&mut self) {
        let create = self.create().await;
        let complete = self.has_time() && self.is_refused_complete().await;
        if !self.has_time() {
            return;
        }
        let (remote, clients) = (self.remote, self.clients);
        let seen = &remote.seen;
        let (puts, completes) = tokio::join!(
            async {
                let raced = if create && !seen.can_create() { Some(race::puts(remote, clients).await) } else { None };
                // At once: the deadline may end the trial here, and the next one goes on from
                // there.
                raced.inspect(|races| seen.create.store(races.are_held(), Ordering::Relaxed))
            },
            async {
                let wanted = complete && seen.complete.get().is_none();
                let raced = if wanted { Some(race::completes(remote, clients).await) } else { None };
                raced.inspect(|races| {
                    // Another trial at the same time may have been first.
                    let _ = races.verdict().map(|completes| seen.complete.set(completes));
                })
            },
        );
        if create {
            self.judge_puts(puts);
        }
        if complete {
            self.judge_completes(completes);
        }
    }

    async fn create(&mut self) -> bool {
        match self.put(PutMode::Create).await {
            Err(error) if is_refusal(&error) => return true,
            Err(error) => self.fail(CREATE, &error),
            Ok(()) => {
                self.remote.seen.create.store(false, Ordering::Relaxed);
                self.probe.fail(CREATE, ignores("a PUT"));
            }
        }
        false
    }

    /// With `races` where they had to be run.
    fn judge_puts(&mut self, races: Option<Races>) {
        match races {
            None => self.probe.pass(CREATE, EXISTS),
            Some(races) if races.are_held() => self.probe.pass(CREATE, held(races)),
            Some(races) => self.probe.fail(CREATE, lost(races, "PUTs")),
        }
    }

    fn judge_completes(&mut self, races: Option<Races>) {
        let seen = &self.remote.seen;
        match races {
            None => self.probe.pass(
                COMPLETE,
                match seen.complete.get() {
                    Some(Completes::Lose) => {
                        "seen before: of two concurrent requests both succeed, and claims guard commits"
                    }
                    Some(Completes::Hold) | None => {
                        "seen before: refused where an object exists, and of two concurrent requests"
                    }
                },
            ),
            Some(races) if races.lost > 0 && seen.can_create() => self.probe.pass(COMPLETE, guarded(races)),
            Some(races) if races.are_held() => self.probe.pass(COMPLETE, held(races)),
            Some(races) => self.probe.fail(COMPLETE, lost(races, "ends of multipart uploads")),
        }
    }

    /// Whether a complete is refused where something stands.
    async fn is_refused_complete(&mut self) -> bool {
        if self.remote.seen.complete.get().is_some() {
            return true;
        }
        let Clients { plain, creating, .. } = self.clients;
        let opened = async {
            let multipart = plain.create_multipart(&self.path).await?;
            let part = plain.put_part(&self.path, &multipart, 0, self.body.clone().into()).await;
            Ok::<_, StoreError>((multipart, part))
        };
        let (multipart, part) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                self.fail(COMPLETE, &error);
                return false;
            }
        };
        let outcome = match part {
            Ok(part) => creating.complete_multipart(&self.path, &multipart, vec![part]).await,
            Err(error) => Err(error),
        };
        let refused = matches!(&outcome, Err(error) if is_refusal(error));
        match outcome {
            Err(error) if is_refusal(&error) => {}
            Err(error) => self.fail(COMPLETE, &error),
            Ok(_) => {
                self.probe.fail(COMPLETE, ignores("the end of a multipart upload"));
                return false;
            }
        }
        match plain.abort_multipart(&self.path, &multipart).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => refused,
            Err(error) => {
                self.fail("abort of a multipart upload", &error);
                false
            }
        }
    }
}

const EXISTS: &str = "refused where an object exists";

fn held(races: Races) -> String {
    format!("{EXISTS}; of two concurrent requests one is refused (in {} races)", races.held)
}

fn guarded(races: Races) -> String {
    format!(
        "refused where an object exists, but of two concurrent requests both succeed (in {} of {} races): a claim for each name guards \
         commits, as conditional PUTs are kept",
        races.lost,
        races.all()
    )
}

/// The finding for races that the store does not keep.
fn lost(races: Races, what: &str) -> String {
    let Races { lost, unclear, .. } = races;
    let all = races.all();
    if lost == 0 {
        return format!("the store answered {unclear} of {all} races of conditional {what} with errors: try again");
    }
    format!(
        "of two conditional {what} at once both succeed (in {lost} of {all} races), so that two uploads of one name could \
         overwrite each other, and they are refused: use another store, or on_conflict = \"overwrite\" everywhere"
    )
}
