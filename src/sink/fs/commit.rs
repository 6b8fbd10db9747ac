//! The commit: a staged file gets its name, and its receipt.

use std::sync::Arc;

use rustix::io::Errno;

use super::disk::Disk;
use super::record::Record;
use super::tree::{Folder, Found, Made, NoFolder};
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

/// How often a folder may be removed by the upload that has made it while another one is about to
/// use it.
const MAX_VANISHED: u32 = 100;

/// The outcome of giving a staged file its key.
enum Named<D: Disk> {
    /// It has its key, in this folder.
    In(Arc<D::Handle>),
    /// The same content has one.
    Duplicate(Receipt),
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
        let (mut place, mut made) = (Place::new(spec, content), Made::default());
        let named = self.give_name(&mut place, &record, &mut made, name);
        if *name == Name::Staged {
            self.tree.remove(made);
        }
        let folder = match named? {
            Named::Duplicate(receipt) => return self.check_found(place.key()).map(|()| receipt),
            Named::In(folder) => folder,
        };
        // The file is visible; whether it will be after a power cut is not known. Not taken back:
        // somebody who sent the same may have its receipt by now.
        self.promise(&folder, Loses::Names, &format!("the folder of {:?}", place.key().as_str())).map_err(|error| {
            Error::new(ErrorKind::Unknown, format!("{:?} may not survive a power cut", place.key().as_str())).because(error)
        })?;
        self.check_found(place.key())?;
        Ok(Receipt { committed_at: record.committed_at, ..place.receipt(self.terms.durability) })
    }

    /// Renames the staged file to the first key that its place comes to, and says so in `name`; or
    /// finds that the same content has such a key already. Folders that are made for it are added
    /// to `made`.
    fn give_name(&self, place: &mut Place<'_>, record: &Record, made: &mut Made, name: &mut Name) -> Result<Named<D>> {
        let mut vanished = 0;
        loop {
            let named = match self.folder(place, made)? {
                Some(folder) => self.give_name_in(&folder, place, record, name)?.inspect(|_| self.tree.remember(&folder)),
                None => None,
            };
            match named {
                Some(named) => return Ok(named),
                None if vanished < MAX_VANISHED => vanished += 1,
                None => return Err(failed("committing", place.spec(), Errno::NOENT)),
            }
        }
    }

    /// As [`give_name`](Self::give_name), in the folder of the place; `None` where that is gone.
    fn give_name_in(
        &self,
        folder: &Folder<D::Handle>,
        place: &mut Place<'_>,
        record: &Record,
        name: &mut Name,
    ) -> Result<Option<Named<D>>> {
        let (staged, handle) = ((&self.staging, record.id.as_str()), &folder.handle);
        let named = || Ok(Some(Named::In(Arc::clone(handle))));
        // Versions differ in their last component only, so one folder serves for all.
        loop {
            match tree::rename_new(&self.disk, staged, (handle, place.key().file_name())) {
                Ok(()) => {
                    *name = Name::Final;
                    return named();
                }
                Err(Errno::EXIST) => {}
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(failed("committing", place.spec(), errno)),
            }
            let Some(standing) = self.look(handle, place, record)? else { continue };
            match place.taken(standing)? {
                Step::Done(receipt) => return Ok(Some(Named::Duplicate(receipt))),
                Step::Next => {}
                Step::Replace => match self.disk.rename(staged.0, staged.1, handle, place.key().file_name()) {
                    Ok(()) => {
                        *name = Name::Final;
                        return named();
                    }
                    // A folder has taken its place since.
                    Err(Errno::ISDIR) => {}
                    Err(Errno::NOENT) => return Ok(None),
                    Err(errno) => return Err(failed("committing", place.spec(), errno)),
                },
            }
        }
    }

    /// Fails where a reader would not find what was just committed: the root may have been moved meanwhile.
    fn check_found(&self, key: &Key) -> Result<()> {
        let lost = |error: Error| {
            Error::new(ErrorKind::Unknown, format!("whether {:?} is durable under its name can't be known", key.as_str()))
                .because(error)
        };
        self.check_writable("looking at", key).map_err(lost)
    }

    /// The folder of the place, durable, past all files that are in its way; `None` where it was
    /// removed meanwhile.
    fn folder(&self, place: &mut Place<'_>, made: &mut Made) -> Result<Option<Folder<D::Handle>>> {
        loop {
            let flush = |folder: &D::Handle| {
                self.promise(folder, Loses::Names, &format!("a folder above {:?}", place.key().as_str()))
            };
            match self.tree.folder(place.key(), made, flush) {
                Ok(folder) => return Ok(Some(folder)),
                Err(NoFolder::File(file)) => place.blocked_by(&file)?,
                Err(NoFolder::Vanished) => return Ok(None),
                Err(NoFolder::NotFlushed(error)) => return Err(error),
                Err(NoFolder::Failed(errno)) => return Err(failed("committing", place.spec(), errno)),
            }
        }
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
