//! Which line is at fault where a quote turned all behind it inside out.
//!
//! A quote that is missing or too much makes text of what follows, up to another quote, lines later: there the grammar breaks,
//! and not where somebody has to look. So the lines before are tried: one that, with one quote more or less, lets all that
//! was read fall into records of the right length has the fault. The first such line is told; where there is none, the
//! fault is where it was found. RFC 4180 has no say in this: it knows no broken files.

use memchr::memchr;

use super::lexer::{Lexer, Step};

/// A line at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Blame {
    /// The quote that was opened on it, or where one is missing or too much.
    pub(super) at: usize,
    /// The opening quote, where that stands on a line before.
    pub(super) opened_at: Option<usize>,
    /// Behind the record, had it been closed.
    pub(super) next: usize,
}

/// What came of the tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    /// With this one mended, the text is whole records.
    Whole(Blame),
    /// With this one mended, the text ends between quotes: what follows may tell.
    Open(Blame),
    Nothing,
}

/// The most bytes that are read to find one: lines long enough to pass that are left alone.
const MAX_READ_BYTES: usize = 8 << 20;

/// Tries the lines of `text` that begin before `until`. `fresh` stands at the beginning of the record, which is that of
/// `text`, and whose lines are whole.
pub(super) fn blame(fresh: &Lexer, text: &[u8], until: usize) -> Tried {
    let mut budget = MAX_READ_BYTES;
    let mut entry = fresh.clone();
    let mut start = 0;
    let mut open = None;
    while start < until {
        let end = memchr(b'\n', &text[start..]).map_or(text.len(), |length| start + length + 1);
        let mut exit = entry.clone();
        exit.read(&text[..end], start, &mut |_, _| ());
        for (edit, skipped) in edits(&text[start..end], &entry) {
            let line = Line { text, start, edit: start + edit, skipped };
            if let Some((next, end)) = line.mended(entry.clone(), &mut budget) {
                let opened_at = exit.quote_at.and_then(|at| usize::try_from(at).ok());
                let blame = match opened_at {
                    Some(at) if at >= start => Blame { at, opened_at: None, next },
                    _ => Blame { at: line.edit, opened_at, next },
                };
                match end {
                    End::Whole => return Tried::Whole(blame),
                    End::Open => open = open.or(Some(blame)),
                }
            }
            if budget == 0 {
                return Tried::Nothing;
            }
        }
        entry = exit;
        start = end;
    }
    open.map_or(Tried::Nothing, Tried::Open)
}

/// How the text ends.
enum End {
    Whole,
    Open,
}

/// Where one quote more may close a cell, and which quote may be too much: an index, and how many bytes to pass over there.
fn edits<'a>(line: &'a [u8], entry: &'a Lexer) -> impl Iterator<Item = (usize, usize)> + 'a {
    let syntax = entry.syntax();
    line.iter().enumerate().filter_map(move |(index, &byte)| match byte {
        b'\r' if line.get(index + 1) == Some(&b'\n') => Some((index, 0)),
        b'\n' if index == 0 || line[index - 1] != b'\r' => Some((index, 0)),
        _ if byte == syntax.delimiter => Some((index, 0)),
        _ if Some(byte) == syntax.quote => Some((index, 1)),
        _ => None,
    })
}

/// A line, and one change to it.
struct Line<'a> {
    text: &'a [u8],
    start: usize,
    /// Where a quote is added, or one is taken out.
    edit: usize,
    skipped: usize,
}

impl Line<'_> {
    /// Whether all falls into records so: the end of the first, and what the last is.
    fn mended(&self, mut lexer: Lexer, budget: &mut usize) -> Option<(usize, End)> {
        let quote = [lexer.syntax().quote?];
        let added: &[u8] = if self.skipped == 0 { &quote } else { &[] };
        let mut spend = |bytes: usize| -> Option<()> {
            *budget = budget.saturating_sub(bytes + 1);
            (*budget > 0).then_some(())
        };
        spend(self.edit - self.start)?;
        let mut quiet = |_, _| ();
        for (bytes, from) in [(&self.text[..self.edit], self.start), (added, 0)] {
            if lexer.read(bytes, from, &mut quiet) != Step::More {
                return None;
            }
        }
        let mut first = None;
        let mut at = self.edit + self.skipped;
        while at < self.text.len() {
            match lexer.read(self.text, at, &mut quiet) {
                Step::Fault { .. } => return None,
                Step::More => break,
                Step::End { next } => {
                    spend(next - at)?;
                    if lexer.columns.is_some_and(|columns| lexer.fields + 1 != columns) {
                        return None;
                    }
                    lexer.columns = lexer.columns.or(Some(lexer.fields + 1));
                    lexer = lexer.fresh();
                    first = first.or(Some(next));
                    at = next;
                }
            }
        }
        Some((first?, if lexer.offset == 0 { End::Whole } else { End::Open }))
    }
}
