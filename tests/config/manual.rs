//! That `config/default.toml` and the examples beside it tell the truth.

use std::fs;
use std::path::Path;

use tidegate::config::{Config, SinkKind};
use tidegate::report::Format;

use crate::{DEFAULT_TOML, load};

#[test]
fn every_key_has_a_comment_above_it() {
    let mut above = "";
    for line in DEFAULT_TOML.lines() {
        if !line.starts_with('#') && line.contains(" = ") {
            assert!(above.starts_with("# ") || line.contains(" # "), "no comment: {line}");
        }
        above = line;
    }
}

#[test]
fn the_rules_that_it_shows_are_good_ones() {
    let (_, rules) = DEFAULT_TOML.split_once("#\n# [[rules]]").unwrap();
    let rules: Vec<_> = rules.lines().map(|line| line.strip_prefix("# ").unwrap_or(line)).collect();
    let config = load(&[&format!("[[rules]]{}", rules.join("\n"))], &[]).unwrap();
    let [rule, json] = config.rules.as_slice() else { panic!("{:?}", config.rules) };
    assert_eq!((rule.pattern.as_str(), rule.format), ("readings/**/*.dat", Some(Format::Csv)));
    assert!(rule.max_bytes.is_some() && rule.on_conflict.is_some() && rule.on_invalid.is_some());
    assert!(rule.compression.is_some() && rule.schema.is_some() && rule.dialect.is_some() && rule.match_case.is_some());
    assert!(rule.mask_snippets.is_some() && rule.max_errors.is_some() && rule.max_error_ratio.is_some());
    assert!(json.schema_for.is_some() && json.profile.is_some() && json.blank_lines.is_some());
}

#[test]
fn the_examples_load_alone_and_together() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let mut examples: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    examples.sort();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in &examples {
        Config::load_with(std::slice::from_ref(example), []).unwrap_or_else(|error| panic!("{error}"));
    }
    let all = Config::load_with(&examples, []).unwrap();
    assert_eq!((all.sink.kind, all.rules.len()), (SinkKind::S3, 4));
}
