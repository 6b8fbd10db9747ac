//! Committing a multipart upload.
//!
//! The receipt is noted beside the objects first, then the upload is completed: an object never stands without its record,
//! while a record without its object is followed by nobody.

use object_store::Error as StoreError;
use object_store::path::Path;

use super::commit::{Before, MAX_ROUNDS, PAUSE, Settled, before_overwrite};
use super::folders::{ClearWay, InTheWay};
use super::key_claims::{Claimant, KeyClaim};
use super::marks::Attempt;
use super::parts::{Completion, Parts, warn_of_litter};
use super::probe;
use super::remote::{Remote, Seen};
use super::versions::Versions;
use super::words::{brief, is_certain};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::place::{Content, Place, Step};
use crate::upload::{Durability, Key, OnConflict, Receipt, UploadSpec};

/// Commits the bytes in `parts`, which are `content`. Whatever comes of it but [`ErrorKind::Unknown`], the multipart upload
/// has ended and nothing is written down of it any more, unless it was left to another node.
pub(super) async fn commit(
    remote: &Remote,
    spec: &UploadSpec,
    attempt: &Attempt,
    parts: Parts,
    content: Content,
) -> Result<Receipt> {
    let record = remote.record_path(&spec.id, attempt);
    let mut large = Large { remote, spec, attempt, parts, record, recorded: false, content, claim: None, way: None };
    let outcome = large.run().await;
    let is_over = match &outcome {
        Ok(receipt) if !receipt.duplicate => {
            large.parts.forget().await;
            true
        }
        // It may stand, and then needs its record.
        Err(error) if error.kind() == ErrorKind::Unknown => false,
        Ok(_) | Err(_) => large.give_up().await,
    };
    if is_over {
        if let Some(claim) = large.claim {
            claim.release(remote).await;
        }
        if let Some(way) = large.way {
            way.give_up().await;
        }
    }
    outcome
}

/// The receipt, where another node has completed this very upload with the same content: that is why the store does not know
/// the multipart upload any more. What can't be seen is no receipt.
pub(super) async fn completed_elsewhere(
    remote: &Remote,
    attempt: &Attempt,
    parts: &Parts,
    content: Content,
) -> Option<Receipt> {
    if !parts.is_gone() {
        return None;
    }
    let found = remote.look(parts.key()).await.ok().flatten().filter(|found| found.is_of(attempt))?;
    let receipt = remote.receipt(found).await.ok().flatten()?;
    ((receipt.size, receipt.digest) == (content.size, content.digest)).then_some(receipt)
}

/// A multipart upload about to be committed.
struct Large<'a> {
    remote: &'a Remote,
    spec: &'a UploadSpec,
    attempt: &'a Attempt,
    parts: Parts,
    record: Path,
    /// Whether the record may stand.
    recorded: bool,
    content: Content,
    /// The right to complete, where the store needs one.
    claim: Option<KeyClaim>,
    /// Until it was looked back for what came meanwhile.
    way: Option<ClearWay<'a>>,
}

impl<'a> Large<'a> {
    async fn run(&mut self) -> Result<Receipt> {
        if let Err(error) = self.parts.all_arrived().await {
            return completed_elsewhere(self.remote, self.attempt, &self.parts, self.content).await.ok_or(error);
        }
        let base = self.base();
        let mut place = Place::based(self.spec, self.content, base.clone());
        let _turn = match self.spec.on_conflict {
            OnConflict::Version => {
                let turn = self.remote.turns.take(&self.spec.key).await;
                // All are compared: also those that are larger than the own one, for they may be committed in any order.
                let own = Some(self.parts.key());
                if let Versions::Same(receipt) = self.remote.versions(&place, &base, own).await? {
                    return Ok(receipt);
                }
                place.go_to_key(self.parts.key())?;
                Some(turn)
            }
            OnConflict::Reject | OnConflict::Overwrite => None,
        };
        let replaced = match self.spec.on_conflict {
            OnConflict::Overwrite => match before_overwrite(self.remote, &mut place).await? {
                Before::Done(receipt) => return Ok(receipt),
                Before::Go(replaced) => replaced,
            },
            OnConflict::Reject | OnConflict::Version => {
                probe::assure(self.remote, Seen::can_complete).await?;
                None
            }
        };
        let (number, content) = (place.number(), self.content);
        let receipt = self.note_receipt(place.receipt(Durability::ObjectStore)).await?;
        let outcome = self.complete_in_the_clear(place, receipt).await;
        if outcome.as_ref().is_ok_and(|receipt| !receipt.duplicate) {
            self.remote.forget(replaced).await;
            self.remote.note_version(&base, number, content.size, Some(content.digest));
        }
        outcome
    }

    /// Notes the receipt, and gives the one to answer with: another node that completes the same multipart upload may have
    /// noted it before, or this one, before it died.
    async fn note_receipt(&mut self, receipt: Receipt) -> Result<Receipt> {
        self.recorded = true;
        if !self.parts.is_kept() {
            return self.remote.write_record(&self.record, &receipt).await.map(|()| receipt);
        }
        let standing = self.remote.write_once(&self.record, &receipt).await?;
        if (standing.size, standing.digest) == (receipt.size, receipt.digest) {
            return Ok(standing);
        }
        let message =
            format!("{:?} is being committed with other bytes at another node: send it again", receipt.key.as_str());
        Err(Error::new(ErrorKind::Store, message))
    }

    /// Gives up what was not committed. The record goes only once no complete can follow, and if
    /// none came before: another node may have completed the same multipart upload, and its object
    /// needs the record. Says whether no complete can follow.
    async fn give_up(&mut self) -> bool {
        if let Err(litter) = self.parts.abort().await {
            warn_of_litter(&self.spec.key, &litter);
            return false;
        }
        let is_over = !self.parts.is_ceded();
        if !self.recorded {
            return is_over;
        }
        match self.remote.is_by(self.parts.key(), self.attempt).await {
            Ok(true) => {}
            Ok(false) => self.remote.remove_record(&self.record).await,
            Err(litter) => warn_of_litter(&self.spec.key, &litter),
        }
        is_over
    }

    /// What the versions are numbered from: the name in the folder that the upload is bound to,
    /// which stands in for the name's own where a file is in the way of that.
    fn base(&self) -> Key {
        let (bound, name) = (self.parts.key().as_str(), self.spec.key.file_name());
        let folder = &bound[..bound.len() - self.parts.key().file_name().len()];
        format!("{folder}{name}").parse().expect("the folder of one key, and the file name of another, are a key")
    }

    /// Completes the upload where nothing hides it, and where it hides nothing.
    async fn complete_in_the_clear(&mut self, place: Place<'_>, receipt: Receipt) -> Result<Receipt> {
        let (remote, key): (&'a Remote, _) = (self.remote, place.key().clone());
        self.way = match remote.clear_way(&key, self.attempt).await? {
            Ok(way) => way,
            Err(in_the_way) => return Err(self.blocked(&key, &in_the_way)),
        };
        let receipt = self.complete(place, receipt).await?;
        if let Some(way) = self.way.take()
            && let Some(in_the_way) = way.look_back().await?
        {
            return Err(self.blocked(&key, &in_the_way));
        }
        Ok(receipt)
    }

    /// The answer where a name is in the way. A multipart upload cannot move on: sent again, a
    /// version goes elsewhere.
    fn blocked(&self, key: &Key, in_the_way: &InTheWay) -> Error {
        match self.spec.on_conflict {
            OnConflict::Version => self.overtaken().because(in_the_way.conflict(key)),
            OnConflict::Reject | OnConflict::Overwrite => in_the_way.conflict(key),
        }
    }

    /// Completes the upload under `place`, to answer with `receipt`.
    async fn complete(&mut self, mut place: Place<'_>, receipt: Receipt) -> Result<Receipt> {
        let how = match self.spec.on_conflict {
            OnConflict::Overwrite => Completion::Replace,
            OnConflict::Reject | OnConflict::Version => Completion::Create,
        };
        self.claim = self.remote.claim_key(self.claimant()).await?;
        let mut rounds = 0;
        let (error, settled) = loop {
            if let Some(claim) = &self.claim {
                claim.check()?;
            }
            let Err(error) = self.parts.complete(how).await else { return Ok(receipt) };
            match self.settle(place.key(), &error).await? {
                // Refused, and nothing stands there: somebody is about to write, or what stood has
                // gone.
                Settled::Vanished if rounds < MAX_ROUNDS => rounds += 1,
                settled => break (error, settled),
            }
            tokio::time::sleep(PAUSE * rounds).await;
        };
        match settled {
            Settled::Ours => Ok(receipt),
            Settled::Taken(found) => match self.remote.standing(*found, self.content.size).await? {
                Some(standing) => match place.taken(standing)? {
                    Step::Done(receipt) => Ok(receipt),
                    Step::Next | Step::Replace => Err(self.overtaken()),
                },
                None => Err(self.overtaken()),
            },
            Settled::Vanished => match self.remote.hidden_below(place.key()).await? {
                Some(below) => Err(self.blocked(place.key(), &InTheWay::Below(below))),
                None => Err(self.overtaken()),
            },
            Settled::Failed => Err(self.remote.failed(format_args!("completing {:?}", place.key().as_str()), &error)),
        }
    }

    /// The outcome of a complete that ended in `error`.
    async fn settle(&self, key: &Key, error: &StoreError) -> Result<Settled> {
        let settled = self.remote.settle(key, self.attempt, error).await?;
        if !matches!(settled, Settled::Failed) || is_certain(error) {
            return Ok(settled);
        }
        // The store may still be about to complete it. Once it is given up, it can't: so look again
        // after that.
        if let Err(litter) = self.parts.fence().await {
            let message = format!("whether {:?} will be committed can't be known: {}", key.as_str(), brief(error));
            return Err(Error::new(ErrorKind::Unknown, message).because(litter));
        }
        self.remote.settle(key, self.attempt, error).await
    }

    fn claimant(&self) -> Claimant<'_> {
        Claimant {
            key: self.parts.key(),
            upload_id: &self.spec.id,
            attempt: self.attempt,
            multipart: Some(self.parts.multipart()),
        }
    }

    fn overtaken(&self) -> Error {
        let message = format!(
            "{:?} was taken by somebody else while it was being sent here, and a multipart upload can't move on: send it again",
            self.parts.key().as_str()
        );
        Error::new(ErrorKind::Store, message)
    }
}
