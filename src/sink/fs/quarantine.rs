//! Files that are not valid, kept beside what is staged:
//!
//! ```text
//! .tidegate/quarantine/<id>.bytes   the file as it came
//! .tidegate/quarantine/<id>.json    what it is and what is wrong with it
//! .tidegate/quarantine/<id>.draft   that, while it is being written
//! .tidegate/quarantine/<id>.lock    locked by who changes anything of the others
//! ```
//!
//! A file is there where its bytes and its report are. Both are flushed before they get their names, and the folder is flushed
//! before anybody is told. Halves are what a crash has left: nobody sees them, and the sweep removes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use rustix::io::Errno;

use super::commit::Name;
use super::disk::{Access, Disk};
use super::staging::lock_any;
use super::{Loses, Shared, blocking, failed, tree};
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::sink::place::Content;
use crate::sink::quarantine::in_order;
use crate::sink::{Held, QuarantineId, Quarantined, Swept};
use crate::upload::UploadSpec;

/// The longest report that is read back.
const MAX_REPORT_BYTES: u64 = 64 << 20;
/// Bytes of a file in quarantine that are read at once.
const READ_BYTES: usize = 256 * 1024;

fn bytes_of(id: &QuarantineId) -> String {
    format!("{id}.bytes")
}

fn report_of(id: &QuarantineId) -> String {
    format!("{id}.json")
}

fn draft_of(id: &QuarantineId) -> String {
    format!("{id}.draft")
}

fn lock_of(id: &QuarantineId) -> String {
    format!("{id}.lock")
}

impl<D: Disk> Shared<D> {
    /// Moves a staged file into quarantine, with its report beside it. Says in `name` whether the staged name is gone.
    pub(super) fn quarantine(
        &self,
        spec: &UploadSpec,
        file: &D::Handle,
        content: Content,
        report: Report,
        name: &mut Name,
    ) -> Result<Quarantined> {
        let failed = |errno: Errno| failed("putting into quarantine", spec, errno);
        self.check_writable("putting into quarantine", &spec.key)?;
        let kept = Quarantined::new(spec, &content, report);
        let (id, folder) = (&kept.id, &self.quarantine);
        self.promise(file, Loses::Upload, &format!("{:?}", spec.key.as_str()))?;
        let lock = self.lock_quarantined(id)?.ok_or_else(|| busy(id))?;
        if let Some(first) = self.in_quarantine(id).map_err(failed)? {
            self.promise_quarantined(id)?;
            return Ok(first);
        }
        self.draft_report(spec, &kept)?;
        self.disk.rename(&self.staging, spec.id.as_str(), folder, &bytes_of(id)).map_err(failed)?;
        *name = Name::Final;
        self.disk.rename(folder, &draft_of(id), folder, &report_of(id)).map_err(failed)?;
        self.promise(folder, Loses::Names, "the folder of what is in quarantine")?;
        drop(lock);
        Ok(kept)
    }

    /// Writes the report where it does not count yet.
    fn draft_report(&self, spec: &UploadSpec, kept: &Quarantined) -> Result<()> {
        let failed = |errno: Errno| failed("putting into quarantine", spec, errno);
        let draft = draft_of(&kept.id);
        self.unlink_quarantined(&draft).map_err(failed)?;
        let file = self.disk.create(&self.quarantine, &draft).map_err(failed)?;
        let written = self.disk.write_at(&file, &kept.encode(), 0).map_err(failed);
        let written =
            written.and_then(|()| self.promise(&file, Loses::Upload, &format!("the report on {:?}", spec.key.as_str())));
        if written.is_err() {
            // Else the sweep does it.
            let _ = self.unlink_quarantined(&draft);
        }
        written
    }

    /// Flushes what stands there already: whoever put it there may not have come so far.
    fn promise_quarantined(&self, id: &QuarantineId) -> Result<()> {
        for name in [bytes_of(id), report_of(id)] {
            let file = self.disk.open(&self.quarantine, &name, Access::Read).map_err(|errno| looking(id, errno))?;
            self.promise(&file, Loses::Names, &format!("{name:?} in quarantine"))?;
        }
        self.promise(&self.quarantine, Loses::Names, "the folder of what is in quarantine")
    }

    /// Every file in quarantine.
    pub(super) fn all_quarantined(&self) -> Result<Vec<Quarantined>> {
        let mut found = Vec::new();
        for id in self.left_in_quarantine()?.into_keys() {
            found.extend(self.in_quarantine(&id).map_err(|errno| looking(&id, errno))?);
        }
        Ok(in_order(found))
    }

    /// What is told of a file in quarantine, if it is there with its bytes.
    fn in_quarantine(&self, id: &QuarantineId) -> Result<Option<Quarantined>, Errno> {
        let report = match self.disk.open(&self.quarantine, &report_of(id), Access::Read) {
            Ok(report) => report,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let json = tree::read_whole(&self.disk, &report, MAX_REPORT_BYTES)?;
        let Some(kept) = Quarantined::decode(&json).filter(|kept| kept.id == *id) else { return Ok(None) };
        match self.disk.stat_at(&self.quarantine, &bytes_of(id)) {
            Ok(stat) => Ok((stat.size == kept.size).then_some(kept)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno),
        }
    }

    /// The bytes of a file in quarantine, if it is there.
    pub(super) fn quarantined_file(&self, id: &QuarantineId) -> Result<Option<D::Handle>> {
        let looking = |errno: Errno| looking(id, errno);
        if self.in_quarantine(id).map_err(looking)?.is_none() {
            return Ok(None);
        }
        match self.disk.open(&self.quarantine, &bytes_of(id), Access::Read) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(looking(errno)),
        }
    }

    /// Removes a file from quarantine, durably; whether it was there.
    pub(super) fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        let failed = |errno: Errno| Error::new(ErrorKind::Store, format!("removing {id} from quarantine")).because(errno);
        let _lock = self.lock_quarantined(id)?.ok_or_else(|| busy(id))?;
        let was_there = self.in_quarantine(id).map_err(failed)?.is_some();
        // The report first: without it, it is gone for everybody.
        let removed = self.unlink_quarantined(&report_of(id)).map_err(failed)?;
        if self.unlink_quarantined(&bytes_of(id)).map_err(failed)? || removed {
            self.flush(&self.quarantine, Loses::Names, "the folder of what is in quarantine")?;
        }
        Ok(was_there)
    }

    /// Removes what crashes have left of files that did not come into quarantine, or out of it; counts them in.
    pub(super) fn sweep_quarantine(&self, swept: &mut Swept) -> Result<()> {
        for (id, names) in self.left_in_quarantine()? {
            if names != [bytes_of(&id), report_of(&id)] {
                swept.removed += u64::from(self.sweep_quarantined(&id)?);
            }
        }
        Ok(())
    }

    fn sweep_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        let failed = |errno: Errno| Error::new(ErrorKind::Store, format!("sweeping up {id} in quarantine")).because(errno);
        let Some(_lock) = self.lock_quarantined(id)? else { return Ok(false) };
        let mut removed = self.unlink_quarantined(&draft_of(id)).map_err(failed)?;
        // A report that can't be read is no reason to remove the file that it is about.
        let has_report = self.disk.stat_at(&self.quarantine, &report_of(id)).is_ok();
        if !has_report && self.in_quarantine(id).map_err(failed)?.is_none() {
            for name in [report_of(id), bytes_of(id)] {
                removed |= self.unlink_quarantined(&name).map_err(failed)?;
            }
        }
        Ok(removed)
    }

    /// What lies there, in order, for each file.
    fn left_in_quarantine(&self) -> Result<BTreeMap<QuarantineId, Vec<String>>> {
        let failed = |errno: Errno| Error::new(ErrorKind::Store, "looking into quarantine").because(errno);
        let mut left: BTreeMap<QuarantineId, Vec<String>> = BTreeMap::new();
        for name in self.disk.list(&self.quarantine).map_err(failed)? {
            let id = name.to_str().and_then(|name| name.split_once('.')?.0.parse().ok());
            match (id, name.into_string()) {
                (Some(id), Ok(name)) => left.entry(id).or_default().push(name),
                (_, name) => tracing::warn!(?name, "something strange lies in quarantine"),
            }
        }
        for names in left.values_mut() {
            names.sort();
        }
        Ok(left)
    }

    /// The right to change what lies there under this id; `None` while somebody else has it.
    fn lock_quarantined(&self, id: &QuarantineId) -> Result<Option<Lock<'_, D>>> {
        match lock_any(&self.disk, &self.quarantine, &lock_of(id)) {
            Ok(file) => Ok(Some(Lock { shared: self, id: id.clone(), _file: file })),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(Error::new(ErrorKind::Store, format!("locking {id} in quarantine")).because(errno)),
        }
    }

    /// Removes a name; whether it was there.
    fn unlink_quarantined(&self, name: &str) -> Result<bool, Errno> {
        match self.disk.unlink(&self.quarantine, name) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }
}

/// The right to change what lies under an id.
struct Lock<'a, D: Disk> {
    shared: &'a Shared<D>,
    id: QuarantineId,
    /// Locked for as long as it is open.
    _file: D::Handle,
}

impl<D: Disk> Drop for Lock<'_, D> {
    fn drop(&mut self) {
        if let Err(error) = self.shared.unlink_quarantined(&lock_of(&self.id)) {
            tracing::debug!(id = %self.id, %error, "a lock stays in quarantine until the next sweep");
        }
    }
}

/// Reads a file from its beginning, as it is asked for.
pub(super) fn stream<D: Disk>(shared: Arc<Shared<D>>, id: QuarantineId, file: D::Handle) -> Held {
    let begin = (shared, Arc::new(file), 0);
    futures::stream::try_unfold(begin, move |(shared, file, offset)| {
        let id = id.clone();
        async move {
            let (disk, from) = (shared.disk.clone(), Arc::clone(&file));
            let chunk = blocking(move || {
                let mut buffer = vec![0; READ_BYTES];
                let read = disk.read_at(&from, &mut buffer, offset).map_err(|errno| looking(&id, errno))?;
                buffer.truncate(read);
                Ok(Bytes::from(buffer))
            });
            let chunk = chunk.await?;
            let next = offset + chunk.len() as u64;
            Ok((!chunk.is_empty()).then_some((chunk, (shared, file, next))))
        }
    })
    .boxed()
}

fn looking(id: &QuarantineId, errno: Errno) -> Error {
    Error::new(ErrorKind::Store, format!("reading {id} in quarantine")).because(errno)
}

fn busy(id: &QuarantineId) -> Error {
    Error::new(ErrorKind::Busy, format!("{id} in quarantine is being written or removed by somebody else"))
}
