//! See `checks.rs`.

#![no_main]

mod checks;

libfuzzer_sys::fuzz_target!(|file: &[u8]| checks::check_table(file));
