//! Digits behind the first space of a header: a size, or its beginning together with the first
//! digits of the content, or content, or a word of a name.

use super::conversation::{Decoded, Reading, Rivals};
use super::header::{Unsized, View, ambiguous};
use super::names::has_known_extension;
use super::{MAX_HEADER_BYTES, MAX_SIZE_DIGITS, is_number, leading_newline, trim_cr};
use crate::error::Result;

/// The digits behind the first space.
struct Digits<'a> {
    name: &'a [u8],
    /// Where they begin.
    start: usize,
    run: &'a [u8],
    /// How many of them came with the first packet, if that ended at or between them.
    in_packet: Option<usize>,
    /// Bytes of the newline behind them, which makes a line of them.
    newline: Option<usize>,
    /// The line that the conversation begins with, if that is a header with a size.
    line: Option<Reading>,
    /// Whether the name may end elsewhere.
    is_in_doubt: bool,
}

impl View<'_> {
    /// Reads a header whose first space, at `space`, is followed by so many digits.
    pub(super) fn sized(&self, space: usize, digits: usize, may_be_unsized: Unsized) -> Result<Decoded> {
        if !self.is_number_whole(space + 1, digits) {
            return Ok(Decoded::Incomplete);
        }
        let digits = self.digits(space, digits, may_be_unsized)?;
        let is_cut = self.packet <= space;
        if (digits.is_in_doubt || is_cut) && digits.line.is_none() && self.awaits_line() {
            return Ok(Decoded::Incomplete);
        }
        let decoded = match &digits.line {
            Some(line) if line.bytes == self.packet && digits.newline.is_some() => {
                self.against_joined(line.clone(), space, digits.run)?
            }
            Some(_) | None => self.by_count_of(&digits)?,
        };
        self.against_words(decoded)
    }

    /// Whether the byte has come that ends the number at `start`.
    fn is_number_whole(&self, start: usize, digits: usize) -> bool {
        let in_packet = self.packet.checked_sub(start);
        match &self.bytes[start + digits..] {
            // The first packet ended inside these digits, and nothing comes behind them: they may
            // be a size and all of its content.
            [] => self.has_ended() && in_packet.is_some_and(|in_packet| in_packet > 0 && in_packet < digits),
            [b'\r'] => self.has_ended(),
            _ => true,
        }
    }

    fn digits(&self, space: usize, digits: usize, may_be_unsized: Unsized) -> Result<Digits<'_>> {
        let (name, start) = (&self.window[..space], space + 1);
        let run = &self.bytes[start..start + digits];
        let in_packet = self.packet.checked_sub(start).filter(|in_packet| *in_packet <= digits);
        let newline = leading_newline(&self.bytes[start + digits..]).filter(|_| self.may_be_line());
        let line = match newline {
            Some(newline) => Some(self.reading(name, Some(run), start + digits + newline)?),
            None => self.line_of_words(),
        };
        Ok(Digits { name, start, run, in_packet, newline, line, is_in_doubt: may_be_unsized == Unsized::Ambiguous })
    }

    /// What the number of bytes leaves of the readings of these digits.
    fn by_count_of(&self, digits: &Digits<'_>) -> Result<Decoded> {
        match self.by_count(self.rivals(digits)?)? {
            // The name itself is in doubt, and so only a line can be read here.
            Decoded::Header(reading) if digits.is_in_doubt && !reading.is_line && reading.header.size.is_some() => {
                Err(ambiguous(digits.name))
            }
            Decoded::Undecided(mut rivals) if digits.is_in_doubt => {
                rivals.readings.retain(|reading| reading.is_line || reading.header.size.is_none());
                Ok(Decoded::Undecided(rivals))
            }
            Decoded::Header(reading) if reading.header.size.is_some() => {
                self.against_joined(reading, digits.start - 1, digits.run)
            }
            decoded => Ok(decoded),
        }
    }

    fn rivals(&self, digits: &Digits<'_>) -> Result<Rivals> {
        let Digits { name, start, run, in_packet, newline, ref line, is_in_doubt } = *digits;
        // Digits, a newline and another line of digits: a column of numbers may have begun right
        // behind the name or the size.
        let may_be_numbers = newline.is_none_or(|newline| self.begins_with_number(start + run.len() + newline));
        let ends = match in_packet {
            // The client that tidegate replaces hands its header to one call of `send`.
            _ if self.packet < start => 0..0,
            _ if is_in_doubt && (newline.is_some() || line.is_none()) => 0..0,
            Some(end) if end > 0 => end..end + 1,
            Some(_) | None if may_be_numbers => 1..if newline.is_some() { run.len() } else { run.len() + 1 },
            Some(_) | None => 0..0,
        };
        // No sender writes a size with zeros before it, or one of more digits, but in a line.
        let sizes = ends.take_while(|end| *end <= MAX_SIZE_DIGITS).filter(|end| *end == 1 || run[0] != b'0');
        let sizes = sizes.filter_map(|end| self.reading(name, Some(&run[..end]), start + end).ok());
        let mut readings: Vec<Reading> = sizes.chain(line.clone()).collect();
        let may_be_content = in_packet == Some(0) && may_be_numbers && !is_in_doubt && !self.must_be_sized();
        if may_be_content && (newline.is_some() || self.may_end_name(start - 1)) {
            readings.push(self.reading(name, None, start)?);
        }
        let first = &self.bytes[..self.packet];
        let ends_name = self.packet < start - 1 && !matches!(self.bytes[self.packet], b'.' | b'/');
        if is_in_doubt && ends_name && has_known_extension(first) && !self.must_be_sized() {
            readings.push(self.reading(first, None, self.packet)?);
        }
        // A line that is only slow must not be cut short by a smaller size that its bytes happen to
        // match.
        let is_size_cut = in_packet.is_some_and(|end| end > 0 && (end < run.len() || newline.is_none()));
        Ok(Rivals { readings, silence_proves: line.is_none() || is_size_cut })
    }

    /// Whether a line of digits, or what may become one, is at `place`.
    fn begins_with_number(&self, place: usize) -> bool {
        let rest = &self.bytes[place..];
        match memchr::memchr(b'\n', rest) {
            Some(end) => is_number(trim_cr(&rest[..end])),
            None => is_number(rest) && rest.len() < MAX_HEADER_BYTES || rest.is_empty() && !self.has_ended(),
        }
    }
}
