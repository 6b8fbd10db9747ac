//! Names that are files for one sender and folders for another: what is left on the disk, and what
//! two servers make of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;

use crate::common::serve::{Serve, files};

/// Every folder that holds nothing, beside those that the server keeps for itself.
fn empty_folders(root: &Path) -> Vec<PathBuf> {
    let (mut empty, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries: Vec<_> = fs::read_dir(&folder).unwrap().map(Result::unwrap).collect();
        if entries.is_empty() {
            empty.push(folder);
        }
        let inner = entries.into_iter().filter(|entry| entry.file_type().unwrap().is_dir()).map(|entry| entry.path());
        folders.extend(inner.filter(|folder| !folder.ends_with(".tidegate")));
    }
    empty
}

#[test]
fn a_refusal_names_what_is_in_the_way_and_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::below(&folder.path().join("store"));
    let put = |name: &str| {
        let header = format!("{{\"op\":\"put\",\"name\":\"{name}\",\"size\":4}}\nbody");
        serve.exchange(header.as_bytes())
    };
    assert!(put("readings").contains("\"committed\""));
    assert!(put("other/a.bin").contains("\"committed\""));
    for (name, in_the_way) in [("readings/a.bin", "readings"), ("readings/b/c/d.bin", "readings"), ("other", "other")] {
        let answer = put(name);
        assert!(answer.contains("\"code\":\"conflict\""), "{answer}");
        let remedy = format!("send it under another name, or move \\\"{in_the_way}\\\" away");
        assert!(answer.contains(&remedy), "{answer}");
    }
    assert_eq!(empty_folders(&serve.root), Vec::<PathBuf>::new());
    assert_eq!(serve.visible(), [Path::new("other/a.bin"), Path::new("readings")]);
    assert!(serve.staged().is_empty());
}

const ROUNDS: usize = 40;

/// The answers of a server that shares the root to these senders.
fn race(servers: &[Serve; 2], sent: &[(String, Vec<u8>)]) -> Vec<String> {
    let start = Barrier::new(sent.len());
    thread::scope(|scope| {
        let senders: Vec<_> = sent
            .iter()
            .enumerate()
            .map(|(number, (_, bytes))| {
                let (serve, start) = (&servers[number % 2], &start);
                scope.spawn(move || {
                    start.wait();
                    serve.exchange(bytes)
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    })
}

#[test]
fn two_servers_give_receipts_only_for_files_that_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("store");
    let servers = [Serve::below(&root), Serve::below(&root)];
    let mut expected = BTreeMap::new();
    for round in 0..ROUNDS {
        let names = ["", "/a", "/a/b", "/a/c/d"].map(|below| format!("{round}{below}"));
        // At each server, each name once: plain, versions are kept; framed, the second comer is
        // refused.
        let plain = names.iter().map(|name| (name.clone(), format!("plain {name}")));
        let plain: Vec<_> = plain.chain(names.iter().map(|name| (name.clone(), format!("twice {name}")))).collect();
        let framed: Vec<_> = names.iter().map(|name| (format!("f{name}"), format!("framed {name}"))).collect();
        let header = |(name, body): &(String, String)| (name.clone(), format!("{name} {}\n{body}", body.len()).into_bytes());
        let put = |(name, body): &(String, String)| {
            let put = format!("{{\"op\":\"put\",\"name\":\"{name}\",\"size\":{}}}\n{body}", body.len());
            (name.clone(), put.into_bytes())
        };
        let sent: Vec<_> = plain.iter().map(header).chain(framed.iter().map(put)).collect();
        let answers = race(&servers, &sent);
        for ((name, body), answer) in plain.iter().zip(&answers) {
            let key = answer.strip_prefix("OK ").and_then(|rest| rest.split(' ').next());
            let key = key.unwrap_or_else(|| panic!("{name} was not kept: {answer}"));
            assert_eq!(expected.insert(key.to_owned(), body.clone()), None, "{key} was given twice");
        }
        for ((name, body), answer) in framed.iter().zip(&answers[plain.len()..]) {
            if answer.contains("\"committed\"") {
                expected.insert(name.clone(), body.clone());
            } else {
                assert!(answer.contains("\"code\":\"conflict\""), "{name}: {answer}");
            }
        }
    }
    let mut there = BTreeMap::new();
    for path in files(&root) {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap();
        if !name.starts_with(".tidegate/") {
            there.insert(name.to_owned(), fs::read_to_string(&path).unwrap());
        }
    }
    assert_eq!(there, expected);
    assert_eq!(empty_folders(&root), Vec::<PathBuf>::new());
}
