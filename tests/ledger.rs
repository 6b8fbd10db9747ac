//! The ledger of the built server, and `tidegate log`: every end is there once, and no trouble with it reaches an upload.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::serve::{DEADLINE, Serve, until};
use serde_json::{Value, json};

fn tidegate() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
}

/// What `tidegate log` says of the ledger in a folder.
fn log(folder: &Path, arguments: &[&str]) -> Output {
    tidegate().arg("log").arg("--folder").arg(folder).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The entries that `tidegate log` lets through, as JSON.
#[track_caller]
fn entries(folder: &Path, arguments: &[&str]) -> Vec<Value> {
    let output = log(folder, &[&["--json"], arguments].concat());
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "{arguments:?}");
    output.stdout.split_inclusive(|byte| *byte == b'\n').map(|line| serde_json::from_slice(line).unwrap()).collect()
}

#[track_caller]
fn names(folder: &Path, arguments: &[&str]) -> Vec<String> {
    entries(folder, arguments).iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

/// Where a server keeps its ledger unless it is told otherwise.
fn folder_of(serve: &Serve) -> PathBuf {
    serve.root.join(".tidegate/ledger")
}

/// Waits until the ledger has this many lines.
fn until_lines(folder: &Path, lines: usize) {
    until(&format!("line {lines} of the ledger"), || {
        let files = common::serve::files(folder);
        files.iter().map(|path| fs::read_to_string(path).unwrap().lines().count()).sum::<usize>() == lines
    });
}

fn metric(serve: &Serve, name: &str) -> u64 {
    let page = serve.get("/metrics");
    let values = page.lines().filter(|line| line.starts_with(name)).map(|line| line.rsplit_once(' ').unwrap().1);
    values.map(|value| value.parse::<u64>().unwrap()).sum()
}

/// A framed conversation of a collector, in which the last file is cut off.
fn collect(serve: &Serve) {
    let mut socket = TcpStream::connect(&serve.address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let said = "{\"op\":\"hello\",\"version\":1,\"collector\":\"edge-17\"}\n\
                {\"op\":\"put\",\"id\":\"u1\",\"name\":\"in/b.json\",\"size\":2}\n[]\
                {\"op\":\"put\",\"id\":\"u2\",\"name\":\"in/c.json\",\"size\":2}\n[}\
                {\"op\":\"put\",\"id\":\"no id\",\"name\":\"in/d.json\",\"size\":2}\n[]\
                {\"op\":\"put\",\"id\":\"u3\",\"name\":\"in/e.json\",\"size\":9}\n[1,";
    socket.write_all(said.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    socket.read_to_string(&mut answers).unwrap();
    let told: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(told, ["hello", "committed", "rejected", "rejected", "failed"]);
}

/// A server that has seen every kind of end, eight in all.
fn seasoned(root: &Path) -> Serve {
    let serve = Serve::below(root);
    assert!(serve.exchange(b"a.csv 8\nx,y\n1,2\n").starts_with("OK "));
    assert!(serve.exchange(b"a.csv 8\nx,y\n1,2\n").starts_with("OK "));
    assert!(serve.exchange(b"a.csv 10\nx,y\n1,2,3\n").starts_with("ERR invalid "));
    assert!(serve.exchange(b"../a.csv 1\nx").starts_with("ERR bad_name "));
    collect(&serve);
    until_lines(&folder_of(&serve), 8);
    serve
}

#[test]
fn every_end_is_entered_with_who_what_when_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let serve = seasoned(&folder.path().join("store"));
    assert_eq!(metric(&serve, "tidegate_uploads_total{"), 8);
    assert_eq!(metric(&serve, "tidegate_ledger_lost_total"), 0);
    let mut all = entries(&folder_of(&serve), &[]);
    for entry in &mut all {
        let peer = entry["peer"].as_str().unwrap();
        assert!(peer.starts_with("127.0.0.1:"), "{peer}");
        let at = humantime::parse_rfc3339(entry["at"].as_str().unwrap()).unwrap();
        assert!(at <= std::time::SystemTime::now() && at.elapsed().unwrap() < DEADLINE, "{entry}");
        assert!(entry["took_ms"].as_u64().unwrap() < 60_000);
        if entry["protocol"] == "plain" && entry.get("id").is_some() {
            entry["id"] = json!("made");
        }
        for key in ["at", "peer", "took_ms", "message"] {
            entry.as_object_mut().unwrap().remove(key);
        }
    }
    let digest = |bytes: &[u8]| tidegate::upload::Digest::of(bytes).to_string();
    let file = json!({"outcome": "committed", "name": "a.csv", "key": "a.csv", "id": "made", "size": 8, "bytes": 8,
        "digest": digest(b"x,y\n1,2\n"), "durability": "disk", "verdict": {"format": "csv", "records": 1}, "protocol": "plain"});
    let mut duplicate = file.clone();
    duplicate["duplicate"] = json!(true);
    duplicate["verdict"] = all[1]["verdict"].clone();
    assert_eq!(all[0], file);
    assert_eq!(all[1], duplicate);
    let report = all[2].as_object_mut().unwrap().remove("report").unwrap();
    assert_eq!((&report["errors"][0]["code"], &report["errors"][0]["line"]), (&json!("extra-cell"), &json!(2)));
    assert_eq!(
        all[2],
        json!({"outcome": "rejected", "name": "a.csv", "id": "made", "size": 10, "bytes": 10, "protocol": "plain",
            "reason": "invalid"})
    );
    assert_eq!(
        all[3],
        json!({"outcome": "rejected", "name": "../a.csv", "bytes": 0, "protocol": "plain", "reason": "bad_name"})
    );
    let framed = |id: &str, name: &str| (json!(id), json!(name), json!("framed"), json!("edge-17"));
    let of = |entry: &Value| {
        let [id, name, protocol, collector] = ["id", "name", "protocol", "collector"].map(|key| entry[key].clone());
        (id, name, protocol, collector)
    };
    // A commit goes on by itself, so that its end and the next one's may come in either order.
    all[4..].sort_by_key(|entry| entry["name"].as_str().unwrap().to_owned());
    assert_eq!((of(&all[4]), &all[4]["outcome"]), (framed("u1", "in/b.json"), &json!("committed")));
    assert_eq!((of(&all[5]), &all[5]["reason"]), (framed("u2", "in/c.json"), &json!("invalid")));
    assert_eq!((&all[6]["name"], &all[6]["reason"]), (&json!("in/d.json"), &json!("bad_header")));
    assert_eq!((of(&all[7]), &all[7]["reason"]), (framed("u3", "in/e.json"), &json!("incomplete")));
    assert_eq!((&all[7]["outcome"], &all[7]["size"], &all[7]["bytes"]), (&json!("failed"), &json!(9), &json!(3)));
}

#[test]
fn where_an_upload_went_on_is_entered() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::below(&folder.path().join("store"));
    let put = "{\"op\":\"put\",\"id\":\"u1\",\"name\":\"a.bin\",\"size\":5,\"resume\":true}\n";
    for bytes in ["abc", "de"] {
        let mut socket = TcpStream::connect(&serve.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(format!("{put}{bytes}").as_bytes()).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        socket.read_to_string(&mut String::new()).unwrap();
    }
    until_lines(&folder_of(&serve), 2);
    let all = entries(&folder_of(&serve), &[]);
    assert_eq!((&all[0]["outcome"], &all[0]["bytes"], all[0].get("resumed_at")), (&json!("failed"), &json!(3), None));
    let second = (&all[1]["outcome"], &all[1]["bytes"], &all[1]["resumed_at"], &all[1]["size"]);
    assert_eq!(second, (&json!("committed"), &json!(2), &json!(3), &json!(5)));
}

#[test]
fn filters_let_through_what_they_name() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder_of(&seasoned(&folder.path().join("store")));
    let sorted = |arguments: &[&str]| {
        let mut names = names(&ledger, arguments);
        names.sort();
        names
    };
    assert_eq!(sorted(&["--name", "*.csv"]), ["../a.csv", "a.csv", "a.csv", "a.csv"]);
    assert_eq!(sorted(&["--name", "in/*"]), ["in/b.json", "in/c.json", "in/d.json", "in/e.json"]);
    assert_eq!(sorted(&["--outcome", "committed"]), ["a.csv", "a.csv", "in/b.json"]);
    assert_eq!(sorted(&["--outcome", "duplicate"]), ["a.csv"]);
    assert_eq!(sorted(&["--outcome", "duplicate", "--outcome", "failed"]), ["a.csv", "in/e.json"]);
    assert_eq!(sorted(&["--outcome", "failed", "--outcome", "committed", "--name", "in/**"]), ["in/b.json", "in/e.json"]);
    assert_eq!(sorted(&["--collector", "edge-17", "--outcome", "rejected"]), ["in/c.json", "in/d.json"]);
    assert_eq!(sorted(&["--since", "1h"]).len(), 8);
    assert!(sorted(&["--since", "0s"]).is_empty());
    assert!(sorted(&["--collector", "edge"]).is_empty());

    let table = log(&ledger, &["--outcome", "rejected", "--name", "*.csv"]);
    let table = text(&table.stdout);
    let rows: Vec<_> = table.lines().collect();
    assert_eq!(rows.len(), 3, "{table}");
    assert!(rows[0].starts_with("TIME   ") && rows[0].ends_with("WHAT"), "{table}");
    assert!(rows[1].contains("  rejected  ") && rows[1].ends_with("[extra-cell]"), "{table}");
    assert!(rows[2].contains("  127.0.0.1         ../a.csv  ") && rows[2].ends_with("[bad_name]"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colours into a pipe: {table:?}");
}

#[test]
fn the_keys_in_the_examples_are_those_of_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder_of(&seasoned(&folder.path().join("store")));
    let entry = entries(&ledger, &["--outcome", "rejected", "--name", "a.csv"]).remove(0);
    let help = text(&tidegate().args(["log", "--help"]).output().unwrap().stdout);
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    for examples in [help, readme] {
        let programs = examples.lines().filter(|line| line.contains("tidegate log --json"));
        let lists: Vec<_> = programs.filter_map(|line| line.split_once('[')?.1.split_once("] |")).collect();
        assert!(!lists.is_empty(), "{examples}");
        for path in lists.iter().flat_map(|(paths, _)| paths.split(", ")) {
            let pointer = path.replace(['.', '['], "/").replace(']', "");
            assert!(entry.pointer(&pointer).is_some(), "{path} is not in {entry}");
        }
    }
}

#[test]
fn days_are_read_in_order_and_only_from_the_first_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    let line = |at: &str, name: &str| {
        json!({"at": at, "outcome": "failed", "name": name, "bytes": 0, "took_ms": 0, "news": 1}).to_string() + "\n"
    };
    let write = |day: &str, text: String| fs::write(folder.path().join(day), text).unwrap();
    write("2026-10-18.jsonl", line("2026-10-18T00:00:00.000Z", "c"));
    write("2026-10-16.jsonl", "not even read\n".to_owned());
    write("2026-10-17.jsonl", line("2026-10-17T09:00:00.000Z", "a") + &line("2026-10-17T10:00:00.000Z", "b"));
    write("notes.txt", "not a day\n".to_owned());
    assert_eq!(names(folder.path(), &["--since", "2026-10-17"]), ["a", "b", "c"]);
    assert_eq!(names(folder.path(), &["--since", "2026-10-17T12:00:00+02:00"]), ["b", "c"]);
    assert_eq!(names(folder.path(), &["--since", "2026-10-17T10:00"]), ["b", "c"]);

    let output = log(folder.path(), &["--json"]);
    assert_eq!((output.status.code(), output.stdout.split(|byte| *byte == b'\n').count()), (Some(0), 4));
    let told = text(&output.stderr);
    let place = format!("{}, line 1: ", folder.path().join("2026-10-16.jsonl").display());
    assert!(told.starts_with(&place) && told.lines().count() == 1, "{told}");
}

#[test]
fn a_line_that_a_crash_has_cut_spoils_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let serve = Serve::below(&root);
    let ledger = folder_of(&serve);
    serve.exchange(b"a 1\n1");
    until_lines(&ledger, 1);
    serve.kill();
    let files = common::serve::files(&ledger);
    let whole = fs::read_to_string(&files[0]).unwrap();
    fs::write(&files[0], whole.clone() + &whole[..40]).unwrap();
    let serve = Serve::below(&root);
    serve.exchange(b"b 1\n1");
    until_lines(&ledger, 3);
    let output = log(&ledger, &["--json"]);
    let told = text(&output.stderr);
    assert!(told.starts_with(&format!("{}, line 2: ", files[0].display())) && told.lines().count() == 1, "{told}");
    assert!(text(&output.stdout).contains("\"name\":\"a\"") && text(&output.stdout).contains("\"name\":\"b\""));
}

#[test]
fn what_still_waits_at_the_end_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut serve = Serve::below(&folder.path().join("store"));
    let mut socket = TcpStream::connect(&serve.address).unwrap();
    for number in 0..200 {
        let put = format!("{{\"op\":\"put\",\"name\":\"{number}\",\"size\":1}}\nx");
        socket.write_all(put.as_bytes()).unwrap();
    }
    let answers = BufReader::new(socket.try_clone().unwrap()).lines().take(200);
    assert_eq!(answers.filter(|line| line.as_ref().unwrap().contains("committed")).count(), 200);
    let pid = serve.pid().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    until("the end", || serve.child.try_wait().unwrap().is_some());
    assert_eq!(entries(&folder_of(&serve), &["--outcome", "committed"]).len(), 200);
}

#[test]
fn a_ledger_that_cannot_be_written_harms_no_upload_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    fs::write(&ledger, "in the way").unwrap();
    let serve = Serve::run(tidegate().arg("serve").env("TIDEGATE__LEDGER__FOLDER", &ledger), &folder.path().join("store"));
    assert!(serve.exchange(b"a 1\n1").starts_with("OK "));
    until("the loss to be counted", || metric(&serve, "tidegate_ledger_lost_total") == 1);
    fs::remove_file(&ledger).unwrap();
    assert!(serve.exchange(b"b 1\n1").starts_with("OK "));
    until_lines(&ledger, 1);
    assert_eq!(names(&ledger, &[]), ["b"]);
    assert_eq!(metric(&serve, "tidegate_ledger_lost_total"), 1);
}

/// Moves a folder away from a server, has it refuse a file, and moves the folder back.
#[track_caller]
fn lose_and_find(serve: &Serve, moved: &Path, lost: u64) {
    let away = moved.with_file_name("away");
    fs::rename(moved, &away).unwrap();
    serve.exchange(b"b 1\n1");
    until("the loss to be counted", || metric(serve, "tidegate_ledger_lost_total") == lost);
    serve.get("/readyz");
    assert!(!moved.exists(), "{:?}", common::serve::files(moved));
    fs::rename(&away, moved).unwrap();
    assert!(!moved.join("away").exists());
}

#[test]
fn a_root_that_was_moved_away_is_not_made_anew_and_comes_back_whole() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::below(&folder.path().join("store"));
    assert!(serve.exchange(b"a 1\n1").starts_with("OK "));
    until_lines(&folder_of(&serve), 1);
    for lost in [1, 2] {
        lose_and_find(&serve, &serve.root, lost);
    }
    assert!(serve.exchange(b"c 1\n1").starts_with("OK "));
    until_lines(&folder_of(&serve), 2);
    assert_eq!(names(&folder_of(&serve), &[]), ["a", "c"]);
    assert_eq!(serve.visible(), [Path::new("a"), Path::new("c")]);
}

#[test]
fn a_ledger_elsewhere_whose_parent_was_moved_away_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("made/for it");
    let ledger = parent.join("ledger");
    let serve = Serve::run(tidegate().arg("serve").env("TIDEGATE__LEDGER__FOLDER", &ledger), &folder.path().join("store"));
    assert!(serve.exchange(b"a 1\n1").starts_with("OK "));
    until_lines(&ledger, 1);
    lose_and_find(&serve, &parent, 1);
    assert!(serve.exchange(b"c 1\n1").starts_with("OK "));
    until_lines(&ledger, 2);
    assert_eq!(names(&ledger, &[]), ["a", "c"]);
}

#[test]
fn without_a_ledger_nothing_is_written_and_the_reader_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let serve = Serve::run(tidegate().arg("serve").env("TIDEGATE__LEDGER__ENABLED", "false"), &root);
    assert!(serve.exchange(b"a 1\n1").starts_with("OK "));
    assert!(!folder_of(&serve).exists());
    for (variable, value, why) in [
        ("TIDEGATE__LEDGER__ENABLED", "false", "ledger.enabled is false"),
        ("TIDEGATE__SINK__KIND", "memory", "ledger.folder is not set: set it to a folder of this machine"),
    ] {
        let output = tidegate().arg("log").env(variable, value).current_dir(&folder).output().unwrap();
        let told = text(&output.stderr);
        assert!(output.status.code() == Some(2) && told.contains(why) && told.contains("--folder"), "{output:?}");
        let output = tidegate().arg("check").env(variable, value).current_dir(&folder).output().unwrap();
        let told = text(&output.stdout);
        assert!(told.contains("no ledger: ") && told.contains(why), "{told}");
    }
}

#[test]
fn the_configuration_says_where_it_is_and_a_missing_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let check = |ledger: &str| {
        let mut command = tidegate();
        command.arg("check").current_dir(&folder).env("TIDEGATE__LEDGER__FOLDER", ledger).output().unwrap()
    };
    let missing = tidegate().arg("log").current_dir(&folder).output().unwrap();
    let told = text(&missing.stderr);
    let place = folder.path().canonicalize().unwrap().join("data/.tidegate/ledger");
    assert!(missing.status.code() == Some(1) && told.contains(&format!("no ledger in {place:?}: ")), "{missing:?}");
    assert!(told.contains("run this where the server runs") && told.contains("--folder"), "{told}");
    let told = text(&log(&folder.path().join("none"), &[]).stderr);
    assert!(told.contains("none\": ") && !told.contains("where the server runs"), "{told}");
    let good = check("");
    assert_eq!(good.status.code(), Some(0), "{good:?}");
    assert!(text(&good.stdout).contains("the ledger in \"data/.tidegate/ledger\"\n  ok "), "{good:?}");
    fs::write(folder.path().join("blocked"), "").unwrap();
    let bad = check("blocked");
    assert_eq!(bad.status.code(), Some(1), "{bad:?}");
    assert!(text(&bad.stdout).contains("FAILED  append to a file"), "{bad:?}");
    // What check has made is an empty ledger.
    let empty = tidegate().arg("log").current_dir(&folder).output().unwrap();
    assert_eq!((empty.status.code(), empty.stdout.as_slice(), empty.stderr.as_slice()), (Some(0), &b""[..], &b""[..]));
}

#[test]
fn follow_begins_before_the_server_and_sees_what_comes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let mut command = tidegate();
    command.args(["log", "--follow", "--name", "b*", "--folder"]).arg(root.join(".tidegate/ledger"));
    let mut follow = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut rows = BufReader::new(follow.stdout.take().unwrap()).lines();
    let serve = Serve::below(&root);
    for (sent, shown) in [("b1", "b1"), ("a2", ""), ("b3", "b3")] {
        serve.exchange(format!("{sent} 1\n1").as_bytes());
        if !shown.is_empty() {
            // The first row comes below the heads. A row that never comes is ended by the harness.
            let row = rows.find(|row| !row.as_ref().unwrap().starts_with("TIME")).unwrap().unwrap();
            assert!(row.contains(&format!("  {shown}")), "{row}");
        }
    }
    assert!(follow.try_wait().unwrap().is_none(), "it goes on");
    assert!(Command::new("kill").args(["-INT", &follow.id().to_string()]).status().unwrap().success());
    until("the end", || follow.try_wait().unwrap().is_some());
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let line = json!({"at": "2026-10-17T09:00:00.000Z", "outcome": "failed", "name": "a", "bytes": 0, "took_ms": 0});
    fs::write(folder.path().join("2026-10-17.jsonl"), format!("{line}\n").repeat(20_000)).unwrap();
    for form in [&[][..], &["--json"]] {
        let mut command = tidegate();
        command.arg("log").args(form).arg("--folder").arg(folder.path());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut some = [0; 10];
        child.stdout.take().unwrap().read_exact(&mut some).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""));
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    for (arguments, why) in [
        (["--outcome", "lost"], "committed, duplicate, rejected or failed"),
        (["--since", "yesterday"], "2026-10-17T08:00, 2026-10-17T08:00:00Z or 2026-10-17T10:00+02:00"),
        (["--name", "a["], "pattern \"a[\""),
    ] {
        let output = tidegate().arg("log").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains(why), "{output:?}");
    }
}
