//! An upload on its way to the disk.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::checkpoint::Checkpoint;
use super::disk::{Access, Disk};
use super::record::Record;
use super::staging::{lock_left, lock_new};
use super::tree::{Found, NoFolder};
use super::{Loses, Shared, blocking, failed, tree};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::sink::place::{Content, Place, Standing, Step};
use crate::sink::{Quarantined, Staged};
use crate::upload::{Durability, Ending, Note, Receipt, Tally, UploadSpec, WhenCut};

/// A locked file in the staging folder.
///
/// One chunk is on its way to the disk while the next one is awaited from the sender.
#[derive(Debug)]
pub(super) struct StagedFile<D: Disk> {
    shared: Arc<Shared<D>>,
    spec: Arc<UploadSpec>,
    /// Open, and so locked, for as long as this upload lives.
    file: Arc<D::Handle>,
    offset: u64,
    note: Note,
    state: State,
}

#[derive(Debug)]
enum State {
    /// All that came is written.
    Idle(Tally),
    /// A worker writes the last chunk, and brings the tally back.
    Writing(JoinHandle<Result<Tally>>),
    /// A write failed.
    Failed,
}

impl<D: Disk> StagedFile<D> {
    /// Opens a place for the upload.
    pub(super) fn create(shared: Arc<Shared<D>>, spec: UploadSpec) -> Result<Self> {
        shared.check_writable("staging", &spec.key)?;
        shared.check_room(spec.size.unwrap_or(0), "staging", &spec.key)?;
        let file = lock_new(&shared.disk, &shared.staging, spec.id.as_str())
            .map_err(|errno| not_locked("staging", &spec, errno))?;
        // Before the first byte: what was saved of another file must not be taken for this one's.
        shared.forget(&spec.id)?;
        let state = State::Idle(Tally::new());
        Ok(Self { shared, spec: Arc::new(spec), file: Arc::new(file), offset: 0, note: Note::default(), state })
    }

    /// Goes on with what an upload has left, if it is this one.
    pub(super) fn reopen(shared: Arc<Shared<D>>, spec: UploadSpec) -> Result<Option<Self>> {
        let failed = |errno: Errno| failed("resuming", &spec, errno);
        shared.check_writable("resuming", &spec.key)?;
        let left = lock_left(&shared.disk, &shared.staging, spec.id.as_str(), Access::Write)
            .map_err(|errno| not_locked("resuming", &spec, errno))?;
        let Some(file) = left else { return Ok(None) };
        let saved = shared.saved(&spec.id, &file).map_err(failed)?;
        let Some(Checkpoint { spec: begun, tally, note, .. }) = saved.filter(|saved| spec.continues(&saved.spec)) else {
            return Ok(None);
        };
        let offset = tally.size();
        // What came behind the checkpoint may have holes.
        shared.disk.truncate(&file, offset).map_err(failed)?;
        let spec = completed(spec, begun);
        shared.check_room(spec.size.map_or(0, |size| size.saturating_sub(offset)), "resuming", &spec.key)?;
        let state = State::Idle(tally);
        Ok(Some(Self { shared, spec: Arc::new(spec), file: Arc::new(file), offset, note, state }))
    }

    /// Waits for the write under way, and takes the tally.
    async fn settle(&mut self) -> Result<Tally> {
        // Where this is given up while it waits, the next one goes on waiting.
        let ended = match &mut self.state {
            State::Writing(worker) => Some(worker.await),
            State::Idle(_) | State::Failed => None,
        };
        let doing = || format!("writing {:?}", self.spec.key.as_str());
        match (ended, std::mem::replace(&mut self.state, State::Failed)) {
            (Some(Ok(written)), _) => written,
            (Some(Err(error)), _) => {
                Err(Error::new(ErrorKind::Store, format!("{}: the disk's worker ended early", doing())).because(error))
            }
            (None, State::Idle(tally)) => Ok(tally),
            (None, State::Writing(_) | State::Failed) => {
                Err(Error::new(ErrorKind::Store, format!("{}: it has failed before", doing())))
            }
        }
    }

    /// Lets a worker go on with the upload. At most one does at a time.
    fn work(
        &mut self,
        mut tally: Tally,
        work: impl FnOnce(&Shared<D>, &UploadSpec, &D::Handle, &mut Tally) -> Result<()> + Send + 'static,
    ) {
        let (shared, spec, file) = (Arc::clone(&self.shared), Arc::clone(&self.spec), Arc::clone(&self.file));
        self.state =
            State::Writing(tokio::task::spawn_blocking(move || work(&shared, &spec, &file, &mut tally).map(|()| tally)));
    }

    /// Whether the sink wants to do something every so many bytes.
    fn has_checkpoints(&self) -> bool {
        self.spec.when_cut == WhenCut::Keep || self.shared.terms.durability == Durability::Disk
    }

    /// How far the upload is saved; where it is not at all, nothing stays of it.
    fn last_checkpoint(&self) -> Result<u64> {
        // After a failed flush nobody knows which checkpoint a power cut would leave.
        self.shared.check_writable("keeping", &self.spec.key)?;
        match self.shared.saved(&self.spec.id, &self.file) {
            Ok(Some(saved)) => Ok(saved.tally.size()),
            Ok(None) => self.remove().map(|()| 0),
            Err(errno) => Err(failed("looking how far it came", &self.spec, errno)),
        }
    }

    /// Removes what the upload has left besides the file under its last name.
    fn clean_up<T>(&self, name: Name, ended: &Result<T>) {
        let cleaned = match (name, ended) {
            (Name::Staged, _) => self.remove(),
            (Name::Final, Ok(_)) => self.shared.forget_committed(&self.spec.id),
            // After a power cut it may be on its way again.
            (Name::Final, Err(_)) => Ok(()),
        };
        if let Err(litter) = cleaned {
            tracing::warn!(key = %self.spec.key, error = %litter, "something stays behind until the next sweep");
        }
    }

    /// Removes what was saved, then the staged name. Only while it is known to be there: once it is renamed, the name is free
    /// for another upload.
    fn remove(&self) -> Result<()> {
        self.shared.forget(&self.spec.id)?;
        match self.shared.disk.unlink(&self.shared.staging, self.spec.id.as_str()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("removing what was staged of", &self.spec, errno)),
        }
    }
}

impl<D: Disk> Drop for StagedFile<D> {
    fn drop(&mut self) {
        if let State::Writing(worker) = std::mem::replace(&mut self.state, State::Failed) {
            self.shared.dropped.add(&self.spec.id, worker);
        }
    }
}

#[async_trait]
impl<D: Disk> Staged for StagedFile<D> {
    fn spec(&self) -> &UploadSpec {
        &self.spec
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn note(&self) -> &Note {
        &self.note
    }

    fn until_checkpoint(&self) -> u64 {
        let every = self.shared.terms.checkpoint_bytes;
        if self.has_checkpoints() { every - self.offset % every } else { u64::MAX }
    }

    /// An upload that is not kept is flushed all the same: so that none has more than that in the cache, and its commit does not
    /// wait for all of it.
    async fn checkpoint(&mut self, note: Note) -> Result<()> {
        let due = self.offset > 0 && self.offset.is_multiple_of(self.shared.terms.checkpoint_bytes);
        if !due || !self.has_checkpoints() {
            return Ok(());
        }
        let tally = self.settle().await?;
        self.work(tally, |shared, spec, file, tally| match spec.when_cut {
            WhenCut::Keep => shared.save(spec, file, tally, note),
            WhenCut::Drop => shared.flush(file, Loses::Upload, &format!("{:?}", spec.key.as_str())),
        });
        Ok(())
    }

    async fn suspend(mut self: Box<Self>, note: Note) -> Result<u64> {
        if self.spec.when_cut == WhenCut::Drop {
            return self.abort().await.map(|()| 0);
        }
        let settled = self.settle().await;
        blocking(move || {
            let saved = settled.and_then(|tally| {
                self.shared.save(&self.spec, &self.file, &tally, note)?;
                Ok(tally.size())
            });
            saved.or_else(|error| {
                tracing::warn!(key = %self.spec.key, %error, "an upload that was cut off is kept as of its last checkpoint");
                self.last_checkpoint()
            })
        })
        .await
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let tally = self.settle().await?;
        self.offset += chunk.len() as u64;
        self.work(tally, move |shared, spec, file, tally| {
            shared.check_room(chunk.len() as u64, "writing", &spec.key)?;
            shared.disk.write_at(file, &chunk, tally.size()).map_err(|errno| failed("writing", spec, errno))?;
            tally.add(&chunk);
            Ok(())
        });
        Ok(())
    }

    async fn commit(mut self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let settled = self.settle().await;
        blocking(move || {
            let mut name = Name::Staged;
            let committed = settled.and_then(|tally| self.shared.commit(&self.spec, &self.file, &tally, ending, &mut name));
            self.clean_up(name, &committed);
            committed
        })
        .await
    }

    async fn quarantine(mut self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        let settled = self.settle().await;
        blocking(move || {
            let mut name = Name::Staged;
            let sealed = settled.and_then(|tally| Content::seal(&tally, &self.spec, ending));
            let kept = sealed.and_then(|content| self.shared.quarantine(&self.spec, &self.file, content, report, &mut name));
            self.clean_up(name, &kept);
            kept
        })
        .await
    }

    async fn abort(mut self: Box<Self>) -> Result<()> {
        // How the write under way ends no longer matters, but it must have ended: it would go on after the lock is gone.
        drop(self.settle().await);
        blocking(move || self.remove()).await
    }
}

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
    fn commit(
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
                Step::Done(receipt) => return Ok(receipt),
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
        Ok(Receipt { committed_at: record.committed_at, ..place.receipt(self.terms.durability) })
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

fn not_locked(doing: &str, spec: &UploadSpec, errno: Errno) -> Error {
    match errno {
        Errno::WOULDBLOCK => Error::new(ErrorKind::Busy, format!("upload {} is being written by somebody else", spec.id)),
        errno => failed(doing, spec, errno),
    }
}

/// What comes to go on, with what it leaves out taken from what was begun.
fn completed(spec: UploadSpec, begun: UploadSpec) -> UploadSpec {
    UploadSpec {
        size: spec.size.or(begun.size),
        digest: spec.digest.or(begun.digest),
        content_type: spec.content_type.or(begun.content_type),
        meta: if spec.meta.is_empty() { begun.meta } else { spec.meta },
        ..spec
    }
}
