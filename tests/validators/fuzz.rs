//! The fuzz targets on stable: their corpora are replayed, and mutated for as long as `TIDEGATE_FUZZ` says (`10m`; by default for
//! a fixed number of rounds). The seed is printed, and `TIDEGATE_SEED` gives it back.

#[allow(unreachable_pub, reason = "the fuzz targets, which share it, are crates of their own")]
#[path = "../../fuzz/fuzz_targets/checks.rs"]
pub(super) mod checks;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 3000;

/// What breaks a text, or mends it, more often than any byte does.
const TELLING: [&[u8]; 27] = [
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\n",
    b" ",
    b"0",
    b"-",
    b".",
    b"e9",
    b"\\ud83d",
    b"\\ude00",
    b"\\u0061",
    b"\"a\":1",
    b"\xc3",
    b"\xa4",
    b"\0",
    b"true",
    b"1e400",
    b"                    ",
    b"\r\n",
    b"\r",
    b"\"\n\"",
];

#[test]
fn json_is_judged_as_serde_json_does() {
    fuzz("json", checks::check_json);
}

#[test]
fn i_json_is_judged_as_a_model_that_collects_names_does() {
    fuzz("i_json", checks::check_i_json);
}

#[test]
fn ndjson_is_judged_as_its_lines_are() {
    fuzz("ndjson", checks::check_ndjson);
}

#[test]
fn csv_is_read_as_the_csv_crate_does() {
    fuzz("csv", checks::check_csv);
}

#[test]
fn a_table_is_judged_at_a_glance_as_it_is_with_care() {
    fuzz("table", checks::check_table);
}

fn fuzz(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 15, "{} files", paths.len());
    let corpus: Vec<Vec<u8>> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    for file in &corpus {
        check(file);
    }

    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| rand_seed(), |seed| seed.parse().unwrap());
    println!("TIDEGATE_SEED={seed}");
    let length = std::env::var("TIDEGATE_FUZZ").ok().map(|length| humantime::parse_duration(&length).unwrap());
    let (start, mut random, mut rounds) = (Instant::now(), Random(seed), 0_u32);
    while length.map_or(rounds < ROUNDS, |length: Duration| start.elapsed() < length) {
        check(&mutated(&corpus, &mut random));
        rounds += 1;
    }
    println!("{target}: {rounds} rounds");
}

pub(super) fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(()) | 1
}

/// Two files of the corpus, cut and joined, with some bytes taken out and others put in.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut file = corpus[random.below(corpus.len())].clone();
    if random.below(4) == 0 {
        let other = &corpus[random.below(corpus.len())];
        file.truncate(random.below(file.len() + 1));
        file.extend_from_slice(&other[random.below(other.len() + 1)..]);
    }
    for _ in 0..random.below(5) {
        let from = random.below(file.len() + 1);
        let to = (from + random.below(4)).min(file.len());
        let piece = match random.below(6) {
            0 => file[from..to].repeat(2),
            1 => Vec::new(),
            2 => vec![u8::try_from(random.below(256)).unwrap()],
            _ => TELLING[random.below(TELLING.len())].to_vec(),
        };
        file.splice(from..to, piece);
    }
    file
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % bound as u64).unwrap()
    }
}
