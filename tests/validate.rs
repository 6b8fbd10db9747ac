//! `tidegate validate` as a user runs it: what it prints, and how it ends.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The exit code, standard output and standard error of `tidegate validate` in `folder`.
fn validate(folder: &Path, arguments: &[&str], input: impl AsRef<[u8]>) -> (i32, String, String) {
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
    _ = child.stdin.take().unwrap().write_all(input.as_ref());
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
    assert!(out.contains(" --> data/bad.csv:3:"), "{out}");
    assert!(out.contains("\ninvalid     data/bad.csv  csv, 1 error in 2 records: 1 missing-cell\n"), "{out}");
    assert!(out.contains("\nvalid       data/good.csv  csv, 2 records\n"), "{out}");
    assert_eq!(
        err,
        "skipped    data: 1 hidden (leading dot)\n1 of 4 files invalid or unreadable, 1 error in all; tidegate validate \
         --explain CODE tells more of one\n"
    );
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

/// What is printed of a file, for people.
fn printed(name: &str, bytes: &[u8], arguments: &[&str]) -> String {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join(name), bytes).unwrap();
    let (code, out, err) = validate(folder.path(), &[&[name], arguments].concat(), "");
    assert_eq!(code, 1, "{out}{err}");
    out
}

#[test]
fn each_flaw_of_a_table_is_shown_in_its_line() {
    let table = b"id,name,price\r\n1,Ann,2\r\n2,Lee\r\n3,Kim,4,5\r\n4,\"Bo\" x,1\r\n5,Jo,3\r\n";
    assert_eq!(
        printed("people.csv", table, &[]),
        "\
error[missing-cell]: row has 2 cells, expected 3
 --> people.csv:3:7
  |
3 | 2,Lee
  |      ^
  = record 2

error[extra-cell]: row has more than the 3 cells expected
 --> people.csv:4:8
  |
4 | 3,Kim,4,5
  |        ^
  = record 3

error[text-after-quote]: found ' ' behind a closing quote, expected a delimiter or the end of the line
 --> people.csv:5:7
  |
5 | 4,\"Bo\" x,1
  |       ^
  = record 4

invalid     people.csv  csv, 3 errors in 5 records: 1 extra-cell, 1 missing-cell, 1 text-after-quote
"
    );
}

#[test]
fn what_could_harm_a_terminal_is_escaped_and_the_carets_fit() {
    let lines = b"{\"a\":1}\n\n{\"t\":\"\xff\"}\n{\"b\":\"\x1b[31m\"}\n{\"\xe6\x97\xa5\xe6\x9c\xac\":\t1 \xe8\xaa\x9e}\n";
    assert_eq!(
        printed("events.ndjson", lines, &[]),
        "\
error[blank-line]: a blank line, expected a value on each line
 --> events.ndjson:2:1
  |
2 |
  | ^
  = record 2

error[invalid-utf8]: these bytes are not UTF-8: save the file as UTF-8
 --> events.ndjson:3:7
  |
3 | {\"t\":\"\\xff\"}
  |       ^^^^
  = record 3

error[json-syntax]: the control character U+001B stands in a string unescaped
 --> events.ndjson:4:7
  |
4 | {\"b\":\"\\u{1b}[31m\"}
  |       ^^^^^^
  = record 4

error[json-syntax]: found '語', expected a comma or }
 --> events.ndjson:5:10
  |
5 | {\"日本\":→1 語}
  |            ^^
  = record 5

invalid     events.ndjson  ndjson, 4 errors in 5 records: 1 blank-line, 1 invalid-utf8, 2 json-syntax
"
    );
}

#[test]
fn of_a_long_line_what_is_around_the_place_is_shown() {
    let text = format!("[\"{}\", 1 2, {}5]", "é".repeat(5000), "4, ".repeat(3000));
    let out = printed("long.json", text.as_bytes(), &[]);
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[1], " --> long.json:1:5008");
    assert!(lines[3].starts_with("1 | …ééé") && lines[3].ends_with(" 4, 4…"), "{out}");
    assert!(lines[3].chars().count() < 110, "{out}");
    let caret = lines[4].find('^').unwrap();
    assert_eq!(lines[3].chars().nth(caret), Some('2'), "{out}");
}

#[test]
fn what_can_not_be_read_twice_is_shown_by_what_the_report_keeps() {
    let folder = folder();
    let (code, out, _) = validate(folder.path(), &["-", "--format", "json"], "{\"a\":\t\"日\",\n\t1: 2}");
    assert_eq!(code, 1);
    assert_eq!(
        out,
        "\
error[json-syntax]: found '1', expected a name in quotes
 --> -:2:2
  |
2 | \\t1
  |   ^
  = record 1

invalid     -  json, 1 error: 1 json-syntax; not read beyond byte 14 in record 1
"
    );
}

#[test]
fn a_person_is_told_as_many_errors_as_asked_for() {
    let table = "a,b\n".to_owned() + &"1\n".repeat(200);
    let errors = |arguments: &[&str]| {
        let out = printed("a.csv", table.as_bytes(), arguments);
        let summary = out.lines().last().unwrap().to_owned();
        (out.matches("error[").count(), summary)
    };
    assert_eq!(errors(&["--max-errors", "1"]).0, 1);
    assert_eq!(errors(&["--max-errors", "3"]).0, 3);
    assert_eq!(errors(&[]).0, 100);
    let (told, summary) = errors(&["--max-errors", "1000"]);
    assert_eq!((told, &*summary), (200, "invalid     a.csv  csv, 200 errors in 200 records: 200 missing-cell"));
}

#[test]
fn masked_lines_tell_nothing_of_what_stands_there() {
    let out = printed("a.csv", "name,n\nMüller 12\n".as_bytes(), &["--mask"]);
    assert!(out.contains("\n2 | xxxxxx 99\n"), "{out}");
    assert!(!out.contains('ü'), "{out}");
}

#[test]
fn a_profile_is_held_where_one_is_asked_for() {
    let folder = folder();
    for (arguments, code) in [(&["-", "--format", "json"][..], 0), (&["-", "--format", "json", "--profile", "i-json"], 1)] {
        assert_eq!(validate(folder.path(), arguments, r#"{"a":1,"a":2}"#).0, code, "{arguments:?}");
    }
}

#[test]
fn codes_are_explained_and_listed() {
    let folder = folder();
    let (code, out, _) = validate(folder.path(), &["--explain", "stray-quote"], "");
    assert_eq!(code, 0);
    assert!(out.starts_with("stray-quote: a quote inside of a cell that does not begin with one\n\n"), "{out}");
    assert!(out.contains("    cable,3\"\n") && out.contains("    cable,\"3\"\"\"\n") && out.contains("RFC 4180"), "{out}");
    let (code, list, _) = validate(folder.path(), &["--explain"], "");
    assert_eq!((code, list.lines().count()), (0, tidegate::report::Code::ALL.len()));
    let (code, again, err) = validate(folder.path(), &["--explain", "stray_qoute"], "");
    assert_eq!((code, again), (2, list));
    assert_eq!(err, "error: there is no code \"stray_qoute\"; did you mean stray-quote?\n");
}

#[test]
fn carets_stand_under_the_whole_cell_that_a_schema_refuses() {
    let folder = folder();
    let schema = r#"{"fields": [{"name": "day", "type": "date"}, {"name": "temp", "type": "number"}]}"#;
    fs::write(folder.path().join("schema.json"), schema).unwrap();
    fs::write(folder.path().join("dialect.json"), r#"{"delimiter": ";"}"#).unwrap();
    fs::write(folder.path().join("t.csv"), "day;temp\n2026-01-05;20.1\n05.01.2026;20.1\n").unwrap();
    let arguments = ["t.csv", "--schema", "schema.json", "--dialect", "dialect.json"];
    let (code, out, err) = validate(folder.path(), &arguments, "");
    assert_eq!(code, 1, "{err}");
    assert!(out.starts_with("error[type-error]: "), "{out}");
    let shown = " --> t.csv:3:1\n  |\n3 | 05.01.2026;20.1\n  | ^^^^^^^^^^\n  = record 2, field 1, day\n";
    assert!(out.contains(shown), "{out}");
    let (code, _, err) = validate(folder.path(), &["t.csv", "--schema", "missing.json"], "");
    assert_eq!(code, 2, "{err}");
}
