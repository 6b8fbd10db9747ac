//! Giving a file the next version of a name that has many, without looking at each of them.

use std::sync::Arc;

use rustix::io::Errno;

use super::commit::{Name, Named, Sealed, Seen, Wait};
use super::disk::Disk;
use super::record::Record;
use super::standing::looking_at;
use super::tree::Found;
use super::{Shared, failed, tree};
use crate::error::Result;
use crate::sink::place::{Content, Place, Standing};
use crate::sink::version_index::{Holds, VersionIndex, lock};
use crate::upload::Key;

/// Versions that a commit goes past in one go.
const MAX_PASSED: u32 = 256;

/// The versions of a name: the identity of their folder, and the file name of the second one.
pub(super) type Versions = ((u64, u64), String);

/// The next step of a search for a free version.
enum Step {
    Named,
    /// This one may hold the same content.
    Compare(u32),
    /// The folder is gone.
    Vanished,
    /// There are too many to look at in one go.
    Pause,
}

impl<D: Disk> Shared<D> {
    /// Renames the staged file to the first version that is not known to be taken, unless one holds
    /// the same content. `None` where the folder is gone.
    pub(super) fn give_next_number(
        &self,
        folder: &Arc<D::Handle>,
        place: &mut Place<'_>,
        sealed: &Sealed,
        name: &mut Name,
    ) -> Result<Option<Named<D>>> {
        let identity = self.disk.stat(folder).map_err(|errno| looking_at(place.key(), errno))?.identity;
        let index = self.versions.of((identity, place.second()?.file_name().to_owned()));
        loop {
            let step = self.next_step(folder, place, sealed, &mut lock(&index))?;
            let number = match step {
                Step::Named => {
                    *name = Name::Final;
                    return Ok(Some(Named::In(Arc::clone(folder))));
                }
                Step::Vanished => return Ok(None),
                Step::Pause => return Ok(Some(Named::Waits(Wait::Turn))),
                Step::Compare(number) => number,
            };
            place.go_to(number)?;
            match self.look(folder, place, sealed)? {
                Seen::Unread(unread) => return Ok(Some(Named::Waits(Wait::Unread(unread)))),
                Seen::Standing(Standing::File(receipt)) => {
                    if let Some(receipt) = place.same(&receipt) {
                        return Ok(Some(Named::Duplicate(receipt)));
                    }
                    let mut index = lock(&index);
                    index.differs(number, place.content());
                    // Else it would be a candidate once more.
                    if receipt.digest.start() != place.content().digest.start() {
                        index.note(number, Holds::Content(receipt.digest));
                    }
                }
                Seen::Standing(Standing::Other | Standing::Obstacle) | Seen::Nothing => {
                    lock(&index).differs(number, place.content());
                }
            }
        }
    }

    /// Looks at versions that are not known yet, up to the first one that is free, and takes that.
    fn next_step(
        &self,
        folder: &D::Handle,
        place: &mut Place<'_>,
        sealed: &Sealed,
        index: &mut VersionIndex,
    ) -> Result<Step> {
        for _ in 0..MAX_PASSED {
            if let Some(number) = index.candidate(place.content()) {
                return Ok(Step::Compare(number));
            }
            place.go_to(index.next())?;
            let Some(holds) = self.held_by(folder, place.key())? else {
                let (staged, new_name) = (sealed.record.id.as_str(), place.key().file_name());
                match tree::rename_new(&self.disk, (&self.staging, staged), (folder, new_name)) {
                    Ok(()) => {
                        index.take(place.content().digest);
                        return Ok(Step::Named);
                    }
                    Err(Errno::EXIST) => continue,
                    Err(Errno::NOENT) => return Ok(Step::Vanished),
                    Err(errno) => return Err(failed("committing", place.spec(), errno)),
                }
            };
            index.pass(holds);
        }
        Ok(Step::Pause)
    }

    /// The content of a version according to its record; `None` where the version does not exist.
    fn held_by(&self, folder: &D::Handle, key: &Key) -> Result<Option<Holds>> {
        let looking = |errno: Errno| looking_at(key, errno);
        let file = match tree::open_regular(&self.disk, folder, key.file_name()).map_err(looking)? {
            Found::Nothing => return Ok(None),
            Found::Obstacle => return Ok(Some(Holds::Other)),
            Found::File(file) => file,
        };
        Ok(Some(match Record::read(&self.disk, &file) {
            Some(record) => Holds::Content(record.digest),
            None => Holds::Unread(self.disk.stat(&file).map_err(looking)?.size),
        }))
    }

    /// Notes the content that was stored under a key, if that is a version of a remembered name.
    pub(super) fn note_version(&self, folder: &D::Handle, key: &Key, content: &Content) {
        let (stem, extension) = key.around_extension();
        let Some((stem, number)) = stem.rsplit_once('~') else { return };
        let Ok(number) = number.parse() else { return };
        let second = format!("{stem}~2{extension}");
        let Ok(stat) = self.disk.stat(folder) else { return };
        let file_name = second.rsplit('/').next().unwrap_or_default().to_owned();
        if let Some(index) = self.versions.known(&(stat.identity, file_name)) {
            lock(&index).note(number, Holds::Content(content.digest));
        }
    }
}
