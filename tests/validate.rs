//! `tidegate validate` as a user runs it: what it prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The exit code, standard output and standard error of `tidegate validate` in `folder`.
fn validate(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .arg("validate")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who doesn't read its standard input may be gone already.
    _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("data")).unwrap();
    for (name, text) in [
        ("data/good.csv", "x,y\n1,2\n3,4\n"),
        ("data/bad.csv", "x,y\n1,2\n3\n"),
        ("data/good.json", "{}"),
        ("data/notes.txt", "{"),
        ("data/.hidden.json", "{"),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn good_files_are_told_with_what_was_found_in_them() {
    let folder = folder();
    let (code, out, err) = validate(folder.path(), &["data/good.csv", "data/good.json", "data/notes.txt"], "");
    assert_eq!(
        (code, out.as_str(), err.as_str()),
        (
            0,
            "valid       data/good.csv  csv, 2 records\nvalid       data/good.json  json, 1 record\nnot parsed  data/notes.txt\n",
            ""
        )
    );
}

#[test]
fn a_folder_with_a_bad_file_names_the_place() {
    let folder = folder();
    let (code, out, err) = validate(folder.path(), &["data"], "");
    assert_eq!(code, 1, "{err}");
    assert!(out.starts_with("invalid     data/bad.csv: line 3, column "), "{out}");
    assert_eq!(out.lines().count(), 4, "{out}");
    assert_eq!(err, "skipped    data: 1 hidden (leading dot)\n1 of 4 files invalid or unreadable\n");
}

#[test]
fn json_lines_carry_the_report() {
    let folder = folder();
    let (code, out, _) = validate(folder.path(), &["--json", "data/bad.csv", "data/good.csv", "missing"], "");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(code, 1);
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap();
    assert_eq!((&of("bad.csv")["outcome"], &of("bad.csv")["code"]), (&json!("invalid"), &json!("invalid")));
    assert_eq!(
        (&of("bad.csv")["report"]["errors"][0]["line"], &of("bad.csv")["report"]["format"]),
        (&json!(3), &json!("csv"))
    );
    assert_eq!(of("good.csv")["verdict"], json!({"format": "csv", "records": 2}));
    assert_eq!((&of("missing")["outcome"], &of("missing")["code"]), (&json!("unreadable"), &json!("io")));
}

#[test]
fn standard_input_is_read_as_it_is_told() {
    let folder = folder();
    for (arguments, input, code) in [
        (&["-", "--format", "json"][..], "[1, 2]", 0),
        (&["-", "--format", "json"], "[1, 2", 1),
        (&["-", "--name", "x.ndjson"], "1\n2\n", 0),
        (&["-", "--name", "x.csv"], "a,a\n", 1),
        (&["-"], "", 2),
        (&["data/good.csv", "data/bad.csv", "--name", "x.csv"], "", 2),
        (&["data/good.csv", "--format", "xml"], "", 2),
        (&["data/notes.txt", "--format", "json"], "", 1),
        (&["data/good.csv", "--name", "../x"], "", 1),
    ] {
        let (ended, out, err) = validate(folder.path(), arguments, input);
        assert_eq!(ended, code, "{arguments:?}\n{out}\n{err}");
    }
}
