//! Names without room for the number of a version, and names at random.

use std::collections::BTreeMap;

use tidegate::error::ErrorKind;
use tidegate::upload::{OnConflict, Receipt};

use super::assert_clean;
use crate::beds::Bed;
use crate::common::chance::Chance;
use crate::help::{key, send, spec};

/// Names that have no room for a number are cut, and found again.
pub(crate) async fn long_names_have_versions_too(bed: &dyn Bed) {
    let mut expected = Vec::new();
    for bytes in [250, 251, 253, 254, 255] {
        for (stem, extension) in [("x", ""), ("y", ".csv"), ("\u{e9}", ".bin"), ("\u{6f22}", "")] {
            let fill = stem.repeat((bytes - extension.len()) / stem.len());
            let pad = "p".repeat(bytes - extension.len() - fill.len());
            // A folder of its own, for names that are cut can meet.
            let name = format!("{bytes}/{pad}{fill}{extension}");
            let mut receipts = Vec::new();
            for content in [&b"one"[..], b"two", b"three"] {
                let receipt = send(bed.sink(), spec(&name, OnConflict::Version), content).await.unwrap();
                assert!(receipt.key.file_name().len() <= 255 && receipt.key.file_name().ends_with(extension));
                assert_eq!((&receipt.name, receipt.duplicate), (&key(&name), false));
                assert_eq!(bed.read(&receipt.key).await.as_deref(), Some(content));
                expected.push(receipt.key.to_string());
                receipts.push((content, receipt));
            }
            for (content, receipt) in receipts {
                let again = send(bed.sink(), spec(&name, OnConflict::Version), content).await.unwrap();
                assert_eq!(again, Receipt { duplicate: true, ..receipt });
            }
        }
    }
    expected.sort();
    assert_eq!(bed.names().await, expected);
    assert_clean(bed).await;
}

/// A folder has as little room for a number as a file.
pub(crate) async fn what_lies_below_a_long_name_has_a_place_beside_it(bed: &dyn Bed) {
    let long = "x".repeat(255);
    send(bed.sink(), spec(&long, OnConflict::Reject), b"file").await.unwrap();
    let name = format!("{long}/a.bin");
    let beside = send(bed.sink(), spec(&name, OnConflict::Version), b"one").await.unwrap();
    assert_eq!(beside.key.as_str(), format!("{}~2/a.bin", "x".repeat(250)));
    let again = send(bed.sink(), spec(&name, OnConflict::Version), b"one").await.unwrap();
    assert_eq!(again, Receipt { duplicate: true, ..beside.clone() });
    assert_eq!(bed.names().await, [long, beside.key.to_string()]);
    assert_clean(bed).await;
}

/// Two keys cut to one: each content has a place, and each is found again.
pub(crate) async fn long_names_that_are_cut_to_the_same_share_their_numbers(bed: &dyn Bed) {
    let names = ["a", "b"].map(|end| format!("{}{end}.csv", "x".repeat(250)));
    let mut receipts = Vec::new();
    for content in [&b"one"[..], b"two"] {
        for name in &names {
            let content = [content, name.as_bytes()].concat();
            let receipt = send(bed.sink(), spec(name, OnConflict::Version), &content).await.unwrap();
            assert!(!receipt.duplicate);
            receipts.push((name, content, receipt));
        }
    }
    for (name, content, receipt) in receipts {
        assert_eq!(bed.read(&receipt.key).await.as_deref(), Some(&content[..]));
        let again = send(bed.sink(), spec(name, OnConflict::Version), &content).await.unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..receipt });
    }
    assert_eq!(bed.names().await.len(), 4);
    assert_clean(bed).await;
}

const LIVES: u64 = 12;
const SENDERS: usize = 25;

/// Senders of a few names that are often in each other's way: each has the place that a simple
/// model says, and has it again.
pub(crate) async fn every_name_has_the_place_that_a_model_says(bed: &dyn Bed) {
    let long = "x".repeat(255);
    let components = ["a", "b.d", "a~2", &long, &format!("{}.csv", &long[4..])];
    for seed in 0..LIVES {
        let mut chance = Chance::new(seed);
        let mut model = BTreeMap::new();
        for _ in 0..SENDERS {
            let depth = 1 + chance.below(3);
            let name: Vec<_> = (0..depth).map(|_| components[chance.below(components.len())]).collect();
            let policy =
                [OnConflict::Version, OnConflict::Version, OnConflict::Reject, OnConflict::Overwrite][chance.below(4)];
            let content = [&b"one"[..], b"two", b"three"][chance.below(3)];
            let name = format!("{seed}/{}", name.join("/"));
            let sent = send(bed.sink(), spec(&name, policy), content).await;
            let Some((place, is_there)) = place_of(&model, &name, policy, content) else {
                assert_eq!(sent.unwrap_err().kind(), ErrorKind::Conflict, "{seed}: {name}");
                continue;
            };
            let receipt = sent.unwrap_or_else(|error| panic!("{seed}: {name}: {error}"));
            // A sink may look at every version of a place that is free.
            let is_version = || (2..100).any(|number| key(&place).version(number).unwrap() == receipt.key);
            if receipt.duplicate && !is_there && model.get(receipt.key.as_str()) == Some(&content) && is_version() {
                continue;
            }
            assert_eq!((receipt.key.as_str(), receipt.duplicate), (place.as_str(), is_there), "{seed}: {name}");
            model.insert(place, content);
            let again = send(bed.sink(), spec(&name, policy), content).await.unwrap();
            assert_eq!(again, Receipt { duplicate: true, ..receipt });
        }
        for (name, content) in model {
            assert_eq!(bed.read(&key(&name)).await.as_deref(), Some(content), "{seed}: {name}");
        }
    }
    assert_clean(bed).await;
}

/// Where a file must come to lie, and whether it lies there; `None` where it is refused.
fn place_of(model: &BTreeMap<String, &[u8]>, name: &str, policy: OnConflict, content: &[u8]) -> Option<(String, bool)> {
    let components: Vec<_> = name.split('/').collect();
    let mut place = String::new();
    for (depth, component) in components.iter().enumerate() {
        let is_last = depth == components.len() - 1;
        let mut found = None;
        for number in 1..100 {
            let version = if number == 1 { key(component) } else { key(component).version(number).unwrap() };
            let path = format!("{place}{version}");
            let is_folder = model.keys().any(|name| name.starts_with(&format!("{path}/")));
            match (model.get(&path), is_last) {
                (Some(there), true) if *there == content => return Some((path, true)),
                (Some(_), true) if policy == OnConflict::Overwrite => return Some((path, false)),
                (None, false) => found = Some(path),
                (None, true) if !is_folder => found = Some(path),
                (Some(_) | None, _) if policy == OnConflict::Version => continue,
                (Some(_) | None, _) => return None,
            }
            break;
        }
        place = found? + "/";
    }
    Some((place.trim_end_matches('/').to_owned(), false))
}
