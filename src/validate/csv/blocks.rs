//! Where the bytes stand that have a meaning, for 64 bytes at a time: one bit each.
//!
//! SSE2 is part of x86-64, so its operations need no look at the processor; elsewhere eight bytes are compared in a word.

/// Bytes that are looked at together.
pub(super) const BYTES: usize = 64;

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
            nuls: if lanes.has_nul() { lanes.equal(0) } else { 0 },
        }
    }
}

#[cfg(target_arch = "x86_64")]
use sse2::Lanes;
#[cfg(not(target_arch = "x86_64"))]
use words::Lanes;

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{__m128i, _mm_cmpeq_epi8, _mm_min_epu8, _mm_movemask_epi8, _mm_set_epi64x, _mm_set1_epi8};

    pub(super) struct Lanes([__m128i; 4]);

    impl Lanes {
        #[inline]
        pub(super) fn of(bytes: &[u8; super::BYTES]) -> Self {
            let (halves, _) = bytes.as_chunks::<8>();
            let lane = |at: usize| _mm_set_epi64x(i64::from_le_bytes(halves[at + 1]), i64::from_le_bytes(halves[at]));
            Self([lane(0), lane(2), lane(4), lane(6)])
        }

        #[inline]
        pub(super) fn equal(&self, byte: u8) -> u64 {
            let wanted = _mm_set1_epi8(byte.cast_signed());
            let [a, b, c, d] = self.0.map(|lane| mask(_mm_cmpeq_epi8(lane, wanted)));
            a | b << 16 | c << 32 | d << 48
        }

        #[inline]
        pub(super) fn has_nul(&self) -> bool {
            let [a, b, c, d] = self.0;
            let lowest = _mm_min_epu8(_mm_min_epu8(a, b), _mm_min_epu8(c, d));
            mask(_mm_cmpeq_epi8(lowest, _mm_set1_epi8(0))) != 0
        }
    }

    /// The highest bit of each of the sixteen bytes.
    #[inline]
    fn mask(lane: __m128i) -> u64 {
        u64::from(_mm_movemask_epi8(lane).cast_unsigned())
    }
}

#[cfg(any(test, not(target_arch = "x86_64")))]
mod words {
    const ONES: u64 = u64::MAX / 255;
    const LOW: u64 = ONES * 0x7f;

    pub(super) struct Lanes([u64; 8]);

    impl Lanes {
        #[inline]
        pub(super) fn of(bytes: &[u8; super::BYTES]) -> Self {
            let (words, _) = bytes.as_chunks::<8>();
            let mut lanes = [0; 8];
            for (lane, word) in lanes.iter_mut().zip(words) {
                *lane = u64::from_le_bytes(*word);
            }
            Self(lanes)
        }

        #[inline]
        pub(super) fn equal(&self, byte: u8) -> u64 {
            self.0.iter().rev().fold(0, |bits, &word| bits << 8 | equal(word, byte))
        }

        #[inline]
        pub(super) fn has_nul(&self) -> bool {
            self.0.iter().any(|&word| equal(word, 0) != 0)
        }
    }

    /// One bit for each byte of a word: the high bit of a byte is set where it is the one wanted, with no carry from byte to
    /// byte, and the product gathers the eight high bits in the highest byte.
    #[inline]
    fn equal(word: u64, byte: u8) -> u64 {
        let differing = word ^ (ONES * u64::from(byte));
        let same = !(((differing & LOW) + LOW) | differing | LOW);
        (same >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_lanes_find_every_byte_where_it_stands() {
        let mut seed = 1_u64;
        for _ in 0..2_000 {
            let mut bytes = [0; BYTES];
            for byte in &mut bytes {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = [0, b'\n', b'\r', b'"', b',', b'a', 0x80, 0xff, 1, 0x7f][(seed >> 33) as usize % 10];
            }
            for wanted in [0, b'\n', b'"', b',', 0x80, 0xff, 0x7f, b'z'] {
                let plain = bytes.iter().rev().fold(0, |bits: u64, &byte| bits << 1 | u64::from(byte == wanted));
                assert_eq!(words::Lanes::of(&bytes).equal(wanted), plain);
                assert_eq!(Lanes::of(&bytes).equal(wanted), plain);
            }
            assert_eq!(Lanes::of(&bytes).has_nul(), bytes.contains(&0));
            assert_eq!(words::Lanes::of(&bytes).has_nul(), bytes.contains(&0));
        }
    }
}
