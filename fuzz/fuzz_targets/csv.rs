//! CSV and TSV: nothing but commas and tabulators tells them apart.

#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use tidegate::report::Format;

fuzz_target!(|input: &[u8]| {
    let (_, csv) = common::judge(Format::Csv, input);
    let swapped: Vec<u8> = input
        .iter()
        .enumerate()
        .map(|(index, &byte)| match byte {
            // The first byte says how the file is cut.
            b',' if index > 0 => b'\t',
            b'\t' if index > 0 => b',',
            other => other,
        })
        .collect();
    let (_, tsv) = common::judge(Format::Tsv, &swapped);
    match (csv, tsv) {
        (Ok(csv), Ok(tsv)) => assert_eq!(csv.records, tsv.records),
        // A blank name is one of white space, which a comma is not, and a tabulator is.
        (Err(csv), Err(tsv)) if csv.code == tsv.code => assert_eq!(csv.offset, tsv.offset),
        (csv, tsv) => assert!([csv, tsv].iter().any(|one| one.as_ref().is_err_and(|flaw| flaw.code == "blank-header"))),
    }
});
