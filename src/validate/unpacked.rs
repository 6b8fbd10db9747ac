//! Validation through decompression: the validator behind sees the text, the store the bytes as they came.
//!
//! What a small file may unpack to is bounded, in all and as a multiple of its size. Nothing is held but one buffer and the
//! decompressor's window: 32 KiB for gzip (RFC 1951 section 2), [`WINDOW_LOG_MAX`] at most for
//! zstd, whose frames say how much they need before it is allocated.

mod gzip;
mod zstd;

use std::io;

use serde_json::Value;

use self::gzip::Gzip;
use self::zstd::Zstd;
use super::position::Place;
use super::told::{Flaw, Patience, Snippets, Told};
use super::{Limits, MAX_STEP_BYTES, Step, Validator};
use crate::report::{Code, Compression, Format, Report, Verdict};

/// A file may unpack to so much, however small it is.
const RATIO_FROM: u64 = 1 << 20;

/// A validator behind a decompressor.
#[derive(Debug)]
pub(super) struct Unpacked {
    decoder: Box<dyn Decoder>,
    validator: Box<dyn Validator>,
    format: Format,
    limits: Limits,
    /// The text that the last step has unpacked; allocated by the first step.
    buffer: Vec<u8>,
    /// Bytes of the compressed file that were read.
    packed: u64,
    /// Bytes of text that they held.
    text: u64,
}

/// A decompressor.
trait Decoder: std::fmt::Debug + Send {
    /// Reads some of `input`, and writes some of the text to `output`. Nothing is read and nothing
    /// written only where all of an empty `input` has been unpacked.
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Decoded>;

    /// The memory that it takes, or that the next [`Decoder::decode`] allocates, in bytes.
    fn memory_bytes(&self) -> usize;

    /// Whether the file may end here: behind a frame or member, of which there must be one.
    fn is_complete(&self) -> bool;
}

/// The progress of a decompressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decoded {
    /// Bytes of the input.
    read: usize,
    /// Bytes of the output.
    written: usize,
    /// Whether it goes on without further input: the output is full, or memory is needed first.
    more: bool,
}

impl Unpacked {
    /// `validator`, for what is behind `compression`; without a compression that is the validator itself.
    pub(super) fn before(
        validator: Box<dyn Validator>,
        format: Format,
        compression: Compression,
        limits: Limits,
    ) -> Box<dyn Validator> {
        let decoder: Box<dyn Decoder> = match compression {
            Compression::None => return validator,
            Compression::Gzip => Box::new(Gzip::default()),
            Compression::Zstd => Box::new(Zstd::default()),
        };
        Box::new(Self { decoder, validator, format, limits, buffer: Vec::new(), packed: 0, text: 0 })
    }

    fn check(&self) -> Result<(), Box<Report>> {
        let Limits { max_unpacked_bytes, max_unpack_ratio, .. } = self.limits;
        if self.text > max_unpacked_bytes {
            let message = format!("the compressed data unpacks to more than {max_unpacked_bytes} bytes");
            return Err(Box::new(self.refuse(Code::UnpackedBytes, max_unpacked_bytes, message)));
        }
        if self.text > RATIO_FROM && self.text / max_unpack_ratio > self.packed {
            let message = format!("the compressed data unpacks to more than {max_unpack_ratio} times its size");
            return Err(Box::new(self.refuse(Code::UnpackRatio, self.text, message)));
        }
        Ok(())
    }

    fn broken(&self, error: &io::Error, read: u64) -> Report {
        let message = format!("the compressed data can't be unpacked ({error}), within the first {read} bytes of the file");
        self.refuse(Code::CompressedData, self.text, message)
    }

    /// An error of the compressed data has no line and no column.
    fn refuse(&self, code: Code, offset: u64, message: String) -> Report {
        let mut told = Told::new(Patience::default(), Snippets::default());
        let _ = told.fatal(Flaw::new(code, Place { line: 0, column: 0, offset }, message));
        told.report(self.format, 0, None)
    }
}

impl Validator for Unpacked {
    fn step(&mut self, chunk: &[u8], text_bytes: usize) -> Result<Step, Box<Report>> {
        let piece = text_bytes.clamp(1, MAX_STEP_BYTES);
        if self.buffer.len() < piece {
            self.buffer.resize(piece, 0);
        }
        let chunk = &chunk[..chunk.len().min(MAX_STEP_BYTES)];
        let decoded = self.decoder.decode(chunk, &mut self.buffer[..piece]);
        let Decoded { read, written, more } =
            decoded.map_err(|error| Box::new(self.broken(&error, self.packed + chunk.len() as u64)))?;
        self.packed += read as u64;
        self.text += written as u64;
        self.check()?;
        self.validator.feed(&self.buffer[..written])?;
        Ok(Step { read, more })
    }

    fn memory_bytes(&self, text_bytes: usize) -> usize {
        let text_bytes = text_bytes.min(MAX_STEP_BYTES);
        self.decoder.memory_bytes() + self.buffer.capacity().max(text_bytes) + self.validator.memory_bytes(text_bytes)
    }

    /// Of the compressed file.
    fn offset(&self) -> u64 {
        self.packed
    }

    /// A decompressor can't be written down.
    fn save(&self) -> Option<Value> {
        None
    }

    fn finish(self: Box<Self>) -> Result<Verdict, Box<Report>> {
        if !self.decoder.is_complete() {
            return Err(Box::new(self.broken(&io::ErrorKind::UnexpectedEof.into(), self.packed)));
        }
        self.validator.finish()
    }
}
