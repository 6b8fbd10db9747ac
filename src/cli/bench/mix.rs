//! How large the files are: all the same, or some of each of a few sizes.

use std::str::FromStr;

use bytesize::ByteSize;
use serde::Serialize;

use super::chance::Chance;

/// Sizes that have a name, for `--mix`.
const NAMED: [(&str, &str); 3] = [
    ("small", "1KiB:40,10KiB:50,100KiB:10"),
    ("mixed", "10KiB:80,1MiB:19,100MiB:1"),
    ("large", "16MiB:70,64MiB:25,256MiB:5"),
];

/// Sizes of files, with how often each comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mix(pub(super) Vec<Share>);

/// One of the sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Share {
    pub(super) file_bytes: u64,
    pub(super) weight: u64,
}

impl Mix {
    /// All files of one size.
    pub(super) fn of(file_bytes: u64) -> Self {
        Self(vec![Share { file_bytes, weight: 1 }])
    }

    /// Which of the sizes file number `number` has: the same in every run, whoever comes first.
    pub(super) fn pick(&self, number: u64) -> usize {
        let total = self.0.iter().map(|share| share.weight).sum();
        let mut drawn = Chance::new(number).below(total);
        let mine = self.0.iter().position(|share| match drawn.checked_sub(share.weight) {
            Some(beyond) => {
                drawn = beyond;
                false
            }
            None => true,
        });
        mine.expect("what is drawn is below the sum of the weights")
    }
}

/// `10KiB:80,1MiB:19,100MiB:1`, or a name that stands for such.
impl FromStr for Mix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = NAMED.iter().find(|(name, _)| *name == text).map_or(text, |(_, mix)| mix);
        text.split(',').map(share).collect::<Result<_, _>>().map(Self)
    }
}

/// A size, as `10KiB`, `1MB` or `512`.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let flaw = || format!("{text:?} is not a size, such as 10KiB or 1GB");
    text.trim().parse::<ByteSize>().map(|size| size.as_u64()).map_err(|_| flaw())
}

fn share(text: &str) -> Result<Share, String> {
    let flaw = || {
        let names = NAMED.map(|(name, _)| name).join(", ");
        format!("{text:?} is not SIZE:WEIGHT, such as 10KiB:80; mixes that have a name are {names}")
    };
    let (file_bytes, weight) = text.split_once(':').ok_or_else(flaw)?;
    match weight.trim().parse::<u32>() {
        Ok(weight @ 1..) => Ok(Share { file_bytes: size(file_bytes)?, weight: weight.into() }),
        Ok(0) | Err(_) => Err(flaw()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_is_sizes_with_weights_or_a_name() {
        let share = |file_bytes, weight| Share { file_bytes, weight };
        assert_eq!("512:1, 10KiB:3".parse(), Ok(Mix(vec![share(512, 1), share(10_240, 3)])));
        for (name, mix) in NAMED {
            assert_eq!(name.parse::<Mix>(), mix.parse::<Mix>());
            assert!(name.parse::<Mix>().is_ok());
        }
        for bad in ["", "10KiB", "10KiB:0", "10KiB:-1", "ten:1", "10KiB:1,", "web"] {
            assert!(bad.parse::<Mix>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn each_size_comes_as_often_as_its_weight_says() {
        let mix: Mix = "1:80,2:19,3:1".parse().unwrap();
        let mut drawn = [0; 3];
        for number in 0..100_000 {
            drawn[mix.pick(number)] += 1;
        }
        for (count, expected) in drawn.into_iter().zip([80_000_i64, 19_000, 1_000]) {
            assert!((count - expected).abs() < expected / 5, "{drawn:?}");
        }
    }
}
