//! JSON: agrees with `serde_json`, but for numbers that no double holds.

#![no_main]

mod common;

use libfuzzer_sys::fuzz_target;
use tidegate::report::Format;

fuzz_target!(|input: &[u8]| {
    let (file, outcome) = common::judge(Format::Json, input);
    match serde_json::from_slice::<serde_json::Value>(file) {
        Ok(_) => assert!(outcome.is_ok(), "{outcome:?}"),
        Err(error) if error.to_string().starts_with("number out of range") => {}
        // Its limit of depth is ours less one level.
        Err(error) if error.to_string().starts_with("recursion limit exceeded") => {}
        Err(error) => assert!(outcome.is_err(), "{error}"),
    }
});
