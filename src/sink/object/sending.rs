//! One part on its way: sent, then written down. What stands in the records decides whose the upload is.

use std::sync::Arc;

use bytes::Bytes;
use object_store::MultipartId;
use object_store::multipart::PartId;
use object_store::path::Path;

use super::manifest::{Journal, PartRecord, Saved};
use super::remote::Remote;
use super::words::is_gone;
use crate::config::Integrity;
use crate::error::{Error, ErrorKind, Result};

/// A part on its way.
pub(super) struct Sending {
    pub(super) remote: Arc<Remote>,
    pub(super) path: Path,
    pub(super) multipart: MultipartId,
    pub(super) integrity: Integrity,
    /// Counted from 0.
    pub(super) index: usize,
    /// What is written down when it has arrived, and where.
    pub(super) saved: Option<(Journal, Saved)>,
}

impl Sending {
    /// Sends `part`, then writes down that it has arrived.
    pub(super) async fn run(self, part: Bytes) -> Outcome {
        let Self { remote, path, multipart, integrity, index, saved } = self;
        let bytes = part.len();
        let sent = remote.clients.storing(integrity).put_part(&path, &multipart, index, part.into()).await;
        let id = sent.map_err(|error| {
            let fate = if is_gone(&error) { Fate::Gone } else { Fate::Ours };
            (fate, remote.failed(format_args!("sending part {} of {:?}", index + 1, path.as_ref()), &error))
        })?;
        let Some((journal, saved)) = saved else { return Ok(Arrived { id, saved: false }) };
        let record = PartRecord { index, bytes, part: id.content_id.clone(), saved };
        match journal.part(&record).await {
            Ok(id) => Ok(Arrived { id, saved: true }),
            Err(error) if error.kind() == ErrorKind::Busy => Err((Fate::Ceded, error)),
            // The part is there: the upload can go on, but not be resumed behind it.
            Err(error) => {
                tracing::warn!(name = path.as_ref(), part = index + 1, %error, "a part could not be written down");
                Ok(Arrived { id, saved: false })
            }
        }
    }
}

/// What came of a part; where it failed, whose the upload is by then.
pub(super) type Outcome = Result<Arrived, (Fate, Error)>;

/// Whose the upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Ours,
    /// Another node sends other bytes for it, and may end well: nothing of it may be removed.
    Ceded,
    /// The store does not know it any more.
    Gone,
}

/// A part that the store has.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) id: PartId,
    /// Whether it was written down, so that the upload can go on behind it.
    pub(super) saved: bool,
}
