//! What is known of a conversation, and what its first bytes can say.

use super::Header;

/// How a header may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderForm {
    /// By a newline, a space, or with the first packet, whichever the bytes prove.
    Auto,
    /// By a newline only.
    Line,
    /// As [`HeaderForm::Auto`], and a first packet without space and newline is the name, whatever it looks like.
    FirstPacket,
}

/// What digits behind a name are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sizes {
    /// The size of the file in bytes.
    Announced,
    /// Content: no sender announces a size.
    Never,
}

/// What headers are held to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How a header may end.
    pub form: HeaderForm,
    /// What digits behind a name are.
    pub sizes: Sizes,
    /// Whether a header without a size is refused.
    pub require_size: bool,
}

/// What is known of a conversation so far.
#[derive(Debug, Clone, Copy)]
pub struct Conversation<'a> {
    /// Every byte that has come since the end of the file before.
    pub bytes: &'a [u8],
    /// How many of them came with the first packet.
    pub first_packet: usize,
    /// How many of them came before the last packet.
    pub before_last_packet: usize,
    /// Whether more bytes may come.
    pub line: LineState,
    /// The header of the file before on this connection, which had a size: a sender keeps to one form.
    pub previous: Option<&'a Reading>,
}

/// Whether more bytes may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineState {
    /// More bytes may come at any time.
    Open,
    /// No byte has come for so long that the sender waits for its answer.
    Quiet,
    /// No more bytes will come.
    Ended,
}

/// One way to read the first bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The header.
    pub header: Header,
    /// Bytes that the header takes; the content follows.
    pub bytes: usize,
    /// Whether the header ends with a newline.
    pub is_line: bool,
}

/// What the first bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded {
    /// The header is not complete.
    Incomplete,
    /// The only reading that is left.
    Header(Reading),
    /// Several readings; the number of bytes that come decides.
    Undecided(Rivals),
    /// The first words of this other protocol.
    OtherProtocol(&'static str),
}

/// Several ways to read the first bytes, of which one at most is what the sender means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rivals {
    /// In the order of the ends of their contents.
    pub readings: Vec<Reading>,
    /// Whether a sender that is silent behind the content of a reading proves it, as one that waits
    /// for its answer. The rest of a line may only be slow to come.
    pub silence_proves: bool,
}

impl Reading {
    /// Where the content ends in the conversation; `None` where that is the end of the stream.
    pub fn end(&self) -> Option<u64> {
        self.header.size.map(|size| size.saturating_add(self.bytes as u64))
    }

    /// Whether the name has several words.
    pub fn has_words(&self) -> bool {
        self.header.name.contains(' ')
    }

    /// Whether the number of bytes proves nothing for this reading, which has a size: a first
    /// packet that ended with the space, and so has a reading without a size among the `rivals`,
    /// says that digits behind it are content, and so may be a line whose name goes on behind it.
    pub fn is_contradicted_by<'a>(&self, rivals: impl IntoIterator<Item = &'a Self>) -> bool {
        let is_certain = self.is_line && !self.has_words();
        !is_certain && rivals.into_iter().any(|rival| rival.header.size.is_none())
    }
}
