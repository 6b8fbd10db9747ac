//! What is sent: files of a wanted size, whose bytes are made once and lie in memory once, however large and however many the
//! files are. Knows formats, but no connections.

use bytes::Bytes;
use clap::ValueEnum;
use serde::Serialize;

use super::chance::Chance;
use crate::upload::Tally;

/// What a body repeats. Small enough for a core's cache, so that sending costs a copy and nothing else.
const BLOCK_BYTES: usize = 1 << 20;

/// The same in every run, so that runs can be compared.
const SEED: u64 = 5010;

/// What stands in the last row, so that the file has exactly the size that was asked for.
const FILLING: &[u8] = b"calm and clear all day, no wind to speak of; ";

/// What the files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Content {
    /// bytes that can't be compressed and are not validated (.bin)
    Random,
    /// a table of readings (.csv)
    Csv,
    /// an array of readings (.json)
    Json,
}

impl Content {
    /// By which the server chooses a validator.
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Random => "bin",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

/// Whether bodies are hashed before the start, so that the server and its receipts are held to that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digests {
    Checked,
    Left,
}

/// The bytes of a file.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) size: u64,
    /// What they hash to, as the protocols write it.
    pub(super) digest: Option<String>,
    pub(super) pieces: Vec<Bytes>,
}

/// What bodies of one content are cut from.
#[derive(Debug)]
pub(super) struct Stock {
    content: Content,
    block: Bytes,
    /// Where rows end in the block; it may be cut there. Empty where it may be cut anywhere.
    row_ends: Vec<usize>,
}

impl Stock {
    pub(super) fn of(content: Content) -> Self {
        let mut chance = Chance::new(SEED);
        let (block, row_ends) = match content {
            Content::Random => (random(&mut chance), Vec::new()),
            Content::Csv => rows(|| Reading::by(&mut chance).csv()),
            Content::Json => rows(|| Reading::by(&mut chance).json()),
        };
        Self { content, block: block.into(), row_ends }
    }

    /// A body of exactly so many bytes; `None` where a file of this content has more.
    pub(super) fn body(&self, size: u64, digests: Digests) -> Option<Body> {
        let room = size.checked_sub(self.least_bytes())?;
        let block_bytes = self.block.len() as u64;
        let blocks = usize::try_from(room / block_bytes).ok()?;
        let left = usize::try_from(room % block_bytes).expect("a block lies in memory");
        let cut = match self.row_ends.partition_point(|end| *end <= left) {
            _ if self.row_ends.is_empty() => left,
            0 => 0,
            whole => self.row_ends[whole - 1],
        };
        let mut pieces = vec![Bytes::from_static(self.head())];
        pieces.extend(std::iter::repeat_n(&self.block, blocks).cloned());
        pieces.extend([self.block.slice(..cut), self.last_row(left - cut).into()]);
        pieces.retain(|piece| !piece.is_empty());
        let digest = (digests == Digests::Checked).then(|| digest(&pieces));
        Some(Body { size, digest, pieces })
    }

    /// The smallest file there is of this content.
    pub(super) fn least_bytes(&self) -> u64 {
        (self.head().len() + self.last_row(0).len()) as u64
    }

    fn head(&self) -> &'static [u8] {
        match self.content {
            Content::Random => b"",
            Content::Csv => {
                b"station,taken_at,temperature_celsius,humidity_percent,pressure_pascal,battery_volts,raining,note\n"
            }
            Content::Json => b"[\n",
        }
    }

    /// The last row, with so many bytes more than it needs.
    fn last_row(&self, surplus: usize) -> Vec<u8> {
        let (before, behind): (&[u8], &[u8]) = match self.content {
            Content::Random => (b"", b""),
            Content::Csv => (b"last,2026-12-31T23:59:59Z,0.000,0.0,100000,3.30,false,\"", b"\"\n"),
            Content::Json => (b"{\"station\":\"last\",\"note\":\"", b"\"}\n]\n"),
        };
        let filling = FILLING.iter().copied().cycle().take(surplus);
        before.iter().copied().chain(filling).chain(behind.iter().copied()).collect()
    }
}

fn digest(pieces: &[Bytes]) -> String {
    let mut tally = Tally::new();
    for piece in pieces {
        tally.add(piece);
    }
    tally.digest().to_string()
}

fn random(chance: &mut Chance) -> Vec<u8> {
    (0..BLOCK_BYTES / 8).flat_map(|_| chance.next().to_le_bytes()).collect()
}

/// A block of rows, and where they end.
fn rows(mut row: impl FnMut() -> String) -> (Vec<u8>, Vec<usize>) {
    let (mut block, mut ends) = (String::with_capacity(BLOCK_BYTES + 512), Vec::new());
    while block.len() < BLOCK_BYTES {
        block += &row();
        ends.push(block.len());
    }
    (block.into_bytes(), ends)
}

/// What an instrument sends.
#[derive(Debug)]
struct Reading {
    station: String,
    taken_at: String,
    temperature: String,
    humidity: String,
    pressure: u64,
    battery: String,
    raining: bool,
    note: &'static str,
}

impl Reading {
    fn by(chance: &mut Chance) -> Self {
        const SITES: [&str; 4] = ["north", "south", "harbour", "ridge"];
        const NOTES: [&str; 8] = [
            "",
            "",
            "",
            "",
            "calm",
            "wind from the sea, gusts",
            "sensor cleaned, no change",
            "said \u{201e}all well\u{201c}",
        ];
        let mut below = |count| chance.below(count);
        let site = SITES[usize::try_from(below(4)).expect("it is below 4")];
        let note = NOTES[usize::try_from(below(8)).expect("it is below 8")];
        Self {
            station: format!("{site}-{:02}", below(100)),
            taken_at: format!(
                "2026-{:02}-{:02}T{:02}:{:02}:{:02}Z",
                below(12) + 1,
                below(28) + 1,
                below(24),
                below(60),
                below(60)
            ),
            temperature: format!("{}{}.{:03}", ["", "-"][usize::from(below(4) == 0)], below(40), below(1000)),
            humidity: format!("{}.{}", below(100), below(10)),
            pressure: 95_000 + below(10_000),
            battery: format!("3.{:02}", below(100)),
            raining: below(8) == 0,
            note,
        }
    }

    fn csv(&self) -> String {
        let Self { station, taken_at, temperature, humidity, pressure, battery, raining, note } = self;
        let quote = if note.contains(',') { "\"" } else { "" };
        format!("{station},{taken_at},{temperature},{humidity},{pressure},{battery},{raining},{quote}{note}{quote}\n")
    }

    fn json(&self) -> String {
        let Self { station, taken_at, temperature, humidity, pressure, battery, raining, note } = self;
        format!(
            "{{\"station\":\"{station}\",\"taken_at\":\"{taken_at}\",\"temperature_celsius\":{temperature},\
             \"humidity_percent\":{humidity},\"pressure_pascal\":{pressure},\"battery_volts\":{battery},\
             \"raining\":{raining},\"note\":\"{note}\"}},\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Format;
    use crate::validate::{Limits, Standard};

    fn whole(body: &Body) -> Vec<u8> {
        body.pieces.concat()
    }

    #[test]
    fn a_body_has_the_size_that_was_asked_for_and_is_valid() {
        for (content, format) in [(Content::Csv, Format::Csv), (Content::Json, Format::Json)] {
            let stock = Stock::of(content);
            let block = stock.block.len() as u64;
            let least = stock.least_bytes();
            for size in (least..least + 500).chain([10_240, block - 1, block, block + least, 3 * block + 17]) {
                let bytes = whole(&stock.body(size, Digests::Left).unwrap());
                assert_eq!(bytes.len() as u64, size);
                let mut validator = Standard::of(format, Limits::default()).validator().unwrap();
                validator.feed(&bytes).unwrap();
                let records = validator.finish().unwrap().records;
                assert!(records > 0, "{content:?} {size}");
            }
            assert!(stock.body(least - 1, Digests::Left).is_none());
        }
    }

    #[test]
    fn random_bytes_come_in_any_size_and_repeat_only_after_a_block() {
        let stock = Stock::of(Content::Random);
        for size in [0, 1, 10_240, BLOCK_BYTES as u64, 2 * BLOCK_BYTES as u64 + 3] {
            assert_eq!(whole(&stock.body(size, Digests::Left).unwrap()).len() as u64, size);
        }
        let mut words: Vec<&[u8]> = stock.block.chunks(8).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), BLOCK_BYTES / 8);
    }

    #[test]
    fn a_digest_is_that_of_all_pieces() {
        let body = Stock::of(Content::Csv).body(3_000_000, Digests::Checked).unwrap();
        assert_eq!(body.digest, Some(crate::upload::Digest::of(&whole(&body)).to_string()));
    }
}
