//! An upload on its way to the disk.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::disk::Disk;
use super::record::{self, Record};
use super::staging::lock_new;
use super::tree::{Found, NoFolder};
use super::{Shared, blocking, is_full, tree};
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Staged;
use crate::sink::place::{Content, Place, Standing, Step};
use crate::upload::{Durability, Ending, Note, Receipt, Tally, UploadSpec};

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
    /// A write failed, or was given up while it was awaited.
    Failed,
}

impl<D: Disk> StagedFile<D> {
    /// Opens a place for the upload.
    pub(super) fn create(shared: Arc<Shared<D>>, spec: UploadSpec) -> Result<Self> {
        shared.check_writable("staging", &spec.key)?;
        shared.check_room(spec.size.unwrap_or(0), "staging", &spec.key)?;
        let file = lock_new(&shared.disk, &shared.staging, spec.id.as_str()).map_err(|errno| match errno {
            Errno::WOULDBLOCK => {
                Error::new(ErrorKind::Busy, format!("upload {} is being written by somebody else", spec.id))
            }
            errno => failed("staging", &spec, errno),
        })?;
        let state = State::Idle(Tally::new());
        Ok(Self { shared, spec: Arc::new(spec), file: Arc::new(file), offset: 0, note: Note::default(), state })
    }

    /// Waits for the write under way, and takes the tally.
    async fn settle(&mut self) -> Result<Tally> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Idle(tally) => Ok(tally),
            State::Writing(worker) => match worker.await {
                Ok(written) => written,
                Err(error) => {
                    let message = format!("writing {:?}: the disk's worker ended early", self.spec.key.as_str());
                    Err(Error::new(ErrorKind::Store, message).because(error))
                }
            },
            State::Failed => Err(Error::new(ErrorKind::Store, format!("{:?} has failed before", self.spec.key.as_str()))),
        }
    }

    /// Removes the staged name. Only while it is known to be there: once it is renamed, the name is free for another upload.
    fn remove(&self) -> Result<()> {
        match self.shared.disk.unlink(&self.shared.staging, self.spec.id.as_str()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed("removing what was staged of", &self.spec, errno)),
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
        u64::MAX
    }

    async fn checkpoint(&mut self, _note: Note) -> Result<()> {
        Ok(())
    }

    async fn suspend(self: Box<Self>, _note: Note) -> Result<u64> {
        self.abort().await.map(|()| 0)
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let mut tally = self.settle().await?;
        self.offset += chunk.len() as u64;
        let (shared, spec, file) = (Arc::clone(&self.shared), Arc::clone(&self.spec), Arc::clone(&self.file));
        self.state = State::Writing(tokio::task::spawn_blocking(move || {
            shared.check_room(chunk.len() as u64, "writing", &spec.key)?;
            shared.disk.write_at(&file, &chunk, tally.size()).map_err(|errno| failed("writing", &spec, errno))?;
            tally.add(&chunk);
            Ok(tally)
        }));
        Ok(())
    }

    async fn commit(mut self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let settled = self.settle().await;
        blocking(move || {
            let mut name = Name::Staged;
            let committed = settled.and_then(|tally| self.shared.commit(&self.spec, &self.file, &tally, ending, &mut name));
            if name == Name::Staged
                && let Err(litter) = self.remove()
            {
                tracing::warn!(key = %self.spec.key, error = %litter, "a staged file stays behind until the next start");
            }
            committed
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
enum Name {
    Staged,
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
        self.flush(file, &format!("{:?}", spec.key.as_str()))?;
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
        self.flush(&folder, &format!("the folder of {:?}", place.key().as_str())).map_err(|error| {
            Error::new(ErrorKind::Unknown, format!("{:?} may not survive a power cut", place.key().as_str())).because(error)
        })?;
        Ok(Receipt { committed_at: record.committed_at, ..place.receipt(Durability::Disk) })
    }

    /// The folder of the upload's key, durable.
    fn folder(&self, spec: &UploadSpec) -> Result<Arc<D::Handle>> {
        let flush = |folder: &D::Handle| self.flush(folder, &format!("a folder above {:?}", spec.key.as_str()));
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
        let receipt = record::receipt(&self.disk, &file, place.key()).map_err(looking)?;
        if receipt.digest == ours.digest {
            self.flush(&file, &format!("{:?}", place.key().as_str()))?;
            self.flush(folder, &format!("the folder of {:?}", place.key().as_str()))?;
        }
        Ok(Some(Standing::File(receipt)))
    }
}

fn failed(doing: &str, spec: &UploadSpec, errno: Errno) -> Error {
    let message = format!("{doing} {:?}", spec.key.as_str());
    if is_full(errno) {
        return Error::new(ErrorKind::NoSpace, format!("{message}: disk full")).because(errno);
    }
    Error::new(ErrorKind::Store, message).because(errno)
}
