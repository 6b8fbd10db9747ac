//! What keys mean to each other: each may be good by itself and yet not go with the rest.
//!
//! Says nothing about keys whose own value was refused already, and nothing that depends on the machine or the network.

use std::net::SocketAddr;
use std::path::Path;

use super::keys::RULES;
use super::problems::{DEFAULT, Problems, whence};
use super::value::{duration_text, size_text};
use super::{Config, Rule, SinkKind};
use crate::report::Format;
use crate::wire::plain::Sizes;

/// The most parts a multipart upload has: "Amazon S3 multipart upload limits", AWS.
const MAX_PARTS: u64 = 10_000;

/// Tells every clash.
pub(super) fn config(config: &Config, problems: &mut Problems) {
    let mut checker = Checker { config, problems };
    checker.listen();
    if config.sink.kind == SinkKind::S3 {
        checker.s3();
    }
    checker.plain();
    checker.timing();
    checker.connections();
    checker.ledger();
    checker.rules();
}

struct Checker<'a> {
    config: &'a Config,
    problems: &'a mut Problems,
}

impl Checker<'_> {
    fn listen(&mut self) {
        let listen = &self.config.listen;
        if overlap(listen.tcp, listen.admin) {
            let what = format!("{} is taken by listen.tcp, {}", listen.admin, listen.tcp);
            self.refuse(&["listen.admin", "listen.tcp"], &what);
        }
    }

    fn s3(&mut self) {
        let s3 = &self.config.sink.s3;
        if s3.bucket.is_empty() {
            self.refuse(&["sink.s3.bucket", "sink.kind"], "must be set where sink.kind is s3");
        }
        if let Some(endpoint) = s3.endpoint.as_deref().filter(|url| !url.starts_with("https:"))
            && !s3.allow_http
        {
            let what = format!("{endpoint:?} is not encrypted: use https://, or set sink.s3.allow_http to true");
            self.refuse(&["sink.s3.endpoint", "sink.s3.allow_http"], &what);
        }
        let (id, secret) = ("sink.s3.access_key_id", "sink.s3.secret_access_key");
        match (&s3.access_key_id, &s3.secret_access_key) {
            (Some(_), None) => self.refuse(&[secret, id], "must be set where sink.s3.access_key_id is"),
            (None, Some(_)) => self.refuse(&[id, secret], "must be set where sink.s3.secret_access_key is"),
            (Some(_), Some(_)) | (None, None) => {}
        }
        let (max_file_bytes, part_bytes) = (self.config.limits.max_file_bytes, s3.part_bytes);
        let most = part_bytes.saturating_mul(MAX_PARTS);
        if max_file_bytes > most {
            let needed = max_file_bytes.div_ceil(MAX_PARTS).div_ceil(1 << 20) << 20;
            let what = format!(
                "{} do not fit into {MAX_PARTS} parts of {}: raise sink.s3.part_bytes to {} or lower this to {}",
                size_text(max_file_bytes),
                size_text(part_bytes),
                size_text(needed),
                size_text(most),
            );
            self.refuse(&["limits.max_file_bytes", "sink.s3.part_bytes"], &what);
        }
    }

    fn plain(&mut self) {
        let plain = &self.config.plain;
        if plain.require_size && plain.sizes == Sizes::Never {
            self.refuse(
                &["plain.require_size", "plain.sizes"],
                "asks for sizes, and plain.sizes is \"never\": set one of them",
            );
        }
    }

    fn timing(&mut self) {
        let limits = &self.config.limits;
        if limits.resume_ttl < limits.upload_timeout {
            let what = format!(
                "{} is shorter than limits.upload_timeout, {}: an upload that still runs at another server could be swept up",
                duration_text(limits.resume_ttl),
                duration_text(limits.upload_timeout),
            );
            self.refuse(&["limits.resume_ttl", "limits.upload_timeout"], &what);
        }
    }

    fn connections(&mut self) {
        let limits = &self.config.limits;
        if limits.max_connections_per_address > limits.max_connections {
            let what = format!(
                "{} is above limits.max_connections, {}, which holds for all addresses together",
                limits.max_connections_per_address, limits.max_connections,
            );
            self.refuse(&["limits.max_connections_per_address", "limits.max_connections"], &what);
        }
    }

    fn ledger(&mut self) {
        let (ledger, sink) = (&self.config.ledger, &self.config.sink);
        let Some(folder) = ledger.folder.as_deref().filter(|_| ledger.enabled && sink.kind == SinkKind::Fs) else { return };
        if plain(folder).starts_with(plain(&sink.fs.root)) {
            let what = format!(
                "{:?} lies below sink.fs.root, among the files that are stored: choose another folder, or \"\"",
                folder.display().to_string()
            );
            self.refuse(&["ledger.folder", "sink.fs.root"], &what);
        }
    }

    fn rules(&mut self) {
        let max_file_bytes = self.config.limits.max_file_bytes;
        for (index, rule) in self.config.rules.iter().enumerate() {
            self.formats(&format!("{RULES}[{}]", index + 1), rule);
            let Some(bytes) = rule.max_bytes.filter(|bytes| *bytes > max_file_bytes) else { continue };
            let (bytes, most) = (size_text(bytes), size_text(max_file_bytes));
            let what = format!("{bytes} is above limits.max_file_bytes, {most}, which holds for every file");
            self.refuse(&[&format!("{RULES}[{}].max_bytes", index + 1), "limits.max_file_bytes"], &what);
        }
    }

    /// Tells of keys that say nothing of the rule's format. Without one, the extension decides.
    fn formats(&mut self, name: &str, rule: &Rule) {
        let Some(format) = rule.format else { return };
        let json: &[Format] = &[Format::Json, Format::Ndjson];
        for (key, is_set, formats) in [
            ("schema_for", rule.schema_for.is_some(), json),
            ("profile", rule.profile.is_some(), json),
            ("blank_lines", rule.blank_lines.is_some(), &[Format::Ndjson]),
        ] {
            if is_set && !formats.contains(&format) {
                let names: Vec<_> = formats.iter().map(|format| format.name()).collect();
                let what = format!("is for {}, and the format is {}: leave it out", names.join(" and "), format.name());
                self.refuse(&[&format!("{name}.{key}"), &format!("{name}.format")], &what);
            }
        }
    }

    /// Tells that the first of these keys is wrong in view of the others, unless one of them was refused already.
    fn refuse(&mut self, keys: &[&str], what: &str) {
        if !keys.iter().all(|key| self.problems.trusts(key)) {
            return;
        }
        let set = keys.iter().find(|key| self.config.origin(key) != DEFAULT);
        let place = match set {
            Some(key) if *key == keys[0] => whence(self.config.origin(key)),
            Some(key) => format!("{key} is set {}", whence(self.config.origin(key))),
            None => whence(DEFAULT),
        };
        self.problems.clash(format!("{}: {what} ({place})", keys[0]));
    }
}

/// A path without the `./` that says nothing.
fn plain(path: &Path) -> &Path {
    path.strip_prefix(".").unwrap_or(path)
}

/// Whether two listeners cannot both have what they ask for.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    let same_address = one.ip() == other.ip() || (any && one.is_ipv4() == other.is_ipv4());
    one.port() != 0 && one.port() == other.port() && same_address
}
