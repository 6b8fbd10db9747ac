//! Senders as they are found in the field, against the built server: each file is stored right, or
//! refused.
//!
//! The old client and its like rest on packets, so these tests control them: see [`packets`].

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

#[path = "../common/mod.rs"]
mod common;

mod conversations;
mod draw;
mod lines;
mod old_client;
mod packets;
mod random;
mod sender;
mod server;
mod verdict;
