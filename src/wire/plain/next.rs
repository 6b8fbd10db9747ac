//! What comes behind a file of known size: another file, or too many bytes.

use super::conversation::Reading;
use super::names::{has_known_extension, is_key, may_begin_key, text_of_names};
use super::{MAX_HEADER_BYTES, MAX_SIZE_DIGITS, leading_digits, size_of, split_size, trim_cr};
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

/// Which names a further file may have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names<'a> {
    /// One with a known extension or with that of the file before, so that lines of a file that has
    /// grown are not taken for headers.
    After(&'a str),
    Any,
}

/// Tells what the bytes behind the file `previous` of known size are. Only a name with a size can follow: one with a known
/// extension or with that of the file before, and a line behind a line.
pub fn follows(bytes: &[u8], previous: &Reading, has_ended: bool) -> Follows {
    follows_named(bytes, Names::After(&previous.header.name), previous.is_line, has_ended)
}

/// As [`follows`], with one of these `names`, and behind a line only with a line.
pub(super) fn follows_named(bytes: &[u8], names: Names<'_>, is_line: bool, has_ended: bool) -> Follows {
    let window = &bytes[..bytes.len().min(Key::MAX_BYTES + 1)];
    let Some(space) = memchr::memchr(b' ', window) else {
        let may_be_name = window.len() <= Key::MAX_BYTES && window.iter().all(|byte| *byte > b' ' && *byte != 0x7f);
        return if may_be_name && !has_ended { Follows::Unknown } else { Follows::Surplus };
    };
    match bytes.get(space + 1) {
        Some(byte) if byte.is_ascii_digit() && !is_line && names.allow(&window[..space]) => Follows::Header,
        None if !has_ended && names.allow(&window[..space]) => Follows::Unknown,
        Some(_) | None => line_follows(bytes, names, has_ended),
    }
}

/// Whether the bytes begin with a line, whose name may have several words.
fn line_follows(bytes: &[u8], names: Names<'_>, has_ended: bool) -> Follows {
    let window = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    match memchr::memchr(b'\n', window).map(|end| split_size(trim_cr(&window[..end]))) {
        Some(Some((name, _))) if names.allow(name) && !name.starts_with(b" ") => Follows::Header,
        None if !has_ended && !window.starts_with(b" ") && may_begin_key(trim_cr(window)) => Follows::Unknown,
        Some(_) | None => Follows::Surplus,
    }
}

impl Names<'_> {
    fn allow(self, name: &[u8]) -> bool {
        let has_expected_extension = |previous: &str| {
            let extension_of = |name| memchr::memrchr(b'.', name).map(|dot| &name[dot + 1..]);
            has_known_extension(name) || extension_of(name).is_some_and(|own| extension_of(previous.as_bytes()) == Some(own))
        };
        is_key(name)
            && match self {
                Self::After(previous) => has_expected_extension(previous),
                Self::Any => true,
            }
    }
}

/// Whether `bytes` are files of known size, one behind the other, to the last byte. Gives up after
/// [`MAX_PLACES`]; the answer is then the one that commits nothing: `false` for [`Names::After`],
/// `true` for [`Names::Any`].
pub(super) fn are_files(bytes: &[u8], names: Names<'_>, is_line: bool) -> bool {
    let (mut places, mut left) = (vec![(bytes, names)], MAX_PLACES);
    while let Some((bytes, names)) = places.pop() {
        if bytes.is_empty() {
            return true;
        }
        if left == 0 {
            return matches!(names, Names::Any);
        }
        left -= 1;
        if follows_named(bytes, names, is_line, true) == Follows::Header {
            let next = |name| if let Names::Any = names { Names::Any } else { Names::After(name) };
            places.extend(ends(bytes, is_line).into_iter().map(|(rest, name)| (rest, next(name))));
        }
    }
    false
}

/// A look through content for texts that look like the header of a further file.
#[derive(Debug)]
pub struct HeaderSearch {
    /// The name of the file, whose extension a further one may have.
    name: String,
    /// The end of what came, in which a text may have begun.
    tail: Vec<u8>,
    has_text_ended: bool,
    has_found: bool,
}

impl HeaderSearch {
    /// In the content of the file `name`.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), tail: Vec::new(), has_text_ended: false, has_found: false }
    }

    /// Looks through the next bytes of the content.
    pub fn look_through(&mut self, bytes: &[u8]) {
        self.has_text_ended |= text_of_names(bytes).len() < bytes.len();
        self.tail.extend_from_slice(bytes);
        let names = Names::After(&self.name);
        let is_header = |space: usize| {
            let begin = self.tail[..space].iter().rposition(|byte| *byte <= b' ').map_or(0, |before| before + 1);
            self.tail.get(space + 1).is_some_and(u8::is_ascii_digit) && names.allow(&self.tail[begin..space])
        };
        self.has_found = self.has_found || memchr::memchr_iter(b' ', &self.tail).any(is_header);
        self.tail.drain(..self.tail.len().saturating_sub(Key::MAX_BYTES + 2));
    }

    /// Whether the header of a further file which follows here proves that the content ends: it is
    /// the first text that looks like one, and no word of the name before. Content that lists files
    /// and sizes holds many such texts.
    pub fn is_proof_behind(&self) -> bool {
        self.has_text_ended && !self.has_found
    }
}

/// Places that are looked at for the beginning of a further file: digits may make many of them.
const MAX_PLACES: usize = 100;

/// The rest behind a file that begins here, and its name, for each size that its digits may be.
fn ends(bytes: &[u8], is_line: bool) -> Vec<(&[u8], &str)> {
    let Some(space) = memchr::memchr(b' ', bytes) else { return Vec::new() };
    let digits = if is_line { 0 } else { leading_digits(&bytes[space + 1..]) };
    let joined = (1..=digits.min(MAX_SIZE_DIGITS)).map(|end| (&bytes[..space], space + 1 + end, space + 1 + end));
    let line = memchr::memchr(b'\n', &bytes[..bytes.len().min(MAX_HEADER_BYTES)]).and_then(|newline| {
        let (name, size) = split_size(trim_cr(&bytes[..newline]))?;
        Some((name, name.len() + 1 + size.len(), newline + 1))
    });
    let behind = |(name, digits_end, header): (&'_ [u8], usize, usize)| {
        let size = size_of(bytes.get(name.len() + 1..digits_end)?)?;
        Some((bytes[header..].get(size..)?, std::str::from_utf8(&bytes[..name.len()]).ok()?))
    };
    joined.chain(line).filter_map(behind).collect()
}
