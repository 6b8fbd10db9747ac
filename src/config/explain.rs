//! The configuration in force as text, key by key, with secrets masked.
//!
//! Every struct is taken apart field by field, so that a field that is not shown does not compile. How a terminal shows
//! the lines is not known here.

use std::path::Path;

use super::keys::RULES;
use super::problems::{DEFAULT, whence};
use super::value::{
    COMPRESSIONS, FS_DURABILITIES, HEADER_FORMS, INTEGRITIES, LOG_FORMATS, ON_CONFLICT, ON_INVALID, PROFILES, SCHEMA_FOR,
    SINK_KINDS, SIZES, UNMATCHED, choice_text, duration_text, size_text,
};
use super::{Config, Defaults, Framed, Fs, Ledger, Limits, Listen, Log, Plain, Rule, S3, Sink};
use crate::escape;

/// One key of the configuration in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The full name, such as `sink.s3.bucket`; `rules[1].match` is the first rule's.
    pub key: String,
    /// The value as it could be written in a file, without quotes; empty where it is not set, masked where it is secret.
    pub value: String,
    /// Where it came from: `default`, a file's path and a line, or a variable's name.
    pub origin: String,
}

impl Config {
    /// Every key in the order of `config/default.toml`, then every rule.
    pub fn explain(&self) -> Vec<Setting> {
        let Self { listen, sink, limits, plain, framed, log, ledger, rules, defaults, origins: _ } = self;
        let mut lines = Lines { config: self, settings: Vec::new() };
        let Listen { tcp, admin } = listen;
        lines.add("listen.tcp", tcp);
        lines.add("listen.admin", admin);
        sink_lines(&mut lines, sink);
        limits_lines(&mut lines, limits);
        let Plain { header, sizes, require_size, linger, on_conflict } = plain;
        lines.add("plain.header", choice_text(&HEADER_FORMS, header));
        lines.add("plain.sizes", choice_text(&SIZES, sizes));
        lines.add("plain.require_size", require_size);
        lines.add("plain.linger", &duration_text(*linger));
        lines.add("plain.on_conflict", choice_text(&ON_CONFLICT, on_conflict));
        let Framed { max_pending_commits, max_pending_commits_total, on_conflict } = framed;
        lines.add("framed.max_pending_commits", max_pending_commits);
        lines.add("framed.max_pending_commits_total", max_pending_commits_total);
        lines.add("framed.on_conflict", choice_text(&ON_CONFLICT, on_conflict));
        let Log { level, format } = log;
        lines.add("log.level", level);
        lines.add("log.format", choice_text(&LOG_FORMATS, format));
        let Ledger { enabled, folder } = ledger;
        lines.add("ledger.enabled", enabled);
        lines.add(
            "ledger.folder",
            &folder.as_deref().map(Path::display).map(|folder| folder.to_string()).unwrap_or_default(),
        );
        let Defaults { unmatched } = defaults;
        lines.add("defaults.unmatched", choice_text(&UNMATCHED, unmatched));
        for (index, rule) in rules.iter().enumerate() {
            rule_lines(&mut lines, index + 1, rule);
        }
        lines.settings
    }

    /// Where a key's value came from, as a part of a sentence: `in rules.toml, line 4`.
    pub fn whence(&self, key: &str) -> String {
        escape::line(&whence(self.origin(key))).into_owned()
    }

    /// Where a key's value came from, as in [`Setting::origin`].
    pub(super) fn origin(&self, key: &str) -> &str {
        self.origins.0.get(key).map_or(DEFAULT, String::as_str)
    }
}

struct Lines<'a> {
    config: &'a Config,
    settings: Vec<Setting>,
}

impl Lines<'_> {
    fn add(&mut self, key: &str, value: &(impl ToString + ?Sized)) {
        let origin = self.config.origin(key).to_owned();
        self.settings.push(Setting { key: key.to_owned(), value: value.to_string(), origin });
    }
}

fn sink_lines(lines: &mut Lines<'_>, sink: &Sink) {
    let Sink { kind, fs: Fs { root, min_free, durability }, s3 } = sink;
    lines.add("sink.kind", choice_text(&SINK_KINDS, kind));
    lines.add("sink.fs.root", &root.display());
    lines.add("sink.fs.min_free", &size_text(*min_free));
    lines.add("sink.fs.durability", choice_text(&FS_DURABILITIES, durability));
    let S3 {
        endpoint,
        bucket,
        prefix,
        region,
        access_key_id,
        secret_access_key,
        allow_http,
        integrity,
        part_bytes,
        parts_in_flight,
        max_requests,
        request_timeout,
        retry_timeout,
    } = s3;
    lines.add("sink.s3.endpoint", endpoint.as_deref().unwrap_or_default());
    lines.add("sink.s3.bucket", bucket);
    lines.add("sink.s3.prefix", prefix);
    lines.add("sink.s3.region", region);
    lines.add("sink.s3.access_key_id", &access_key_id.as_deref().map(masked).unwrap_or_default());
    lines.add("sink.s3.secret_access_key", secret_access_key.as_ref().map_or("", |_| MASK));
    lines.add("sink.s3.allow_http", allow_http);
    lines.add("sink.s3.integrity", choice_text(&INTEGRITIES, integrity));
    lines.add("sink.s3.part_bytes", &size_text(*part_bytes));
    lines.add("sink.s3.parts_in_flight", parts_in_flight);
    lines.add("sink.s3.max_requests", max_requests);
    lines.add("sink.s3.request_timeout", &duration_text(*request_timeout));
    lines.add("sink.s3.retry_timeout", &duration_text(*retry_timeout));
}

fn limits_lines(lines: &mut Lines<'_>, limits: &Limits) {
    let Limits {
        header_timeout,
        idle_timeout,
        upload_timeout,
        commit_timeout,
        drain_timeout,
        resume_ttl,
        max_file_bytes,
        max_connections,
        max_connections_per_address,
        max_memory_bytes,
        max_silent_connections,
        max_admin_connections,
        min_rate,
        min_rate_grace,
        max_discard_bytes,
        max_json_depth,
        max_record_bytes,
        max_record_lines,
        max_row_fields,
        max_token_bytes,
        max_document_bytes,
        max_key_bytes,
        max_unpacked_bytes,
        max_unpack_ratio,
        max_errors_kept,
    } = limits;
    lines.add("limits.header_timeout", &duration_text(*header_timeout));
    lines.add("limits.idle_timeout", &duration_text(*idle_timeout));
    lines.add("limits.upload_timeout", &duration_text(*upload_timeout));
    lines.add("limits.commit_timeout", &duration_text(*commit_timeout));
    lines.add("limits.drain_timeout", &duration_text(*drain_timeout));
    lines.add("limits.resume_ttl", &duration_text(*resume_ttl));
    lines.add("limits.max_file_bytes", &size_text(*max_file_bytes));
    lines.add("limits.max_connections", max_connections);
    lines.add("limits.max_connections_per_address", max_connections_per_address);
    lines.add("limits.max_silent_connections", max_silent_connections);
    lines.add("limits.max_admin_connections", max_admin_connections);
    lines.add("limits.min_rate", &size_text(*min_rate));
    lines.add("limits.min_rate_grace", &duration_text(*min_rate_grace));
    lines.add("limits.max_memory_bytes", &size_text(*max_memory_bytes));
    lines.add("limits.max_discard_bytes", &size_text(*max_discard_bytes));
    lines.add("limits.max_json_depth", max_json_depth);
    lines.add("limits.max_record_bytes", &size_text(*max_record_bytes));
    lines.add("limits.max_record_lines", max_record_lines);
    lines.add("limits.max_row_fields", max_row_fields);
    lines.add("limits.max_token_bytes", &size_text(*max_token_bytes));
    lines.add("limits.max_document_bytes", &size_text(*max_document_bytes));
    lines.add("limits.max_key_bytes", &size_text(*max_key_bytes));
    lines.add("limits.max_unpacked_bytes", &size_text(*max_unpacked_bytes));
    lines.add("limits.max_unpack_ratio", max_unpack_ratio);
    lines.add("limits.max_errors_kept", max_errors_kept);
}

fn rule_lines(lines: &mut Lines<'_>, number: usize, rule: &Rule) {
    let Rule {
        pattern,
        match_case,
        format,
        max_bytes,
        on_conflict,
        on_invalid,
        compression,
        schema,
        schema_for,
        dialect,
        profile,
        blank_lines,
        max_errors,
        max_error_ratio,
        mask_snippets,
    } = rule;
    let key = |name: &str| format!("{RULES}[{number}].{name}");
    lines.add(&key("match"), pattern);
    let said = [
        ("match_case", match_case.map(|exact| exact.to_string())),
        ("format", format.map(|format| format.to_string())),
        ("max_bytes", max_bytes.map(size_text)),
        ("on_conflict", on_conflict.map(|policy| choice_text(&ON_CONFLICT, &policy).to_owned())),
        ("on_invalid", on_invalid.map(|policy| choice_text(&ON_INVALID, &policy).to_owned())),
        ("compression", compression.map(|packed| choice_text(&COMPRESSIONS, &packed).to_owned())),
        ("schema", schema.as_ref().map(|path| path.display().to_string())),
        ("schema_for", schema_for.map(|part| choice_text(&SCHEMA_FOR, &part).to_owned())),
        ("dialect", dialect.as_ref().map(|path| path.display().to_string())),
        ("profile", profile.map(|profile| choice_text(&PROFILES, &profile).to_owned())),
        ("blank_lines", blank_lines.map(|allowed| allowed.to_string())),
        ("max_errors", max_errors.map(|count| count.to_string())),
        ("max_error_ratio", max_error_ratio.map(|share| share.to_string())),
        ("mask_snippets", mask_snippets.map(|masked| masked.to_string())),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            lines.add(&key(name), &value);
        }
    }
}

const MASK: &str = "***";

/// Enough of an access key's id to tell it from another.
fn masked(id: &str) -> String {
    let start: String = id.chars().take(4).collect();
    if start.len() == id.len() { MASK.to_owned() } else { start + MASK }
}
