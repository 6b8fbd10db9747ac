//! Many commits at once, and the power cut while they share their flushes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tokio::task::JoinHandle;

use super::crashes::Told;
use super::forgetful::{Fault, Forgetful, Survives};
use super::random::{Random, seed, tries};
use crate::sink::Sink;
use crate::sink::fs::{Fs, Grouping, Terms};
use crate::upload::{Ending, Note, UploadSpec, WhenCut};

const SENDERS: usize = 8;
/// More operations than so many commits need.
const OPERATIONS: usize = 150;

/// What fails for one who shares a flush may be what another one waits to have flushed.
#[tokio::test]
async fn every_receipt_survives_a_flush_that_fails_among_many_commits() {
    let seed = seed();
    for attempt in 0..60 * tries() {
        let told = Told(format!("try {attempt}, TIDEGATE_SEED={seed}"));
        let errno = if attempt % 2 == 0 { Errno::IO } else { Errno::NOSPC };
        among_many(Random::new(seed ^ (attempt << 32)), Fault::Fails(errno)).await;
        drop(told);
    }
}

#[tokio::test]
async fn every_receipt_survives_a_power_cut_among_many_commits() {
    let seed = seed();
    for attempt in 0..30 * tries() {
        let told = Told(format!("try {attempt}, TIDEGATE_SEED={seed}"));
        among_many(Random::new(seed ^ (attempt << 32)), Fault::Death).await;
        drop(told);
    }
}

/// Who was told that his upload is kept finds it again.
#[tokio::test]
async fn every_upload_that_was_kept_survives_a_flush_that_fails_among_many() {
    let seed = seed();
    for attempt in 0..60 * tries() {
        let told = Told(format!("try {attempt}, TIDEGATE_SEED={seed}"));
        let mut random = Random::new(seed ^ (attempt << 32));
        let disk = Forgetful::new();
        let sink = Fs::on(disk.clone(), "/store".into(), Terms::of(0)).unwrap();
        let specs: Vec<_> = (0..SENDERS)
            .map(|sender| UploadSpec {
                when_cut: WhenCut::Keep,
                ..UploadSpec::new(format!("u{sender}").parse().unwrap(), format!("{sender}.bin").parse().unwrap())
            })
            .collect();
        let mut staged = Vec::new();
        for spec in &specs {
            let mut upload = sink.stage(spec.clone()).await.unwrap();
            upload.write(Random::bytes(1, 300).into()).await.unwrap();
            staged.push(upload);
        }
        disk.plan(random.below(OPERATIONS) as u64, Fault::Fails(Errno::IO));
        let kept = staged.into_iter().map(|upload| tokio::spawn(upload.suspend(Note::default())));
        let kept = futures::future::join_all(kept).await;
        let survives = [Survives::Nothing, Survives::Anything][random.below(2)];
        let sink = Fs::on(disk.cut(survives, survives, &mut random), "/store".into(), Terms::of(0)).unwrap();
        for (spec, kept) in specs.into_iter().zip(kept) {
            if let Ok(offset @ 1..) = kept.unwrap() {
                let again = sink.resume(spec).await.unwrap().map(|upload| upload.offset());
                assert_eq!(again, Some(offset));
            }
        }
        drop(told);
    }
}

async fn among_many(mut random: Random, fault: Fault) {
    let disk = Forgetful::new();
    let grouping = [Grouping::Shared, Grouping::One][random.below(2)];
    let sink = Fs::on(disk.clone(), "/store".into(), Terms { grouping, ..Terms::of(0) }).unwrap();
    let mut sent = BTreeMap::new();
    let mut staged = Vec::new();
    for sender in 0..SENDERS {
        let (key, bytes) = (format!("folder-{}/{sender}.bin", sender % 2), Random::bytes(sender as u64, 300));
        let mut upload =
            sink.stage(UploadSpec::new(format!("u{sender}").parse().unwrap(), key.parse().unwrap())).await.unwrap();
        upload.write(bytes.clone().into()).await.unwrap();
        sent.insert(key, bytes);
        staged.push(upload);
    }
    // Where each flushes for himself, nobody waits.
    let held = (grouping == Grouping::Shared).then(|| hold(&sink, &disk));
    disk.plan(random.below(OPERATIONS) as u64, fault);
    let outcomes = futures::future::join_all(staged.into_iter().map(|upload| upload.commit(Ending::default()))).await;
    if let Some(held) = held {
        held.await.unwrap();
    }
    assert!(disk.has_failed() || outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let survives = [Survives::Nothing, Survives::Anything][random.below(2)];
    let mut files = disk.cut(survives, survives, &mut random).files();
    files.retain(|path, _| !path.starts_with(".tidegate/"));
    for receipt in outcomes.into_iter().flatten() {
        assert!(files.contains_key(receipt.key.as_str()), "the receipt for {} is honoured", receipt.key);
    }
    for (key, bytes) in files {
        assert!(sent[&key] == bytes, "{key} is whole");
    }
}

/// Keeps the disk busy until everybody waits for it, so that they share the next flush.
fn hold(sink: &Fs<Forgetful>, disk: &Forgetful) -> JoinHandle<()> {
    let (begun, begins) = channel();
    let (shared, disk) = (Arc::clone(&sink.0), disk.clone());
    let held = tokio::task::spawn_blocking(move || {
        let busy = || {
            begun.send(()).unwrap();
            let deadline = Instant::now() + Duration::from_secs(30);
            while shared.flusher.waiting() < SENDERS && !disk.has_failed() {
                assert!(Instant::now() < deadline, "everybody waits");
                std::thread::yield_now();
            }
            Ok(())
        };
        shared.flusher.flush((u64::MAX, 0), busy, || panic!("nobody else waited")).unwrap();
    });
    begins.recv().unwrap();
    held
}
