//! Where the bytes stand that have a meaning, for 64 bytes at a time: one bit each.

pub(super) use crate::validate::lanes::BYTES;
use crate::validate::lanes::Lanes;

/// Which bytes of a block are these; bit 0 stands for the first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) quotes: u64,
    pub(super) delimiters: u64,
    pub(super) lfs: u64,
    pub(super) crs: u64,
    pub(super) nuls: u64,
}

impl Block {
    #[inline]
    pub(super) fn of(bytes: &[u8; BYTES], delimiter: u8, quote: u8) -> Self {
        let lanes = Lanes::of(bytes);
        Self {
            quotes: lanes.equal(quote),
            delimiters: lanes.equal(delimiter),
            lfs: lanes.equal(b'\n'),
            crs: lanes.equal(b'\r'),
            nuls: if lanes.has(0) { lanes.equal(0) } else { 0 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_found_where_it_stands() {
        let mut seed = 1_u64;
        for _ in 0..2_000 {
            let mut bytes = [0; BYTES];
            for byte in &mut bytes {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = [0, b'\n', b'\r', b'"', b',', b'a', 0x80, 0xff, 1, 0x7f][(seed >> 33) as usize % 10];
            }
            let plain = |wanted: u8| bytes.iter().rev().fold(0, |bits: u64, &byte| bits << 1 | u64::from(byte == wanted));
            for wanted in [0, b'\n', b'"', b',', 0x80, 0xff, 0x7f, b'z'] {
                assert_eq!(Lanes::of(&bytes).equal(wanted), plain(wanted));
            }
            let block = Block::of(&bytes, b',', b'"');
            let (quotes, delimiters, lfs) = (plain(b'"'), plain(b','), plain(b'\n'));
            assert_eq!(block, Block { quotes, delimiters, lfs, crs: plain(b'\r'), nuls: plain(0) });
        }
    }
}
