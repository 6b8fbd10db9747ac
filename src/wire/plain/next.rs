//! What comes behind a file of known size: another file, or too many bytes.

use super::names::{has_known_extension, is_key};
use crate::upload::Key;

/// Whether the bytes behind a file of known size begin another file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Follows {
    /// They begin with a name and a size.
    Header,
    /// More bytes are needed to tell.
    Unknown,
    /// They are too many.
    Surplus,
}

/// Tells what the bytes behind the file `previous` of known size are. Only a name with a size can follow: one with a known
/// extension or with that of the file before, so that lines of a file that has grown are not taken for headers.
pub fn follows(bytes: &[u8], previous: &str, has_ended: bool) -> Follows {
    let window = &bytes[..bytes.len().min(Key::MAX_BYTES + 1)];
    let Some(space) = memchr::memchr(b' ', window) else {
        let may_be_name = window.len() <= Key::MAX_BYTES && window.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
        return if may_be_name && !has_ended { Follows::Unknown } else { Follows::Surplus };
    };
    let name = &window[..space];
    let same_extension = extension(name).is_some() && extension(name) == extension(previous.as_bytes());
    if !is_key(name) || !(same_extension || has_known_extension(name)) {
        return Follows::Surplus;
    }
    match bytes.get(space + 1) {
        Some(byte) if byte.is_ascii_digit() => Follows::Header,
        None if !has_ended => Follows::Unknown,
        Some(_) | None => Follows::Surplus,
    }
}

fn extension(name: &[u8]) -> Option<&[u8]> {
    let dot = memchr::memrchr(b'.', name)?;
    Some(&name[dot + 1..])
}
