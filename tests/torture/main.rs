//! The torture: the built server is killed (`SIGKILL`) at random moments, again and again, while senders of every kind send
//! files over lines that break, leave in the middle, come back, and change nodes. At the end, every receipt must be honoured,
//! and nothing else may be there.
//!
//! `TIDEGATE_TORTURE` says how long each bed rages (`8s` where it is not set), `TIDEGATE_TORTURE_SEED` which chances are taken; the
//! seed is printed, and a run with the same one does the same as far as timing allows. A long one:
//!
//! ```text
//! TIDEGATE_TORTURE=10m cargo test --release --test torture -- --nocapture --test-threads 1
//! ```

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

#[path = "../common/mod.rs"]
mod common;

mod beds;
mod book;
mod client;
mod files;
mod judge;
mod node;
mod storm;
mod wire;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use beds::Bed;
use common::minio::Minio;

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_on_a_folder_outlives_the_kills() {
    storm::run(Bed::folder(), &settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_receipt_in_a_bucket_with_two_nodes_outlives_the_kills() {
    let Some(minio) = Minio::shared() else { return };
    storm::run(Bed::bucket(minio.bucket().await), &settings()).await;
}

/// How long it rages, and by which chances.
struct Settings {
    lasts: Duration,
    seed: u64,
}

fn settings() -> Settings {
    let read = |name| std::env::var(name).ok();
    let lasts = read("TIDEGATE_TORTURE").map_or(Duration::from_secs(8), |text| {
        humantime::parse_duration(&text).expect("TIDEGATE_TORTURE is a duration such as 20s or 10m")
    });
    let seed = read("TIDEGATE_TORTURE_SEED").map_or_else(
        || RandomState::new().build_hasher().finish(),
        |text| text.parse().expect("TIDEGATE_TORTURE_SEED is a whole number"),
    );
    Settings { lasts, seed }
}
