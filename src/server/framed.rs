//! The framed protocol over a connection: any number of uploads, answered in their order.
//!
//! A reader takes requests and bodies off the wire; a writer answers. Between them stands a queue of answers, some of which
//! are commits that are still under way: so the commit of one upload goes on while the bytes of the next arrive.

mod body;
mod writer;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tracing::Instrument;

use self::body::{FramedBody, Rest};
use self::writer::{Answer, Line};
use super::Shared;
use super::slots::Phase;
use super::stream::{Filled, Reader, Stream};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Asked, Landed, too_slow};
use crate::ledger::Origin;
use crate::upload::{Key, UploadId, UploadSpec};
use crate::wire::framed::{self, Event, Hello, MAX_LINE_BYTES, Put, Request};

/// Keys that are remembered to have a commit under way; beyond, all commits are awaited once.
const MAX_REMEMBERED_KEYS: usize = 1024;

/// Serves a connection to its end.
pub(super) async fn serve(stream: Stream, shared: &Arc<Shared>) {
    let (reader, writer) = stream.into_parts();
    // Answers wait in the queue; how many commits are among them is bounded by the permits.
    let (answers, queue) = mpsc::channel(shared.framed.max_pending_commits);
    let (unwritten, _) = watch::channel(0);
    let unwritten = Arc::new(unwritten);
    let writer =
        writer::run(writer, queue, Arc::clone(&unwritten), (shared.limits.idle_timeout, shared.pace.gives_way().clone()));
    let session = Session {
        reader,
        shared: Arc::clone(shared),
        answers,
        unwritten,
        commits: Arc::new(Semaphore::new(shared.framed.max_pending_commits)),
        keys: HashSet::new(),
    };
    tokio::join!(session.run(), writer);
}

/// Whether the connection can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Request,
    Close,
}

#[derive(Debug)]
struct Session {
    reader: Reader,
    shared: Arc<Shared>,
    answers: mpsc::Sender<Answer>,
    /// Answers that are queued and not yet written.
    unwritten: Arc<watch::Sender<usize>>,
    commits: Arc<Semaphore>,
    /// Keys that a commit may be under way for.
    keys: HashSet<Key>,
}

impl Session {
    async fn run(mut self) {
        loop {
            let next = match self.next_request().await {
                Ok(Some(Request::Hello(hello))) => self.hello(hello).await,
                Ok(Some(Request::Put(put))) => self.put(put).await,
                Ok(None) => break,
                Err(error) => self.give_up(&error).await,
            };
            if next == Next::Close {
                break;
            }
        }
        // What still comes is dropped, so that the answers get through.
        let Self { mut reader, shared, answers, .. } = self;
        drop(answers);
        reader.discard(&shared).await;
    }

    /// Ends a connection that can't go on, and says why.
    async fn give_up(&self, error: &Error) -> Next {
        let code = error.kind().code();
        self.shared.metrics.connection_refused(code);
        tracing::warn!(reason = code, %error, "closing the connection");
        self.tell(Event::from_connection(error)).await;
        Next::Close
    }

    /// The next request; `None` where the sender has ended, or the server drains and nothing has begun.
    async fn next_request(&mut self) -> Result<Option<Request>> {
        if !self.await_request().await? {
            return Ok(None);
        }
        self.shared.pace.enter(Phase::Sending);
        if self.shared.drain.is_cancelled() {
            return Err(Error::new(ErrorKind::ShuttingDown, "the server stops; send what was not answered again"));
        }
        let header_timeout = self.shared.limits.header_timeout;
        let line = tokio::select! {
            biased;
            line = tokio::time::timeout(header_timeout, body::read_line(&mut self.reader)) => line,
            () = self.shared.pace.gives_way().cancelled() => return Err(too_slow("the control line was slow")),
        };
        let line = line.map_err(|_elapsed| {
            Error::new(ErrorKind::Timeout, format!("the control line did not end within {header_timeout:?}"))
        })??;
        framed::decode_request(&line).map(Some)
    }

    /// Waits for the first byte of a request. Returns whether there is one: not where the sender
    /// has ended, or the server drains.
    async fn await_request(&mut self) -> Result<bool> {
        let idle_timeout = self.shared.limits.idle_timeout;
        let mut idle = pin!(idle(self.unwritten.subscribe(), idle_timeout));
        loop {
            self.skip_blank();
            if !self.reader.buffer().is_empty() {
                return Ok(true);
            }
            self.reader.relax();
            self.shared.pace.enter(Phase::Idle);
            let filled = tokio::select! {
                biased;
                () = self.shared.drain.cancelled() => return Ok(false),
                filled = self.reader.fill_small() => filled,
                () = self.shared.pace.gives_way().cancelled() => {
                    let message = "every connection slot was taken, and this connection sent nothing: connect again";
                    return Err(Error::new(ErrorKind::Busy, message));
                }
                // The writer has ended: no answer can be sent any more.
                () = self.answers.closed() => return Ok(false),
                () = &mut idle => {
                    return Err(Error::new(ErrorKind::Timeout, format!("no request for {idle_timeout:?}")));
                }
            };
            match filled {
                Ok(Filled::Some) => {}
                Ok(Filled::End) | Err(_) => return Ok(false),
            }
        }
    }

    /// Empty lines between requests harm nobody, and people type them.
    fn skip_blank(&mut self) {
        let blank = self.reader.buffer().iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
        self.reader.take(blank);
    }

    async fn hello(&mut self, hello: Hello) -> Next {
        if hello.version != framed::VERSION {
            let message = format!("version {} is not spoken here, version {} is", hello.version, framed::VERSION);
            return self.give_up(&Error::new(ErrorKind::Unsupported, message)).await;
        }
        tracing::debug!(collector = hello.collector, "hello");
        if let Some(origin) = self.shared.ingest.origin().cloned() {
            self.shared = self.shared.of(Origin { collector: hello.collector, ..origin });
        }
        let limits = framed::Limits {
            max_file_bytes: self.shared.limits.max_file_bytes,
            max_line_bytes: MAX_LINE_BYTES as u64,
            idle_timeout_ms: u64::try_from(self.shared.limits.idle_timeout.as_millis()).unwrap_or(u64::MAX),
        };
        self.tell(Event::Hello { version: framed::VERSION, limits }).await
    }

    async fn put(&mut self, put: Put) -> Next {
        let spec = put.spec(self.shared.framed.on_conflict).inspect_err(|error| self.shared.ingest.refuse(&put.name, error));
        let id = match (&put.id, &spec) {
            (Some(id), _) => id.clone(),
            (None, Ok(spec)) => spec.id.to_string(),
            (None, Err(_)) => UploadId::generate().into(),
        };
        if put.resume { self.put_after_asking(&id, spec).await } else { self.put_at_once(&id, spec, put.size).await }
    }

    /// A put whose body is on its way already.
    async fn put_at_once(&mut self, id: &str, spec: Result<UploadSpec>, size: Option<u64>) -> Next {
        let mut body = FramedBody::new(&mut self.reader, size, 0);
        let received = match spec {
            Ok(spec) => self.shared.ingest.receive(spec, &mut body).await,
            Err(error) => Err(error),
        };
        let rest = body.rest();
        self.received(id, received, rest).await
    }

    /// A put whose sender first wants to know what the server has of it. No body comes before `ready`, and none at all where
    /// something else is answered.
    async fn put_after_asking(&mut self, id: &str, spec: Result<UploadSpec>) -> Next {
        let size = spec.as_ref().ok().and_then(|spec| spec.size);
        let asked = match self.ask(spec).await {
            Ok(asked) => asked,
            Err(error) => return self.tell(Event::from_error(id.to_owned(), &error)).await,
        };
        let begun = match asked {
            Asked::Committed(receipt) => {
                return self.tell(Event::Committed { id: id.to_owned(), receipt }).await;
            }
            Asked::Begun(begun) => begun,
        };
        let offset = begun.offset();
        if self.tell(Event::Ready { id: id.to_owned(), offset }).await == Next::Close {
            begun.abandon(Error::new(ErrorKind::Incomplete, "the sender takes no more answers")).await;
            return Next::Close;
        }
        let mut body = FramedBody::new(&mut self.reader, size, offset);
        let received = begun.receive(&mut body).await;
        let rest = body.rest();
        self.received(id, received, rest).await
    }

    /// What the server has of an upload. What fails is counted and logged.
    async fn ask(&mut self, spec: Result<UploadSpec>) -> Result<Asked> {
        let spec = spec?;
        // `ready` waits in the queue behind the commits of this connection, while the deadlines of its body already run.
        self.settle_commits().await.inspect_err(|error| self.shared.ingest.refuse(spec.key.as_str(), error))?;
        self.shared.ingest.resume(spec).await
    }

    /// What follows when a body has come, or what is left of it is of no use.
    async fn received(&mut self, id: &str, received: Result<Landed>, rest: Rest) -> Next {
        let error = match received {
            Ok(landed) => return self.commit(id, landed).await,
            Err(error) => error,
        };
        let answered = self.tell(Event::from_error(id.to_owned(), &error)).await;
        // Where the rest is lost, the answer has said why; where the upload gave way, so does the
        // connection.
        if answered == Next::Close || rest == Rest::Lost || error.kind() == ErrorKind::TooSlow {
            return Next::Close;
        }
        match rest.discard(&mut self.reader, &self.shared).await {
            Ok(next) => next,
            Err(error) => self.give_up(&error).await,
        }
    }

    /// Commits in the background, and queues the answer.
    async fn commit(&mut self, id: &str, landed: Landed) -> Next {
        let permit = match self.commit_permit(&landed.spec().key.clone()).await {
            Ok(permit) => permit,
            Err(error) => {
                let error = landed.abandon(error).await;
                return self.tell(Event::from_error(id.to_owned(), &error)).await;
            }
        };
        let held = (permit, self.shared.pace.commit());
        let (told_id, budget) = (id.to_owned(), Arc::clone(&self.shared.budget));
        let line = async move {
            let committed = landed.commit(held).await;
            Line::of(writer::outcome(told_id, committed), &budget).await
        };
        let line = self.shared.tasks.spawn(line.in_current_span());
        self.answer(Answer::Commit { id: id.to_owned(), line }).await
    }

    /// A place for a commit under `key`, on this connection and in the server.
    async fn commit_permit(&mut self, key: &Key) -> Result<[OwnedSemaphorePermit; 2]> {
        if self.keys.len() >= MAX_REMEMBERED_KEYS || self.keys.contains(key) {
            // Two uploads under one name have an order on this connection, and their commits keep it.
            self.settle_commits().await?;
        }
        self.keys.insert(key.clone());
        let here = self.within_commit_timeout(Arc::clone(&self.commits).acquire_owned()).await?;
        let of_all = self.within_commit_timeout(Arc::clone(&self.shared.pending_commits).acquire_owned()).await?;
        Ok([here, of_all])
    }

    /// Waits until no commit of this connection is under way.
    async fn settle_commits(&mut self) -> Result<()> {
        let all = u32::try_from(self.shared.framed.max_pending_commits).unwrap_or(u32::MAX);
        drop(self.within_commit_timeout(Arc::clone(&self.commits).acquire_many_owned(all)).await?);
        self.keys.clear();
        Ok(())
    }

    /// Commits may go on for longer than anybody waits for them; so this is not waited for either.
    async fn within_commit_timeout<P>(&self, permit: impl Future<Output = Result<P, AcquireError>>) -> Result<P> {
        match tokio::time::timeout(self.shared.limits.commit_timeout, permit).await {
            Ok(permit) => Ok(permit.expect("nobody closes this semaphore")),
            Err(_elapsed) => {
                Err(Error::new(ErrorKind::Store, "earlier commits still wait for the store: send it again later"))
            }
        }
    }

    /// Queues what is known already, behind the answers of the requests before.
    async fn tell(&self, event: Event) -> Next {
        self.answer(Answer::Now(Line::of(event, &self.shared.budget).await)).await
    }

    /// Queues an answer, behind those of the requests before.
    async fn answer(&self, answer: Answer) -> Next {
        self.unwritten.send_modify(|count| *count += 1);
        let answer = match self.answers.try_send(answer) {
            Ok(()) => return Next::Request,
            // The sender takes no more answers.
            Err(TrySendError::Closed(_)) => return Next::Close,
            Err(TrySendError::Full(answer)) => answer,
        };
        // A sender that reads no answers holds its slot as one that is idle does.
        self.shared.pace.enter(Phase::Idle);
        let _waiting = self.shared.pace.wait();
        tokio::select! {
            sent = self.answers.send(answer) => if sent.is_ok() { Next::Request } else { Next::Close },
            () = self.shared.pace.gives_way().cancelled() => Next::Close,
        }
    }
}

/// Done when the sender has been silent for `idle_timeout` without waiting for an answer: a commit may take longer than that.
async fn idle(mut unwritten: watch::Receiver<usize>, idle_timeout: Duration) {
    // An error means that the connection is over, and so does the wait.
    drop(unwritten.wait_for(|count| *count == 0).await);
    tokio::time::sleep(idle_timeout).await;
}
