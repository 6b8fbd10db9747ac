//! JSON and NDJSON: ours, strict and in chunks, beside parsers that have the whole text in front of them.

use std::fmt::Write as _;

use criterion::Criterion;
use serde::de::IgnoredAny;
use tidegate::report::Format;
use tidegate::validate::{Limits, for_format};

use crate::turns::{CHUNK_BYTES, Contender, compare, is_wanted};

const FILE_BYTES: usize = 100_000_000;

pub(crate) fn json(criterion: &mut Criterion) {
    const CONTENDERS: [Contender; 3] = [
        ("tidegate", |text| ours(Format::Json, text)),
        ("serde_json", |text| serde_json::from_slice::<IgnoredAny>(text).map(|_| 0).unwrap()),
        ("sonic-rs", |text| sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(text).map(|_| 0).unwrap()),
    ];
    for (name, layout) in [("json/compact", Layout::Compact), ("json/pretty", Layout::Pretty)] {
        if is_wanted(name) {
            compare(criterion, name, array(layout).as_bytes(), &CONTENDERS);
        }
    }
}

pub(crate) fn ndjson(criterion: &mut Criterion) {
    const CONTENDERS: [Contender; 3] = [
        ("tidegate", |text| ours(Format::Ndjson, text)),
        ("serde_json", |text| lines(text).filter(|line| serde_json::from_slice::<IgnoredAny>(line).is_ok()).count() as u64),
        ("sonic-rs", |text| {
            lines(text).filter(|line| sonic_rs::from_slice::<sonic_rs::LazyValue<'_>>(line).is_ok()).count() as u64
        }),
    ];
    if is_wanted("ndjson") {
        let mut text = String::with_capacity(FILE_BYTES + 4096);
        let mut records = Records::new();
        while text.len() < FILE_BYTES {
            records.write(&mut text, Layout::Compact);
            text.push('\n');
        }
        compare(criterion, "ndjson", text.as_bytes(), &CONTENDERS);
    }
}

fn ours(format: Format, text: &[u8]) -> u64 {
    let mut validator = for_format(format, &Limits::default()).unwrap();
    text.chunks(CHUNK_BYTES).try_for_each(|chunk| validator.feed(chunk)).unwrap();
    validator.finish().unwrap().records
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line)
    })
}

fn array(layout: Layout) -> String {
    let mut text = String::with_capacity(FILE_BYTES + 4096);
    let mut records = Records::new();
    text.push('[');
    while text.len() < FILE_BYTES {
        text.push_str(layout.separator());
        records.write(&mut text, layout);
        text.push(',');
    }
    text.pop();
    text.push_str(layout.separator());
    text.push(']');
    text
}

#[derive(Clone, Copy)]
enum Layout {
    Compact,
    Pretty,
}

impl Layout {
    const fn separator(self) -> &'static str {
        match self {
            Self::Compact => "",
            Self::Pretty => "\n  ",
        }
    }
}

/// What a plant or a shop might send: numbers of all sizes, text with escapes and in other scripts, objects and arrays inside.
/// The same at every run.
struct Records {
    random: u64,
    count: u64,
}

impl Records {
    const NAMES: [&'static str; 8] =
        ["Anna Müller", "Jean Dupont", "山田 太郎", "Olga Ivanova", "Søren Kierkegård", "John Smith", "Zoë Ávila", "Ли Вэй"];
    const NOTES: [&'static str; 8] = [
        "",
        "ok",
        "pump 3 restarted by hand, pressure back to normal after twenty minutes",
        "line one\nline two\n\"quoted\" and a \\ backslash",
        "Überdruckventil prüfen, Dichtung ersetzen; siehe Protokoll vom Vortag",
        "C:\\data\\export\\2026",
        "снова в работе с утра",
        "A longer remark, as an operator types it at the end of a shift when all of the tanks have been checked, and nothing \
         more is to be done but to write down that nothing more is to be done.",
    ];

    const fn new() -> Self {
        Self { random: 0x9e37_79b9_7f4a_7c15, count: 0 }
    }

    /// xorshift64*
    fn below(&mut self, bound: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound
    }

    fn pick<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u64) as usize]
    }

    fn write(&mut self, text: &mut String, layout: Layout) {
        self.count += 1;
        let readings: Vec<f64> = (0..self.below(6)).map(|_| self.below(2_000_000) as f64 / 1e4 - 100.0).collect();
        let record = serde_json::json!({
            "id": self.count,
            "uuid": format!("{:08x}-{:04x}-4{:03x}", self.below(1 << 32), self.below(1 << 16), self.below(1 << 12)),
            "time": format!("2026-{:02}-{:02}T{:02}:00:00Z", self.below(12) + 1, self.below(28) + 1, self.below(24)),
            "operator": { "name": self.pick(&Self::NAMES), "active": self.below(2) == 1, "shift": null },
            "position": [self.below(1 << 40) as f64 / 1e10, self.below(1 << 40) as f64 / -1e11],
            "readings": readings,
            "status": self.pick(&["running", "stopped", "fault", "idle"]),
            "tags": ["plant-7", self.pick(&["north", "south"]), self.pick(&["a", "b", "c"])],
            "count": self.below(100_000),
            "note": self.pick(&Self::NOTES),
        });
        match layout {
            Layout::Compact => write!(text, "{record}"),
            Layout::Pretty => write!(text, "{}", format!("{record:#}").replace('\n', "\n  ")),
        }
        .unwrap();
    }
}
