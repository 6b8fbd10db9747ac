//! Evidence in the first bytes of a connection about what they are: file names with an extension of a known file type, and the
//! first words of other protocols.

use std::path::Path;

use super::{MAX_SIZE_DIGITS, leading_digits};
use crate::upload::Key;

/// Extensions that end a file name beyond doubt, in lower case and in order. A header that ends
/// with its first packet is told from one that is cut between two packets by the extension alone.
/// An extension that is another one and one more character (`json5`, `jsonld`, `data`) is left out
/// where it is rare, or where the other one is often of text: the character may be content.
const KNOWN_EXTENSIONS: [&str; 74] = [
    "avro", "bin", "bmp", "bz2", "cbor", "cfg", "conf", "config", "csv", "dat", "db", "dbf", "doc", "docx", "edf", "flac",
    "geojson", "gif", "gpx", "gz", "h5", "hdf5", "htm", "html", "ics", "ini", "jpeg", "jpg", "json", "jsonl", "kml", "las",
    "log", "lz4", "md", "mp3", "mp4", "msgpack", "nc", "ndjson", "nmea", "npy", "npz", "orc", "parquet", "pb", "pbf",
    "pcap", "pcapng", "pdf", "png", "raw", "rtf", "sql", "sqlite", "sqlite3", "tar", "tgz", "tif", "tiff", "tsv", "txt",
    "wav", "xls", "xlsm", "xlsx", "xml", "xz", "yaml", "yml", "zip", "zst", "zstd", "zz",
];

/// Whether a name ends with a known extension that has a stem before it.
pub fn has_known_extension(name: &[u8]) -> bool {
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let path = Path::new(name);
    path.extension().and_then(|extension| extension.to_str()).is_some_and(is_known)
}

fn is_known(extension: &str) -> bool {
    KNOWN_EXTENSIONS.binary_search(&extension.to_ascii_lowercase().as_str()).is_ok()
}

/// Whether these bytes are a valid name.
pub(super) fn is_key(name: &[u8]) -> bool {
    std::str::from_utf8(name).is_ok_and(|name| name.parse::<Key>().is_ok())
}

/// The bytes at the front that can be words of a name which has spaces: no name holds a control
/// character, a colon or a backslash, and hardly one of several words holds what separates values
/// in data files.
pub(super) fn text_of_names(bytes: &[u8]) -> &[u8] {
    let longest = &bytes[..bytes.len().min(Key::MAX_BYTES + MAX_SIZE_DIGITS + 2)];
    let is_content = |byte: &u8| byte.is_ascii_control() || matches!(byte, b':' | b'\\') || is_separator(*byte);
    without_flaw(&longest[..longest.iter().position(is_content).unwrap_or(longest.len())])
}

/// The beginning that is UTF-8, and perhaps the first bytes of another character.
fn without_flaw(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        Err(error) if error.error_len().is_some() => &text[..error.valid_up_to()],
        Ok(_) | Err(_) => text,
    }
}

fn is_separator(byte: u8) -> bool {
    matches!(byte, b',' | b';' | b'|' | b'<' | b'>' | b'"' | b'{' | b'}' | b'[' | b']')
}

/// Whether a name looks like the first line of a file that was sent without a header.
pub(super) fn is_like_content(name: &[u8]) -> bool {
    name.starts_with(b"#") || name.iter().any(|byte| is_separator(*byte))
}

/// Whether a valid name can begin with these bytes.
pub(super) fn may_begin_key(bytes: &[u8]) -> bool {
    if bytes.len() > Key::MAX_BYTES + MAX_SIZE_DIGITS + 1 || without_flaw(bytes).len() < bytes.len() {
        return false;
    }
    let text = bytes.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    is_key(&[text.as_bytes(), b"x"].concat())
}

/// Whether `name` goes on with the extension of `first`, which is its beginning: `a.csv` and `a.csv.gz`, `a.json` and `a.jsonl`.
pub(super) fn extends(first: &[u8], name: &[u8]) -> bool {
    let rest = &name[first.len()..];
    match rest.strip_prefix(b".") {
        Some(extension) => std::str::from_utf8(extension).is_ok_and(is_known),
        None => !rest.contains(&b'.') && !rest.contains(&b'/') && has_known_extension(name),
    }
}

/// Whether a known extension is followed by something else that is no further extension: the end of a name without a separator
/// and the beginning of the content look like that (`n2.csvts,temp`).
pub(super) fn runs_on_behind_extension(name: &[u8]) -> bool {
    if has_known_extension(name) {
        return false;
    }
    // The content may hold a slash, and make a folder of the name: dates do.
    name.split(|byte| *byte == b'/').flat_map(|component| component.split(|byte| *byte == b'.').skip(1)).any(|word| {
        let longest = word.len().min(8);
        let known = (1..=longest).find(|end| std::str::from_utf8(&word[..*end]).is_ok_and(is_known));
        known.is_some_and(|end| end < word.len())
    })
}

/// The protocol whose first words these are, if it is another one than ours.
pub(super) fn other_protocol(bytes: &[u8]) -> Option<&'static str> {
    const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    if bytes.starts_with(PROXY_V2) || bytes.starts_with(b"PROXY ") {
        return Some("the PROXY protocol");
    }
    if bytes.starts_with(b"SSH-") {
        return Some("SSH");
    }
    if is_syslog(bytes) {
        return Some("syslog");
    }
    let line_end = memchr::memchr(b'\n', bytes);
    let line = super::trim_cr(&bytes[..line_end.unwrap_or(bytes.len())]);
    let mut words = line.split(|byte| *byte == b' ');
    let first = words.next().unwrap_or_default();
    if is_http(first, words.next(), line, line_end.is_some()) {
        return Some("HTTP");
    }
    if is_redis(bytes) {
        return Some("Redis");
    }
    if first.len() > 8 && first[..4].iter().all(u8::is_ascii_hexdigit) && first[4..].starts_with(b"git-") {
        return Some("Git");
    }
    let spoken = line_end.is_some() || line.len() > first.len();
    if spoken && is_command(first) && !super::is_sized(line) {
        return Some("a mail, file transfer or chat protocol");
    }
    None
}

/// A priority in angle brackets (RFC 5424 section 6.2.1).
fn is_syslog(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"<") else { return false };
    let digits = leading_digits(rest);
    (1..=3).contains(&digits) && rest[digits..].starts_with(b">")
}

/// A request line of HTTP (RFC 9112 section 3), or of RTSP or SIP, which have the same form.
fn is_http(method: &[u8], target: Option<&[u8]>, line: &[u8], is_whole: bool) -> bool {
    const METHODS: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"PROPFIND"];
    let target = target.unwrap_or_default();
    if METHODS.iter().any(|known| known.eq_ignore_ascii_case(method))
        && target.first().is_some_and(|byte| matches!(byte, b'/' | b'*' | b'h' | b's' | b'r'))
    {
        return true;
    }
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    is_whole
        && (method == b"CONNECT" && !target.is_empty()
            || line.len() > version.len() && [&b"HTTP/"[..], b"RTSP/", b"SIP/"].iter().any(|name| version.starts_with(name)))
}

/// An array of strings (Redis serialization protocol specification, RESP2).
fn is_redis(bytes: &[u8]) -> bool {
    let Some(rest) = bytes.strip_prefix(b"*") else { return false };
    let digits = leading_digits(rest);
    digits > 0 && rest[digits..].starts_with(b"\r\n$")
}

/// Commands that clients of SMTP, FTP, POP3, IRC and STOMP begin with, and that port scanners send;
/// in any case, as these protocols have it (RFC 5321 section 2.4, RFC 959 section 5.3).
fn is_command(word: &[u8]) -> bool {
    const COMMANDS: [&[u8]; 20] = [
        b"HELP",
        b"USER",
        b"PASS",
        b"QUIT",
        b"EHLO",
        b"HELO",
        b"LHLO",
        b"NICK",
        b"STARTTLS",
        b"AUTH",
        b"MAIL",
        b"RCPT",
        b"NOOP",
        b"PING",
        b"FEAT",
        b"OPTS",
        b"JOIN",
        b"CAPA",
        b"STOMP",
        b"CONNECT",
    ];
    COMMANDS.iter().any(|command| command.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_extensions_are_in_order() {
        assert!(KNOWN_EXTENSIONS.is_sorted(), "a binary search needs them so");
    }

    #[test]
    fn a_known_extension_ends_a_name() {
        for name in ["a.csv", "x/a.b.CSV", "a.csv.gz", "a.jsonl"] {
            assert!(has_known_extension(name.as_bytes()), "{name}");
        }
        for name in ["", "csv", ".csv", "a.c", "a.csvx", "a.csv/b", "a.", "a.csv "] {
            assert!(!has_known_extension(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_extension_can_go_on_in_the_next_packet() {
        for (first, name) in [("a.csv", "a.csv.gz"), ("a.json", "a.jsonl"), ("a.x.xls", "a.x.xlsx")] {
            assert!(extends(first.as_bytes(), name.as_bytes()), "{first} {name}");
        }
        for (first, name) in [("a.csv", "a.csvb.csv"), ("a.csv", "a.csv/b.csv"), ("a.csv", "a.csvx")] {
            assert!(!extends(first.as_bytes(), name.as_bytes()), "{first} {name}");
        }
    }

    #[test]
    fn content_glued_to_a_name_shows_behind_the_extension() {
        for name in [
            "n2.csvts,temp",
            "n.json{",
            "x/n.csv17",
            "a.json5",
            "a.b/n.txtabc.d",
            "n.csv-5",
            "a.csv_old",
            "n.csv2024/01/02,5",
            "a.csvx/b",
        ] {
            assert!(runs_on_behind_extension(name.as_bytes()), "{name}");
        }
        for name in ["n2.csv", "n", "a.csv.bak", "app.log.1", "a.tar/b", "readings", "a.c", "a.c/b.d/e"] {
            assert!(!runs_on_behind_extension(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn other_protocols_are_told_by_their_first_words() {
        #[rustfmt::skip]
        let others: &[&[u8]] = &[
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11", b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\nx", b"SSH-2.0-OpenSSH_9.2\r\n",
            b"<13>Oct 17 03:12:44 host app: x", b"GET / HTTP/1.1\r\n", b"PUT /a.csv HTTP/1.1\r\n", b"GET /",
            b"CONNECT x:443 HTTP/1.1\r\n", b"OPTIONS sip:nm SIP/2.0\r\n", b"OPTIONS rtsp://x RTSP/1.0\r\n", b"HELP\r\n", b"HELP\n",
            b"USER anonymous\r\n", b"EHLO x\r\n", b"HTTP/1.1 200 OK HTTP/1.1\n", b"ehlo x\r\n", b"user anonymous\r\n",
            b"get / http/1.0\r\n", b"*1\r\n$4\r\ninfo\r\n", b"0033git-upload-pack /x\0host=x\0", b"CONNECT\nhost:x\n\n\0",
        ];
        for bytes in others {
            assert!(other_protocol(bytes).is_some(), "{}", bytes.escape_ascii());
        }
        #[rustfmt::skip]
        let ours: &[&[u8]] = &[
            b"a.csv 4\nx\n1\n", b"HELP", b"HELP 4\nabcd", b"USER.csv x", b"GET", b"GETTING x", b"<13.csv x", b"GET.csv /x", b"\r\n",
            b"*1\r\nx", b"0033git.csv\nx", b"connect.csv\nx", b"mail 4\nabcd",
        ];
        for bytes in ours {
            assert_eq!(other_protocol(bytes), None, "{}", bytes.escape_ascii());
        }
    }
}
