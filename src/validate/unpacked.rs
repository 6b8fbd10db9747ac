//! Validation through decompression: the validator behind sees the text, the store the bytes as they came.
//!
//! What a small file may unpack to is bounded, in all and as a multiple of its size. Nothing is held but one buffer and the
//! decompressor's window: 32 KiB for gzip (RFC 1951 section 2), [`WINDOW_LOG_MAX`] for zstd.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use serde_json::Value;
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation as _, OutBuffer};

use super::position::Place;
use super::told::{Flaw, Patience, Snippets, Told};
use super::{Limits, Validator};
use crate::report::{Code, Compression, Format, Report, Verdict};

/// The largest window, as a power of two: 8 MiB, which RFC 8878 section 3.1.1.1.2 asks every decoder to support.
const WINDOW_LOG_MAX: u32 = 23;

/// Bytes that are unpacked at once.
const BUFFER_BYTES: usize = 32 << 10;

/// A file may unpack to so much, however small it is.
const RATIO_FROM: u64 = 1 << 20;

/// A validator behind a decompressor.
pub(super) struct Unpacked {
    unpacker: Unpacker,
    format: Format,
    packed: u64,
}

enum Unpacker {
    Gzip(Box<MultiGzDecoder<Text>>),
    Zstd(Box<Zstd>),
}

struct Zstd {
    decoder: Decoder<'static>,
    text: Text,
    buffer: Vec<u8>,
    /// Whether a frame has begun that has not ended.
    in_frame: bool,
}

/// Where the text goes.
struct Text {
    validator: Box<dyn Validator>,
    format: Format,
    limits: Limits,
    /// Bytes of the compressed file, with those that are being unpacked.
    packed: u64,
    bytes: u64,
    /// Why nothing more is taken.
    report: Option<Box<Report>>,
}

impl Unpacked {
    /// `validator`, for what is behind `compression`; without a compression that is the validator itself.
    pub(super) fn before(
        validator: Box<dyn Validator>,
        format: Format,
        compression: Compression,
        limits: Limits,
    ) -> Box<dyn Validator> {
        let text = Text { validator, format, limits, packed: 0, bytes: 0, report: None };
        let unpacker = match compression {
            Compression::None => return text.validator,
            Compression::Gzip => Unpacker::Gzip(Box::new(MultiGzDecoder::new(text))),
            Compression::Zstd => {
                Unpacker::Zstd(Box::new(Zstd { decoder: decoder(), text, buffer: vec![0; BUFFER_BYTES], in_frame: false }))
            }
        };
        Box::new(Self { unpacker, format, packed: 0 })
    }

    fn text(&mut self) -> &mut Text {
        match &mut self.unpacker {
            Unpacker::Gzip(gzip) => gzip.get_mut(),
            Unpacker::Zstd(zstd) => &mut zstd.text,
        }
    }

    /// What was wrong with the text, or else with its wrapping.
    fn refusal(&mut self, error: &io::Error) -> Report {
        let (format, packed, text) = (self.format, self.packed, self.text());
        let unpacked = text.bytes;
        let decoding = || {
            let message =
                format!("the compressed data can't be unpacked ({error}), within the first {packed} bytes of the file");
            refuse(format, Code::CompressedData, unpacked, message)
        };
        text.report.take().map_or_else(decoding, |report| *report)
    }
}

fn decoder() -> Decoder<'static> {
    let mut decoder = Decoder::new().expect("a decoder without a dictionary needs nothing but memory");
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX)).expect("a window that every decoder has");
    decoder
}

impl Validator for Unpacked {
    fn feed(&mut self, chunk: &[u8]) -> Result<(), Box<Report>> {
        for piece in chunk.chunks(BUFFER_BYTES) {
            self.packed += piece.len() as u64;
            self.text().packed = self.packed;
            let unpacked = match &mut self.unpacker {
                Unpacker::Gzip(gzip) => gzip.write_all(piece),
                Unpacker::Zstd(zstd) => zstd.write_all(piece),
            };
            unpacked.map_err(|error| Box::new(self.refusal(&error)))?;
        }
        Ok(())
    }

    /// Of the compressed file.
    fn offset(&self) -> u64 {
        self.packed
    }

    /// A decompressor can't be written down.
    fn save(&self) -> Option<Value> {
        None
    }

    fn finish(mut self: Box<Self>) -> Result<Verdict, Box<Report>> {
        let ended = match &mut self.unpacker {
            Unpacker::Gzip(gzip) => gzip.try_finish(),
            Unpacker::Zstd(zstd) if zstd.in_frame || self.packed == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
            Unpacker::Zstd(_) => Ok(()),
        };
        ended.map_err(|error| Box::new(self.refusal(&error)))?;
        match self.unpacker {
            Unpacker::Gzip(gzip) => match gzip.finish() {
                Ok(text) => text.validator.finish(),
                Err(error) => Err(Box::new(refuse(self.format, Code::CompressedData, 0, error.to_string()))),
            },
            Unpacker::Zstd(zstd) => zstd.text.validator.finish(),
        }
    }
}

impl Zstd {
    fn write_all(&mut self, piece: &[u8]) -> io::Result<()> {
        let mut input = InBuffer::around(piece);
        loop {
            let before = input.pos;
            let mut output = OutBuffer::around(&mut self.buffer[..]);
            let hint = self.decoder.run(&mut input, &mut output)?;
            let (unpacked, full) = (output.pos(), output.pos() == BUFFER_BYTES);
            // Asked for nothing behind the end of a frame, the decoder speaks of the next one.
            if unpacked > 0 || input.pos > before {
                self.in_frame = hint != 0;
            }
            self.text.write_all(&self.buffer[..unpacked])?;
            if input.pos == piece.len() && !full {
                return Ok(());
            }
        }
    }
}

impl Write for Text {
    /// An error stands for the report.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fed = self.check(bytes.len() as u64).and_then(|()| self.validator.feed(bytes));
        fed.map_err(|report| {
            self.report = Some(report);
            io::Error::other("the text is refused")
        })?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Text {
    fn check(&mut self, more: u64) -> Result<(), Box<Report>> {
        self.bytes += more;
        let Limits { max_unpacked_bytes, max_unpack_ratio, .. } = self.limits;
        if self.bytes > max_unpacked_bytes {
            let message = format!("the compressed data unpacks to more than {max_unpacked_bytes} bytes");
            return Err(Box::new(refuse(self.format, Code::UnpackedBytes, max_unpacked_bytes, message)));
        }
        if self.bytes > RATIO_FROM && self.bytes / max_unpack_ratio > self.packed {
            let message = format!("the compressed data unpacks to more than {max_unpack_ratio} times its size");
            return Err(Box::new(refuse(self.format, Code::UnpackRatio, self.bytes, message)));
        }
        Ok(())
    }
}

/// Of the wrapping no line and no column can be told.
fn refuse(format: Format, code: Code, offset: u64, message: String) -> Report {
    let mut told = Told::new(Patience::default(), Snippets::default());
    let _ = told.fatal(Flaw::new(code, Place { line: 0, column: 0, offset }, message));
    told.report(format, 0, None)
}

impl std::fmt::Debug for Unpacked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacked").field("format", &self.format).field("packed", &self.packed).finish_non_exhaustive()
    }
}
