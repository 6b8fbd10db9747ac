//! What is sent: bytes that are made once and sent over and over, so that making them costs the sender nothing.

use std::fmt::Write as _;
use std::io::{self, Write};

/// What files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Noise, which no server parses.
    Random,
    /// A table of ten columns, as instruments write them.
    Csv,
    /// One array of readings.
    Json,
}

impl Content {
    pub(crate) fn extension(self) -> &'static str {
        match self {
            Self::Random => "bin",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// The bytes of all files of a job: a head, a block over and over, a tail.
#[derive(Debug)]
pub(crate) struct Data {
    head: Vec<u8>,
    block: Vec<u8>,
    tail: Vec<u8>,
    content: Content,
}

const BLOCK_BYTES: usize = 1 << 20;
/// At most so much at once, as a sender that reads a file would.
const WRITE_BYTES: usize = 256 << 10;

impl Data {
    pub(crate) fn of(content: Content) -> Self {
        let (head, block, tail): (&str, Vec<u8>, &str) = match content {
            Content::Random => ("", noise(), ""),
            Content::Csv => ("id,site,at,temperature,humidity,pressure,battery,ok,sensor,note\n", rows(csv_row), ""),
            Content::Json => ("[", rows(json_item), "{}]"),
        };
        Self { head: head.into(), block, tail: tail.into(), content }
    }

    pub(crate) fn content(&self) -> Content {
        self.content
    }

    /// The size of a file that shall have `bytes`: noise has just as many, a text ends with a whole line.
    pub(crate) fn size(&self, bytes: u64) -> u64 {
        let whole = |bytes: u64| bytes / self.line() * self.line();
        match self.content {
            Content::Random => bytes,
            Content::Csv | Content::Json => {
                let ends = (self.head.len() + self.tail.len()) as u64;
                ends + whole(bytes.saturating_sub(ends)).max(self.line())
            }
        }
    }

    /// Writes a file of this size, a [`Data::size`], behind what `ahead` holds already.
    pub(crate) fn write(&self, size: u64, ahead: &mut Vec<u8>, out: &mut impl Write) -> io::Result<()> {
        ahead.extend_from_slice(&self.head);
        let mut left = usize::try_from(size).expect("64 bits") - self.head.len() - self.tail.len();
        let first = left.min(self.block.len()).min(WRITE_BYTES);
        ahead.extend_from_slice(&self.block[..first]);
        left -= first;
        let mut at = first;
        if left == 0 {
            ahead.extend_from_slice(&self.tail);
            return out.write_all(ahead);
        }
        out.write_all(ahead)?;
        while left > 0 {
            at %= self.block.len();
            let piece = left.min(WRITE_BYTES).min(self.block.len() - at);
            out.write_all(&self.block[at..at + piece])?;
            at += piece;
            left -= piece;
        }
        out.write_all(&self.tail)
    }

    /// All lines of a text are of one length.
    fn line(&self) -> u64 {
        let line = self.block.iter().position(|byte| *byte == b'\n').map_or(1, |end| end + 1);
        line as u64
    }
}

fn noise() -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut word = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..BLOCK_BYTES / 8).flat_map(|_| word()).collect()
}

fn rows(row: impl Fn(&mut String, u32)) -> Vec<u8> {
    let mut text = String::new();
    for number in 0.. {
        if text.len() >= BLOCK_BYTES {
            break;
        }
        row(&mut text, number);
    }
    text.into_bytes()
}

fn csv_row(text: &mut String, row: u32) {
    let note = ["as usual, all of it", "checked by hand now"][row as usize % 2];
    let (day, minute, part) = (row % 28 + 1, row % 60, row * 7919 % 1000);
    writeln!(
        text,
        "{row:06},site-{:02},2026-03-{day:02}T08:{minute:02}:00Z,2{}.{part:03},5{}.{:02},101{}.2,3.{part:03},true,s-{:04},\"{note}\"",
        row % 40,
        row % 10,
        row % 7,
        row % 100,
        row % 9,
        row % 2000,
    )
    .expect("a String takes all");
}

fn json_item(text: &mut String, row: u32) {
    let (day, minute, part) = (row % 28 + 1, row % 60, row * 7919 % 1000);
    writeln!(
        text,
        "{{\"id\":\"{row:06}\",\"site\":\"site-{:02}\",\"at\":\"2026-03-{day:02}T08:{minute:02}:00Z\",\"values\":[2{}.{part:03},-0.{part:03},1e-3],\"ok\":true,\"note\":\"gepr\u{fc}ft\"}},",
        row % 40,
        row % 10,
    )
    .expect("a String takes all");
}
