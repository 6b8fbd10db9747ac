//! What comes behind a file of known size: another file, or too many bytes.

use super::names::{has_known_extension, is_key};
use super::trim_cr;
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

/// Whether `bytes` are files of known size, one behind the other, to the last byte.
pub(super) fn are_files(bytes: &[u8], previous: &str) -> bool {
    let (mut places, mut left) = (vec![(bytes, previous)], MAX_PLACES);
    while let Some((bytes, previous)) = places.pop() {
        if bytes.is_empty() {
            return true;
        }
        if left == 0 {
            return false;
        }
        left -= 1;
        if follows(bytes, previous, true) == Follows::Header {
            places.extend(ends(bytes));
        }
    }
    false
}

/// Places that are looked at for the beginning of a further file: digits may make many of them.
const MAX_PLACES: usize = 1000;

/// What comes behind a file that begins here, and its name, for each size that its digits may be.
fn ends(bytes: &[u8]) -> Vec<(&[u8], &str)> {
    let Some(space) = memchr::memchr(b' ', bytes) else { return Vec::new() };
    let Ok(name) = std::str::from_utf8(&bytes[..space]) else { return Vec::new() };
    let behind_name = &bytes[space + 1..];
    let digits = behind_name.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let newline = memchr::memchr(b'\n', &behind_name[digits..]).filter(|end| *end < 2);
    let line =
        newline.filter(|end| trim_cr(&behind_name[digits..digits + end]).is_empty()).map(|end| (digits, digits + end + 1));
    let headers = (1..=digits.min(20)).map(|end| (end, end)).chain(line);
    let behind = |(digits, header): (usize, usize)| {
        let size = std::str::from_utf8(&behind_name[..digits]).ok()?.parse::<usize>().ok()?;
        behind_name[header..].get(size..).map(|rest| (rest, name))
    };
    headers.filter_map(behind).collect()
}

fn extension(name: &[u8]) -> Option<&[u8]> {
    let dot = memchr::memrchr(b'.', name)?;
    Some(&name[dot + 1..])
}
