//! A faulty line between a sender and the built server: slow, stalled, cut, half-open, and held open by many.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

#[path = "../common/mod.rs"]
mod common;

mod crowds;
mod cuts;
mod harness;
mod proxied;
mod slow;
mod stalls;
