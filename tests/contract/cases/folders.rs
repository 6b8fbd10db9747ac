//! Names that are files for one sender and folders for another.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use tidegate::error::{Error, ErrorKind, Result};
use tidegate::sink::Staged;
use tidegate::upload::{Ending, OnConflict, Receipt};

use super::assert_clean;
use crate::beds::Bed;
use crate::help::{key, noise, send, spec};

const POLICIES: [OnConflict; 3] = [OnConflict::Reject, OnConflict::Overwrite, OnConflict::Version];

/// A conflict that names what is in the way, and says what to do.
fn assert_conflict(error: &Error, in_the_way: &str) {
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let message = error.to_string();
    let remedy = format!(": send it under another name, or move {in_the_way:?} away");
    assert!(message.ends_with(&remedy), "{message}");
}

pub(crate) async fn no_file_takes_the_place_of_a_folder(bed: &dyn Bed) {
    send(bed.sink(), spec("a/b/c.bin", OnConflict::Reject), b"abc").await.unwrap();
    for on_conflict in [OnConflict::Reject, OnConflict::Overwrite] {
        for name in ["a", "a/b"] {
            // Also where the content is that of a file in it.
            for bytes in [&b"abc"[..], b"other"] {
                assert_conflict(&send(bed.sink(), spec(name, on_conflict), bytes).await.unwrap_err(), name);
            }
        }
    }
    assert_eq!(bed.names().await, ["a/b/c.bin"]);
    assert_eq!(bed.read(&key("a/b/c.bin")).await.as_deref(), Some(&b"abc"[..]));
    // A key that only begins like a folder is none.
    for name in ["a/b/c", "a/b~", "a0"] {
        send(bed.sink(), spec(name, OnConflict::Reject), b"abc").await.unwrap();
    }
    assert_eq!(bed.names().await, ["a/b/c", "a/b/c.bin", "a/b~", "a0"]);
    assert_clean(bed).await;
}

pub(crate) async fn no_folder_takes_the_place_of_a_file(bed: &dyn Bed) {
    send(bed.sink(), spec("a", OnConflict::Reject), b"abc").await.unwrap();
    send(bed.sink(), spec("b/c", OnConflict::Reject), b"abc").await.unwrap();
    for on_conflict in [OnConflict::Reject, OnConflict::Overwrite] {
        for (name, in_the_way) in [("a/x.bin", "a"), ("a/b/c/x.bin", "a"), ("b/c/x.bin", "b/c"), ("b/c/d/x.bin", "b/c")] {
            for bytes in [&b"abc"[..], b"other"] {
                assert_conflict(&send(bed.sink(), spec(name, on_conflict), bytes).await.unwrap_err(), in_the_way);
            }
        }
    }
    assert_eq!(bed.names().await, ["a", "b/c"]);
    for name in ["a", "b/c"] {
        assert_eq!(bed.read(&key(name)).await.as_deref(), Some(&b"abc"[..]));
    }
    assert_clean(bed).await;
}

/// The name that a sender asks for, the bytes, and the resulting key.
type Sent = (&'static str, &'static [u8], &'static str);

pub(crate) async fn a_version_goes_beside_what_is_in_its_way(bed: &dyn Bed) {
    let sent: [Sent; 12] = [
        ("a/b.bin", b"first", "a/b.bin"),
        ("a", b"file", "a~2"),
        ("a", b"another", "a~3"),
        ("c.d", b"file", "c.d"),
        // The number goes to the ancestor that is a file, once for all that lies below it.
        ("c.d/e.bin", b"one", "c~2.d/e.bin"),
        ("c.d/e.bin", b"two", "c~2.d/e~2.bin"),
        ("c.d/f/g.bin", b"one", "c~2.d/f/g.bin"),
        ("c.d/f", b"file", "c~2.d/f~2"),
        ("c.d/e.bin/h.bin", b"one", "c~2.d/e~3.bin/h.bin"),
        ("a~2/b.bin", b"one", "a~2~2/b.bin"),
        // As long as `a` is a folder, nothing is in the way.
        ("a/x/y.bin", b"one", "a/x/y.bin"),
        ("c~2.d/i.bin", b"one", "c~2.d/i.bin"),
    ];
    let mut receipts = Vec::new();
    for (name, bytes, expected) in sent {
        let receipt = send(bed.sink(), spec(name, OnConflict::Version), bytes).await.unwrap();
        let told = (receipt.key.as_str(), receipt.name.as_str(), receipt.duplicate);
        assert_eq!(told, (expected, name, false), "{name}");
        assert_eq!(bed.read(&key(expected)).await.as_deref(), Some(bytes));
        receipts.push(receipt);
    }
    let other = bed.another().await;
    for ((name, bytes, _), receipt) in sent.into_iter().zip(receipts) {
        let again = send(other.as_ref(), spec(name, OnConflict::Version), bytes).await.unwrap();
        assert_eq!(again, Receipt { duplicate: true, ..receipt });
    }
    let expected: BTreeSet<_> = sent.iter().map(|(_, _, expected)| (*expected).to_owned()).collect();
    assert_eq!(bed.names().await, expected.into_iter().collect::<Vec<_>>());
    assert_clean(bed).await;
}

pub(crate) async fn large_files_are_in_the_way_too(bed: &dyn Bed) {
    let [one, two] = [1, 2].map(|seed| noise(bed.part_bytes() + 10, seed));
    send(bed.sink(), spec("a/b.bin", OnConflict::Reject), &one).await.unwrap();
    for on_conflict in POLICIES {
        let sent = send(bed.sink(), spec("a", on_conflict), &two).await;
        match on_conflict {
            OnConflict::Version => assert_eq!(sent.unwrap().key.as_str(), "a~2"),
            OnConflict::Reject | OnConflict::Overwrite => assert_conflict(&sent.unwrap_err(), "a"),
        }
        let sent = send(bed.sink(), spec("a/b.bin/c.bin", on_conflict), &two).await;
        match on_conflict {
            OnConflict::Version => assert_eq!(sent.unwrap().key.as_str(), "a/b~2.bin/c.bin"),
            OnConflict::Reject | OnConflict::Overwrite => assert_conflict(&sent.unwrap_err(), "a/b.bin"),
        }
        assert_clean(bed).await;
    }
    assert_eq!(bed.names().await, ["a/b.bin", "a/b~2.bin/c.bin", "a~2"]);
}

pub(crate) async fn a_name_that_was_refused_leaves_the_way_free(bed: &dyn Bed) {
    send(bed.sink(), spec("a", OnConflict::Reject), b"abc").await.unwrap();
    send(bed.sink(), spec("b/c/d", OnConflict::Reject), b"abc").await.unwrap();
    for name in ["a/b/c.bin", "b/c/d/e/f.bin"] {
        send(bed.sink(), spec(name, OnConflict::Reject), b"abc").await.unwrap_err();
    }
    // Nothing that is refused keeps a name from being a file.
    for name in ["b/c/e", "b/e"] {
        send(bed.sink(), spec(name, OnConflict::Reject), b"abc").await.unwrap();
    }
    assert_clean(bed).await;
}

const ROUNDS: usize = 20;

/// Files, and folders of the same names, committed at once through two nodes. Each that has a
/// receipt is there.
pub(crate) async fn files_and_folders_at_once(bed: &dyn Bed) {
    let nodes = [Arc::clone(bed.shared()), bed.another().await];
    for round in 0..ROUNDS {
        for on_conflict in POLICIES {
            let top = format!("{round}-{on_conflict:?}");
            let below = ["", "/a", "/a/b", "/b", "/b/c/d"].map(|path| format!("{top}{path}"));
            let mut staged = Vec::new();
            for (number, name) in below.iter().chain(&below).enumerate() {
                let content = noise(500 + number, number as u64);
                let mut upload = nodes[number % 2].stage(spec(name, on_conflict)).await.unwrap();
                upload.write(content.clone().into()).await.unwrap();
                staged.push((upload, name.clone(), content));
            }
            staged.rotate_left(round % 10);
            assert_all_have_places(bed, on_conflict, staged).await;
        }
    }
    assert_clean(bed).await;
}

async fn assert_all_have_places(bed: &dyn Bed, on_conflict: OnConflict, staged: Vec<(Box<dyn Staged>, String, Vec<u8>)>) {
    let (uploads, sent): (Vec<_>, Vec<_>) =
        staged.into_iter().map(|(upload, name, content)| (upload, (name, content))).unzip();
    let before: BTreeSet<_> = bed.names().await.into_iter().collect();
    // Each in a task of its own, so that they are in the store at the same time.
    let tasks = uploads.into_iter().map(|upload| tokio::spawn(upload.commit(Ending::default())));
    let outcomes: Vec<Result<Receipt>> = join_all(tasks).await.into_iter().map(std::result::Result::unwrap).collect();
    let mut keys = BTreeSet::new();
    for (outcome, (name, content)) in outcomes.into_iter().zip(sent) {
        match outcome {
            Ok(receipt) => {
                let there = bed.read(&receipt.key).await;
                let is_there = there.as_ref() == Some(&content);
                // Under `overwrite` a later one may have come to the same name.
                assert!(is_there || (on_conflict == OnConflict::Overwrite && there.is_some()), "{name} has a receipt");
                assert!(keys.insert(receipt.key.to_string()) || on_conflict == OnConflict::Overwrite, "{}", receipt.key);
            }
            Err(error) if bed.decides_folders() => {
                assert!(on_conflict != OnConflict::Version, "{name}: {error}");
                assert_eq!(error.kind(), ErrorKind::Conflict, "{name}: {error}");
            }
            Err(error) => assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Busy), "{name}: {error}"),
        }
    }
    if bed.decides_folders() {
        assert!(!keys.is_empty(), "the first comer has a place");
        let after: BTreeSet<_> = bed.names().await.into_iter().filter(|name| !before.contains(name)).collect();
        assert_eq!(after, keys, "what has a receipt is there, and nothing else");
    }
    let is_both = keys.iter().find(|name| keys.iter().any(|other| other.starts_with(&format!("{name}/"))));
    assert_eq!(is_both, None, "a file and a folder");
}
