//! The fast way against the careful one, and both against the `csv` crate.

use serde_json::json;

use super::super::TableLimits;
use super::super::dialect::Dialect;
use super::{dialect, judged, limits, read};
use crate::validate::csv::Csv;

/// Numbers that are the same in every run (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
struct Dice(u64);

impl Dice {
    fn below(&mut self, count: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % count as u64).unwrap()
    }

    fn one_of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// A table without a flaw.
fn table(dice: &mut Dice) -> String {
    let (columns, line_end) = (1 + dice.below(5), dice.one_of(&["\n", "\r\n"]));
    let header: Vec<String> = (0..columns).map(|column| format!("name {column}")).collect();
    let mut lines = vec![header.join(",")];
    for _ in 0..dice.below(12) {
        let row: Vec<String> = (0..columns).map(|_| cell(dice)).collect();
        lines.push(row.join(","));
    }
    let (bom, end) = (dice.one_of(&["", "", "\u{feff}"]), dice.one_of(&["", line_end, line_end]));
    format!("{bom}{}{end}", lines.join(line_end))
}

fn cell(dice: &mut Dice) -> String {
    let plain = ["", "1", "23.5", "a b", "\u{e4}\u{20ac}", "0123456789012345678901234567890", "x"];
    let text: String = (0..dice.below(4)).map(|_| dice.one_of(&plain)).collect();
    if dice.below(3) > 0 {
        return text;
    }
    let inner: String =
        (0..dice.below(5)).map(|_| dice.one_of(&[",", "\"\"", "\n", "\r\n", "\r", "y", "\u{1f600}"])).collect();
    format!("\"{text}{inner}\"")
}

fn mutated(dice: &mut Dice, mut table: String) -> String {
    for _ in 0..dice.below(4) {
        let at = table.floor_char_boundary(dice.below(table.len() + 1));
        if dice.below(3) == 0 && at < table.len() {
            table.remove(at);
        } else {
            table.insert_str(at, dice.one_of(&["\"", ",", "\n", "\r", "\0", "\"\"", "\",\"", "\r\n", "z", "\u{e4}"]));
        }
    }
    table
}

#[test]
fn the_fast_way_tells_and_hands_over_what_the_careful_way_does() {
    // A table that begins no record with that character is the same in both dialects, and the fast way reads no comments.
    let careful = dialect(&json!({"commentChar": "\u{1}"}));
    let small = TableLimits { max_record_bytes: 70, max_record_lines: 3, max_fields: 4, max_cell_bytes: 40 };
    let seed = 64;
    let mut dice = Dice(seed);
    for round in 0..3_000 {
        let table = table(&mut dice);
        let text = mutated(&mut dice, table);
        let bytes = text.as_bytes();
        for limits in [limits(), small] {
            let expected = judged(&careful, limits, &[bytes]);
            for length in [bytes.len().max(1), 1 + dice.below(80), 64, 1] {
                let chunks: Vec<&[u8]> = bytes.chunks(length).collect();
                let shown = || format!("seed {seed}, round {round}, by {length}: {text:?}");
                assert_eq!(judged(&Dialect::csv(), limits, &chunks), expected, "{}", shown());
                assert_eq!(judged(&careful, limits, &chunks), expected, "careful, {}", shown());
                assert_eq!(read(Csv::new(Dialect::csv(), limits), &chunks), expected.0, "unjudged, {}", shown());
            }
        }
    }
}

#[test]
fn cells_are_those_that_the_csv_crate_reads() {
    let seed = 4_180;
    let mut dice = Dice(seed);
    for round in 0..3_000 {
        let text = table(&mut dice);
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let mut expected: Vec<Vec<String>> =
            reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        let labels = expected.remove(0);
        let length = 1 + dice.below(100);
        let (outcome, mut handed) = judged(&Dialect::csv(), limits(), &text.as_bytes().chunks(length).collect::<Vec<_>>());
        assert!(outcome.is_ok(), "seed {seed}, round {round}: {outcome:?} {text:?}");
        // The crate passes over blank lines, which hold one empty cell.
        for rows in [&mut handed.rows, &mut expected] {
            rows.retain(|row| row.len() > 1 || !row[0].is_empty());
        }
        assert_eq!((handed.labels, handed.rows), (labels, expected), "seed {seed}, round {round}: {text:?}");
    }
}
