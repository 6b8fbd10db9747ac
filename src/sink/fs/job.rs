//! An upload as the disk's workers have it: at most one of them at a time.

use std::fmt;
use std::sync::Arc;

use rustix::io::Errno;

use super::checkpoint::Checkpoint;
use super::commit::{Committed, Name, Sealed, Wait};
use super::digests::Look;
use super::disk::{Access, Disk};
use super::readings::Whole;
use super::staging::{lock_left, lock_new};
use super::standing::looking_at;
use super::{Loses, Shared, failed};
use crate::budget::{Lease, Use};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::sink::Quarantined;
use crate::sink::claims::Claim;
use crate::sink::place::Content;
use crate::upload::{Ending, Key, Note, Receipt, Tally, UploadId, UploadSpec, WhenCut};

/// An upload: what of it is on the disk, and what is not yet.
///
/// The first bytes of an upload that is not kept when it is cut are held back, so that a small file is created, written and
/// committed in one go. Nothing is on the disk of an upload that is all held. One that is kept has its place, and its lock, from
/// the start: whoever goes on with it elsewhere must meet them.
#[derive(Debug)]
pub(super) struct Job<D: Disk> {
    pub(super) shared: Arc<Shared<D>>,
    pub(super) spec: Arc<UploadSpec>,
    place: Place<D>,
    /// Of what is written.
    tally: Tally,
    /// One writer an id in this process; the lock on the file sees to the others. Given back last.
    _claim: Claim<UploadId>,
}

/// The state of a commit.
#[derive(Debug)]
pub(super) enum Committing<D: Disk> {
    Done(Receipt),
    Waits(Box<(Job<D>, Sealed, Wait<D::Handle>)>),
}

/// Where the bytes of an upload are: those that were held back, and the file behind which they come.
struct Place<D: Disk> {
    /// Open, and so locked, for as long as this lives, and a flush that goes on beside it.
    file: Option<Arc<D::Handle>>,
    held: Vec<u8>,
    /// For what is held.
    lease: Option<Lease>,
}

impl<D: Disk> fmt::Debug for Place<D> {
    /// Without the bytes, which are the sender's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("file", &self.file).field("held", &self.held.len()).finish_non_exhaustive()
    }
}

impl<D: Disk> Place<D> {
    fn new(file: Option<D::Handle>) -> Self {
        Self { file: file.map(Arc::new), held: Vec::new(), lease: None }
    }

    /// The file, which is made where there is none. That of an upload that is kept is made before anything is written.
    fn open(&mut self, shared: &Shared<D>, spec: &UploadSpec) -> Result<&D::Handle> {
        let file = match self.file.take() {
            Some(file) => file,
            None => Arc::new(create(shared, spec, |_| Ok(true))?),
        };
        Ok(self.file.insert(file))
    }

    /// Writes what was held back, then `bytes`. Gives the file.
    fn write(&mut self, shared: &Shared<D>, spec: &UploadSpec, tally: &mut Tally, bytes: &[u8]) -> Result<&D::Handle> {
        let (held, _lease) = (std::mem::take(&mut self.held), self.lease.take());
        let file = self.open(shared, spec)?;
        for bytes in [held.as_slice(), bytes] {
            if !bytes.is_empty() {
                shared.check_room(bytes.len() as u64, "writing", &spec.key)?;
                shared.disk.write_at(file, bytes, tally.size()).map_err(|errno| failed("writing", spec, errno))?;
                tally.add(bytes);
            }
        }
        Ok(file)
    }

    /// Keeps bytes back if there are so few that they can wait, and there is room for them; whether it does.
    fn holds(&mut self, shared: &Shared<D>, bytes: &[u8]) -> bool {
        if self.file.is_some() || self.held.len() + bytes.len() > shared.terms.hold_bytes {
            return false;
        }
        // The buffer doubles as it grows.
        let capacity = self.held.capacity().max(2 * (self.held.len() + bytes.len()));
        let lease = self.lease.get_or_insert_with(|| shared.budget.lease(Use::HeldFiles));
        let is_granted = lease.try_grow(capacity);
        if is_granted {
            self.held.extend_from_slice(bytes);
        }
        is_granted
    }
}

impl<D: Disk> Job<D> {
    /// An upload of which nothing has come.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where this process writes it already, [`ErrorKind::Store`] where the store takes nothing any more.
    pub(super) fn new(shared: Arc<Shared<D>>, spec: UploadSpec) -> Result<Self> {
        shared.check_writable("staging", &spec.key)?;
        let claim = shared.claims.claim(&spec.id).ok_or_else(|| busy(&spec))?;
        let tally = Tally::of(&spec);
        Ok(Self { shared, spec: Arc::new(spec), place: Place::new(None), tally, _claim: claim })
    }

    /// Goes on with what an upload has left, if it is this one. Says where, and what was noted there.
    pub(super) fn reopen(shared: Arc<Shared<D>>, spec: UploadSpec) -> Result<Option<(Self, Note)>> {
        let failed = |errno: Errno| failed("resuming", &spec, errno);
        shared.check_writable("resuming", &spec.key)?;
        let claim = shared.claims.claim(&spec.id).ok_or_else(|| busy(&spec))?;
        let left = lock_left(&shared.disk, &shared.staging, spec.id.as_str(), Access::Write)
            .map_err(|errno| not_locked("resuming", &spec, errno))?;
        let Some(file) = left else { return Ok(None) };
        let saved = shared.saved(&spec.id, &file).map_err(failed)?;
        let Some(Checkpoint { spec: begun, tally, note, .. }) = saved else { return Ok(None) };
        let offset = tally.size();
        spec.check_continues(&begun, offset)?;
        // What came behind the checkpoint may have holes.
        shared.disk.truncate(&file, offset).map_err(failed)?;
        let spec = spec.held_to(begun);
        shared.check_room(spec.size.map_or(0, |size| size.saturating_sub(offset)), "resuming", &spec.key)?;
        let (spec, place) = (Arc::new(spec), Place::new(Some(file)));
        Ok(Some((Self { shared, spec, place, tally, _claim: claim }, note)))
    }

    /// Bytes that have come.
    pub(super) fn size(&self) -> u64 {
        self.tally.size() + self.place.held.len() as u64
    }

    /// Whether the upload may go without a place on the disk for now. Nothing was ever kept under the id of one that may.
    pub(super) fn may_be_held(&self) -> bool {
        let is_small = self.spec.size.is_none_or(|size| size <= self.shared.terms.hold_bytes as u64);
        self.spec.when_cut == WhenCut::Drop && is_small
    }

    /// Keeps bytes back if there are so few that they can wait, and there is room for them; whether it does.
    pub(super) fn holds(&mut self, bytes: &[u8]) -> bool {
        self.place.holds(&self.shared, bytes)
    }

    /// Opens a place for the upload, which has none. What it has left before is dropped, but what was announced of it holds.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where an upload is kept that has this id and is another one.
    pub(super) fn open(&mut self) -> Result<()> {
        let (shared, spec) = (&self.shared, &self.spec);
        if spec.when_cut == WhenCut::Drop {
            return self.place.open(shared, spec).map(drop);
        }
        let mut begun = None;
        let file = create(shared, spec, |left| {
            begun = shared.saved(&spec.id, left)?.map(|saved| saved.spec);
            Ok(begun.as_ref().is_none_or(|begun| spec.continues(begun, 0)))
        })?;
        self.place = Place::new(Some(file));
        // Before the first byte: what was saved of another file must not be taken for this one's.
        shared.forget(&spec.id)?;
        if let Some(begun) = begun {
            self.spec = Arc::new(UploadSpec::clone(spec).held_to(begun));
        }
        Ok(())
    }

    /// Writes what was held back, then `bytes`.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let Self { shared, spec, place, tally, .. } = self;
        place.write(shared, spec, tally, bytes).map(drop)
    }

    /// A flush of what is written, to go on beside further writes: so that no upload has much in the cache, and its commit does
    /// not wait for all of it. The commit must know how it ended, for what it could not write is told once.
    pub(super) fn flush_beside(&self) -> Option<impl FnOnce() -> Result<()> + Send + use<D>> {
        let (shared, spec, file) = (Arc::clone(&self.shared), Arc::clone(&self.spec), self.place.file.clone()?);
        Some(move || shared.flush(&file, Loses::Upload, &format!("{:?}", spec.key.as_str())))
    }

    /// Makes durable what has come, and that it has.
    pub(super) fn save(&mut self, note: Note) -> Result<()> {
        let Self { shared, spec, place, tally, .. } = self;
        let file = place.write(shared, spec, tally, &[])?;
        shared.save(spec, file, tally, note)
    }

    /// How far the upload is saved; where it is not at all, nothing stays of it.
    pub(super) fn last_checkpoint(&self) -> Result<u64> {
        // After a failed flush nobody knows which checkpoint a power cut would leave.
        self.shared.check_writable("keeping", &self.spec.key)?;
        let Some(file) = &self.place.file else { return Ok(0) };
        match self.shared.saved(&self.spec.id, file) {
            Ok(Some(saved)) => Ok(saved.tally.size()),
            Ok(None) => self.remove().map(|()| 0),
            Err(errno) => Err(failed("looking how far it came", &self.spec, errno)),
        }
    }

    /// Commits. Afterwards nothing is left under the staged name, unless the commit waits.
    pub(super) fn commit(mut self, ending: Ending) -> Result<Committing<D>> {
        let Self { shared, spec, place, tally, .. } = &mut self;
        let sealed = place.write(shared, spec, tally, &[]).and_then(|file| shared.seal(spec, file, tally, ending));
        match sealed {
            Ok(sealed) => self.give_name(sealed),
            Err(error) => self.fail(error),
        }
    }

    /// As [`commit`](Self::commit), once a file was read for it.
    pub(super) fn commit_knowing(self, mut sealed: Sealed, key: Key, read: Result<(Look, Whole)>) -> Result<Committing<D>> {
        match read.map_err(|error| looking_at(&key, error)).and_then(|(look, whole)| sealed.learn(key, look, whole)) {
            Ok(()) => self.give_name(sealed),
            Err(error) => self.fail(error),
        }
    }

    /// As [`commit`](Self::commit), of what is sealed.
    pub(super) fn give_name(self, sealed: Sealed) -> Result<Committing<D>> {
        let mut name = Name::Staged;
        let committed = match self.shared.commit(&self.spec, &sealed, &mut name) {
            Ok(Committed::Waits(wait)) => return Ok(Committing::Waits(Box::new((self, sealed, wait)))),
            Ok(Committed::Done(receipt)) => Ok(receipt),
            Err(error) => Err(error),
        };
        self.clean_up(name, &committed);
        committed.map(Committing::Done)
    }

    /// Gives it up because of `error`.
    pub(super) fn fail<T>(self, error: Error) -> Result<T> {
        let failed = Err(error);
        self.clean_up(Name::Staged, &failed);
        failed
    }

    /// Moves it into quarantine; whatever comes of it, nothing stays under the staged name.
    pub(super) fn quarantine(mut self, report: Report, ending: Ending) -> Result<Quarantined> {
        let mut name = Name::Staged;
        let Self { shared, spec, place, tally, .. } = &mut self;
        let kept = place.write(shared, spec, tally, &[]).and_then(|file| {
            let content = Content::seal(tally, spec, ending)?;
            shared.quarantine(spec, file, content, report, &mut name)
        });
        self.clean_up(name, &kept);
        kept
    }

    /// Gives it up.
    pub(super) fn abort(self) -> Result<()> {
        self.remove()
    }

    /// Removes what the upload has left besides the file under its last name.
    pub(super) fn clean_up<T>(&self, name: Name, ended: &Result<T>) {
        let cleaned = match (name, ended) {
            (Name::Staged, _) => self.remove(),
            (Name::Final, Ok(_)) if self.spec.when_cut == WhenCut::Keep => self.shared.forget_committed(&self.spec.id),
            // After a power cut it may be on its way again; and of what is not kept, nothing was saved.
            (Name::Final, _) => Ok(()),
        };
        if let Err(litter) = cleaned {
            tracing::warn!(key = %self.spec.key, error = %litter, "something stays behind until the next sweep");
        }
    }

    /// Removes what was saved, then the staged name. Only while it is known to be there: once it is renamed, the name is free
    /// for another upload.
    fn remove(&self) -> Result<()> {
        if self.place.file.is_none() {
            return Ok(());
        }
        self.shared.forget(&self.spec.id)?;
        match self.shared.disk.unlink(&self.shared.staging, self.spec.id.as_str()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("removing what was staged of", &self.spec, errno)),
        }
    }
}

fn create<D: Disk>(
    shared: &Shared<D>,
    spec: &UploadSpec,
    may_go: impl FnMut(&D::Handle) -> Result<bool, Errno>,
) -> Result<D::Handle> {
    shared.check_writable("staging", &spec.key)?;
    shared.check_room(spec.size.unwrap_or(0), "staging", &spec.key)?;
    let locked = lock_new(&shared.disk, &shared.staging, spec.id.as_str(), may_go);
    locked.map_err(|errno| not_locked("staging", spec, errno))
}

fn busy(spec: &UploadSpec) -> Error {
    Error::new(ErrorKind::Busy, format!("upload {} is being written by somebody else", spec.id))
}

fn not_locked(doing: &str, spec: &UploadSpec, errno: Errno) -> Error {
    match errno {
        Errno::WOULDBLOCK => busy(spec),
        Errno::EXIST => spec.id_taken(),
        errno => failed(doing, spec, errno),
    }
}
