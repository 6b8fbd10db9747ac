//! Validators: push-driven parsers that read a stream of any length in bounded memory and say whether it is well-formed.
//!
//! Pure: no I/O, no clock, no configuration files. A validator never keeps the bytes and never changes them.

use std::fmt::Debug;

use crate::report::{Rejection, Verdict};

/// Reads a file chunk by chunk and judges it.
///
/// However the bytes are cut into chunks, the outcome is the same.
pub trait Validator: Debug + Send {
    /// Reads the next bytes; fails at the first byte that proves the file broken. After a failure the validator is spent:
    /// what it answers to further calls is unspecified.
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Rejection>;

    /// Says that the file has ended; fails where it ended early.
    fn finish(self: Box<Self>) -> Result<Verdict, Rejection>;
}
