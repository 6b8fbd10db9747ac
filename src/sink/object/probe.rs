//! Trying out on the store what the sink needs of it.

mod conditions;
mod hiding;
mod race;

use std::fmt::Display;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error as StoreError, MultipartId, ObjectStore as _, ObjectStoreExt as _, PutMode, PutOptions};
use tokio::time::timeout;

use super::remote::{Clients, Remote, Seen};
use super::words::{is_broken, is_mismatch, is_unsupported};
use crate::config::Integrity;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::Probe;
use crate::upload::UploadId;

/// How long a probe goes on to its next step. A step that has begun is not cut off, because a
/// request that is dropped may still reach the store, and leave there what no delete follows; each
/// request has a deadline of its own.
const DEADLINE: Duration = Duration::from_secs(15);

/// How long a store may take to show whether it compares checksums.
const CHECKSUM_DEADLINE: Duration = Duration::from_secs(2);

/// How often a delete is tried whose connection breaks.
const DELETE_ATTEMPTS: u32 = 3;

const WRITE: &str = "write";
const READ: &str = "read back";
const INTEGRITY: &str = "integrity of what is stored";
const DELETE: &str = "delete";

/// Writes, reads and deletes an object below the reserved prefix, and tries to create it twice. How
/// the store keeps conditions, and whether it compares checksums, is tried until it was seen once.
pub(super) async fn run(remote: &Remote, hasty: &Clients) -> Probe {
    run_for(remote, hasty, DEADLINE).await
}

/// The same with another deadline.
pub(super) async fn run_for(remote: &Remote, hasty: &Clients, deadline: Duration) -> Probe {
    let mut trial = Trial { checks: true, deadline, ..Trial::new(remote, hasty) };
    trial.run().await;
    if trial.is_cut {
        trial.probe.fail("deadline", format!("{} took more than {deadline:?}", remote.store));
    }
    trial.probe
}

/// Fails unless the store was seen to do, once, what a commit relies on: what `is_seen` looks for.
///
/// # Errors
/// [`ErrorKind::Store`] where it does not do it, or can't be asked.
pub(super) async fn assure(remote: &Remote, is_seen: fn(&Seen) -> bool) -> Result<()> {
    if is_seen(&remote.seen) {
        return Ok(());
    }
    let _trying = remote.seen.trying.lock().await;
    if is_seen(&remote.seen) {
        return Ok(());
    }
    let mut trial = Trial::new(remote, &remote.clients);
    trial.run().await;
    match trial.probe.problem() {
        _ if is_seen(&remote.seen) => Ok(()),
        problem => Err(Error::new(ErrorKind::Store, problem.unwrap_or_else(|| ignores("what a commit needs")))),
    }
}

struct Trial<'a> {
    remote: &'a Remote,
    /// Whether to see if checksums are compared, too: nothing that a commit has to wait for.
    checks: bool,
    clients: &'a Clients,
    path: Path,
    body: Bytes,
    probe: Probe,
    began: Instant,
    deadline: Duration,
    /// Whether steps were left out at the deadline.
    is_cut: bool,
}

impl<'a> Trial<'a> {
    fn new(remote: &'a Remote, clients: &'a Clients) -> Self {
        let name = UploadId::generate();
        Self {
            remote,
            checks: false,
            clients,
            path: remote.probe_path(name.as_str()),
            body: Bytes::from(format!("written by a probe of tidegate, and to be deleted by it: {name}\n")),
            probe: Probe::of(remote.store.clone()),
            began: Instant::now(),
            deadline: Duration::MAX,
            is_cut: false,
        }
    }

    async fn run(&mut self) {
        if !self.write().await {
            // The store may have taken what it did not acknowledge.
            let _ = remove(self.clients, &self.path).await;
            return;
        }
        self.read().await;
        if self.has_time() {
            self.conditions().await;
        }
        if self.checks && self.has_time() {
            self.hiding().await;
        }
        if self.checks && self.has_time() {
            self.integrity().await;
        }
        self.delete().await;
    }

    fn has_time(&mut self) -> bool {
        self.is_cut |= self.began.elapsed() >= self.deadline;
        !self.is_cut
    }

    async fn write(&mut self) -> bool {
        match self.put(PutMode::Overwrite).await {
            Ok(()) => {
                self.probe.pass(WRITE, format!("an object of {} bytes", self.body.len()));
                true
            }
            Err(error) => {
                self.fail(WRITE, &error);
                false
            }
        }
    }

    async fn read(&mut self) {
        let read = async { self.clients.plain.get(&self.path).await?.bytes().await };
        match read.await {
            Ok(bytes) if bytes == self.body => self.probe.pass(READ, "the same bytes"),
            Ok(bytes) => self.probe.fail(READ, format!("other bytes than were written ({} of them)", bytes.len())),
            Err(error) => self.fail(READ, &error),
        }
    }

    /// How the store knows that it has the bytes that are sent: by a checksum, if that is wanted and it compares one. Where it does
    /// not, payloads are signed, and nothing is wrong.
    async fn integrity(&mut self) {
        let known = &self.remote.seen.checksums;
        if self.remote.wanted == Integrity::Checksum
            && known.get().is_none()
            && let Some(compares) = self.compares_checksums().await
        {
            // Another probe at the same time may have been first.
            let _ = known.set(compares);
        }
        let how = match (self.remote.wanted, known.get()) {
            (Integrity::Signature, _) => "by its SHA-256 in each signature, as sink.s3.integrity says",
            (Integrity::Checksum, Some(true)) => "by its CRC-64/NVME: a wrong one is refused, a right one taken",
            (Integrity::Checksum, Some(false)) => "by its SHA-256 in each signature: the store compares no checksum",
            (Integrity::Checksum, None) => {
                "by its SHA-256 in each signature, until the store says whether it compares checksums"
            }
        };
        self.probe.pass(INTEGRITY, how);
    }

    /// Whether it refuses wrong checksums, of an object and of a part, and takes right ones; `None` where it can't be asked.
    async fn compares_checksums(&self) -> Option<bool> {
        let mut open = None;
        let compares = self.try_checksums(&mut open).await;
        if let Some(multipart) = open {
            // Else the sweep gives it up.
            let _ = self.clients.checked.abort_multipart(&self.path, &multipart).await;
        }
        compares
    }

    /// Leaves the multipart upload in `open` that is not completed. Only the first request is cut
    /// off by the deadline: what it may have stored is known, and deleted at the end.
    async fn try_checksums(&self, open: &mut Option<MultipartId>) -> Option<bool> {
        let Clients { checked, lying, .. } = self.clients;
        let (path, body) = (&self.path, || self.body.clone().into());
        let began = Instant::now();
        match timeout(CHECKSUM_DEADLINE, lying.put(path, body())).await.ok()? {
            Ok(_) => return Some(false),
            Err(error) if is_mismatch(&error) => {}
            Err(error) => return said(&error),
        }
        if let Err(error) = checked.put(path, body()).await {
            return said(&error);
        }
        if began.elapsed() >= CHECKSUM_DEADLINE {
            return None;
        }
        let multipart = match checked.create_multipart(path).await {
            Ok(multipart) => open.insert(multipart).clone(),
            Err(error) => return said(&error),
        };
        match lying.put_part(path, &multipart, 0, body()).await {
            Ok(_) => return Some(false),
            Err(error) if is_mismatch(&error) => {}
            Err(error) => return said(&error),
        }
        let stored = async {
            let part = checked.put_part(path, &multipart, 0, body()).await?;
            checked.complete_multipart(path, &multipart, vec![part]).await
        };
        match stored.await {
            Ok(_) => {
                *open = None;
                Some(true)
            }
            Err(error) => said(&error),
        }
    }

    async fn delete(&mut self) {
        match remove(self.clients, &self.path).await {
            Ok(()) => self.probe.pass(DELETE, "nothing stays behind"),
            Err(error) => self.fail(DELETE, &error),
        }
    }

    async fn put(&self, mode: PutMode) -> object_store::Result<()> {
        let options = PutOptions { mode, ..PutOptions::default() };
        // As uploads are.
        let client = self.clients.storing(self.remote.integrity());
        client.put_opts(&self.path, self.body.clone().into(), options).await.map(drop)
    }

    fn fail(&mut self, what: &'static str, error: &StoreError) {
        let problem = self.remote.failed(format_args!("{:?}", self.path.as_ref()), error);
        self.probe.fail(what, problem);
    }
}

/// Deletes an object that a probe may have written. A connection that was kept open may have been
/// closed by the store meanwhile, and the client does not repeat a delete by itself. What stays
/// even so is removed by a sweep.
async fn remove(clients: &Clients, path: &Path) -> object_store::Result<()> {
    let mut attempt = 1;
    loop {
        match clients.plain.delete(path).await {
            Ok(()) | Err(StoreError::NotFound { .. }) => return Ok(()),
            Err(error) if attempt < DELETE_ATTEMPTS && is_broken(&error) => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// What it means that a store refused what it should take, or did not answer.
fn said(error: &StoreError) -> Option<bool> {
    tracing::debug!(%error, "the store was asked whether it compares checksums");
    is_unsupported(error).then_some(false)
}

fn ignores(what: impl Display) -> String {
    format!(
        "the store ignores If-None-Match on {what}, so that two uploads of one name could overwrite each other: use another \
         store, or on_conflict = \"overwrite\" everywhere"
    )
}
