//! An upload on its way to the disk.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::commit::{Unread, Wait};
use super::disk::Disk;
use super::job::{Committing, Job};
use super::{Shared, blocking};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::sink::{Quarantined, Staged};
use crate::upload::{Durability, Ending, Note, Receipt, UploadSpec, WhenCut};

/// A file in the staging folder, or one that is still small enough to be held back.
///
/// One chunk is on its way to the disk while the next one is awaited from the sender.
#[derive(Debug)]
pub(super) struct StagedFile<D: Disk> {
    shared: Arc<Shared<D>>,
    spec: Arc<UploadSpec>,
    offset: u64,
    note: Note,
    state: State<D>,
    flush: Flush,
}

/// The last flush beside the writes, of an upload that is not kept when it is cut.
#[derive(Debug)]
enum Flush {
    /// There was none, or it ended well.
    Done,
    Running(JoinHandle<Result<()>>),
    /// What it has lost is lost for good: no further one would tell of it.
    Failed,
}

#[derive(Debug)]
enum State<D: Disk> {
    /// No worker has it.
    Idle(Job<D>),
    /// A worker writes the last chunk, and brings the upload back; where nobody waits for it any more, it ends there.
    Writing(JoinHandle<()>, oneshot::Receiver<(Job<D>, Result<()>)>),
    /// A worker has failed. What it brought back holds the lock until it is given up.
    Failed(Option<Job<D>>),
}

impl<D: Disk> StagedFile<D> {
    pub(super) fn new(job: Job<D>, note: Note) -> Self {
        let (shared, spec) = (Arc::clone(&job.shared), Arc::clone(&job.spec));
        Self { shared, spec, offset: job.size(), note, state: State::Idle(job), flush: Flush::Done }
    }

    /// Waits for the write under way, and takes the upload. Where that has failed it stays.
    async fn settle(&mut self) -> Result<Job<D>> {
        // Where this is given up while it waits, the next one goes on waiting.
        let ended = match &mut self.state {
            State::Writing(_, back) => Some(back.await),
            State::Idle(_) | State::Failed(_) => None,
        };
        let doing = || format!("writing {:?}", self.spec.key.as_str());
        match (ended, std::mem::replace(&mut self.state, State::Failed(None))) {
            (Some(Ok((job, Ok(())))), _) | (None, State::Idle(job)) => Ok(job),
            (Some(Ok((job, Err(error)))), _) => {
                self.state = State::Failed(Some(job));
                Err(error)
            }
            (Some(Err(error)), _) => {
                Err(Error::new(ErrorKind::Store, format!("{}: the disk's worker ended early", doing())).because(error))
            }
            (None, state) => {
                self.state = state;
                Err(Error::new(ErrorKind::Store, format!("{}: it has failed before", doing())))
            }
        }
    }

    /// Waits for the flush under way, and fails where it has failed.
    async fn flushed(&mut self) -> Result<()> {
        let failed = |why: &str| Error::new(ErrorKind::Store, format!("flushing {:?}: {why}", self.spec.key.as_str()));
        let flushed = match &mut self.flush {
            Flush::Done => return Ok(()),
            // Where this is given up while it waits, the next one goes on waiting.
            Flush::Running(flush) => {
                flush.await.unwrap_or_else(|error| Err(failed("the disk's worker ended early").because(error)))
            }
            Flush::Failed => Err(failed("it has failed before")),
        };
        self.flush = if flushed.is_ok() { Flush::Done } else { Flush::Failed };
        flushed
    }

    /// As [`settle`](Self::settle), for what ends the upload: where something has failed, what is left of it comes too.
    async fn end(mut self) -> (Option<Job<D>>, Result<()>) {
        let flushed = self.flushed().await;
        match self.settle().await {
            Ok(job) => (Some(job), flushed),
            Err(error) => match std::mem::replace(&mut self.state, State::Failed(None)) {
                State::Failed(job) => (job, Err(error)),
                State::Idle(_) | State::Writing(..) => (None, Err(error)),
            },
        }
    }

    /// Lets a worker go on with the upload. At most one does at a time.
    fn work(&mut self, mut job: Job<D>, work: impl FnOnce(&mut Job<D>) -> Result<()> + Send + 'static) {
        let (bring, back) = oneshot::channel();
        let worker = tokio::task::spawn_blocking(move || {
            let worked = work(&mut job);
            // Where it is not taken back, it is dropped here.
            let _ = bring.send((job, worked));
        });
        self.state = State::Writing(worker, back);
    }

    /// Whether the sink wants to do something every so many bytes.
    fn has_checkpoints(&self) -> bool {
        self.spec.when_cut == WhenCut::Keep || self.shared.terms.durability == Durability::Disk
    }
}

impl<D: Disk> Drop for StagedFile<D> {
    fn drop(&mut self) {
        if let State::Writing(worker, _) = std::mem::replace(&mut self.state, State::Failed(None)) {
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

    async fn checkpoint(&mut self, note: Note) -> Result<()> {
        let due = self.offset > 0 && self.offset.is_multiple_of(self.shared.terms.checkpoint_bytes);
        if !due || !self.has_checkpoints() {
            return Ok(());
        }
        if self.spec.when_cut == WhenCut::Keep {
            let job = self.settle().await?;
            self.work(job, |job| job.save(note));
            return Ok(());
        }
        // One flush at a time, so that what is not on the disk stays bounded.
        self.flushed().await?;
        let job = self.settle().await?;
        if let Some(flush) = job.flush_beside() {
            self.flush = Flush::Running(tokio::task::spawn_blocking(flush));
        }
        self.state = State::Idle(job);
        Ok(())
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        let mut job = self.settle().await?;
        self.offset += chunk.len() as u64;
        if job.holds(&chunk) {
            self.state = State::Idle(job);
        } else {
            self.work(job, move |job| job.write(&chunk));
        }
        Ok(())
    }

    async fn suspend(self: Box<Self>, note: Note) -> Result<u64> {
        if self.spec.when_cut == WhenCut::Drop {
            return self.abort().await.map(|()| 0);
        }
        let (Some(mut job), settled) = self.end().await else {
            return Err(Error::new(ErrorKind::Store, "the disk's worker ended early"));
        };
        blocking(move || {
            settled.and_then(|()| job.save(note)).map(|()| job.size()).or_else(|error| {
                tracing::warn!(key = %job.spec.key, %error, "an upload that was cut off is kept as of its last checkpoint");
                job.last_checkpoint()
            })
        })
        .await
    }

    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        let shared = Arc::clone(&self.shared);
        let mut committing = ended(self.end().await, move |job| job.commit(ending)).await?;
        loop {
            let (job, sealed, wait) = match committing {
                Committing::Done(receipt) => return Ok(receipt),
                Committing::Waits(waits) => *waits,
            };
            committing = match wait {
                Wait::Unread(Unread { key, file, look }) => {
                    let read = shared.readings.read(&shared.disk, file, look).await.map(|whole| (look, whole));
                    blocking(move || job.commit_knowing(sealed, key, read)).await?
                }
                Wait::Turn => {
                    let turn = shared.readings.turn().await;
                    blocking(move || {
                        let _turn = turn;
                        job.give_name(sealed)
                    })
                    .await?
                }
            };
        }
    }

    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        ended(self.end().await, move |job| job.quarantine(report, ending)).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        // How the write under way ends no longer matters, but it must have ended: it would go on after the lock is gone.
        match self.end().await {
            (Some(job), _) => blocking(move || job.abort()).await,
            (None, settled) => settled,
        }
    }
}

/// Ends an upload that has not failed; one that has is given up.
async fn ended<D: Disk, T: Send + 'static>(
    (job, settled): (Option<Job<D>>, Result<()>),
    end: impl FnOnce(Job<D>) -> Result<T> + Send + 'static,
) -> Result<T> {
    let Some(job) = job else { return settled.and(Err(Error::new(ErrorKind::Store, "the disk's worker ended early"))) };
    blocking(move || match settled {
        Ok(()) => end(job),
        Err(error) => job.fail(error),
    })
    .await
}
