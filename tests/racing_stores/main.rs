//! Stores that keep conditions, but not in a race: what `check` says of them, and that no race ends
//! with two receipts.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

#[path = "../common/mod.rs"]
mod common;

use tidegate::error::{ErrorKind, Result};
use tidegate::sink::object::Object;
use tidegate::sink::{Probe, Sink, Staged};
use tidegate::upload::{Ending, OnConflict, Receipt, UploadId, UploadSpec, WhenCut};

use self::common::bucket::Bucket;
use self::common::racing_stores::{moto_bucket, seaweedfs_bucket};

const RACES: usize = 8;
const LARGE: usize = 9 << 20;
/// One request each. moto keeps no condition of two such at once either.
const SMALL: usize = 4 << 20;

/// A server of its own: nothing but the store stands between two of these.
async fn node(bucket: &Bucket) -> (Object, Probe) {
    let sink = Object::connect(&bucket.config("in")).unwrap();
    let probe = sink.probe().await.unwrap();
    (sink, probe)
}

async fn staged(sink: &Object, name: &str, bytes: &[u8], when_cut: WhenCut) -> Result<Box<dyn Staged>> {
    let spec = UploadSpec::new(UploadId::generate(), name.parse().unwrap());
    let mut staged = sink.stage(UploadSpec { when_cut, on_conflict: OnConflict::Reject, ..spec }).await?;
    staged.write(bytes.to_vec().into()).await?;
    Ok(staged)
}

/// Two files for one name at two nodes, committed at once.
async fn race(nodes: [&Object; 2], name: &str, contents: &[Vec<u8>; 2], when_cut: WhenCut) -> [Result<Receipt>; 2] {
    let one = staged(nodes[0], name, &contents[0], when_cut).await.unwrap();
    let two = staged(nodes[1], name, &contents[1], when_cut).await.unwrap();
    tokio::join!(one.commit(Ending::default()), two.commit(Ending::default())).into()
}

async fn assert_one_winner(bucket: &Bucket, name: &str, outcomes: &[Result<Receipt>; 2], contents: &[Vec<u8>; 2]) {
    let stored = bucket.read(&format!("in/{name}")).await;
    match outcomes {
        [Ok(_), Err(error)] | [Err(error), Ok(_)] => {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{name}: {error}");
            let winner = usize::from(outcomes[1].is_ok());
            assert!(stored.as_ref() == Some(&contents[winner]), "{name}: another file than the receipt's");
        }
        [Err(one), Err(two)] => {
            for error in [one, two] {
                assert_eq!(error.kind(), ErrorKind::Store, "{name}: {error}");
                assert!(error.to_string().contains("use another store"), "{name}: {error}");
            }
            assert!(stored.is_none(), "{name}: refused, and stored");
        }
        [Ok(_), Ok(_)] => panic!("{name}: two receipts for one file"),
    }
}

async fn assert_races(bucket: &Bucket) -> [Probe; 2] {
    let ((one, first), (two, second)) = (node(bucket).await, node(bucket).await);
    for size in [LARGE, SMALL] {
        let contents = [vec![1; size], vec![2; size]];
        for number in 0..RACES {
            let name = format!("{size}-{number}.bin");
            let when_cut = if number % 2 == 0 { WhenCut::Drop } else { WhenCut::Keep };
            let outcomes = race([&one, &two], &name, &contents, when_cut).await;
            assert_one_winner(bucket, &name, &outcomes, &contents).await;
        }
    }
    let claims = bucket.list().await.into_iter().filter(|path| path.contains("/claims/") || path.contains("/probe/"));
    assert_eq!(claims.collect::<Vec<_>>(), Vec::<String>::new(), "left behind");
    [first, second]
}

fn says(probe: &Probe, part: &str) -> bool {
    probe.findings.iter().any(|finding| match &finding.outcome {
        Ok(text) | Err(text) => text.contains(part),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_commits_by_claims() {
    let Some(bucket) = seaweedfs_bucket().await else { return };
    for probe in assert_races(&bucket).await {
        assert_eq!(probe.problem(), None);
        assert!(says(&probe, "a claim for each name guards commits"), "{probe:?}");
    }
}

/// Whether it loses small PUTs, too, is a matter of luck: both ways are right.
#[tokio::test(flavor = "multi_thread")]
async fn moto_commits_by_claims_or_refuses() {
    let Some(bucket) = moto_bucket().await else { return };
    for probe in assert_races(&bucket).await {
        assert!(says(&probe, "both succeed"), "{probe:?}");
    }
}

/// It refuses a file where a folder is as if something stood there, so that a name is one or the
/// other.
#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_takes_no_file_over_a_folder() {
    let Some(bucket) = seaweedfs_bucket().await else { return };
    let (sink, _) = node(&bucket).await;
    for bytes in [vec![1; 3], vec![1; LARGE]] {
        let send = async |name: &str, on_conflict: OnConflict| {
            let spec = UploadSpec { on_conflict, ..UploadSpec::new(UploadId::generate(), name.parse().unwrap()) };
            let mut staged = sink.stage(spec).await.unwrap();
            staged.write(bytes.clone().into()).await.unwrap();
            staged.commit(Ending::default()).await
        };
        let name = format!("folder-{}", bytes.len());
        for below in ["a.bin", "sub/b.bin"] {
            send(&format!("{name}/{below}"), OnConflict::Reject).await.unwrap();
        }
        let error = send(&name, OnConflict::Reject).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
        assert!(error.to_string().contains(&format!("{name}/a.bin")), "{error}");
        for duplicate in [false, true] {
            let receipt = send(&name, OnConflict::Version).await.unwrap();
            assert_eq!((receipt.key.as_str(), receipt.duplicate), (format!("{name}~2").as_str(), duplicate));
        }
    }
}
