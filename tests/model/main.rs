//! Random lives of a store against a small model of what it owes: see `law.rs`.
//!
//! A life is a list of steps, drawn by `plan.rs`, lived by `world.rs`. `PROPTEST_CASES` says how many are lived in memory; the
//! slower stores get a share of that. What fails is made as short as it can be, and printed with its seed.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

#[allow(dead_code, reason = "the contract suite looks at more than this test does")]
#[path = "../contract/beds/mod.rs"]
mod beds;
#[path = "../common/mod.rs"]
mod common;

mod law;
mod plan;
mod world;

use std::hash::{BuildHasher, RandomState};

use proptest::test_runner::{Config, RngSeed, TestRunner};
use tokio::runtime::Runtime;

use self::beds::{Bed, FsBed, InProcessBed, MemoryBed, MinioBed, ValidatedBed};
use self::plan::Kind;
use self::world::World;

/// Lives one case in `share` of those that are asked for, each of so many steps.
fn check<B: Bed>(kind: Kind, share: u32, most_steps: usize) {
    let asked = Config::default();
    let seed = match asked.rng_seed {
        RngSeed::Fixed(seed) => seed,
        RngSeed::Random => RandomState::new().hash_one(()),
    };
    let cases = asked.cases.div_ceil(share);
    let config =
        Config { cases, failure_persistence: None, rng_seed: RngSeed::Fixed(seed), max_shrink_iters: 16 * cases, ..asked };
    let lived = TestRunner::new(config).run(&plan::lives(most_steps), |life| {
        Runtime::new().unwrap().block_on(async {
            match B::open().await {
                Some(bed) => World::new(&bed, kind, &life).await.live(&life).await,
                None => Ok(()),
            }
        })
    });
    if let Err(failure) = lived {
        panic!("{failure}\nPROPTEST_RNG_SEED={seed} PROPTEST_CASES={} draws it again", asked.cases);
    }
}

#[test]
fn memory_keeps_the_law() {
    check::<MemoryBed>(Kind::Bytes, 1, 40);
}

#[test]
fn memory_behind_validators_keeps_the_law() {
    check::<ValidatedBed<MemoryBed>>(Kind::Tables, 1, 40);
}

#[test]
fn a_folder_keeps_the_law() {
    check::<FsBed>(Kind::Bytes, 8, 40);
}

#[test]
fn a_folder_behind_validators_keeps_the_law() {
    check::<ValidatedBed<FsBed>>(Kind::Tables, 8, 40);
}

#[test]
fn a_bucket_in_process_keeps_the_law() {
    check::<InProcessBed>(Kind::Bytes, 128, 12);
}

#[test]
fn a_bucket_of_minio_keeps_the_law() {
    check::<MinioBed>(Kind::Bytes, 64, 12);
}
