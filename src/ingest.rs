//! The pump: takes an upload's bytes from a front end and drives them into a sink, within limits and deadlines.
//!
//! In steps, so that a sender can be asked for the rest of what it has sent before, and so that the commit of one upload can go
//! on while the bytes of the next arrive: [`Ingest::receive`] begins an upload and takes its bytes; [`Ingest::resume`] goes on
//! with one that was cut off, and [`Begun::receive`] takes the rest of it; [`Landed::commit`] commits. Every upload ends here,
//! and is counted, logged and entered in the ledger here, exactly once. The pump knows no protocol and no store.

mod active;
mod begun;
mod landed;
mod open;
mod outcome;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant as TokioInstant;
use tokio::time::error::Elapsed;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::active::{Active, Turn};
pub use self::begun::Begun;
pub use self::landed::Landed;
use self::open::Open;
use self::outcome::{Course, of_store, refuse_name, refused};
use crate::config::Limits;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, Origin, cut};
use crate::metrics::{InFlight, Metrics};
use crate::sink::validated::Validated;
use crate::sink::{QuarantineId, Sink, Staged};
use crate::upload::{Digest, Receipt, UploadSpec};
use crate::validate::rules::Applied;

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
    /// No bytes yet, but the sender is there.
    Alive,
    /// The end, and what the sender says that the whole hashes to.
    End(Option<Digest>),
}

/// How it stands with an upload whose sender asks before it sends.
#[derive(Debug)]
pub enum Asked {
    /// It has been committed before; the receipt says that this is a duplicate.
    Committed(Receipt),
    /// Its bytes may come, from [`Begun::offset`] on.
    Begun(Begun),
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
    /// How long an upload that was cut off is kept.
    pub resume_ttl: Duration,
    /// The largest file, in bytes; a rule may lower it.
    pub max_file_bytes: u64,
}

impl Bounds {
    /// Those that are configured.
    pub fn of(limits: &Limits) -> Self {
        Self {
            idle_timeout: limits.idle_timeout,
            upload_timeout: limits.upload_timeout,
            commit_timeout: limits.commit_timeout,
            resume_ttl: limits.resume_ttl,
            max_file_bytes: limits.max_file_bytes,
        }
    }
}

/// The pump.
#[derive(Debug, Clone)]
pub struct Ingest {
    sink: Arc<Validated>,
    bounds: Bounds,
    metrics: Arc<Metrics>,
    active: Active,
    ledger: Ledger,
    /// Whose uploads these are, where that is known.
    origin: Option<Arc<Origin>>,
    /// Cancelled to end every upload that is not yet committing.
    stop: CancellationToken,
    /// Cancelled to end the upload that is being received, where it must give its connection's slot
    /// to another one.
    gives_way: CancellationToken,
    stopped: Arc<AtomicU64>,
    /// Commits go on by themselves here, whoever waits for them.
    tasks: TaskTracker,
    /// Whether only commits are counted, logged and entered.
    reports_commits_only: bool,
    /// The file in quarantine that the upload is made of.
    replayed: Option<QuarantineId>,
}

impl Ingest {
    /// A pump into `sink`, whose commits run among `tasks`.
    pub fn new(sink: Arc<Validated>, bounds: Bounds, metrics: Arc<Metrics>, ledger: Ledger, tasks: TaskTracker) -> Self {
        let (active, stop, stopped) = (Active::default(), CancellationToken::new(), Arc::default());
        Self {
            sink,
            bounds,
            metrics,
            active,
            ledger,
            origin: None,
            stop,
            gives_way: CancellationToken::new(),
            stopped,
            tasks,
            reports_commits_only: false,
            replayed: None,
        }
    }

    /// The same pump for uploads of this origin.
    #[must_use]
    pub fn of(&self, origin: Origin) -> Self {
        Self { origin: Some(Arc::new(origin)), ..self.clone() }
    }

    /// The same pump for uploads that end as [`ErrorKind::TooSlow`] where they are waited for after
    /// `notice` is cancelled.
    #[must_use]
    pub fn giving_way(&self, notice: CancellationToken) -> Self {
        Self { gives_way: notice, ..self.clone() }
    }

    /// The same pump for uploads of which only one will be committed. A refusal before the commit is not counted, logged or
    /// entered: the caller tells what becomes of the whole.
    #[must_use]
    pub fn reporting_commits_only(&self) -> Self {
        Self { reports_commits_only: true, ..self.clone() }
    }

    /// The same pump for an upload of this file in quarantine.
    #[must_use]
    pub fn replaying(&self, id: QuarantineId) -> Self {
        Self { replayed: Some(id), ..self.clone() }
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

    /// Stages an upload and writes its body. What fails is kept or given up, counted and logged before this returns.
    ///
    /// # Errors
    /// Whatever ends the upload before it can be committed.
    pub async fn receive(&self, spec: UploadSpec, body: &mut impl Body) -> Result<Landed> {
        let upload = spec.clone();
        let course = Course::begin();
        match self.begin(spec, course).await {
            Ok(begun) => begun.receive(body).await,
            Err(error) => Err(self.ended(&upload, course, error)),
        }
    }

    /// Goes on with an upload that was cut off: where its bytes end that were kept, or at 0 where there are none of it. If this
    /// very upload has been committed before, its receipt is all there is to do: how a sender that lost the answer gets it.
    /// If it is still under way on another connection, that one is ended first; if it is committing, that is awaited.
    ///
    /// What fails is counted and logged before this returns.
    ///
    /// # Errors
    /// Whatever ends the upload before its first byte; [`ErrorKind::Busy`] where another sender goes on with it just now,
    /// [`ErrorKind::Conflict`] where the id is that of another upload.
    pub async fn resume(&self, spec: UploadSpec) -> Result<Asked> {
        let upload = spec.clone();
        let course = Course::begin();
        self.ask(spec, course).await.map_err(|error| self.ended(&upload, course, error))
    }

    /// Counts and logs an upload that could not even begin.
    pub fn refuse(&self, name: &str, error: &Error) {
        self.count_stopped(error);
        refuse_name(self, name, error);
    }

    async fn begin(&self, spec: UploadSpec, course: Course) -> Result<Begun> {
        let entry = self.enter(spec, course)?;
        let turn = self.active.claim(&entry.spec)?;
        let staged = self.stage(&entry).await?;
        Ok(entry.begun(staged, turn))
    }

    async fn ask(&self, spec: UploadSpec, course: Course) -> Result<Asked> {
        let entry = self.enter(spec, course)?;
        let turn = self.take_over(&entry.spec).await?;
        if let Some(receipt) = self.committed_before(&entry).await? {
            return Ok(Asked::Committed(receipt));
        }
        let staged = match self.reopen(&entry).await? {
            Some(staged) => staged,
            None => self.stage(&entry).await?,
        };
        Ok(Asked::Begun(entry.begun(staged, turn)))
    }

    /// Lets an upload in: what the rules say of its name holds from here on.
    fn enter(&self, mut spec: UploadSpec, course: Course) -> Result<Entry> {
        let in_flight = self.metrics.upload_in_flight();
        let deadline = TokioInstant::now() + self.bounds.upload_timeout;
        let applied = self.sink.admit(&spec.key)?;
        if let Some(collector) = self.origin.as_ref().and_then(|origin| origin.collector.as_ref()) {
            spec.collector = Some(cut(collector).to_owned());
        }
        if let Some(on_conflict) = applied.on_conflict {
            spec.on_conflict = on_conflict;
        }
        let max_bytes = applied.max_bytes.map_or(self.bounds.max_file_bytes, |most| most.min(self.bounds.max_file_bytes));
        match spec.size {
            Some(size) if size > max_bytes => Err(too_large(&spec, &format!("{size} bytes"), max_bytes)),
            Some(_) | None => Ok(Entry { spec, applied, max_bytes, deadline, course, in_flight, pump: self.clone() }),
        }
    }

    /// Waits until an upload of this id that is under way in this process has ended, after asking it to.
    async fn take_over(&self, spec: &UploadSpec) -> Result<Turn> {
        tokio::select! {
            turn = self.active.take_over(spec, self.bounds.commit_timeout) => turn,
            () = self.stop.cancelled() => Err(Error::new(ErrorKind::ShuttingDown, "the server stopped; send it again")),
        }
    }

    /// The receipt of this very upload, where it has been committed before.
    async fn committed_before(&self, Entry { spec, course, .. }: &Entry) -> Result<Option<Receipt>> {
        let found = self.step("looking for an earlier commit", None, self.sink.committed(&spec.id, &spec.key)).await?;
        let announced = |receipt: &Receipt| {
            spec.size.is_none_or(|size| size == receipt.size) && spec.digest.is_none_or(|digest| digest == receipt.digest)
        };
        Ok(found.filter(announced).map(|receipt| {
            let receipt = Receipt { duplicate: true, ..receipt };
            outcome::commit(self, spec, *course, &receipt);
            receipt
        }))
    }

    async fn stage(&self, Entry { spec, applied, deadline, .. }: &Entry) -> Result<Box<dyn Staged>> {
        self.step("opening a place for it", Some(*deadline), self.sink.stage_as(spec.clone(), applied)).await
    }

    /// What was kept of this upload, unless it is more than a file may have.
    async fn reopen(&self, entry: &Entry) -> Result<Option<Box<dyn Staged>>> {
        let Entry { spec, applied, deadline, max_bytes, .. } = entry;
        let resume = self.sink.resume_as(spec.clone(), applied);
        let found = self.step("looking for what was kept of it", Some(*deadline), resume).await?;
        let Some(staged) = found else { return Ok(None) };
        let offset = staged.offset();
        if offset > *max_bytes {
            return Ok(None);
        }
        if offset > 0 {
            self.metrics.resumed(offset);
            tracing::info!(key = spec.key.as_str(), id = spec.id.as_str(), offset, "resumed");
        }
        Ok(Some(staged))
    }

    /// Waits for the store, but neither for ever nor longer than the server runs.
    async fn step<T>(
        &self,
        doing: &str,
        deadline: Option<TokioInstant>,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let patience = TokioInstant::now() + self.bounds.commit_timeout;
        let work = async { work.await.map_err(of_store) };
        tokio::select! {
            biased;
            done = tokio::time::timeout_at(deadline.map_or(patience, |deadline| deadline.min(patience)), work) => {
                done.unwrap_or_else(|Elapsed { .. }| Err(match deadline {
                    Some(deadline) if deadline <= patience => {
                        let timeout = self.bounds.upload_timeout;
                        Error::new(ErrorKind::Timeout, format!("not complete within {timeout:?}, while the store was {doing}"))
                    }
                    Some(_) | None => Error::new(ErrorKind::Store, format!("the store took too long {doing}")),
                }))
            }
            () = self.stop.cancelled() => {
                Err(Error::new(ErrorKind::ShuttingDown, format!("the server stopped while the store was {doing}; send it again")))
            }
        }
    }

    fn count_stopped(&self, error: &Error) {
        if error.kind() == ErrorKind::ShuttingDown {
            self.stopped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts and logs an upload that has ended without a receipt; gives the error back.
    fn ended(&self, spec: &UploadSpec, course: Course, error: Error) -> Error {
        if self.reports_commits_only {
            return error;
        }
        self.count_stopped(&error);
        refused(self, spec, course, error)
    }
}

/// An upload that was let in.
#[derive(Debug)]
struct Entry {
    spec: UploadSpec,
    /// What the rules say of its name, for its whole life.
    applied: Applied,
    max_bytes: u64,
    deadline: TokioInstant,
    course: Course,
    in_flight: InFlight,
    pump: Ingest,
}

impl Entry {
    fn begun(self, staged: Box<dyn Staged>, turn: Turn) -> Begun {
        let Self { max_bytes, deadline, mut course, in_flight, pump, spec: _, applied: _ } = self;
        course.goes_on_at(staged.offset());
        turn.opened(staged.spec());
        Begun::new(Open { staged, turn, course, in_flight, pump }, max_bytes, deadline)
    }
}

fn too_large(spec: &UploadSpec, what: &str, max_bytes: u64) -> Error {
    Error::new(ErrorKind::TooLarge, format!("{:?} has {what}, {max_bytes} bytes at most", spec.key.as_str()))
}

/// The end of an upload or a header whose connection gives its slot or its memory to another one.
pub fn too_slow(what: &str) -> Error {
    let message = format!(
        "the server had no more connection slots or no more memory, and {what}: \
         send it again later, or faster than limits.min_rate of the server"
    );
    Error::new(ErrorKind::TooSlow, message)
}
