//! tidegate takes files pushed over TCP, validates them, commits them whole to a [`sink`], and answers with a durable
//! receipt.
//!
//! The modules stand on floors, and each uses only what stands below it. The road of a stream goes from the top down: a
//! front end in [`server`] reads it, the pump in [`ingest`] drives it, a decorator in [`sink`] feeds it to a validator of
//! [`validate`], and a sink commits it. `docs/architecture.md` in the repository is the map.

pub mod assemble;
pub mod budget;
pub mod cli;
pub mod client;
mod clock;
pub mod config;
pub mod error;
pub mod escape;
pub mod infer;
pub mod ingest;
pub mod ledger;
pub mod metrics;
pub mod readiness;
pub mod report;
pub mod server;
pub mod sink;
pub mod upload;
pub mod validate;
pub mod wire;
