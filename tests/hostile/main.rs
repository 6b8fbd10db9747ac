//! Attacks on the built server by one or a few senders, in the default configuration unless a test
//! says otherwise.
//!
//! Each attack is a row of `docs/limits.md`. While it runs, a good sender on connections of its own
//! commits small files ([`harness::GoodSender`]); the server's memory stays within its budget;
//! afterwards memory and descriptors are back; and the attacker was refused with a reason of its
//! own in the log, the ledger and a counter.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

#[path = "../common/mod.rs"]
mod common;

mod bombs;
mod harness;
mod kinds;

mod admin;
mod descriptors;
mod disk;
mod figures;
mod first;
mod fuzz;
mod memory;
mod processor;
mod slots;
mod standing;
