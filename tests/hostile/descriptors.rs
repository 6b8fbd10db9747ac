//! File descriptors: a server that has few of them, and senders that open many.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::serve::{DEADLINE, until};
use crate::harness::{Attacker, GoodSender, Setup, Victim, Watch, raise_open_files_limit, read_line};

/// The message of a server that has no descriptor left (EMFILE).
const TOO_MANY: &str = "Too many open files";

fn few_descriptors(limit: usize) -> Victim {
    Setup::new().shell(&format!("ulimit -n {limit}")).start()
}

/// Connections from 100 addresses, of which so many have an upload that drips, and the others are
/// silent.
fn crowd(victim: &Victim, connections: usize, drips: usize) -> Vec<Attacker> {
    let server = victim.serve.address.parse().unwrap();
    let connect = |number: usize| {
        let mut attacker = Attacker::reach(server, &format!("127.0.1.{}", number % 100 + 1)).ok()?;
        if number < drips {
            // The server may have closed it already.
            let _ = attacker.send_now(b"drip.bin 1000000\nx");
        }
        Some(attacker)
    };
    (0..connections).filter_map(connect).collect()
}

/// Uploads of 300 KiB at 60 KiB a second, from an address each; the answers.
fn steady(victim: &Victim, count: u32) -> Vec<JoinHandle<String>> {
    let upload = |number: u32| {
        let mut sender = Attacker::connect_from(victim, &format!("127.0.2.{}", number + 1));
        std::thread::spawn(move || {
            sender.send(format!("steady/{number}.bin 307200\n").as_bytes());
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(100));
                sender.send(&[b'x'; 6144]);
            }
            sender.line().unwrap_or_default()
        })
    };
    (0..count).map(upload).collect()
}

fn survives_a_crowd(limit: usize, uploads: u32, connections: usize, drips: usize) {
    raise_open_files_limit();
    let victim = few_descriptors(limit);
    let watch = Watch::over(&victim);
    let steady = steady(&victim, uploads);
    until("the uploads", || victim.metric("tidegate_uploads_in_flight", &[]) >= f64::from(uploads));
    let crowd = crowd(&victim, connections, drips);
    let good = GoodSender::beside_from(&victim, "127.0.0.9");
    // More than 100, so that the first commit's wait for a slot is above the p99.
    good.commits(110);
    for upload in steady {
        let answer = upload.join().unwrap();
        assert!(answer.starts_with("OK steady/"), "{answer}");
    }
    // The admin listener has descriptors of its own.
    assert!(victim.metric("tidegate_connections_max", &[]) >= f64::from(uploads));
    assert!(victim.descriptors() <= limit);
    good.commits(10);
    drop(crowd);
    good.assert_unharmed();
    watch.assert_back();
    assert!(!victim.log().contains(TOO_MANY), "{}", victim.log());
    assert!(victim.ended("too_slow").ledger > 0);
    victim.logs(&format!("{limit} file descriptors are allowed"));
}

#[test]
fn a_server_with_60_descriptors_survives_a_crowd() {
    survives_a_crowd(60, 4, 200, 8);
}

#[test]
fn a_server_with_1024_descriptors_survives_a_crowd() {
    survives_a_crowd(1024, 50, 2000, 1000);
}

/// A sender that puts all its files at once, larger than what is held back, below many folders; how
/// many were committed.
fn pipelined(victim: &Victim, number: usize, files: usize) -> JoinHandle<usize> {
    let attacker = Attacker::connect_from(victim, &format!("127.0.3.{}", number + 1));
    std::thread::spawn(move || {
        let mut stream = attacker.into_stream(Duration::from_mins(1));
        let mut reader = stream.try_clone().unwrap();
        let sending = std::thread::spawn(move || {
            use std::io::Write as _;
            for file in 0..files {
                let folders = (0..40).fold(String::new(), |mut folders, depth| {
                    write!(folders, "{number}-{file}-{depth}/").unwrap();
                    folders
                });
                let put = format!("{{\"op\":\"put\",\"name\":\"{folders}a.bin\",\"size\":100000}}\n");
                stream.write_all(put.as_bytes()).unwrap();
                stream.write_all(&vec![b'x'; 100_000]).unwrap();
            }
        });
        let is_committed = |answer: &String| answer.contains("\"event\":\"committed\"");
        let committed = (0..files).filter_map(|_| read_line(&mut reader)).filter(is_committed).count();
        sending.join().unwrap();
        committed
    })
}

#[test]
fn commits_never_run_out_of_descriptors() {
    let victim = few_descriptors(60);
    let senders: Vec<_> = (0..6).map(|number| pipelined(&victim, number, 20)).collect();
    let committed: Vec<_> = senders.into_iter().map(|sender| sender.join().unwrap()).collect();
    assert_eq!(committed, [20; 6], "{}", victim.log());
    assert!(!victim.log().contains(TOO_MANY), "{}", victim.log());
}

#[test]
fn too_few_descriptors_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let script = "ulimit -n 30; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_tidegate"), "serve"]).current_dir(folder.path());
    command.env("TIDEGATE__LISTEN__TCP", "127.0.0.1:0").env("TIDEGATE__LISTEN__ADMIN", "127.0.0.1:0");
    let mut server = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while server.try_wait().unwrap().is_none() && start.elapsed() < DEADLINE {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = server.kill();
    let output = server.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("30 file descriptors are allowed, and the server needs at least "), "{said}");
}
