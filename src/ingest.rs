//! The pump: takes an upload's bytes from a front end and drives them into a sink, within limits and deadlines.
//!
//! Two steps, so that the commit of one upload can go on while the bytes of the next arrive: [`Ingest::receive`] stages and
//! writes, [`Landed::commit`] commits. Every upload ends here, and is counted, logged and entered in the ledger here, exactly
//! once. The pump knows no protocol and no store.

mod outcome;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant as TokioInstant;
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::outcome::{Course, refuse, refuse_name, refused, report};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, Origin};
use crate::metrics::{InFlight, Metrics};
use crate::sink::{Sink, Staged};
use crate::upload::{Digest, Ending, Receipt, UploadSpec};
use crate::validate::rules::Rules;

/// An upload's bytes, as a front end reads them off the wire.
pub trait Body: Send {
    /// The next bytes, or the end. Called again after a wait that was given up, it goes on where it was.
    ///
    /// # Errors
    /// [`ErrorKind::Incomplete`] where the stream ends or breaks and no end is allowed, [`ErrorKind::Aborted`] where the sender
    /// gives up, [`ErrorKind::SizeMismatch`], [`ErrorKind::BadHeader`].
    fn next(&mut self) -> impl Future<Output = Result<Piece>> + Send;
}

/// What comes next of a body.
#[derive(Debug)]
pub enum Piece {
    /// Bytes; never none.
    Bytes(Bytes),
    /// The end, and what the sender says that the whole hashes to.
    End(Option<Digest>),
}

/// What bounds an upload.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Between two pieces of a body.
    pub idle_timeout: Duration,
    /// From the header to the last byte.
    pub upload_timeout: Duration,
    /// From the last byte to the receipt.
    pub commit_timeout: Duration,
    /// The largest file, in bytes; a rule may lower it.
    pub max_file_bytes: u64,
}

/// The pump.
#[derive(Debug, Clone)]
pub struct Ingest {
    sink: Arc<dyn Sink>,
    rules: Arc<Rules>,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    ledger: Ledger,
    /// Whose uploads these are, where that is known.
    origin: Option<Arc<Origin>>,
    /// Cancelled to end every upload that is not yet committing.
    stop: CancellationToken,
    stopped: Arc<AtomicU64>,
    /// Commits go on by themselves here, whoever waits for them.
    tasks: TaskTracker,
}

impl Ingest {
    /// A pump into `sink`, whose commits run among `tasks`.
    pub fn new(
        sink: Arc<dyn Sink>,
        rules: Arc<Rules>,
        bounds: Bounds,
        metrics: Arc<Metrics>,
        ledger: Ledger,
        tasks: TaskTracker,
    ) -> Self {
        let (stop, stopped) = (CancellationToken::new(), Arc::default());
        Self { sink, rules, bounds, metrics, ledger, origin: None, stop, stopped, tasks }
    }

    /// The same pump for uploads of this origin.
    #[must_use]
    pub fn of(&self, origin: Origin) -> Self {
        Self { origin: Some(Arc::new(origin)), ..self.clone() }
    }

    /// Whose uploads these are, where that is known.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_deref()
    }

    /// Ends every upload that is not yet committing.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// How many uploads [`Ingest::stop`] has ended.
    pub fn stopped(&self) -> u64 {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Stages an upload and writes its body. What fails is aborted, counted and logged before this returns.
    ///
    /// # Errors
    /// Whatever ends the upload before it can be committed.
    pub async fn receive(&self, mut spec: UploadSpec, body: &mut impl Body) -> Result<Landed> {
        let in_flight = self.metrics.upload_in_flight();
        let applied = self.rules.find(&spec.key);
        if let Some(on_conflict) = applied.on_conflict {
            spec.on_conflict = on_conflict;
        }
        let max_bytes = applied.max_bytes.map_or(self.bounds.max_file_bytes, |most| most.min(self.bounds.max_file_bytes));
        let upload = spec.clone();
        let mut course = Course::begin();
        let filled = self.fill(spec, &mut course.follow(body), max_bytes).await;
        match filled {
            Ok((staged, claim)) => Ok(Landed { staged, claim, pump: self.clone(), course, in_flight }),
            Err(error) => {
                if error.kind() == ErrorKind::ShuttingDown {
                    self.stopped.fetch_add(1, Ordering::Relaxed);
                }
                refuse(self, &upload, course, &error);
                Err(error)
            }
        }
    }

    /// Counts and logs an upload that could not even begin.
    pub fn refuse(&self, name: &str, error: &Error) {
        refuse_name(self, name, error);
    }

    /// The receipt of this very upload, where it has been committed before: how a sender that lost the answer gets it.
    ///
    /// # Errors
    /// [`ErrorKind::Store`] where the store can't be read.
    pub async fn committed_before(&self, spec: &UploadSpec) -> Result<Option<Receipt>> {
        let course = Course::begin();
        let found = self.step("looking for an earlier commit", None, self.sink.committed(&spec.id, &spec.key)).await?;
        let announced = |receipt: &Receipt| {
            spec.size.is_none_or(|size| size == receipt.size) && spec.digest.is_none_or(|digest| digest == receipt.digest)
        };
        Ok(found.filter(announced).map(|receipt| {
            let receipt = Receipt { duplicate: true, ..receipt };
            outcome::commit(self, spec, course, &receipt);
            receipt
        }))
    }

    async fn fill(
        &self,
        spec: UploadSpec,
        body: &mut impl Body,
        max_bytes: u64,
    ) -> Result<(Box<dyn Staged>, Option<Digest>)> {
        let deadline = TokioInstant::now() + self.bounds.upload_timeout;
        if let Some(size) = spec.size.filter(|size| *size > max_bytes) {
            return Err(too_large(&spec, &format!("{size} bytes"), max_bytes));
        }
        let mut staged = self.step("opening a place for it", Some(deadline), self.sink.stage(spec)).await?;
        match self.pump(staged.as_mut(), body, max_bytes, deadline).await {
            Ok(claim) => Ok((staged, claim)),
            Err(error) => {
                self.abort(staged).await;
                Err(error)
            }
        }
    }

    /// Gives a staged upload up. That goes on to its end even where the store is too slow for anybody to wait for it.
    async fn abort(&self, staged: Box<dyn Staged>) {
        let key = staged.spec().key.clone();
        let abort = self.tasks.spawn(async move {
            if let Err(litter) = staged.abort().await {
                tracing::warn!(%key, error = %litter, "an upload that was given up left something behind");
            }
        });
        match tokio::time::timeout(self.bounds.commit_timeout, abort).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => tracing::error!(error = %panic, "giving an upload up failed"),
            Err(Elapsed { .. }) => tracing::warn!("giving an upload up takes long"),
        }
    }

    async fn pump(
        &self,
        staged: &mut dyn Staged,
        body: &mut impl Body,
        max_bytes: u64,
        deadline: TokioInstant,
    ) -> Result<Option<Digest>> {
        let mut bytes = 0;
        loop {
            let chunk = match self.next_piece(body, deadline, bytes).await? {
                Piece::Bytes(chunk) => chunk,
                Piece::End(claim) => return staged.spec().check_size(bytes).map(|()| claim),
            };
            bytes += chunk.len() as u64;
            self.metrics.received(chunk.len() as u64);
            if bytes > max_bytes {
                return Err(too_large(staged.spec(), "more", max_bytes));
            }
            self.step("writing it", Some(deadline), staged.write(chunk)).await?;
        }
    }

    /// Waits for the store, but neither for ever nor longer than the server runs.
    async fn step<T>(
        &self,
        doing: &str,
        deadline: Option<TokioInstant>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let patience = TokioInstant::now() + self.bounds.commit_timeout;
        tokio::select! {
            biased;
            done = tokio::time::timeout_at(deadline.map_or(patience, |deadline| deadline.min(patience)), work) => {
                done.unwrap_or_else(|Elapsed { .. }| {
                    Err(Error::new(ErrorKind::Store, format!("the store took too long {doing}")))
                })
            }
            () = self.stop.cancelled() => {
                Err(Error::new(ErrorKind::ShuttingDown, format!("the server stopped while the store was {doing}; send it again")))
            }
        }
    }

    async fn next_piece(&self, body: &mut impl Body, deadline: TokioInstant, bytes: u64) -> Result<Piece> {
        let idle = TokioInstant::now() + self.bounds.idle_timeout;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => {
                Err(Error::new(ErrorKind::ShuttingDown, format!("the server stopped after {bytes} bytes; send it again")))
            }
            piece = tokio::time::timeout_at(idle.min(deadline), body.next()) => match piece {
                Ok(piece) => piece,
                Err(Elapsed { .. }) if deadline < idle => {
                    let message = format!("not complete within {:?} ({bytes} bytes came)", self.bounds.upload_timeout);
                    Err(Error::new(ErrorKind::Timeout, message))
                }
                Err(Elapsed { .. }) => {
                    let message = format!("nothing came for {:?} after {bytes} bytes", self.bounds.idle_timeout);
                    Err(Error::new(ErrorKind::Timeout, message))
                }
            },
        }
    }
}

/// An upload whose bytes are all staged.
#[derive(Debug)]
#[must_use = "a landed upload is neither committed nor aborted yet"]
pub struct Landed {
    staged: Box<dyn Staged>,
    claim: Option<Digest>,
    pump: Ingest,
    course: Course,
    in_flight: InFlight,
}

impl Landed {
    /// What was announced.
    pub fn spec(&self) -> &UploadSpec {
        self.staged.spec()
    }

    /// Commits, counts and logs. `held` is dropped when the commit has ended, also where nobody waits for it any more.
    ///
    /// # Errors
    /// As [`Staged::commit`]; [`ErrorKind::Unknown`] where the commit takes longer than `commit_timeout`. It then goes on by
    /// itself: given up halfway, it could leave something behind. How it ends is counted and logged once more.
    pub async fn commit<T: Send + 'static>(self, held: T) -> Result<Receipt> {
        let Self { staged, claim, pump, course, in_flight } = self;
        let spec = staged.spec().clone();
        let (tell, told) = oneshot::channel();
        let commit = {
            let (pump, spec) = (pump.clone(), spec.clone());
            async move {
                let began = Instant::now();
                let outcome = staged.commit(Ending { claim, verdict: None }).await;
                pump.metrics.commit_took(began.elapsed());
                report(&pump, &spec, course, &outcome);
                drop((in_flight, held));
                if let Err(outcome) = tell.send(outcome) {
                    tracing::warn!(key = %spec.key, committed = outcome.is_ok(), "a commit that nobody waited for has ended");
                }
            }
        };
        pump.tasks.spawn(commit.in_current_span());
        let timeout = pump.bounds.commit_timeout;
        match tokio::time::timeout(timeout, told).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panicked)) => {
                Err(refused(&pump, &spec, course, Error::new(ErrorKind::Unknown, "the commit ended early")))
            }
            Err(Elapsed { .. }) => {
                let message = format!("the store did not confirm within {timeout:?}; send it again to learn how it ended");
                Err(refused(&pump, &spec, course, Error::new(ErrorKind::Unknown, message)))
            }
        }
    }

    /// Gives the upload up because of `error`, which is counted, logged and returned.
    pub async fn abandon(self, error: Error) -> Error {
        let spec = self.staged.spec().clone();
        self.pump.abort(self.staged).await;
        refused(&self.pump, &spec, self.course, error)
    }
}

fn too_large(spec: &UploadSpec, what: &str, max_bytes: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{:?} has {what}, {max_bytes} bytes at most", spec.key.as_str()))
}
