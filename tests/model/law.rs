//! The law: a receipt was given ⇒ the bytes are there, under its key, once, until another receipt replaces them by `overwrite`;
//! no receipt ⇒ nothing is visible, and what can be resumed is a beginning of what was sent.
//!
//! A model that is simple because it keeps everything in maps, and is told what happens one by one.

use std::collections::BTreeMap;

use bytes::Bytes;
use tidegate::error::ErrorKind;
use tidegate::report::Format;
use tidegate::upload::{Digest, Key, OnConflict, Receipt, UploadId, UploadSpec};
use tidegate::validate::{Limits, for_format};

use super::plan::Kind;

#[derive(Debug)]
pub(crate) struct Law {
    kind: Kind,
    /// What every reader sees.
    pub(crate) standing: BTreeMap<Key, File>,
    /// What may be resumed.
    pub(crate) left: BTreeMap<UploadId, Left>,
}

#[derive(Debug)]
pub(crate) struct File {
    pub(crate) receipt: Receipt,
    pub(crate) bytes: Vec<u8>,
}

/// What an upload has left that was cut off.
#[derive(Debug, Clone)]
pub(crate) struct Left {
    pub(crate) spec: UploadSpec,
    /// What its sender goes on with.
    pub(crate) content: Bytes,
    pub(crate) sent: Vec<u8>,
    pub(crate) promise: Promise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    /// It can be resumed behind the last byte.
    Kept,
    /// It may be resumed somewhere.
    None,
}

/// What a commit must come to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lands(Key),
    LiesThere(Key),
    Fails(ErrorKind),
}

impl Law {
    pub(crate) fn new(kind: Kind) -> Self {
        Self { kind, standing: BTreeMap::new(), left: BTreeMap::new() }
    }

    pub(crate) fn fate(&self, spec: &UploadSpec, claim: Option<Digest>, sent: &[u8]) -> Fate {
        if !self.is_sound(sent) {
            return Fate::Fails(ErrorKind::Invalid);
        }
        if spec.size.is_some_and(|size| size != sent.len() as u64) {
            return Fate::Fails(ErrorKind::SizeMismatch);
        }
        let digest = Digest::of(sent);
        if [spec.digest, claim].into_iter().flatten().any(|said| said != digest) {
            return Fate::Fails(ErrorKind::DigestMismatch);
        }
        let mut key = spec.key.clone();
        for number in 2.. {
            match (self.standing.get(&key), spec.on_conflict) {
                (Some(file), _) if file.bytes == sent => return Fate::LiesThere(key),
                (Some(_), OnConflict::Reject) => return Fate::Fails(ErrorKind::Conflict),
                (None, _) | (Some(_), OnConflict::Overwrite) => break,
                (Some(_), OnConflict::Version) => key = spec.key.version(number).unwrap(),
            }
        }
        Fate::Lands(key)
    }

    /// Whether bytes are a whole file that may be committed.
    pub(crate) fn is_sound(&self, bytes: &[u8]) -> bool {
        let mut validator = for_format(Format::Csv, &Limits::default()).unwrap();
        self.kind == Kind::Bytes || validator.feed(bytes).and_then(|()| validator.finish()).is_ok()
    }

    /// Whether bytes can be the beginning of one.
    pub(crate) fn may_become_sound(&self, bytes: &[u8]) -> bool {
        let mut validator = for_format(Format::Csv, &Limits::default()).unwrap();
        self.kind == Kind::Bytes || validator.feed(bytes).is_ok()
    }
}
