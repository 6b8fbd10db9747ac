//! Rules, schemas and dialects of the built server, and how SIGHUP puts others in force.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

mod common;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use common::serve::{Serve, until};

const SCHEMA: &str = r#"{"fields": [{"name": "site"}, {"name": "value", "type": "integer"}]}"#;

/// A server with rules in a file, beside its schemas.
struct Bench {
    folder: tempfile::TempDir,
    serve: Serve,
}

impl Bench {
    fn start(rules: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("readings.json"), SCHEMA).unwrap();
        fs::write(folder.path().join("semicolon.json"), r#"{"delimiter": ";"}"#).unwrap();
        fs::write(folder.path().join("rules.toml"), rules).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("serve").args(["--config", "rules.toml"]).current_dir(folder.path());
        let serve = Serve::run(&mut command, &folder.path().join("data"));
        Self { folder, serve }
    }

    /// Puts other rules into the file, tells the server, and waits until it has read them.
    fn reload(&self, rules: &str, outcome: &str) {
        fs::write(self.folder.path().join("rules.toml"), rules).unwrap();
        let count = || metric(&self.serve, &format!("tidegate_reloads_total{{outcome=\"{outcome}\"}}"));
        let before = count();
        let told = Command::new("kill").args(["-HUP", &self.serve.pid().to_string()]).status().unwrap();
        assert!(told.success());
        until("the reload", || count() == before + 1);
    }

    #[track_caller]
    fn says(&self, sent: &str, answer: &str) {
        let said = self.serve.exchange(sent.as_bytes());
        assert!(said.starts_with(answer), "{sent:?}: {said}");
    }
}

fn metric(serve: &Serve, name: &str) -> u64 {
    let page = serve.get("/metrics");
    page.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap()
}

#[test]
fn rules_bind_names_to_schemas_and_dialects() {
    let bench = Bench::start(
        "[[rules]]\nmatch = \"*.dat\"\nformat = \"csv\"\nschema = \"readings.json\"\ndialect = \"semicolon.json\"\nmax_errors = 10\n",
    );
    bench.says("a.dat\nsite;value\nnorth;1\n", "OK a.dat ");
    bench.says("b.dat\nsite;value\nnorth;x\n;2;3\n", "ERR invalid \"b.dat\" is not valid csv: type-error: ");
    bench.says("c.dat\nsite,value\nnorth,1\n", "ERR invalid ");
    bench.says("c.csv\nsite,anything\nnorth,x\n", "OK c.csv ");
}

#[test]
fn a_reload_puts_other_rules_in_force_and_drops_no_connection() {
    let bench = Bench::start("[[rules]]\nmatch = \"*.csv\"\nformat = \"csv\"\n");
    let mut under_way = TcpStream::connect(&bench.serve.address).unwrap();
    under_way.write_all(b"under-way.csv\nsite,value\n").unwrap();
    // Enough for the disk: less would be held back.
    under_way.write_all("south,y\n".repeat(10_000).as_bytes()).unwrap();
    until("the staged file", || !bench.serve.staged().is_empty());
    bench.says("before.csv\nsite,value\nnorth,x\n", "OK before.csv ");

    bench.reload("[[rules]]\nmatch = \"*.csv\"\nformat = \"csv\"\nschema = \"readings.json\"\n", "ok");
    bench.says("after.csv\nsite,value\nnorth,x\n", "ERR invalid ");
    // What was begun under the old rules ends under them.
    under_way.write_all(b"north,x\n").unwrap();
    under_way.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut under_way, &mut answer).unwrap();
    assert!(answer.starts_with("OK under-way.csv "), "{answer}");

    // The schema itself is read anew as well.
    fs::write(bench.folder.path().join("readings.json"), SCHEMA.replace("integer", "string")).unwrap();
    bench.reload("[[rules]]\nmatch = \"*.csv\"\nformat = \"csv\"\nschema = \"readings.json\"\n", "ok");
    bench.says("again.csv\nsite,value\nnorth,x\n", "OK again.csv ");
}

#[test]
fn a_bad_reload_keeps_the_old_rules() {
    let rules = "[[rules]]\nmatch = \"*.csv\"\nformat = \"csv\"\nschema = \"readings.json\"\n";
    let bench = Bench::start(rules);
    for bad in
        ["[[rules]]\nmatch = \"*.csv\"\nformat = \"xml\"\n", "[[rules]]\nmatch = \"*\"\nschema = \"readings.json\"\n", "["]
    {
        bench.reload(bad, "failed");
        bench.says("x.csv\nsite,value\nnorth,x\n", "ERR invalid ");
    }
    fs::write(bench.folder.path().join("readings.json"), r#"{"fields": [{"name": "a", "type": "colour"}]}"#).unwrap();
    bench.reload(rules, "failed");
    bench.says("x.csv\nsite,value\nnorth,x\n", "ERR invalid ");
    bench.says("y.csv\nsite,value\nnorth,1\n", "OK y.csv ");
}

#[test]
fn what_a_schema_asks_for_and_nobody_does_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let rules = |schema: &str, format: &str| {
        fs::write(folder.path().join("s.json"), schema).unwrap();
        let rule = format!("[[rules]]\nmatch = \"*\"\nformat = \"{format}\"\nschema = \"s.json\"\n");
        fs::write(folder.path().join("rules.toml"), rule).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let output = command.args(["serve", "--config", "rules.toml"]).current_dir(folder.path()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    for (schema, format, words) in [
        (r#"{"fields": [{"name": "a", "type": "colour"}]}"#, "csv", "colour"),
        (r#"{"fields": [{"name": "a", "constraints": {"pattern": "("}}]}"#, "csv", "/fields/0/constraints/pattern"),
        (r#"{"$ref": "https://example.org/x.json"}"#, "json", "example.org"),
        ("{", "csv", "no JSON"),
    ] {
        let told = rules(schema, format);
        assert!(told.contains("rules[1]") && told.contains("s.json") && told.contains(words), "{told}");
    }
}

#[test]
fn a_rule_that_cannot_be_made_is_named_with_its_file_and_line_and_so_are_all() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("a.json", "{\"fields\": [\n  {\"name\": \"a\",}\n]}");
    write("b.json", r#"{"type": "strin"}"#);
    write("c.json", r#"{"delimiter": ";;"}"#);
    let rule = |keys: &str| format!("[[rules]]\nmatch = \"*\"\n{keys}\n");
    let rules = [
        "format = \"csv\"\nschema = \"none.json\"",
        "format = \"csv\"\nschema = \"a.json\"",
        "format = \"json\"\nschema = \"b.json\"",
        "format = \"csv\"\ndialect = \"c.json\"",
        "schema = \"a.json\"",
    ];
    write("rules.toml", &(rules.map(rule).concat() + "[[rules]]\nmatch = \"/a\"\n"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let output = command.args(["serve", "--config", "rules.toml"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = [
        "tidegate: rules[1].schema: none.json: cannot be read: No such file or directory (os error 2) (in rules.toml, line 4)",
        "rules[2].schema: a.json: line 2, column 16: this is no JSON: trailing comma (in rules.toml, line 8)",
        "rules[3].schema: b.json: /type: \"strin\" is not valid under any of the schemas listed in the 'anyOf' keyword \
         (in rules.toml, line 12)",
        "rules[4].dialect: c.json: delimiter is one ASCII character that ends no line, not \";;\" (in rules.toml, line 16)",
        "rules[5].schema: a.json: a schema needs to know what it is for: set format to csv, tsv, json or ndjson \
         (in rules.toml, line 19)",
        "rules[6].match: pattern \"/a\" matches no name: names are relative and not empty (in rules.toml, line 21)",
    ];
    assert_eq!(told.lines().collect::<Vec<_>>(), expected);
}

const METERS: &str = "[[rules]]\nmatch = \"meters/**/*.csv\"\nformat = \"csv\"\nschema = \"readings.json\"\n";

/// What `gzip` makes of a text.
fn gzipped(text: &str) -> Vec<u8> {
    let mut child = Command::new("gzip").arg("-c").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap().stdout
}

#[test]
fn a_file_that_is_packed_or_shouts_is_held_to_its_rule() {
    let bench = Bench::start(METERS);
    let (good, bad) = ("site,value\nn4,17\n", "site,value\nn4,warm\n");
    for name in ["meters/t.csv", "meters/T.CSV", "meters/deep/er/t.Csv"] {
        bench.says(&format!("{name} {}\n{bad}", bad.len()), "ERR invalid ");
        bench.says(&format!("{name} {}\n{good}", good.len()), &format!("OK {name} "));
    }
    for name in ["meters/t.csv.gz", "meters/T.CSV.GZ"] {
        for (text, answer) in [(bad, "ERR invalid ".to_owned()), (good, format!("OK {name} "))] {
            let packed = gzipped(text);
            let sent = [format!("{name} {}\n", packed.len()).as_bytes(), &packed].concat();
            let said = bench.serve.exchange(&sent);
            assert!(said.starts_with(&answer), "{name}: {said}");
        }
        // Not packed, whatever its name says.
        bench.says(&format!("{name} {}\n{good}", good.len()), "ERR invalid ");
    }
}

#[test]
fn a_rule_can_want_its_extension_exactly() {
    let bench = Bench::start(&METERS.replace("format", "match_case = true\nformat"));
    bench.says("meters/t.csv 8\nx,y\n1,2\n", "ERR invalid ");
    bench.says("meters/T.CSV 8\nx,y\n1,2\n", "OK meters/T.CSV ");
}

#[test]
fn a_name_that_no_rule_matches_can_be_refused() {
    let bench = Bench::start(&format!("[defaults]\nunmatched = \"reject\"\n{METERS}"));
    bench.says("meters/t.csv 17\nsite,value\nn4,17\n", "OK meters/t.csv ");
    for name in ["meters/t.json", "t.csv", "meters/t.csv.bak", "Meters/t.csv"] {
        bench.says(&format!("{name} 2\n{{}}"), &format!("ERR bad_name no rule matches \"{name}\""));
        let put = format!("{{\"op\":\"put\",\"name\":\"{name}\",\"size\":2}}\n{{}}");
        let said = bench.serve.exchange(put.as_bytes());
        assert!(said.contains("\"code\":\"bad_name\"") && said.contains("no rule matches"), "{said}");
    }
    assert_eq!(bench.serve.visible().len(), 1);
}

impl Bench {
    fn check(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(["check", "--config", "rules.toml"]).args(arguments).current_dir(self.folder.path());
        let output = command.output().unwrap();
        let both = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(both).unwrap())
    }
}

#[test]
fn check_tells_what_holds_for_a_name() {
    let bench = Bench::start(&format!("{METERS}max_bytes = \"10MiB\"\non_invalid = \"quarantine\"\n"));
    let (code, told) = bench.check(&["--name", "meters/a/T.CSV.gz"]);
    assert_eq!(code, Some(0), "{told}");
    let words: Vec<String> = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(
        words,
        [
            "name \"meters/a/T.CSV.gz\"",
            "rule rules[1], \"meters/**/*.csv\"",
            "format csv",
            "compression gzip",
            "schema readings.json",
            "dialect none",
            "max_bytes 10MiB",
            "on_conflict version (plain), reject (framed)",
            "on_invalid quarantine",
        ]
    );
    let (code, told) = bench.check(&["--name", "other/a.bin"]);
    assert!(code == Some(0) && told.contains("none matches") && told.contains("none: not parsed"), "{told}");
    let (code, told) = bench.check(&["--name", "../a"]);
    assert!(code == Some(1) && told.contains("\"..\""), "{told}");
    let bench = Bench::start(&format!("[defaults]\nunmatched = \"reject\"\n{METERS}"));
    let (code, told) = bench.check(&["--name", "other/a.bin"]);
    assert!(code == Some(1) && told.contains("no rule matches \"other/a.bin\""), "{told}");
}

#[test]
fn check_warns_of_names_that_slip_through() {
    let exact = METERS.replace("format", "match_case = true\nformat");
    for (rules, warned) in [
        (METERS.to_owned(), vec!["meters/x/x.csv.xz"]),
        (exact.clone(), vec!["meters/x/x.CSV", "meters/x/x.csv.xz"]),
        (format!("{exact}[[rules]]\nmatch = \"*\"\n"), vec![]),
        (format!("[defaults]\nunmatched = \"reject\"\n{exact}"), vec![]),
    ] {
        let bench = Bench::start(&rules);
        let (_, told) = bench.check(&[]);
        let warnings: Vec<_> = told.lines().filter(|line| line.starts_with("warning ")).collect();
        assert_eq!(warnings.len(), warned.len(), "{told}");
        for (line, name) in warnings.iter().zip(warned) {
            assert!(line.contains("rules[1]") && line.contains(&format!("not for {name:?}")), "{line}");
        }
    }
}

#[test]
fn check_warns_once_of_other_packing_and_of_rules_that_never_hold() {
    let rule = |pattern: &str| format!("[[rules]]\nmatch = \"{pattern}\"\n");
    let bench = Bench::start(&["in/**/*.csv", "*.json", "*.tsv", "in/**/*.csv", "day/*.tsv"].map(rule).concat());
    let (code, told) = bench.check(&[]);
    let warnings: Vec<_> = told.lines().filter(|line| line.starts_with("warning ")).collect();
    let expected = [
        "warning  rules[4], \"in/**/*.csv\", never holds: rules[1], \"in/**/*.csv\", is above it and matches every such name. \
         Move rules[4] up, or remove it",
        "warning  rules[5], \"day/*.tsv\", never holds: rules[3], \"*.tsv\", is above it and matches every such name. \
         Move rules[5] up, or remove it",
        "warning  rules[1], rules[2], rules[3]: for \"in/x/x.csv\", say, but not for \"in/x/x.csv.xz\": the file is packed in a \
         way that is not looked through, as with xz, bzip2 or zip. No rule holds for such a name: add one, or set \
         defaults.unmatched = \"reject\"",
    ];
    assert_eq!((code, warnings), (Some(0), expected.to_vec()));
}
