//! What a sender remembers of a file from one try to the next, so that a resumed file is not read from its first byte again.

use crate::client::CHUNK_BYTES;
use crate::upload::Tally;

/// How many places of a file are remembered; a file of any size has no more.
const MAX_MARKS: usize = 256;

/// A file's way so far.
#[derive(Debug)]
pub struct Trail {
    /// The hash as it stood at places on the way, in their order.
    marks: Vec<Tally>,
    /// Bytes from one mark to the next, at least.
    spacing: u64,
    /// Bytes of the file that went out, in all tries.
    pub(super) sent_bytes: u64,
    /// The furthest offset that a try went on at.
    pub(super) resumed_at: u64,
    /// How much of the file the server had already at the last try.
    pub(super) server_had: u64,
}

impl Default for Trail {
    fn default() -> Self {
        Self { marks: Vec::new(), spacing: CHUNK_BYTES as u64, sent_bytes: 0, resumed_at: 0, server_had: 0 }
    }
}

impl Trail {
    /// Remembers how the hash stands here, if that is far enough from the last mark.
    pub(super) fn mark(&mut self, tally: &Tally) {
        let last = self.marks.last().map_or(0, Tally::size);
        if tally.size() < last + self.spacing {
            return;
        }
        self.marks.push(tally.clone());
        if self.marks.len() == MAX_MARKS {
            let mut number = 0;
            self.marks.retain(|_| {
                number += 1;
                number % 2 == 0
            });
            self.spacing *= 2;
        }
    }

    /// The hash at the last mark that is not behind `offset`.
    pub(super) fn before(&self, offset: u64) -> Tally {
        let reached = self.marks.partition_point(|mark| mark.size() <= offset);
        self.marks[..reached].last().cloned().unwrap_or_default()
    }

    /// Forgets all but how much was sent: what follows is of something else.
    pub(super) fn begin_anew(&mut self) {
        *self = Self { sent_bytes: self.sent_bytes, ..Self::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upload::Digest;

    #[test]
    fn a_mark_is_found_at_or_before_any_offset_and_there_are_few() {
        let chunk = vec![7; CHUNK_BYTES];
        let (mut trail, mut tally) = (Trail::default(), Tally::new());
        for _ in 0..3000 {
            tally.add(&chunk);
            trail.mark(&tally);
        }
        assert!(trail.marks.len() < MAX_MARKS);
        assert_eq!(trail.before(0).size(), 0);
        assert_eq!(trail.before(CHUNK_BYTES as u64 - 1).size(), 0);
        for offset in [1 << 20, 100 << 20, tally.size() - 1, tally.size(), u64::MAX] {
            let mark = trail.before(offset);
            assert!(mark.size() <= offset && offset.min(tally.size()) - mark.size() < 2 * trail.spacing, "{offset}");
            let bytes = vec![7; usize::try_from(mark.size()).unwrap()];
            assert_eq!(mark.digest(), Digest::of(&bytes));
        }
        // What is read again leaves no second marks.
        let marks = trail.marks.len();
        trail.mark(&trail.before(10 << 20));
        assert_eq!(trail.marks.len(), marks);
    }
}
