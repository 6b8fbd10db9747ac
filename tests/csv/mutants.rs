//! One fault each: a quote or a separator more or less.
//!
//! Whether a mutant is broken at all says the [grammar](super::grammar). Its first error has to stand on the line of the
//! fault, or where the grammar can't tell better:
//!
//! - in the header, a separator more or less: on the first row, which it does not fit;
//! - in a record of several lines that has a separator more or less: on any line of that record, for nothing says which of
//!   its separators is the wrong one;
//! - on a line that, with one character more or less, makes the table whole: then the fault may as well be there;
//! - in the first record that does not go on a table: all before is one, for the fault has left whole rows behind it. Where such a
//!   record spans lines, nothing says which of them is the wrong one.

use tidegate::validate::{Limits, Patience};

use super::grammar::{first_broken, is_table};
use super::{judge, untiring};
use crate::common::chance::Chance;

/// A table, and the line (from 0) on which each of its bytes stands.
fn table(dice: &mut Chance) -> Vec<u8> {
    let columns = 1 + dice.below(6);
    let line_end: &str = ["\n", "\r\n"][dice.below(2)];
    let header: Vec<String> = (0..columns).map(|column| format!("name {column}")).collect();
    let mut lines = vec![header.join(",")];
    for _ in 0..2 + dice.below(10) {
        let row: Vec<String> = (0..columns).map(|_| field(dice, line_end)).collect();
        lines.push(row.join(","));
    }
    let end = if dice.below(4) == 0 { "" } else { line_end };
    format!("{}{end}", lines.join(line_end)).into_bytes()
}

fn field(dice: &mut Chance, line_end: &str) -> String {
    const WORDS: [&str; 8] = ["a", "23", "Meier", "\u{e4}\u{20ac}", "", "12.5", "x y", "2026-11-22"];
    let word = |dice: &mut Chance| WORDS[dice.below(WORDS.len())].to_owned();
    let pieces = [",", "\"\"", line_end, " ", ", ", "\"\""];
    match dice.below(5) {
        0..2 => word(dice),
        2 => format!("\"{}\"", word(dice)),
        _ => {
            let mut text = word(dice);
            for _ in 0..=dice.below(4) {
                text += pieces[dice.below(pieces.len())];
                text += &word(dice);
            }
            format!("\"{text}\"")
        }
    }
}

/// A fault: what is put in or taken out, and where.
#[derive(Debug, Clone, Copy)]
struct Fault {
    at: usize,
    byte: u8,
    added: bool,
}

impl Fault {
    fn new(dice: &mut Chance, table: &[u8]) -> Self {
        let byte = [b'"', b','][dice.below(2)];
        let places: Vec<usize> = (0..table.len()).filter(|&at| table[at] == byte).collect();
        if dice.below(2) == 0 && !places.is_empty() {
            return Self { at: places[dice.below(places.len())], byte, added: false };
        }
        let at = dice.below(table.len() + 1);
        Self { at: std::str::from_utf8(table).unwrap().floor_char_boundary(at), byte, added: true }
    }

    fn apply(self, table: &[u8]) -> Vec<u8> {
        let mut mutant = table.to_vec();
        if self.added {
            mutant.insert(self.at, self.byte);
        } else {
            mutant.remove(self.at);
        }
        mutant
    }
}

fn line_of(text: &[u8], at: usize) -> u64 {
    text[..at].split(|&byte| byte == b'\n').count() as u64
}

/// The range of a line, with what ends it.
fn line(text: &[u8], number: u64) -> std::ops::Range<usize> {
    let starts = |wanted: u64| {
        let ends = text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
        std::iter::once(0).chain(ends).nth(usize::try_from(wanted - 1).unwrap()).unwrap_or(text.len())
    };
    starts(number)..starts(number + 1)
}

/// Whether one quote or separator more or less on a line makes the table whole.
fn is_mended_on(text: &[u8], number: u64) -> bool {
    let range = line(text, number);
    let added =
        (range.start..=range.end.min(text.len())).flat_map(|at| [b'"', b','].map(|byte| Fault { at, byte, added: true }));
    let removed =
        range.clone().filter(|&at| b"\",".contains(&text[at])).map(|at| Fault { at, byte: text[at], added: false });
    added.chain(removed).any(|fault| is_table(&fault.apply(text)))
}

/// The lines of the record in which a byte of a table stands.
fn lines_of_record(table: &[u8], at: usize) -> std::ops::RangeInclusive<u64> {
    let mut quoted = false;
    let mut start = 0;
    for (index, &byte) in table.iter().enumerate() {
        quoted ^= byte == b'"';
        if byte == b'\n' && !quoted {
            if index >= at {
                return line_of(table, start)..=line_of(table, index);
            }
            start = index + 1;
        }
    }
    line_of(table, start)..=line_of(table, table.len())
}

/// The lines of the first broken record, up to where it breaks.
fn lines_of_first_broken(mutant: &[u8]) -> std::ops::RangeInclusive<u64> {
    let broken = first_broken(mutant).expect("a mutant that is no table");
    line_of(mutant, broken.start)..=line_of(mutant, broken.end)
}

/// What a mutant came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Judged {
    /// It is a table, with another meaning.
    Whole,
    OnItsLine,
    BehindTheHeader,
    InItsRecord,
    MendedThere,
    FirstBrokenRecord,
}

fn judged(table: &[u8], fault: Fault) -> Result<Judged, String> {
    let mutant = fault.apply(table);
    let outcome = judge(Patience::default(), Limits::default(), &mutant, mutant.len().max(1));
    if is_table(&mutant) {
        // What the header says is another matter.
        return match outcome {
            Ok(_) => Ok(Judged::Whole),
            Err(report) if report.errors[0].line == 1 => Ok(Judged::Whole),
            Err(report) => Err(format!("refused though it is a table: {report}")),
        };
    }
    let Err(report) = outcome else { return Err("accepted".to_owned()) };
    let told = report.errors[0].line;
    let fault_line = line_of(&mutant, fault.at);
    if told == fault_line {
        Ok(Judged::OnItsLine)
    } else if fault_line == 1 && fault.byte == b',' && report.errors[0].record == 1 {
        Ok(Judged::BehindTheHeader)
    } else if fault.byte == b',' && lines_of_record(table, fault.at.min(table.len() - 1)).contains(&told) {
        Ok(Judged::InItsRecord)
    } else if is_mended_on(&mutant, told) {
        Ok(Judged::MendedThere)
    } else if told > fault_line && lines_of_first_broken(&mutant).contains(&told) {
        Ok(Judged::FirstBrokenRecord)
    } else {
        Err(format!("line {fault_line} is at fault: {report}"))
    }
}

#[test]
fn every_mutant_is_refused_at_the_line_of_its_fault() {
    let wanted: usize = std::env::var("TIDEGATE_CSV_MUTANTS").map_or(4_000, |count| count.parse().unwrap());
    let seed = std::env::var("TIDEGATE_SEED").map_or(20_261_122, |seed| seed.parse().unwrap());
    let mut dice = Chance::new(seed);
    let mut counts = [0_usize; 6];
    let mut wrong = Vec::new();
    while counts[1..].iter().sum::<usize>() + wrong.len() < wanted {
        let table = table(&mut dice);
        assert!(is_table(&table));
        let fault = Fault::new(&mut dice, &table);
        match judged(&table, fault) {
            Ok(judged) => counts[judged as usize] += 1,
            Err(words) => wrong.push(format!("{words}\n{fault:?}\n{}", String::from_utf8_lossy(&fault.apply(&table)))),
        }
    }
    let [whole, line, header, record, mended, first] = counts;
    println!("seed {seed}: on the line {line}, behind the header {header}, in the record {record}, mended there {mended}");
    println!("in the first broken record {first}; whole, and not counted, {whole}");
    let shown: Vec<&str> = wrong.iter().take(5).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} of {wanted} are told wrongly:\n{}", wrong.len(), shown.join("\n---\n"));
    assert!(first * 20 < wanted, "the exception is no exception");
}

#[test]
fn however_a_mutant_is_cut_all_that_is_told_is_the_same() {
    let seed = 4_180;
    let mut dice = Chance::new(seed);
    for round in 0..1_500 {
        let table = table(&mut dice);
        let mut mutant = Fault::new(&mut dice, &table).apply(&table);
        for _ in 0..dice.below(4) {
            mutant = Fault::new(&mut dice, &mutant).apply(&mutant);
        }
        let small = Limits { max_record_bytes: 60, ..Limits::default() };
        for limits in [Limits::default(), small] {
            let whole = judge(untiring(), limits, &mutant, mutant.len().max(1));
            for chunk_bytes in [1, 2, 3, 7, 1 + dice.below(64), 64] {
                let shown = String::from_utf8_lossy(&mutant);
                let cut = judge(untiring(), limits, &mutant, chunk_bytes);
                assert_eq!(comparable(&cut), comparable(&whole), "seed {seed}, round {round}, by {chunk_bytes}:\n{shown}");
            }
        }
    }
}

/// All of a report but how many bytes had been read when it was made.
fn comparable(
    outcome: &Result<tidegate::report::Verdict, Box<tidegate::report::Report>>,
) -> Result<u64, (bool, u64, u64, &[tidegate::report::Flaw])> {
    match outcome {
        Ok(verdict) => Ok(verdict.records),
        Err(report) => Err((report.complete, report.records, report.errors_total, &report.errors)),
    }
}
