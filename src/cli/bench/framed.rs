//! Framed: a connection for many files, of which some are on their way at once.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Deserialize;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::Semaphore;

use super::book::{Failure, Receipt};
use super::line;
use super::load::{File, Load};
use crate::error::ErrorKind;
use crate::wire::framed::{self, Hello, Put, Request};

/// Small files are written together up to so many bytes, where there is a place for them.
const BATCH_BYTES: u64 = 128 * 1024;

/// Bytes read at once: some dozens of receipts.
const ANSWERS_BYTES: usize = 32 * 1024;

/// Sends files until the load is done, or no connection can be had. A connection that is lost costs the files that are on
/// their way; the next ones go over a new one.
pub(super) async fn run(load: &Load, pipeline: usize) {
    while let Some(first) = load.next() {
        match line::dial(load).await.and_then(line::without_delay) {
            Ok(stream) => Session::new(load, pipeline).run(first, stream).await,
            Err(failure) => {
                load.book.failed(&failure);
                load.book.gave_up_connecting();
                return;
            }
        }
    }
}

/// A connection.
#[derive(Debug)]
struct Session<'a> {
    load: &'a Load,
    /// Files that may still be sent before an answer comes.
    places: Semaphore,
    /// Files that wait for their answers, which come in this order.
    waiting: Mutex<VecDeque<Waiting<'a>>>,
}

#[derive(Debug)]
struct Waiting<'a> {
    file: File<'a>,
    began: Instant,
}

/// A control line and the body behind it.
type Outgoing<'a> = (String, &'a [bytes::Bytes]);

impl<'a> Session<'a> {
    fn new(load: &'a Load, pipeline: usize) -> Self {
        Self { load, places: Semaphore::new(pipeline), waiting: Mutex::default() }
    }

    async fn run(self, first: File<'a>, mut stream: TcpStream) {
        let (reader, writer) = stream.split();
        let hello = Hello { version: framed::VERSION, collector: Some("tidegate-bench".to_owned()) };
        let mut batch = vec![(framed::encode_request(&Request::Hello(hello)), &[][..])];
        // Before anything is awaited, so that the file is accounted for however the connection ends.
        self.gather(Some(first), &mut batch);
        let ended = line::both(self.send(writer, batch), self.receive(reader)).await;
        let failure = ended.err().unwrap_or_else(line::unanswered);
        for Waiting { file, .. } in self.waiting().drain(..) {
            self.load.book.failed(&failure.of(&file.name));
        }
    }

    /// Sends whenever there is a place, and ends when the load does. The server answers what it has, and closes.
    async fn send(&self, mut writer: WriteHalf<'_>, mut batch: Vec<Outgoing<'a>>) -> Result<(), Failure> {
        while !batch.is_empty() {
            let pieces = batch.iter().flat_map(|(line, body)| {
                std::iter::once(IoSlice::new(line.as_bytes())).chain(body.iter().map(|piece| IoSlice::new(piece)))
            });
            line::write_all(&mut writer, &mut pieces.collect::<Vec<_>>()).await?;
            batch.clear();
            drop(self.places.acquire().await.expect("nobody closes this semaphore"));
            self.gather(None, &mut batch);
        }
        line::end(&mut writer).await
    }

    /// Begins as many files as there are places, `first` before all others, but not much more than a batch.
    fn gather(&self, mut first: Option<File<'a>>, batch: &mut Vec<Outgoing<'a>>) {
        let mut bytes = 0;
        while bytes < BATCH_BYTES
            && let Ok(place) = self.places.try_acquire()
            && let Some(file) = first.take().or_else(|| self.load.next())
        {
            place.forget();
            bytes += file.body.size;
            batch.push((put(&file), &file.body.pieces));
            self.waiting().push_back(Waiting { file, began: Instant::now() });
        }
    }

    /// Takes answers until the server closes.
    async fn receive(&self, reader: ReadHalf<'_>) -> Result<(), Failure> {
        let mut reader = BufReader::with_capacity(ANSWERS_BYTES, reader);
        let mut line = Vec::new();
        while line::read_line(&mut reader, &mut line).await? {
            let answer: Answer<'_> = serde_json::from_slice(&line).map_err(|cause| strange(&line, &cause))?;
            match &*answer.event {
                "hello" => {}
                "error" => return Err(answer.failure()),
                _ => self.answered(&answer).ok_or_else(|| strange(&line, &"it answers no file that is on its way"))?,
            }
        }
        Ok(())
    }

    /// Takes in the answer to the first file that waits for one; `None` where it answers something else.
    fn answered(&self, answer: &Answer<'_>) -> Option<()> {
        let is_answered = |waiting: &mut Waiting<'_>| answer.id.as_ref().is_some_and(|id| *id == waiting.file.id);
        let Waiting { file, began } = self.waiting().pop_front_if(is_answered)?;
        match answer.check(&file) {
            Ok(receipt) => self.load.book.committed(file.class, file.body.size, began.elapsed(), &receipt),
            Err(failure) => self.load.book.failed(&failure.of(&file.name)),
        }
        self.places.add_permits(1);
        Some(())
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Waiting<'a>>> {
        // A queue is never half-changed.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn put(file: &File<'_>) -> String {
    let put = Put {
        id: Some(file.id.clone()),
        name: file.name.clone(),
        size: Some(file.body.size),
        digest: file.body.digest.clone(),
        ..Put::default()
    };
    framed::encode_request(&Request::Put(put))
}

fn strange(line: &[u8], why: &dyn std::fmt::Display) -> Failure {
    let shown = line[..line.len().min(200)].escape_ascii();
    Failure::new(ErrorKind::BadHeader, format!("the server answers \"{shown}\": {why}"))
}

/// Of an [`Event`](framed::Event) what is looked at, still as text: it is compared with what was sent, and a generator that reads
/// every receipt to its last value would take the server's time.
#[derive(Debug, Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    event: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Option<Cow<'a, str>>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    receipt: Option<Proof<'a>>,
}

#[derive(Debug, Deserialize)]
struct Proof<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    size: u64,
    #[serde(borrow)]
    digest: Cow<'a, str>,
    #[serde(borrow)]
    durability: Cow<'a, str>,
    #[serde(default)]
    duplicate: bool,
}

impl Answer<'_> {
    /// Holds the answer against what was sent.
    fn check(&self, file: &File<'_>) -> Result<Receipt<'_>, Failure> {
        match (&*self.event, &self.receipt) {
            ("committed", Some(proof)) if proof.duplicate => {
                Err(Failure::new(ErrorKind::Conflict, "the same content lay under this name already, nothing was written"))
            }
            ("committed", Some(Proof { key, size, digest, durability, .. })) => {
                file.check(key, *size, digest).map(|()| Receipt { durability: Some(durability) })
            }
            _ => Err(self.failure()),
        }
    }

    fn failure(&self) -> Failure {
        let code = self.code.as_deref().unwrap_or(ErrorKind::BadHeader.code());
        match &self.message {
            Some(message) => Failure::told(code, message),
            None => Failure::told(code, &format!("the server answers {:?} without a reason", self.event)),
        }
    }
}
