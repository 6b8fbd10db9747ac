//! The file system sink beyond the contract: what a disk, a crash and a stranger can do to it. The built server runs here,
//! watched and disturbed from outside.

mod disk;
mod serve;
mod trace;
mod tree;
