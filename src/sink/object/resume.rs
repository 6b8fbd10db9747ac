//! Going on with an upload that was cut off, here or at another node: what was written down of it is read, and what has
//! gaps, or does not fit together, counts as not there.

use std::collections::HashSet;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use object_store::multipart::PartId;
use object_store::path::Path;

use super::manifest::{Journal, Manifest, PartRecord, Saved, Standing, part_name, read_tail, tail_range};
use super::marks::Attempt;
use super::parts::{Parts, Reopened};
use super::remote::Remote;
use crate::config::Integrity;
use crate::error::Result;
use crate::upload::{Note, Tally, UploadSpec};

/// Records read at once.
const READERS: usize = 16;

/// An upload that can go on.
#[derive(Debug)]
pub(super) struct Resumed {
    /// What was announced, now or when it began.
    pub(super) spec: UploadSpec,
    pub(super) attempt: Attempt,
    pub(super) parts: Parts,
    pub(super) part_bytes: usize,
    /// How things stand where it goes on.
    pub(super) saved: Saved,
    /// The bytes behind the last part.
    pub(super) tail: Vec<u8>,
}

/// What the store holds of the upload that `spec` comes to go on with; `None` where that is nothing to go on from.
///
/// What the multipart upload was opened with can't be changed any more: where `spec` wants that otherwise, nothing is
/// resumed.
pub(super) async fn resume(remote: &Arc<Remote>, spec: UploadSpec) -> Result<Option<Resumed>> {
    let Standing::Manifest(manifest) = remote.manifest(&spec.id).await? else { return Ok(None) };
    let begun = &manifest.spec;
    let bound =
        (&spec.on_conflict, &spec.meta, &spec.content_type) == (&begun.on_conflict, &begun.meta, &begun.content_type);
    // Where payloads are signed now, for good, nothing goes on that was opened for checksums.
    let is_checked = manifest.integrity == Integrity::Checksum;
    if !bound || (is_checked && !remote.may_send_checksums()) {
        return Ok(None);
    }
    let folder = remote.attempt_folder(&manifest.spec.id, &manifest.attempt);
    let names: Vec<_> = remote.list(&folder).await?.into_iter().map(|object| object.location).collect();
    let run = read_run(remote, &manifest, &names).await?;
    let tail = read_longest_tail(remote, &manifest, &run, &names).await?;
    if run.last.is_none() && tail.is_none() {
        return Ok(None);
    }
    let kept = tail.as_ref().map_or_else(|| run.saved().tally.size(), |tail| tail.saved.tally.size());
    spec.check_continues(begun, kept)?;
    let spec = spec.held_to(begun.clone());
    // What lies behind a gap would be in the way of who sends it again.
    remote.remove_all(beyond(&names, run.parts.len())).await?;
    let journal = Journal::of(Arc::clone(remote), &manifest);
    journal.touch().await?;
    let (saved, bytes, at) = match tail {
        Some(Tail { saved, bytes, path }) => (saved, bytes, Some(path)),
        None => (run.saved(), Vec::new(), None),
    };
    let reopened = Reopened { journal, parts: run.parts, kept_to: saved.tally.size(), tail: at };
    let parts = Parts::reopen(Arc::clone(remote), &manifest, reopened)?;
    let Manifest { attempt, part_bytes, .. } = *manifest;
    Ok(Some(Resumed { spec, attempt, parts, part_bytes, saved, tail: bytes }))
}

/// Removes what this upload has left, so that it can begin anew, held to what was announced of it.
///
/// # Errors
/// [`ErrorKind::Conflict`](crate::error::ErrorKind::Conflict) where an upload is kept that has this id and is another one.
pub(super) async fn begin_anew(remote: &Remote, spec: UploadSpec) -> Result<UploadSpec> {
    let begun = match remote.manifest(&spec.id).await? {
        Standing::Nothing => return Ok(spec),
        Standing::Manifest(manifest) => Some(manifest.spec),
        Standing::Unreadable => None,
    };
    if let Some(begun) = &begun {
        spec.check_continues(begun, 0)?;
    }
    remote.drop_upload(&spec.id, |_| true).await?;
    Ok(match begun {
        Some(begun) => spec.held_to(begun),
        None => spec,
    })
}

/// Parts without a gap, from the first one on.
#[derive(Debug, Default)]
struct Run {
    parts: Vec<PartId>,
    last: Option<Saved>,
}

impl Run {
    fn saved(&self) -> Saved {
        self.last.clone().unwrap_or_else(|| Saved { tally: Tally::lasting(), note: Note::default() })
    }
}

async fn read_run(remote: &Remote, manifest: &Manifest, names: &[Path]) -> Result<Run> {
    let id = &manifest.spec.id;
    let paths = (0..).map(|index| remote.attempt_path(id, &manifest.attempt, &part_name(index)));
    let names: HashSet<&Path> = names.iter().collect();
    let there = paths.take_while(|path| names.contains(path));
    let mut records = futures::stream::iter(there).map(|path| async move { remote.fetch(&path).await }).buffered(READERS);
    let mut run = Run::default();
    while let Some(json) = records.try_next().await? {
        let record = json.and_then(|json| serde_json::from_slice::<PartRecord>(&json).ok());
        let Some(PartRecord { index, bytes, part, saved }) = record else { break };
        let end = (run.parts.len() as u64 + 1) * manifest.part_bytes as u64;
        if index != run.parts.len() || bytes != manifest.part_bytes || saved.tally.size() != end {
            break;
        }
        run.parts.push(PartId { content_id: part });
        run.last = Some(saved);
    }
    Ok(run)
}

/// Bytes behind the last part.
#[derive(Debug)]
struct Tail {
    saved: Saved,
    bytes: Vec<u8>,
    path: Path,
}

/// The longest tail that goes on where the parts end, and is whole.
async fn read_longest_tail(remote: &Remote, manifest: &Manifest, run: &Run, names: &[Path]) -> Result<Option<Tail>> {
    let base = run.saved().tally;
    let mut tails: Vec<(u64, &Path)> = names
        .iter()
        .filter_map(|path| {
            let (from, to) = tail_range(path.filename()?)?;
            let fits = from == base.size() && to.checked_sub(from)? <= manifest.part_bytes as u64;
            fits.then_some((to, path))
        })
        .collect();
    tails.sort_by(|one, other| other.cmp(one));
    for (_, path) in tails {
        let Some(object) = remote.fetch(path).await? else { continue };
        let Some((saved, bytes)) = read_tail(&object) else { continue };
        let mut tally = base.clone();
        tally.add(&bytes);
        if tally == saved.tally {
            return Ok(Some(Tail { saved, bytes: bytes.to_vec(), path: path.clone() }));
        }
    }
    Ok(None)
}

/// The records of parts from `first` on.
fn beyond(names: &[Path], first: usize) -> Vec<Path> {
    let index = |path: &Path| path.filename()?.strip_suffix(".json")?.parse::<usize>().ok();
    names.iter().filter(|path| index(path).is_some_and(|index| index >= first)).cloned().collect()
}
