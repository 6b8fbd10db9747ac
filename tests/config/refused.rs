//! What is refused, and in which words.

use std::path::PathBuf;

use tidegate::config::Config;

use crate::{load, refusal, refusals};

#[test]
fn an_unknown_key_with_the_nearest_one() {
    for (file, told) in [
        ("\n[sink.s3]\nbuckett = \"x\"", "sink.s3.buckett: unknown key (in 0.toml, line 3); did you mean sink.s3.bucket?"),
        (
            "limits.idle-timeout = \"1s\"",
            "limits.idle-timeout: unknown key (in 0.toml, line 1); did you mean limits.idle_timeout?",
        ),
        ("bucket = \"x\"", "bucket: unknown key (in 0.toml, line 1); did you mean sink.s3.bucket?"),
        ("[s3]\nbucket = \"x\"\nregion = \"y\"", "s3: unknown key (in 0.toml, line 1); did you mean sink.s3?"),
        ("listen.port = 1", "listen.port: unknown key (in 0.toml, line 1); the keys of listen are tcp, admin"),
        (
            "[database]\nurl = \"x\"",
            "database: unknown key (in 0.toml, line 1); the sections are listen, sink, limits, plain, framed, log, ledger, defaults and [[rules]]",
        ),
        ("[listen.tcp]\nport = 1", "listen.tcp: is a table, and must be a single value (in 0.toml, line 1)"),
        (
            "\"sink.kind\" = \"s3\"",
            "\"sink.kind\": unknown key (in 0.toml, line 1); the sections are listen, sink, limits, plain, framed, log, ledger, defaults and [[rules]]",
        ),
        (
            "[[rules]]\nmatch = \"*\"\nformt = \"csv\"",
            "rules[1].formt: unknown key (in 0.toml, line 3); did you mean rules[1].format?",
        ),
        (
            "[[rules]]\nmatch = \"*\"\ncolour = \"red\"",
            "rules[1].colour: unknown key (in 0.toml, line 3); the keys of a rule are match, match_case, format, max_bytes, on_conflict, on_invalid, compression, schema, schema_for, dialect, profile, blank_lines, max_errors, max_error_ratio, mask_snippets",
        ),
        ("[[rules]]\nmtch = \"*\"", "rules[1].mtch: unknown key (in 0.toml, line 2); did you mean rules[1].match?"),
        ("[[rule]]\nmatch = \"*\"", "rule: unknown key (in 0.toml, line 1); did you mean rules?"),
    ] {
        assert_eq!(refusal(&[file], &[]), told, "{file}");
    }
}

#[test]
fn a_variable_that_names_no_key() {
    for (name, told) in [
        (
            "TIDEGATE__SINK__S3__BUCKETT",
            "sink.s3.buckett: unknown key (from TIDEGATE__SINK__S3__BUCKETT); \
             did you mean sink.s3.bucket, which is TIDEGATE__SINK__S3__BUCKET?",
        ),
        (
            "TIDEGATE__sink__kind",
            "sink.kind: unknown key (from TIDEGATE__sink__kind); did you mean sink.kind, which is TIDEGATE__SINK__KIND?",
        ),
        (
            "TIDEGATE__SINK_KIND",
            "sink_kind: unknown key (from TIDEGATE__SINK_KIND); did you mean sink.kind, which is TIDEGATE__SINK__KIND?",
        ),
        (
            "TIDEGATE__LISTEN__PORT",
            "listen.port: unknown key (from TIDEGATE__LISTEN__PORT); the keys of listen are tcp, admin",
        ),
        ("TIDEGATE__SINK", "sink: is a section, not a key: set one of kind, fs, s3 (from TIDEGATE__SINK)"),
        (
            "TIDEGATE__",
            "TIDEGATE__: unknown key (from TIDEGATE__); the sections are listen, sink, limits, plain, framed, log, ledger, defaults and [[rules]]",
        ),
        ("TIDEGATE__RULES", "rules: rules can only stand in files (from TIDEGATE__RULES)"),
        ("TIDEGATE__RULES__0__MATCH", "rules.0.match: rules can only stand in files (from TIDEGATE__RULES__0__MATCH)"),
    ] {
        assert_eq!(refusal(&[], &[(name, "x")]), told, "{name}");
    }
}

#[test]
fn a_variable_that_is_nearly_that_of_a_key() {
    let what = "sets nothing, for variables begin with TIDEGATE__, in capitals, and have two underscores for each dot";
    for (name, told) in [
        ("TIDEGATE_SINK_KIND", "did you mean sink.kind, which is TIDEGATE__SINK__KIND?"),
        ("TIDEGATE_SINK__KIND", "did you mean sink.kind, which is TIDEGATE__SINK__KIND?"),
        ("tidegate__sink__kind", "did you mean sink.kind, which is TIDEGATE__SINK__KIND?"),
        ("Tidegate_Sink_Kind", "did you mean sink.kind, which is TIDEGATE__SINK__KIND?"),
        ("TIDEGATE_LIMITS_IDLE_TIMEOUT", "did you mean limits.idle_timeout, which is TIDEGATE__LIMITS__IDLE_TIMEOUT?"),
        ("TIDEGATE_LISTEN", "listen is a section, not a key: set one of listen.tcp, listen.admin"),
    ] {
        assert_eq!(refusal(&[], &[(name, "x")]), format!("{name}: {what}; {told}"));
    }
    assert_eq!(refusal(&[], &[("tidegate__x", "x")]), format!("tidegate__x: {what}"));
    assert_eq!(refusal(&[], &[("TIDEGATE_RULES", "x")]), "TIDEGATE_RULES: sets nothing: rules can only stand in files");
    // What follows from the value that was meant is not told.
    assert_eq!(refusals(&["sink.kind = \"s3\""], &[("TIDEGATE_SINK_S3_BUCKET", "b")]).len(), 1);
}

#[test]
fn a_section_for_a_value_and_a_value_for_a_section() {
    assert_eq!(refusal(&["sink = \"s3\""], &[]), "sink: is a section, with the keys kind, fs, s3 (in 0.toml, line 1)");
    assert_eq!(
        refusal(&["[rules]\nmatch = \"*\""], &[]),
        "rules: is a list: each rule begins with [[rules]] (in 0.toml, line 1)"
    );
    assert_eq!(refusal(&["rules = [1]"], &[]), "rules[1]: 1 is not a table (in 0.toml, line 1)");
    assert_eq!(
        refusal(&["[[sink]]\nkind = \"s3\""], &[]),
        "sink: is a section, with the keys kind, fs, s3 (in 0.toml, line 1)"
    );
}

/// Key, bad value as TOML, what is said of it.
#[rustfmt::skip]
const BAD_VALUES: &[(&str, &str, &str)] = &[
    ("listen.tcp", "\"localhost\"", "\"localhost\" is not an IP address and port such as 127.0.0.1:5010 or [::1]:5010"),
    ("listen.admin", "5011", "5011 is not an IP address and port such as 127.0.0.1:5010 or [::1]:5010"),
    ("sink.kind", "\"gcs\"", "\"gcs\" is not one of fs, s3, memory"),
    ("sink.kind", "\"S3\"", "\"S3\" is not one of fs, s3, memory"),
    ("sink.fs.root", "\"\"", "\"\" says nothing: it must be set"),
    ("sink.fs.root", "\"a\\u0000b\"", "\"a\\0b\" holds a control character"),
    ("sink.fs.min_free", "-1", "-1 is not a size in bytes such as 1048576, \"64MiB\" or \"10GB\""),
    ("sink.fs.min_free", "\"64 parsecs\"", "\"64 parsecs\" has no unit of bytes: use B, kB, MB, GB, TB, PB, EB (powers of 1000) or KiB, MiB, GiB, TiB, PiB, EiB (powers of 1024)"),
    ("sink.fs.min_free", "\"much\"", "\"much\" is not a size in bytes such as 1048576, \"64MiB\" or \"10GB\""),
    ("sink.fs.min_free", "1.5", "1.5 is not a size in bytes such as 1048576, \"64MiB\" or \"10GB\""),
    ("sink.fs.min_free", "\"\"", "\"\" is not a size in bytes such as 1048576, \"64MiB\" or \"10GB\""),
    ("sink.fs.min_free", "\"64Gb\"", "\"64Gb\" has no unit of bytes: use B, kB, MB, GB, TB, PB, EB (powers of 1000) or KiB, MiB, GiB, TiB, PiB, EiB (powers of 1024)"),
    ("sink.fs.min_free", "\"64 G\"", "\"64 G\" has no unit of bytes: use B, kB, MB, GB, TB, PB, EB (powers of 1000) or KiB, MiB, GiB, TiB, PiB, EiB (powers of 1024)"),
    ("sink.fs.min_free", "\"64gib\"", "\"64gib\" has no unit of bytes: use B, kB, MB, GB, TB, PB, EB (powers of 1000) or KiB, MiB, GiB, TiB, PiB, EiB (powers of 1024)"),
    ("sink.fs.durability", "\"memory\"", "\"memory\" is not one of disk, cache"),
    ("limits.max_file_bytes", "\"9999999EB\"", "\"9999999EB\" is more than the largest size, 9223372036854775807 bytes"),
    ("limits.max_file_bytes", "99999999999999999999", "\"99999999999999999999\" is not a size in bytes such as 1048576, \"64MiB\" or \"10GB\""),
    ("limits.max_file_bytes", "0", "must be at least one byte"),
    (
        "limits.max_memory_bytes",
        "\"63MiB\"",
        "\"63MiB\" is less than 64MiB: set at least that, or 0 for a quarter of the memory",
    ),
    ("limits.max_record_bytes", "\"0B\"", "must be at least one byte"),
    ("sink.s3.endpoint", "\"localhost:9000\"", "\"localhost:9000\" is not a URL such as https://s3.example.com or http://localhost:9000"),
    ("sink.s3.endpoint", "\"ftp://x\"", "\"ftp://x\" is not a URL such as https://s3.example.com or http://localhost:9000"),
    ("sink.s3.endpoint", "\"https://x/?a=b\"", "\"https://x/?a=b\" is not a URL such as https://s3.example.com or http://localhost:9000"),
    ("sink.s3.endpoint", "\"https://me:pw@x\"", "the URL must not hold credentials: set access_key_id and secret_access_key"),
    ("sink.s3.bucket", "\"a/b\"", "\"a/b\" is not a bucket's name: letters, digits, dots and hyphens"),
    ("sink.s3.bucket", "2026", "2026 is not text in quotes"),
    ("sink.s3.prefix", "\"a//b\"", "cannot stand before a key: name \"a//b\" has an empty component"),
    ("sink.s3.prefix", "\"../b\"", "cannot stand before a key: name \"../b\" has a component that begins with a dot: \"..\""),
    ("sink.s3.region", "\"\"", "\"\" says nothing: it must be set"),
    ("sink.s3.access_key_id", "123456", "the value is not text in quotes"),
    ("sink.s3.secret_access_key", "123456", "the value is not text in quotes"),
    ("sink.s3.secret_access_key", "\"hush\\n\"", "the value holds a control character"),
    ("sink.s3.secret_access_key", "\" hush\"", "the value begins or ends with a space"),
    ("sink.s3.allow_http", "\"yes\"", "\"yes\" is not true or false"),
    ("sink.s3.allow_http", "1", "1 is not true or false"),
    ("sink.s3.part_bytes", "\"4MiB\"", "\"4MiB\" is not from 5MiB to 5GiB, as S3 asks of a part"),
    ("sink.s3.part_bytes", "\"6GiB\"", "\"6GiB\" is not from 5MiB to 5GiB, as S3 asks of a part"),
    ("sink.s3.integrity", "\"md5\"", "\"md5\" is not one of checksum, signature"),
    ("sink.s3.parts_in_flight", "0", "0 is not a whole number from 1 to 1000000"),
    ("sink.s3.request_timeout", "\"0s\"", "\"0s\" must be more than zero"),
    ("limits.idle_timeout", "\"30 parsecs\"", "\"30 parsecs\" is not a duration such as 30s or 5m"),
    ("limits.idle_timeout", "\"30\"", "\"30\" is not a duration such as 30s or 5m"),
    ("limits.idle_timeout", "30", "30 is not a duration in quotes such as \"30s\" or \"5m\""),
    ("limits.idle_timeout", "[\"30s\"]", "a list is not a duration in quotes such as \"30s\" or \"5m\""),
    ("limits.upload_timeout", "\"2years\"", "\"2years\" is more than 365days"),
    ("limits.max_connections", "1000001", "1000001 is not a whole number from 1 to 1000000"),
    ("limits.max_connections", "\"many\"", "\"many\" is not a whole number from 1 to 1000000"),
    ("limits.max_connections", "-4", "-4 is not a whole number from 1 to 1000000"),
    ("limits.max_json_depth", "1.5", "1.5 is not a whole number from 1 to 1000000"),
    ("plain.on_conflict", "\"rename\"", "\"rename\" is not one of reject, version, overwrite"),
    ("framed.on_conflict", "true", "true is not one of reject, version, overwrite"),
    ("plain.header", "\"pause\"", "\"pause\" is not one of auto, line, first-packet"),
    ("plain.sizes", "false", "false is not one of announced, never"),
    ("plain.require_size", "\"\"", "\"\" is not true or false"),
    ("log.level", "\"inof\"", "\"inof\" is not one of off, error, warn, info, debug, trace, nor a list such as \"warn,tidegate=debug\""),
    ("log.level", "\"tidegate=loud\"", "\"tidegate=loud\" is not one of off, error, warn, info, debug, trace, nor a list such as \"warn,tidegate=debug\""),
    ("log.level", "\" λ=\"", "\" λ=\" is not one of off, error, warn, info, debug, trace, nor a list such as \"warn,tidegate=debug\""),
    ("log.level", "\"\"", "\"\" says nothing: it must be set"),
    ("defaults.unmatched", "\"drop\"", "\"drop\" is not one of accept, reject"),
    ("log.format", "\"xml\"", "\"xml\" is not one of text, json"),
];

#[test]
fn a_bad_value_with_what_is_allowed() {
    for (key, value, what) in BAD_VALUES {
        assert_eq!(refusal(&[&format!("\n{key} = {value}")], &[]), format!("{key}: {what} (in 0.toml, line 2)"));
    }
}

#[test]
fn a_bad_value_from_a_variable() {
    assert_eq!(
        refusal(&[], &[("TIDEGATE__LIMITS__IDLE_TIMEOUT", "30 parsecs")]),
        "limits.idle_timeout: \"30 parsecs\" is not a duration such as 30s or 5m (from TIDEGATE__LIMITS__IDLE_TIMEOUT)"
    );
}

#[test]
fn a_bad_rule() {
    for (rule, told) in [
        ("format = \"csv\"", "rules[1].match: must be set, to the names that the rule is for (in 0.toml, line 1)"),
        ("match = \"\"", "rules[1].match: \"\" says nothing: it must be set (in 0.toml, line 2)"),
        (
            "match = \"a[\"",
            "rules[1].match: \"a[\" is not a glob: unclosed character class; missing ']' (in 0.toml, line 2)",
        ),
        (
            "match = \"*\"\nformat = \"xml\"",
            "rules[1].format: \"xml\" is not one of json, ndjson, csv, tsv, none (in 0.toml, line 3)",
        ),
        ("match = \"*\"\nmax_bytes = 0", "rules[1].max_bytes: must be at least one byte (in 0.toml, line 3)"),
        (
            "match = \"*\"\nmax_bytes = \"65GiB\"",
            "rules[1].max_bytes: 65GiB is above limits.max_file_bytes, 64GiB, which holds for every file (in 0.toml, line 3)",
        ),
        (
            "match = \"*\"\non_conflict = \"skip\"",
            "rules[1].on_conflict: \"skip\" is not one of reject, version, overwrite (in 0.toml, line 3)",
        ),
        (
            "match = \"*\"\nformat = \"csv\"\nprofile = \"i-json\"",
            "rules[1].profile: is for json and ndjson, and the format is csv: leave it out (in 0.toml, line 4)",
        ),
        (
            "match = \"*\"\nformat = \"none\"\nschema_for = \"items\"",
            "rules[1].schema_for: is for json and ndjson, and the format is none: leave it out (in 0.toml, line 4)",
        ),
        (
            "match = \"*\"\nblank_lines = true\nformat = \"json\"",
            "rules[1].blank_lines: is for ndjson, and the format is json: leave it out (in 0.toml, line 3)",
        ),
    ] {
        assert_eq!(refusal(&[&format!("[[rules]]\n{rule}")], &[]), told);
    }
}

#[test]
fn keys_that_do_not_go_together() {
    let s3 = "sink.kind = \"s3\"\nsink.s3.bucket = \"b\"\n";
    for (file, told) in [
        ("sink.kind = \"s3\"", "sink.s3.bucket: must be set where sink.kind is s3 (sink.kind is set in 0.toml, line 1)"),
        (
            &format!("{s3}sink.s3.endpoint = \"http://x:9000\""),
            "sink.s3.endpoint: \"http://x:9000\" is not encrypted: use https://, or set sink.s3.allow_http to true (in 0.toml, line 3)",
        ),
        (
            &format!("{s3}sink.s3.access_key_id = \"a\""),
            "sink.s3.secret_access_key: must be set where sink.s3.access_key_id is (sink.s3.access_key_id is set in 0.toml, line 3)",
        ),
        (
            &format!("{s3}sink.s3.secret_access_key = \"a\""),
            "sink.s3.access_key_id: must be set where sink.s3.secret_access_key is (sink.s3.secret_access_key is set in 0.toml, line 3)",
        ),
        (
            &format!("{s3}limits.max_file_bytes = \"100GiB\""),
            "limits.max_file_bytes: 100GiB do not fit into 10000 parts of 8MiB: \
             raise sink.s3.part_bytes to 11MiB or lower this to 80000MiB (in 0.toml, line 3)",
        ),
        (
            "listen.admin = \"127.0.0.1:5010\"",
            "listen.admin: 127.0.0.1:5010 is taken by listen.tcp, 127.0.0.1:5010 (in 0.toml, line 1)",
        ),
        (
            "listen.tcp = \"0.0.0.0:5011\"",
            "listen.admin: 127.0.0.1:5011 is taken by listen.tcp, 0.0.0.0:5011 (listen.tcp is set in 0.toml, line 1)",
        ),
        (
            "plain.require_size = true\nplain.sizes = \"never\"",
            "plain.require_size: asks for sizes, and plain.sizes is \"never\": set one of them (in 0.toml, line 1)",
        ),
        (
            "sink.fs.root = \"./store\"\nledger.folder = \"store/log\"",
            "ledger.folder: \"store/log\" lies below sink.fs.root, among the files that are stored: \
             choose another folder, or \"\" (in 0.toml, line 2)",
        ),
        (
            "limits.max_connections = 7\nlimits.max_connections_per_address = 8",
            "limits.max_connections_per_address: 8 is above limits.max_connections, 7, which holds for all addresses \
             together (in 0.toml, line 2)",
        ),
        (
            "limits.resume_ttl = \"1h\"",
            "limits.resume_ttl: 1h is shorter than limits.upload_timeout, 1day: an upload that still runs at another server \
             could be swept up (in 0.toml, line 1)",
        ),
    ] {
        assert_eq!(refusal(&[file], &[]), told);
    }
    let lowered = load(&["limits.max_connections = 7"], &[]).unwrap().limits;
    assert_eq!(lowered.max_connections_per_address, 7, "the default gives way");
    load(&["[[rules]]\nmatch = \"*.csv\"\nprofile = \"i-json\""], &[]).unwrap();
    load(&["ledger.folder = \"data-log\""], &[]).unwrap();
    load(&["ledger.folder = \"data/log\"\nsink.kind = \"memory\""], &[]).unwrap();
    load(&["listen.tcp = \"127.0.0.1:0\"\nlisten.admin = \"127.0.0.1:0\""], &[]).unwrap();
    load(&["listen.tcp = \"0.0.0.0:80\"\nlisten.admin = \"[::1]:80\""], &[]).unwrap();
    load(&[&format!("{s3}limits.max_file_bytes = \"100GiB\"\nsink.s3.part_bytes = \"11MiB\"")], &[]).unwrap();
    load(&["limits.max_file_bytes = \"100GiB\""], &[]).unwrap();
}

#[test]
fn everything_wrong_at_once_and_nothing_twice() {
    let file = "sink.kind = \"s3\"\nsink.s3.buckett = \"b\"\n[limits]\nidle_timeout = \"x\"\nmax_connections = 0\n";
    assert_eq!(
        refusals(&[file], &[("TIDEGATE__LOG__LEVEL", "x"), ("TIDEGATE__LOG__LEVLE", "x")]),
        [
            "sink.s3.buckett: unknown key (in 0.toml, line 2); did you mean sink.s3.bucket?",
            "log.levle: unknown key (from TIDEGATE__LOG__LEVLE); did you mean log.level, which is TIDEGATE__LOG__LEVEL?",
            "limits.idle_timeout: \"x\" is not a duration such as 30s or 5m (in 0.toml, line 4)",
            "limits.max_connections: 0 is not a whole number from 1 to 1000000 (in 0.toml, line 5)",
            "log.level: \"x\" is not one of off, error, warn, info, debug, trace, nor a list such as \"warn,tidegate=debug\" \
             (from TIDEGATE__LOG__LEVEL)",
        ]
    );
}

#[test]
fn a_file_that_cannot_be_read_or_parsed() {
    let error = Config::load_with(&[PathBuf::from("/nowhere/x.toml")], []).unwrap_err();
    assert_eq!(error.to_string(), "/nowhere/x.toml: cannot be read: No such file or directory (os error 2)");

    let told = refusal(&["[limits]\n\nidle_timeout = 30s"], &[]);
    assert!(told.starts_with("0.toml, line 3, column 16: "), "{told}");
    let told = refusal(&["[log]\nlevel = \"info\"\nlevel = \"warn\""], &[]);
    assert!(told.starts_with("0.toml, line 3, column 1: ") && told.contains("duplicate"), "{told}");

    let both = refusals(&["sink.kind = \"s3\"", "nonsense"], &[("TIDEGATE__LOG__FORMAT", "x")]);
    assert_eq!(both.len(), 2, "a bucket may stand in the file that cannot be read: {both:#?}");
}

#[test]
fn no_refusal_tells_a_secret() {
    let file = "[sink.s3]\nsecret_access_key = \"hush-hush";
    assert!(!refusals(&[file], &[]).concat().contains("hush"));
    let file = "[sink.s3]\nsecret_acces_key = \"hush-hush\"";
    assert!(!refusals(&[file], &[]).concat().contains("hush"));
    assert!(!refusals(&["sink.s3.secret_access_key = [\"hush\"]"], &[]).concat().contains("hush"));
    assert!(!refusals(&[], &[("TIDEGATE__SINK__S3__SECRET_KEY", "hush")]).concat().contains("hush"));
}
