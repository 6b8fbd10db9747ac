//! What several test binaries need: S3 stores to test against, the built server, and a line that breaks.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "only tests use this, each a part of it")]

pub mod bucket;
pub mod chance;
pub mod child;
pub mod faulty_store;
pub mod minio;
pub mod proxy;
pub mod racing_stores;
pub mod s3_server;
pub mod serve;
pub mod told;

use std::io::Write;

/// Says in one line what is left out for want of something; fails where nothing may be left out (`TIDEGATE_REQUIRE_ALL`).
pub fn left_out(what: &str) {
    // Not `eprintln!`, whose output the test harness would keep to itself.
    let _ = writeln!(std::io::stderr(), "left out: {what}");
    assert!(std::env::var_os("TIDEGATE_REQUIRE_ALL").is_none(), "nothing may be left out here: {what}");
}
