//! Attacks on the disk and on what is written beside the uploads: the ledger and the log; and a
//! clock that is not set.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::Command;

use crate::common::serve::{files, has, until};
use crate::harness::{GoodSender, Setup, Victim, Watch};

/// A line of the log of a refused name, with what stands beside the name, is longer than this.
const LOG_LINE_BYTES: usize = 400;

/// Standard error is a pipe whose reading end is open, and never read.
const UNREAD_PIPE: &str = "mkfifo \"$LOG\"; exec 3<>\"$LOG\"";

/// The size of the whole ledger.
fn ledger_bytes(victim: &Victim) -> u64 {
    let days = files(&victim.serve.root.join(".tidegate/ledger"));
    days.iter().map(|day| fs::metadata(day).unwrap().len()).sum()
}

/// Refused names: as much of the log as is asked for.
fn fill_log(victim: &Victim, bytes: usize) {
    let request = format!("../{} 1\nx", "x".repeat(200));
    for _ in 0..bytes / LOG_LINE_BYTES {
        let answer = victim.serve.exchange(request.as_bytes());
        assert!(answer.starts_with("ERR bad_name "), "{answer:?}");
    }
}

fn metric(victim: &Victim, name: &str) -> u64 {
    format!("{}", victim.metric(name, &[])).parse().unwrap()
}

#[test]
fn small_invalid_files_make_short_lines_of_the_ledger() {
    let rule = "[[rules]]\nmatch = \"*.csv\"\nformat = \"csv\"\nmax_errors = 100\n";
    let victim = Setup::new().config(rule).start();
    let file = format!("a\n{}", "x,\n".repeat(82));
    assert_eq!(file.len(), 248);
    let request = format!("a.csv {}\n{file}", file.len());
    let uploads = 50;
    for _ in 0..uploads {
        let answer = victim.serve.exchange(request.as_bytes());
        assert!(answer.starts_with("ERR invalid "), "{answer:?}");
    }
    let ended = victim.ended("invalid");
    assert_eq!(ended.metric, uploads);
    let bytes = ledger_bytes(&victim) / uploads as u64;
    assert!(bytes < 5 * 248, "{bytes} bytes of ledger for an upload of 248");
    for line in victim.ledger() {
        assert_eq!((&line["cut"], &line["report"]["errors_total"]), (&true.into(), &82.into()), "{line}");
        assert_eq!(line["report"]["counts"]["extra-cell"], 82, "{line}");
        assert_eq!(line["report"]["errors"][0]["line"], 2, "{line}");
    }
    let log = victim.log().len() / uploads;
    assert!(log < 2 * 248, "{log} bytes of log for an upload of 248");
}

#[test]
fn the_ledger_leaves_free_what_is_to_stay_free() {
    let victim = Setup::new().set("sink.fs.min_free", "1EiB").start();
    for lines in 1..=5 {
        let answer = victim.serve.exchange(b"a.txt 1\nx");
        assert!(answer.starts_with("ERR no_space "), "{answer:?}");
        // One by one: each batch finds the disk as full as the one before.
        until("the line to be lost", || metric(&victim, "tidegate_ledger_lost_total") == lines);
    }
    assert_eq!(ledger_bytes(&victim), 0);
    let refused = victim.metric("tidegate_uploads_total", &[("reason", "no_space")]);
    assert_eq!(format!("{refused}"), "5");
    victim.logs("reason=\"no_space\"");
    assert_eq!(victim.log().matches("ledger stopped: the disk is full").count(), 1, "{}", victim.log());
}

#[test]
fn a_log_that_nobody_reads_stops_neither_uploads_nor_the_end() {
    let mut victim = Setup::new().shell(UNREAD_PIPE).start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    fill_log(&victim, 2 << 20);
    good.commits(20);
    good.assert_unharmed();
    watch.assert_peak_below(64 << 20);
    let lost = metric(&victim, "tidegate_log_lost_total");
    assert!(lost > 0, "{lost}");
    let status = Command::new("kill").args(["-TERM", &victim.serve.pid().to_string()]).status().unwrap();
    assert!(status.success());
    until("the end of the server", || victim.serve.child.try_wait().unwrap().is_some());
    assert_eq!(victim.serve.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_log_that_is_read_again_says_how_many_lines_were_lost() {
    let victim = Setup::new().shell(UNREAD_PIPE).start();
    fill_log(&victim, 2 << 20);
    let lost = metric(&victim, "tidegate_log_lost_total");
    let mut lines = BufReader::new(File::open(victim.log_path()).unwrap()).lines().map(Result::unwrap);
    let line = lines.find(|line| line.contains("log lines lost")).unwrap();
    assert!(lost > 0 && line.ends_with(&format!(" lines={lost}")), "{line}");
    // From now on nothing is missing.
    fill_log(&victim, LOG_LINE_BYTES);
    assert!(lines.next().unwrap().contains("bad_name"));
    assert_eq!(metric(&victim, "tidegate_log_lost_total"), lost);
}

#[test]
fn a_file_beyond_the_limit_on_file_sizes_is_refused_and_no_other() {
    // In blocks of 512 bytes: 1 MiB.
    let victim = Setup::new().shell("ulimit -f 2048").start();
    let good = GoodSender::beside(&victim);
    let mut request = b"big.bin 2097152\n".to_vec();
    request.resize(request.len() + (2 << 20), b'x');
    for _ in 0..3 {
        let answer = victim.serve.exchange(&request);
        assert!(answer.starts_with("ERR no_space ") || answer.is_empty(), "{answer:?}");
    }
    good.commits(10);
    good.assert_unharmed();
    victim.refuses("no_space");
    victim.logs("RLIMIT_FSIZE");
    assert!(victim.is_alive() && victim.serve.staged().is_empty());
}

#[test]
fn a_ledger_and_a_log_beyond_the_limit_on_file_sizes_lose_lines_and_no_upload() {
    // 4 KiB.
    let victim = Setup::new().shell("ulimit -f 8").start();
    for number in 0..60 {
        let answer = victim.serve.exchange(format!("{number}.txt 1\nx").as_bytes());
        assert!(answer.starts_with("OK "), "{answer:?}");
    }
    until("lost lines", || {
        ["tidegate_ledger_lost_total", "tidegate_log_lost_total"].iter().all(|name| metric(&victim, name) > 0)
    });
    assert!(ledger_bytes(&victim) <= 4096 && victim.is_alive());
}

#[test]
fn a_clock_that_is_not_set_refuses_uploads_and_says_so() {
    if !has("faketime", "--version", "a clock that is not set") {
        return;
    }
    for (shift, told) in [("-80y", "the server's clock is before 1970: set it"), ("+8000y", "clock is after 9999: set it")] {
        let preload = format!(
            "export LD_PRELOAD=\"$(faketime -f {shift} printenv LD_PRELOAD)\" FAKETIME={shift} FAKETIME_DONT_FAKE_MONOTONIC=1"
        );
        let victim = Setup::new().shell(&preload).start();
        for _ in 0..3 {
            let answer = victim.serve.exchange(b"a.txt 1\nx");
            assert!(answer.starts_with("ERR clock ") && answer.contains(told), "{answer:?}");
        }
        // Without a date there is no page: the admin port says why.
        for page in ["/readyz", "/healthz", "/metrics"] {
            let answer = victim.serve.get(page);
            assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(told), "{answer}");
        }
        victim.logs("reason=\"clock\"");
        until("its lines in the ledger", || victim.ledger().iter().filter(|line| line["reason"] == "clock").count() == 3);
        assert!(!victim.log().contains("panicked"), "{}", victim.log());
        assert!(victim.is_alive() && victim.serve.visible().is_empty());
    }
}
