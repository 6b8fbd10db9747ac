//! NDJSON: a file is accepted where each of its lines is as JSON, and no line is blank.

#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use tidegate::report::Format;

fuzz_target!(|input: &[u8]| {
    let (file, outcome) = common::judge(Format::Ndjson, input);
    let body = file.strip_suffix(b"\n").unwrap_or(file);
    let mut lines = body.split(|&byte| byte == b'\n');
    let accepted = file.is_empty() || lines.all(|line| common::judge(Format::Json, &[&[1][..], line].concat()).1.is_ok());
    assert_eq!(outcome.is_ok(), accepted, "{outcome:?}");
});
