//! The evidence of the number of bytes for the readings of a header.

use std::cmp::Ordering;

use super::conversation::{Decoded, LineState, Reading, Rivals};
use super::header::{View, shown};
use super::names::has_known_extension;
use super::next::{Follows, Names, are_files, follows, follows_named};
use super::{MAX_SIZE_DIGITS, leading_newline, size_of};
use crate::error::{Error, ErrorKind, Result};

/// The evidence of the number of bytes for a reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// The header of a further file has come, in a packet of its own.
    Proved,
    /// The content ends here, and so does the conversation, or whole files follow. Content may look
    /// like a header, but does not look like whole files but by chance.
    Matches,
    /// As [`Evidence::Matches`], but for a name that no further file may have: the others are not
    /// proved, and neither is this one.
    Contests,
    /// A text that looks like the header of a further file follows, of which more may come.
    Doubtful,
    Possible,
    Disproved,
}

/// The only reading that is proved.
///
/// A line whose name has several words, or was cut, is proved where no other reading is possible:
/// the first line of a content ends with a number easily, and its size may be small.
fn proved(readings: &[Reading], evidence: &[Evidence]) -> Option<usize> {
    let all = |wanted| evidence.iter().enumerate().filter(move |(_, found)| **found == wanted).map(|(index, _)| index);
    let is_contested = evidence.iter().any(|evidence| matches!(evidence, Evidence::Contests | Evidence::Doubtful));
    // A line that other files may follow is proved as well as a file that a header follows.
    let may_be_line = readings.iter().zip(evidence).any(|(reading, evidence)| {
        let may_end = matches!(evidence, Evidence::Contests | Evidence::Doubtful | Evidence::Matches);
        reading.is_line && (may_end || reading.has_words() && *evidence == Evidence::Possible)
    });
    let wanted = if all(Evidence::Proved).next().is_some() { Evidence::Proved } else { Evidence::Matches };
    let is_in_doubt = if wanted == Evidence::Proved { may_be_line } else { is_contested };
    let is_alone = |found: usize| {
        let mut others = evidence.iter().enumerate().filter(|(index, _)| *index != found);
        !readings[found].has_words() || others.all(|(_, evidence)| *evidence == Evidence::Disproved)
    };
    let mut found = all(wanted);
    found.next().filter(|index| !is_in_doubt && is_alone(*index) && found.next().is_none())
}

impl View<'_> {
    /// Leaves the readings that the number of bytes so far allows.
    pub(super) fn by_count(&self, mut rivals: Rivals) -> Result<Decoded> {
        let is_slow = self.line == LineState::Quiet && !rivals.silence_proves;
        let line = |reading: &Reading| if is_slow && !reading.is_line { LineState::Open } else { self.line };
        let evidence: Vec<Evidence> = rivals.readings.iter().map(|reading| self.evidence(reading, line(reading))).collect();
        let may_be_unsized = rivals.readings.iter().any(|reading| reading.header.size.is_none());
        let shown = rivals.readings.iter().position(|reading| self.is_shown_by_packet(reading));
        let proved = proved(&rivals.readings, &evidence).or(shown);
        if let Some(index) = proved.filter(|_| !may_be_unsized || self.has_ended()) {
            let is_contradicted = rivals.readings[index].is_contradicted_by(&rivals.readings);
            let reading = rivals.readings.swap_remove(index);
            return if is_contradicted { Err(self.no_size_proved()) } else { Ok(Decoded::Header(reading)) };
        }
        if rivals.readings.len() > 1 {
            let mut evidence = evidence.iter();
            rivals.readings.retain(|_| evidence.next() != Some(&Evidence::Disproved));
        }
        match rivals.readings.len() {
            0 => Err(self.no_size_proved()),
            1 if evidence.len() == 1 || !evidence.contains(&Evidence::Doubtful) => {
                Ok(Decoded::Header(rivals.readings.remove(0)))
            }
            _ if self.has_ended() => Err(self.no_size_proved()),
            _ => Ok(Decoded::Undecided(rivals)),
        }
    }

    /// Holds a reading against another one that the first packet allows: a whole file that came
    /// with its header. `t.bin 17` is the header of 17 bytes, or the file `7` of one byte, behind
    /// which another header may follow; `t.bin 27\n` is a line, or the file `7\n`. `run` are the
    /// digits.
    pub(super) fn against_joined(&self, reading: Reading, space: usize, run: &[u8]) -> Result<Decoded> {
        let start = space + 1;
        let is_whole =
            |end: &usize| self.packet.checked_sub(start + end).is_some_and(|came| size_of(&run[..*end]) == Some(came));
        let Some(end) = (1..=run.len().min(MAX_SIZE_DIGITS)).find(is_whole) else {
            return Ok(Decoded::Header(reading));
        };
        let joined = self.reading(&self.window[..space], Some(&run[..end]), start + end)?;
        let is_alone = joined == reading
            || match (self.evidence(&joined, self.line), self.line) {
                (Evidence::Disproved, _) => true,
                (Evidence::Possible, LineState::Quiet) => self.evidence(&reading, self.line) == Evidence::Matches,
                // Where nothing comes behind the first packet, the header was cut off.
                (_, LineState::Ended) => self.bytes.len() == self.packet,
                (_, LineState::Open | LineState::Quiet) => false,
            };
        match self.line {
            _ if is_alone => Ok(Decoded::Header(reading)),
            LineState::Ended => Err(self.no_size_proved()),
            LineState::Open | LineState::Quiet => {
                Ok(Decoded::Undecided(Rivals { readings: vec![reading], silence_proves: false }))
            }
        }
    }

    /// Whether a header came in a packet of its own, its name shows that it ends there, and its
    /// content ends where the sender ends or waits.
    fn is_shown_by_packet(&self, reading: &Reading) -> bool {
        self.line != LineState::Open
            && self.packet == reading.bytes
            && !reading.is_line
            && has_known_extension(reading.header.name.as_bytes())
            && reading.end() == Some(self.bytes.len() as u64)
            && leading_newline(&self.bytes[reading.bytes..]).is_none()
    }

    /// Whether the content ends with the conversation, or whole files follow to its end.
    pub(super) fn is_whole_conversation(&self, reading: &Reading) -> bool {
        matches!(self.evidence(reading, self.line), Evidence::Matches | Evidence::Proved)
    }

    /// Whether the header of a further file has come in a packet of its own.
    pub(super) fn is_followed_by_header(&self, reading: &Reading) -> bool {
        self.evidence(reading, self.line) == Evidence::Proved
    }

    fn evidence(&self, reading: &Reading, line: LineState) -> Evidence {
        let Some(size) = reading.header.size else { return Evidence::Possible };
        let content = &self.bytes[reading.bytes..];
        match (content.len() as u64).cmp(&size) {
            Ordering::Less if self.has_ended() => Evidence::Disproved,
            Ordering::Less => Evidence::Possible,
            Ordering::Equal if line == LineState::Open => Evidence::Possible,
            Ordering::Equal => Evidence::Matches,
            Ordering::Greater => {
                let (content, surplus) = content.split_at(usize::try_from(size).unwrap_or(content.len()));
                let end = reading.bytes + content.len();
                // Both files may be words of one name, of which more comes.
                let is_separate = end > self.text.len() || line == LineState::Quiet;
                let is_own_packet = end == self.before_last_packet && is_separate;
                self.evidence_before(surplus, reading, is_own_packet, line)
            }
        }
    }

    /// The evidence of `surplus` behind a file for its size.
    fn evidence_before(&self, surplus: &[u8], reading: &Reading, is_own_packet: bool, line: LineState) -> Evidence {
        let (name, is_line) = (&reading.header.name, reading.is_line);
        let may_follow = follows(surplus, reading, self.has_ended());
        // The sender of a line may have died in the next one.
        let is_cut_header =
            may_follow != Follows::Header && follows_named(surplus, Names::After(name), false, true) == Follows::Header;
        if is_line && self.has_ended() && is_cut_header {
            return Evidence::Doubtful;
        }
        // A sender may mean a further file whose name is refused: that proves no other reading.
        match (may_follow, follows_named(surplus, Names::Any, is_line, self.has_ended())) {
            (Follows::Header, _) if is_own_packet => return Evidence::Proved,
            (_, Follows::Unknown) => return Evidence::Possible,
            (_, Follows::Surplus) => return Evidence::Disproved,
            (_, Follows::Header) => {}
        }
        if line == LineState::Open {
            Evidence::Doubtful
        } else if may_follow == Follows::Header && are_files(surplus, Names::After(name), is_line) {
            Evidence::Matches
        } else if are_files(surplus, Names::Any, is_line) {
            Evidence::Contests
        } else if self.has_ended() {
            Evidence::Disproved
        } else {
            Evidence::Doubtful
        }
    }

    pub(super) fn no_size_proved(&self) -> Error {
        let space = memchr::memchr(b' ', self.window).unwrap_or_default();
        let (name, came) = (shown(&self.window[..space]), self.bytes.len() - space - 1);
        let message = format!(
            "{came} bytes came behind {name:?}, and nothing proves which of the digits there are the size: \
             send `name size`, a newline, then that many bytes, with a name without spaces; or set plain.sizes = \"never\" where no sender announces a size"
        );
        Error::new(ErrorKind::SizeMismatch, message)
    }
}
