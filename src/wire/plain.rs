//! The plain protocol: what `nc` and ten lines of any language can speak.
//!
//! A header names the file and perhaps its size; the bytes follow. The answer is one line.

use crate::error::{Error, ErrorKind, Result};
use crate::upload::Receipt;

/// The longest header, in bytes, its newline included.
pub const MAX_HEADER_BYTES: usize = 4096;

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

/// How a header may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderForm {
    /// By a newline only.
    Newline,
    /// By a newline, a space or a pause, as senders that are in the field have it.
    Any,
}

/// Why the decoder is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// More bytes have come, or may come.
    Data,
    /// No bytes have come for as long as the pause that ends a header.
    Pause,
    /// No more bytes will come.
    End,
}

/// Reads a header from the first bytes of a connection: the header and how many bytes it took, or `None` while it is not
/// complete.
///
/// A line `name` or `name size` is a header. Where the first line is neither, and where no newline comes, the header is the
/// name up to the first space, and the bytes follow at once; at a pause, what has come is the header if it is `name` or
/// `name size`. So a name that holds a space needs [`HeaderForm::Newline`], or the framed protocol.
///
/// # Errors
/// [`ErrorKind::BadHeader`]; [`ErrorKind::Incomplete`] where the stream ended inside the header.
pub fn decode(buffer: &[u8], signal: Signal, form: HeaderForm) -> Result<Option<(Header, usize)>> {
    let window = &buffer[..buffer.len().min(MAX_HEADER_BYTES)];
    let decoded = match (memchr::memchr(b'\n', window), form) {
        (Some(end), HeaderForm::Newline) => Some((whole_line(trim_cr(&window[..end]))?, end + 1)),
        (None, HeaderForm::Newline) => None,
        (line_end, HeaderForm::Any) => any_form(window, line_end, signal)?,
    };
    match (decoded, signal) {
        (Some(decoded), _) => Ok(Some(decoded)),
        (None, _) if buffer.len() >= MAX_HEADER_BYTES => {
            Err(Error::new(ErrorKind::BadHeader, format!("header has no end within {MAX_HEADER_BYTES} bytes")))
        }
        (None, Signal::End) => Err(Error::new(ErrorKind::Incomplete, "the stream ended inside the header")),
        (None, Signal::Data | Signal::Pause) => Ok(None),
    }
}

/// A line as a header: all but a last word of digits is the name.
fn whole_line(line: &[u8]) -> Result<Header> {
    match memchr::memrchr(b' ', line) {
        Some(space) if is_number(&line[space + 1..]) => header(&line[..space], Some(&line[space + 1..])),
        Some(_) | None => header(line, None),
    }
}

fn any_form(window: &[u8], line_end: Option<usize>, signal: Signal) -> Result<Option<(Header, usize)>> {
    let first_line = line_end.map_or(window, |end| trim_cr(&window[..end]));
    let Some(space) = memchr::memchr(b' ', first_line) else {
        return match (line_end, signal) {
            (Some(end), _) => Ok(Some((header(first_line, None)?, end + 1))),
            (None, Signal::Pause) => Ok(Some((header(window, None)?, window.len()))),
            (None, Signal::Data | Signal::End) => Ok(None),
        };
    };
    let (name, rest) = (&first_line[..space], &first_line[space + 1..]);
    match (line_end, is_number(rest), signal) {
        (Some(end), true, _) => Ok(Some((header(name, Some(rest))?, end + 1))),
        (None, true, Signal::Pause) => Ok(Some((header(name, Some(rest))?, window.len()))),
        // A size without its bytes, or a file of digits alone? Refused: to guess would be to store the wrong thing.
        (None, true, Signal::End) => Ok(None),
        // Whether the digits, or the CR behind them, are all of the line is not known yet.
        (None, _, Signal::Data) if rest.is_empty() || is_number(trim_cr(rest)) => Ok(None),
        (_, _, Signal::Data | Signal::Pause | Signal::End) => {
            refuse_http(name, rest)?;
            Ok(Some((header(name, None)?, space + 1)))
        }
    }
}

/// A browser, or a probe that expects HTTP, would otherwise leave a file called `GET`.
fn refuse_http(name: &[u8], rest: &[u8]) -> Result<()> {
    const METHODS: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"PROPFIND"];
    let target = rest.first().is_some_and(|byte| matches!(byte, b'/' | b'*' | b'h'));
    if name == b"CONNECT" || METHODS.contains(&name) && target {
        return Err(Error::new(ErrorKind::BadHeader, "this port takes files, not HTTP requests"));
    }
    Ok(())
}

fn header(name: &[u8], size: Option<&[u8]>) -> Result<Header> {
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

/// The line that answers a committed upload. It names the key, which may be a version beside the name that was sent.
pub fn encode_receipt(receipt: &Receipt) -> String {
    format!("OK {} {} {}\n", receipt.key, receipt.size, receipt.digest)
}

/// The line that answers a refusal.
pub fn encode_error(error: &Error) -> String {
    // One line already: an error escapes what would break it.
    let mut line = format!("ERR {} {error}", error.kind().code());
    line.truncate(line.floor_char_boundary(MAX_MESSAGE_BYTES));
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, size and bytes taken.
    type Outcome = Result<Option<(String, Option<u64>, usize)>, ErrorKind>;

    fn outcome(bytes: &[u8], signal: Signal, form: HeaderForm) -> Outcome {
        match decode(bytes, signal, form) {
            Ok(decoded) => Ok(decoded.map(|(header, taken)| (header.name, header.size, taken))),
            Err(error) => Err(error.kind()),
        }
    }

    #[allow(clippy::unnecessary_wraps, reason = "it stands where an outcome is expected")]
    fn named(name: &str, size: Option<u64>, taken: usize) -> Outcome {
        Ok(Some((name.to_owned(), size, taken)))
    }

    #[test]
    fn a_header_ends_where_the_protocol_says() {
        use Signal::{Data, End, Pause};
        #[rustfmt::skip]
        let table: &[(&[u8], Signal, Outcome)] = &[
            // A line is a header.
            (b"a/b.csv 12\nxyz", Data, named("a/b.csv", Some(12), 11)),
            (b"a/b.csv 12\r\nxyz", Data, named("a/b.csv", Some(12), 12)),
            (b"a.csv\nx,y\n1,2", Data, named("a.csv", None, 6)),
            (b"a.csv\r\n", Data, named("a.csv", None, 7)),
            (b"a.csv 0\n", End, named("a.csv", Some(0), 8)),
            // Without one, the first space ends it.
            (b"a.csv x,y\n1,2\n", Data, named("a.csv", None, 6)),
            (b"a.csv 1,2\n3,4\n", Data, named("a.csv", None, 6)),
            (b"a.csv 1 2", Data, named("a.csv", None, 6)),
            (b"a.json {\"a\":", Data, named("a.json", None, 7)),
            (b"a.bin \n\n", Data, named("a.bin", None, 6)),
            (b"a.csv \xff\xfe", Data, named("a.csv", None, 6)),
            // A pause ends a burst.
            (b"a.csv ", Pause, named("a.csv", None, 6)),
            (b"a.csv 12", Pause, named("a.csv", Some(12), 8)),
            (b"a.csv", Pause, named("a.csv", None, 5)),
            // So does the end, where the header is known to have ended.
            (b"a.csv ", End, named("a.csv", None, 6)),
            (b"a.csv 12", End, Err(ErrorKind::Incomplete)),
            (b"a.csv 0", End, Err(ErrorKind::Incomplete)),
            (b"a.csv", End, Err(ErrorKind::Incomplete)),
            // What may still become something else waits.
            (b"a.csv", Data, Ok(None)),
            (b"a.csv ", Data, Ok(None)),
            (b"a.csv 12", Data, Ok(None)),
            (b"a.csv 12\r", Data, Ok(None)),
            (b"a.csv 12\rx", Data, named("a.csv", None, 6)),
            // What can't be a header is refused.
            (b"\n", Data, Err(ErrorKind::BadHeader)),
            (b" 12\n", Data, Err(ErrorKind::BadHeader)),
            (b"\xff\n", Data, Err(ErrorKind::BadHeader)),
            (b"a.csv 99999999999999999999\n", Data, Err(ErrorKind::BadHeader)),
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", Data, Err(ErrorKind::BadHeader)),
            (b"PUT /a.csv HTTP/1.1\r\n", Data, Err(ErrorKind::BadHeader)),
            (b"CONNECT x:443 HTTP/1.1\r\n", Data, Err(ErrorKind::BadHeader)),
        ];
        for (bytes, signal, expected) in table {
            let shown = bytes.escape_ascii();
            assert_eq!(&outcome(bytes, *signal, HeaderForm::Any), expected, "{shown} {signal:?}");
        }
    }

    #[test]
    fn a_line_may_be_demanded_and_then_holds_spaces() {
        use Signal::{Data, End, Pause};
        let strict = |bytes: &[u8], signal| outcome(bytes, signal, HeaderForm::Newline);
        assert_eq!(strict(b"my file.csv 12\nx", Data), named("my file.csv", Some(12), 15));
        assert_eq!(strict(b"my file.csv\nx", Data), named("my file.csv", None, 12));
        assert_eq!(strict(b"a.csv x,y", Data), Ok(None));
        assert_eq!(strict(b"a.csv 12", Pause), Ok(None));
        assert_eq!(strict(b"a.csv 12", End), Err(ErrorKind::Incomplete));
    }

    #[test]
    fn a_header_is_bounded() {
        let long = vec![b'x'; MAX_HEADER_BYTES];
        for form in [HeaderForm::Any, HeaderForm::Newline] {
            assert_eq!(outcome(&long, Signal::Data, form), Err(ErrorKind::BadHeader));
            assert_eq!(outcome(&long[1..], Signal::Data, form), Ok(None));
            let mut late = long.clone();
            late.push(b'\n');
            assert_eq!(outcome(&late, Signal::Data, form), Err(ErrorKind::BadHeader));
        }
    }

    #[test]
    fn decoding_by_the_byte_finds_the_same_header() {
        for whole in
            [&b"a/b.csv 12\nxyz"[..], b"a.csv x,y\n1,2\n", b"a.csv\r\nabc", b"a.csv 12\r\nabc", b"a.csv 12x", b"a.csv \r\n"]
        {
            let at_once = decode(whole, Signal::Data, HeaderForm::Any).unwrap();
            let by_byte = (0..=whole.len()).find_map(|end| decode(&whole[..end], Signal::Data, HeaderForm::Any).unwrap());
            assert_eq!(by_byte, at_once, "{}", whole.escape_ascii());
        }
    }

    #[test]
    fn an_answer_is_one_line() {
        let error = Error::new(ErrorKind::Invalid, format!("two\nlines {}", "x".repeat(5000)));
        let line = encode_error(&error);
        assert!(line.starts_with("ERR invalid two\\nlines xxx") && line.ends_with("x\n"), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
        assert!(line.len() <= MAX_MESSAGE_BYTES + 1);
    }
}
