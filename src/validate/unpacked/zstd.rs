//! Zstandard: one frame behind the other (RFC 8878 section 3.1).

use std::fmt;
use std::io;

use zstd::stream::raw::{DParameter, Decoder as Frames, InBuffer, Operation as _, OutBuffer};

use super::{Decoded, Decoder};

/// The largest window, as a power of two: 8 MiB, which RFC 8878 section 3.1.1.1.2 asks every
/// decoder to support.
const WINDOW_LOG_MAX: u32 = 23;

/// The memory of the decompressor beside a frame's buffers, in bytes: its tables, with room for
/// literals.
const CONTEXT_BYTES: usize = 160 << 10;

/// The largest block (RFC 8878 section 3.1.1.2.4). There is one for the input, and one behind the
/// window.
const BLOCK_BYTES: usize = 128 << 10;

/// A decompressor for a file of frames.
#[derive(Default)]
pub(super) struct Zstd {
    /// Made by the first frame.
    frames: Option<Frames<'static>>,
    /// The beginning of a frame, until it says how much memory it needs.
    header: Vec<u8>,
    /// Whether the header was read and not passed on: memory for the frame comes first.
    is_announced: bool,
    /// The buffers of the largest frame so far.
    buffer_bytes: usize,
    in_frame: bool,
    has_ended_one: bool,
}

impl fmt::Debug for Zstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { buffer_bytes, in_frame, .. } = self;
        f.debug_struct("Zstd").field("buffer_bytes", buffer_bytes).field("in_frame", in_frame).finish_non_exhaustive()
    }
}

impl Decoder for Zstd {
    fn decode(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Decoded> {
        if !self.in_frame && !self.is_announced {
            return Ok(self.read_header(input));
        }
        if self.is_announced {
            self.is_announced = false;
            let header = std::mem::take(&mut self.header);
            let decoded = self.run(&header, output)?;
            if decoded.read < header.len() {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame's header is not read"));
            }
            return Ok(Decoded { read: 0, more: true, ..decoded });
        }
        self.run(input, output)
    }

    fn memory_bytes(&self) -> usize {
        CONTEXT_BYTES + self.buffer_bytes
    }

    fn is_complete(&self) -> bool {
        self.has_ended_one && !self.in_frame && !self.is_announced && self.header.is_empty()
    }
}

impl Zstd {
    /// Takes the header of the next frame, which may arrive in pieces.
    fn read_header(&mut self, input: &[u8]) -> Decoded {
        for (index, byte) in input.iter().enumerate() {
            self.header.push(*byte);
            if let Some(window_bytes) = window_bytes(&self.header) {
                // The decompressor refuses a larger window, and then allocates nothing.
                let window_bytes = usize::try_from(window_bytes.min(1 << WINDOW_LOG_MAX)).expect("23 bits fit");
                self.buffer_bytes = self.buffer_bytes.max(window_bytes + 2 * BLOCK_BYTES.min(window_bytes + 64));
                self.is_announced = true;
                return Decoded { read: index + 1, written: 0, more: true };
            }
        }
        Decoded { read: input.len(), written: 0, more: false }
    }

    fn run(&mut self, input: &[u8], output: &mut [u8]) -> io::Result<Decoded> {
        let frames = match &mut self.frames {
            Some(frames) => frames,
            None => {
                let mut frames = Frames::new()?;
                frames.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
                self.frames.insert(frames)
            }
        };
        let (mut input, mut output) = (InBuffer::around(input), OutBuffer::around(output));
        let hint = frames.run(&mut input, &mut output)?;
        let (read, written) = (input.pos(), output.pos());
        let full = written == output.capacity();
        // Asked for nothing behind the end of a frame, the decompressor speaks of the next one.
        if written > 0 || read > 0 {
            self.in_frame = hint != 0;
            self.has_ended_one |= hint == 0;
        }
        Ok(Decoded { read, written, more: full && self.in_frame })
    }
}

/// How large a window a frame with this beginning needs, in bytes; `None` where the header is
/// incomplete. Bytes that are no frame need none: the decompressor reports the error. RFC 8878
/// section 3.1.1.1.
fn window_bytes(header: &[u8]) -> Option<u64> {
    const MAGIC: [u8; 4] = 0xFD2F_B528_u32.to_le_bytes();
    let magic = &header[..header.len().min(MAGIC.len())];
    if magic != &MAGIC[..magic.len()] {
        // Skippable frames, and bytes that are no frame, begin otherwise.
        return Some(0);
    }
    let descriptor = *header.get(4)?;
    let is_single_segment = descriptor & 0x20 != 0;
    if !is_single_segment {
        // Section 3.1.1.1.2: exponent and mantissa.
        let window = *header.get(5)?;
        let base = 1_u64 << (10 + (window >> 3));
        return Some(base + base / 8 * u64::from(window & 7));
    }
    // Section 3.1.1.1.2: the window of a single segment is its content.
    let dictionary_bytes = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size_bytes = [1, 2, 4, 8][usize::from(descriptor >> 6)];
    let size = header.get(5 + dictionary_bytes..5 + dictionary_bytes + size_bytes)?;
    let mut bytes = [0; 8];
    bytes[..size_bytes].copy_from_slice(size);
    let size = u64::from_le_bytes(bytes);
    Some(if size_bytes == 2 { size + 256 } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_how_much_it_needs() {
        let frame = |descriptor: u8, rest: &[u8]| [&[0x28, 0xB5, 0x2F, 0xFD, descriptor], rest].concat();
        for (header, bytes) in [
            (frame(0x00, &[0x68]), 1 << 23),
            (frame(0x04, &[0x59]), (1 << 21) + (1 << 18)),
            (frame(0x20, &[200]), 200),
            (frame(0x60, &[0, 1]), 512),
            (frame(0xA0, &[0, 0, 0, 2]), 32 << 20),
            (frame(0xE3, &[9, 9, 9, 9, 0, 0, 0, 0, 1, 0, 0, 0]), 1 << 32),
            (vec![0x50], 0),
        ] {
            assert_eq!(window_bytes(&header), Some(bytes), "{header:x?}");
            for cut in 0..header.len() {
                assert_eq!(window_bytes(&header[..cut]), None, "{header:x?} cut at {cut}");
            }
        }
    }

    #[test]
    fn memory_is_announced_before_a_frame_is_unpacked() {
        let mut zstd = Zstd::default();
        let before = zstd.memory_bytes();
        let frame = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x68, 1, 0, 0];
        let announced = zstd.decode(&frame, &mut [0; 64]).unwrap();
        assert_eq!(announced, Decoded { read: 6, written: 0, more: true });
        assert!(zstd.frames.is_none(), "nothing is allocated yet");
        assert!(zstd.memory_bytes() >= before + (8 << 20));
    }
}
