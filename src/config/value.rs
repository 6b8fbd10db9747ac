//! Single values: from what was written to a typed value within its bounds, and back to text.
//!
//! Knows no key. A refusal is the end of a sentence that begins with the key's name: `"30 parsecs" is not a duration …`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ::config::ValueKind;
use bytesize::ByteSize;

use super::{FsDurability, Integrity, LogFormat, Secret, SinkKind};
use crate::report::{Compression, Format, Profile, SchemaFor};
use crate::upload::{Key, OnConflict, OnInvalid};
use crate::validate::rules::Unmatched;
use crate::wire::plain::{HeaderForm, Sizes};

/// A typed value, or what is wrong.
pub(super) type Parsed<T> = Result<T, String>;

/// The largest count: far above what a machine can do, and below what a semaphore can hold.
const MAX_COUNT: u64 = 1_000_000;
/// The longest duration: a deadline that far away can still be computed.
const MAX_DURATION: Duration = Duration::from_hours(365 * 24);
/// The largest size in bytes, which is the largest offset in a file.
const MAX_SIZE: u64 = i64::MAX as u64;

/// The units of sizes, the largest first of each kind. `KB` is read as well.
const UNITS: [(u64, &str); 12] = [
    (1 << 60, "EiB"),
    (1 << 50, "PiB"),
    (1 << 40, "TiB"),
    (1 << 30, "GiB"),
    (1 << 20, "MiB"),
    (1 << 10, "KiB"),
    (1_000_000_000_000_000_000, "EB"),
    (1_000_000_000_000_000, "PB"),
    (1_000_000_000_000, "TB"),
    (1_000_000_000, "GB"),
    (1_000_000, "MB"),
    (1_000, "kB"),
];

/// The names of the sinks.
pub(super) const SINK_KINDS: [(&str, SinkKind); 3] =
    [("fs", SinkKind::Fs), ("s3", SinkKind::S3), ("memory", SinkKind::Memory)];
/// The names of what a receipt of the file system promises.
pub(super) const FS_DURABILITIES: [(&str, FsDurability); 2] = [("disk", FsDurability::Disk), ("cache", FsDurability::Cache)];
/// The names of how a store knows that it has the bytes that were sent.
pub(super) const INTEGRITIES: [(&str, Integrity); 2] =
    [("checksum", Integrity::Checksum), ("signature", Integrity::Signature)];
/// The names of the conflict policies.
pub(crate) const ON_CONFLICT: [(&str, OnConflict); 3] =
    [("reject", OnConflict::Reject), ("version", OnConflict::Version), ("overwrite", OnConflict::Overwrite)];
/// The names of what becomes of files that are not valid.
pub(crate) const ON_INVALID: [(&str, OnInvalid); 3] =
    [("reject", OnInvalid::Reject), ("quarantine", OnInvalid::Quarantine), ("warn", OnInvalid::Warn)];
/// The names of what is unpacked.
pub(crate) const COMPRESSIONS: [(&str, Compression); 3] =
    [("none", Compression::None), ("gzip", Compression::Gzip), ("zstd", Compression::Zstd)];
/// The names of the profiles of JSON.
pub(super) const PROFILES: [(&str, Profile); 2] = [("rfc8259", Profile::Rfc8259), ("i-json", Profile::IJson)];
/// The names of what a JSON Schema is held against.
pub(super) const SCHEMA_FOR: [(&str, SchemaFor); 2] = [("document", SchemaFor::Document), ("items", SchemaFor::Items)];
/// The names of how a plain header may end.
pub(super) const HEADER_FORMS: [(&str, HeaderForm); 3] =
    [("auto", HeaderForm::Auto), ("line", HeaderForm::Line), ("first-packet", HeaderForm::FirstPacket)];
/// The names of what digits behind a plain name are.
pub(super) const SIZES: [(&str, Sizes); 2] = [("announced", Sizes::Announced), ("never", Sizes::Never)];
/// The names of what becomes of a name that no rule matches.
pub(super) const UNMATCHED: [(&str, Unmatched); 2] = [("accept", Unmatched::Accept), ("reject", Unmatched::Reject)];
/// The names of the log formats.
pub(super) const LOG_FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// A value as it was written, for a message; long text is cut.
pub(super) fn shown(value: &ValueKind) -> String {
    match value {
        ValueKind::String(text) if text.chars().count() > 80 => {
            format!("{:?}…", text.chars().take(80).collect::<String>())
        }
        ValueKind::String(text) => format!("{text:?}"),
        ValueKind::Array(_) => "a list".to_owned(),
        ValueKind::Table(_) => "a table".to_owned(),
        other => other.to_string(),
    }
}

/// Text, not empty.
pub(super) fn text(value: &ValueKind) -> Parsed<String> {
    optional(value)?.ok_or_else(|| "\"\" says nothing: it must be set".to_owned())
}

/// Text; empty means not set.
pub(super) fn optional(value: &ValueKind) -> Parsed<Option<String>> {
    match value {
        ValueKind::String(text) if text.is_empty() => Ok(None),
        ValueKind::String(text) if text.chars().any(char::is_control) => {
            Err(format!("{} holds a control character", shown(value)))
        }
        ValueKind::String(text) => Ok(Some(text.clone())),
        other => Err(format!("{} is not text in quotes", shown(other))),
    }
}

/// A folder.
pub(super) fn path(value: &ValueKind) -> Parsed<PathBuf> {
    text(value).map(PathBuf::from)
}

/// A folder; empty means not set.
pub(super) fn optional_path(value: &ValueKind) -> Parsed<Option<PathBuf>> {
    Ok(optional(value)?.map(PathBuf::from))
}

/// A credential. No message shows any of it.
pub(super) fn credential(value: &ValueKind) -> Parsed<Option<String>> {
    let text = match optional(value) {
        Ok(text) => text,
        Err(_) if matches!(value, ValueKind::String(_)) => return Err("the value holds a control character".to_owned()),
        Err(_) => return Err("the value is not text in quotes".to_owned()),
    };
    match text {
        Some(text) if text.trim() != text => Err("the value begins or ends with a space".to_owned()),
        text => Ok(text),
    }
}

/// A credential that is never printed.
pub(super) fn secret(value: &ValueKind) -> Parsed<Option<Secret>> {
    Ok(credential(value)?.map(Secret))
}

/// `true` or `false`.
pub(super) fn flag(value: &ValueKind) -> Parsed<bool> {
    match value {
        ValueKind::Boolean(flag) => Ok(*flag),
        ValueKind::String(text) if text == "true" => Ok(true),
        ValueKind::String(text) if text == "false" => Ok(false),
        other => Err(format!("{} is not true or false", shown(other))),
    }
}

/// Bytes.
pub(super) fn size(value: &ValueKind) -> Parsed<u64> {
    let bytes = match value {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::String(text) => {
            let number = text.trim().trim_end_matches(|char: char| char.is_ascii_alphabetic());
            if number.ends_with(|char: char| char.is_ascii_digit() || char == ' ') && !is_unit(&text.trim()[number.len()..])
            {
                return Err(format!("{} has no unit of bytes: use B, {}", shown(value), unit_list()));
            }
            text.trim().parse::<ByteSize>().ok().map(|size| size.as_u64())
        }
        _ => None,
    };
    match bytes {
        Some(bytes) if bytes <= MAX_SIZE => Ok(bytes),
        Some(_) => Err(format!("{} is more than the largest size, {MAX_SIZE} bytes", shown(value))),
        None => Err(format!("{} is not a size in bytes such as 1048576, \"64MiB\" or \"10GB\"", shown(value))),
    }
}

/// Whether this is a unit, or nothing. `Gb` are bits to most, and `G` is one thing here and another
/// there: a size of either is refused.
fn is_unit(text: &str) -> bool {
    matches!(text, "" | "B" | "KB") || UNITS.iter().any(|(_, unit)| *unit == text)
}

fn unit_list() -> String {
    let of = |binary: bool| {
        let units = UNITS.iter().rev().filter(|(_, unit)| unit.contains('i') == binary).map(|(_, unit)| *unit);
        units.collect::<Vec<_>>().join(", ")
    };
    format!("{} (powers of 1000) or {} (powers of 1024)", of(false), of(true))
}

/// Bytes, at least one.
pub(super) fn positive_size(value: &ValueKind) -> Parsed<u64> {
    match size(value)? {
        0 => Err("must be at least one byte".to_owned()),
        bytes => Ok(bytes),
    }
}

/// Memory for uploads: 0 for a part of what the machine has, or enough for a few connections and
/// one large upload.
pub(super) fn memory(value: &ValueKind) -> Parsed<u64> {
    const LEAST: u64 = 64 << 20;
    match size(value)? {
        bytes if bytes == 0 || bytes >= LEAST => Ok(bytes),
        _ => Err(format!("{} is less than 64MiB: set at least that, or 0 for a quarter of the memory", shown(value))),
    }
}

/// Bytes that can be one part of a multipart upload: "Amazon S3 multipart upload limits", AWS.
pub(super) fn part_size(value: &ValueKind) -> Parsed<u64> {
    let bytes = size(value)?;
    if (5 << 20..=5 << 30).contains(&bytes) {
        return Ok(bytes);
    }
    Err(format!("{} is not from 5MiB to 5GiB, as S3 asks of a part", shown(value)))
}

/// How many, at least one.
pub(super) fn count(value: &ValueKind) -> Parsed<usize> {
    let number = match value {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::String(text) => text.parse().ok(),
        _ => None,
    };
    let number = number.filter(|number| (1..=MAX_COUNT).contains(number)).and_then(|number| usize::try_from(number).ok());
    number.ok_or_else(|| format!("{} is not a whole number from 1 to {MAX_COUNT}", shown(value)))
}

/// A share of a whole: more than none of it, and less than all.
pub(super) fn share(value: &ValueKind) -> Parsed<f64> {
    let share = match value {
        ValueKind::Float(number) => Some(*number),
        ValueKind::String(text) => text.parse().ok(),
        _ => None,
    };
    let share = share.filter(|share| *share > 0.0 && *share < 1.0);
    share.ok_or_else(|| format!("{} is not a share between 0 and 1 such as 0.05", shown(value)))
}

/// How long; not zero.
pub(super) fn duration(value: &ValueKind) -> Parsed<Duration> {
    let ValueKind::String(text) = value else {
        return Err(format!("{} is not a duration in quotes such as \"30s\" or \"5m\"", shown(value)));
    };
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err(format!("{text:?} must be more than zero")),
        Ok(duration) if duration <= MAX_DURATION => Ok(duration),
        Ok(_) => Err(format!("{text:?} is more than 365days")),
        Err(_) => Err(format!("{} is not a duration such as 30s or 5m", shown(value))),
    }
}

/// An IP address and a port.
pub(super) fn address(value: &ValueKind) -> Parsed<SocketAddr> {
    let parsed = if let ValueKind::String(text) = value { text.parse().ok() } else { None };
    parsed.ok_or_else(|| format!("{} is not an IP address and port such as 127.0.0.1:5010 or [::1]:5010", shown(value)))
}

/// One of the names in a table.
pub(super) fn choice<T: Copy>(names: &[(&str, T)], value: &ValueKind) -> Parsed<T> {
    let chosen = names.iter().find(|(name, _)| matches!(value, ValueKind::String(text) if text == name));
    chosen.map(|(_, choice)| *choice).ok_or_else(|| {
        let names: Vec<_> = names.iter().map(|(name, _)| *name).collect();
        format!("{} is not one of {}", shown(value), names.join(", "))
    })
}

/// The name of a choice; a test holds that every choice has one.
pub(crate) fn choice_text<T: PartialEq>(names: &[(&'static str, T)], choice: &T) -> &'static str {
    names.iter().find(|(_, named)| named == choice).map_or("", |(name, _)| name)
}

/// What content is validated as.
pub(super) fn format(value: &ValueKind) -> Parsed<Format> {
    choice(&Format::ALL.map(|format| (format.name(), format)), value)
}

/// A store's URL, without a slash at its end.
pub(super) fn endpoint(value: &ValueKind) -> Parsed<Option<String>> {
    let Some(text) = optional(value)? else { return Ok(None) };
    if text.contains('@') {
        return Err("the URL must not hold credentials: set access_key_id and secret_access_key".to_owned());
    }
    let url = http::Uri::from_str(&text).ok();
    let good = url.is_some_and(|url| {
        matches!(url.scheme_str(), Some("http" | "https"))
            && url.host().is_some_and(|host| !host.is_empty())
            && url.query().is_none()
            && !text.contains('#')
    });
    if good {
        return Ok(Some(text.trim_end_matches('/').to_owned()));
    }
    Err(format!("{} is not a URL such as https://s3.example.com or http://localhost:9000", shown(value)))
}

/// A bucket's name, or nothing. The store knows the rest of its rules.
pub(super) fn bucket(value: &ValueKind) -> Parsed<String> {
    let name = optional(value)?.unwrap_or_default();
    let allowed = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    if name.chars().all(allowed) {
        return Ok(name);
    }
    Err(format!("{} is not a bucket's name: letters, digits, dots and hyphens", shown(value)))
}

/// What stands before every key: nothing, or what could be a key itself.
pub(super) fn prefix(value: &ValueKind) -> Parsed<String> {
    let text = optional(value)?.unwrap_or_default();
    let text = text.strip_prefix('/').unwrap_or(&text);
    let text = text.strip_suffix('/').unwrap_or(text);
    if text.is_empty() {
        return Ok(String::new());
    }
    text.parse::<Key>().map(String::from).map_err(|error| format!("cannot stand before a key: {error}"))
}

/// A glob that names are held against.
pub(super) fn glob(value: &ValueKind) -> Parsed<String> {
    let pattern = text(value)?;
    match globset::Glob::new(&pattern) {
        Ok(_) => Ok(pattern),
        Err(error) => Err(format!("{} is not a glob: {}", shown(value), error.kind())),
    }
}

/// A filter for what is logged.
///
/// `EnvFilter` takes a word that is no level for the name of a module, and then logs nothing else: a slip such as `inof`
/// would silence the log. So a bare word must be a level; a module is written with its level, `tidegate=trace`. And it
/// must be ASCII: `EnvFilter` (tracing-subscriber 0.3.23) panics on some filters that are not, such as ` λ=`.
pub(super) fn log_level(value: &ValueKind) -> Parsed<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let filter = text(value)?;
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let plain = |part: &str| part.contains(['=', '[', ']', '{', '}', '"']) || is_level(part.trim());
    if filter.is_ascii() && filter.split(',').all(plain) && tracing_subscriber::EnvFilter::try_new(&filter).is_ok() {
        return Ok(filter);
    }
    let levels = LEVELS.join(", ");
    Err(format!("{} is not one of {levels}, nor a list such as \"warn,tidegate=debug\"", shown(value)))
}

/// A size as text that reads back as the same size: in the unit, binary or decimal, that leaves the
/// smallest number.
pub(crate) fn size_text(bytes: u64) -> String {
    let units = UNITS.iter().filter(|(unit, _)| bytes != 0 && bytes.is_multiple_of(*unit));
    match units.max_by_key(|(unit, _)| *unit) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

/// A duration as text that reads back as the same duration.
pub(super) fn duration_text(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
