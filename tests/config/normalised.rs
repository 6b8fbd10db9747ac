//! What is brought into one form on its way, and that nothing written makes the loader panic.

use std::time::Duration;

use proptest::prelude::*;
use tidegate::config::{Config, S3};

use crate::{load, variable};

fn s3(key: &str, value: &str) -> S3 {
    load(&[&format!("sink.s3.{key} = {value:?}\nsink.s3.allow_http = true")], &[]).unwrap().sink.s3
}

#[test]
fn outer_slashes_are_dropped() {
    for (written, prefix) in [("a/b", "a/b"), ("a/b/", "a/b"), ("/a", "a"), ("/", ""), ("", "")] {
        assert_eq!(s3("prefix", written).prefix, prefix, "{written}");
    }
    for (written, endpoint) in [
        ("http://localhost:9000/", "http://localhost:9000"),
        ("https://s3.example.com", "https://s3.example.com"),
        ("https://gate.example.com/s3/", "https://gate.example.com/s3"),
        ("http://[::1]:9000", "http://[::1]:9000"),
    ] {
        assert_eq!(s3("endpoint", written).endpoint.as_deref(), Some(endpoint));
    }
}

#[test]
fn filters_for_modules_are_levels_too() {
    for level in ["off", "WARN", "warn,tidegate=debug", "tidegate::server=trace, error", "[upload{id=x}]=debug"] {
        assert_eq!(load(&[&format!("log.level = {level:?}")], &[]).unwrap().log.level, level);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_explained_can_be_written_again(
        bytes in 1_u64..=i64::MAX as u64, shift in 0_u32..63, millis in 1_u64..31_536_000_000, count in 1_u64..=1_000_000,
    ) {
        let bytes = (bytes >> shift << shift).max(1);
        let file = format!(
            "[limits]\nmax_file_bytes = {bytes}\ncommit_timeout = \"{millis}ms\"\nmax_connections = {count}\n"
        );
        let first = load(&[&file], &[]).unwrap();
        prop_assert_eq!(first.limits.max_file_bytes, bytes);
        let written: Vec<_> = first.explain().into_iter().map(|setting| (variable(&setting.key), setting.value)).collect();
        let again = Config::load_with(&[], written).unwrap();
        prop_assert_eq!(again.limits.max_file_bytes, bytes);
        prop_assert_eq!(again.limits.commit_timeout, Duration::from_millis(millis));
        prop_assert_eq!(format!("{:?}", again.limits), format!("{:?}", first.limits));
    }

    #[test]
    fn no_file_and_no_variable_makes_it_panic(text in "\\PC{0,40}", name in "[A-Z_]{0,20}") {
        for key in ["sink.kind", "sink.s3.endpoint", "sink.s3.prefix", "limits.max_file_bytes", "log.level", "rules"] {
            let _ = load(&[&format!("{key} = {text}")], &[(&variable(key), &text)]);
        }
        let _ = load(&[&text], &[(&format!("TIDEGATE__{name}"), &text)]);
    }

    #[test]
    fn no_log_filter_makes_it_panic(text in "[ -~]{0,12}|([a-z{}=,\"/ \\[\\]]|info|=debug){0,8}") {
        let _ = load(&[], &[("TIDEGATE__LOG__LEVEL", &text)]);
    }
}
