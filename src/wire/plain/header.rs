//! Where a header ends and what it says, as far as the bytes prove it.
//!
//! Senders in the field end a header in five ways, and some conversations can be read as more than one of them. A reading is
//! taken if it is proved (a newline, a size that matches to the byte, a first packet that ends where the header ends) and no
//! other reading is; where nothing is proved, the header is refused with advice. `docs/protocol.md` has the table.

use super::conversation::{Conversation, Decoded, HeaderForm, LineState, Options, Reading, Sizes};
use super::names::{
    extends, has_known_extension, is_key, is_like_content, other_protocol, runs_on_behind_extension, text_of_names,
};
use super::next::{Follows, follows};
use super::{MAX_HEADER_BYTES, leading_digits, parse_header, split_size, trim_cr};
use crate::error::{Error, ErrorKind, Result};

/// Reads the header at the beginning of a conversation.
///
/// # Errors
/// [`ErrorKind::BadHeader`] where nothing can be a header, or where nothing proves one of several readings;
/// [`ErrorKind::SizeMismatch`] where several sizes are possible and the content has none of them;
/// [`ErrorKind::Incomplete`] where the stream ended inside the header.
pub fn decode(conversation: &Conversation<'_>, options: Options) -> Result<Decoded> {
    let view = View::new(conversation, options);
    if let Some(protocol) = other_protocol(view.window) {
        return Ok(Decoded::OtherProtocol(protocol));
    }
    let follows = conversation.previous.map(|previous| follows(view.bytes, previous, view.has_ended()));
    let decoded = match (follows, options.form) {
        (Some(Follows::Unknown), _) => Decoded::Incomplete,
        (Some(Follows::Surplus), _) => return Err(surplus()),
        (_, HeaderForm::Line) => view.line()?,
        (Some(Follows::Header), _) if conversation.previous.is_some_and(|previous| previous.is_line) => view.line()?,
        (_, HeaderForm::Auto | HeaderForm::FirstPacket) => view.any_form()?,
    };
    match decoded {
        Decoded::Incomplete if view.has_ended() => {
            Err(unfinished(ErrorKind::Incomplete, "the stream ended inside", view.window))
        }
        Decoded::Incomplete if view.bytes.len() >= MAX_HEADER_BYTES => {
            Err(unfinished(ErrorKind::BadHeader, &format!("{MAX_HEADER_BYTES} bytes hold no end of"), view.window))
        }
        decoded => Ok(decoded),
    }
}

/// Whether a header without a size may be read at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unsized {
    Possible,
    /// Another reading is as likely, and no byte count can decide between them.
    Ambiguous,
}

/// A conversation, seen as a header.
pub(super) struct View<'a> {
    pub(super) bytes: &'a [u8],
    /// The bytes among which a header must end.
    pub(super) window: &'a [u8],
    /// The bytes at the front that can be words of a name.
    pub(super) text: &'a [u8],
    pub(super) packet: usize,
    pub(super) before_last_packet: usize,
    pub(super) line: LineState,
    previous: Option<&'a Reading>,
    options: Options,
}

impl<'a> View<'a> {
    fn new(conversation: &Conversation<'a>, options: Options) -> Self {
        let Conversation { bytes, first_packet: packet, before_last_packet, line, previous } = *conversation;
        let window = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
        let text = text_of_names(bytes);
        Self { bytes, window, text, packet, before_last_packet, line, previous, options }
    }

    pub(super) fn has_ended(&self) -> bool {
        self.line == LineState::Ended
    }

    /// Whether no more bytes will come that could belong to the header.
    pub(super) fn is_whole(&self) -> bool {
        self.has_ended() || self.bytes.len() >= MAX_HEADER_BYTES
    }

    /// A whole line is the header: all but a last word of digits is the name, spaces included.
    fn line(&self) -> Result<Decoded> {
        let Some(end) = memchr::memchr(b'\n', self.window) else { return Ok(Decoded::Incomplete) };
        let line = trim_cr(&self.window[..end]);
        match split_size(line) {
            Some((name, size)) if self.options.sizes == Sizes::Announced => {
                Ok(Decoded::Header(self.reading(name, Some(size), end + 1)?))
            }
            Some(_) | None => self.unsized_reading(line, end + 1, Unsized::Possible),
        }
    }

    fn any_form(&self) -> Result<Decoded> {
        match memchr::memchr2(b' ', b'\n', self.window) {
            None => self.without_separator(),
            Some(separator) if self.packet < separator => self.cut_name(separator),
            // The content may begin with this space.
            Some(separator) if self.packet == separator && self.window[separator] == b' ' => {
                self.separated(separator, Unsized::Ambiguous)
            }
            Some(separator) => self.separated(separator, Unsized::Possible),
        }
    }

    /// Neither a space nor a newline has come: the header can only have ended with the first packet.
    fn without_separator(&self) -> Result<Decoded> {
        if self.packet == self.bytes.len() {
            return Ok(Decoded::Incomplete);
        }
        let name = &self.bytes[..self.packet];
        match (self.options.form, self.is_whole()) {
            (HeaderForm::FirstPacket, _) => self.unsized_reading(name, self.packet, Unsized::Possible),
            // A name may have been cut there, and its end be lost.
            (_, true) if has_known_extension(name) && !is_key(&[self.bytes, b"x"].concat()) => {
                self.unsized_reading(name, self.packet, Unsized::Possible)
            }
            (_, true) => Err(ambiguous(name)),
            (_, false) => Ok(Decoded::Incomplete),
        }
    }

    /// The first packet ended before the first separator: at the end of the name, or in the middle of it.
    fn cut_name(&self, separator: usize) -> Result<Decoded> {
        let packet = self.packet;
        let (first, name) = (&self.bytes[..packet], trim_cr(&self.bytes[..separator]));
        if self.options.form == HeaderForm::FirstPacket {
            return self.unsized_reading(first, packet, Unsized::Possible);
        }
        match (has_known_extension(first), has_known_extension(name)) {
            (true, false) if !is_key(name) => self.first_packet_reading(),
            // A dot and a word that is no known extension: a longer name (`app.log.1`), or a
            // content.
            (true, false) if name[first.len()..].starts_with(b".") => self.separated(separator, Unsized::Ambiguous),
            (true, false) => match self.bytes.get(separator + 1) {
                None if self.bytes[separator] == b' ' && !self.has_ended() => Ok(Decoded::Incomplete),
                Some(byte) if self.bytes[separator] == b' ' && byte.is_ascii_digit() => {
                    self.separated(separator, Unsized::Ambiguous)
                }
                Some(_) | None => self.first_packet_reading(),
            },
            (false, true) => self.separated(separator, Unsized::Possible),
            (true, true) if extends(first, name) => self.separated(separator, Unsized::Possible),
            (true, true) | (false, false) if name.len() == first.len() => self.separated(separator, Unsized::Possible),
            (true, true) | (false, false) => self.separated(separator, Unsized::Ambiguous),
        }
    }

    /// The first packet is the name, unless the first line is a header.
    fn first_packet_reading(&self) -> Result<Decoded> {
        let decoded = self.unsized_reading(&self.bytes[..self.packet], self.packet, Unsized::Possible)?;
        self.against_words(decoded)
    }

    /// The name ends at `separator`, a space or a newline.
    fn separated(&self, separator: usize, may_be_unsized: Unsized) -> Result<Decoded> {
        let name = trim_cr(&self.window[..separator]);
        // Content may be glued to the name: all of a short one, or the first line of it.
        let is_packet = self.packet == separator + 1;
        let may_be_glued = match self.options.form {
            HeaderForm::FirstPacket if !has_known_extension(name) => !is_packet,
            _ => runs_on_behind_extension(name) && !(is_packet && self.window[separator] == b' '),
        };
        let may_be_unsized = if may_be_glued { Unsized::Ambiguous } else { may_be_unsized };
        if self.window[separator] == b'\n' {
            if may_be_unsized == Unsized::Possible && !has_known_extension(name) && is_like_content(name) {
                return Err(no_header(name));
            }
            return self.unsized_reading(name, separator + 1, may_be_unsized);
        }
        let digits = match self.options.sizes {
            Sizes::Announced => leading_digits(&self.bytes[separator + 1..]),
            Sizes::Never => 0,
        };
        if digits == 0 {
            return self.spaced(separator, may_be_unsized);
        }
        self.sized(separator, digits, may_be_unsized)
    }

    /// Reads a header without a size.
    pub(super) fn unsized_reading(&self, name: &[u8], bytes: usize, may_be_unsized: Unsized) -> Result<Decoded> {
        if may_be_unsized == Unsized::Ambiguous {
            return Err(ambiguous(name));
        }
        let reading = self.reading(name, None, bytes)?;
        if self.must_be_sized() {
            return Err(Error::new(
                ErrorKind::BadHeader,
                format!("header {:?} has no size: send `name size`, a newline, then the bytes", shown(name)),
            ));
        }
        Ok(Decoded::Header(reading))
    }

    pub(super) fn must_be_sized(&self) -> bool {
        self.options.require_size || self.previous.is_some()
    }

    /// Whether a newline may end the header: behind a file whose header had none it is content.
    pub(super) fn may_be_line(&self) -> bool {
        self.previous.is_none_or(|previous| previous.is_line)
    }

    pub(super) fn announces_sizes(&self) -> bool {
        self.options.sizes == Sizes::Announced
    }

    /// # Errors
    /// [`ErrorKind::BadHeader`] where the name or the size can't be one.
    pub(super) fn reading(&self, name: &[u8], size: Option<&[u8]>, bytes: usize) -> Result<Reading> {
        Ok(Reading { header: parse_header(name, size)?, bytes, is_line: self.bytes[bytes - 1] == b'\n' })
    }
}

fn unfinished(kind: ErrorKind, what: &str, header: &[u8]) -> Error {
    Error::new(kind, format!("{what} the header {:?}: end it with a newline", shown(header)))
}

fn surplus() -> Error {
    let message = "more than the announced bytes came, and it is no header of a further file: announce as many bytes as \
                   follow, and name a further file with an extension and its size, or use a connection for each file";
    Error::new(ErrorKind::SizeMismatch, message)
}

fn no_header(line: &[u8]) -> Error {
    let message = format!(
        "the first line {:?} looks like content, not like a name: send `name size` and a newline before the bytes",
        shown(line)
    );
    Error::new(ErrorKind::BadHeader, message)
}

pub(super) fn ambiguous(name: &[u8]) -> Error {
    let message = format!(
        "nothing shows where the name ends in {:?}: end the header with a size and a newline; \
         or set plain.header = \"first-packet\" for senders that name the file in a packet of its own",
        shown(name)
    );
    Error::new(ErrorKind::BadHeader, message)
}

/// The beginning of a name, escaped.
pub(super) fn shown(name: &[u8]) -> String {
    name[..name.len().min(80)].escape_ascii().to_string()
}
