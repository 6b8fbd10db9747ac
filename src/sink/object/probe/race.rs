//! Races that a probe runs on the store: two conditional requests for one key at the same time. A
//! store that checks its condition first and writes later lets both succeed, and one file is lost.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use object_store::multipart::PartId;
use object_store::path::Path;
use object_store::{Error as StoreError, MultipartId, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions};

use super::remove;
use crate::sink::object::remote::{Clients, Completes, Remote};
use crate::sink::object::words::is_refusal;
use crate::upload::UploadId;

/// Races of each kind, which run at the same time. `SeaweedFS` 4.48 loses one of two.
const ROUNDS: usize = 8;

/// The bytes of one further race of completes: the window of a store that assembles the parts
/// between its check and its write grows with them. moto 5.2.5 loses one of twenty small races, and
/// each of this size.
const LARGE_BYTES: usize = 5 << 20;

/// How long the bytes of the larger race may take. On a slow line it is left out.
const LARGE_DEADLINE: Duration = Duration::from_secs(2);

/// The results of the races of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Races {
    /// Races with one winner, whose bytes are stored.
    pub(super) held: usize,
    /// Races with two winners, or with other bytes than the winner's.
    pub(super) lost: usize,
    /// Races in which the store did not answer clearly.
    pub(super) unclear: usize,
}

impl Races {
    /// Races in all.
    pub(super) fn all(self) -> usize {
        self.held + self.lost + self.unclear
    }

    /// Whether one half of them and more had one winner, and none had two.
    pub(super) fn are_held(self) -> bool {
        self.lost == 0 && self.held > 0 && self.held >= self.unclear
    }

    /// The conclusion from races of completes; `None` where the store did not answer clearly. One race that is
    /// lost counts for more than any that are kept.
    pub(super) fn verdict(self) -> Option<Completes> {
        match self {
            Self { lost: 1.., .. } => Some(Completes::Lose),
            _ if self.are_held() => Some(Completes::Hold),
            _ => None,
        }
    }

    fn add(mut self, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Held => self.held += 1,
            Outcome::Lost => self.lost += 1,
            Outcome::Unclear => self.unclear += 1,
        }
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Held,
    Lost,
    Unclear,
}

/// Races conditional PUTs as small as a claim.
pub(super) async fn puts(remote: &Remote, clients: &Clients) -> Races {
    let racing = futures::stream::iter(0..ROUNDS).map(|_| Race::new(remote, clients, 0).puts());
    racing.buffer_unordered(ROUNDS).fold(Races::default(), async |races, outcome| races.add(outcome)).await
}

/// Races conditional completes of multipart uploads.
pub(super) async fn completes(remote: &Remote, clients: &Clients) -> Races {
    let small = futures::stream::iter(0..ROUNDS).map(|_| Race::new(remote, clients, 0).completes(None));
    let small = small.buffer_unordered(ROUNDS).fold(Races::default(), async |races, outcome| races.add(outcome)).await;
    if small.lost > 0 {
        return small;
    }
    // By itself: a busy store takes the two requests of a race one after the other.
    match Race::new(remote, clients, LARGE_BYTES).completes(Some(LARGE_DEADLINE)).await {
        // A race that a slow line leaves out says nothing.
        Outcome::Unclear => small,
        outcome => small.add(outcome),
    }
}

/// Two writers of one key.
struct Race<'a> {
    remote: &'a Remote,
    clients: &'a Clients,
    path: Path,
    bodies: [Bytes; 2],
}

impl<'a> Race<'a> {
    fn new(remote: &'a Remote, clients: &'a Clients, padding: usize) -> Self {
        let name = UploadId::generate();
        let body = |writer: u8| {
            let mut text = format!("written by writer {writer} in a race of a probe of tidegate: {name}\n").into_bytes();
            text.resize(text.len() + padding, b'0' + writer);
            Bytes::from(text)
        };
        Self { remote, clients, path: remote.probe_path(name.as_str()), bodies: [body(1), body(2)] }
    }

    async fn puts(self) -> Outcome {
        let put = async |body: &Bytes| {
            let client = self.clients.storing(self.remote.integrity());
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            client.put_opts(&self.path, body.clone().into(), options).await.map(drop)
        };
        let [one, two] = &self.bodies;
        let (one, two) = tokio::join!(put(one), put(two));
        self.outcome([one, two]).await
    }

    /// With a `deadline` for the parts, the race is left out where they have not arrived by then.
    async fn completes(self, deadline: Option<Duration>) -> Outcome {
        let opened = tokio::join!(self.open(), self.open());
        let opened = [opened.0, opened.1];
        let sent = match &opened {
            [Ok(one), Ok(two)] => {
                let sending = async { tokio::join!(self.send(one, 0), self.send(two, 1)) };
                tokio::time::timeout(deadline.unwrap_or(Duration::MAX), sending).await.ok()
            }
            _ => None,
        };
        let outcome = match (&opened, sent) {
            ([Ok(one), Ok(two)], Some((Ok(first), Ok(second)))) => {
                let complete = async |multipart: &MultipartId, part: PartId| {
                    self.clients.creating.complete_multipart(&self.path, multipart, vec![part]).await.map(drop)
                };
                let (one, two) = tokio::join!(complete(one, first), complete(two, second));
                self.outcome([one, two]).await
            }
            _ => Outcome::Unclear,
        };
        for multipart in opened.iter().flatten() {
            // One of the two was completed. What an abort does not reach, the sweep does.
            let _ = self.clients.plain.abort_multipart(&self.path, multipart).await;
        }
        outcome
    }

    async fn open(&self) -> object_store::Result<MultipartId> {
        self.clients.storing(self.remote.integrity()).create_multipart(&self.path).await
    }

    async fn send(&self, multipart: &MultipartId, writer: usize) -> object_store::Result<PartId> {
        let client = self.clients.storing(self.remote.integrity());
        client.put_part(&self.path, multipart, 0, self.bodies[writer].clone().into()).await
    }

    /// Holds what the writers were answered against what is stored, and removes that.
    async fn outcome(&self, answers: [Result<(), StoreError>; 2]) -> Outcome {
        let read = async { self.clients.plain.get(&self.path).await?.bytes().await };
        let stored = read.await;
        // The sweep removes the object where this delete fails.
        let _ = remove(self.clients, &self.path).await;
        match (&answers, stored) {
            ([Ok(()), Ok(())], _) => Outcome::Lost,
            ([Ok(()), Err(error)], Ok(stored)) if is_refusal(error) => self.held(&stored, 0),
            ([Err(error), Ok(())], Ok(stored)) if is_refusal(error) => self.held(&stored, 1),
            (answers, stored) => {
                tracing::debug!(?answers, stored = stored.is_ok(), "a race on the store was unclear");
                Outcome::Unclear
            }
        }
    }

    fn held(&self, stored: &Bytes, winner: usize) -> Outcome {
        if *stored == self.bodies[winner] { Outcome::Held } else { Outcome::Lost }
    }
}
