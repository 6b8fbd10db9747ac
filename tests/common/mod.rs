//! What several test binaries need: S3 stores to test against.

#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of this")]

pub mod bucket;
pub mod minio;
pub mod s3_server;
