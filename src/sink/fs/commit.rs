//! The commit: a staged file gets its name, and its receipt.

use std::sync::Arc;

use rustix::io::Errno;

use super::digests::Look;
use super::disk::Disk;
use super::readings::{Glance, Whole};
use super::record::Record;
use super::standing::looking_at;
use super::tree::{Folder, Found, Made, NoFolder};
use super::{Loses, Shared, failed, tree};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::place::{Content, Place, Standing, Step};
use crate::sink::version_index::LOOKED_AT;
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

/// How often the file under one key may change while a commit compares it.
const MAX_CHANGES: usize = 3;

/// Files that a commit remembers to have been read for it.
const MAX_KNOWN: usize = 64;

/// A commit that lacks nothing but a name: the file is flushed, with its record.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) record: Record,
    content: Content,
    /// Existing files that were read for this commit, with their keys.
    known: Vec<(Key, Look, Whole)>,
}

impl Sealed {
    /// Takes what a file holds that was read for this commit.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where that file changes whenever it is read.
    pub(super) fn learn(&mut self, key: Key, look: Look, whole: Whole) -> Result<()> {
        if self.known.iter().filter(|(other, ..)| *other == key).count() >= MAX_CHANGES {
            let message = format!("{:?} changes while it is compared: send it again", key.as_str());
            return Err(Error::new(ErrorKind::Store, message));
        }
        if self.known.len() >= MAX_KNOWN {
            self.known.remove(0);
        }
        self.known.push((key, look, whole));
        Ok(())
    }

    fn known(&self, look: Look) -> Option<Whole> {
        self.known.iter().rev().find(|(_, known, _)| *known == look).map(|(.., whole)| *whole)
    }
}

/// The reason for which a commit waits.
#[derive(Debug)]
pub(super) enum Wait<H> {
    /// The digest of this file.
    Unread(Unread<H>),
    /// A turn among long looks: it goes past many versions.
    Turn,
}

/// An existing file under the key of a commit. Only its bytes decide whether it holds the same
/// content.
#[derive(Debug)]
pub(super) struct Unread<H> {
    pub(super) key: Key,
    pub(super) file: Arc<H>,
    pub(super) look: Look,
}

/// The outcome of a try to give a staged file its key.
#[derive(Debug)]
pub(super) enum Committed<H> {
    Done(Receipt),
    /// Nothing was done: it has to be tried again then.
    Waits(Wait<H>),
}

/// The outcome of giving a staged file its key.
pub(super) enum Named<D: Disk> {
    /// It has its key, in this folder.
    In(Arc<D::Handle>),
    /// The same content has one.
    Duplicate(Receipt),
    Waits(Wait<D::Handle>),
}

/// The outcome of a look at a key.
pub(super) enum Seen<H> {
    Nothing,
    Standing(Standing),
    Unread(Unread<H>),
}

impl<D: Disk> Shared<D> {
    /// Checks the bytes that were received, and flushes them with their record.
    pub(super) fn seal(&self, spec: &UploadSpec, file: &D::Handle, tally: &Tally, ending: Ending) -> Result<Sealed> {
        let content = Content::seal(tally, spec, ending)?;
        self.check_writable("committing", &spec.key)?;
        let record = Record::new(spec, &content);
        record.write(&self.disk, file).map_err(|error| {
            Error::new(ErrorKind::Store, format!("committing {:?}: noting who sent it", spec.key.as_str())).because(error)
        })?;
        self.promise(file, Loses::Upload, &format!("{:?}", spec.key.as_str()))?;
        Ok(Sealed { record, content, known: Vec::new() })
    }

    /// Renames a file that is sealed, then flushes its folder. Says in `name` whether the staged
    /// name has become the final one, also where the commit fails afterwards.
    pub(super) fn commit(&self, spec: &UploadSpec, sealed: &Sealed, name: &mut Name) -> Result<Committed<D::Handle>> {
        let (mut place, mut made) = (Place::new(spec, sealed.content), Made::default());
        let named = self.give_name(&mut place, sealed, &mut made, name);
        if *name == Name::Staged {
            self.tree.remove(made);
        }
        let folder = match named? {
            Named::Duplicate(receipt) => return self.check_found(place.key()).map(|()| Committed::Done(receipt)),
            Named::Waits(wait) => return Ok(Committed::Waits(wait)),
            Named::In(folder) => folder,
        };
        // The file is visible; whether it will be after a power cut is not known. Not taken back:
        // somebody who sent the same may have its receipt by now.
        self.promise(&folder, Loses::Names, &format!("the folder of {:?}", place.key().as_str())).map_err(|error| {
            Error::new(ErrorKind::Unknown, format!("{:?} may not survive a power cut", place.key().as_str())).because(error)
        })?;
        self.check_found(place.key())?;
        self.note_version(&folder, place.key(), &sealed.content);
        let receipt = place.receipt(self.terms.durability);
        Ok(Committed::Done(Receipt { committed_at: sealed.record.committed_at, ..receipt }))
    }

    /// Renames the staged file to the first key that its place comes to, and says so in `name`; or
    /// finds that the same content has such a key already. Folders that are made for it are added
    /// to `made`.
    fn give_name(&self, place: &mut Place<'_>, sealed: &Sealed, made: &mut Made, name: &mut Name) -> Result<Named<D>> {
        let mut vanished = 0;
        loop {
            let named = match self.folder(place, made)? {
                Some(folder) => self.give_name_in(&folder, place, sealed, name)?.inspect(|_| self.tree.remember(&folder)),
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
        sealed: &Sealed,
        name: &mut Name,
    ) -> Result<Option<Named<D>>> {
        let (staged, handle) = ((&self.staging, sealed.record.id.as_str()), &folder.handle);
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
            let standing = match self.look(handle, place, sealed)? {
                Seen::Nothing => continue,
                Seen::Unread(unread) => return Ok(Some(Named::Waits(Wait::Unread(unread)))),
                Seen::Standing(standing) => standing,
            };
            match place.taken(standing)? {
                Step::Done(receipt) => return Ok(Some(Named::Duplicate(receipt))),
                Step::Next if place.number() > LOOKED_AT => return self.give_next_number(handle, place, sealed, name),
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
                Ok(folder) => {
                    if let Some((second, number)) = place.beside().filter(|(_, number)| *number > LOOKED_AT) {
                        self.besides.keep(second, number);
                    }
                    return Ok(Some(folder));
                }
                Err(NoFolder::File(file)) => {
                    place.blocked_by(&file)?;
                    if let Some((second, LOOKED_AT)) = place.beside()
                        && let Some(number) = self.besides.find(&second)
                    {
                        place.go_beside(number);
                    }
                }
                Err(NoFolder::Vanished) => return Ok(None),
                Err(NoFolder::NotFlushed(error)) => return Err(error),
                Err(NoFolder::Failed(errno)) => return Err(failed("committing", place.spec(), errno)),
            }
        }
    }

    /// The existing file under the key of the upload. It is flushed before it is reported as a
    /// duplicate: its writer may not have flushed it yet.
    pub(super) fn look(&self, folder: &D::Handle, place: &Place<'_>, sealed: &Sealed) -> Result<Seen<D::Handle>> {
        let looking = |errno: Errno| looking_at(place.key(), errno);
        let ours = sealed.record.digest;
        let file = match tree::open_regular(&self.disk, folder, place.key().file_name()).map_err(looking)? {
            Found::Nothing => return Ok(Seen::Nothing),
            Found::Obstacle => return Ok(Seen::Standing(Standing::Obstacle)),
            Found::File(file) => file,
        };
        let size = self.disk.stat(&file).map_err(looking)?.size;
        // A record that names another digest spares the reading: at worst it is stale, and the same content is kept twice.
        if size != place.size() || Record::read(&self.disk, &file).is_some_and(|record| record.digest != ours) {
            return Ok(Seen::Standing(Standing::Other));
        }
        let whole = match self.readings.glance(&self.disk, &file).map_err(looking)? {
            Glance::Known(whole) => whole,
            Glance::Unread(look) => match sealed.known(look) {
                Some(whole) => whole,
                None => return Ok(Seen::Unread(Unread { key: place.key().clone(), file: Arc::new(file), look })),
            },
        };
        let receipt = self.receipt(&file, place.key(), whole)?;
        if receipt.digest == ours {
            self.promise_standing(folder, &file, place.key())?;
        }
        Ok(Seen::Standing(Standing::File(receipt)))
    }
}
