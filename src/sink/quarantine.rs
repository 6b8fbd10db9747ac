//! What is kept of files that are not valid, as plain data: which one, and why.
//!
//! Knows no store. Each sink lays bytes and description down where it likes, below what it keeps for itself.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::place::Content;
use crate::error::{Error, ErrorKind, Result};
use crate::report::Report;
use crate::upload::{ContentType, Digest, Key, Meta, UploadId, UploadSpec, rfc3339};

/// The bytes of a file in quarantine, as they came, piece by piece.
pub type Held = BoxStream<'static, Result<Bytes>>;

/// Names a file in quarantine: 24 hexadecimal digits, made of its name and its content. So the same file, sent again, is kept
/// once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuarantineId(String);

impl QuarantineId {
    const DIGITS: usize = 24;

    /// That of these bytes under this name.
    pub fn of(name: &Key, digest: &Digest) -> Self {
        // No name holds a line break.
        let both = Digest::of(format!("{name}\n{digest}").as_bytes()).to_string();
        let digits = both.rsplit_once(':').map_or(both.as_str(), |(_, digits)| digits);
        Self(digits.chars().take(Self::DIGITS).collect())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for QuarantineId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let hexadecimal = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == Self::DIGITS && text.bytes().all(hexadecimal) {
            return Ok(Self(text));
        }
        let shown: String = text.chars().take(40).collect();
        let message = format!("{shown:?} is not the id of a file in quarantine: {} of 0-9 a-f", Self::DIGITS);
        Err(Error::new(ErrorKind::BadHeader, message))
    }
}

impl FromStr for QuarantineId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.to_owned().try_into()
    }
}

impl From<QuarantineId> for String {
    fn from(id: QuarantineId) -> Self {
        id.0
    }
}

impl fmt::Display for QuarantineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A file in quarantine. This is what lies, as JSON, beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// What it is called here.
    pub id: QuarantineId,
    /// The name that the sender asked for.
    pub name: Key,
    /// Bytes.
    pub size: u64,
    /// What they hash to.
    pub digest: Digest,
    /// When it came here, by the server's clock.
    #[serde(with = "rfc3339")]
    pub quarantined_at: SystemTime,
    /// The upload that brought it first.
    pub upload: UploadId,
    /// What its sender calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<String>,
    /// The media type that the sender gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<ContentType>,
    /// What the sender wanted kept beside the bytes.
    #[serde(default, skip_serializing_if = "Meta::is_empty")]
    pub meta: Meta,
    /// Why it is here.
    pub report: Report,
}

impl Quarantined {
    /// What was announced as `spec`, and came as `content`, now.
    pub(crate) fn new(spec: &UploadSpec, content: &Content, report: Report) -> Self {
        let id = QuarantineId::of(&spec.key, &content.digest);
        Self {
            name: spec.key.clone(),
            size: content.size,
            digest: content.digest,
            quarantined_at: rfc3339::now(),
            upload: spec.id.clone(),
            collector: spec.collector.clone(),
            content_type: spec.content_type.clone(),
            meta: spec.meta.clone(),
            report: Report { quarantined: Some(id.to_string()), ..report },
            id,
        }
    }

    /// As it is written down.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("it is plain data with text for keys")
    }

    /// Reads what was written down; `None` for what is torn, or nothing of ours.
    pub(crate) fn decode(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }
}

/// The oldest first.
pub(crate) fn in_order(mut files: Vec<Quarantined>) -> Vec<Quarantined> {
    files.sort_by(|one, other| (one.quarantined_at, &one.id).cmp(&(other.quarantined_at, &other.id)));
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_of_name_and_content() {
        let (a, b): (Key, Key) = ("a.csv".parse().unwrap(), "b.csv".parse().unwrap());
        let id = QuarantineId::of(&a, &Digest::of(b"x"));
        assert_eq!(id, QuarantineId::of(&a, &Digest::of(b"x")));
        assert_ne!(id, QuarantineId::of(&b, &Digest::of(b"x")));
        assert_ne!(id, QuarantineId::of(&a, &Digest::of(b"y")));
        assert_eq!(id.as_str().parse::<QuarantineId>().unwrap(), id);
        for bad in ["", "..", "abc", &"A".repeat(24), &"a".repeat(25), "a/3456789012345678901234"] {
            assert_eq!(bad.parse::<QuarantineId>().unwrap_err().kind(), ErrorKind::BadHeader, "{bad:?}");
        }
    }
}
