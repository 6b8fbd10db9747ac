//! What an object carries besides its bytes, written and read.

use std::fmt;
use std::time::SystemTime;

use object_store::{Attribute, Attributes};
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::report::Verdict;
use crate::upload::{Digest, Key, Receipt, UploadId, UploadSpec};

const UPLOAD_ID: &str = "tidegate-upload-id";
const ATTEMPT: &str = "tidegate-attempt";
const DIGEST: &str = "tidegate-digest";
const COMMITTED_AT: &str = "tidegate-committed-at";
const VERDICT: &str = "tidegate-verdict";
const VERSION: &str = "tidegate-version";

/// One try of one upload. An object that carries it was written by that try and no other: so a commit whose answer was lost
/// knows its own work again.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Attempt(String);

impl Attempt {
    /// A new one.
    pub(super) fn new() -> Self {
        Self(clock::new_uuid().simple().to_string())
    }
}

impl TryFrom<String> for Attempt {
    type Error = Error;

    /// It is part of objects' names, so that no other than such as are made here can be read.
    fn try_from(text: String) -> Result<Self> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Error::new(ErrorKind::Store, "what was noted as an attempt is none"));
        }
        Ok(Self(text))
    }
}

impl From<Attempt> for String {
    fn from(attempt: Attempt) -> Self {
        attempt.0
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What tidegate noted on an object.
#[derive(Debug)]
pub(super) struct Marks {
    pub(super) id: UploadId,
    pub(super) attempt: Option<Attempt>,
    pub(super) digest: Option<Digest>,
    pub(super) committed_at: Option<SystemTime>,
    pub(super) verdict: Option<Verdict>,
    /// The name that the sender asked for.
    pub(super) name: Key,
}

impl Marks {
    /// What stands in these attributes of the object under `key`; `None` where it is not one of tidegate's.
    pub(super) fn read(attributes: &Attributes, key: &Key) -> Option<Self> {
        let text = |name: &'static str| attributes.get(&Attribute::Metadata(name.into())).map(AsRef::as_ref);
        let version = text(VERSION).and_then(|number| number.parse().ok());
        Some(Self {
            id: text(UPLOAD_ID)?.parse().ok()?,
            attempt: text(ATTEMPT).and_then(|attempt| attempt.to_owned().try_into().ok()),
            digest: text(DIGEST).and_then(|digest| digest.parse().ok()),
            committed_at: text(COMMITTED_AT).and_then(|time| humantime::parse_rfc3339(time).ok()),
            verdict: text(VERDICT).and_then(verdict),
            name: version.and_then(|number| original(key, number)).unwrap_or_else(|| key.clone()),
        })
    }
}

/// The attributes of an object that is stored by one request: all is known.
pub(super) fn of_receipt(spec: &UploadSpec, attempt: &Attempt, receipt: &Receipt) -> Attributes {
    let mut attributes = of_spec(spec, attempt, &receipt.key);
    set(&mut attributes, DIGEST, receipt.digest.to_string());
    set(&mut attributes, COMMITTED_AT, clock::rfc3339(receipt.committed_at).to_string());
    if let Some(Verdict { format, records, errors }) = receipt.verdict {
        let errors = if errors == 0 { String::new() } else { format!(" {errors}") };
        set(&mut attributes, VERDICT, format!("{format} {records}{errors}"));
    }
    attributes
}

/// The attributes of an object of which nothing has been stored yet.
pub(super) fn of_spec(spec: &UploadSpec, attempt: &Attempt, key: &Key) -> Attributes {
    let mut attributes = Attributes::new();
    let content_type =
        spec.content_type.as_ref().map_or_else(|| media_type(key).to_owned(), |given| given.as_str().to_owned());
    attributes.insert(Attribute::ContentType, content_type.into());
    for (name, value) in spec.meta.iter() {
        set(&mut attributes, name, value.to_owned());
    }
    set(&mut attributes, UPLOAD_ID, spec.id.to_string());
    set(&mut attributes, ATTEMPT, attempt.to_string());
    if let Some(digest) = spec.digest {
        set(&mut attributes, DIGEST, digest.to_string());
    }
    if let Some(number) = version_of(key, &spec.key) {
        set(&mut attributes, VERSION, number.to_string());
    }
    attributes
}

/// `csv 1000`, or `csv 1000 3`: the format, how many records it held, and how many flaws, if any.
fn verdict(text: &str) -> Option<Verdict> {
    let mut words = text.split(' ');
    let (format, records) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let errors = words.next().map_or(Ok(0), str::parse).ok()?;
    Some(Verdict { format, records, errors })
}

fn set(attributes: &mut Attributes, name: &str, value: String) {
    attributes.insert(Attribute::Metadata(name.to_owned().into()), value.into());
}

fn media_type(key: &Key) -> &'static str {
    let extension = key.file_name().rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref() {
        Some("csv") => "text/csv",
        Some("tsv") => "text/tab-separated-values",
        Some("json") => "application/json",
        Some("ndjson" | "jsonl") => "application/x-ndjson",
        Some("txt") => "text/plain",
        Some(_) | None => "application/octet-stream",
    }
}

/// The number of the version of `name` that `key` is; `None` for the name itself, and where the
/// name can't be told from both, because it was cut.
fn version_of(key: &Key, name: &Key) -> Option<u32> {
    let (_, number) = key.around_extension().0.rsplit_once('~')?;
    let number = number.parse().ok()?;
    (original(key, number)? == *name && name.version(number).ok()? == *key).then_some(number)
}

/// The name of which `key` is version `number`.
fn original(key: &Key, number: u32) -> Option<Key> {
    let (stem, extension) = key.around_extension();
    format!("{}{extension}", stem.strip_suffix(&format!("~{number}"))?).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Format;
    use crate::sink::place::{Content, Place};
    use crate::upload::Durability;

    #[test]
    fn a_version_leads_back_to_its_name() {
        for name in ["a.csv", "a/b.tar.gz", "a.b/c", "a~7.csv", "é~.json"] {
            let name: Key = name.parse().unwrap();
            for number in [2, 3, 9_999] {
                let key = name.version(number).unwrap();
                assert_eq!(version_of(&key, &name), Some(number), "{key}");
                assert_eq!(original(&key, number).unwrap(), name, "{key}");
            }
            assert_eq!(version_of(&name, &name), None, "{name}");
        }
        let long: Key = format!("{}.csv", "x".repeat(251)).parse().unwrap();
        assert_eq!(version_of(&long.version(2).unwrap(), &long), None, "a name that was cut can't be told");
    }

    #[test]
    fn what_is_noted_on_an_object_fits_beside_the_senders_notes() {
        let mut spec = UploadSpec::new("x".repeat(128).parse().unwrap(), "a~9999.csv".parse().unwrap());
        spec.digest = Some(Digest::of(b"abc"));
        let verdict = Some(Verdict { format: Format::Ndjson, records: u64::MAX, errors: 7 });
        let place = Place::new(&spec, Content { size: 3, digest: Digest::of(b"abc"), verdict });
        let mut receipt = place.receipt(Durability::ObjectStore);
        receipt.key = spec.key.version(9_999).unwrap();
        let attributes = of_receipt(&spec, &Attempt::new(), &receipt);
        let bytes: usize = attributes
            .iter()
            .filter_map(|(name, value)| match name {
                Attribute::Metadata(name) => Some(name.len() + value.len()),
                _ => None,
            })
            .sum();
        assert!(bytes <= 512, "{bytes} bytes: S3 keeps 2 KiB, of which the sender may use 1,536");
        let marks = Marks::read(&attributes, &receipt.key).unwrap();
        assert_eq!((marks.id, marks.digest), (spec.id.clone(), spec.digest));
        assert_eq!((marks.committed_at, marks.name), (Some(receipt.committed_at), spec.key.clone()));
        assert_eq!(marks.verdict, verdict);
    }

    #[test]
    fn the_media_type_follows_from_the_extension() {
        for (name, expected) in
            [("a.csv", "text/csv"), ("A.JSONL", "application/x-ndjson"), ("csv", "application/octet-stream")]
        {
            assert_eq!(media_type(&name.parse().unwrap()), expected);
        }
    }
}
