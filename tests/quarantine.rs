//! `tidegate quarantine` as an operator runs it, beside a server that runs: on a folder and on a real `MinIO`.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::minio::Minio;
use common::serve::Serve;
use serde_json::Value;
use tempfile::TempDir;

const BAD: &str = "x,y\n1,2\n3\n5,6\n";

/// A server, its configuration, and the sink that both the server and the command open.
struct Bed {
    folder: TempDir,
    environment: Vec<(String, String)>,
}

impl Bed {
    fn new(environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let bed = Self { folder: TempDir::new().unwrap(), environment };
        bed.rule("quarantine", "csv");
        bed
    }

    /// What holds for `in/` from now on.
    fn rule(&self, on_invalid: &str, format: &str) {
        let rules = format!("[[rules]]\nmatch = \"in/**\"\nformat = \"{format}\"\non_invalid = \"{on_invalid}\"\n");
        std::fs::write(self.config(), rules).unwrap();
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("rules.toml")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.args(words).arg("--config").arg(self.config());
        command.env("TIDEGATE__SINK__FS__ROOT", self.root()).env("TIDEGATE__SINK__FS__MIN_FREE", "64KiB");
        command.envs(self.environment.iter().cloned());
        command
    }

    fn serve(&self) -> Serve {
        Serve::run(&mut self.command(&["serve"]), &self.root())
    }

    /// The exit code, standard output and standard error of `tidegate quarantine`.
    fn quarantine(&self, words: &[&str]) -> (i32, String, String) {
        let output = self.command(&[&["quarantine"], words].concat()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The files in quarantine, as JSON.
    fn list(&self) -> Vec<Value> {
        let (code, told, notes) = self.quarantine(&["list", "--json"]);
        assert_eq!((code, told.is_empty() || notes.is_empty()), (0, true), "{notes}");
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Has `bytes` refused, and gives the id under which they are kept.
fn send(serve: &Serve, name: &str, bytes: &str) -> String {
    let answer = serve.exchange(format!("{name} {}\n{bytes}", bytes.len()).as_bytes());
    let (_, rest) = answer.split_once("kept in quarantine as ").unwrap_or_else(|| panic!("{answer}"));
    rest.split(':').next().unwrap().to_owned()
}

/// The whole way of files that are not valid, large ones in one piece with many parts.
fn the_whole_way(bed: &Bed, large_bytes: usize) {
    let serve = bed.serve();
    assert_eq!(bed.quarantine(&["list"]), (0, String::new(), "nothing is in quarantine\n".to_owned()));
    let small = send(&serve, "in/small.dat", BAD);
    assert_eq!(send(&serve, "in/small.dat", BAD), small, "the same file is kept once");
    let large_file = format!("{BAD}{}", "7,8\n".repeat(large_bytes / 4));
    let large = send(&serve, "in/large.dat", &large_file);
    let told: Vec<_> = bed.list().iter().map(|file| file["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, [small.as_str(), large.as_str()], "the oldest first");

    let (code, table, _) = bed.quarantine(&["list"]);
    assert_eq!((code, table.lines().count()), (0, 3), "{table}");
    let row = table.lines().nth(1).unwrap();
    assert!(row.starts_with(&small[..12]) && row.contains("in/small.dat"), "{row}");
    assert!(row.ends_with("[missing-cell]"), "{row}");
    assert_eq!(bed.quarantine(&["list", "--older-than", "1h"]).1, "");

    let (code, shown, _) = bed.quarantine(&["show", &small[..6]]);
    assert_eq!(code, 0);
    for part in [&*small, "in/small.dat", "14 bytes", "line 3, column", "[missing-cell]"] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    assert!(bed.quarantine(&["show", &large, "--bytes"]).1 == large_file, "the bytes as they came");

    // Neither is what another id begins with, nor is one cut too short.
    let (code, _, why) = bed.quarantine(&["show", "ffffffffffff"]);
    assert!(code == 1 && why.contains("nothing in quarantine"), "{why}");
    assert_eq!(bed.quarantine(&["show", ""]).0, 1);
    assert_eq!(bed.quarantine(&["replay"]).0, 2);

    let (code, _, why) = bed.quarantine(&["replay", &small]);
    assert!(code == 1 && why.starts_with(&format!("stays      {small}  in/small.dat: line 3, ")), "{why}");
    assert_eq!(bed.list().len(), 2, "what is still not valid stays, once");

    bed.rule("quarantine", "none");
    let (code, said, why) = bed.quarantine(&["replay", &small[..8], &large]);
    assert_eq!((code, said.lines().count()), (0, 2), "{why}");
    assert!(said.starts_with("committed  in/small.dat  "), "{said}");
    assert_eq!(bed.list(), Vec::<Value>::new());
    // Under these rules the server would have taken it: the same content is a duplicate.
    drop(serve);
    let serve = bed.serve();
    let answer = serve.exchange(format!("in/large.dat {}\n{large_file}", large_file.len()).as_bytes());
    assert!(answer.starts_with("OK in/large.dat "), "{answer}");
}

fn dropped_for_good(bed: &Bed) {
    let serve = bed.serve();
    let (one, two) = (send(&serve, "in/a.dat", BAD), send(&serve, "in/b.dat", BAD));
    assert_eq!(bed.quarantine(&["drop"]).0, 2, "nothing is dropped that nobody has named");
    let (code, said, _) = bed.quarantine(&["drop", "--older-than", "1h"]);
    assert_eq!((code, said.as_str(), bed.list().len()), (0, "", 2));
    let (code, _, why) = bed.quarantine(&["drop", &one, "ffffffffffff"]);
    assert_eq!((code, bed.list().len()), (1, 2), "a slip shows before anything is done: {why}");
    assert_eq!(bed.quarantine(&["drop", &one]).1, format!("dropped    {one}  in/a.dat\n"));
    assert_eq!(bed.list()[0]["id"], *two);
    assert_eq!(bed.quarantine(&["drop", "--older-than", "0s"]).0, 0);
    assert_eq!(bed.list(), Vec::<Value>::new());
}

#[test]
fn the_whole_way_in_a_folder() {
    the_whole_way(&Bed::new(&[]), 1 << 20);
}

#[test]
fn dropped_from_a_folder_it_is_gone() {
    let bed = Bed::new(&[]);
    dropped_for_good(&bed);
    let left = common::serve::files(&bed.root().join(".tidegate/quarantine"));
    assert_eq!(left, Vec::<PathBuf>::new());
    assert!(Path::new(&bed.root()).exists());
}

#[test]
fn a_replay_has_a_line_in_the_ledger_of_the_upload_that_brought_the_file() {
    let bed = Bed::new(&[]);
    let serve = bed.serve();
    let put = format!("{{\"op\":\"put\",\"id\":\"u-17\",\"name\":\"in/a.dat\",\"size\":{}}}\n{BAD}", BAD.len());
    let answer = serve.exchange(format!("{{\"op\":\"hello\",\"collector\":\"edge-17\"}}\n{put}").as_bytes());
    let id = bed.list()[0]["id"].as_str().unwrap().to_owned();
    assert!(answer.contains(&id), "{answer}");
    assert_eq!(bed.quarantine(&["replay", &id]).0, 1);
    bed.rule("quarantine", "none");
    let (code, _, why) = bed.quarantine(&["replay", &id]);
    assert_eq!(code, 0, "{why}");
    // The server need not stop for the command's lines to be there.
    let output = bed.command(&["log", "--json"]).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let replayed: Vec<_> = lines.iter().filter(|line| line["quarantine"].as_str() == Some(&id)).collect();
    let outcomes: Vec<_> = replayed.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["rejected", "committed"], "{lines:?}");
    for line in replayed {
        assert_eq!((line["id"].as_str(), line["collector"].as_str()), (Some("u-17"), Some("edge-17")), "{line}");
        assert_eq!((&line["name"], &line["peer"]), (&Value::from("in/a.dat"), &Value::Null), "{line}");
    }
    // It is that upload: its sender gets the receipt.
    let asked = put.replace("\"size\"", "\"resume\":true,\"size\"").split('\n').next().unwrap().to_owned() + "\n";
    let answer: Value = serde_json::from_str(serve.exchange(asked.as_bytes()).lines().next().unwrap()).unwrap();
    assert_eq!((&answer["event"], &answer["receipt"]["id"]), (&Value::from("committed"), &Value::from("u-17")), "{answer}");
}

#[test]
fn a_replay_is_held_to_the_limits_of_its_rule() {
    let bed = Bed::new(&[]);
    let serve = bed.serve();
    let id = send(&serve, "in/a.dat", BAD);
    std::fs::write(bed.config(), "[[rules]]\nmatch = \"in/**\"\nformat = \"none\"\nmax_bytes = 5\n").unwrap();
    let (code, _, why) = bed.quarantine(&["replay", &id]);
    assert!(code == 1 && why.contains("[too_large]") | why.contains("5 bytes at most"), "{why}");
    assert_eq!(bed.list().len(), 1);
}

/// A bed over a new bucket.
fn in_minio() -> Option<Bed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bucket = runtime.block_on(Minio::shared()?.bucket());
    Some(Bed::new(&[
        ("TIDEGATE__SINK__KIND", "s3"),
        ("TIDEGATE__SINK__S3__ENDPOINT", &bucket.endpoint),
        ("TIDEGATE__SINK__S3__BUCKET", &bucket.name),
        ("TIDEGATE__SINK__S3__ACCESS_KEY_ID", &bucket.access_key_id),
        ("TIDEGATE__SINK__S3__SECRET_ACCESS_KEY", &bucket.secret_access_key),
        ("TIDEGATE__SINK__S3__ALLOW_HTTP", "true"),
        ("TIDEGATE__SINK__S3__PART_BYTES", "5MiB"),
        ("TIDEGATE__LIMITS__MAX_FILE_BYTES", "1GiB"),
    ]))
}

#[test]
fn the_whole_way_in_minio() {
    if let Some(bed) = in_minio() {
        the_whole_way(&bed, 12 << 20);
    }
}

#[test]
fn dropped_from_minio_it_is_gone() {
    if let Some(bed) = in_minio() {
        dropped_for_good(&bed);
    }
}

#[test]
fn where_there_is_no_store_none_is_made_to_look_into() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(words).current_dir(folder.path()).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let root = folder.path().canonicalize().unwrap().join("data");
    for words in [&["quarantine", "list"][..], &["quarantine", "replay", "4be1"]] {
        let (code, told) = run(words);
        assert!(code == Some(1) && told.contains(&format!("there is no store in {root:?}: ")), "{told}");
        assert!(!root.exists());
    }
    // A check tries the store out, and says that it has made it.
    let made = format!("warning  the folder {root:?} was not there and is made.");
    let (code, told) = run(&["check"]);
    assert!(code == Some(0) && told.contains(&made), "{told}");
    let (code, told) = run(&["check"]);
    assert!(code == Some(0) && !told.contains(&made), "{told}");
    assert_eq!(run(&["quarantine", "list"]).0, Some(0));
}
