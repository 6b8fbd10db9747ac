//! What others have chosen, names and what a server says, does nothing to a terminal.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::fake::{Fake, Talk};
use crate::{Told, folder_with, push};

/// It clears a screen, forges a line, sets a title, and turns the direction of writing.
const EVIL: &str = "a\u{1b}[2J\u{1b}]0;x\u{7}\ncommitted  all\r\u{9b}31m\u{202e}\u{200b}\u{feff}z";

const SHOWN: &str = "a\\u{1b}[2J\\u{1b}]0;x\\u{7}\\ncommitted  all\\r\\u{9b}31m\\u{202e}\\u{200b}\\u{feff}z";

/// Nothing of it is left that a terminal could act on, and no line was forged.
#[track_caller]
fn harmless(told: &Told) {
    for text in [&told.out, &told.err] {
        let acts = |char: char| char != '\n' && tidegate::escape::is_escaped(char);
        assert!(!text.contains(acts), "{text:?}");
        assert!(!text.contains("\ncommitted  all"), "{text:?}");
    }
}

#[test]
fn names_and_paths_are_shown_escaped() {
    let folder = folder_with(&[(&format!("data/{EVIL}"), b"1"), (EVIL, b"1")]);
    std::os::unix::fs::symlink(EVIL, folder.path().join("data/link")).unwrap();
    for arguments in [&["data"][..], &[EVIL], &["missing\u{1b}[2J"], &["data", "--name", EVIL]] {
        for form in ["--jobs=1", "--json"] {
            let told = push(folder.path(), "127.0.0.1:9", &[&["--retries", "0", form], arguments].concat());
            harmless(&told);
            assert_ne!(told.code, Some(0));
        }
    }
    let told = push(folder.path(), "127.0.0.1:9", &["data"]);
    told.warned(&format!("rejected   data/{SHOWN}: "));
    let told = push(folder.path(), "127.0.0.1:9", &["--json", "data"]);
    assert_eq!(told.json()[0]["path"], format!("data/{EVIL}"), "JSON means the same");
}

#[test]
fn a_command_line_is_refused_with_its_words_escaped() {
    let folder = folder_with(&[("a", b"1")]);
    for arguments in [&["--to", EVIL, "a"][..], &[&format!("--{EVIL}")], &["--jobs", EVIL, "a"]] {
        let told: Told = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .arg("push")
            .args(arguments)
            .current_dir(folder.path())
            .output()
            .unwrap()
            .into();
        told.ended(2);
        harmless(&told);
    }
}

/// An answer of the server to an upload, with this text wherever it may put one.
fn answers(id: &str) -> [Value; 4] {
    let report = json!({"format": "csv", "valid": false, "complete": false, "records": 1, "bytes": 1, "errors_total": 1,
        "counts": {EVIL: 1}, "errors": [{"code": EVIL, "severity": "error", "message": EVIL, "record": 1, "line": 1,
            "column": 1, "offset": 1}]});
    [
        json!({"event": "rejected", "id": id, "code": EVIL, "message": EVIL}),
        json!({"event": "rejected", "id": id, "code": "invalid", "message": EVIL, "report": report}),
        json!({"event": "failed", "id": id, "code": EVIL, "message": EVIL, "retry": false}),
        json!({"event": "error", "code": EVIL, "message": EVIL}),
    ]
}

#[test]
fn what_a_server_says_is_shown_escaped() {
    let folder = folder_with(&[("a", b"1")]);
    for number in 0..answers("").len() {
        for form in ["--jobs=1", "--json"] {
            let server = Fake::play(move |listener| {
                let mut talk = Talk::accept(listener);
                let id = talk.put("a");
                talk.body();
                talk.say(&answers(&id)[number]);
            });
            let told = push(folder.path(), &server.address, &["--retries", "0", form, "a"]);
            assert_ne!(told.code, Some(0));
            harmless(&told);
            if form == "--json" {
                assert!(told.json()[0]["message"].as_str().unwrap().contains("committed  all"), "{}", told.out);
            } else {
                told.warned("a\\u{1b}[2J\\u{1b}]0;x\\u{7}\\ncommitted  all");
            }
            server.done();
        }
    }
}

#[test]
fn what_a_stranger_says_is_shown_escaped() {
    let folder = folder_with(&[("a", b"1")]);
    for greeting in [
        EVIL.to_owned(),
        format!("{{\"event\":\"error\",\"code\":{0},\"message\":{0}}}\n", json!(EVIL)),
        format!("{{{EVIL}\n"),
    ] {
        let server = Fake::play(move |listener| Talk::accept_silently(listener).say_bytes(greeting.as_bytes()));
        let told = push(folder.path(), &server.address, &["--retries", "0", "a"]);
        told.ended(1);
        harmless(&told);
        server.done();
    }
}

#[test]
fn other_commands_show_names_and_contents_escaped() {
    let table = format!("\"{EVIL}\",b\n1,2,3\n");
    let folder = folder_with(&[("ok.json", format!("{{{}:1,{0}:1}}", json!(EVIL)).as_bytes())]);
    let name = format!("{EVIL}.csv");
    fs::write(folder.path().join(&name), table).unwrap();
    fs::write(folder.path().join("typed.csv"), format!("\"{EVIL}\",b\n{EVIL:?},2\n")).unwrap();
    let schema = json!({"fields": [{"name": EVIL, "type": "integer"}, {"name": "b", "type": "integer"}]});
    fs::write(folder.path().join("schema.json"), schema.to_string()).unwrap();
    for arguments in [
        &["validate", &name][..],
        &["validate", "--json", &name],
        &["validate", "--schema", "schema.json", "typed.csv"],
        &["validate", "--name", "a.csv", "--json", &name],
        &["validate", "--profile", "i-json", "ok.json"],
        &["validate", "--name", "a.csv", &name],
        &["infer", &name],
        &["infer", "--format", "ndjson", "ok.json"],
        &["infer", "--sample", "1", "--format", "csv", &name],
        &["check", "--name", EVIL],
        &["check", "--config", EVIL],
        &["log", "--folder", EVIL],
        &["quarantine", "show", EVIL],
        &["health", "--url", EVIL],
    ] {
        let told: Told = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(arguments)
            .current_dir(folder.path())
            .env("TIDEGATE__SINK__FS__ROOT", folder.path().join("store"))
            .output()
            .unwrap()
            .into();
        harmless(&told);
    }
}
