//! The fast way: whole records without a flaw, as many as there are, and nothing else.
//!
//! What is between quotes is found for 64 bytes at once, as the parity of the quotes before (Langdale and Lemire, "Parsing
//! Gigabytes of JSON per Second", VLDB Journal 28, 2019, section 3.1.1); a quote that stands for itself closes and opens.
//! Whatever is not clean, a flaw, a comment, a record that goes on in the next chunk or beyond a limit, is left to the
//! [lexer](super::lexer), which reads the one record from its beginning: no flaw is worded here.

use memchr::memchr_iter;

use super::blocks::{BYTES, Block};
use super::cells::Span;

/// Reads clean records of one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clean {
    pub(super) delimiter: u8,
    /// [`Self::NO_QUOTE`] in a dialect without.
    pub(super) quote: u8,
    /// What every record has to have.
    pub(super) fields: u64,
    /// The longest record, and the longest field, without the LF behind it.
    pub(super) max_bytes: u64,
    pub(super) max_lines: u64,
    pub(super) crs: Crs,
}

/// Which CR may stand outside of quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crs {
    /// One with an LF behind it.
    BeforeLf,
    Nowhere,
}

/// How far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// Up to the end of a record.
    pub(super) bytes: usize,
    pub(super) rows: u64,
}

impl Clean {
    /// A byte that stands in no UTF-8.
    pub(super) const NO_QUOTE: u8 = 0xff;

    /// Counts records from the first byte on, which begins one.
    pub(super) fn count(&self, bytes: &[u8]) -> Taken {
        let mut taken = Taken { bytes: 0, rows: 0 };
        // Delimiters of the record in the blocks before.
        let mut delimiters = 0;
        self.blocks(bytes, |start, block| {
            let mut left = block.delimiters;
            let mut ends = block.ends;
            while ends != 0 {
                let record = ends ^ (ends - 1);
                let end = start + ends.trailing_zeros() as usize;
                delimiters += u64::from((left & record).count_ones());
                if delimiters + 1 != self.fields || !self.is_within_limits(&bytes[taken.bytes..end]) {
                    return Go::Stop;
                }
                taken = Taken { bytes: end + 1, rows: taken.rows + 1 };
                (delimiters, left, ends) = (0, left & !record, ends & (ends - 1));
            }
            delimiters += u64::from(left.count_ones());
            Go::On
        });
        taken
    }

    /// As [`Self::count`], and hands over where the fields of each record stand. Stops at the first error.
    pub(super) fn each<E>(&self, bytes: &[u8], mut on_row: impl FnMut(&[Span]) -> Result<(), E>) -> Result<Taken, E> {
        let mut taken = Taken { bytes: 0, rows: 0 };
        let mut failed = None;
        let mut spans = Vec::new();
        let mut begin = 0;
        self.blocks(bytes, |start, block| {
            let mut marks = block.delimiters | block.ends;
            while marks != 0 {
                let mark = marks & marks.wrapping_neg();
                let at = start + marks.trailing_zeros() as usize;
                let is_last = block.ends & mark != 0;
                let has_cr = is_last && bytes[begin..at].ends_with(b"\r");
                spans.push(Span { start: begin, end: at - usize::from(has_cr) });
                begin = at + 1;
                if is_last {
                    if spans.len() as u64 != self.fields || !self.is_within_limits(&bytes[taken.bytes..at]) {
                        return Go::Stop;
                    }
                    if let Err(error) = on_row(&spans) {
                        failed = Some(error);
                        return Go::Stop;
                    }
                    taken = Taken { bytes: begin, rows: taken.rows + 1 };
                    spans.clear();
                }
                marks ^= mark;
            }
            Go::On
        });
        failed.map_or(Ok(taken), Err)
    }

    /// Hands over what ends fields and records, up to the first block with a flaw.
    #[inline]
    fn blocks(&self, bytes: &[u8], mut on_block: impl FnMut(usize, Marks) -> Go) {
        let mut behind = Behind::START;
        let (whole, rest) = bytes.as_chunks::<BYTES>();
        let mut last = [0; BYTES];
        last[..rest.len()].copy_from_slice(rest);
        // One loop over all, so that what is done with a block stands in it, and is not called.
        for number in 0..=whole.len() {
            let (block, read) = whole.get(number).map_or((&last, (1 << rest.len()) - 1), |block| (block, u64::MAX));
            let marks = behind.marks(Block::of(block, self.delimiter, self.quote), read, self.crs);
            if on_block(number * BYTES, marks) == Go::Stop || marks.flawed {
                return;
            }
        }
    }

    /// Whether a record without its LF is; what is beyond is told by the lexer. It has no more lines than bytes and one.
    #[inline]
    fn is_within_limits(&self, record: &[u8]) -> bool {
        let bytes = record.len() as u64;
        bytes <= self.max_bytes && (bytes < self.max_lines || (memchr_iter(b'\n', record).count() as u64) < self.max_lines)
    }
}

#[derive(PartialEq, Eq)]
enum Go {
    On,
    Stop,
}

/// What ends something in a block, up to its first flaw.
#[derive(Clone, Copy)]
struct Marks {
    delimiters: u64,
    /// Of records.
    ends: u64,
    flawed: bool,
}

/// What a block has to know of the bytes before it.
struct Behind {
    /// All bits are set where the block begins between quotes.
    quoted: u64,
    /// Bit 0 is set where the byte before was such a one.
    before_opening: u64,
    closing: u64,
    cr: u64,
}

impl Behind {
    /// The beginning of a record.
    const START: Self = Self { quoted: 0, before_opening: 1, closing: 0, cr: 0 };

    /// `read` has the bits of the bytes that are there.
    #[inline]
    fn marks(&mut self, block: Block, read: u64, crs: Crs) -> Marks {
        let Block { quotes, delimiters, lfs, crs: found_crs, nuls } = block;
        let quoted = if quotes == 0 { self.quoted } else { parity(quotes) ^ self.quoted };
        let (opening, closing) = (quotes & quoted, quotes & !quoted);
        let (delimiters, ends, outer_crs) = (delimiters & !quoted, lfs & !quoted, found_crs & !quoted);
        let before_opening = delimiters | ends | closing;
        let behind = |marks: u64, carried: u64| marks << 1 | carried;
        let stray = opening & !behind(before_opening, self.before_opening);
        let text = behind(closing, self.closing) & !(delimiters | ends | outer_crs | quotes);
        let bare = match crs {
            Crs::BeforeLf => behind(outer_crs, self.cr) & !ends,
            Crs::Nowhere => outer_crs,
        };
        let flaws = (nuls | stray | text | bare) & read;
        // All bits below the first flaw.
        let clean = (flaws & flaws.wrapping_neg()).wrapping_sub(1);
        *self = Self {
            quoted: 0_u64.wrapping_sub(quoted >> 63),
            before_opening: before_opening >> 63,
            closing: closing >> 63,
            cr: outer_crs >> 63,
        };
        Marks { delimiters: delimiters & clean, ends: ends & clean, flawed: flaws != 0 }
    }
}

/// For each bit whether it and those below it are an odd number of ones.
#[inline]
const fn parity(bits: u64) -> u64 {
    let bits = bits ^ bits << 1;
    let bits = bits ^ bits << 2;
    let bits = bits ^ bits << 4;
    let bits = bits ^ bits << 8;
    let bits = bits ^ bits << 16;
    bits ^ bits << 32
}
