//! Which of 64 bytes are what, one bit each; bit 0 stands for the first byte.

#![allow(clippy::inline_always, reason = "the lanes stay in registers only where nothing is called")]

use wide::u8x16;

/// Bytes that are looked at together.
pub(in crate::validate) const BYTES: usize = 64;

#[derive(Clone, Copy)]
pub(super) struct Lanes([u8x16; 4]);

impl Lanes {
    #[inline(always)]
    pub(super) fn of(bytes: &[u8; BYTES]) -> Self {
        let mut lanes = [u8x16::splat(0); 4];
        for (lane, bytes) in lanes.iter_mut().zip(bytes.as_chunks().0) {
            *lane = u8x16::new(*bytes);
        }
        Self(lanes)
    }

    #[inline(always)]
    pub(super) fn equal(self, byte: u8) -> u64 {
        let wanted = u8x16::splat(byte);
        self.bits(|lane| lane.simd_eq(wanted))
    }

    /// Bytes of this value at most.
    #[inline(always)]
    pub(super) fn up_to(self, byte: u8) -> u64 {
        let most = u8x16::splat(byte);
        self.bits(|lane| lane.min(most).simd_eq(lane))
    }

    #[inline(always)]
    pub(super) fn digits(self) -> u64 {
        let (zero, nine) = (u8x16::splat(b'0'), u8x16::splat(9));
        self.bits(|lane| {
            let value = lane - zero;
            value.min(nine).simd_eq(value)
        })
    }

    /// Whether any byte is this one.
    #[inline(always)]
    pub(super) fn has(self, byte: u8) -> bool {
        let wanted = u8x16::splat(byte);
        let [a, b, c, d] = self.0.map(|lane| lane.simd_eq(wanted));
        ((a | b) | (c | d)).to_bitmask() != 0
    }

    /// Whether any byte is of the first value at most, or is the other.
    #[inline(always)]
    pub(super) fn has_up_to_or(self, most: u8, other: u8) -> bool {
        let (most, other) = (u8x16::splat(most), u8x16::splat(other));
        let [a, b, c, d] = self.0;
        let least = a.min(b).min(c.min(d));
        let [a, b, c, d] = self.0.map(|lane| lane.simd_eq(other));
        (least.min(most).simd_eq(least) | (a | b) | (c | d)).to_bitmask() != 0
    }

    /// With the highest value in place of this one.
    #[inline(always)]
    pub(super) fn but_for(self, byte: u8) -> Self {
        let left_out = u8x16::splat(byte);
        Self(self.0.map(|lane| lane | lane.simd_eq(left_out)))
    }

    /// With the bit set that tells `{` from `[`, `}` from `]`, and small letters from capital ones.
    #[inline(always)]
    pub(super) fn lower(self) -> Self {
        let bit = u8x16::splat(0x20);
        Self(self.0.map(|lane| lane | bit))
    }

    #[inline(always)]
    fn bits(self, mask: impl Fn(u8x16) -> u8x16) -> u64 {
        let [a, b, c, d] = self.0.map(|lane| u64::from(mask(lane).to_bitmask()));
        a | b << 16 | c << 32 | d << 48
    }
}
