//! What an upload has to do with the ledger: nothing that it could wait for.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::Value;

use crate::harness::{config, start, start_with_held_commits};

fn entries(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    files.collect::<String>().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_commit_that_nobody_waited_for_is_entered_twice() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config();
    config.limits.commit_timeout = Duration::from_millis(50);
    config.ledger.folder = Some(folder.path().to_owned());
    let (server, commits) = start_with_held_commits(config).await;
    assert!(server.exchange(b"a.bin 1\nx").await.starts_with("ERR unknown "));
    commits.add_permits(1);
    server
        .until("the commit", |server| server.metric("tidegate_uploads_total{outcome=\"committed\",reason=\"ok\"}") == 1)
        .await;
    server.drained().await;
    let entries = entries(folder.path());
    let ends: Vec<_> = entries.iter().map(|entry| (entry["outcome"].as_str(), entry["reason"].as_str())).collect();
    assert_eq!(ends, [(Some("failed"), Some("unknown")), (Some("committed"), None)]);
    assert_eq!(entries[0]["id"], entries[1]["id"]);
}

#[tokio::test]
async fn uploads_go_on_while_the_ledgers_disk_hangs() {
    const UPLOADS: usize = 500;
    let folder = tempfile::tempdir().unwrap();
    // A pipe that nobody reads is full after some 64 KiB, and then holds its writer up. Tomorrow's is for midnight.
    for days in [0, 1] {
        let day = humantime::format_rfc3339(SystemTime::now() + Duration::from_hours(24 * days)).to_string();
        let path = folder.path().join(format!("{}.jsonl", &day[..10]));
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }
    let mut config = config();
    config.ledger.folder = Some(folder.path().to_owned());
    let server = start(config).await;
    let mut sender = server.connect().await;
    for number in 0..UPLOADS {
        sender.send(format!("{{\"op\":\"put\",\"name\":\"{number}\",\"size\":1}}\nx")).await;
        assert_eq!(sender.event().await["event"], "committed");
    }
    assert_eq!(server.keys().len(), UPLOADS);
}

#[tokio::test]
async fn a_server_without_a_ledger_is_a_server() {
    let server = start(config()).await;
    assert!(server.exchange(b"a.bin 1\nx").await.starts_with("OK "));
    assert!(server.exchange(b"../a 1\nx").await.starts_with("ERR bad_name "));
    assert_eq!(server.metric("tidegate_ledger_lost_total"), 0);
    server.drained().await;
}
