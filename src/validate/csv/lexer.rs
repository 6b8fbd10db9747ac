//! The careful way: one record, byte by byte, resumable at any byte, going on behind whatever is wrong.
//!
//! Knows the dialect and the limits of a record, and no place in the file: all offsets are bytes of the record.

use memchr::{memchr, memchr3};

use super::clean::Crs;

/// What has a meaning, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Syntax {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    /// Whether two quotes between quotes stand for one.
    pub(super) double_quote: bool,
    pub(super) escape: Option<u8>,
    /// What an escape may stand before, besides what has a meaning: the second character of a null sequence.
    pub(super) escapable: Option<u8>,
    pub(super) comment: Option<u8>,
    pub(super) skip_initial_space: bool,
    pub(super) crs: Crs,
}

/// The limits that the lexer itself looks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) max_lines: u64,
    pub(super) max_cell_bytes: u64,
}

/// What is wrong in a record; the lexer stands behind it, and takes it literally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// A delimiter behind the last cell.
    ExtraCell,
    StrayQuote,
    TextAfterQuote,
    BareCr,
    Nul,
    BadEscape,
    CellBytes,
    /// An LF between quotes that begins a line too much.
    Lines,
}

/// How far [`Lexer::read`] came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// To the end of the bytes.
    More,
    /// Behind the LF that ends the record.
    End { next: usize },
    /// To something that is wrong, `at` this offset in the record; to be read on from `next`.
    Fault { fault: Fault, at: u64, next: usize },
}

/// A record in the middle of being read.
#[derive(Debug, Clone)]
pub(super) struct Lexer {
    syntax: Syntax,
    bounds: Bounds,
    /// The most cells; `None` where that is not known yet.
    pub(super) columns: Option<u64>,
    state: State,
    /// Bytes of the record that have been read.
    pub(super) offset: u64,
    /// Delimiters that have been read.
    pub(super) fields: u64,
    /// Line ends that have been read, without that of the record.
    pub(super) lines: u64,
    /// Where the last opening quote stands.
    pub(super) quote_at: Option<u64>,
    cell_at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Where a cell begins.
    Start,
    /// In a cell without quotes.
    Bare,
    /// In a cell with quotes, between them.
    Quoted,
    /// Behind a quote in such a cell: its end, or the first of two that stand for one.
    Quote,
    /// Behind a CR that has to be followed by LF.
    Cr,
    /// Behind an escape.
    Escape,
    QuotedEscape,
    Comment,
}

/// What the end of a file finds a record to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Whole, without a line end.
    Whole,
    /// Between quotes.
    Quoted,
    /// Behind something that has to be followed by something else.
    Fault(Fault, u64),
}

impl Lexer {
    /// At the beginning of a record.
    pub(super) const fn new(syntax: Syntax, bounds: Bounds, columns: Option<u64>) -> Self {
        let (state, quote_at) = (State::Start, None);
        Self { syntax, bounds, columns, state, offset: 0, fields: 0, lines: 0, quote_at, cell_at: 0 }
    }

    /// At the beginning of the next record.
    pub(super) const fn fresh(&self) -> Self {
        Self::new(self.syntax, self.bounds, self.columns)
    }

    pub(super) const fn syntax(&self) -> &Syntax {
        &self.syntax
    }

    pub(super) fn is_quoted(&self) -> bool {
        matches!(self.state, State::Quoted | State::QuotedEscape)
    }

    pub(super) fn is_comment(&self) -> bool {
        self.state == State::Comment
    }

    /// Whether a record that has ended is one without a character. `lf` is the offset of its LF, or of the end of the file.
    pub(super) fn is_blank(&self, lf: u64) -> bool {
        lf == u64::from(self.state == State::Cr)
    }

    /// Reads on in the record; hands over where each cell begins and ends, with its quotes.
    pub(super) fn read(&mut self, bytes: &[u8], from: usize, on_cell: &mut impl FnMut(u64, u64)) -> Step {
        let before = self.offset;
        let mut at = from;
        let step = loop {
            at = self.skip(bytes, at);
            let Some(&byte) = bytes.get(at) else { break Step::More };
            let offset = before + (at - from) as u64;
            match self.take(byte, offset, on_cell) {
                Took::It => at += 1,
                Took::End => break Step::End { next: at + 1 },
                Took::Fault(fault) => break Step::Fault { fault, at: offset, next: at + 1 },
                Took::FaultBefore(fault, back) => break Step::Fault { fault, at: offset - back, next: at },
            }
        };
        let next = match step {
            Step::More => bytes.len(),
            Step::End { next } | Step::Fault { next, .. } => next,
        };
        self.offset = before + (next - from) as u64;
        step
    }

    /// The file ends here.
    pub(super) fn end(&mut self) -> Ended {
        match self.state {
            State::Quoted | State::QuotedEscape => Ended::Quoted,
            State::Cr => {
                self.state = State::Bare;
                Ended::Fault(Fault::BareCr, self.offset - 1)
            }
            State::Escape => {
                self.state = State::Bare;
                Ended::Fault(Fault::BadEscape, self.offset - 1)
            }
            State::Start | State::Bare | State::Quote | State::Comment => Ended::Whole,
        }
    }

    /// Passes over what has no meaning in this state.
    fn skip(&mut self, bytes: &[u8], at: usize) -> usize {
        let length = match (self.state, self.syntax.quote) {
            (State::Bare, _) => return self.skip_bare(bytes, at),
            (State::Comment, _) => memchr(b'\n', &bytes[at..]),
            (State::Quoted, Some(quote)) => match self.syntax.escape {
                None => memchr3(quote, b'\n', 0, &bytes[at..]),
                Some(escape) => bytes[at..].iter().position(|byte| [quote, escape, b'\n', 0].contains(byte)),
            },
            _ => return at,
        };
        length.map_or(bytes.len(), |length| at + length)
    }

    /// Passes over what has no meaning in a cell without quotes.
    ///
    /// All that has one stands no higher than a few characters, most text stands higher: eight bytes at a time are held
    /// against that (Anderson, Bit Twiddling Hacks, "Determine if a word has a byte less than n"), and only those that are not
    /// higher are looked at closely.
    fn skip_bare(&self, bytes: &[u8], mut at: usize) -> usize {
        const ONES: u64 = u64::MAX / 255;
        const HIGH: u64 = ONES << 7;
        let Syntax { delimiter, quote, escape, .. } = self.syntax;
        let highest = delimiter.max(quote.unwrap_or(0)).max(escape.unwrap_or(0)).max(b'\r');
        let lowest_plain = ONES * (u64::from(highest) + 1);
        loop {
            while let Some(word) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
                let word = u64::from_le_bytes(*word);
                let low = word.wrapping_sub(lowest_plain) & !word & HIGH;
                at += low.trailing_zeros() as usize / 8;
                if low != 0 {
                    break;
                }
            }
            match bytes.get(at) {
                Some(&byte) if !self.has_meaning(byte) => at += 1,
                Some(_) | None => return at,
            }
        }
    }

    fn has_meaning(&self, byte: u8) -> bool {
        let Syntax { delimiter, quote, escape, .. } = self.syntax;
        matches!(byte, 0 | b'\n' | b'\r') || byte == delimiter || Some(byte) == quote || Some(byte) == escape
    }

    fn take(&mut self, byte: u8, offset: u64, on_cell: &mut impl FnMut(u64, u64)) -> Took {
        match self.state {
            State::Quoted => self.take_quoted(byte),
            State::Escape | State::QuotedEscape => self.take_escaped(byte),
            State::Comment => Took::End,
            State::Cr if byte == b'\n' => {
                on_cell(self.cell_at, offset - 1);
                self.end_cell(offset - 1, Took::End)
            }
            State::Cr => {
                self.state = State::Bare;
                Took::FaultBefore(Fault::BareCr, 1)
            }
            State::Start | State::Bare | State::Quote => self.take_bare(byte, offset, on_cell),
        }
    }

    fn take_bare(&mut self, byte: u8, offset: u64, on_cell: &mut impl FnMut(u64, u64)) -> Took {
        let Syntax { delimiter, quote, escape, comment, crs, .. } = self.syntax;
        let is_quote = Some(byte) == quote;
        match (self.state, byte) {
            (_, b'\n') => {
                on_cell(self.cell_at, offset);
                return self.end_cell(offset, Took::End);
            }
            (_, b'\r') if crs == Crs::BeforeLf => self.state = State::Cr,
            (_, 0 | b'\r') => {
                self.state = State::Bare;
                return Took::Fault(if byte == 0 { Fault::Nul } else { Fault::BareCr });
            }
            _ if byte == delimiter => return self.delimiter(offset, on_cell),
            (State::Start, _) if is_quote => {
                self.quote_at = Some(offset);
                self.state = State::Quoted;
            }
            (State::Quote, _) if is_quote && self.syntax.double_quote => self.state = State::Quoted,
            (State::Quote, _) => {
                self.state = State::Bare;
                return Took::FaultBefore(Fault::TextAfterQuote, 0);
            }
            (State::Start, _) if offset == 0 && Some(byte) == comment => self.state = State::Comment,
            (State::Start, b' ') if self.syntax.skip_initial_space && self.fields > 0 => self.cell_at = offset + 1,
            (_, _) if is_quote => return Took::Fault(Fault::StrayQuote),
            (_, _) if Some(byte) == escape => self.state = State::Escape,
            (_, _) => self.state = State::Bare,
        }
        Took::It
    }

    fn take_quoted(&mut self, byte: u8) -> Took {
        match byte {
            0 => return Took::Fault(Fault::Nul),
            b'\n' => {
                self.lines += 1;
                if self.lines == self.bounds.max_lines {
                    return Took::Fault(Fault::Lines);
                }
            }
            _ if Some(byte) == self.syntax.quote => self.state = State::Quote,
            _ => self.state = State::QuotedEscape,
        }
        Took::It
    }

    fn take_escaped(&mut self, byte: u8) -> Took {
        let Syntax { comment, escapable, .. } = self.syntax;
        self.state = if self.state == State::Escape { State::Bare } else { State::Quoted };
        if byte == 0 || !(self.has_meaning(byte) || Some(byte) == comment || Some(byte) == escapable) {
            return Took::FaultBefore(Fault::BadEscape, 1);
        }
        self.lines += u64::from(byte == b'\n');
        if byte == b'\n' && self.lines == self.bounds.max_lines { Took::Fault(Fault::Lines) } else { Took::It }
    }

    fn delimiter(&mut self, offset: u64, on_cell: &mut impl FnMut(u64, u64)) -> Took {
        on_cell(self.cell_at, offset);
        self.state = State::Start;
        self.fields += 1;
        let took = if Some(self.fields) == self.columns { Took::Fault(Fault::ExtraCell) } else { Took::It };
        let took = self.end_cell(offset, took);
        self.cell_at = offset + 1;
        took
    }

    /// A cell that is too long is told before what its end means, but for that of the record: see [`Self::is_long`].
    fn end_cell(&self, end: u64, took: Took) -> Took {
        if matches!(took, Took::It) && end - self.cell_at > self.bounds.max_cell_bytes {
            return Took::Fault(Fault::CellBytes);
        }
        took
    }

    /// Whether the last cell of a record that has ended is too long.
    pub(super) fn is_long(&self, lf: u64) -> bool {
        let end = lf - u64::from(self.state == State::Cr);
        !self.is_comment() && end - self.cell_at > self.bounds.max_cell_bytes
    }
}

/// What became of a byte.
enum Took {
    It,
    End,
    /// It is wrong, and has been taken.
    Fault(Fault),
    /// Something so many bytes before is wrong, and the byte has not been taken.
    FaultBefore(Fault, u64),
}
