//! gzip: one member behind the other (RFC 1952 section 2.2).

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Decoded, Decoder};

/// The largest window there is: 32 KiB (RFC 1951 section 2).
const WINDOW_LOG: u8 = 15;

/// The memory of the decompressor, in bytes: its window and its tables.
const MEMORY_BYTES: usize = 64 << 10;

/// A decompressor for a file of members.
#[derive(Debug, Default)]
pub(super) struct Gzip {
    /// The member that is being read; made by the first byte.
    member: Option<Decompress>,
    /// Whether a member has ended, and the next one not begun.
    is_between: bool,
}

impl Decoder for Gzip {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Decoded> {
        if self.is_between && !input.is_empty() {
            (self.member, self.is_between) = (None, false);
        }
        if self.is_between || (self.member.is_none() && input.is_empty()) {
            return Ok(Decoded { read: 0, written: 0, more: false });
        }
        let member = self.member.get_or_insert_with(|| Decompress::new_gzip(WINDOW_LOG));
        let (read_before, written_before) = (member.total_in(), member.total_out());
        let status = member.decompress(input, output, FlushDecompress::None)?;
        let count = |now: u64, before: u64| usize::try_from(now - before).expect("no more than there was room for");
        let (read, written) = (count(member.total_in(), read_before), count(member.total_out(), written_before));
        self.is_between = status == Status::StreamEnd;
        if read == 0 && written == 0 && !input.is_empty() && !self.is_between {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the decompressor does not go on"));
        }
        Ok(Decoded { read, written, more: written == output.len() && !self.is_between })
    }

    fn memory_bytes(&self) -> usize {
        MEMORY_BYTES
    }

    fn is_complete(&self) -> bool {
        self.is_between
    }
}
