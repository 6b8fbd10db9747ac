//! Checkpoints: what is written down of an upload on its way, so that another process can go on with it.
//!
//! ```text
//! sha256:<digest of the next line>
//! {"version":1,"file":1234,"spec":{…},"tally":"<bytes>:<state>","note":…}
//! ```
//!
//! A checkpoint is true after every power cut, by the order in which it comes about: the bytes are flushed, and the name of
//! the staged file; the checkpoint is written and flushed beside the last one, then takes its place. So below its offset the
//! staged file holds what was sent, whatever became of the bytes behind. Nothing is read back to go on: the saved state covers
//! just the bytes below the offset. Reading them again would be quadratic where a line is cut every second, and outlast every
//! deadline for a file of tens of gigabytes.
//!
//! A checkpoint is of one staged file and no other. It is removed, durably, before the staged name is free for the next
//! upload of the same id; where the name became free by a commit, the number of the staged file tells them apart, for the
//! committed file still has it.

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::disk::{Access, Disk};
use super::staging::lock_any;
use super::{Loses, Shared, tree};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::{Digest, Note, Tally, UploadId, UploadSpec};

const VERSION: u32 = 1;
/// The longest checkpoint that is read back: far more than a control line and what a validator has to remember.
const MAX_BYTES: u64 = 64 << 20;

/// What is needed to go on.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    version: u32,
    /// The number of the staged file, on its device.
    file: u64,
    /// As it was announced.
    pub(super) spec: UploadSpec,
    /// Of the bytes below the offset, whose number it knows.
    pub(super) tally: Tally,
    pub(super) note: Note,
}

impl Checkpoint {
    fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let mut text = format!("{}\n", Digest::of(&json)).into_bytes();
        text.extend_from_slice(&json);
        Ok(text)
    }

    /// `None` for what is torn, garbage, or of another version.
    fn decode(text: &[u8]) -> Option<Self> {
        let end = text.iter().position(|byte| *byte == b'\n')?;
        let (digest, json) = (str::from_utf8(&text[..end]).ok()?, &text[end + 1..]);
        if digest != Digest::of(json).to_string() {
            return None;
        }
        serde_json::from_slice(json).ok().filter(|checkpoint: &Self| checkpoint.version == VERSION)
    }
}

/// Where a checkpoint is written before it takes its place. No upload has an id that begins so.
fn draft_of(id: &UploadId) -> String {
    format!(".{id}")
}

impl<D: Disk> Shared<D> {
    /// Makes durable what has come of an upload, and that it has.
    pub(super) fn save(&self, spec: &UploadSpec, file: &D::Handle, tally: &Tally, note: Note) -> Result<()> {
        let failed = |errno: Errno| super::failed("saving how far it came", spec, errno);
        let (id, draft) = (spec.id.as_str(), draft_of(&spec.id));
        self.flush(file, Loses::Upload, &format!("{:?}", spec.key.as_str()))?;
        match self.disk.stat_at(&self.resume, id) {
            // It was flushed before the first checkpoint was made.
            Ok(_) => {}
            Err(Errno::NOENT) => self.flush(&self.staging, Loses::Names, "the folder of what is staged")?,
            Err(errno) => return Err(failed(errno)),
        }
        let file = self.disk.stat(file).map_err(failed)?.identity.1;
        let checkpoint = Checkpoint { version: VERSION, file, spec: spec.clone(), tally: tally.clone(), note };
        let text = checkpoint.encode().map_err(|error| {
            Error::new(ErrorKind::Store, format!("saving how far it came {:?}", spec.key.as_str())).because(error)
        })?;
        if let Err(error) = self.write_draft(spec, &draft, &text) {
            // Whatever is left of it is in nobody's way: the next one replaces it, or the sweep removes it.
            let _ = self.disk.unlink(&self.resume, &draft);
            return Err(error);
        }
        self.disk.rename(&self.resume, &draft, &self.resume, id).map_err(failed)?;
        self.flush(&self.resume, Loses::Names, "the folder of what can be resumed")
    }

    fn write_draft(&self, spec: &UploadSpec, draft: &str, text: &[u8]) -> Result<()> {
        let failed = |errno: Errno| super::failed("saving how far it came", spec, errno);
        match self.disk.unlink(&self.resume, draft) {
            // Somebody died over it.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(errno)),
        }
        let file = self.disk.create(&self.resume, draft).map_err(failed)?;
        self.disk.write_at(&file, text, 0).map_err(failed)?;
        self.flush(&file, Loses::Upload, &format!("the checkpoint of {:?}", spec.key.as_str()))
    }

    /// What was saved of an upload, if `staged`, which is locked or only looked at, is the file that it is of.
    pub(super) fn saved(&self, id: &UploadId, staged: &D::Handle) -> Result<Option<Checkpoint>, Errno> {
        let file = match self.disk.open(&self.resume, id.as_str(), Access::Read) {
            Ok(file) => file,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let text = tree::read_whole(&self.disk, &file, MAX_BYTES)?;
        let Some(checkpoint) = Checkpoint::decode(&text) else { return Ok(None) };
        let stat = self.disk.stat(staged)?;
        // With a second name it is committed: nobody may write there any more.
        let holds = stat.identity.1 == checkpoint.file && stat.has_one_name && stat.size >= checkpoint.tally.size();
        Ok(holds.then_some(checkpoint))
    }

    /// Removes what was saved of an upload that has its final name. The staged name, and what is saved under it, may be somebody
    /// else's by now: the name is held meanwhile, as a sweep holds it.
    pub(super) fn forget_committed(&self, id: &UploadId) -> Result<()> {
        let failed =
            |errno: Errno| Error::new(ErrorKind::Store, format!("removing the checkpoint of upload {id}")).because(errno);
        match self.disk.stat_at(&self.resume, id.as_str()) {
            Ok(_) => {}
            Err(Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        }
        let _held = match lock_any(&self.disk, &self.staging, id.as_str()) {
            Ok(held) => held,
            Err(Errno::WOULDBLOCK) => return Ok(()),
            Err(errno) => return Err(failed(errno)),
        };
        self.forget(id)?;
        self.disk.unlink(&self.staging, id.as_str()).map_err(failed)
    }

    /// Removes what was saved of an upload, durably.
    pub(super) fn forget(&self, id: &UploadId) -> Result<()> {
        let mut forgotten = false;
        for name in [id.as_str(), &draft_of(id)] {
            match self.disk.unlink(&self.resume, name) {
                Ok(()) => forgotten = true,
                Err(Errno::NOENT) => {}
                Err(errno) => {
                    let message = format!("removing the checkpoint of upload {id}");
                    return Err(Error::new(ErrorKind::Store, message).because(errno));
                }
            }
        }
        if forgotten { self.flush(&self.resume, Loses::Names, "the folder of what can be resumed") } else { Ok(()) }
    }
}
