//! From the layered values to a typed [`Config`], section by section.
//!
//! A bad value is told, and the default stands in for it so that the rest can be read. What keys mean to each other is not
//! known here.

use ::config::{Map, Value, ValueKind};

use super::keys::{RULE_KEYS, RULES};
use super::problems::{DEFAULT, Problems};
use super::value::{self, Parsed};
use super::{Config, Defaults, Framed, Fs, Ledger, Limits, Listen, Log, Origins, Plain, Rule, S3, Sink};

/// Reads every key.
pub(super) fn config(in_force: &Value, defaults: &Value, problems: &mut Problems) -> Config {
    let mut reader = Reader { in_force, defaults, problems, origins: Origins::default() };
    let reader = &mut reader;
    Config {
        listen: Listen {
            tcp: reader.read("listen.tcp", value::address),
            admin: reader.read("listen.admin", value::address),
        },
        sink: sink(reader),
        limits: limits(reader),
        plain: Plain {
            header: reader.read("plain.header", |value| value::choice(&value::HEADER_FORMS, value)),
            sizes: reader.read("plain.sizes", |value| value::choice(&value::SIZES, value)),
            require_size: reader.read("plain.require_size", value::flag),
            linger: reader.read("plain.linger", value::duration),
            on_conflict: reader.read("plain.on_conflict", |value| value::choice(&value::ON_CONFLICT, value)),
        },
        framed: Framed {
            max_pending_commits: reader.read("framed.max_pending_commits", value::count),
            max_pending_commits_total: reader.read("framed.max_pending_commits_total", value::count),
            on_conflict: reader.read("framed.on_conflict", |value| value::choice(&value::ON_CONFLICT, value)),
        },
        log: Log {
            level: reader.read("log.level", value::log_level),
            format: reader.read("log.format", |value| value::choice(&value::LOG_FORMATS, value)),
        },
        ledger: Ledger {
            enabled: reader.read("ledger.enabled", value::flag),
            folder: reader.read("ledger.folder", value::optional_path),
        },
        rules: reader.rules(),
        defaults: Defaults { unmatched: reader.read("defaults.unmatched", |value| value::choice(&value::UNMATCHED, value)) },
        origins: std::mem::take(&mut reader.origins),
    }
}

fn sink(reader: &mut Reader<'_>) -> Sink {
    Sink {
        kind: reader.read("sink.kind", |value| value::choice(&value::SINK_KINDS, value)),
        fs: Fs {
            root: reader.read("sink.fs.root", value::path),
            min_free: reader.read("sink.fs.min_free", value::size),
            durability: reader.read("sink.fs.durability", |value| value::choice(&value::FS_DURABILITIES, value)),
        },
        s3: S3 {
            endpoint: reader.read("sink.s3.endpoint", value::endpoint),
            bucket: reader.read("sink.s3.bucket", value::bucket),
            prefix: reader.read("sink.s3.prefix", value::prefix),
            region: reader.read("sink.s3.region", value::text),
            access_key_id: reader.read("sink.s3.access_key_id", value::credential),
            secret_access_key: reader.read("sink.s3.secret_access_key", value::secret),
            allow_http: reader.read("sink.s3.allow_http", value::flag),
            integrity: reader.read("sink.s3.integrity", |value| value::choice(&value::INTEGRITIES, value)),
            part_bytes: reader.read("sink.s3.part_bytes", value::part_size),
            parts_in_flight: reader.read("sink.s3.parts_in_flight", value::count),
            max_requests: reader.read("sink.s3.max_requests", value::count),
            request_timeout: reader.read("sink.s3.request_timeout", value::duration),
            retry_timeout: reader.read("sink.s3.retry_timeout", value::duration),
        },
    }
}

fn limits(reader: &mut Reader<'_>) -> Limits {
    let mut limits = every_limit(reader);
    let is_default = |key: &str| reader.origins.0.get(key).is_some_and(|origin| origin == DEFAULT);
    if is_default("limits.max_connections_per_address") {
        // What was set is held against the other limit later.
        limits.max_connections_per_address = limits.max_connections_per_address.min(limits.max_connections);
    }
    limits
}

fn every_limit(reader: &mut Reader<'_>) -> Limits {
    Limits {
        header_timeout: reader.read("limits.header_timeout", value::duration),
        idle_timeout: reader.read("limits.idle_timeout", value::duration),
        upload_timeout: reader.read("limits.upload_timeout", value::duration),
        commit_timeout: reader.read("limits.commit_timeout", value::duration),
        drain_timeout: reader.read("limits.drain_timeout", value::duration),
        resume_ttl: reader.read("limits.resume_ttl", value::duration),
        max_file_bytes: reader.read("limits.max_file_bytes", value::positive_size),
        max_connections: reader.read("limits.max_connections", value::count),
        max_connections_per_address: reader.read("limits.max_connections_per_address", value::count),
        max_memory_bytes: reader.read("limits.max_memory_bytes", value::memory),
        max_silent_connections: reader.read("limits.max_silent_connections", value::count),
        max_admin_connections: reader.read("limits.max_admin_connections", value::count),
        min_rate: reader.read("limits.min_rate", value::size),
        min_rate_grace: reader.read("limits.min_rate_grace", value::duration),
        max_discard_bytes: reader.read("limits.max_discard_bytes", value::size),
        max_json_depth: reader.read("limits.max_json_depth", value::count),
        max_record_bytes: reader.read("limits.max_record_bytes", value::positive_size),
        max_record_lines: reader.read("limits.max_record_lines", |value| value::count(value).map(|count| count as u64)),
        max_row_fields: reader.read("limits.max_row_fields", |value| value::count(value).map(|count| count as u64)),
        max_token_bytes: reader.read("limits.max_token_bytes", value::positive_size),
        max_document_bytes: reader.read("limits.max_document_bytes", value::positive_size),
        max_key_bytes: reader.read("limits.max_key_bytes", value::positive_size),
        max_unpacked_bytes: reader.read("limits.max_unpacked_bytes", value::positive_size),
        max_unpack_ratio: reader.read("limits.max_unpack_ratio", |value| value::count(value).map(|count| count as u64)),
        max_errors_kept: reader.read("limits.max_errors_kept", value::count),
    }
}

struct Reader<'a> {
    in_force: &'a Value,
    defaults: &'a Value,
    problems: &'a mut Problems,
    origins: Origins,
}

impl Reader<'_> {
    fn read<T>(&mut self, key: &str, parse: impl Fn(&ValueKind) -> Parsed<T>) -> T {
        let value = find(self.in_force, key).expect("the defaults have every key that is read: a test reads them all");
        match self.parsed(key, value, &parse) {
            Some(parsed) => parsed,
            None => {
                let default = find(self.defaults, key).and_then(|value| parse(&value.kind).ok());
                default.expect("every default is a good value: a test reads them all")
            }
        }
    }

    /// The value, if it is good; remembers where it came from, or tells what is wrong.
    fn parsed<T>(&mut self, key: &str, value: &Value, parse: impl Fn(&ValueKind) -> Parsed<T>) -> Option<T> {
        let origin = value.origin().unwrap_or(DEFAULT);
        match parse(&value.kind) {
            Ok(parsed) => {
                self.origins.0.insert(key.to_owned(), origin.to_owned());
                Some(parsed)
            }
            Err(what) => {
                self.problems.value(key, &what, origin);
                None
            }
        }
    }

    fn rules(&mut self) -> Vec<Rule> {
        let Some(Value { kind: ValueKind::Array(rules), .. }) = find(self.in_force, RULES) else {
            return Vec::new();
        };
        rules.iter().zip(1..).map(|(value, number)| self.rule(number, value)).collect()
    }

    /// A rule, as far as it is good: what was refused is told, and the rule keeps its number.
    fn rule(&mut self, number: usize, value: &Value) -> Rule {
        let empty = Map::new();
        let table = if let ValueKind::Table(table) = &value.kind { table } else { &empty };
        let field = |name| (format!("{RULES}[{number}].{name}"), table.get(name));
        let [
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
        ] = RULE_KEYS.map(field);
        if pattern.1.is_none() && self.problems.trusts(&pattern.0) {
            let what = "must be set, to the names that the rule is for";
            self.problems.value(&pattern.0, what, value.origin().unwrap_or(DEFAULT));
        }
        Rule {
            pattern: self.optional(pattern, value::glob).unwrap_or_default(),
            match_case: self.optional(match_case, value::flag),
            format: self.optional(format, value::format),
            max_bytes: self.optional(max_bytes, value::positive_size),
            on_conflict: self.optional(on_conflict, |value| value::choice(&value::ON_CONFLICT, value)),
            on_invalid: self.optional(on_invalid, |value| value::choice(&value::ON_INVALID, value)),
            compression: self.optional(compression, |value| value::choice(&value::COMPRESSIONS, value)),
            schema: self.optional(schema, value::path),
            schema_for: self.optional(schema_for, |value| value::choice(&value::SCHEMA_FOR, value)),
            dialect: self.optional(dialect, value::path),
            profile: self.optional(profile, |value| value::choice(&value::PROFILES, value)),
            blank_lines: self.optional(blank_lines, value::flag),
            max_errors: self.optional(max_errors, |value| value::count(value).map(|count| count as u64)),
            max_error_ratio: self.optional(max_error_ratio, value::share),
            mask_snippets: self.optional(mask_snippets, value::flag),
        }
    }

    fn optional<T>(&mut self, (key, value): (String, Option<&Value>), parse: impl Fn(&ValueKind) -> Parsed<T>) -> Option<T> {
        self.parsed(&key, value?, parse)
    }
}

/// What stands under a full name.
fn find<'a>(root: &'a Value, key: &str) -> Option<&'a Value> {
    key.split('.').try_fold(root, |value, name| match &value.kind {
        ValueKind::Table(table) => table.get(name),
        _ => None,
    })
}
