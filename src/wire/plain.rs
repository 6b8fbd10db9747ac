//! The plain protocol: what `nc` and ten lines of any language can speak.
//!
//! A header names the file and perhaps its size; the bytes follow. The answer is one line.

mod conversation;
mod count;
mod header;
mod names;
mod next;
mod sizes;
#[cfg(test)]
mod tests;
mod words;

pub use self::conversation::{Conversation, Decoded, HeaderForm, LineState, Options, Reading, Rivals, Sizes};
pub use self::header::decode;
pub use self::names::has_known_extension;
pub use self::next::{Follows, HeaderSearch, follows};
use crate::error::{Error, ErrorKind, Result};
use crate::upload::Receipt;

/// The longest header, in bytes, its newline included.
pub const MAX_HEADER_BYTES: usize = 4096;

/// Digits of the largest size.
const MAX_SIZE_DIGITS: usize = 20;

/// The longest refusal, in bytes, without its newline.
const MAX_MESSAGE_BYTES: usize = 1000;

/// What a sender says before its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The name as it was sent; not yet a key.
    pub name: String,
    /// How many bytes follow; without it, all until the end of the stream.
    pub size: Option<u64>,
}

/// Splits a line whose last word is a number into the name and that number.
fn split_size(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memrchr(b' ', line)?;
    is_number(&line[space + 1..]).then(|| (&line[..space], &line[space + 1..]))
}

/// Whether a line is a name without spaces and a size.
fn is_sized(line: &[u8]) -> bool {
    split_size(line).is_some_and(|(name, _)| !name.contains(&b' '))
}

fn parse_header(name: &[u8], size: Option<&[u8]>) -> Result<Header> {
    let bad = |what: &str| Error::new(ErrorKind::BadHeader, format!("header {:?} {what}", name.escape_ascii().to_string()));
    if name.is_empty() {
        return Err(bad("names no file: send `name size`, a newline, then the bytes"));
    }
    let name_text = std::str::from_utf8(name).map_err(|_| bad("is not UTF-8"))?;
    let size = match size.map(|digits| std::str::from_utf8(digits).map(str::parse)) {
        None => None,
        Some(Ok(Ok(size))) => Some(size),
        Some(Ok(Err(_)) | Err(_)) => return Err(bad("has a size that does not fit into 64 bits")),
    };
    Ok(Header { name: name_text.to_owned(), size })
}

fn is_number(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(u8::is_ascii_digit)
}

fn trim_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// How many digits `bytes` begin with, as far as a header can be.
fn leading_digits(bytes: &[u8]) -> usize {
    bytes.iter().take(MAX_HEADER_BYTES).take_while(|byte| byte.is_ascii_digit()).count()
}

/// Bytes of the newline that `bytes` begin with, a carriage return before it included.
fn leading_newline(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] => Some(2),
        _ => None,
    }
}

/// The size that digits say, if it fits.
fn size_of(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The line that answers a committed upload. It names the key, which may be a version beside the name that was sent.
pub fn encode_receipt(receipt: &Receipt) -> String {
    format!("OK {} {} {}\n", receipt.key, receipt.size, receipt.digest)
}

/// The line that answers a refusal.
pub fn encode_error(error: &Error) -> String {
    // One line already: an error escapes what would break it.
    let mut line = format!("ERR {} {}", error.kind().code(), error.public_message());
    line.truncate(line.floor_char_boundary(MAX_MESSAGE_BYTES));
    line.push('\n');
    line
}
