//! Where a commit goes when its key is taken: the one conflict policy that all sinks share.

use super::refusal;
use crate::error::{Error, Result};
use crate::report::Verdict;
use crate::upload::{Digest, Durability, Ending, Key, OnConflict, Receipt, Tally, UploadSpec, rfc3339};

/// Versions of one name that are tried before an upload is refused.
pub(crate) const MAX_VERSIONS: u32 = 9_999;

/// The key that a commit tries next.
///
/// A sink creates the object at [`Place::key`] if nothing is there; where something is, it tells [`Place::taken`] what, and
/// does as that answers. Sinks differ only in how they create and look.
#[derive(Debug, Clone)]
pub(crate) struct Place<'a> {
    spec: &'a UploadSpec,
    content: Content,
    /// What versions are numbered from: the name, or where it goes because something is in its way.
    base: Key,
    key: Key,
    number: u32,
    /// The numbered ancestor of `base`: its depth and its number.
    beside: Option<(usize, u32)>,
}

/// What looks for a place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) digest: Digest,
    pub(crate) verdict: Option<Verdict>,
}

impl Content {
    /// What has passed, if it is what was announced and what the sender claims.
    ///
    /// # Errors
    /// As [`Tally::seal`].
    pub(crate) fn seal(tally: &Tally, spec: &UploadSpec, Ending { claim, verdict }: Ending) -> Result<Self> {
        Ok(Self { size: tally.size(), digest: tally.seal(spec, claim)?, verdict })
    }
}

/// What to do where the key is taken.
#[derive(Debug)]
pub(crate) enum Step {
    /// The same content lies there: drop the staged bytes and answer with this receipt.
    Done(Receipt),
    /// Replace what lies there, atomically.
    Replace,
    /// Create under [`Place::key`], which has moved on.
    Next,
}

/// What lies under a key.
#[derive(Debug)]
pub(crate) enum Standing {
    /// A file with this receipt.
    File(Receipt),
    /// Something that is known to be other content, without having been read.
    Other,
    /// A folder, which can't be replaced by a file; or a link, a device and the like.
    Obstacle,
}

impl<'a> Place<'a> {
    /// The place that the sender asked for.
    pub(crate) fn new(spec: &'a UploadSpec, content: Content) -> Self {
        Self::based(spec, content, spec.key.clone())
    }

    /// The place `base`, which takes that of the name that the sender asked for.
    pub(crate) fn based(spec: &'a UploadSpec, content: Content, base: Key) -> Self {
        Self { spec, content, key: base.clone(), base, number: 1, beside: None }
    }

    /// The key to try.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// The number of the version that the key is of: 1 for what versions are numbered from.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// The content that looks for a place.
    pub(crate) fn content(&self) -> &Content {
        &self.content
    }

    /// Moves on to this version.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::error::ErrorKind::Conflict) where there is none of this
    /// number.
    pub(crate) fn go_to(&mut self, number: u32) -> Result<()> {
        if number > MAX_VERSIONS {
            return Err(self.conflict());
        }
        self.key = match number {
            1 => self.base.clone(),
            _ => self.base.version(number).map_err(|error| self.conflict().because(error))?,
        };
        self.number = number;
        Ok(())
    }

    /// Moves on to the version that has this key.
    ///
    /// # Errors
    /// As [`go_to`](Self::go_to).
    pub(crate) fn go_to_key(&mut self, key: &Key) -> Result<()> {
        let number = |key: &Key| key.around_extension().0.rsplit_once('~')?.1.parse().ok();
        let numbers = std::iter::once(1).chain(number(key)).chain(2..);
        for number in numbers {
            self.go_to(number)?;
            if self.key == *key {
                break;
            }
        }
        Ok(())
    }

    /// The key of the second version, which names all of them: long names that are cut to the same
    /// share their versions.
    ///
    /// # Errors
    /// As [`go_to`](Self::go_to).
    pub(crate) fn second(&self) -> Result<Key> {
        self.base.version(2).map_err(|error| self.conflict().because(error))
    }

    /// The upload that looks for a place.
    pub(crate) fn spec(&self) -> &'a UploadSpec {
        self.spec
    }

    /// Bytes of the content that looks for a place.
    pub(crate) fn size(&self) -> u64 {
        self.content.size
    }

    /// Decides what follows from what stands under the key.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the policy, or what stands there, leaves no place.
    pub(crate) fn taken(&mut self, standing: Standing) -> Result<Step> {
        if let Standing::File(receipt) = &standing
            && let Some(receipt) = self.same(receipt)
        {
            return Ok(Step::Done(receipt));
        }
        match (self.spec.on_conflict, standing) {
            (OnConflict::Version, _) => self.go_to(self.number + 1).map(|()| Step::Next),
            (OnConflict::Reject, Standing::File(_) | Standing::Other) => Err(self.conflict()),
            (OnConflict::Overwrite, Standing::File(_) | Standing::Other) => Ok(Step::Replace),
            (OnConflict::Reject | OnConflict::Overwrite, Standing::Obstacle) => Err(refusal::is_folder(&self.key, None)),
        }
    }

    /// Decides what follows where `file`, an ancestor of the key, is a file. Under
    /// [`OnConflict::Version`] the key moves on to the next version of that ancestor; every other
    /// policy refuses.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the policy leaves no place.
    pub(crate) fn blocked_by(&mut self, file: &str) -> Result<()> {
        if self.spec.on_conflict != OnConflict::Version {
            return Err(refusal::below_file(&self.key, file));
        }
        let depth = file.split('/').count() - 1;
        let number = self.beside.map_or(2, |(at, number)| if at == depth { number + 1 } else { 2 });
        if number > MAX_VERSIONS {
            return Err(refusal::below_file(&self.key, file));
        }
        self.go_below(depth, number).map_err(|error| refusal::below_file(&self.key, file).because(error))
    }

    /// Where an ancestor was in the way: the folder of its second version, and the number that is
    /// tried.
    pub(crate) fn beside(&self) -> Option<(String, u32)> {
        let (depth, number) = self.beside?;
        let second = self.wanted(depth).and_then(|key| key.version_at(depth, 2)).ok()?;
        Some((second.folders().nth(depth)?.to_owned(), number))
    }

    /// Moves on to another version of the ancestor that is in the way.
    pub(crate) fn go_beside(&mut self, number: u32) {
        if let Some((depth, _)) = self.beside {
            // A name that fits with one number fits with each.
            let _ = self.go_below(depth, number);
        }
    }

    fn go_below(&mut self, depth: usize, number: u32) -> Result<()> {
        self.base = self.wanted(depth)?.version_at(depth, number)?;
        (self.key, self.number, self.beside) = (self.base.clone(), 1, Some((depth, number)));
        Ok(())
    }

    /// The key without a number for the ancestor at `depth`. Numbers that ancestors further down
    /// have got were for another folder.
    fn wanted(&self, depth: usize) -> Result<Key> {
        let (above, below) = (self.base.components().take(depth), self.spec.key.components().skip(depth));
        above.chain(below).collect::<Vec<_>>().join("/").parse()
    }

    /// The receipt to answer with, if what stands with `receipt` is the content that looks for a place.
    pub(crate) fn same(&self, receipt: &Receipt) -> Option<Receipt> {
        let is_same = (receipt.size, receipt.digest) == (self.content.size, self.content.digest);
        is_same.then(|| Receipt { name: self.spec.key.clone(), duplicate: true, ..receipt.clone() })
    }

    /// The receipt for having been committed here, now.
    pub(crate) fn receipt(&self, durability: Durability) -> Receipt {
        let Content { size, digest, verdict } = self.content;
        Receipt {
            id: Some(self.spec.id.clone()),
            name: self.spec.key.clone(),
            key: self.key.clone(),
            size,
            digest,
            committed_at: rfc3339::now(),
            durability,
            verdict,
            report: None,
            duplicate: false,
        }
    }

    fn conflict(&self) -> Error {
        match self.spec.on_conflict {
            OnConflict::Version => refusal::versions_taken(&self.base),
            OnConflict::Reject | OnConflict::Overwrite => refusal::taken(&self.key),
        }
    }
}
