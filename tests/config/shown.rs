//! What `tidegate check` shows of the configuration in force.

use tidegate::config::Config;

use crate::{DEFAULT_TOML, default_keys, explained, files, load, variables};

#[test]
fn every_key_in_the_order_of_the_manual() {
    let shown: Vec<_> = Config::default().explain().into_iter().map(|setting| setting.key).collect();
    let mut section = "";
    let mut manual = Vec::new();
    for line in DEFAULT_TOML.lines().take_while(|line| !line.starts_with("# Rules say")) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            manual.push(format!("{section}.{name}"));
        }
    }
    assert_eq!(shown, manual);
    assert_eq!(manual.len(), default_keys().len());
}

#[test]
fn each_value_with_its_origin() {
    let (_folder, paths) = files(&["[limits]\nidle_timeout = \"90s\"\n[[rules]]\nmatch = \"*.x\"\nmax_bytes = 2048"]);
    let config = Config::load_with(&paths, variables(&[("TIDEGATE__SINK__FS__MIN_FREE", "1000000000")])).unwrap();
    let shown = explained(&config);
    let of = |key: &str| (shown[key].value.as_str(), shown[key].origin.as_str());
    let line = |line: usize| format!("{}, line {line}", paths[0].display());
    assert_eq!(of("limits.idle_timeout"), ("1m 30s", line(2).as_str()));
    assert_eq!(of("limits.header_timeout"), ("10s", "default"));
    assert_eq!(of("limits.max_file_bytes"), ("64GiB", "default"));
    assert_eq!(of("sink.fs.min_free"), ("1GB", "TIDEGATE__SINK__FS__MIN_FREE"));
    assert_eq!(of("sink.s3.endpoint"), ("", "default"));
    assert_eq!(of("rules[1].match"), ("*.x", line(4).as_str()));
    assert_eq!(of("rules[1].max_bytes"), ("2KiB", line(5).as_str()));
    assert!(!shown.contains_key("rules[1].format"));
}

#[test]
fn sizes_as_they_are_said() {
    for (bytes, text) in [
        ("0", "0"),
        ("1000", "1kB"),
        ("1001", "1001"),
        ("\"64GB\"", "64GB"),
        ("\"64GiB\"", "64GiB"),
        ("\"1024000B\"", "1000KiB"),
        ("\"500MiB\"", "500MiB"),
        ("9223372036854775807", "9223372036854775807"),
    ] {
        let config = load(&[&format!("sink.fs.min_free = {bytes}")], &[]).unwrap();
        assert_eq!(explained(&config)["sink.fs.min_free"].value, text, "{bytes}");
    }
}

#[test]
fn secrets_never() {
    let environment =
        [("TIDEGATE__SINK__S3__ACCESS_KEY_ID", "AKIAsecret"), ("TIDEGATE__SINK__S3__SECRET_ACCESS_KEY", "hush-hush")];
    let config = load(&[], &environment).unwrap();
    let shown = explained(&config);
    assert_eq!(shown["sink.s3.access_key_id"].value, "AKIA***");
    assert_eq!(shown["sink.s3.secret_access_key"].value, "***");
    assert!(!format!("{:?}", config.explain()).contains("hush"));
    assert!(!format!("{config:?} {config:#?}").contains("hush"));
    assert_eq!(explained(&Config::default())["sink.s3.secret_access_key"].value, "");
}
