//! Numbers that look like chance, and come again with their seed (Steele et al., "SplitMix").

use std::time::SystemTime;

#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    /// Bytes that look like none that another seed makes.
    pub(super) fn bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut random = Self::new(seed);
        (0..len).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
    }
}

/// The seed of a whole test: another one each time, unless `TIDEGATE_SEED` says which.
pub(super) fn seed() -> u64 {
    match std::env::var("TIDEGATE_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos()),
    }
}
