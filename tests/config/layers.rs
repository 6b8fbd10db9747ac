//! Which layer wins, and what can be written in one.

use std::path::Path;
use std::time::Duration;

use tidegate::config::{Config, FsDurability, Integrity, LogFormat, Secret, SinkKind};
use tidegate::report::Format;
use tidegate::upload::OnConflict;
use tidegate::validate::rules::Unmatched;
use tidegate::wire::plain::{HeaderForm, Sizes};

use crate::{default_keys, explained, files, load, refusal, variable};

#[test]
fn the_defaults_are_those_that_were_agreed() {
    let config = Config::default();
    assert_eq!(config.listen.tcp.to_string(), "127.0.0.1:5010");
    assert_eq!(config.listen.admin.to_string(), "127.0.0.1:5011");
    assert_eq!(config.sink.kind, SinkKind::Fs);
    assert_eq!(config.sink.fs.root, Path::new("data"));
    assert_eq!((config.sink.fs.min_free, config.sink.fs.durability), (64 << 20, FsDurability::Disk));
    let s3 = &config.sink.s3;
    assert_eq!((&s3.endpoint, s3.bucket.as_str(), s3.prefix.as_str(), s3.region.as_str()), (&None, "", "", "us-east-1"));
    assert_eq!((&s3.access_key_id, &s3.secret_access_key, s3.allow_http), (&None, &None, false));
    assert_eq!((s3.part_bytes, s3.parts_in_flight, s3.integrity), (8 << 20, 3, Integrity::Checksum));
    assert_eq!((s3.request_timeout, s3.retry_timeout), (Duration::from_mins(1), Duration::from_mins(1)));
    let limits = &config.limits;
    assert_eq!((limits.header_timeout, limits.idle_timeout), (Duration::from_secs(10), Duration::from_secs(30)));
    assert_eq!((limits.upload_timeout, limits.resume_ttl), (Duration::from_hours(24), Duration::from_hours(24)));
    assert_eq!(limits.commit_timeout, Duration::from_mins(5));
    assert_eq!((limits.drain_timeout, limits.max_file_bytes), (Duration::from_secs(30), 64 << 30));
    assert_eq!(
        (limits.max_connections, limits.max_connections_per_address, limits.max_silent_connections),
        (4096, 256, 512)
    );
    assert_eq!((limits.min_rate, limits.min_rate_grace), (1024, Duration::from_secs(1)));
    assert_eq!(limits.max_memory_bytes, 0);
    assert_eq!((limits.max_discard_bytes, limits.max_json_depth, limits.max_record_bytes), (64 << 20, 128, 16 << 20));
    let plain = &config.plain;
    assert_eq!((plain.header, plain.sizes, plain.require_size), (HeaderForm::Auto, Sizes::Announced, false));
    assert_eq!(plain.linger, Duration::from_secs(5));
    assert_eq!((config.plain.on_conflict, config.framed.on_conflict), (OnConflict::Version, OnConflict::Reject));
    assert_eq!((config.framed.max_pending_commits, config.framed.max_pending_commits_total), (16, 1024));
    assert_eq!((config.log.level.as_str(), config.log.format), ("info", LogFormat::Text));
    assert_eq!((config.ledger.enabled, config.ledger.folder), (true, None));
    assert!(config.rules.is_empty());
    assert_eq!(config.defaults.unmatched, Unmatched::Accept);
}

#[test]
fn a_later_layer_overrides_an_earlier_one_key_by_key() {
    let first = "[limits]\nidle_timeout = \"1s\"\nheader_timeout = \"2s\"\ncommit_timeout = \"3s\"";
    let second = "limits.idle_timeout = \"4s\"\nlimits.header_timeout = \"5s\"";
    let limits = load(&[first, second], &[("TIDEGATE__LIMITS__IDLE_TIMEOUT", "6s")]).unwrap().limits;
    assert_eq!(limits.drain_timeout, Duration::from_secs(30), "default");
    assert_eq!(limits.commit_timeout, Duration::from_secs(3), "first file");
    assert_eq!(limits.header_timeout, Duration::from_secs(5), "second file");
    assert_eq!(limits.idle_timeout, Duration::from_secs(6), "variable");
}

#[test]
fn the_rules_of_a_later_file_replace_those_before() {
    let first = "[[rules]]\nmatch = \"*.a\"\nformat = \"csv\"\n[[rules]]\nmatch = \"*.b\"";
    let second = "[[rules]]\nmatch = \"*.c\"\nformat = \"json\"\nmax_bytes = \"1KiB\"\non_conflict = \"overwrite\"";
    let config = load(&[first, second], &[]).unwrap();
    let [rule] = config.rules.as_slice() else { panic!("{:?}", config.rules) };
    assert_eq!((rule.pattern.as_str(), rule.format, rule.max_bytes), ("*.c", Some(Format::Json), Some(1024)));
    assert_eq!(rule.on_conflict, Some(OnConflict::Overwrite));

    assert_eq!(load(&[first, "log.level = \"warn\""], &[]).unwrap().rules.len(), 2, "a file without rules leaves them");
    assert!(load(&[first, "rules = []"], &[]).unwrap().rules.is_empty());
}

#[test]
fn every_key_can_be_set_by_a_file_and_by_a_variable() {
    let keys = default_keys();
    assert!(keys.len() > 30, "{}", keys.len());
    for (key, default) in keys {
        let (_folder, paths) = files(&[&format!("{key} = {default}")]);
        let config = Config::load_with(&paths, []).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(explained(&config)[&key].origin, format!("{}, line 1", paths[0].display()));

        let text = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
        let config = Config::load_with(&[], [(variable(&key), text)]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(explained(&config)[&key].origin, variable(&key));
    }
}

#[test]
fn text_from_a_variable_stays_text() {
    for secret in ["0123", "1e5", "true", "007", "0x1F", "[a]", "a,b", "{\"a\":1}"] {
        let id = ("TIDEGATE__SINK__S3__ACCESS_KEY_ID", secret);
        let s3 = load(&[], &[id, ("TIDEGATE__SINK__S3__SECRET_ACCESS_KEY", secret)]).unwrap().sink.s3;
        assert_eq!((s3.access_key_id.as_deref(), s3.secret_access_key), (Some(secret), Some(Secret(secret.to_owned()))));
    }
    assert_eq!(load(&[], &[("TIDEGATE__SINK__S3__BUCKET", "2026")]).unwrap().sink.s3.bucket, "2026");
}

#[test]
fn an_empty_variable_sets_a_key_to_nothing() {
    let file = "sink.s3.prefix = \"a\"\nsink.s3.endpoint = \"https://s3.example.com\"";
    let s3 = load(&[file], &[("TIDEGATE__SINK__S3__PREFIX", ""), ("TIDEGATE__SINK__S3__ENDPOINT", "")]).unwrap().sink.s3;
    assert_eq!((s3.prefix.as_str(), s3.endpoint), ("", None));
    assert_eq!(
        refusal(&[], &[("TIDEGATE__LIMITS__IDLE_TIMEOUT", "")]),
        "limits.idle_timeout: \"\" is not a duration such as 30s or 5m (from TIDEGATE__LIMITS__IDLE_TIMEOUT)"
    );
}

#[test]
fn variables_of_others_are_passed_over() {
    let names = ["PATH", "TIDEGATE", "XTIDEGATE__LISTEN__TCP", "TIDEGATE_IMAGE", "TIDEGATE_MINIO", "TIDEGATE_CORPORA"];
    // What Kubernetes sets for services that are called tidegate, tidegate-listen and
    // tidegate-sink.
    let of_services = ["TIDEGATE_PORT", "TIDEGATE_SERVICE_HOST", "TIDEGATE_LISTEN_PORT", "TIDEGATE_SINK_PORT_5010_TCP"];
    for name in [&names[..], &of_services].concat() {
        load(&[], &[(name, "x")]).unwrap();
    }
}

#[test]
fn sizes_durations_and_flags_are_read_in_all_their_spellings() {
    for (text, bytes) in [
        ("1048576", 1 << 20),
        ("\"1048576\"", 1 << 20),
        ("\"64 MiB\"", 64 << 20),
        ("\"8MiB\"", 8 << 20),
        ("\"10GB\"", 10_000_000_000),
        ("\"1.5GiB\"", 3 << 29),
        ("\"3KB\"", 3000),
        ("\"3kB\"", 3000),
        ("\"3 B\"", 3),
        ("1_000", 1000),
        ("0x400", 1024),
    ] {
        assert_eq!(load(&[&format!("limits.max_file_bytes = {text}")], &[]).unwrap().limits.max_file_bytes, bytes, "{text}");
    }
    for (text, millis) in [("300ms", 300), ("1h 30m", 5_400_000), ("1h30m", 5_400_000), ("2days", 172_800_000)] {
        let limits = load(&[], &[("TIDEGATE__LIMITS__COMMIT_TIMEOUT", text)]).unwrap().limits;
        assert_eq!(limits.commit_timeout, Duration::from_millis(millis), "{text}");
    }
    assert!(load(&[], &[("TIDEGATE__PLAIN__REQUIRE_SIZE", "true")]).unwrap().plain.require_size);
    for (text, form) in [("auto", HeaderForm::Auto), ("line", HeaderForm::Line), ("first-packet", HeaderForm::FirstPacket)] {
        assert_eq!(load(&[], &[("TIDEGATE__PLAIN__HEADER", text)]).unwrap().plain.header, form);
    }
    assert_eq!(load(&["plain.sizes = \"never\""], &[]).unwrap().plain.sizes, Sizes::Never);
    assert_eq!(load(&["defaults.unmatched = \"reject\""], &[]).unwrap().defaults.unmatched, Unmatched::Reject);
    let rules = load(&["[[rules]]\nmatch = \"*.csv\"\nmatch_case = true"], &[]).unwrap().rules;
    assert_eq!(rules[0].match_case, Some(true));
    assert!(load(&["sink.s3.allow_http = true"], &[]).unwrap().sink.s3.allow_http);
}

#[cfg(unix)]
#[test]
fn the_process_has_an_environment_too() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::process::Command;

    // This test again, as a child: an environment cannot be changed safely from within.
    if std::env::var_os("CONFIG_TEST_CHILD").is_some() {
        match Config::load(&[]) {
            Ok(config) => println!("loaded {:?}", config.limits.idle_timeout),
            Err(error) => println!("refused {error}"),
        }
        return;
    }
    let child = |value: &[u8]| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "layers::the_process_has_an_environment_too", "--nocapture"]);
        command.env("CONFIG_TEST_CHILD", "1").env("TIDEGATE__LIMITS__IDLE_TIMEOUT", OsStr::from_bytes(value));
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let told = child(b"7s");
    assert!(told.contains("loaded 7s"), "{told}");
    let told = child(b"\xff");
    assert!(told.contains("refused TIDEGATE__LIMITS__IDLE_TIMEOUT: the value is not UTF-8"), "{told}");
}
