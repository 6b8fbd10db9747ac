//! Removing what uploads have left whose writers have died, and that nobody will go on with.
//!
//! Every decision is taken under the lock of the staged file, so that writers of this and of other processes are safe.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use super::Shared;
use super::disk::{Access, Disk};
use super::staging::lock_any;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Swept;
use crate::upload::UploadId;

/// What became of what an upload had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It can be resumed.
    Kept,
    /// Somebody is writing it.
    Busy,
    Removed,
}

impl<D: Disk> Shared<D> {
    /// Removes what can't be resumed, or was saved longer than `ttl` ago. What can't be removed keeps nothing else from it.
    pub(super) fn sweep(&self, ttl: Duration) -> Result<Swept> {
        let failed = |what: String| move |errno: Errno| Error::new(ErrorKind::Store, what).because(errno);
        let mut result = Ok(Swept::default());
        for id in self.left().map_err(failed("looking for what uploads have left".to_owned()))? {
            let fate = self.sweep_one(&id, ttl);
            match (fate, &mut result) {
                (Ok(Fate::Removed), Ok(swept)) => swept.removed += 1,
                (Ok(Fate::Kept), Ok(swept)) => swept.kept += 1,
                (Ok(Fate::Removed | Fate::Kept | Fate::Busy), _) => {}
                (Err(error), result) => {
                    tracing::warn!(upload = %id, %error, "what an upload has left can't be removed");
                    *result = Err(error);
                }
            }
        }
        let mut swept = result?;
        self.sweep_quarantine(&mut swept)?;
        Ok(swept)
    }

    /// The uploads that have left something, or are on their way.
    fn left(&self) -> Result<BTreeSet<UploadId>, Errno> {
        let mut ids = BTreeSet::new();
        for name in self.disk.list(&self.staging)?.into_iter().chain(self.disk.list(&self.resume)?) {
            match id_of(&name) {
                Some(id) => drop(ids.insert(id)),
                // Nothing that tidegate has put there; it is in nobody's way.
                None => tracing::warn!(?name, "something strange lies where uploads are staged"),
            }
        }
        Ok(ids)
    }

    fn sweep_one(&self, id: &UploadId, ttl: Duration) -> Result<Fate> {
        let failed = |errno: Errno| Error::new(ErrorKind::Store, format!("sweeping up upload {id}")).because(errno);
        // A look first, without the lock: its sender may come back this very moment.
        match self.disk.open(&self.staging, id.as_str(), Access::Read) {
            Ok(staged) if self.keeps(id, &staged, ttl).map_err(failed)? => return Ok(Fate::Kept),
            Ok(_) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let staged = match lock_any(&self.disk, &self.staging, id.as_str()) {
            Ok(staged) => staged,
            Err(Errno::WOULDBLOCK) => return Ok(Fate::Busy),
            Err(errno) => return Err(failed(errno)),
        };
        if self.keeps(id, &staged, ttl).map_err(failed)? {
            return Ok(Fate::Kept);
        }
        self.forget(id)?;
        self.disk.unlink(&self.staging, id.as_str()).map_err(failed)?;
        Ok(Fate::Removed)
    }

    /// Whether an upload can be resumed from this file, and was saved less than `ttl` ago.
    fn keeps(&self, id: &UploadId, staged: &D::Handle, ttl: Duration) -> Result<bool, Errno> {
        if self.saved(id, staged)?.is_none() {
            return Ok(false);
        }
        match self.disk.stat_at(&self.resume, id.as_str()) {
            Ok(stat) => Ok(SystemTime::now().duration_since(stat.modified).unwrap_or_default() < ttl),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

/// The upload that a staged file, a checkpoint or the draft of one belongs to.
fn id_of(name: &OsString) -> Option<UploadId> {
    let name = name.to_str()?;
    name.strip_prefix('.').unwrap_or(name).parse().ok()
}
