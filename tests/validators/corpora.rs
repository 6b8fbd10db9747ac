//! Files that others have made: `JSONTestSuite`, csv-spectrum, and real tables.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tidegate::report::Format;
use tidegate::validate::Limits;

use super::{judge_every_way, judge_whole};

/// The folder with the corpora; where it is missing, the test says that it is left out.
fn corpus(name: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora");
    let folder = std::env::var_os("TIDEGATE_CORPORA").map_or_else(beside, PathBuf::from).join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    // Not `eprintln!`, whose output the test harness would keep to itself.
    let _ = writeln!(std::io::stderr(), "left out: {} is not here (TIDEGATE_CORPORA names the corpora)", folder.display());
    None
}

/// Every file of a folder with its name, in order.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(Result::unwrap)
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

#[test]
fn json_test_suite_is_judged_as_it_says() {
    let Some(folder) = corpus("json-test-suite") else { return };
    let (mut accepted, mut refused) = (0, 0);
    for (name, bytes) in files(&folder) {
        // The two largest differ from the others in nothing but depth, and every cut is a run over all of it.
        let outcome = if bytes.len() < 10_000 {
            judge_every_way(Format::Json, &Limits::default(), &bytes)
        } else {
            judge_whole(Format::Json, &bytes)
        };
        match name.as_bytes() {
            [b'y', b'_', ..] => {
                assert!(outcome.is_ok(), "{name}: {outcome:?}");
                accepted += 1;
            }
            [b'n', b'_', ..] => {
                assert!(outcome.is_err(), "{name}");
                refused += 1;
            }
            _ => {}
        }
    }
    assert_eq!((accepted, refused), (95, 188));
}

#[test]
fn csv_spectrum_is_accepted_with_all_its_rows() {
    let Some(folder) = corpus("csv-spectrum") else { return };
    let tables = files(&folder.join("csvs"));
    assert_eq!(tables.len(), 11);
    for (name, bytes) in tables {
        let json = fs::read(folder.join("json").join(name.replace(".csv", ".json"))).unwrap();
        let rows = serde_json::from_slice::<Vec<serde_json::Value>>(&json).unwrap().len() as u64;
        let verdict =
            judge_every_way(Format::Csv, &Limits::default(), &bytes).unwrap_or_else(|flaw| panic!("{name}: {flaw}"));
        assert_eq!(verdict.records, rows, "{name}");
        let verdict =
            judge_every_way(Format::Json, &Limits::default(), &json).unwrap_or_else(|flaw| panic!("{name}: {flaw}"));
        assert_eq!(verdict.records, rows, "{name} as JSON");
    }
}

#[test]
fn real_tables_are_accepted_with_all_their_rows() {
    let Some(folder) = corpus("real") else { return };
    let mut seen = 0;
    for (name, bytes) in files(&folder) {
        let (format, records) = match name.rsplit_once('.').map(|(_, extension)| extension) {
            Some("csv") => (Format::Csv, csv::Reader::from_reader(&bytes[..]).records().map(Result::unwrap).count()),
            Some("json") => (Format::Json, serde_json::from_slice::<Vec<serde_json::Value>>(&bytes).unwrap().len()),
            _ => continue,
        };
        let verdict = judge_whole(format, &bytes).unwrap_or_else(|flaw| panic!("{name}: {flaw}"));
        assert_eq!(verdict.records, records as u64, "{name}");
        seen += 1;
    }
    assert!(seen >= 8, "{seen} tables");
}
