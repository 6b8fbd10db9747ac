//! Names of several words: whether a name goes on behind the first space of a header.
//!
//! Only a line can have such a name, and a line is believed if the number of bytes proves it. Where
//! a conversation may be one of a sender with such a name, nothing else is read in it: digits in
//! its words are easily taken for a size, and an extension for the end of the name.

use super::conversation::{Decoded, LineState, Reading, Rivals};
use super::header::{Unsized, View, shown};
use super::names::{has_known_extension, is_key, may_begin_key, runs_on_behind_extension, text_of_names};
use super::{MAX_SIZE_DIGITS, is_number, leading_digits, leading_newline, size_of, split_size, trim_cr};
use crate::error::{Error, ErrorKind, Result};

/// Words of a name that are looked at for a size.
const MAX_WORDS: usize = 32;

/// Where the content would end if a size were at the beginning of a word behind the first two of
/// `text`.
fn ends_of_words(text: &[u8]) -> impl Iterator<Item = usize> {
    memchr::memchr_iter(b' ', text).skip(1).take(MAX_WORDS).flat_map(move |space| {
        let digits = leading_digits(&text[space + 1..]).min(MAX_SIZE_DIGITS);
        (1..=digits).filter_map(move |end| {
            let begin = space + 1 + end;
            Some(size_of(&text[space + 1..begin])?.saturating_add(begin))
        })
    })
}

impl View<'_> {
    /// The first line, if it is a header with a size whose name has several words.
    pub(super) fn line_of_words(&self) -> Option<Reading> {
        let end = memchr::memchr(b'\n', self.window).filter(|_| self.announces_sizes() && self.may_be_line())?;
        let (name, size) = split_size(trim_cr(&self.window[..end]))?;
        let is_one = name.contains(&b' ') && is_key(name);
        is_one.then(|| self.reading(name, Some(size), end + 1).ok()).flatten()
    }

    /// A space, and no size behind it: the name ends there, unless the space is a part of it.
    pub(super) fn spaced(&self, space: usize, may_be_unsized: Unsized) -> Result<Decoded> {
        let (name, start) = (&self.window[..space], space + 1);
        if self.bytes.len() == start {
            return Ok(Decoded::Incomplete);
        }
        let is_packet = self.packet == start;
        if is_packet && (has_known_extension(name) || !self.awaits_line() && self.may_end_name(space)) {
            let decoded = self.unsized_reading(name, start, may_be_unsized)?;
            return self.against_words(decoded);
        }
        if !self.is_whole() && memchr::memchr(b'\n', self.window).is_none() {
            return Ok(Decoded::Incomplete);
        }
        match self.line_of_words() {
            Some(line) => self.against_words(Decoded::Header(line)),
            None if self.ends_joined_name(space) => self.unsized_reading(name, start, may_be_unsized),
            None => Err(self.name_of_words()),
        }
    }

    /// Whether a name without a size can end at `space`, the end of the first packet.
    pub(super) fn may_end_name(&self, space: usize) -> bool {
        let line_end = memchr::memchr(b'\n', self.window).unwrap_or(self.window.len());
        let line = trim_cr(&self.window[..line_end]);
        has_known_extension(&self.window[..space])
            || self.text.len() < line.len() && !has_known_extension(line) && self.line_of_words().is_none()
    }

    /// Whether a name ends at `space`, behind which the network has joined its content: a known
    /// extension, and a line that no other header begins with.
    fn ends_joined_name(&self, space: usize) -> bool {
        let is_content = match self.line_of_names() {
            // With `sizes = "never"`, digits are content.
            Some(line) => !self.announces_sizes() && is_number(&line[space + 1..]),
            None => self.packet > self.text.len(),
        };
        has_known_extension(&self.window[..space])
            && self.packet > space
            && is_content
            && !self.holds_name_of_words()
            && memchr::memchr_iter(b' ', self.text).nth(1).is_none()
    }

    /// The first line, if it can be a name of several words.
    fn line_of_names(&self) -> Option<&[u8]> {
        let behind = &self.bytes[self.text.len()..];
        let is_line = leading_newline(behind).is_some() || behind.is_empty() && self.is_whole();
        let is_sized = super::is_sized(self.text) && self.announces_sizes();
        Some(self.text).filter(|line| is_line && line.contains(&b' ') && !is_sized && is_key(line))
    }

    /// Whether the first line has not come to its end, and can be a header.
    pub(super) fn awaits_line(&self) -> bool {
        !self.is_whole() && memchr::memchr(b'\n', self.window).is_none() && may_begin_key(trim_cr(self.bytes))
    }

    /// Whether all that came can be words of a name, or a line with such a name.
    fn may_be_header(&self) -> bool {
        let line_end = memchr::memchr(b'\n', self.bytes);
        let is_line = line_end.is_some_and(|end| end + 1 == self.bytes.len());
        self.may_go_on() || is_line && (self.line_of_words().is_some() || self.line_of_names().is_some())
    }

    /// Whether all that came can be words of a name.
    fn may_go_on(&self) -> bool {
        self.text.len() == self.bytes.len() && !self.has_ended()
    }

    /// Whether the first line is a name of several words by its extension, or the first packet is
    /// one, or a name and a size.
    fn is_name_of_words(&self) -> bool {
        let packet = self.text.get(..self.packet).map(<[u8]>::trim_ascii_end).filter(|packet| packet.contains(&b' '));
        self.line_of_names().is_some_and(has_known_extension)
            || packet.is_some_and(has_known_extension)
            || self.is_packet_of_words()
    }

    /// Whether the first packet is a name of several words and a size, without a newline.
    fn is_packet_of_words(&self) -> bool {
        let packet = self.text.get(..self.packet).and_then(split_size);
        packet.is_some_and(|(name, _)| name.contains(&b' ')) && !matches!(self.bytes.get(self.packet), Some(b'\n' | b'\r'))
    }

    /// Whether the text at the front is a name of several words by its extension, to which the
    /// network may have joined its content.
    fn holds_name_of_words(&self) -> bool {
        let words = memchr::memchr(b' ', self.text).map_or(&[][..], |space| &self.text[space + 1..]);
        let mut ends = memchr::memchr_iter(b'/', words).chain([words.len()]);
        ends.any(|end| has_known_extension(&words[..end])) || runs_on_behind_extension(words)
    }

    /// Whether all that came is a header whose name has several words by its extension.
    fn is_header_of_words(&self) -> bool {
        let is_text = self.text.len() == self.bytes.len();
        let without_size = split_size(self.text).map_or(self.text, |(name, _)| name);
        let is_line = |line: Reading| line.bytes == self.bytes.len() && has_known_extension(line.header.name.as_bytes());
        is_text && has_known_extension(without_size) && without_size.contains(&b' ')
            || self.line_of_words().is_some_and(is_line)
    }

    /// Where the content would end in the conversation of a sender that gives the size without a
    /// newline in its first packet, for each later word that may be the size.
    fn ends_of_words(&self) -> impl Iterator<Item = u64> {
        ends_of_words(&self.text[..self.text.len().min(self.packet)]).map(|end| end as u64)
    }

    /// Whether a line whose name has several words is refused: one that ends a first word like a
    /// name, and one that may be files whose sizes no newline ends.
    fn is_no_line_of_words(&self, reading: &Reading) -> bool {
        let first = reading.header.name.split(' ').next().unwrap_or_default();
        let is_cut = || self.packet <= reading.header.name.len() && self.is_packet_of_words();
        reading.has_words() && (has_known_extension(first.as_bytes()) || is_cut() || self.holds_files_of_words())
    }

    /// Whether the first line may be several files whose names have several words, and whose sizes
    /// no newline ends: behind what one of its words announces, there are a name and a size again.
    fn holds_files_of_words(&self) -> bool {
        let last_word = memchr::memrchr(b' ', self.text).unwrap_or_default();
        let is_header = |end: usize| {
            let text = text_of_names(self.bytes.get(end..).unwrap_or_default());
            memchr::memchr_iter(b' ', text).any(|space| space > 0 && leading_digits(&text[space + 1..]) > 0)
        };
        ends_of_words(&self.text[..last_word.min(self.packet)]).any(is_header)
    }

    /// Holds a reading against the headers of several words that the conversation may begin with.
    /// Behind a file whose header was no line, no line comes.
    pub(super) fn against_words(&self, decoded: Decoded) -> Result<Decoded> {
        match decoded {
            decoded if !self.may_be_line() => Ok(decoded),
            Decoded::Header(reading) if reading.header.size.is_some() => self.sized_against_words(reading),
            Decoded::Header(reading) => self.unsized_against_words(reading),
            Decoded::Undecided(mut rivals) => {
                let twins = self.line_of_words().and_then(|line| line.end());
                let twins =
                    twins.filter(|end| rivals.readings.iter().any(|rival| !rival.is_line && rival.end() == Some(*end)));
                // Nothing can prove one of a line and a size that end at the same byte.
                let is_twin = |reading: &Reading| twins.is_some() && reading.end() == twins;
                rivals.readings.retain(|reading| !is_twin(reading) && !self.may_be_words(reading));
                if rivals.readings.is_empty() { self.only_words() } else { Ok(Decoded::Undecided(rivals)) }
            }
            Decoded::Incomplete | Decoded::OtherProtocol(_) => Ok(decoded),
        }
    }

    /// Whether the conversation of this reading is that of a name of several words, too, however
    /// many bytes come.
    fn may_be_words(&self, reading: &Reading) -> bool {
        let has_twin = || !reading.is_line && self.line_of_words().is_some_and(|line| line.end() == reading.end());
        match reading.end() {
            None => self.is_name_of_words(),
            Some(_) if has_twin() => true,
            Some(_) if self.packet == reading.bytes && !reading.is_line => {
                self.goes_on_behind(reading) && self.is_name_of_words()
            }
            Some(end) => {
                let came = Some(self.bytes.len() as u64).filter(|_| self.line != LineState::Open);
                self.ends_of_words().any(|other| other == end || Some(other) == came)
                    || if reading.is_line { self.is_no_line_of_words(reading) } else { self.is_name_of_words() }
            }
        }
    }

    /// Whether the first byte of the content is one that goes on with a name.
    fn goes_on_behind(&self, reading: &Reading) -> bool {
        self.text.get(reading.bytes).is_some_and(|byte| b" ./-_".contains(byte))
    }

    fn unsized_against_words(&self, reading: Reading) -> Result<Decoded> {
        if self.awaits_line() {
            return Ok(Decoded::Undecided(Rivals { readings: vec![reading], silence_proves: false }));
        }
        let line = self.line_of_words();
        let is_name = line.as_ref().is_some_and(|line| has_known_extension(line.header.name.as_bytes()));
        let decoded =
            self.by_count(Rivals { readings: [reading].into_iter().chain(line).collect(), silence_proves: false })?;
        match &decoded {
            Decoded::Header(reading) if is_name || self.may_be_words(reading) => Err(self.name_of_words()),
            _ => Ok(decoded),
        }
    }

    fn sized_against_words(&self, reading: Reading) -> Result<Decoded> {
        if self.may_be_words(&reading) {
            return self.only_words();
        }
        if reading.is_line {
            return self.proved_line(reading);
        }
        let (end, came) = (reading.end().unwrap_or(u64::MAX), self.bytes.len() as u64);
        let is_packet = self.packet == reading.bytes;
        let ends_later = |place| !is_packet && self.ends_of_words().any(|other| other >= place);
        let may_be_longer = || {
            let is_cut_within = self.packet <= self.text.len();
            self.line_of_names().is_some() || !is_packet && is_cut_within || ends_later(end)
        };
        let may_be_line = || self.line_of_words().is_some() || !self.is_whole_conversation(&reading);
        let is_pending = match self.line {
            LineState::Ended if !is_packet && self.is_header_of_words() => return Err(self.name_of_words()),
            LineState::Ended if self.text.len() as u64 > end && may_be_line() => return Err(self.name_of_words()),
            LineState::Ended => false,
            LineState::Quiet if came == end => !is_packet && self.may_be_header(),
            LineState::Quiet if self.is_followed_by_header(&reading) => false,
            LineState::Quiet if self.text.len() as u64 <= end && self.is_whole_conversation(&reading) => false,
            LineState::Open | LineState::Quiet => self.may_go_on() || ends_later(came) || came <= end && may_be_longer(),
        };
        if is_pending {
            return Ok(Decoded::Undecided(Rivals { readings: vec![reading], silence_proves: true }));
        }
        Ok(Decoded::Header(reading))
    }

    /// Waits for the number of bytes to prove a line whose name has several words, or was cut by
    /// the first packet: that of another sender may hold a name, and the beginning of its content.
    fn proved_line(&self, line: Reading) -> Result<Decoded> {
        if !line.has_words() && self.packet >= line.header.name.len() {
            return Ok(Decoded::Header(line));
        }
        let is_whole = self.is_whole_conversation(&line);
        let may_be_longer = || line.header.size == Some(0) || self.ends_of_words().any(|end| end >= self.bytes.len() as u64);
        match self.line {
            LineState::Ended if is_whole => Ok(Decoded::Header(line)),
            LineState::Ended => Err(self.no_size_proved()),
            LineState::Quiet if is_whole && !may_be_longer() => Ok(Decoded::Header(line)),
            LineState::Open | LineState::Quiet => {
                Ok(Decoded::Undecided(Rivals { readings: vec![line], silence_proves: true }))
            }
        }
    }

    /// Nothing but a name of several words is left.
    fn only_words(&self) -> Result<Decoded> {
        if self.awaits_line() { Ok(Decoded::Incomplete) } else { Err(self.name_of_words()) }
    }

    fn name_of_words(&self) -> Error {
        let words = self.text.split(|byte| *byte == b' ').next().unwrap_or_default();
        let message = format!(
            "nothing shows whether the name goes on behind {:?} and the space there: send `name size`, a newline, then \
             that many bytes, with a name without spaces; or use the framed protocol",
            shown(words)
        );
        Error::new(ErrorKind::BadHeader, message)
    }
}
