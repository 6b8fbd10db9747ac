//! Numbers that look like chance, and come again with their seed (Steele et al., "Fast splittable pseudorandom number
//! generators").

use std::time::SystemTime;

#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Bytes that look like none that another seed makes.
    pub(super) fn bytes(seed: u64, len: usize) -> Vec<u8> {
        let mut random = Self::new(seed);
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

/// Times that each crash is tried, with other survivors; `TIDEGATE_TRIES` says how many in a long run.
pub(super) fn tries() -> u64 {
    std::env::var("TIDEGATE_TRIES").map_or(2, |tries| tries.parse().unwrap())
}

/// The seed of a whole test: another one each time, unless `TIDEGATE_SEED` says which.
pub(super) fn seed() -> u64 {
    match std::env::var("TIDEGATE_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos()),
    }
}
