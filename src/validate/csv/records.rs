//! What becomes of a record that has ended: a comment, a row of the header, a row of data.

use std::borrow::Cow;

use super::cells::{Cells, Span};
use super::clean::Clean;
use super::flaws::Problem;
use super::lexer::{Fault, Step};
use super::recover::Suspect;
use super::rows::Row;
use super::{Csv, Cursor, labels};
use crate::report::Code;
use crate::validate::position::Chunk;
use crate::validate::told::{Flaw, Halt, Told};

impl Csv {
    /// A line end: the record has ended before the cursor.
    pub(super) fn end_record(&mut self, chunk: &Chunk<'_>, cursor: Cursor, told: &mut Told) -> Result<Cursor, Halt> {
        let lf = self.lexer.offset - 1;
        let end = Cursor { at: cursor.at - 1, ..cursor };
        self.suspect = self.suspect_at_end(chunk, end, lf);
        if self.suspect.is_some() {
            return self.resolve(chunk, cursor, told);
        }
        if let Some(problem) = self.shortfall(lf) {
            self.tell(chunk, cursor.start, problem, lf, told)?;
        }
        self.close(chunk, end, told)?;
        Ok(Cursor::new(cursor.at))
    }

    /// What only the end of a record, which is at the cursor, shows to be wrong with it, where a quote on a line before the last
    /// may be the cause: too few cells, or a header whose names can't be right.
    pub(super) fn suspect_at_end(&self, chunk: &Chunk<'_>, cursor: Cursor, end: u64) -> Option<Suspect> {
        if !self.is_suspicious(end) {
            return None;
        }
        let problem = self.shortfall(end);
        (problem.is_some() || self.has_wrong_labels(chunk, cursor)).then(|| Suspect::ended(problem, end, &self.lexer))
    }

    /// Whether the record ends a header some of whose names are wrong.
    fn has_wrong_labels(&self, chunk: &Chunk<'_>, cursor: Cursor) -> bool {
        let Some(header) = &self.header else { return false };
        if self.flawed || self.is_passed_over() || self.dialect.header_rows().last() != Some(&(self.records + 1)) {
            return false;
        }
        let (mut labels, mut last) = (header.labels.clone(), header.last.clone());
        let record = self.record_text(chunk, cursor);
        let spans = self.spans(&record);
        let names: Vec<_> = self.cells(&record, &spans).iter().collect();
        labels::join(&mut labels, &mut last, &names, self.dialect.header_join());
        !labels::wrong(&labels).is_empty()
    }

    /// What only its end shows to be wrong with a record.
    pub(super) fn shortfall(&self, end: u64) -> Option<Problem> {
        let cells = self.lexer.fields + 1;
        match self.lexer.columns {
            _ if self.flawed || self.is_passed_over() => None,
            _ if self.lexer.is_long(end) => Some(Problem::Fault(Fault::CellBytes)),
            Some(columns) if cells < columns && self.lexer.is_blank(end) => Some(Problem::BlankRow),
            Some(columns) if cells < columns => Some(Problem::MissingCell(cells)),
            Some(_) | None => None,
        }
    }

    /// Whether nobody asks what the record says.
    pub(super) fn is_passed_over(&self) -> bool {
        self.lexer.is_comment() || self.dialect.comment_rows().contains(&(self.records + 1))
    }

    /// The record ends at the cursor, with all that is wrong with it told.
    pub(super) fn close(&mut self, chunk: &Chunk<'_>, cursor: Cursor, told: &mut Told) -> Result<(), Halt> {
        let passed_over = self.is_passed_over();
        self.records += 1;
        if passed_over {
        } else if self.header.is_some() {
            self.close_header_row(chunk, cursor, told)?;
        } else {
            self.close_row(chunk, cursor, told)?;
        }
        self.begin();
        Ok(())
    }

    /// The next record begins.
    pub(super) fn begin(&mut self) {
        if self.clean.is_none() && self.header.is_none() {
            self.clean = self.clean_way();
        }
        self.lexer = self.lexer.fresh();
        (self.before, self.flawed, self.suspect) = (0, false, None);
        self.kept.clear();
    }

    /// The fast way, where the dialect has one and nothing by the number of its record has to be passed over any more.
    fn clean_way(&self) -> Option<Clean> {
        let syntax = self.lexer.syntax();
        let doubled = syntax.quote.is_none() || syntax.double_quote;
        let plain = doubled && syntax.escape.is_none() && syntax.comment.is_none() && !syntax.skip_initial_space;
        let behind = self.dialect.comment_rows().last().is_none_or(|&last| last <= self.records);
        let fields = self.lexer.columns.filter(|_| plain && behind)?;
        Some(Clean {
            delimiter: syntax.delimiter,
            quote: syntax.quote.unwrap_or(Clean::NO_QUOTE),
            fields,
            max_bytes: self.limits.max_record_bytes.min(self.limits.max_cell_bytes),
            max_lines: self.limits.max_record_lines,
            crs: syntax.crs,
        })
    }

    fn close_row(&mut self, chunk: &Chunk<'_>, cursor: Cursor, told: &mut Told) -> Result<(), Halt> {
        if self.lexer.columns.is_none() {
            self.set_columns(self.lexer.fields + 1, chunk, cursor.at, told)?;
        }
        let number = self.rows + 1;
        if let Some(mut judge) = self.judge.take_if(|_| !self.flawed) {
            let record = self.record_text(chunk, cursor);
            let spans = self.spans(&record);
            let place = |index: usize| self.place_of(chunk, cursor.start, spans[index].start as u64);
            let judged = judge.row(&Row { number, cells: self.cells(&record, &spans), place: &place }, told);
            self.judge = Some(judge);
            judged?;
        }
        self.rows = number;
        Ok(())
    }

    fn close_header_row(&mut self, chunk: &Chunk<'_>, cursor: Cursor, told: &mut Told) -> Result<(), Halt> {
        let rows = self.dialect.header_rows();
        let (counts, is_last) = (rows.contains(&self.records), rows.last().is_none_or(|&last| last <= self.records));
        if !counts {
            return Ok(());
        }
        let record = self.record_text(chunk, cursor);
        let spans = self.spans(&record);
        let columns = spans.len() as u64;
        let mut header = self.header.take().unwrap_or_default();
        let names: Vec<_> = self.cells(&record, &spans).iter().collect();
        labels::join(&mut header.labels, &mut header.last, &names, self.dialect.header_join());
        if self.lexer.columns.is_none() {
            self.header = Some(header);
            self.set_columns(columns, chunk, cursor.at, told)?;
            header = self.header.take().unwrap_or_default();
        }
        if !is_last {
            self.header = Some(header);
            return Ok(());
        }
        let labels = std::mem::take(&mut header.labels);
        self.header = Some(header);
        // A name of an upper row may have nothing below it.
        let start = |index: usize| spans.get(index).map_or(0, |span| span.start as u64);
        if !self.flawed {
            for (index, code, words) in labels::wrong(&labels) {
                told.flaw(self.flaw_at(chunk, cursor.start, start(index), code, words))?;
            }
        }
        self.header = None;
        let Some(mut judge) = self.judge.take() else { return Ok(()) };
        let judged = judge.header(&labels, &|index| self.place_of(chunk, cursor.start, start(index)), told);
        self.judge = Some(judge);
        judged
    }

    fn set_columns(&mut self, columns: u64, chunk: &Chunk<'_>, at: usize, told: &mut Told) -> Result<(), Halt> {
        self.lexer.columns = Some(columns);
        if columns > self.limits.max_fields {
            let message = format!("the table has {columns} columns, more than {}", self.limits.max_fields);
            return Err(told.fatal(Flaw::at(Code::RowFields, chunk, at, message).in_record(self.number())));
        }
        Ok(())
    }

    /// The record that ends at the cursor, and of which all is kept.
    fn record_text<'a>(&self, chunk: &Chunk<'a>, cursor: Cursor) -> Cow<'a, str> {
        let here = &chunk.text()[cursor.start..cursor.at];
        if self.kept.is_empty() { Cow::Borrowed(here) } else { Cow::Owned(format!("{}{here}", self.kept)) }
    }

    fn cells<'a>(&'a self, record: &'a str, spans: &'a [Span]) -> Cells<'a> {
        Cells { text: record, spans, syntax: self.lexer.syntax() }
    }

    /// Where the cells of a record stand in it.
    fn spans(&self, record: &str) -> Vec<Span> {
        let mut spans = Vec::new();
        let mut lexer = self.lexer.fresh();
        let mut on_cell = |start: u64, end: u64| {
            // Offsets in a text that is in memory.
            let (start, end) = (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(record.len()));
            spans.push(Span { start, end });
        };
        let bytes = record.as_bytes();
        let mut at = 0;
        while let Step::Fault { next, .. } = lexer.read(bytes, at, &mut on_cell) {
            at = next;
        }
        // The LF behind the record: a CR before it is no part of the last cell.
        lexer.read(b"\n", 0, &mut on_cell);
        spans
    }
}
