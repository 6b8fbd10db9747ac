//! Committing what fits in one request, and what both ways of committing share.

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, PutMode};

use super::look::Found;
use super::marks::{self, Attempt};
use super::remote::Remote;
use super::words::{brief, is_certain, is_refusal};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::place::{Place, Standing, Step};
use crate::upload::{Digest, Durability, Key, OnConflict, Receipt, UploadSpec};

/// How often one key may be taken when it is written, and free, or free to be replaced, when it is looked at.
const MAX_ROUNDS: u32 = 4;

/// Commits `body`, whose digest is given, by one request.
pub(super) async fn small(
    remote: &Remote,
    spec: &UploadSpec,
    attempt: &Attempt,
    body: Bytes,
    digest: Digest,
) -> Result<Receipt> {
    let size = body.len() as u64;
    let mut place = Place::new(spec, size, digest);
    let mut rounds = 0;
    loop {
        // A larger file on its way to this version is other content, for it is larger.
        if spec.on_conflict == OnConflict::Version && remote.larger.holds(place.key()) {
            place.taken(Standing::Other)?;
            continue;
        }
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
                    Step::Next => rounds = 0,
                    Step::Replace => rounds += 1,
                },
                None => rounds += 1,
            },
            Settled::Vanished => rounds += 1,
            Settled::Failed => return Err(remote.failed(format_args!("storing {:?}", place.key().as_str()), &error)),
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

/// Looks at what an overwriting upload will replace: the same content is not written again. Other policies need not look:
/// the store refuses their request where something stands.
///
/// Overwriting so works on stores that know nothing of conditions, too.
pub(super) async fn before(remote: &Remote, place: &mut Place<'_>, spec: &UploadSpec, size: u64) -> Result<Before> {
    if spec.on_conflict != OnConflict::Overwrite {
        return Ok(Before::Go(None));
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
