//! Where something stands in a file, worked out only when somebody asks.
//!
//! Nothing is counted byte by byte while a file is scanned: a [`Chunk`] knows the place of its first byte, and counts line
//! ends and characters once, when the next chunk comes or when a rejection is made.

use std::cell::Cell;

use memchr::{memchr_iter, memrchr};
use serde::{Deserialize, Serialize};

/// A place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    /// Counted from 1; lines end with LF.
    pub(super) line: u64,
    /// Counted from 1, in characters. Inside of a character: the column of that character.
    pub(super) column: u64,
    /// Bytes before the place.
    pub(super) offset: u64,
}

impl Place {
    /// The first byte of a file.
    pub(super) const START: Self = Self { line: 1, column: 1, offset: 0 };

    /// Whether any file has such a place: every line end and every character takes a byte at least. No file is so long that
    /// its places could not be counted on.
    pub(super) fn is_possible(self) -> bool {
        let Self { line, column, offset } = self;
        let fits = |count: u64| (1..=offset + 1).contains(&count);
        offset < 1 << 62 && fits(line) && fits(column) && line - 1 + column - 1 <= offset
    }

    /// The place `bytes` before this one, where those bytes are known to be ASCII characters of the same line.
    pub(super) const fn back(self, bytes: u64) -> Self {
        Self { line: self.line, column: self.column - bytes, offset: self.offset - bytes }
    }
}

/// Some text of a file, where it begins, and the end of what stands before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunk<'a> {
    text: &'a str,
    start: Place,
    before: &'a str,
    /// The place that was worked out last, where the next one is likely to lie behind it.
    last: Option<&'a Cell<Counted>>,
}

/// A place of a chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    /// Bytes of the chunk before it; the beginning of a character.
    index: usize,
    line: u64,
    column: u64,
}

impl<'a> Chunk<'a> {
    pub(super) const fn new(text: &'a str, start: Place) -> Self {
        Self { text, start, before: "", last: None }
    }

    /// Remembers the last place, so that those of many flaws, one behind the other, are found by
    /// reading the text once.
    pub(super) const fn remembering(self, last: &'a Cell<Counted>) -> Self {
        Self { last: Some(last), ..self }
    }

    /// With what the line holds before the chunk; the end of it suffices.
    pub(super) const fn behind(self, before: &'a str) -> Self {
        Self { before, ..self }
    }

    /// What the line holds up to the character at an index, and that character unless it ends the line: the last `chars`
    /// characters of it.
    pub(super) fn line_to(&self, index: usize, chars: usize) -> String {
        let index = self.text.floor_char_boundary(index);
        let at = self.char(index).filter(|char| !matches!(char, '\n' | '\r'));
        let (line_start, before) = match memrchr(b'\n', &self.bytes()[..index]) {
            Some(last) => (last + 1, ""),
            None => (0, self.before),
        };
        let line = before.chars().chain(self.text[line_start..index].chars()).chain(at);
        let mut last: Vec<char> = line.rev().take(chars).collect();
        last.reverse();
        last.into_iter().collect()
    }

    /// The beginning of the chunk, with nothing behind it.
    pub(super) const fn head(&self) -> Self {
        Self { text: "", last: None, ..*self }
    }

    pub(super) const fn text(&self) -> &'a str {
        self.text
    }

    pub(super) const fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    /// The character at a byte index; `None` at the end, and inside of a character.
    pub(super) fn char(&self, index: usize) -> Option<char> {
        self.text.get(index..)?.chars().next()
    }

    /// Whether this is the beginning of the file, and a byte order mark (U+FEFF) stands there.
    pub(super) fn begins_with_bom(&self) -> bool {
        self.start.offset == 0 && self.text.starts_with('\u{feff}')
    }

    /// The place of a byte of this chunk, or of its end.
    pub(super) fn place(&self, index: usize) -> Place {
        let to = self.text.floor_char_boundary(index);
        let known = self.last.map(Cell::get).filter(|last| last.index <= to);
        let from = known.unwrap_or(Counted::at(self.start));
        let between = &self.text.as_bytes()[from.index..to];
        let (line, first_column, line_start) = match memrchr(b'\n', between) {
            Some(last) => (from.line + memchr_iter(b'\n', between).count() as u64, 1, last + 1),
            None => (from.line, from.column, 0),
        };
        let column = first_column + chars(&between[line_start..]);
        if let Some(last) = self.last {
            last.set(Counted { index: to, line, column });
        }
        Place { line, column, offset: self.start.offset + index as u64 }
    }
}

impl Counted {
    /// The beginning of a chunk that begins there.
    pub(super) const fn at(start: Place) -> Self {
        Self { index: 0, line: start.line, column: start.column }
    }
}

/// Characters of a text: its bytes but for those that go on with one (RFC 3629 section 3).
///
/// Counted in stretches in which a byte can't overflow, which is several times as fast as the standard library does it.
fn chars(text: &[u8]) -> u64 {
    const STRETCH: usize = 192;
    let begun = |bytes: &[u8]| bytes.iter().map(|byte| u8::from(byte & 0xc0 != 0x80)).sum::<u8>();
    let (stretches, rest) = text.as_chunks::<STRETCH>();
    stretches.iter().map(|stretch| u64::from(begun(stretch))).sum::<u64>() + u64::from(begun(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition, counted one byte at a time.
    fn plain(text: &str, index: usize) -> Place {
        let mut char_start = index;
        while !text.is_char_boundary(char_start) {
            char_start -= 1;
        }
        let before = &text[..char_start];
        let line_start = before.rfind('\n').map_or(0, |last| last + 1);
        let line = before.matches('\n').count() as u64 + 1;
        Place { line, column: before[line_start..].chars().count() as u64 + 1, offset: index as u64 }
    }

    #[test]
    fn a_place_is_the_same_from_every_chunk() {
        let text = "ab\u{e4}\u{20ac}\n\r\n\n\u{1f600}x\ny";
        for cut in (0..=text.len()).filter(|&cut| text.is_char_boundary(cut)) {
            let first = Chunk::new(&text[..cut], Place::START);
            let second = Chunk::new(&text[cut..], first.place(cut));
            for index in 0..=text.len() {
                let got = if index < cut { first.place(index) } else { second.place(index - cut) };
                assert_eq!(got, plain(text, index), "cut {cut}, index {index}");
            }
        }
    }
}
