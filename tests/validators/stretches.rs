//! Long texts, which are read many bytes at once where nothing is wrong, beside the same texts byte by byte, which never are.

use serde_json::Value;
use tidegate::report::{Format, Report, Verdict};
use tidegate::validate::{Limits, for_format};

const ROUNDS: u32 = 4000;

/// Values that are fine, and such as are not.
const GOOD: [&str; 24] = [
    "0",
    "-0",
    "17",
    "-1.5",
    "0.25",
    "123456789012345678901234567890.5",
    "1e5",
    "-2.5E-10",
    "0e+1",
    "true",
    "false",
    "null",
    "\"\"",
    "\"a\"",
    "\"{[,:]}\"",
    "\"\\\"\"",
    "\"\\\\\"",
    "\"\\u00e4\\n\\ud83d\"",
    "\"\u{e4}\u{20ac}\u{1f600} and so on until it is longer than any block that is looked at as a whole, and then some\"",
    "[]",
    "{}",
    "[1,[2,[]],{}]",
    "{\"a\":{\"b\":[]}}",
    "[ ]",
];
const BAD: [&str; 34] = [
    "\"",
    "\\",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\n",
    "\r",
    "\t",
    " ",
    "\0",
    "0",
    "1",
    "-",
    "+",
    ".",
    "e",
    "E",
    "t",
    "true",
    "nul",
    "\u{e4}",
    "1.",
    "01",
    "1e",
    "1.2.3",
    "1e2.3",
    "\"\\x\"",
    "\"\\u12g4\"",
    "\"\t\"",
    "[1 2]",
    "{\"a\"}",
];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }

    fn space(&mut self, text: &mut String, spaces: &[&str]) {
        if self.below(4) == 0 {
            text.push_str(self.pick(spaces));
        }
    }

    fn value(&mut self, text: &mut String, depth: usize, spaces: &[&str]) {
        if depth == 0 || self.below(3) == 0 {
            text.push_str(self.pick(&GOOD));
            return;
        }
        let names = self.below(2) == 0;
        text.push(if names { '{' } else { '[' });
        for member in 0..=self.below(6) {
            if member > 0 {
                text.push(',');
            }
            self.space(text, spaces);
            if names {
                text.push_str(self.pick(&["\"a\"", "\"\"", "\"a longer name\"", "\"\\u0061\\\\\""]));
                self.space(text, spaces);
                text.push(':');
                self.space(text, spaces);
            }
            self.value(text, depth - 1, spaces);
            self.space(text, spaces);
        }
        text.push(if names { '}' } else { ']' });
    }

    fn file(&mut self, format: Format) -> Vec<u8> {
        let mut text = String::new();
        for _ in 0..if format == Format::Ndjson { 1 + self.below(20) } else { 1 } {
            let (depth, spaces): (_, &[&str]) = match format {
                Format::Ndjson => (3, &[" ", "\t", "\r", "     "]),
                _ => (6, &[" ", "\t", "\r\n", "\n", "\n            ", "\n\n"]),
            };
            self.value(&mut text, depth, spaces);
            text.push('\n');
        }
        let mut file = text.into_bytes();
        for _ in 0..self.below(3) {
            let (at, bad) = (self.below(file.len()), self.pick(&BAD));
            let end = file.len().min(at + self.below(3));
            file.splice(at..end, bad.bytes());
        }
        file
    }
}

type Outcome = (Result<Verdict, Box<Report>>, Vec<Option<Value>>);

/// What is said of a file in pieces, and what is saved of the scanner at each of these places that reading reaches.
fn judge(format: Format, limits: &Limits, file: &[u8], places: &[usize], bytes: usize) -> Outcome {
    let mut validator = for_format(format, limits).unwrap();
    let (mut saved, mut start) = (Vec::new(), 0);
    for &place in places {
        for piece in file[start..place].chunks(bytes) {
            if let Err(report) = validator.feed(piece) {
                return (Err(report), saved);
            }
        }
        saved.push(validator.save().map(|saved| saved["scanner"].clone()));
        start = place;
    }
    (validator.finish(), saved)
}

#[test]
fn what_is_read_many_bytes_at_once_is_judged_and_saved_as_byte_by_byte() {
    let seed = std::env::var("TIDEGATE_SEED").map_or_else(|_| super::fuzz::rand_seed(), |seed| seed.parse().unwrap());
    println!("TIDEGATE_SEED={seed}");
    let mut random = Random(seed);
    for round in 0..ROUNDS {
        let format = if random.below(2) == 0 { Format::Json } else { Format::Ndjson };
        let file = random.file(format);
        let tight = Limits { max_depth: 5, max_token_bytes: 70, max_record_bytes: 600, ..Limits::default() };
        let limits = if random.below(4) == 0 { tight } else { Limits::default() };
        let mut places = vec![random.below(file.len() + 1), random.below(file.len() + 1), file.len()];
        places.sort_unstable();
        let by_bytes = judge(format, &limits, &file, &places, 1);
        let shown = String::from_utf8_lossy(&file);
        assert_eq!(
            judge(format, &limits, &file, &places, usize::MAX),
            by_bytes,
            "round {round}: {format} {shown:?} cut at {places:?}"
        );
    }
}
