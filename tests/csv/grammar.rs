//! The grammar of RFC 4180, section 2, and no more: a table is well-formed, or it is not.

/// Whether a text is a table all of whose records have as many fields as its first one.
pub(crate) fn is_table(text: &[u8]) -> bool {
    let (mut at, mut columns) = (0, None);
    while at < text.len() {
        let Some((fields, next)) = record(text, at) else { return false };
        if *columns.get_or_insert(fields) != fields {
            return false;
        }
        at = next;
    }
    true
}

/// `record = field *(COMMA field) (CRLF / LF / end)`: its fields, and what follows it.
fn record(text: &[u8], mut at: usize) -> Option<(usize, usize)> {
    let mut fields = 0;
    loop {
        at = field(text, at)?;
        fields += 1;
        match &text[at..] {
            [] => return Some((fields, at)),
            [b',', ..] => at += 1,
            [b'\n', ..] => return Some((fields, at + 1)),
            [b'\r', b'\n', ..] => return Some((fields, at + 2)),
            _ => return None,
        }
    }
}

/// `field = escaped / non-escaped`: what follows it.
fn field(text: &[u8], mut at: usize) -> Option<usize> {
    if text.get(at) != Some(&b'"') {
        return Some(at + text[at..].iter().take_while(|byte| !b",\"\r\n".contains(byte)).count());
    }
    at += 1;
    loop {
        match text.get(at..)? {
            [] => return None,
            [b'"', b'"', ..] => at += 2,
            [b'"', ..] => return Some(at + 1),
            _ => at += 1,
        }
    }
}
