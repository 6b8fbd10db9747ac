//! The framed protocol: one JSON object a line for control, raw bytes for data.
//!
//! Unknown keys are ignored, so that the protocol can grow; unknown `op`s are refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Fault, Result};
use crate::report::Report;
use crate::upload::{Digest, OnConflict, Receipt, UploadId, UploadSpec, WhenCut};

/// The version of the protocol that is spoken here.
pub const VERSION: u32 = 1;

/// The longest control line, in bytes, its newline included.
pub const MAX_LINE_BYTES: usize = 64 * 1024;

/// What a sender asks for, between the bodies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum Request {
    /// Who speaks which version; optional.
    Hello(Hello),
    /// A file follows.
    Put(Put),
}

/// A sender's greeting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version that the sender speaks.
    #[serde(default = "version")]
    pub version: u32,
    /// What the sender calls itself, for the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub collector: Option<String>,
}

const fn version() -> u32 {
    VERSION
}

/// Announces a file: its body follows, as `size` raw bytes, or as chunks where `size` is left out.
///
/// Of the right JSON types, but not yet checked: [`Put::spec`] does, so that a put with a bad name can be refused by itself
/// and its body skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Put {
    /// Who this upload is; made by the server where it is left out. Only an upload with an id of the sender's own can be resumed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Where the bytes shall lie.
    pub name: String,
    /// How many bytes follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What they hash to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The media type.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// What shall be kept beside the bytes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// Whether the sender waits for [`Event::Ready`], or the receipt of an earlier try, before it sends the body.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resume: bool,
}

impl Put {
    /// What the put asks for, checked.
    ///
    /// # Errors
    /// [`ErrorKind::BadName`], or [`ErrorKind::BadHeader`] for the other keys.
    pub fn spec(&self, on_conflict: OnConflict) -> Result<UploadSpec> {
        let (id, when_cut) = match &self.id {
            Some(id) => (id.parse()?, WhenCut::Keep),
            None => (UploadId::generate(), WhenCut::Drop),
        };
        Ok(UploadSpec {
            size: self.size,
            digest: self.digest.as_deref().map(str::parse).transpose()?,
            content_type: self.content_type.clone().map(TryInto::try_into).transpose()?,
            meta: self.meta.clone().try_into()?,
            on_conflict,
            when_cut,
            ..UploadSpec::new(id, self.name.parse()?)
        })
    }
}

/// What stands between the chunks of a body without a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// So many bytes follow.
    Bytes(u64),
    /// The body is complete, and this is what the sender says that it hashes to.
    End(Option<Digest>),
    /// The sender gives the upload up.
    Abort,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct ChunkLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chunk: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    end: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    abort: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<Digest>,
}

/// What the server answers. Answers to puts come in the order of the puts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// Answers a hello.
    Hello {
        /// The version that the server speaks.
        version: u32,
        /// What the server bounds.
        limits: Limits,
    },
    /// The body may come, from this offset on.
    Ready {
        /// The upload.
        id: String,
        /// Bytes that the server already has.
        offset: u64,
    },
    /// The file is durable.
    Committed {
        /// The upload.
        id: String,
        /// The proof.
        receipt: Receipt,
    },
    /// The file is at fault: sending it again unchanged fails again.
    Rejected {
        /// The upload.
        id: String,
        /// A stable name for what is wrong.
        code: String,
        /// The same in words.
        message: String,
        /// What the validator found, where it was a validator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        report: Option<Report>,
    },
    /// The connection, the server or the store is at fault.
    Failed {
        /// The upload.
        id: String,
        /// A stable name for what went wrong.
        code: String,
        /// The same in words.
        message: String,
        /// Whether sending it again may succeed.
        retry: bool,
    },
    /// The connection can't go on: what was said can't be understood. The server closes it.
    Error {
        /// A stable name for what went wrong.
        code: String,
        /// The same in words.
        message: String,
    },
}

/// What a server bounds, as its hello tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The largest file, in bytes.
    pub max_file_bytes: u64,
    /// The longest control line, in bytes.
    pub max_line_bytes: u64,
    /// How long the server waits for the next byte, in milliseconds.
    pub idle_timeout_ms: u64,
}

impl Event {
    /// The last word on a connection that can't go on because of `error`.
    pub fn from_connection(error: &Error) -> Self {
        Self::Error { code: error.kind().code().to_owned(), message: error.public_message() }
    }

    /// The answer to an upload that ended in `error`.
    pub fn from_error(id: String, error: &Error) -> Self {
        let (code, message) = (error.kind().code().to_owned(), error.public_message());
        match error.kind().fault() {
            Fault::Upload => Self::Rejected { id, code, message, report: error.find::<Report>().cloned() },
            Fault::Passing => Self::Failed { id, code, message, retry: true },
        }
    }

    /// The same, without what was found wrong in the file one by one.
    #[must_use]
    pub fn without_report(self) -> Self {
        match self {
            Self::Rejected { id, code, message, report: Some(_) } => {
                let message = format!("{message}; the report is left out, because the server's memory is in use");
                Self::Rejected { id, code, message, report: None }
            }
            Self::Committed { id, receipt } => Self::Committed { id, receipt: Receipt { report: None, ..receipt } },
            other => other,
        }
    }
}

/// Decodes a request.
///
/// # Errors
/// [`ErrorKind::BadHeader`].
pub fn decode_request(line: &[u8]) -> Result<Request> {
    decode(line, "control line")
}

/// Decodes what stands between chunks.
///
/// # Errors
/// [`ErrorKind::BadHeader`].
pub fn decode_chunk(line: &[u8]) -> Result<Chunk> {
    let parsed: ChunkLine = decode(line, "chunk line")?;
    match parsed {
        ChunkLine { chunk: Some(bytes), end: false, abort: false, digest: _ } => Ok(Chunk::Bytes(bytes)),
        ChunkLine { chunk: None, end: true, abort: false, digest } => Ok(Chunk::End(digest)),
        ChunkLine { chunk: None, end: false, abort: true, digest: _ } => Ok(Chunk::Abort),
        ChunkLine { .. } => {
            let expected = r#"{"chunk":N}, {"end":true} or {"abort":true}"#;
            Err(Error::new(ErrorKind::BadHeader, format!("chunk line {:?} is none of {expected}", shown(line))))
        }
    }
}

/// Decodes an answer.
///
/// # Errors
/// [`ErrorKind::BadHeader`].
pub fn decode_event(line: &[u8]) -> Result<Event> {
    decode(line, "answer")
}

/// A request as a line.
pub fn encode_request(request: &Request) -> String {
    encode(request)
}

/// What stands between chunks as a line.
pub fn encode_chunk(chunk: Chunk) -> String {
    encode(&match chunk {
        Chunk::Bytes(bytes) => ChunkLine { chunk: Some(bytes), ..ChunkLine::default() },
        Chunk::End(digest) => ChunkLine { end: true, digest, ..ChunkLine::default() },
        Chunk::Abort => ChunkLine { abort: true, ..ChunkLine::default() },
    })
}

/// An answer as a line.
pub fn encode_event(event: &Event) -> String {
    encode(event)
}

fn decode<'a, T: Deserialize<'a>>(line: &'a [u8], what: &str) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| {
        let message = format!("{what} {:?} can't be understood: {error}", shown(line));
        Error::new(ErrorKind::BadHeader, message)
    })
}

fn encode<T: Serialize>(value: &T) -> String {
    let mut line = serde_json::to_string(value).expect("what this module encodes has text keys only");
    line.push('\n');
    line
}

/// As much of a line as a message can bear.
fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    text.trim_end().chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::report::{Flaw, Format, Severity};

    #[test]
    fn a_put_reads_as_the_protocol_has_it() {
        let line = br#"{"op":"put","id":"u1","name":"a.csv","size":3,"digest":"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","type":"text/csv","meta":{"site":"n4"},"later":1}"#;
        let Request::Put(put) = decode_request(line).unwrap() else { panic!("not a put") };
        let spec = put.spec(OnConflict::Reject).unwrap();
        assert_eq!((spec.id.as_str(), spec.key.as_str(), spec.size), ("u1", "a.csv", Some(3)));
        assert_eq!(spec.digest, Some(Digest::of(b"abc")));
        assert_eq!(spec.meta.iter().collect::<Vec<_>>(), [("site", "n4")]);
        assert_eq!(decode_request(encode_request(&Request::Put(put.clone())).as_bytes()).unwrap(), Request::Put(put));
    }

    #[test]
    fn what_is_wrong_with_a_put_alone_leaves_its_body_readable() {
        for (line, kind) in [
            (r#"{"op":"put","name":"../x","size":3}"#, ErrorKind::BadName),
            (r#"{"op":"put","name":"x","id":"a/b"}"#, ErrorKind::BadHeader),
            (r#"{"op":"put","name":"x","digest":"md5:1"}"#, ErrorKind::BadHeader),
            (r#"{"op":"put","name":"x","type":"csv"}"#, ErrorKind::BadHeader),
            (r#"{"op":"put","name":"x","meta":{"A":"x"}}"#, ErrorKind::BadHeader),
        ] {
            let Request::Put(put) = decode_request(line.as_bytes()).unwrap() else { panic!("not a put") };
            assert_eq!(put.spec(OnConflict::Reject).unwrap_err().kind(), kind, "{line}");
        }
    }

    #[test]
    fn lines_that_break_the_framing_are_refused() {
        for line in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"op":"get","name":"x"}"#,
            r#"{"op":"put"}"#,
            r#"{"op":"put","name":1}"#,
            r#"{"op":"put","name":"x","size":-1}"#,
            r#"{"op":"put","name":"x","size":1.5}"#,
            r#"{"op":"put","name":"x"} x"#,
        ] {
            assert_eq!(decode_request(line.as_bytes()).unwrap_err().kind(), ErrorKind::BadHeader, "{line:?}");
        }
    }

    #[test]
    fn chunks_survive_the_wire() {
        for chunk in
            [Chunk::Bytes(0), Chunk::Bytes(u64::MAX), Chunk::End(None), Chunk::End(Some(Digest::of(b"x"))), Chunk::Abort]
        {
            assert_eq!(decode_chunk(encode_chunk(chunk).as_bytes()).unwrap(), chunk);
        }
        assert_eq!(encode_chunk(Chunk::Bytes(7)), "{\"chunk\":7}\n");
        for line in
            ["{}", r#"{"end":false}"#, r#"{"chunk":1,"end":true}"#, r#"{"end":true,"abort":true}"#, r#"{"chunk":-1}"#]
        {
            assert_eq!(decode_chunk(line.as_bytes()).unwrap_err().kind(), ErrorKind::BadHeader, "{line}");
        }
    }

    #[test]
    fn an_error_says_whether_to_send_again() {
        let flaw = Flaw {
            code: "missing-cell".to_owned(),
            severity: Severity::Error,
            message: "row has 2 fields, the header has 3".to_owned(),
            line: 4,
            column: 4,
            offset: 23,
            record: 3,
            field: None,
            instance_path: None,
            schema_path: None,
            constraint: None,
            snippet: Some("1,2".to_owned()),
        };
        let rejection = Report {
            format: Format::Csv,
            valid: false,
            complete: false,
            records: 3,
            bytes: 24,
            errors_total: 1,
            counts: BTreeMap::from([("missing-cell".to_owned(), 1)]),
            errors: vec![flaw],
            quarantined: None,
        };
        let error = Error::new(ErrorKind::Invalid, "\"a.csv\" is not valid csv").because(rejection.clone());
        let event = Event::from_error("u1".to_owned(), &error);
        assert!(matches!(&event, Event::Rejected { report: Some(report), .. } if *report == rejection), "{event:?}");
        assert_eq!(decode_event(encode_event(&event).as_bytes()).unwrap(), event);
        let event = Event::from_error("u1".to_owned(), &Error::new(ErrorKind::NoSpace, "disk full"));
        assert!(matches!(event, Event::Failed { retry: true, .. }), "{event:?}");
    }
}
