//! Folders that are made for an upload which then fails, while others want to use them.

use std::sync::Arc;

use rustix::io::Errno;

use super::forgetful::{Fault, Forgetful, Survives};
use super::random::Random;
use crate::error::Result;
use crate::sink::Sink;
use crate::sink::fs::disk::Disk;
use crate::sink::fs::{Fs, Terms};
use crate::upload::{Ending, Receipt, UploadId, UploadSpec};

const NAME: &str = "one/two/a.bin";

fn open(disk: &Forgetful) -> Fs<Forgetful> {
    Fs::on(disk.clone(), "/store".into(), Terms::of(0)).unwrap()
}

async fn put(sink: &Fs<Forgetful>, name: &str) -> Result<Receipt> {
    let mut staged = sink.stage(UploadSpec::new(UploadId::generate(), name.parse().unwrap())).await?;
    staged.write("abc".into()).await?;
    staged.commit(Ending::default()).await
}

/// How many operations a commit takes that makes its folders.
async fn operations() -> u64 {
    let disk = Forgetful::new();
    let sink = open(&disk);
    let before = disk.operations();
    put(&sink, NAME).await.unwrap();
    disk.operations() - before
}

#[tokio::test]
async fn an_upload_that_fails_leaves_no_folder() {
    for at in 0..operations().await {
        for errno in [Errno::IO, Errno::NOSPC] {
            let disk = Forgetful::new();
            let sink = open(&disk);
            disk.plan(at, Fault::Fails(errno));
            let failed = put(&sink, NAME).await;
            let has_name = disk.files().contains_key(NAME);
            assert!(has_name || disk.empty_folders().is_empty(), "{errno} at {at}: {failed:?}, {:?}", disk.empty_folders());
        }
    }
}

/// Another server removes what it has made and has no use for.
#[tokio::test]
async fn a_folder_that_vanishes_is_made_again() {
    for at in 0..operations().await {
        let disk = Forgetful::new();
        let sink = open(&disk);
        disk.plan(at, Fault::FoldersVanish);
        let receipt = put(&sink, NAME).await.unwrap_or_else(|error| panic!("at {at}: {error}"));
        let after = disk.cut(Survives::Nothing, Survives::Nothing, &mut Random::new(at));
        assert_eq!(after.files().get(receipt.key.as_str()).map(Vec::as_slice), Some(&b"abc"[..]), "at {at}");
    }
}

/// Another server makes the folder again, with the same number, and has not flushed it yet.
#[tokio::test]
async fn a_folder_is_not_known_to_be_durable_by_an_upload_that_failed() {
    for at in 0..operations().await {
        let disk = Forgetful::new();
        let sink = open(&disk);
        disk.plan(at, Fault::Fails(Errno::NOSPC));
        if put(&sink, NAME).await.is_ok() || disk.files().contains_key(NAME) {
            continue;
        }
        let root = disk.open_root("/store".as_ref()).unwrap();
        // The number of the staged file is free, too, and lower.
        disk.create(&root, "filler").unwrap();
        match disk.make_folder(&root, "one") {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => panic!("{errno}"),
        }
        let Ok(receipt) = put(&sink, NAME).await else { continue };
        let after = disk.cut(Survives::Nothing, Survives::Nothing, &mut Random::new(at));
        assert!(after.files().contains_key(receipt.key.as_str()), "at {at}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn uploads_that_fail_take_no_folder_from_those_that_do_not() {
    for round in 0..20 {
        let disk = Forgetful::new();
        let sink = Arc::new(open(&disk));
        let puts = (0..16).map(|number| {
            let (sink, disk) = (Arc::clone(&sink), disk.clone());
            tokio::spawn(async move {
                let name = format!("one/two/{number}.bin");
                // Every other one fails at some operation of itself or of those beside it.
                if number % 2 == 0 {
                    disk.plan(round + number, Fault::Fails(Errno::NOSPC));
                }
                (name.clone(), put(&sink, &name).await)
            })
        });
        let outcomes = futures::future::join_all(puts).await;
        let files = disk.cut(Survives::Nothing, Survives::Nothing, &mut Random::new(round)).files();
        for (name, outcome) in outcomes.into_iter().map(std::result::Result::unwrap) {
            match outcome {
                Ok(_) => assert!(files.contains_key(&name), "{name} has a receipt"),
                Err(error) => assert!(!error.to_string().contains("No such file"), "{name}: {error}"),
            }
        }
    }
}
