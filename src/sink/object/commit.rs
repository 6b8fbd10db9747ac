//! Committing what fits in one request, and what both ways of committing share.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, PutMode};

use super::folders::InTheWay;
use super::key_claims::Claimant;
use super::look::Found;
use super::marks::{self, Attempt};
use super::probe;
use super::remote::{Remote, Seen};
use super::versions::Versions;
use super::words::{brief, is_certain, is_refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::place::{Content, Place, Standing, Step};
use crate::upload::{Durability, Key, OnConflict, Receipt, UploadSpec};

/// How often one key may be taken when it is written, and free, or free to be replaced, when it is looked at.
pub(super) const MAX_ROUNDS: u32 = 4;

/// How often others may take the next version before the store is asked for all of them again.
const MAX_OVERTAKEN: u32 = 1;

/// Versions of a name that may be folders.
const MAX_FOLDERS: usize = 100;

/// What is waited before the first further request; it grows with each.
pub(super) const PAUSE: Duration = Duration::from_millis(50);

/// Commits `body`, which is `content`, by one request.
///
/// Once a request may still come to something, the file can end only where that went: nothing is stored elsewhere, and where
/// nothing is told for certain the answer is [`ErrorKind::Unknown`].
pub(super) async fn small(
    remote: &Remote,
    spec: &UploadSpec,
    attempt: &Attempt,
    body: Bytes,
    content: Content,
) -> Result<Receipt> {
    let _turn = match spec.on_conflict {
        OnConflict::Version => Some(remote.turns.take(&spec.key).await),
        OnConflict::Reject | OnConflict::Overwrite => None,
    };
    if spec.on_conflict != OnConflict::Overwrite {
        probe::assure(remote, Seen::can_create).await?;
    }
    let base = spec.key.clone();
    let mut small =
        Small { remote, spec, attempt, body, content, base, folders: HashSet::new(), tried: None, uncertain: false };
    match small.run().await {
        // With a conflict other content stands there, so that the object of this try can't.
        Err(error) if small.uncertain && !matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Unknown) => {
            let message = format!("whether {:?} will be committed can't be known", spec.key.as_str());
            Err(Error::new(ErrorKind::Unknown, message).because(error))
        }
        outcome => outcome,
    }
}

/// A file about to be committed by one request.
struct Small<'a> {
    remote: &'a Remote,
    spec: &'a UploadSpec,
    attempt: &'a Attempt,
    body: Bytes,
    content: Content,
    /// The key from which versions are numbered.
    base: Key,
    /// Versions that are folders.
    folders: HashSet<Key>,
    /// Where to try again, and the record of what is replaced there: the store may be about to do what it was asked for.
    tried: Option<(Place<'a>, Option<Path>)>,
    /// Whether it may still do that after any other answer.
    uncertain: bool,
}

/// What one request has come to.
enum Round {
    Done(Receipt),
    /// Nothing stands yet: try again, because of this.
    Again(StoreError),
    /// Something is in the way: try elsewhere.
    Elsewhere,
}

impl<'a> Small<'a> {
    async fn run(&mut self) -> Result<Receipt> {
        let mut rounds = 0;
        loop {
            let (place, replaced) = match self.tried.take() {
                Some(tried) => tried,
                None => {
                    let mut place = Place::based(self.spec, self.content, self.base.clone());
                    match before(self.remote, &mut place, (&self.base, &self.folders)).await? {
                        Before::Done(receipt) => return Ok(receipt),
                        Before::Go(replaced) => (place, replaced),
                    }
                }
            };
            let error = match self.clear_round(place, replaced).await? {
                Round::Done(receipt) => return Ok(receipt),
                Round::Elsewhere => continue,
                Round::Again(error) => error,
            };
            rounds += 1;
            if rounds > MAX_ROUNDS {
                let name = self.spec.key.as_str();
                return Err(self.remote.failed(format_args!("storing {name:?}, which comes and goes"), &error));
            }
            if rounds > MAX_OVERTAKEN {
                self.remote.doubt_versions(&self.base);
            }
            if self.tried.is_some() {
                tokio::time::sleep(PAUSE * rounds).await;
            }
        }
    }

    /// A round at a key that nothing hides, and that hides nothing.
    async fn clear_round(&mut self, place: Place<'a>, replaced: Option<Path>) -> Result<Round> {
        let key = place.key().clone();
        let way = match self.remote.clear_way(&key, self.attempt).await? {
            Ok(way) => way,
            Err(in_the_way) => return self.step_aside(&key, in_the_way).await,
        };
        let outcome = self.claimed_round(place, replaced).await;
        let Some(way) = way else { return outcome };
        match &outcome {
            Ok(Round::Done(_)) => {
                if let Some(in_the_way) = way.look_back().await? {
                    return Err(in_the_way.conflict(&key));
                }
            }
            // A note stays as long as the request may still have an effect.
            Err(error) if error.kind() == ErrorKind::Unknown => {}
            Ok(Round::Again(_) | Round::Elsewhere) | Err(_) if self.uncertain => {}
            Ok(Round::Again(_) | Round::Elsewhere) | Err(_) => way.give_up().await,
        }
        outcome
    }

    /// Goes on elsewhere, where the policy has it so.
    async fn step_aside(&mut self, key: &Key, in_the_way: InTheWay) -> Result<Round> {
        // An upload that may still be stored at one place is stored at no other.
        if self.spec.on_conflict != OnConflict::Version || self.uncertain {
            return Err(in_the_way.conflict(key));
        }
        match in_the_way {
            InTheWay::File(file) => self.base = self.remote.beside(&self.base, &file).await?,
            InTheWay::Below(_) if self.folders.len() < MAX_FOLDERS => drop(self.folders.insert(key.clone())),
            InTheWay::Below(_) => return Err(in_the_way.conflict(key)),
        }
        Ok(Round::Elsewhere)
    }

    /// A round with the right to commit under its key, where the store needs one. The claim is kept
    /// where the request may still come to something: the next round, which goes there, shares it.
    async fn claimed_round(&mut self, place: Place<'a>, replaced: Option<Path>) -> Result<Round> {
        let claimant = Claimant { key: place.key(), upload_id: &self.spec.id, attempt: self.attempt, multipart: None };
        let claim = self.remote.claim_key(claimant).await?;
        let outcome = self.round(place, replaced).await;
        if let Some(claim) = claim
            && match &outcome {
                Ok(Round::Done(_)) => true,
                Ok(Round::Again(_) | Round::Elsewhere) => !self.uncertain,
                Err(error) => !self.uncertain && error.kind() != ErrorKind::Unknown,
            }
        {
            claim.release(self.remote).await;
        }
        outcome
    }

    async fn round(&mut self, mut place: Place<'a>, replaced: Option<Path>) -> Result<Round> {
        let remote = self.remote;
        let mode = if self.spec.on_conflict == OnConflict::Overwrite { PutMode::Overwrite } else { PutMode::Create };
        let receipt = place.receipt(Durability::ObjectStore);
        let path = remote.path(place.key())?;
        let attributes = marks::of_receipt(self.spec, self.attempt, &receipt);
        let Err(error) = remote.put(&path, self.body.clone().into(), attributes, mode).await else {
            remote.forget(replaced).await;
            remote.note_version(&self.base, place.number(), self.content.size, Some(self.content.digest));
            return Ok(Round::Done(receipt));
        };
        match remote.settle(place.key(), self.attempt, &error).await? {
            Settled::Ours => {
                remote.forget(replaced).await;
                Ok(Round::Done(receipt))
            }
            Settled::Taken(found) => match remote.standing(*found, self.content.size).await? {
                Some(standing) => match self.taken(&mut place, standing)? {
                    Step::Done(receipt) => Ok(Round::Done(receipt)),
                    // Should what took the place go again, the request before may be carried out after all.
                    Step::Next if self.uncertain => Err(remote.failed("storing it beside what came meanwhile", &error)),
                    Step::Next | Step::Replace => Ok(Round::Again(error)),
                },
                None => Ok(self.again_at(place, replaced, error)),
            },
            // Somebody is about to write there. It may be a request of this very try, that the client has sent twice.
            // Or the key is a folder: SeaweedFS refuses that as if something stood there.
            Settled::Vanished => match remote.hidden_below(place.key()).await? {
                Some(below) => self.step_aside(place.key(), InTheWay::Below(below)).await,
                None => Ok(self.again_at(place, replaced, error)),
            },
            Settled::Failed if is_certain(&error) => {
                Err(remote.failed(format_args!("storing {:?}", place.key().as_str()), &error))
            }
            // A connection that broke, say: the store may still be about to put it there. To send it again, to that very
            // place, is safe: should the first request still come to something, the second one finds the work of this attempt.
            Settled::Failed => {
                self.uncertain = true;
                Ok(self.again_at(place, replaced, error))
            }
        }
    }

    /// Decides the next step where an object was found at the place, which was believed to be free.
    fn taken(&self, place: &mut Place<'a>, standing: Standing) -> Result<Step> {
        if let Standing::File(receipt) = &standing {
            self.remote.note_version(&self.base, place.number(), receipt.size, Some(receipt.digest));
        } else {
            self.remote.doubt_versions(&self.base);
        }
        place.taken(standing)
    }

    fn again_at(&mut self, place: Place<'a>, replaced: Option<Path>, error: StoreError) -> Round {
        self.tried = Some((place, replaced));
        Round::Again(error)
    }
}

/// What was found before anything was written.
pub(super) enum Before {
    /// The same content: this is its receipt.
    Done(Receipt),
    /// Go on. What is replaced has its receipt noted here.
    Go(Option<Path>),
}

/// Looks before anything is written: an overwriting upload, and a version of a name, must know what stands there. The others
/// need not look: the store refuses their request where something stands.
///
/// `versions` are numbered from a key, and some of them are known to be folders.
async fn before(remote: &Remote, place: &mut Place<'_>, versions: (&Key, &HashSet<Key>)) -> Result<Before> {
    match place.spec().on_conflict {
        OnConflict::Reject => Ok(Before::Go(None)),
        OnConflict::Version => free_version(remote, place, versions).await,
        OnConflict::Overwrite => before_overwrite(remote, place).await,
    }
}

/// Looks for what an upload will overwrite. Works on stores that know nothing of conditions, too.
pub(super) async fn before_overwrite(remote: &Remote, place: &mut Place<'_>) -> Result<Before> {
    let Some(found) = remote.look(place.key()).await? else { return Ok(Before::Go(None)) };
    let record = found.record_path();
    match remote.standing(found, place.size()).await? {
        Some(standing) => match place.taken(standing)? {
            Step::Done(receipt) => Ok(Before::Done(receipt)),
            Step::Replace | Step::Next => Ok(Before::Go(record)),
        },
        None => Ok(Before::Go(None)),
    }
}

/// Moves `place` to the first version that is free, unless the same content stands under any.
///
/// Where nothing stands, and where some versions of other sizes stand, these are two requests before the one that stores.
async fn free_version(remote: &Remote, place: &mut Place<'_>, (name, folders): (&Key, &HashSet<Key>)) -> Result<Before> {
    let taken = match remote.versions(place, name, None).await? {
        Versions::Same(receipt) => return Ok(Before::Done(receipt)),
        Versions::Other(taken) => taken,
    };
    for number in 1.. {
        if taken.holds(number) {
            continue;
        }
        place.go_to(number)?;
        // A multipart upload is bound to its version, and decides by itself what becomes of it.
        if !folders.contains(place.key()) && !remote.bindings.keep_off(place.spec(), place.key()) {
            break;
        }
    }
    Ok(Before::Go(None))
}

/// What a request that did not plainly succeed has come to.
#[derive(Debug)]
pub(super) enum Settled {
    /// It did succeed: the object of this try stands.
    Ours,
    /// The store refused it because of this object.
    Taken(Box<Found>),
    /// The store refused it, but nothing stands there any more.
    Vanished,
    /// It failed, and the object of this try does not stand.
    Failed,
}

impl Remote {
    /// Looks what became of the request for `key` that ended in `error`.
    ///
    /// # Errors
    /// [`ErrorKind::Unknown`] where that can't be seen, unless `error` itself says that nothing was done.
    pub(super) async fn settle(&self, key: &Key, attempt: &Attempt, error: &StoreError) -> Result<Settled> {
        match self.look(key).await {
            Ok(Some(found)) if found.is_of(attempt) => Ok(Settled::Ours),
            Ok(Some(found)) if is_refusal(error) => Ok(Settled::Taken(Box::new(found))),
            Ok(None) if is_refusal(error) => Ok(Settled::Vanished),
            Ok(_) => Ok(Settled::Failed),
            Err(_) if is_certain(error) => Ok(Settled::Failed),
            Err(blind) => {
                let message = format!("whether {:?} was committed can't be seen: {}", key.as_str(), brief(error));
                Err(Error::new(ErrorKind::Unknown, message).because(blind))
            }
        }
    }

    /// Removes the record of an object that has been replaced.
    pub(super) async fn forget(&self, record: Option<Path>) {
        if let Some(path) = record {
            self.remove_record(&path).await;
        }
    }
}
