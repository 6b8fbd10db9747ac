//! The configuration in force: checked, typed, with units.
//!
//! Built-in defaults, then files, then environment variables; each layer overrides the one before it, key by key. This
//! module does not know what a sink or a server does with its keys.

mod check;
mod explain;
mod keys;
mod layer;
mod load;
mod problems;
mod read;
mod value;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::explain::Setting;
pub(crate) use self::value::{COMPRESSIONS, ON_CONFLICT, ON_INVALID, choice_text, size_text};
use crate::report::{Compression, Format, Profile, SchemaFor};
use crate::upload::{OnConflict, OnInvalid};
use crate::validate::rules::Unmatched;
use crate::wire::plain::{HeaderForm, Sizes};

/// Everything that can be set, as `config/default.toml` explains it key by key.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: Listen,
    /// Where the files go.
    pub sink: Sink,
    /// What is bounded.
    pub limits: Limits,
    /// What holds for the plain protocol alone.
    pub plain: Plain,
    /// What holds for the framed protocol alone.
    pub framed: Framed,
    /// What is logged, and how.
    pub log: Log,
    /// What is written down of each upload's end.
    pub ledger: Ledger,
    /// What holds for some names; the first that matches wins.
    pub rules: Vec<Rule>,
    /// What holds for names that no rule matches.
    pub defaults: Defaults,
    /// Where each value came from, for [`Config::explain`].
    pub origins: Origins,
}

/// Where each value came from, by the key's full name; what was never loaded counts as a default.
#[derive(Debug, Clone, Default)]
pub struct Origins(BTreeMap<String, String>);

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Listen {
    /// For senders.
    pub tcp: SocketAddr,
    /// For `/healthz`, `/readyz` and `/metrics`.
    pub admin: SocketAddr,
}

/// Where the files go.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Which of the sinks below is in use.
    pub kind: SinkKind,
    /// The local file system.
    pub fs: Fs,
    /// S3-compatible object storage.
    pub s3: S3,
}

/// The sinks there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SinkKind {
    /// Files below a folder.
    Fs,
    /// Objects in a bucket.
    S3,
    /// Memory: nothing outlives the process.
    Memory,
}

/// The local file system as a store.
#[derive(Debug, Clone)]
pub struct Fs {
    /// The folder that names are relative to; made if it is missing.
    pub root: PathBuf,
    /// Room that is left free, in bytes.
    pub min_free: u64,
    /// What receipts promise.
    pub durability: FsDurability,
}

/// What a receipt of the file system promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsDurability {
    /// The file survives power loss: it is flushed before it is answered.
    Disk,
    /// The file survives the server, and no power loss: nothing is flushed for it.
    Cache,
}

/// S3-compatible object storage as a store.
#[derive(Debug, Clone)]
pub struct S3 {
    /// The store's URL; `None` for AWS itself.
    pub endpoint: Option<String>,
    /// The bucket, which must exist.
    pub bucket: String,
    /// What stands before every key, without slashes at its ends; empty for the whole bucket.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Credentials; `None` for those of the environment (`AWS_*`, web identity, instance metadata).
    pub access_key_id: Option<String>,
    /// Credentials; `None` for those of the environment.
    pub secret_access_key: Option<Secret>,
    /// Whether `http://` endpoints are allowed.
    pub allow_http: bool,
    /// How the store knows that it has the bytes that were sent.
    pub integrity: Integrity,
    /// Bytes a part of a multipart upload; also the largest file that is stored with one request.
    pub part_bytes: u64,
    /// Parts of one upload on their way at once.
    pub parts_in_flight: usize,
    /// Requests on their way at once, for all uploads.
    pub max_requests: usize,
    /// One request, from its first byte to the answer's last.
    pub request_timeout: Duration,
    /// How long a request that failed is tried again.
    pub retry_timeout: Duration,
}

/// How a store knows that it has the bytes that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Integrity {
    /// By their CRC-64/NVME, which is part of the signature; by that of the bytes where the store was not seen to compare it.
    Checksum,
    /// By their SHA-256, which is part of the signature (AWS Signature Version 4).
    #[default]
    Signature,
}

/// A value that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What is bounded.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the connection, or from a control line's first byte, to the end of the header.
    pub header_timeout: Duration,
    /// Between two reads from a sender.
    pub idle_timeout: Duration,
    /// One upload, from its header to its last byte.
    pub upload_timeout: Duration,
    /// One commit, from the last byte to the receipt.
    pub commit_timeout: Duration,
    /// How long running uploads may go on when the server is told to stop.
    pub drain_timeout: Duration,
    /// How long an upload that was cut off is kept for its sender to go on with.
    pub resume_ttl: Duration,
    /// The largest file, in bytes.
    pub max_file_bytes: u64,
    /// Connections at once that have sent something; further ones wait.
    pub max_connections: usize,
    /// Connections at once from one IPv4 address or one IPv6 network of 64 bits; further ones are
    /// refused.
    pub max_connections_per_address: usize,
    /// Memory for uploads, in bytes; 0 for a quarter of what the machine or the cgroup has.
    pub max_memory_bytes: u64,
    /// Connections at once that have sent nothing yet, or wait for one of those to close.
    pub max_silent_connections: usize,
    /// Connections at once to the admin listener.
    pub max_admin_connections: usize,
    /// Below which rate an upload may be ended while every connection slot is taken, in bytes per
    /// second; 0 for none.
    pub min_rate: u64,
    /// How long the server waits for bytes of a connection before its rate counts.
    pub min_rate_grace: Duration,
    /// What is read and dropped of a body that has been refused, so that the sender comes to read the answer, in bytes.
    pub max_discard_bytes: u64,
    /// How deep arrays and objects may nest in a JSON text.
    pub max_json_depth: usize,
    /// The longest CSV record or NDJSON line, in bytes.
    pub max_record_bytes: u64,
    /// Lines of one CSV record.
    pub max_record_lines: u64,
    /// Fields of one CSV record.
    pub max_row_fields: u64,
    /// The longest JSON string or number, or CSV cell, in bytes.
    pub max_token_bytes: u64,
    /// The largest JSON document, or element of one, that is held against a JSON Schema, in bytes.
    pub max_document_bytes: u64,
    /// Memory for the keys of one file that must be unique, in bytes.
    pub max_key_bytes: u64,
    /// What compressed data may unpack to, in bytes.
    pub max_unpacked_bytes: u64,
    /// How many times its size compressed data may unpack to.
    pub max_unpack_ratio: u64,
    /// Flaws that a report tells; further ones are counted.
    pub max_errors_kept: usize,
}

/// What holds for names that no rule matches.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Whether they are taken.
    pub unmatched: Unmatched,
}

/// What holds for the plain protocol alone.
#[derive(Debug, Clone)]
pub struct Plain {
    /// How a header may end.
    pub header: HeaderForm,
    /// What digits behind a name are.
    pub sizes: Sizes,
    /// Whether a header without a size is refused.
    pub require_size: bool,
    /// How long a sender of a file of known size may pause before its next file.
    pub linger: Duration,
    /// What to do where a name is taken by other content.
    pub on_conflict: OnConflict,
}

/// What holds for the framed protocol alone.
#[derive(Debug, Clone)]
pub struct Framed {
    /// Commits of one connection under way at once.
    pub max_pending_commits: usize,
    /// Commits of all connections under way at once.
    pub max_pending_commits_total: usize,
    /// What to do where a name is taken by other content.
    pub on_conflict: OnConflict,
}

/// What is logged, and how.
#[derive(Debug, Clone)]
pub struct Log {
    /// A filter as `tracing-subscriber`'s `EnvFilter` reads it: `info`, or `warn,tidegate=debug`.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// What is written down of each upload's end.
#[derive(Debug, Clone)]
pub struct Ledger {
    /// Whether anything is.
    pub enabled: bool,
    /// Where; `None` for a folder that the server keeps for itself, where the sink has one.
    pub folder: Option<PathBuf>,
}

/// What holds for names that match. What a rule leaves out is as if it did not match.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    /// A glob: without a slash it is held against the last component, with one against the whole name.
    pub pattern: String,
    /// Whether extensions are compared as they are written.
    pub match_case: Option<bool>,
    /// What the content is validated as.
    pub format: Option<Format>,
    /// The largest file, in bytes.
    pub max_bytes: Option<u64>,
    /// What to do where the name is taken by other content.
    pub on_conflict: Option<OnConflict>,
    /// What to do with a file that is not valid.
    pub on_invalid: Option<OnInvalid>,
    /// What is unpacked before the content is validated.
    pub compression: Option<Compression>,
    /// The file with the schema that the content is held against.
    pub schema: Option<PathBuf>,
    /// What a JSON Schema is held against.
    pub schema_for: Option<SchemaFor>,
    /// The file with the dialect of a table.
    pub dialect: Option<PathBuf>,
    /// How strict JSON is read.
    pub profile: Option<Profile>,
    /// Whether NDJSON may hold blank lines.
    pub blank_lines: Option<bool>,
    /// Flaws after which a file is not read any further.
    pub max_errors: Option<u64>,
    /// The share of records with flaws above which a file is not read any further.
    pub max_error_ratio: Option<f64>,
    /// Whether reports hide what stands in the file.
    pub mask_snippets: Option<bool>,
}
