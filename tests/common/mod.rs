//! What several test binaries need: S3 stores to test against, and the built server.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "only tests use this, each a part of it")]

pub mod bucket;
pub mod minio;
pub mod s3_server;
pub mod serve;
