//! Real senders against the built server: `nc`, Python, the examples, `push`. What they are told, and what lies there.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use common::proxy::{How, Line, Proxy, When};
use common::serve::{Serve, has, until};

/// A server, and a folder with files to send.
struct Field {
    serve: Serve,
    folder: tempfile::TempDir,
}

impl Field {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { serve: Serve::below(&folder.path().join("store")), folder }
    }

    fn host(&self) -> &str {
        self.serve.address.rsplit_once(':').unwrap().0
    }

    fn port(&self) -> &str {
        self.serve.address.rsplit_once(':').unwrap().1
    }

    fn file(&self, name: &str, body: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, body).unwrap();
        path
    }

    fn stored(&self, key: &str) -> Vec<u8> {
        fs::read(self.serve.root.join(key)).unwrap_or_else(|error| panic!("{key}: {error}; {:?}", self.serve.visible()))
    }
}

fn run(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

#[test]
fn nc_sends_a_file_and_prints_its_receipt() {
    if !has("nc", "-h", "nc as a sender") {
        return;
    }
    let field = Field::new();
    let output = run(Command::new("nc").args([field.host(), field.port()]), b"dir/hello.csv 8\nx,y\n1,2\n");
    assert!(stdout(&output).starts_with("OK dir/hello.csv 8 sha256:"), "{output:?}");
    assert_eq!(field.stored("dir/hello.csv"), b"x,y\n1,2\n");
    let output = run(Command::new("nc").args(["-N", field.host(), field.port()]), b"bad.csv\nx,y\n1,2,3\n");
    assert!(stdout(&output).starts_with("ERR invalid "), "{output:?}");
    assert_eq!(field.serve.visible(), [Path::new("dir/hello.csv")]);
}

/// What stands in the field: names the file, waits a moment, sends, closes.
const OLD_SENDER: &str = "
import socket, sys, time
gate = socket.create_connection((sys.argv[1], int(sys.argv[2])))
gate.send(sys.argv[3].encode())
time.sleep(1)
gate.sendall(open(sys.argv[4], 'rb').read())
gate.close()
";

#[test]
fn the_senders_that_are_in_the_field_work_unchanged() {
    if !has("python3", "--version", "Python as a sender") {
        return;
    }
    let field = Field::new();
    let body = b"a,b\n".iter().chain(b"1,2\n".iter().cycle().take(400_000)).copied().collect::<Vec<_>>();
    let path = field.file("in.csv", &body);
    for (header, key) in [("old/a.csv ", "old/a.csv"), ("old/b.csv", "old/b.csv"), ("old/c.csv 400004", "old/c.csv")] {
        let output =
            run(Command::new("python3").args(["-c", OLD_SENDER, field.host(), field.port(), header]).arg(&path), b"");
        assert!(output.status.success(), "{output:?}");
        // Nobody waits for the answer.
        until("the file", || field.serve.root.join(key).exists());
        assert_eq!(field.stored(key), body, "{header:?}");
    }
}

#[test]
fn hundreds_of_files_without_a_pause_are_all_stored_right() {
    let field = Field::new();
    let body = |sender: usize, file: usize| format!("sender,file\n{sender},{file}\n").repeat(1 + file * 7).into_bytes();
    std::thread::scope(|scope| {
        for sender in 0..32 {
            let address = &field.serve.address;
            scope.spawn(move || {
                for file in 0..12 {
                    // Names, sends and closes at once, and never reads.
                    let mut gate = TcpStream::connect(address).unwrap();
                    gate.write_all(format!("s{sender}/f{file}.txt ").as_bytes()).unwrap();
                    gate.write_all(&body(sender, file)).unwrap();
                }
            });
        }
    });
    until("384 files", || field.serve.visible().len() == 384);
    for sender in 0..32 {
        for file in 0..12 {
            assert_eq!(field.stored(&format!("s{sender}/f{file}.txt")), body(sender, file));
        }
    }
}

#[test]
fn the_examples_do_what_they_say() {
    if !has("python3", "--version", "the example in Python") || !has("nc", "-h", "the example for the shell") {
        return;
    }
    let field = Field::new();
    let large: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).collect();
    let files =
        [field.file("in/large.bin", &large), field.file("in/good.csv", b"a,b\n1,2\n"), field.file("in/empty.bin", b"")];
    let bad = field.file("in/bad.json", b"{\"a\": ");
    let python =
        |paths: &[PathBuf]| run(Command::new("python3").arg(example("push.py")).arg(&field.serve.address).args(paths), b"");
    let output = python(&files);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(stdout(&output).lines().count(), 3);
    assert_eq!(field.stored("large.bin"), large);
    assert_eq!(field.stored("good.csv"), b"a,b\n1,2\n");
    assert_eq!(field.stored("empty.bin"), b"");
    let output = python(&[bad.clone(), files[1].clone()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(stdout(&output).starts_with("OK good.csv 8 "), "{output:?}");

    let field = Field::new();
    let shell = |paths: &[PathBuf]| {
        run(Command::new("sh").arg(example("push.sh")).args([field.host(), field.port()]).args(paths), b"")
    };
    let output = shell(&files);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(field.stored("large.bin"), large);
    assert_eq!(field.stored("empty.bin"), b"");
    let missing = field.folder.path().join("in/missing.csv");
    let not_a_file = "not a file that can be read\n";
    for (refused, why) in [(&bad, "invalid "), (&missing, not_a_file), (&field.folder.path().join("in"), not_a_file)] {
        let output = shell(std::slice::from_ref(refused));
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(told.starts_with(&format!("ERR {}: {why}", refused.display())), "{told:?}");
        assert_eq!(told.matches("ERR ").count(), 1, "{told:?}");
    }
    assert_eq!(field.serve.visible().len(), 3);
}

#[test]
fn a_log_that_cannot_be_written_costs_nobody_a_receipt() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$0\" serve 2>/dev/full", env!("CARGO_BIN_EXE_tidegate")]);
    let serve = Serve::run(&mut command, &folder.path().join("store"));
    for number in 0..3 {
        let answer = serve.exchange(format!("{number}.bin 4\nbody").as_bytes());
        assert!(answer.starts_with("OK "), "{answer:?}");
        assert!(serve.exchange(b"../x 4\nbody").starts_with("ERR bad_name "));
    }
    let output = run(
        Command::new("sh")
            .args(["-c", "exec \"$0\" push --to \"$1\" \"$2\" 2>/dev/full", env!("CARGO_BIN_EXE_tidegate"), &serve.address])
            .arg(example("push.py")),
        b"",
    );
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_python_sender_goes_on_where_its_line_was_cut() {
    if !has("python3", "--version", "the example in Python, cut") {
        return;
    }
    let field = Field::new();
    let bytes: Vec<u8> = (0..=250).cycle().take(8 << 20).collect();
    field.file("large.bin", &bytes);
    let cut = |number| if number == 0 { Line::cut(When::ToServer(3 << 20), How::Reset) } else { Line::default() };
    let proxy = Proxy::start(field.serve.address.clone(), cut);
    let file = field.folder.path().join("large.bin");
    let output = run(Command::new("python3").arg(example("push.py")).arg(proxy.address()).arg(file), b"");
    assert!(output.status.success(), "{output:?}");
    assert!(std::fs::read(field.serve.root.join("large.bin")).unwrap() == bytes);
    let metrics = field.serve.get("/metrics");
    assert!(metrics.contains("\ntidegate_resumed_total 1\n"), "{metrics}");
}

fn push(serve: &Serve, arguments: &[&str]) -> Output {
    run(Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["push", "--to", &serve.address]).args(arguments), b"")
}

#[test]
fn push_sends_a_folder_and_again_without_a_second_copy() {
    let field = Field::new();
    field.file("in/a.csv", b"x\n1\n");
    field.file("in/deep/er/b.json", b"[1, 2, 3]");
    field.file("in/c.bin", &vec![7; 3_000_000]);
    let folder = field.folder.path().join("in");
    for duplicate in [false, true] {
        let output = push(&field.serve, &["--json", folder.to_str().unwrap()]);
        assert!(output.status.success(), "{output:?}");
        let receipts: Vec<serde_json::Value> =
            stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(receipts.len(), 3);
        for line in &receipts {
            assert_eq!(line["outcome"], "committed", "{line}");
            assert_eq!(line["receipt"]["duplicate"].as_bool().unwrap_or(false), duplicate, "{line}");
        }
    }
    assert_eq!(field.serve.visible().len(), 3);
    assert_eq!(field.stored("in/deep/er/b.json"), b"[1, 2, 3]");
    assert_eq!(field.stored("in/c.bin"), vec![7; 3_000_000]);
}

#[test]
fn push_says_what_is_rejected_and_sends_the_rest() {
    let field = Field::new();
    let mut broken = b"x,y\n".to_vec();
    broken.extend(b"1,2\n".iter().cycle().take(4_000_000));
    broken[200] = b',';
    field.file("in/a.csv", &broken);
    field.file("in/b.csv", b"x\n1\n");
    let folder = field.folder.path().join("in");
    let output = push(&field.serve, &["--jobs", "1", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("[extra-cell]"), "{said}");
    assert_eq!(field.serve.visible(), [Path::new("in/b.csv")]);
}

/// Where the corpora lie; `None`, with a line that says so, where they don't.
fn corpora(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("TIDEGATE_CORPORA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpora"), PathBuf::from);
    let folder = root.join(folder);
    if folder.is_dir() {
        return Some(folder);
    }
    common::left_out(&format!("{} is not here (TIDEGATE_CORPORA names the corpora)", folder.display()));
    None
}

#[test]
fn real_files_arrive_byte_for_byte() {
    let Some(real) = corpora("real") else { return };
    let field = Field::new();
    let output = push(&field.serve, &[real.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let mut files = 0;
    for entry in fs::read_dir(&real).unwrap() {
        let path = entry.unwrap().path();
        let key = format!("real/{}", path.file_name().unwrap().to_str().unwrap());
        assert_eq!(field.stored(&key), fs::read(&path).unwrap(), "{key}");
        files += 1;
    }
    assert!(files > 5);
    assert_eq!(field.serve.visible().len(), files);
}

#[test]
fn the_corpora_get_the_same_verdicts_by_push_and_by_validate() {
    for (corpus, good) in [("json-test-suite", 95), ("csv-spectrum/csvs", 11)] {
        let Some(folder) = corpora(corpus) else { return };
        let field = Field::new();
        let path = folder.to_str().unwrap();
        let pushed = push(&field.serve, &["--json", path]);
        let validated = run(Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["validate", "--json", path]), b"");
        let verdicts = |output: &Output, good: &str, unparsed: &str| {
            let mut verdicts = Vec::new();
            for line in stdout(output).lines() {
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                let name = line["name"].as_str().unwrap().to_owned();
                if !name.ends_with("LICENSE") {
                    let code = line["report"]["errors"][0]["code"].as_str().map(str::to_owned);
                    let passed = line["outcome"] == good || line["outcome"] == unparsed;
                    verdicts.push((name, passed, code));
                }
            }
            verdicts.sort();
            verdicts
        };
        let by_push = verdicts(&pushed, "committed", "committed");
        assert_eq!(by_push, verdicts(&validated, "valid", "unparsed"));
        assert_eq!(by_push.iter().filter(|(_, passed, _)| *passed).count(), good);
        for (name, passed, code) in &by_push {
            let expected = !name.contains("/n_");
            assert_eq!((*passed, code.is_none()), (expected, expected), "{name}: {code:?}");
        }
        let bad = by_push.len() - good;
        assert_eq!(
            (pushed.status.code(), validated.status.code()),
            if bad > 0 { (Some(3), Some(1)) } else { (Some(0), Some(0)) }
        );
    }
}
