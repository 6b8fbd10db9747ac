//! What is kept of a record that earlier chunks held, and the places in it.

use memchr::memchr_iter;

use super::{Csv, MAX_HEADER_BYTES, MAX_KEPT_BYTES};
use crate::report::{self, Code};
use crate::validate::position::{Chunk, Place};
use crate::validate::told::Flaw;

impl Csv {
    /// The most bytes of this record.
    pub(super) fn max_bytes(&self) -> u64 {
        let limit = self.limits.max_record_bytes;
        if self.header.is_some() { limit.min(MAX_HEADER_BYTES) } else { limit }
    }

    /// How much of a record is kept: all of it where its cells are asked for.
    pub(super) fn max_kept_bytes(&self) -> u64 {
        if self.judge.is_some() { MAX_KEPT_BYTES.max(self.limits.max_record_bytes) } else { MAX_KEPT_BYTES }
    }

    /// Keeps what a chunk holds of a record that goes on in the next one.
    pub(super) fn keep(&mut self, piece: &str) {
        if self.is_all_kept() {
            self.kept.push_str(self.fitting(piece));
        }
        self.before += piece.len() as u64;
    }

    /// Nothing of the record is in earlier chunks, for it is read from one that holds all of it.
    pub(super) fn forget(&mut self) {
        self.before = 0;
        self.kept.clear();
    }

    /// All of the record up to a place in this chunk, or what is kept of that.
    pub(super) fn kept_with(&self, piece: &str) -> String {
        let piece = if self.is_all_kept() { self.fitting(piece) } else { "" };
        [&self.kept, piece].concat()
    }

    fn is_all_kept(&self) -> bool {
        self.before == self.kept.len() as u64
    }

    fn fitting<'a>(&self, piece: &'a str) -> &'a str {
        let room = self.max_kept_bytes().saturating_sub(self.before);
        &piece[..piece.floor_char_boundary(usize::try_from(room).unwrap_or(usize::MAX))]
    }

    /// Where the record begins of which this chunk holds what follows `start`, and of which all is kept.
    pub(super) fn record_place(&self, chunk: &Chunk<'_>, start: usize) -> Place {
        let here = chunk.place(start);
        if self.before == 0 {
            return here;
        }
        let line = here.line - memchr_iter(b'\n', self.kept.as_bytes()).count() as u64;
        let offset = here.offset - self.before;
        // Every record begins its line, but for one behind a byte order mark.
        Place { line, column: if line == 1 && offset > 0 { 2 } else { 1 }, offset }
    }

    /// A flaw at an offset in that record.
    pub(super) fn flaw_at(&self, chunk: &Chunk<'_>, start: usize, at: u64, code: Code, message: String) -> Flaw {
        let flaw = match at.checked_sub(self.before) {
            Some(here) => Flaw::at(code, chunk, start + index(here), message),
            None if self.is_all_kept() => Flaw::at(code, &self.whole(&self.kept, chunk, start), index(at), message),
            None => {
                let mut snippet = chunk.head().line_to(0, report::Flaw::SNIPPET_CHARS);
                snippet.truncate(snippet.trim_end_matches('\r').len());
                Flaw { snippet, ..Flaw::new(code, self.place_of(chunk, start, at), message) }
            }
        };
        flaw.in_record(self.number())
    }

    /// All of the record up to some place in this chunk as a chunk of its own.
    pub(super) fn whole<'t>(&self, text: &'t str, chunk: &Chunk<'t>, start: usize) -> Chunk<'t> {
        let place = self.record_place(chunk, start);
        Chunk::new(text, place).behind(if place.column == 2 { "\u{feff}" } else { "" })
    }

    /// The place of an offset in the record of which this chunk holds what follows `start`.
    pub(super) fn place_of(&self, chunk: &Chunk<'_>, start: usize, at: u64) -> Place {
        match at.checked_sub(self.before) {
            Some(here) => chunk.place(start + index(here)),
            None if self.is_all_kept() => Chunk::new(&self.kept, self.record_place(chunk, start)).place(index(at)),
            // Of a record that is too long to be kept, only the character before this chunk is ever asked for.
            None => chunk.place(start).back(self.before - at),
        }
    }
}

/// An offset of something that is in memory.
fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
