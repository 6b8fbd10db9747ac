//! What becomes of a file that is not valid, as its sender hears it, under each rule.

use std::path::Path;

use futures::TryStreamExt;
use serde_json::{Value, json};
use tidegate::config::{Config, Rule};
use tidegate::sink::Sink;
use tidegate::upload::{Digest, OnInvalid};

use crate::harness::{Running, config, start};

/// The flaw stands in the second row; the third is good.
const BAD: &str = "x,y\n1,2\n3\n5,6\n";
const GOOD: &str = "x,y\n1,2\n";

fn ruled() -> Config {
    let mut config = config();
    let rule =
        |pattern: &str, on_invalid| Rule { pattern: pattern.to_owned(), on_invalid: Some(on_invalid), ..Rule::default() };
    config.rules =
        vec![rule("kept/*", OnInvalid::Quarantine), rule("warned/*", OnInvalid::Warn), rule("refused/*", OnInvalid::Reject)];
    config
}

fn counted(server: &Running, outcome: &str, reason: &str) -> u64 {
    server.metric(&format!("tidegate_uploads_total{{outcome=\"{outcome}\",reason=\"{reason}\"}}"))
}

/// Name and bytes of all that is in quarantine.
async fn quarantine(server: &Running) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in server.store.quarantined().await.unwrap() {
        let bytes = server.store.quarantined_bytes(&file.id).await.unwrap().unwrap();
        let bytes = bytes.try_collect::<Vec<_>>().await.unwrap().concat();
        found.push((file.name.to_string(), String::from_utf8(bytes).unwrap()));
    }
    found
}

fn in_quarantine(name: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), BAD.to_owned())]
}

fn put(id: &str, name: &str, body: &str) -> String {
    format!("{}\n{body}", json!({"op": "put", "id": id, "name": name, "size": body.len()}))
}

async fn events(server: &Running, sent: &str) -> Vec<Value> {
    server.exchange(sent.as_bytes()).await.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_framed_sender_hears_what_became_of_it() {
    let server = start(ruled()).await;
    let sent = ["refused/a.csv", "kept/a.csv", "warned/a.csv"]
        .iter()
        .map(|name| put(&name.replace('/', "-"), name, BAD) + &put(&name.replace("/a", "-good"), name, GOOD))
        .collect::<String>();
    let events = events(&server, &sent).await;
    let [refused, good, kept, good_too, warned, taken] = &events[..] else { panic!("{events:?}") };
    let gist = |event: &Value| (event["event"].clone(), event["code"].clone());
    assert_eq!(gist(refused), (json!("rejected"), json!("invalid")));
    assert_eq!(refused["report"].get("quarantined"), None);
    for good in [good, good_too] {
        assert_eq!(good["event"], "committed", "{good}");
        assert_eq!(good["receipt"].get("report"), None);
    }
    assert_eq!(gist(kept), (json!("rejected"), json!("invalid")));
    let id = kept["report"]["quarantined"].as_str().unwrap();
    assert!(kept["message"].as_str().unwrap().contains(&format!("kept in quarantine as {id}")), "{kept}");
    assert_eq!(kept["report"]["errors"][0]["line"], 3);
    assert_eq!(warned["event"], "committed", "{warned}");
    let receipt = &warned["receipt"];
    assert_eq!((&receipt["verdict"]["errors"], &receipt["report"]["errors"][0]["line"]), (&json!(1), &json!(3)));
    assert_eq!(gist(taken), (json!("rejected"), json!("conflict")), "the warned file stands");
    assert_eq!(server.stored("warned/a.csv").as_deref(), Some(BAD));
    assert_eq!(server.stored("kept/a.csv").as_deref(), Some(GOOD));
    assert_eq!(quarantine(&server).await, in_quarantine("kept/a.csv"));
    assert_eq!((counted(&server, "rejected", "invalid"), counted(&server, "quarantined", "invalid")), (1, 1));
    assert_eq!((counted(&server, "committed", "invalid"), counted(&server, "committed", "ok")), (1, 2));
}

#[tokio::test]
async fn a_plain_sender_hears_what_became_of_it() {
    let server = start(ruled()).await;
    let say = |name: &str| format!("{name} {}\n{BAD}", BAD.len());
    let refused = server.exchange(say("refused/a.csv").as_bytes()).await;
    assert!(refused.starts_with("ERR invalid ") && !refused.contains("quarantine"), "{refused}");
    let kept = server.exchange(say("kept/a.csv").as_bytes()).await;
    assert!(kept.starts_with("ERR invalid \"kept/a.csv\" is not valid csv, kept in quarantine as "), "{kept}");
    assert!(kept.contains(": missing-cell: "), "{kept}");
    let warned = server.exchange(say("warned/a.csv").as_bytes()).await;
    assert_eq!(warned, format!("OK warned/a.csv {} {}\n", BAD.len(), Digest::of(BAD.as_bytes())));
    assert_eq!(server.keys(), ["warned/a.csv"]);
    assert_eq!(quarantine(&server).await, in_quarantine("kept/a.csv"));
}

#[tokio::test]
async fn the_same_file_gets_the_same_answer_and_is_kept_once() {
    let server = start(ruled()).await;
    let first = events(&server, &put("u1", "kept/a.csv", BAD)).await;
    let again = events(&server, &put("u1", "kept/a.csv", BAD)).await;
    assert_eq!(first, again);
    let asked = json!({"op": "put", "id": "u1", "name": "kept/a.csv", "size": BAD.len(), "resume": true});
    let asked = events(&server, &format!("{asked}\n{BAD}")).await;
    assert_eq!(asked[0], json!({"event": "ready", "id": "u1", "offset": 0}));
    assert_eq!(asked[1], first[0]);
    assert_eq!(quarantine(&server).await, in_quarantine("kept/a.csv"));
    let beside = events(&server, &put("u2", "kept/b.csv", BAD)).await;
    assert_ne!(beside[0]["report"]["quarantined"], first[0]["report"]["quarantined"]);
    assert_eq!(quarantine(&server).await.len(), 2);
}

#[tokio::test]
async fn what_is_cut_off_is_neither_committed_nor_kept() {
    let server = start(ruled()).await;
    for name in ["kept/a.csv", "warned/a.csv"] {
        let answer = server.exchange(format!("{name} {}\n{BAD}", BAD.len() + 1).as_bytes()).await;
        assert!(answer.starts_with("ERR size_mismatch "), "{answer}");
        let cut = json!({"op": "put", "id": "u", "name": name, "size": BAD.len() + 1});
        let events = events(&server, &format!("{cut}\n{BAD}")).await;
        assert_eq!((&events[0]["event"], &events[0]["code"]), (&json!("failed"), &json!("incomplete")));
        let open = json!({"op": "put", "id": "v", "name": name});
        let chunk = json!({"chunk": BAD.len()});
        let events = self::events(&server, &format!("{open}\n{chunk}\n{BAD}")).await;
        assert_eq!((&events[0]["event"], &events[0]["code"]), (&json!("failed"), &json!("incomplete")));
        let wrong = json!({"op": "put", "name": name, "size": BAD.len(), "digest": Digest::of(b"else")});
        let events = self::events(&server, &format!("{wrong}\n{BAD}")).await;
        assert_eq!(events[0]["code"], "digest_mismatch");
    }
    assert_eq!(server.keys(), Vec::<String>::new());
    assert_eq!(quarantine(&server).await, []);
}

#[tokio::test]
async fn the_ledger_tells_where_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = ruled();
    config.ledger.folder = Some(folder.path().to_owned());
    let server = start(config).await;
    let kept = events(&server, &(put("u1", "kept/a.csv", BAD) + &put("u2", "warned/a.csv", BAD))).await;
    server.drained().await;
    let entries = entries(folder.path());
    let ends: Vec<_> = entries.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(ends, ["rejected", "committed"]);
    assert_eq!(entries[0]["report"]["quarantined"], kept[0]["report"]["quarantined"]);
    assert!(entries[0]["message"].as_str().unwrap().contains("kept in quarantine as "));
    assert_eq!((&entries[1]["verdict"]["errors"], &entries[1]["report"]["errors_total"]), (&json!(1), &json!(1)));
}

fn entries(folder: &Path) -> Vec<Value> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap());
    files.collect::<String>().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
