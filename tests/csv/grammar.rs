//! The grammar of RFC 4180, section 2, and no more: a table is well-formed, or it is not.

use std::ops::Range;

/// Whether a text is a table all of whose records have as many fields as its first one.
pub(crate) fn is_table(text: &[u8]) -> bool {
    first_broken(text).is_none()
}

/// The first record that is none, or that has another number of fields than the first one: from its beginning to where that shows.
pub(crate) fn first_broken(text: &[u8]) -> Option<Range<usize>> {
    let (mut at, mut columns) = (0, None);
    while at < text.len() {
        match record(text, at) {
            Ok((fields, next)) if *columns.get_or_insert(fields) == fields => at = next,
            Ok((_, next)) => return Some(at..next - 1),
            Err(broken) => return Some(at..broken),
        }
    }
    None
}

/// `record = field *(COMMA field) (CRLF / LF / end)`: its fields, and what follows it; or where it breaks.
fn record(text: &[u8], mut at: usize) -> Result<(usize, usize), usize> {
    let mut fields = 0;
    loop {
        at = field(text, at)?;
        fields += 1;
        match &text[at..] {
            [] => return Ok((fields, at)),
            [b',', ..] => at += 1,
            [b'\n', ..] => return Ok((fields, at + 1)),
            [b'\r', b'\n', ..] => return Ok((fields, at + 2)),
            _ => return Err(at),
        }
    }
}

/// `field = escaped / non-escaped`: what follows it; or where it breaks.
fn field(text: &[u8], mut at: usize) -> Result<usize, usize> {
    if text.get(at) != Some(&b'"') {
        return Ok(at + text[at..].iter().take_while(|byte| !b",\"\r\n".contains(byte)).count());
    }
    at += 1;
    loop {
        match &text[at..] {
            [] => return Err(at),
            [b'"', b'"', ..] => at += 2,
            [b'"', ..] => return Ok(at + 1),
            _ => at += 1,
        }
    }
}
