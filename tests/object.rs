//! What the S3 sink says and does over a real connection, beyond the contract.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use object_store::ObjectStoreExt;
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use tidegate::config::{S3, Secret};
use tidegate::error::{ErrorKind, Result};
use tidegate::sink::Sink;
use tidegate::sink::object::Object;
use tidegate::upload::{Digest, Ending, Note, OnConflict, Receipt, UploadId, UploadSpec, WhenCut};

use self::common::bucket::Bucket;
use self::common::minio::Minio;
use self::common::s3_server::S3Server;
use self::common::serve::{Serve, until};

fn spec(on_conflict: OnConflict) -> UploadSpec {
    UploadSpec { on_conflict, ..UploadSpec::new(UploadId::generate(), "a.bin".parse().unwrap()) }
}

async fn send(sink: &dyn Sink, spec: UploadSpec, bytes: &[u8]) -> Result<Receipt> {
    let mut staged = sink.stage(spec).await?;
    staged.write(bytes.to_vec().into()).await?;
    staged.commit(Ending::default()).await
}

/// What the probe and a commit say where the configuration was spoilt; both must name what to look at.
async fn assert_told(config: &S3, clue: &str) {
    let sink = Object::connect(config).unwrap();
    let begun = Instant::now();
    let problem = sink.probe().await.unwrap().problem().expect("a problem");
    assert!(begun.elapsed() < Duration::from_secs(15), "a probe must not take {:?}", begun.elapsed());
    assert!(problem.contains(clue) && problem.contains(&config.bucket), "{problem}");
    let error = send(&sink, spec(OnConflict::Reject), b"abc").await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Store | ErrorKind::Unknown), "{error:?}");
    assert!(error.to_string().contains(clue), "{error}");
}

async fn assert_bad_settings_are_told(bucket: &Bucket) {
    let wrong_secret = S3 { secret_access_key: Some(Secret("wrong".to_owned())), ..bucket.config("") };
    assert_told(&wrong_secret, "sink.s3.secret_access_key").await;
    let wrong_key = S3 { access_key_id: Some("nobody".to_owned()), ..bucket.config("") };
    assert_told(&wrong_key, "sink.s3.access_key_id").await;
    let no_bucket = S3 { bucket: "no-such-bucket".to_owned(), ..bucket.config("") };
    assert_told(&no_bucket, "does not exist").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn minio_with_bad_settings() {
    if let Some(minio) = Minio::shared() {
        assert_bad_settings_are_told(&minio.bucket().await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_away_is_told_soon() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = Some(format!("http://{free}"));
    let server = S3Server::start().await;
    let config = S3 { endpoint, retry_timeout: Duration::from_millis(200), ..server.bucket.config("") };
    assert_told(&config, "can't be reached").await;
}

/// A listener that takes connections and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_hangs_is_told_soon() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = Some(format!("http://{}", listener.local_addr().unwrap()));
    let server = S3Server::start().await;
    let config = S3 {
        endpoint,
        request_timeout: Duration::from_millis(200),
        retry_timeout: Duration::from_millis(200),
        ..server.bucket.config("")
    };
    assert_told(&config, "did not answer in time").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_prefix_names_lie_at_the_root() {
    let server = S3Server::start().await;
    let sink = Object::connect(&server.bucket.config("")).unwrap();
    send(&sink, spec(OnConflict::Reject), b"abc").await.unwrap();
    assert_eq!(sink.probe().await.unwrap().problem(), None);
    assert_eq!(server.bucket.list().await, ["a.bin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_came_by_another_way_is_known_by_its_bytes() {
    let server = S3Server::start().await;
    let sink = Object::connect(&server.bucket.config("")).unwrap();
    server.bucket.client().put(&Path::parse("a.bin").unwrap(), "abc".into()).await.unwrap();
    let receipt = sink.stat(&"a.bin".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((receipt.id, receipt.size, receipt.digest), (None, 3, Digest::of(b"abc")));
    assert!(send(&sink, spec(OnConflict::Reject), b"abc").await.unwrap().duplicate);
}

/// Two sinks know nothing of each other, like two processes: only the store stands between them.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_bucket_of_minio() {
    let Some(minio) = Minio::shared() else { return };
    let bucket = minio.bucket().await;
    let sinks = [(); 2].map(|()| Object::connect(&bucket.config("")).unwrap());
    let contents = [vec![1; (5 << 20) + 1], vec![2; (5 << 20) + 1]];
    let [one, two] = [0, 1].map(|at| send(&sinks[at], spec(OnConflict::Reject), &contents[at]));
    let outcomes: [_; 2] = tokio::join!(one, two).into();
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1, "{outcomes:?}");
    for (outcome, content) in outcomes.iter().zip(&contents) {
        match outcome {
            Ok(_) => assert!(bucket.read("a.bin").await.unwrap() == *content),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error}"),
        }
    }
    assert_eq!(bucket.unfinished().await, Vec::<String>::new());
}

fn kept() -> UploadSpec {
    UploadSpec { when_cut: WhenCut::Keep, ..spec(OnConflict::Reject) }
}

/// Writes a part that is written down, and `more` bytes; then the line is cut.
async fn cut(sink: &dyn Sink, spec: &UploadSpec, bytes: &[u8], more: usize) {
    let mut staged = sink.stage(spec.clone()).await.unwrap();
    let part = usize::try_from(staged.until_checkpoint()).unwrap();
    staged.write(bytes[..part].to_vec().into()).await.unwrap();
    staged.checkpoint(Note::default()).await.unwrap();
    staged.write(bytes[part..part + more].to_vec().into()).await.unwrap();
    assert_eq!(staged.suspend(Note::default()).await.unwrap(), (part + more) as u64);
}

/// Other tools' multipart uploads outside the prefix stay; so does what a manifest speaks of.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_of_minio_finds_multipart_uploads_that_nobody_speaks_of() {
    let Some(minio) = Minio::shared() else { return };
    let bucket = minio.bucket().await;
    let sink = Object::connect(&bucket.config("in")).unwrap();
    for path in ["in/a & b.bin", "elsewhere.bin"] {
        bucket.client().create_multipart(&Path::parse(path).unwrap()).await.unwrap();
    }
    assert_eq!(sink.sweep(Duration::from_hours(1)).await.unwrap().removed, 0);
    assert_eq!(bucket.unfinished().await.len(), 2);
    assert_eq!(sink.sweep(Duration::ZERO).await.unwrap().removed, 1);
    assert_eq!(bucket.unfinished().await, ["elsewhere.bin"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_multipart_upload_that_minio_has_dropped_begins_anew() {
    let Some(minio) = Minio::shared() else { return };
    let bucket = minio.bucket().await;
    let sink = Object::connect(&bucket.config("")).unwrap();
    let (spec, bytes) = (kept(), vec![7; (10 << 20) + 9]);
    cut(&sink, &spec, &bytes, 100).await;
    // As its owner would: nobody else may.
    let manifest = bucket.list().await.into_iter().find(|path| path.ends_with("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&bucket.read(&manifest).await.unwrap()).unwrap();
    let multipart = manifest["multipart"].as_str().unwrap().to_owned();
    bucket.client().abort_multipart(&Path::parse("a.bin").unwrap(), &multipart).await.unwrap();
    let mut staged = sink.resume(spec.clone()).await.unwrap().unwrap();
    let offset = usize::try_from(staged.offset()).unwrap();
    staged.write(bytes[offset..].to_vec().into()).await.unwrap();
    assert_eq!(staged.commit(Ending::default()).await.unwrap_err().kind(), ErrorKind::Store);
    assert!(sink.resume(spec.clone()).await.unwrap().is_none());
    let receipt = send(&sink, spec, &bytes).await.unwrap();
    assert_eq!(receipt.digest, Digest::of(&bytes));
}

fn spec_of(name: &str, on_conflict: OnConflict) -> UploadSpec {
    UploadSpec { on_conflict, ..UploadSpec::new(UploadId::generate(), name.parse().unwrap()) }
}

/// A node that has seen what the store does, as a server has after its start.
async fn probed(bucket: &Bucket) -> Object {
    let sink = Object::connect(&bucket.config("in")).unwrap();
    assert_eq!(sink.probe().await.unwrap().problem(), None);
    sink
}

/// `MinIO` lists nothing below an object: so the second of a file and a folder of one name is
/// refused, or goes beside.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_minio_is_a_file_or_a_folder() {
    let Some(minio) = Minio::shared() else { return };
    for (first, second, beside) in [("p", "p/a.bin", "p~2/a.bin"), ("p/a.bin", "p", "p~2")] {
        for size in [3, (5 << 20) + 3] {
            let bucket = minio.bucket().await;
            let (one, two) = (probed(&bucket).await, probed(&bucket).await);
            let bytes = vec![7; size];
            send(&one, spec_of(first, OnConflict::Version), b"first").await.unwrap();
            for on_conflict in [OnConflict::Reject, OnConflict::Overwrite] {
                let error = send(&two, spec_of(second, on_conflict), &bytes).await.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
                assert!(error.to_string().contains(&format!("{first:?}")), "{error}");
            }
            for duplicate in [false, true] {
                let receipt = send(&two, spec_of(second, OnConflict::Version), &bytes).await.unwrap();
                assert_eq!((receipt.key.as_str(), receipt.duplicate), (beside, duplicate));
            }
            let mut listed = bucket.list().await;
            listed.retain(|path| !path.contains("/.tidegate/"));
            assert_eq!(listed, [format!("in/{first}"), format!("in/{beside}")]);
        }
    }
}

/// At two servers at once one at most has a receipt. Now and then the one without a receipt hides
/// the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_and_one_below_it_at_once_at_two_nodes_of_minio() {
    let Some(minio) = Minio::shared() else { return };
    let bucket = minio.bucket().await;
    let (one, two) = (probed(&bucket).await, probed(&bucket).await);
    let (mut receipts, mut hidden) = (0, 0);
    for round in 0..20 {
        let names = [format!("{round}"), format!("{round}/a.bin")];
        let [file, below] = names.each_ref().map(|name| spec_of(name, OnConflict::Reject));
        let outcomes: [_; 2] = tokio::join!(send(&one, file, b"file"), send(&two, below, b"below")).into();
        let committed: Vec<_> = (0..2).filter(|at| outcomes[*at].is_ok()).collect();
        assert!(committed.len() <= 1, "{round}: {outcomes:?}");
        for error in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
            assert!(matches!(error.kind(), ErrorKind::Conflict | ErrorKind::Busy), "{round}: {error}");
        }
        receipts += committed.len();
        let listed = bucket.list().await;
        for at in committed {
            let path = format!("in/{}", names[at]);
            assert!(bucket.read(&path).await.is_some(), "{path} has a receipt");
            hidden += usize::from(!listed.contains(&path));
        }
    }
    println!("{receipts} receipts of 20 races, {hidden} of them for a file that a file without one hides");
}

/// Both have taken the upload over, and both end it.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_commit_one_upload_once_on_minio() {
    let Some(minio) = Minio::shared() else { return };
    let bucket = minio.bucket().await;
    let sinks = [(); 2].map(|()| Object::connect(&bucket.config("")).unwrap());
    let (spec, bytes) = (kept(), vec![7; (10 << 20) + 9]);
    cut(&sinks[0], &spec, &bytes, 100).await;
    let take_over = async |sink: &Object| {
        let mut staged = sink.resume(spec.clone()).await.unwrap().unwrap();
        let offset = usize::try_from(staged.offset()).unwrap();
        staged.write(bytes[offset..].to_vec().into()).await.unwrap();
        staged
    };
    let (one, two) = tokio::join!(take_over(&sinks[0]), take_over(&sinks[1]));
    let (one, two) = tokio::join!(one.commit(Ending::default()), two.commit(Ending::default()));
    assert_eq!(one.unwrap(), two.unwrap());
    assert!(bucket.read("a.bin").await.unwrap() == bytes);
    sinks[0].sweep(Duration::ZERO).await.unwrap();
    assert_eq!(bucket.unfinished().await, Vec::<String>::new());
    assert_eq!(bucket.list().await.len(), 2, "the file and its receipt");
}

#[test]
fn senders_and_the_ledger_are_not_told_where_the_store_is() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    // Nothing listens on port 9, which discards.
    command.arg("serve").env("TIDEGATE__SINK__KIND", "s3").env("TIDEGATE__SINK__S3__ENDPOINT", "http://127.0.0.1:9");
    command.env("TIDEGATE__SINK__S3__BUCKET", "inner-bucket").env("TIDEGATE__SINK__S3__ALLOW_HTTP", "true");
    command.env("TIDEGATE__SINK__S3__RETRY_TIMEOUT", "1s").env("TIDEGATE__LEDGER__FOLDER", &ledger);
    command
        .env("TIDEGATE__SINK__S3__ACCESS_KEY_ID", "inner-key")
        .env("TIDEGATE__SINK__S3__SECRET_ACCESS_KEY", "inner-secret");
    let serve = Serve::run(&mut command, folder.path());
    let put = "{\"op\":\"put\",\"id\":\"u\",\"name\":\"a.bin\",\"size\":4}\nbody";
    let told = [serve.exchange(b"a.bin 4\nbody"), serve.exchange(put.as_bytes())];
    let lines = || {
        let files = std::fs::read_dir(&ledger).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>()
    };
    until("the lines of the ledger", || lines().lines().count() == 2);
    for text in [&told[0], &told[1], &lines()] {
        assert!(text.contains("store") && text.contains("send it again"), "{text}");
        for inner in ["127.0.0.1:9", "http", "inner-", "sink.s3"] {
            assert!(!text.contains(inner), "{inner:?} in {text}");
        }
    }
}
