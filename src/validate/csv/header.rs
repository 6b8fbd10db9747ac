//! The names in a header: each once, and none blank.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use serde::{Deserialize, Serialize};

use crate::report::Code;
use crate::validate::position::Place;
use crate::validate::told::Flaw;

/// The names that have been read, and what earlier chunks held of the next one.
///
/// Lives until the header has ended. The names lie in one buffer, no larger than the header; what finds a repeated one are
/// their hashes, so that many short names cost little more than few long ones.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// The names, unquoted, each with a NUL behind it, which no name holds.
    names: Vec<u8>,
    hashes: HashSet<u64>,
    hasher: RandomState,
    count: u64,
    /// The field that is being read, as it stands in the file.
    raw: Vec<u8>,
}

/// What was read of a header, written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct SavedHeader {
    names: Vec<String>,
    raw: String,
}

impl Header {
    /// What has been read.
    pub(super) fn save(&self) -> SavedHeader {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let names = self.names.split_inclusive(|&byte| byte == 0).map(|name| text(&name[..name.len() - 1])).collect();
        SavedHeader { names, raw: text(&self.raw) }
    }

    /// Goes on with what was read; `None` where those names can't stand in one header.
    pub(super) fn resume(SavedHeader { names, raw }: SavedHeader) -> Option<Self> {
        let mut header = Self::default();
        for name in names {
            let quoted = format!("\"{}\"", name.replace('"', "\"\""));
            if name.contains('\0') || header.end_field(quoted.as_bytes(), || Place::START).is_err() {
                return None;
            }
        }
        header.keep(raw.as_bytes());
        Some(header)
    }

    /// Names that have been read.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Bytes that are kept of it: no more than have been read, with what stands between the names.
    pub(super) fn bytes(&self) -> u64 {
        (self.names.len() + self.raw.len()) as u64
    }

    /// Keeps what a chunk holds of a field that goes on in the next chunk.
    pub(super) fn keep(&mut self, piece: &[u8]) {
        self.raw.extend_from_slice(piece);
    }

    /// A field has ended, and `rest` is what the last chunk holds of it; `place` is where it begins.
    pub(super) fn end_field(&mut self, rest: &[u8], place: impl Fn() -> Place) -> Result<(), Flaw> {
        self.raw.extend_from_slice(rest);
        let raw = String::from_utf8_lossy(&self.raw);
        let name = unquoted(&raw);
        self.count += 1;
        let number = self.count;
        if name.trim().is_empty() {
            return Err(Flaw::new(Code::BlankHeader, place(), format!("field {number} of the header has no name")));
        }
        if !self.hashes.insert(self.hasher.hash_one(name.as_bytes()))
            && let Some(first) = self.names.split(|&byte| byte == 0).position(|other| other == name.as_bytes())
        {
            let message = format!("field {number} of the header repeats the name of field {}", first + 1);
            return Err(Flaw::new(Code::DuplicateLabel, place(), message));
        }
        self.names.extend_from_slice(name.as_bytes());
        self.names.push(0);
        self.raw.clear();
        Ok(())
    }
}

/// What a field says (RFC 4180 section 2, rules 5 to 7). Its structure has been proved: a CR at its end belongs to the line
/// end, a quote at its beginning is matched by one at its end, and those inside of it stand in pairs.
fn unquoted(raw: &str) -> Cow<'_, str> {
    let field = raw.strip_suffix('\r').unwrap_or(raw);
    match field.strip_prefix('"').and_then(|field| field.strip_suffix('"')) {
        Some(quoted) if quoted.contains('"') => Cow::Owned(quoted.replace("\"\"", "\"")),
        Some(quoted) => Cow::Borrowed(quoted),
        None => Cow::Borrowed(field),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_unquoted_as_the_csv_crate_does() {
        for raw in
            ["a", " a ", "a\r", "\"a\"", "\"a\"\r", "\"\"", "\"\"\"\"", "\"a\"\"b\"\"\"", "\"a,\r\n\u{e4}\"", "\"a\r\""]
        {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(raw.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            assert_eq!(unquoted(raw), record[0], "{raw:?}");
        }
    }

    #[test]
    fn equal_hashes_alone_are_no_repetition() {
        let mut header = Header::default();
        // As if "b" had the hash of a name before it.
        header.hashes.insert(header.hasher.hash_one(&b"b"[..]));
        header.end_field(b"a", || Place::START).unwrap();
        header.end_field(b"b", || Place::START).unwrap();
        assert_eq!(header.end_field(b"\"b\"", || Place::START).unwrap_err().code, Code::DuplicateLabel);
    }
}
