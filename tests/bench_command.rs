//! `tidegate bench` as an operator runs it: against a real server, and against one that lies or goes away.

#![allow(clippy::unwrap_used, reason = "clippy's exception for tests covers the test functions, not their helpers")]

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};

use serde_json::{Value, json};
use tempfile::TempDir;
use tidegate::upload::Digest;

use self::common::serve::{Serve, until};
use self::common::told::Told;

fn bench_command(to: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["bench", "--to", to]).args(arguments).env_remove("TIDEGATE_TO");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn bench(to: &str, arguments: &[&str]) -> Told {
    bench_command(to, arguments).output().unwrap().into()
}

/// A server that stores below a folder of its own, without flushes: these tests are not about the disk.
struct Bed {
    folder: TempDir,
    serve: Serve,
}

impl Bed {
    fn with_rules(rules: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("rules.toml"), rules).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        command.arg("serve").args(["--config", "rules.toml"]).current_dir(folder.path());
        command.env("TIDEGATE__SINK__FS__DURABILITY", "cache");
        let serve = Serve::run(&mut command, &folder.path().join("data"));
        Self { folder, serve }
    }

    fn new() -> Self {
        Self::with_rules("")
    }

    fn told(&self, arguments: &[&str]) -> Told {
        bench(&self.serve.address, arguments)
    }

    /// What lies in the store and how large it is.
    fn stored(&self) -> Vec<(PathBuf, u64)> {
        let size = |path: &PathBuf| fs::metadata(self.folder.path().join("data").join(path)).unwrap().len();
        self.serve.visible().into_iter().map(|path| (path.clone(), size(&path))).collect()
    }
}

#[track_caller]
fn is_between(value: &Value, least: u64, most: u64) {
    let number = value.as_u64().unwrap();
    assert!((least..=most).contains(&number), "{number} is not in {least}..={most}");
}

#[test]
fn files_of_each_format_lie_whole_in_the_folder_whatever_is_spoken() {
    let bed = Bed::new();
    let mut expected = 0;
    for protocol in [&["--protocol", "plain"][..], &["--protocol", "framed"], &["--pipeline", "8"]] {
        for (format, extension) in [("random", "bin"), ("csv", "csv"), ("json", "json")] {
            let fixed = ["--files", "30", "--size", "10KiB", "--concurrency", "3", "--json", "--format", format];
            let told = bed.told(&[&fixed, protocol].concat()).object(0);
            assert_eq!((&told["files_committed"], &told["bytes_committed"]), (&json!(30), &json!(30 * 10_240)));
            let prefix = told["name_prefix"].as_str().unwrap();
            let stored: Vec<_> = bed.stored().into_iter().filter(|(path, _)| path.starts_with(prefix)).collect();
            assert_eq!(stored.len(), 30);
            for (path, size) in stored {
                assert_eq!((path.extension().unwrap().to_str(), size), (Some(extension), 10_240), "{}", path.display());
            }
            expected += 30;
        }
    }
    assert_eq!(bed.stored().len(), expected, "no run has written over another one");
}

#[test]
fn the_server_has_looked_through_what_has_a_format() {
    let bed = Bed::new();
    for format in ["csv", "json"] {
        bed.told(&["--files", "2", "--size", "3MiB", "--format", format]).ended(0);
    }
    bed.told(&["--files", "2", "--size", "3MiB"]).ended(0);
    let read = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
        let log = command.args(["log", "--json"]).env("TIDEGATE__SINK__FS__ROOT", &bed.serve.root).output().unwrap();
        String::from_utf8(log.stdout).unwrap()
    };
    // No answer waits for its line.
    until("a line for each upload", || read().lines().count() >= 6);
    let log = read();
    let validated = log.lines().filter(|line| line.contains("\"records\":")).count();
    assert_eq!((log.lines().count(), validated), (6, 4), "{log}");
    assert_eq!(log.matches("\"tidegate-bench\"").count(), 6, "{log}");
}

#[test]
fn the_object_says_everything_with_its_units() {
    let bed = Bed::new();
    let told = bed.told(&["--files", "50", "--size", "2000", "--concurrency", "4", "--pipeline", "2", "--json"]).object(0);
    let asked = json!({"to": bed.serve.address, "protocol": "framed", "format": "random", "concurrency": 4, "pipeline": 2,
        "digests_checked": true, "files_wanted": 50, "files_begun": 50, "files_committed": 50, "files_failed": 0,
        "bytes_committed": 100_000, "durability": {"cache": 50}, "errors": {}, "connections_given_up": 0,
        "interrupted": false});
    for (key, value) in asked.as_object().unwrap() {
        assert_eq!(&told[key], value, "{key}");
    }
    assert!(told["name_prefix"].as_str().unwrap().starts_with("bench/"));
    for positive in ["seconds", "megabytes_per_second", "files_per_second", "client_cpu_seconds"] {
        assert!(told[positive].as_f64().unwrap() > 0.0, "{positive}");
    }
    let latency = ["min", "p50", "p90", "p99", "p99_9", "max"].map(|key| told["latency_micros"][key].as_u64().unwrap());
    assert!(latency.is_sorted() && latency[0] > 0, "{latency:?}");
    is_between(&told["latency_micros"]["mean"], latency[0], latency[5]);
    let [size] = told["sizes"].as_array().unwrap().as_slice() else { panic!("{told}") };
    assert_eq!((&size["file_bytes"], &size["files_committed"]), (&json!(2000), &json!(50)));
    assert_eq!(size["latency_micros"], told["latency_micros"]);
}

#[test]
fn a_person_reads_counts_rates_and_percentiles() {
    let bed = Bed::new();
    let told = bed.told(&["--files", "20", "--mix", "1KiB:1,2KiB:1"]);
    told.ended(0);
    assert!(told.out.starts_with("committed  20 of 20 files, "), "{}", told.out);
    assert!(told.out.contains("durability cache"), "{}", told.out);
    let names: Vec<&str> = told.out.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(names, ["committed", "rate", "latency", "1.00", "2.00", "all", "client"], "{}", told.out);
    assert!(told.err.contains("names begin with bench/"), "{}", told.err);
}

#[test]
fn a_mix_brings_every_size_and_the_same_in_every_run() {
    let bed = Bed::new();
    let runs = [["--protocol", "framed"], ["--protocol", "plain"]].map(|protocol| {
        let arguments = ["--files", "60", "--mix", "1KiB:3,20KiB:1", "--format", "csv", "--name-prefix", "a/b-", "--json"];
        bed.told(&[&arguments[..], &protocol].concat()).object(0)
    });
    let counts =
        |run: &Value, key| run["sizes"].as_array().unwrap().iter().map(|size| size[key].clone()).collect::<Vec<_>>();
    assert_eq!(counts(&runs[0], "file_bytes"), [json!(1024), json!(20_480)]);
    assert_eq!(counts(&runs[0], "files_committed"), counts(&runs[1], "files_committed"));
    for run in &runs {
        let prefix = run["name_prefix"].as_str().unwrap();
        assert!(prefix.starts_with("a/b-"), "{prefix}");
        for size in run["sizes"].as_array().unwrap() {
            let stored = bed.stored();
            let mine = stored.iter().filter(|(path, bytes)| path.starts_with(prefix) && size["file_bytes"] == json!(bytes));
            is_between(&size["files_committed"], 1, 59);
            assert_eq!(size["files_committed"], json!(mine.count()));
        }
    }
}

#[test]
fn refused_files_are_counted_and_shown_and_the_others_go_on() {
    let bed = Bed::with_rules("[[rules]]\nmatch = \"*.bin\"\nmax_bytes = \"15KiB\"\n");
    for protocol in [&["--protocol", "plain"][..], &["--protocol", "framed"], &["--pipeline", "4"]] {
        let arguments = [&["--files", "40", "--mix", "10KiB:1,2MiB:1", "--concurrency", "2"], protocol].concat();
        let told = bed.told(&[&arguments[..], &["--json"]].concat()).object(1);
        let [small, large] = told["sizes"].as_array().unwrap().as_slice() else { panic!("{told}") };
        let committed = small["files_committed"].as_u64().unwrap();
        assert_eq!((&told["files_committed"], &large["files_committed"]), (&json!(committed), &json!(0)));
        assert_eq!((&told["files_begun"], &told["files_failed"]), (&json!(40), &json!(40 - committed)), "{told}");
        assert_eq!(told["errors"]["too_large"]["files"], json!(40 - committed), "{told}");
        let messages = told["errors"]["too_large"]["messages"].as_array().unwrap();
        is_between(&json!(messages.len()), 1, 3);
        assert!(messages[0].as_str().unwrap().starts_with("bench/"), "{told}");
        let told = bed.told(&arguments);
        told.ended(1);
        assert!(told.err.contains("[too_large]\n"), "{}", told.err);
    }
}

#[test]
fn a_time_ends_the_beginning_of_files_and_what_was_begun_gets_its_receipt() {
    let bed = Bed::new();
    let told = bed.told(&["--duration", "300ms", "--concurrency", "4", "--pipeline", "4", "--json"]).object(0);
    assert_eq!(told["files_begun"], told["files_committed"]);
    assert_eq!(told["files_committed"], json!(bed.stored().len()));
    assert!(told.get("files_wanted").is_none(), "{told}");
    assert!(told["seconds"].as_f64().unwrap() >= 0.3, "{told}");
}

#[test]
fn an_interrupt_ends_the_beginning_of_files_and_the_summary_is_told() {
    let bed = Bed::new();
    let child = bench_command(&bed.serve.address, &["--duration", "10m", "--pipeline", "2", "--json"]).spawn().unwrap();
    until("the first files", || bed.stored().len() > 20);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let told = Told::of(child).object(130);
    assert_eq!((&told["interrupted"], &told["files_failed"]), (&json!(true), &json!(0)));
    assert_eq!(told["files_committed"], json!(bed.stored().len()));
}

#[test]
fn a_second_interrupt_waits_for_nothing_more() {
    let (all_came, came) = std::sync::mpsc::channel();
    let (address, played) = fake(move |listener| {
        let mut talk = Talk::accept(listener);
        for _ in 0..3 {
            talk.put();
        }
        all_came.send(()).unwrap();
        // Nothing is ever answered.
        assert_eq!(talk.0.read(&mut [0]).unwrap_or(0), 0);
    });
    let arguments = ["--size", "100", "--concurrency", "1", "--pipeline", "3", "--duration", "10m", "--json"];
    let mut child = bench_command(&address, &arguments).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    let interrupt = || assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    came.recv_timeout(common::serve::DEADLINE).unwrap();
    interrupt();
    assert!(said.next().unwrap().unwrap().starts_with("interrupted: waiting for the receipts"));
    interrupt();
    let told = Told::of(child).object(130);
    played.join().unwrap();
    assert_eq!((&told["files_begun"], &told["files_failed"]), (&json!(3), &json!(3)), "{told}");
    assert_eq!(told["errors"]["aborted"]["files"], 3, "{told}");
}

#[test]
fn a_server_that_is_not_there_is_told_before_anything_is_sent() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let told = bench(&address, &["--json"]);
    told.ended(1);
    assert_eq!(told.out, "");
    assert!(told.err.starts_with(&format!("tidegate: connecting to {address}: ")), "{}", told.err);
}

#[test]
fn a_server_that_goes_away_ends_the_load_and_every_file_is_accounted_for() {
    for protocol in ["plain", "framed"] {
        let bed = Bed::new();
        let arguments = ["--files", "1000000", "--concurrency", "4", "--protocol", protocol, "--json"];
        let child = bench_command(&bed.serve.address, &arguments).spawn().unwrap();
        until("the first files", || bed.stored().len() > 20);
        let Bed { folder, serve } = bed;
        serve.kill();
        let told = Told::of(child).object(1);
        let number = |key: &str| told[key].as_u64().unwrap();
        assert_eq!(number("files_begun"), number("files_committed") + number("files_failed"));
        assert_eq!(number("connections_given_up"), 4, "{told}");
        // A server that is just dying may still take a connection or two.
        is_between(&told["files_failed"], 4, 1000);
        let by_code = told["errors"].as_object().unwrap().values().map(|failures| failures["files"].as_u64().unwrap());
        assert_eq!(by_code.sum::<u64>(), number("files_failed"), "{told}");
        let stored = common::serve::files(&folder.path().join("data/bench")).len() as u64;
        assert!(number("files_committed") <= stored, "what has a receipt lies there: {told}");
    }
}

#[test]
fn a_command_line_that_makes_no_sense_is_refused() {
    for (arguments, why) in [
        (&["--protocol", "plain", "--pipeline", "2"][..], "--pipeline needs --protocol framed"),
        (&["--format", "csv", "--size", "10"], "a csv of 10 B can't be made: it has at least "),
        (&["--name-prefix", "../"], "--name-prefix: "),
        (&["--name-prefix", "my files/"], "a space ends a name"),
        (&["--mix", "web"], "mixes that have a name are small, mixed, large"),
        (&["--files", "1", "--duration", "1s"], "cannot be used with"),
        (&["--size", "1KiB", "--mix", "small"], "cannot be used with"),
        (&["--size", "ten"], "is not a size"),
        (&["--concurrency", "0"], "0 is not in 1.."),
    ] {
        let told = bench("127.0.0.1:1", arguments);
        told.ended(2);
        assert!(told.err.contains(why), "{arguments:?}: {}", told.err);
    }
}

/// A server that does what a test tells it; the greeting before the load is its own affair.
fn fake(script: impl FnOnce(&TcpListener) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let played = thread::spawn(move || {
        drop(Talk::accept(&listener));
        script(&listener);
    });
    (address, played)
}

struct Talk(BufReader<TcpStream>);

impl Talk {
    fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(common::serve::DEADLINE)).unwrap();
        let mut talk = Self(BufReader::new(stream));
        assert_eq!(talk.line()["op"], "hello");
        let limits = json!({"max_file_bytes": 1_000_000, "max_line_bytes": 65536, "idle_timeout_ms": 30000});
        talk.say(&json!({"event": "hello", "version": 1, "limits": limits}));
        talk
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    /// The next put, and its body.
    fn put(&mut self) -> (Value, Vec<u8>) {
        let put = self.line();
        let mut body = vec![0; usize::try_from(put["size"].as_u64().unwrap()).unwrap()];
        self.0.read_exact(&mut body).unwrap();
        (put, body)
    }

    fn say(&mut self, event: &Value) {
        self.0.get_mut().write_all(format!("{event}\n").as_bytes()).unwrap();
    }

    fn commit(&mut self, put: &Value, digest: &str, size: u64) {
        let receipt = json!({"id": put["id"], "name": put["name"], "key": put["name"], "size": size, "digest": digest,
            "committed_at": "2026-10-17T08:00:00.000Z", "durability": "disk"});
        self.say(&json!({"event": "committed", "id": put["id"], "receipt": receipt}));
    }
}

#[test]
fn a_receipt_for_something_else_is_no_receipt() {
    for (flag, code, digest, size) in [
        (&[][..], "digest_mismatch", Digest::of(b"something else"), 5000),
        (&[][..], "size_mismatch", Digest::of(b""), 4999),
        (&["--no-digest"][..], "size_mismatch", Digest::of(b""), 4999),
    ] {
        let (address, played) = fake(move |listener| {
            let mut talk = Talk::accept(listener);
            let (put, body) = talk.put();
            let sent = Digest::of(&body).to_string();
            assert_eq!(put["digest"], if flag.is_empty() { json!(sent) } else { json!(null) });
            talk.commit(&put, &digest.to_string(), size);
        });
        let arguments = ["--files", "1", "--size", "5000", "--concurrency", "1", "--json"];
        let told = bench(&address, &[&arguments, flag].concat()).object(1);
        played.join().unwrap();
        assert_eq!((&told["files_committed"], &told["errors"][code]["files"]), (&json!(0), &json!(1)), "{told}");
        assert!(told.get("latency_micros").is_none(), "{told}");
    }
}

#[test]
fn so_many_files_are_on_their_way_before_a_receipt_is_waited_for() {
    let (address, played) = fake(|listener| {
        let mut talk = Talk::accept(listener);
        // Nobody is answered before all places are taken: a generator that waits earlier would be stuck.
        let puts: Vec<_> = (0..5).map(|_| talk.put()).collect();
        talk.0.get_ref().set_nonblocking(true).unwrap();
        assert!(talk.0.fill_buf().is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "a sixth came");
        talk.0.get_ref().set_nonblocking(false).unwrap();
        for (put, body) in &puts {
            talk.commit(put, &Digest::of(body).to_string(), 100);
        }
        let (put, body) = talk.put();
        talk.commit(&put, &Digest::of(&body).to_string(), 100);
        assert_eq!(talk.0.read(&mut [0]).unwrap(), 0);
    });
    let told =
        bench(&address, &["--files", "6", "--size", "100", "--concurrency", "1", "--pipeline", "5", "--json"]).object(0);
    played.join().unwrap();
    assert_eq!(told["files_committed"], 6);
}

#[test]
fn a_lost_connection_costs_the_files_on_their_way_and_none_is_sent_twice() {
    let (address, played) = fake(|listener| {
        let mut talk = Talk::accept(listener);
        let lost = [talk.put().0["name"].clone(), talk.put().0["name"].clone()];
        drop(talk);
        let mut talk = Talk::accept(listener);
        for _ in 0..3 {
            let (put, body) = talk.put();
            assert!(!lost.contains(&put["name"]), "{put}");
            talk.commit(&put, &Digest::of(&body).to_string(), 100);
        }
    });
    let told =
        bench(&address, &["--files", "5", "--size", "100", "--concurrency", "1", "--pipeline", "2", "--json"]).object(1);
    played.join().unwrap();
    assert_eq!((&told["files_committed"], &told["files_failed"]), (&json!(3), &json!(2)), "{told}");
    assert_eq!(told["connections_given_up"], 0);
}
