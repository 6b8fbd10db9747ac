//! The line that a flaw stands in, cut to what a terminal shows, and how far from its beginning the caret is.
//!
//! A file may be of any size and may hold no line end at all: a few KiB around the place are read, never more.

use std::io::{self, Read, Seek, SeekFrom};

use unicode_width::UnicodeWidthChar;

use crate::escape::is_escaped;
use crate::report::Flaw;
use crate::validate::Snippets;

/// A line as it is shown, and where carets stand below it, in columns of a terminal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Excerpt {
    pub(super) shown: String,
    /// Columns before the first caret.
    pub(super) before: usize,
    /// How many carets: one at least.
    pub(super) carets: usize,
}

/// Bytes that are read before the place, and from it on.
const BACK: u64 = 2 << 10;
const AHEAD: u64 = 2 << 10;

/// Columns of a line that are shown, and how many of them may stand before the place where there is more behind it.
const WIDTH: usize = 100;
const WIDTH_BEFORE: usize = 60;

impl Excerpt {
    /// Reads the line again; `None` where the file has become shorter.
    pub(super) fn read(
        file: &mut (impl Read + Seek),
        flaw: &Flaw,
        delimiter: u8,
        snippets: Snippets,
    ) -> io::Result<Option<Self>> {
        if flaw.line == 0 {
            return Ok(None);
        }
        let from = flaw.offset.saturating_sub(BACK);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(BACK + AHEAD).read_to_end(&mut bytes)?;
        let Ok(at) = usize::try_from(flaw.offset - from) else { return Ok(None) };
        if at > bytes.len() {
            return Ok(None);
        }
        // A character that the window cuts is not shown: its other bytes would look broken.
        let is_cut = from > 0;
        let begin =
            bytes[..at].iter().rposition(|&byte| byte == b'\n').map_or(
                if is_cut { bytes[..at].iter().take_while(|&&byte| byte & 0xc0 == 0x80).count() } else { 0 },
                |last| last + 1,
            );
        let end = bytes[at..].iter().position(|&byte| byte == b'\n').map_or(bytes.len(), |length| at + length);
        let more_before = is_cut && !bytes[..begin].ends_with(b"\n");
        let more_behind = end == bytes.len() && bytes.len() as u64 == BACK + AHEAD;
        // The CR of a line end is no part of the line.
        let line = match &bytes[begin..end] {
            [line @ .., b'\r'] if end < bytes.len() => line,
            line => line,
        };
        let span = if flaw.field.is_some() { cell_bytes(&bytes[at..end], delimiter) } else { 1 };
        let line = Line { signs: signs(line, snippets), at: at - begin, span, more_before, more_behind };
        Ok(Some(line.excerpt()))
    }

    /// What a report has kept of the line or of the cell: it is escaped already.
    pub(super) fn of_snippet(flaw: &Flaw) -> Option<Self> {
        let shown = flaw.snippet.clone()?;
        let units = units(&shown);
        let width = |units: &[&str]| -> usize { units.iter().map(|unit| columns(unit)).sum() };
        if flaw.field.is_some() {
            return Some(Self { carets: width(&units).max(1), before: 0, shown });
        }
        // The last character is the one at the place, unless the line ends there. Of a long line only its end is known.
        let is_behind = usize::try_from(flaw.column).is_ok_and(|column| column == units.len() + 1);
        let split = if is_behind { units.len() } else { units.len().saturating_sub(1) };
        let (before, at) = units.split_at(split);
        Some(Self { before: width(before), carets: width(at).max(1), shown })
    }
}

/// A line in pieces that are shown.
struct Line {
    signs: Vec<Sign>,
    /// The byte of the line that the flaw is at, and how many bytes are wrong from there on.
    at: usize,
    span: usize,
    more_before: bool,
    more_behind: bool,
}

/// A character, or a byte that is none.
struct Sign {
    /// Where it begins, and how long it is there.
    at: usize,
    bytes: usize,
    shown: String,
    columns: usize,
}

impl Line {
    fn excerpt(&self) -> Excerpt {
        let first = self.signs.partition_point(|sign| sign.at + sign.bytes <= self.at);
        let behind = self.signs.partition_point(|sign| sign.at < self.at + self.span).max(first);
        let (from, to) = self.window(first);
        let width = |signs: &[Sign]| -> usize { signs.iter().map(|sign| sign.columns).sum() };
        let dots = |more| if more { "…" } else { "" };
        let head = dots(self.more_before || from > 0);
        let tail = dots(self.more_behind || to < self.signs.len());
        let text: String = self.signs[from..to].iter().map(|sign| sign.shown.as_str()).collect();
        Excerpt {
            shown: format!("{head}{text}{tail}"),
            before: columns(head) + width(&self.signs[from..first.min(to)]),
            carets: width(&self.signs[first.min(to)..behind.min(to)]).max(1),
        }
    }

    /// Which signs are shown: all if they fit, else those around the place.
    fn window(&self, first: usize) -> (usize, usize) {
        let total: usize = self.signs.iter().map(|sign| sign.columns).sum();
        if total <= WIDTH {
            return (0, self.signs.len());
        }
        let mut from = first.min(self.signs.len());
        let mut used = 0;
        while from > 0 && used + self.signs[from - 1].columns <= WIDTH_BEFORE {
            from -= 1;
            used += self.signs[from].columns;
        }
        let mut to = first.min(self.signs.len());
        while to < self.signs.len() && used + self.signs[to].columns <= WIDTH {
            used += self.signs[to].columns;
            to += 1;
        }
        (from, to)
    }
}

/// The pieces of a line, each as it can be shown without harm: nothing is left out, so that the carets fit.
fn signs(line: &[u8], snippets: Snippets) -> Vec<Sign> {
    let mut signs = Vec::new();
    let mut at = 0;
    for chunk in line.utf8_chunks() {
        for char in chunk.valid().chars() {
            let shown = shown(char, snippets);
            signs.push(Sign { at, bytes: char.len_utf8(), columns: columns(&shown), shown });
            at += char.len_utf8();
        }
        for byte in chunk.invalid() {
            signs.push(Sign { at, bytes: 1, shown: format!("\\x{byte:02x}"), columns: 4 });
            at += 1;
        }
    }
    signs
}

fn shown(char: char, snippets: Snippets) -> String {
    match char {
        '\t' => "→".to_owned(),
        char if is_escaped(char) => char.escape_default().to_string(),
        char if snippets == Snippets::Masked && char.is_numeric() => "9".to_owned(),
        char if snippets == Snippets::Masked && char.is_alphabetic() => "x".to_owned(),
        char => char.to_string(),
    }
}

/// How many columns of a terminal a text takes that holds no control characters.
fn columns(text: &str) -> usize {
    text.chars().map(|char| char.width().unwrap_or(0)).sum()
}

/// Bytes of the cell that begins here, up to what ends it; with its quotes.
fn cell_bytes(line: &[u8], delimiter: u8) -> usize {
    let mut quoted = false;
    let end = line.iter().position(|&byte| {
        quoted ^= byte == b'"';
        !quoted && (byte == delimiter || byte == b'\r')
    });
    end.unwrap_or(line.len()).max(1)
}

/// The characters that a snippet stands for: an escape is one.
fn units(snippet: &str) -> Vec<&str> {
    let mut units = Vec::new();
    let mut rest = snippet;
    while let Some(char) = rest.chars().next() {
        let length = match rest.as_bytes() {
            [b'\\', b't' | b'r' | b'n', ..] => 2,
            [b'\\', b'u', b'{', ..] => rest.find('}').map_or(1, |end| end + 1),
            _ => char.len_utf8(),
        };
        let (unit, after) = rest.split_at(length);
        units.push(unit);
        rest = after;
    }
    units
}
