//! An upload as plain data: where it goes, who it is, what it holds, and the receipt for it.
//!
//! Every type here is parsed once, at the edge, and cannot hold a bad value afterwards. Nothing here does I/O.

mod digest;
mod key;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

pub use self::digest::{Digest, Tally};
pub use self::key::Key;
pub(crate) use self::key::unversioned;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::report::{Report, Verdict};

/// What a sink has to know before the first byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadSpec {
    /// Who this upload is: a retry carries the same id.
    pub id: UploadId,
    /// Where the bytes shall lie.
    pub key: Key,
    /// How many bytes will come, if the sender says so; a commit with more or fewer fails.
    pub size: Option<u64>,
    /// What they will hash to, if the sender says so; a commit with another digest fails.
    pub digest: Option<Digest>,
    /// The media type, for stores that keep one.
    pub content_type: Option<ContentType>,
    /// What the sender wants kept beside the bytes.
    pub meta: Meta,
    /// What to do where the key is taken by other content.
    pub on_conflict: OnConflict,
    /// What becomes of the bytes that have come where their sender is cut off.
    pub when_cut: WhenCut,
    /// What the sender calls itself, where it says so: kept with a file in quarantine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<String>,
    /// The id that this upload shares with its rivals, where a stream can be read in several ways, each an
    /// upload of its own: at most one of them is committed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contest: Option<UploadId>,
    /// What to do with the file where it is not valid: a store that must know beforehand where the bytes may lie looks here.
    #[serde(default)]
    pub on_invalid: OnInvalid,
}

/// What becomes of an upload whose sender, or server, is gone before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenCut {
    /// It is given up: nobody could ask for it again, for its id was made here, for it alone.
    Drop,
    /// It is kept for a while: its id is the sender's own, who may come back and go on.
    Keep,
}

impl UploadSpec {
    /// An upload of unknown size and digest, that is refused where the key is taken by other content.
    pub fn new(id: UploadId, key: Key) -> Self {
        Self {
            id,
            key,
            size: None,
            digest: None,
            content_type: None,
            meta: Meta::default(),
            on_conflict: OnConflict::Reject,
            when_cut: WhenCut::Drop,
            collector: None,
            contest: None,
            on_invalid: OnInvalid::Reject,
        }
    }

    /// Whether `self`, which has the id of `begun`, announces the same upload, as far as both say. `kept` is the number of bytes
    /// that are kept of it, which are then the beginning of its own.
    ///
    /// The one place that tells uploads of one id apart: whose they are belongs here too, once senders have an identity.
    pub fn continues(&self, begun: &Self, kept: u64) -> bool {
        fn agree<T: PartialEq>(ours: Option<T>, theirs: Option<T>) -> bool {
            ours.zip(theirs).is_none_or(|(ours, theirs)| ours == theirs)
        }
        let is_same = (&self.id, &self.key) == (&begun.id, &begun.key);
        let fits = self.size.is_none_or(|size| kept <= size);
        is_same && fits && agree(self.size, begun.size) && agree(self.digest, begun.digest)
    }

    /// Holds an upload against another one that has its id: see [`UploadSpec::continues`].
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where it is of something else. Neither name is told: it may be another sender's.
    pub fn check_continues(&self, begun: &Self, kept: u64) -> Result<()> {
        if self.continues(begun, kept) { Ok(()) } else { Err(self.id_taken()) }
    }

    /// The answer to a sender that uses the id of another upload.
    pub fn id_taken(&self) -> Error {
        let message = format!(
            "upload id {} belongs to another upload, with another name, size or digest: use an id of its own for each file",
            self.id
        );
        Error::new(ErrorKind::Conflict, message)
    }

    /// The same upload, held to what was announced of it when it was `begun`.
    #[must_use]
    pub fn held_to(self, begun: Self) -> Self {
        Self {
            size: self.size.or(begun.size),
            digest: self.digest.or(begun.digest),
            content_type: self.content_type.or(begun.content_type),
            meta: if self.meta.is_empty() { begun.meta } else { self.meta },
            collector: self.collector.or(begun.collector),
            ..self
        }
    }

    /// Holds the number of bytes that came against the one that was announced.
    ///
    /// # Errors
    /// [`ErrorKind::SizeMismatch`].
    pub fn check_size(&self, bytes: u64) -> Result<()> {
        match self.size {
            Some(size) if size != bytes => {
                let message = format!("{:?} has {bytes} bytes, {size} were announced", self.key.as_str());
                Err(Error::new(ErrorKind::SizeMismatch, message))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// The name of an upload, chosen by the sender or made by the server: 1 to 128 of `A-Z a-z 0-9 . _ -`, not beginning with
/// a dot or a hyphen, so that it can serve as a file's name and as a header's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct UploadId(String);

impl UploadId {
    const MAX_BYTES: usize = 128;

    /// A new id that sorts by its time of birth (UUID version 7, RFC 9562 section 5.7).
    pub fn generate() -> Self {
        Self(clock::new_uuid().to_string())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for UploadId {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let fits = (1..=Self::MAX_BYTES).contains(&text.len());
        if fits && text.bytes().all(allowed) && !text.starts_with(['.', '-']) {
            return Ok(Self(text));
        }
        let shown: String = text.chars().take(40).collect();
        let message = format!(
            "upload id {shown:?} is not 1 to {} characters of A-Z a-z 0-9 . _ - beginning with none of . -",
            Self::MAX_BYTES
        );
        Err(Error::new(ErrorKind::BadHeader, message))
    }
}

impl FromStr for UploadId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        text.to_owned().try_into()
    }
}

impl From<UploadId> for String {
    fn from(id: UploadId) -> Self {
        id.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A media type that can stand in a header: 3 to 128 visible ASCII characters and spaces, with a `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentType(String);

impl ContentType {
    /// The media type as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContentType {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let visible = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        if visible && text.contains('/') && (3..=128).contains(&text.len()) && text.trim() == text {
            return Ok(Self(text));
        }
        let shown: String = text.chars().take(40).collect();
        Err(Error::new(ErrorKind::BadHeader, format!("{shown:?} is not a media type such as text/csv")))
    }
}

impl From<ContentType> for String {
    fn from(value: ContentType) -> Self {
        value.0
    }
}

/// What the sender wants kept beside the bytes: names of `a-z 0-9 -`, values of visible ASCII and spaces, 1,536 bytes in
/// all. S3 keeps 2 KiB of user metadata an object; the rest of it is ours.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct Meta(BTreeMap<String, String>);

impl Meta {
    const MAX_BYTES: usize = 1536;
    /// Names that begin so are the server's own.
    pub const RESERVED_PREFIX: &str = "tidegate-";

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl TryFrom<BTreeMap<String, String>> for Meta {
    type Error = Error;

    fn try_from(map: BTreeMap<String, String>) -> Result<Self> {
        let bad = |what: String| Err(Error::new(ErrorKind::BadHeader, what));
        let bytes: usize = map.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > Self::MAX_BYTES {
            return bad(format!("meta holds {bytes} bytes, {} at most", Self::MAX_BYTES));
        }
        for (name, value) in &map {
            let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(named) {
                return bad(format!("meta name {name:?} is not of a-z 0-9 -"));
            }
            if name.starts_with(Self::RESERVED_PREFIX) {
                return bad(format!("meta name {name:?} begins with {:?}, which the server keeps", Self::RESERVED_PREFIX));
            }
            if !value.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) || value.trim() != value {
                return bad(format!("meta value of {name:?} is not visible ASCII without outer spaces"));
            }
        }
        Ok(Self(map))
    }
}

impl From<Meta> for BTreeMap<String, String> {
    fn from(meta: Meta) -> Self {
        meta.0
    }
}

/// What to do where the key is taken by other content. The same content is never a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnConflict {
    /// Refuse the upload.
    Reject,
    /// Keep the new file beside the old one, as `name~2.csv`.
    Version,
    /// Put the new file in the old one's place, atomically.
    Overwrite,
}

/// What to do with a file that is not valid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnInvalid {
    /// Refuse it, and keep nothing of it.
    #[default]
    Reject,
    /// Refuse it, and keep its bytes and the report where nobody takes them for valid.
    Quarantine,
    /// Commit it; the receipt carries the report.
    Warn,
}

/// What is known once the last byte of an upload has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ending {
    /// What the sender says that the whole hashes to, where it says so at its end; a commit with another digest fails.
    pub claim: Option<Digest>,
    /// What the validator found; kept with the receipt.
    pub verdict: Option<Verdict>,
}

/// What whoever stands in front of a sink must know to go on where an upload was cut: kept beside the bytes, and given back
/// with them. Nothing, where nobody does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Note(pub Option<serde_json::Value>);

/// What a receipt promises that the bytes survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// Nothing: the bytes are in the server's memory.
    Memory,
    /// `kill -9`, but not power loss: the bytes are in the operating system's cache.
    Cache,
    /// `kill -9` and power loss: file, name and folders were flushed to the disk.
    Disk,
    /// What the object store promises for an acknowledged write.
    ObjectStore,
}

/// The proof that an upload was committed: whole, visible under its key, and durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The upload that put the bytes there; absent where they came by another way than tidegate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<UploadId>,
    /// The name that the sender asked for.
    pub name: Key,
    /// Where the bytes lie: the name, or a version beside it.
    pub key: Key,
    /// Bytes.
    pub size: u64,
    /// What they hash to.
    pub digest: Digest,
    /// When the commit was done, by the server's clock.
    #[serde(with = "rfc3339")]
    pub committed_at: SystemTime,
    /// What the receipt promises.
    pub durability: Durability,
    /// What the validator found; absent where the content was not parsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The flaws of a file that was committed although it is not valid. Only in the answer to the upload that brought the bytes:
    /// no store keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<Report>>,
    /// Whether the same content lay there already, so that nothing was written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
}

/// RFC 3339 section 5.6, UTC, in milliseconds.
pub(crate) mod rfc3339 {
    use std::time::SystemTime;

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::clock;
    pub(crate) use crate::clock::now;

    pub(crate) fn serialize<S: Serializer>(time: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&clock::rfc3339(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_rfc3339(&text).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_id_can_stand_in_a_path_and_a_header() {
        for good in ["a", "01890a5d-ac96-774b-bcce-b302099a8057", "till_7.2026", &"x".repeat(128)] {
            assert_eq!(good.parse::<UploadId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", ".a", "-a", "a/b", "a b", "a\n", "ä", &"x".repeat(129)] {
            assert_eq!(bad.parse::<UploadId>().unwrap_err().kind(), ErrorKind::BadHeader, "{bad:?}");
        }
    }

    #[test]
    fn meta_is_bounded_and_keeps_off_our_names() {
        let meta = |name: &str, value: &str| Meta::try_from(BTreeMap::from([(name.to_owned(), value.to_owned())]));
        assert!(meta("site", "north 4").is_ok());
        for (name, value) in [("", "x"), ("Site", "x"), ("tidegate-x", "x"), ("a", "é"), ("a", " x"), ("a", "x\r\ny: z")] {
            assert!(meta(name, value).is_err(), "{name:?} {value:?}");
        }
        assert!(meta("a", &"x".repeat(1535)).is_ok());
        assert!(meta("a", &"x".repeat(1536)).is_err());
    }

    #[test]
    fn a_receipt_survives_the_wire() {
        let receipt = Receipt {
            id: Some("u1".parse().unwrap()),
            name: "a.csv".parse().unwrap(),
            key: "a~2.csv".parse().unwrap(),
            size: 3,
            digest: Digest::of(b"abc"),
            committed_at: SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1_500),
            durability: Durability::Disk,
            verdict: None,
            report: None,
            duplicate: false,
        };
        let json = serde_json::to_string(&receipt).unwrap();
        assert!(json.contains(r#""committed_at":"1970-01-01T00:00:01.500Z""#), "{json}");
        assert!(json.contains(r#""durability":"disk""#), "{json}");
        assert_eq!(serde_json::from_str::<Receipt>(&json).unwrap(), receipt);
    }
}
