//! Committing what fits in one request, and what both ways of committing share.

use std::time::Duration;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, PutMode};

use super::look::Found;
use super::marks::{self, Attempt};
use super::probe;
use super::remote::Remote;
use super::words::{brief, is_certain, is_refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::place::{Content, Place, Standing, Step};
use crate::upload::{Durability, Key, OnConflict, Receipt, UploadSpec};

/// How often one key may be taken when it is written, and free, or free to be replaced, when it is looked at.
const MAX_ROUNDS: u32 = 4;

/// What is waited before the first further request; it grows with each.
const PAUSE: Duration = Duration::from_millis(50);

/// Commits `body`, which is `content`, by one request.
pub(super) async fn small(
    remote: &Remote,
    spec: &UploadSpec,
    attempt: &Attempt,
    body: Bytes,
    content: Content,
) -> Result<Receipt> {
    let size = content.size;
    let mut rounds = 0;
    let _turn = match spec.on_conflict {
        OnConflict::Version => Some(remote.turns.take(&spec.key).await),
        OnConflict::Reject | OnConflict::Overwrite => None,
    };
    if spec.on_conflict != OnConflict::Overwrite {
        probe::assure(remote, &remote.seen.create).await?;
    }
    loop {
        let mut place = Place::new(spec, content);
        let before = match before(remote, &mut place, spec, size).await? {
            Before::Done(receipt) => return Ok(receipt),
            Before::Go(replaced) => replaced,
        };
        let mode = if spec.on_conflict == OnConflict::Overwrite { PutMode::Overwrite } else { PutMode::Create };
        let receipt = place.receipt(Durability::ObjectStore);
        let path = remote.path(place.key())?;
        let attributes = marks::of_receipt(spec, attempt, &receipt);
        let Err(error) = remote.put(&path, body.clone().into(), attributes, mode).await else {
            remote.forget(before).await;
            return Ok(receipt);
        };
        match remote.settle(place.key(), attempt, &error).await? {
            Settled::Ours => {
                remote.forget(before).await;
                return Ok(receipt);
            }
            Settled::Taken(found) => match remote.standing(*found, size).await? {
                Some(standing) => match place.taken(standing)? {
                    Step::Done(receipt) => return Ok(receipt),
                    Step::Next | Step::Replace => rounds += 1,
                },
                None => rounds += 1,
            },
            Settled::Vanished => rounds += 1,
            Settled::Failed if is_certain(&error) => {
                return Err(remote.failed(format_args!("storing {:?}", place.key().as_str()), &error));
            }
            // A connection that broke, say. To send it again is safe: should the first request still come to something, the
            // second one finds the work of this very attempt.
            Settled::Failed if rounds < MAX_ROUNDS => {
                rounds += 1;
                tokio::time::sleep(PAUSE * rounds).await;
            }
            // It does not stand, but the store may still be about to put it there.
            Settled::Failed => {
                let message = format!("whether {:?} will be committed can't be known", place.key().as_str());
                return Err(Error::new(ErrorKind::Unknown, message).because(remote.failed("storing it", &error)));
            }
        }
        if rounds > MAX_ROUNDS {
            return Err(remote.failed(format_args!("storing {:?}, which comes and goes", place.key().as_str()), &error));
        }
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
/// Overwriting so works on stores that know nothing of conditions, too.
pub(super) async fn before(remote: &Remote, place: &mut Place<'_>, spec: &UploadSpec, size: u64) -> Result<Before> {
    match spec.on_conflict {
        OnConflict::Reject => return Ok(Before::Go(None)),
        OnConflict::Version => return free_version(remote, place, size).await,
        OnConflict::Overwrite => {}
    }
    let Some(found) = remote.look(place.key()).await? else { return Ok(Before::Go(None)) };
    let record = found.record_path();
    match remote.standing(found, size).await? {
        Some(standing) => match place.taken(standing)? {
            Step::Done(receipt) => Ok(Before::Done(receipt)),
            Step::Replace | Step::Next => Ok(Before::Go(record)),
        },
        None => Ok(Before::Go(None)),
    }
}

/// Moves `place` to the first version that is free, unless the same content stands under any. One key beyond the free one is
/// looked at as well: it was passed over while a larger file was on its way to the free one, which never came.
async fn free_version(remote: &Remote, place: &mut Place<'_>, size: u64) -> Result<Before> {
    let mut ahead = place.clone();
    let mut free = None;
    loop {
        let standing = match remote.look(ahead.key()).await? {
            Some(found) => remote.standing(found, size).await?,
            // A multipart upload is bound to this version, and decides by itself what becomes of it.
            None => remote.larger.holds(ahead.key()).then_some(Standing::Other),
        };
        let standing = match (standing, &free) {
            (Some(standing), _) => standing,
            (None, Some(_)) => break,
            (None, None) => {
                free = Some(ahead.clone());
                Standing::Other
            }
        };
        match ahead.taken(standing) {
            Ok(Step::Done(receipt)) => return Ok(Before::Done(receipt)),
            Ok(Step::Next | Step::Replace) => {}
            Err(_) if free.is_some() => break,
            Err(error) => return Err(error),
        }
    }
    if let Some(free) = free {
        *place = free;
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
