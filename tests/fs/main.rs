//! The file system sink beyond the contract: what a disk, a crash and a stranger can do to it. The built server runs here,
//! watched and disturbed from outside.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

#[path = "../common/mod.rs"]
mod common;
mod disk;
mod folders;
mod trace;
mod tree;
