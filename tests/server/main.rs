//! The server over real sockets: what a sender sees, what the store holds, what is counted.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed, as it should")]

mod admin;
mod bounds;
mod drain;
mod framed;
mod harness;
mod ledger;
mod plain;
mod quarantine;
mod resume;
mod several;
