//! The commit: a staged file gets its name, and its receipt.

use std::sync::Arc;

use rustix::io::Errno;

use super::disk::Disk;
use super::record::Record;
use super::tree::{Found, NoFolder};
use super::{Loses, Shared, failed, tree};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::place::{Content, Place, Standing, Step};
use crate::upload::{Ending, Key, Receipt, Tally, UploadSpec};

/// Which name an upload's file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Staged,
    /// That of its key, or one in quarantine.
    Final,
}

impl<D: Disk> Shared<D> {
    /// Flush the file, rename it, flush its folder; in this order. Says in `name` whether the staged name has become the final
    /// one, also where the commit fails afterwards.
    pub(super) fn commit(
        &self,
        spec: &UploadSpec,
        file: &D::Handle,
        tally: &Tally,
        ending: Ending,
        name: &mut Name,
    ) -> Result<Receipt> {
        let content = Content::seal(tally, spec, ending)?;
        self.check_writable("committing", &spec.key)?;
        let record = Record::new(spec, &content);
        record.write(&self.disk, file).map_err(|error| {
            Error::new(ErrorKind::Store, format!("committing {:?}: noting who sent it", spec.key.as_str())).because(error)
        })?;
        self.promise(file, Loses::Upload, &format!("{:?}", spec.key.as_str()))?;
        // Versions differ in their last component only, so one folder serves for all.
        let folder = self.folder(spec)?;
        let mut place = Place::new(spec, content);
        loop {
            match tree::rename_new(&self.disk, (&self.staging, spec.id.as_str()), (&folder, place.key().file_name())) {
                Ok(()) => {
                    *name = Name::Final;
                    break;
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed("committing", spec, errno)),
            }
            let Some(standing) = self.look(&folder, &place, &record)? else { continue };
            match place.taken(standing)? {
                Step::Done(receipt) => return self.check_found(place.key()).map(|()| receipt),
                Step::Next => {}
                Step::Replace => {
                    self.disk
                        .rename(&self.staging, spec.id.as_str(), &folder, place.key().file_name())
                        .map_err(|errno| failed("committing", spec, errno))?;
                    *name = Name::Final;
                    break;
                }
            }
        }
        // The file is visible; whether it will be after a power cut is not known. Not taken back: somebody who sent the same
        // may have its receipt by now.
        self.promise(&folder, Loses::Names, &format!("the folder of {:?}", place.key().as_str())).map_err(|error| {
            Error::new(ErrorKind::Unknown, format!("{:?} may not survive a power cut", place.key().as_str())).because(error)
        })?;
        self.check_found(place.key())?;
        Ok(Receipt { committed_at: record.committed_at, ..place.receipt(self.terms.durability) })
    }

    /// Fails where a reader would not find what was just committed: the root may have been moved meanwhile.
    fn check_found(&self, key: &Key) -> Result<()> {
        let lost = |error: Error| {
            Error::new(ErrorKind::Unknown, format!("{:?} is not where it belongs", key.as_str())).because(error)
        };
        self.check_writable("looking at", key).map_err(lost)
    }

    /// The folder of the upload's key, durable.
    fn folder(&self, spec: &UploadSpec) -> Result<Arc<D::Handle>> {
        let flush =
            |folder: &D::Handle| self.promise(folder, Loses::Names, &format!("a folder above {:?}", spec.key.as_str()));
        self.tree.folder(&spec.key, flush).map_err(|why| match why {
            NoFolder::NotFlushed(error) => error,
            NoFolder::Failed(errno) => failed("committing", spec, errno),
            NoFolder::Obstacle => {
                let message = format!("{:?} has a component that is taken by a file or a link", spec.key.as_str());
                Error::new(ErrorKind::Conflict, message)
            }
        })
    }

    /// What stands where the upload should go; `None` where it has gone meanwhile. What is answered to be a duplicate must be
    /// durable too: whoever put it there may not have flushed it yet.
    fn look(&self, folder: &D::Handle, place: &Place<'_>, ours: &Record) -> Result<Option<Standing>> {
        let looking =
            |errno: Errno| Error::new(ErrorKind::Store, format!("looking at {:?}", place.key().as_str())).because(errno);
        let file = match tree::open_regular(&self.disk, folder, place.key().file_name()).map_err(looking)? {
            Found::Nothing => return Ok(None),
            Found::Obstacle => return Ok(Some(Standing::Obstacle)),
            Found::File(file) => file,
        };
        let size = self.disk.stat(&file).map_err(looking)?.size;
        // A record that names another digest spares the reading: at worst it is stale, and the same content is kept twice.
        if size != place.size() || Record::read(&self.disk, &file).is_some_and(|record| record.digest != ours.digest) {
            return Ok(Some(Standing::Other));
        }
        let receipt = self.receipt(&file, place.key()).map_err(looking)?;
        if receipt.digest == ours.digest {
            self.promise_standing(folder, &file, place.key())?;
        }
        Ok(Some(Standing::File(receipt)))
    }
}
