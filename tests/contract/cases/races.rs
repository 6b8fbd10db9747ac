//! One name, several uploads, at once. Only on stores that decide by themselves who comes first.

use futures::future::join_all;
use tidegate::error::{ErrorKind, Result};
use tidegate::upload::{Ending, OnConflict, Receipt};

use super::assert_clean;
use crate::beds::Bed;
use crate::help::{key, noise, send, spec};

const WRITERS: u64 = 16;
/// Each of these holds some parts in memory.
const LARGE_WRITERS: u64 = 4;

/// All contents are staged first and committed at once.
async fn at_once(bed: &dyn Bed, name: &str, on_conflict: OnConflict, contents: &[Vec<u8>]) -> Vec<Result<Receipt>> {
    let mut staged = Vec::new();
    for content in contents {
        let mut upload = bed.sink().stage(spec(name, on_conflict)).await.unwrap();
        upload.write(content.clone().into()).await.unwrap();
        staged.push(upload);
    }
    join_all(staged.into_iter().map(|upload| upload.commit(Ending::default()))).await
}

pub(crate) async fn one_of_many_wins(bed: &dyn Bed) {
    if bed.is_atomic() {
        let contents: Vec<_> = (0..WRITERS).map(|seed| noise(1_000, seed)).collect();
        one_wins(bed, &contents).await;
    }
}

pub(crate) async fn every_version_is_kept(bed: &dyn Bed) {
    if bed.is_atomic() {
        let contents: Vec<_> = (0..WRITERS).map(|seed| noise(1_000, seed)).collect();
        all_are_kept(bed, &contents).await;
    }
}

pub(crate) async fn the_same_content_at_once(bed: &dyn Bed) {
    if bed.is_atomic() {
        for on_conflict in [OnConflict::Reject, OnConflict::Version] {
            one_copy(bed, on_conflict, &vec![noise(1_000, 1); 16]).await;
        }
    }
}

pub(crate) async fn large_files_at_once(bed: &dyn Bed) {
    if bed.is_atomic() {
        let contents: Vec<_> = (0..LARGE_WRITERS).map(|seed| noise(bed.part_bytes() + 10, seed)).collect();
        one_wins(bed, &contents).await;
        let over = send(bed.sink(), spec("a.bin", OnConflict::Overwrite), b"small").await.unwrap();
        assert_eq!(over.size, 5);
        let receipts: Vec<_> =
            at_once(bed, "a.bin", OnConflict::Version, &contents).await.into_iter().map(Result::unwrap).collect();
        assert!(receipts.iter().all(|receipt| receipt.key != key("a.bin") && !receipt.duplicate));
        assert_eq!(bed.names().await.len(), 1 + contents.len());
        assert_clean(bed).await;
    }
}

pub(crate) async fn the_same_large_file_at_once(bed: &dyn Bed) {
    if bed.is_atomic() {
        for on_conflict in [OnConflict::Version, OnConflict::Reject] {
            one_copy(bed, on_conflict, &vec![noise(bed.part_bytes() + 10, 1); 3]).await;
        }
    }
}

async fn one_wins(bed: &dyn Bed, contents: &[Vec<u8>]) {
    let outcomes = at_once(bed, "a.bin", OnConflict::Reject, contents).await;
    let mut won = Vec::new();
    for (outcome, content) in outcomes.into_iter().zip(contents) {
        match outcome {
            Ok(receipt) => won.push((receipt, content)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
    let [(receipt, content)] = &won[..] else { panic!("{} won", won.len()) };
    assert!(bed.read(&receipt.key).await.unwrap() == **content);
    assert_eq!(bed.names().await, ["a.bin"]);
    assert_clean(bed).await;
}

async fn all_are_kept(bed: &dyn Bed, contents: &[Vec<u8>]) {
    let outcomes = at_once(bed, "a.bin", OnConflict::Version, contents).await;
    let mut keys = Vec::new();
    for (outcome, content) in outcomes.into_iter().zip(contents) {
        let receipt = outcome.unwrap();
        assert!(!receipt.duplicate);
        assert!(bed.read(&receipt.key).await.unwrap() == *content);
        keys.push(receipt.key.to_string());
    }
    keys.sort();
    assert_eq!(bed.names().await, keys);
    assert_clean(bed).await;
}

async fn one_copy(bed: &dyn Bed, on_conflict: OnConflict, contents: &[Vec<u8>]) {
    let stem = format!("{on_conflict:?}");
    let outcomes = at_once(bed, &format!("{stem}.bin"), on_conflict, contents).await;
    let receipts: Vec<_> = outcomes.into_iter().map(Result::unwrap).collect();
    assert!(receipts.iter().filter(|receipt| !receipt.duplicate).count() <= 1);
    let mut names = bed.names().await;
    names.retain(|name| name.starts_with(&stem));
    let [name] = &names[..] else { panic!("{names:?}") };
    assert!(receipts.iter().all(|receipt| receipt.key.as_str() == name));
    assert_eq!(bed.read(&key(name)).await.as_deref(), contents.first().map(Vec::as_slice));
    assert_clean(bed).await;
}
