//! What bytes hash to.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize, Serializer};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorKind, Result};
use crate::upload::{UploadSpec, WhenCut};

/// A SHA-256 (FIPS 180-4), written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    const PREFIX: &str = "sha256:";

    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(finished(digest(&SHA256, bytes).as_ref()))
    }

    /// Its 64 hexadecimal digits alone.
    pub fn to_hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Its first bytes, to tell many apart in little room.
    pub(crate) fn start(&self) -> u64 {
        let mut start = [0; 8];
        start.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(start)
    }
}

fn finished(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().expect("a SHA-256 has 32 bytes")
}

impl FromStr for Digest {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        match text.strip_prefix(Self::PREFIX).map(|digits| hex::decode_to_slice(digits, &mut bytes)) {
            Some(Ok(())) => Ok(Self(bytes)),
            Some(Err(_)) | None => {
                let shown: String = text.chars().take(80).collect();
                Err(Error::new(ErrorKind::BadHeader, format!("digest {shown:?} is not sha256: and 64 hexadecimal digits")))
            }
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.to_hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Counts and hashes bytes as they pass, and checks at the end that they are what was announced.
///
/// One that [is lasting](Tally::lasting) can be written down in the middle, and go on from there in another process: as
/// `<bytes>:<state>`, where the state is that of the hash in hexadecimal digits.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
pub struct Tally {
    size: u64,
    hash: Hash,
}

/// A SHA-256 of what has passed.
#[derive(Clone)]
enum Hash {
    /// Its state can be written down.
    Lasting(Sha256),
    /// It can't, and is up to twice as fast on processors that have no instructions for it.
    Passing(Context),
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lasting(_) => "Lasting",
            Self::Passing(_) => "Passing",
        })
    }
}

impl Tally {
    /// Nothing has passed yet; not to be written down.
    pub fn new() -> Self {
        Self { size: 0, hash: Hash::Passing(Context::new(&SHA256)) }
    }

    /// Nothing has passed yet; can be written down.
    pub fn lasting() -> Self {
        Self { size: 0, hash: Hash::Lasting(Sha256::new()) }
    }

    /// The one that an upload needs.
    pub fn of(spec: &UploadSpec) -> Self {
        match spec.when_cut {
            WhenCut::Keep => Self::lasting(),
            WhenCut::Drop => Self::new(),
        }
    }

    /// Takes the next bytes in.
    pub fn add(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        match &mut self.hash {
            Hash::Lasting(hash) => hash.update(bytes),
            Hash::Passing(hash) => hash.update(bytes),
        }
    }

    /// Bytes so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What has passed hashes to this.
    pub fn digest(&self) -> Digest {
        match self.hash.clone() {
            Hash::Lasting(hash) => Digest(hash.finalize().into()),
            Hash::Passing(hash) => Digest(finished(hash.finish().as_ref())),
        }
    }

    /// The digest, if size and digest are what `spec` announced and what the sender claims at its end.
    ///
    /// # Errors
    /// [`ErrorKind::SizeMismatch`] or [`ErrorKind::DigestMismatch`].
    pub fn seal(&self, spec: &UploadSpec, claim: Option<Digest>) -> Result<Digest> {
        spec.check_size(self.size)?;
        let digest = self.digest();
        match [spec.digest, claim].into_iter().flatten().find(|claimed| *claimed != digest) {
            None => Ok(digest),
            Some(claimed) => {
                let message = format!("{:?} arrived as {digest}, the sender says {claimed}", spec.key.as_str());
                Err(Error::new(ErrorKind::DigestMismatch, message))
            }
        }
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match &self.hash {
            Hash::Lasting(hash) => serializer.collect_str(&format_args!("{}:{}", self.size, hex::encode(hash.serialize()))),
            Hash::Passing(_) => Err(serde::ser::Error::custom("the state of a passing hash can't be written down")),
        }
    }
}

impl TryFrom<String> for Tally {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        let read = || {
            let (size, state) = text.split_once(':')?;
            let mut bytes = SerializedState::<Sha256>::default();
            hex::decode_to_slice(state, &mut bytes).ok()?;
            Some(Self { size: size.parse().ok()?, hash: Hash::Lasting(Sha256::deserialize(&bytes).ok()?) })
        };
        read().ok_or_else(|| Error::new(ErrorKind::Store, "what was noted of a digest can't be read"))
    }
}

/// Equal where the same bytes have passed.
impl PartialEq for Tally {
    fn eq(&self, other: &Self) -> bool {
        (self.size, self.digest()) == (other.size, other.digest())
    }
}

impl Eq for Tally {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::UploadId;

    #[test]
    fn a_tally_goes_on_where_it_was_written_down() {
        let bytes: Vec<u8> = (0..200).collect();
        for cut in 0..=bytes.len() {
            let mut tally = Tally::lasting();
            tally.add(&bytes[..cut]);
            let json = serde_json::to_string(&tally).unwrap();
            let mut again: Tally = serde_json::from_str(&json).unwrap();
            assert_eq!(again, tally);
            again.add(&bytes[cut..]);
            assert_eq!((again.size(), again.digest()), (200, Digest::of(&bytes)));
        }
        assert!(serde_json::to_string(&Tally::new()).is_err(), "a passing one can't be");
        for bad in ["", "3", "3:", "3:00", "x:00"] {
            assert!(serde_json::from_value::<Tally>(bad.into()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_digest_reads_what_it_writes_and_nothing_else() {
        // FIPS 180-2, appendix B.1
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").to_string(), abc);
        assert_eq!(abc.parse::<Digest>().unwrap(), Digest::of(b"abc"));
        for bad in ["", "sha256:", "md5:00", &abc[..70], &abc.replace('b', "g"), &format!("{abc}00"), &abc[7..]] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_seal_holds_only_for_what_was_announced() {
        let mut tally = Tally::new();
        tally.add(b"a");
        tally.add(b"bc");
        let mut spec = UploadSpec::new(UploadId::generate(), "a.bin".parse().unwrap());
        assert_eq!(tally.seal(&spec, None).unwrap(), Digest::of(b"abc"));
        assert_eq!(tally.seal(&spec, Some(Digest::of(b"abd"))).unwrap_err().kind(), ErrorKind::DigestMismatch);
        spec.digest = Some(Digest::of(b"xyz"));
        assert_eq!(tally.seal(&spec, Some(Digest::of(b"abc"))).unwrap_err().kind(), ErrorKind::DigestMismatch);
        spec.size = Some(2);
        assert_eq!(tally.seal(&spec, None).unwrap_err().kind(), ErrorKind::SizeMismatch);
    }
}
