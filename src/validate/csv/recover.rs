//! Going on behind a flaw: where it is told, and from where the rest is read.

use std::borrow::Cow;

use memchr::{memchr, memrchr};

use super::blame::{Blame, Tried, blame};
use super::flaws::{Problem, in_words};
use super::lexer::{Ended, Fault, Lexer};
use super::{Csv, Cursor};
use crate::report::Code;
use crate::validate::position::{Chunk, Place};
use crate::validate::told::{Flaw, Halt, Told};

/// A flaw on a later line than the first of its record: whether it is told there depends on the rest of the line.
#[derive(Debug)]
pub(super) struct Suspect {
    /// `None` where closing the record tells it.
    problem: Option<Problem>,
    at: u64,
    /// Behind it.
    lexer: Lexer,
    then: Then,
    /// Lines that were waited for.
    lines: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// The record goes on.
    On,
    /// It has ended.
    Ended,
}

/// Lines behind a suspect that are waited for where they may decide.
const MAX_LINES: u32 = 32;

/// How many times the bytes of a file may be read again to find what is at fault, with some for small files.
const REREAD_TIMES: u64 = 16;
const REREAD_FREE_BYTES: u64 = 16 << 20;

impl Suspect {
    pub(super) fn ended(problem: Option<Problem>, at: u64, lexer: &Lexer) -> Self {
        Self { problem, at, lexer: lexer.clone(), then: Then::Ended, lines: 0 }
    }
}

impl Csv {
    /// A fault before the cursor, `at` this offset in the record.
    pub(super) fn fault(
        &mut self,
        chunk: &Chunk<'_>,
        cursor: Cursor,
        fault: Fault,
        at: u64,
        told: &mut Told,
    ) -> Result<Cursor, Halt> {
        if fault == Fault::Lines {
            return self.beyond(chunk, cursor, Code::RecordLines, at, told);
        }
        if self.flawed || self.is_passed_over() {
            return Ok(cursor);
        }
        let problem = Problem::Fault(fault);
        if self.is_suspicious(at) && !matches!(fault, Fault::Nul | Fault::CellBytes) {
            let problem = Some(problem);
            self.suspect = Some(Suspect { problem, at, lexer: self.lexer.clone(), then: Then::On, lines: 0 });
            return Ok(cursor);
        }
        self.tell(chunk, cursor.start, problem, at, told)?;
        Ok(cursor)
    }

    /// Whether a quote on a line before may be the cause of a fault.
    pub(super) fn is_suspicious(&self, at: u64) -> bool {
        self.lexer.lines > 0 && self.lexer.quote_at.is_some() && at < self.max_kept_bytes()
    }

    /// Waits for the end of the line with the suspect.
    pub(super) fn wait(&mut self, chunk: &Chunk<'_>, cursor: Cursor, stop: usize, told: &mut Told) -> Result<Cursor, Halt> {
        let room = usize::try_from(self.max_kept_bytes().saturating_sub(self.lexer.offset)).unwrap_or(usize::MAX);
        let stop = chunk.text().floor_char_boundary(stop.min(cursor.at.saturating_add(room)));
        let lf = memchr(b'\n', &chunk.bytes()[cursor.at..stop.max(cursor.at)]);
        match lf {
            Some(length) => self.resolve(chunk, Cursor { at: cursor.at + length + 1, ..cursor }, told),
            None if stop < chunk.bytes().len() => self.resolve(chunk, Cursor { at: stop.max(cursor.at), ..cursor }, told),
            None => {
                self.lexer.offset += (stop - cursor.at) as u64;
                Ok(Cursor { at: stop, ..cursor })
            }
        }
    }

    /// Tells the suspect, or the line that is at fault, and goes on from there; all up to the cursor has been looked at. At the
    /// end of the file the chunk is empty.
    pub(super) fn resolve(&mut self, chunk: &Chunk<'_>, cursor: Cursor, told: &mut Told) -> Result<Cursor, Halt> {
        let Some(suspect) = self.suspect.take() else { return Ok(cursor) };
        let text = self.kept_with(&chunk.text()[cursor.start..cursor.at]);
        let found = usize::try_from(suspect.at).unwrap_or(text.len()).min(text.len());
        let until = memrchr(b'\n', &text.as_bytes()[..found]).map_or(0, |last| last + 1);
        let is_end = chunk.bytes().is_empty();
        let tried = if is_end { ended(&text) } else { Cow::Borrowed(&*text) };
        match self.blame(chunk, cursor, &tried, until) {
            Tried::Whole(blame) => return self.blamed(chunk, cursor, &text, blame, told),
            Tried::Open(_) if text.ends_with('\n') && !is_end && suspect.lines < MAX_LINES => {
                self.suspect = Some(Suspect { lines: suspect.lines + 1, ..suspect });
                self.lexer.offset = text.len() as u64;
                return Ok(cursor);
            }
            Tried::Open(blame) if !is_end => return self.blamed(chunk, cursor, &text, blame, told),
            Tried::Open(_) | Tried::Nothing => {}
        }
        let whole = self.whole(&text, chunk, cursor.start);
        self.lexer = suspect.lexer;
        if let Some(problem) = suspect.problem {
            self.tell(chunk, cursor.start, problem, suspect.at, told)?;
        }
        let mut from = Cursor { start: 0, at: usize::try_from(self.lexer.offset).unwrap_or(text.len()).min(text.len()) };
        if suspect.then == Then::Ended {
            self.forget();
            self.close(&whole, Cursor { start: 0, at: found }, told)?;
            from = Cursor::new(from.at);
        }
        self.reread(cursor, &whole, from, told)
    }

    /// The record is beyond a limit before the cursor, from this offset on.
    pub(super) fn beyond(
        &mut self,
        chunk: &Chunk<'_>,
        cursor: Cursor,
        code: Code,
        at: u64,
        told: &mut Told,
    ) -> Result<Cursor, Halt> {
        let cursor = Cursor { at: chunk.text().floor_char_boundary(cursor.at), ..cursor };
        let text = self.kept_with(&chunk.text()[cursor.start..cursor.at]);
        // A quote on the last line would mend whatever it is; a row at least has to follow.
        let last = memrchr(b'\n', &text.as_bytes()[..text.len().saturating_sub(1)]).map_or(0, |last| last + 1);
        if self.lexer.is_quoted()
            && self.lexer.lines > 0
            && let Tried::Whole(blame) | Tried::Open(blame) = self.blame(chunk, cursor, &text, last)
            && memchr(b'\n', &text.as_bytes()[blame.next..]).is_some()
        {
            let is_whole = text.len() as u64 == self.before + (cursor.at - cursor.start) as u64;
            if is_whole {
                return self.blamed(chunk, cursor, &text, blame, told);
            }
            let whole = self.whole(&text, chunk, cursor.start);
            return Err(told.fatal(unclosed(&whole, blame).in_record(self.number())));
        }
        let message = self.beyond_in_words(chunk, cursor.start, code);
        Err(told.fatal(self.flaw_at(chunk, cursor.start, at, code, message)))
    }

    fn beyond_in_words(&self, chunk: &Chunk<'_>, start: usize, code: Code) -> String {
        let what = if self.header.is_some() { "header" } else { "record" };
        let message = match code {
            Code::RecordLines => format!("the {what} has more than {} lines", self.limits.max_record_lines),
            _ => format!("the {what} is longer than {} bytes", self.max_bytes()),
        };
        match self.lexer.quote_at {
            Some(at) if !self.flawed && self.lexer.is_quoted() && at < self.max_kept_bytes() => {
                let Place { line, column, .. } = self.place_of(chunk, start, at);
                format!("{message}; the quote opened at line {line}, column {column} is not closed yet")
            }
            Some(_) | None => message,
        }
    }

    /// The file has ended, and no line end behind its last record.
    pub(super) fn end_table(&mut self, nothing: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let cursor = Cursor::new(0);
        while self.lexer.offset > 0 {
            if self.suspect.is_some() {
                self.resolve(nothing, cursor, told)?;
                continue;
            }
            match self.lexer.end() {
                Ended::Fault(fault, at) => {
                    self.fault(nothing, cursor, fault, at, told)?;
                }
                Ended::Quoted => self.end_quoted(nothing, told)?,
                Ended::Whole => {
                    let end = self.lexer.offset;
                    self.suspect = self.suspect_at_end(nothing, cursor, end);
                    if self.suspect.is_some() {
                        continue;
                    }
                    if let Some(problem) = self.shortfall(end) {
                        self.tell(nothing, 0, problem, end, told)?;
                    }
                    self.close(nothing, cursor, told)?;
                }
            }
        }
        Ok(())
    }

    /// The file has ended between quotes.
    fn end_quoted(&mut self, nothing: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let cursor = Cursor::new(0);
        let text = self.kept_with("");
        let is_whole = text.len() as u64 == self.before;
        if is_whole
            && self.lexer.lines > 0
            && let Tried::Whole(blame) = self.blame(nothing, cursor, &ended(&text), text.len())
        {
            self.blamed(nothing, cursor, &text, blame, told)?;
            return Ok(());
        }
        let at = self.lexer.quote_at.filter(|&at| at < self.max_kept_bytes()).unwrap_or(self.before);
        let message = "the quote opened here is never closed".to_owned();
        let flaw = self.flaw_at(nothing, 0, at, Code::UnclosedQuote, message);
        if self.lexer.columns.is_none() {
            return Err(told.fatal(flaw));
        }
        if !self.flawed {
            told.flaw(flaw)?;
        }
        self.flawed = true;
        self.close(nothing, cursor, told)
    }

    /// Which line of the record has the fault, within what may be read again.
    fn blame(&mut self, chunk: &Chunk<'_>, cursor: Cursor, text: &str, until: usize) -> Tried {
        self.reread += text.len() as u64;
        let allowed = REREAD_FREE_BYTES.saturating_add(chunk.place(cursor.at).offset.saturating_mul(REREAD_TIMES));
        if self.reread > allowed {
            return Tried::Nothing;
        }
        blame(&self.lexer.fresh(), text.as_bytes(), until)
    }

    /// Tells a line at fault, and goes on behind it. `text` is all of the record up to the cursor.
    fn blamed(
        &mut self,
        chunk: &Chunk<'_>,
        cursor: Cursor,
        text: &str,
        blame: Blame,
        told: &mut Told,
    ) -> Result<Cursor, Halt> {
        let whole = self.whole(text, chunk, cursor.start);
        let flaw = unclosed(&whole, blame).in_record(self.number());
        if self.lexer.columns.is_none() {
            // Without the names of the columns nothing can be said of the rows.
            return Err(told.fatal(flaw));
        }
        if !self.flawed {
            told.flaw(flaw)?;
        }
        self.flawed = true;
        self.forget();
        let end = blame.next.min(text.len());
        self.close(&whole, Cursor { start: 0, at: end }, told)?;
        self.reread(cursor, &whole, Cursor::new(end), told)
    }

    /// Reads what is all of the record up to the cursor again, from another one on.
    fn reread(&mut self, cursor: Cursor, whole: &Chunk<'_>, from: Cursor, told: &mut Told) -> Result<Cursor, Halt> {
        let here = cursor.at - cursor.start;
        if whole.bytes().len() == here {
            return Ok(Cursor { start: cursor.start + from.start, at: cursor.start + from.at });
        }
        self.forget();
        self.run(whole, from, told)?;
        Ok(Cursor::new(cursor.at))
    }

    /// Tells one of the flaws that a record is told of once.
    pub(super) fn tell(
        &mut self,
        chunk: &Chunk<'_>,
        start: usize,
        problem: Problem,
        at: u64,
        told: &mut Told,
    ) -> Result<(), Halt> {
        if self.flawed {
            return Ok(());
        }
        self.flawed = true;
        let found = at.checked_sub(self.before).and_then(|at| chunk.char(start + usize::try_from(at).ok()?));
        let found = found.or_else(|| self.kept.get(usize::try_from(at).ok()?..)?.chars().next());
        let columns = self.lexer.columns.unwrap_or(0);
        let (code, message) = in_words(problem, found, columns, self.limits.max_cell_bytes);
        told.flaw(self.flaw_at(chunk, start, at, code, message))
    }
}

/// A text with a line end behind it.
fn ended(text: &str) -> Cow<'_, str> {
    if text.ends_with('\n') { Cow::Borrowed(text) } else { Cow::Owned(format!("{text}\n")) }
}

fn unclosed(whole: &Chunk<'_>, blame: Blame) -> Flaw {
    let what = match blame.opened_at {
        None => "the quote opened here is not closed on its line".to_owned(),
        Some(at) => {
            let Place { line, column, .. } = whole.place(at);
            format!("the quote opened at line {line}, column {column} is not closed on this line")
        }
    };
    let is_last = blame.next >= whole.bytes().len();
    let message = if is_last { what } else { format!("{what}, and what follows reads as further rows") };
    Flaw::at(Code::UnclosedQuote, whole, blame.at, message)
}
