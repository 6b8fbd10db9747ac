//! Whatever a store answers, or does not: an honest answer, nothing partial, and the next upload works.

#![allow(clippy::unwrap_used, reason = "all of this is tests")]

#[path = "../common/mod.rs"]
mod common;

use std::process::Command;
use std::time::Duration;

use tidegate::config::{Integrity, S3};
use tidegate::error::{ErrorKind, Result};
use tidegate::sink::object::Object;
use tidegate::sink::{Finding, Sink};
use tidegate::upload::{Digest, Ending, Key, OnConflict, Receipt, UploadId, UploadSpec, WhenCut};

use self::common::bucket::Bucket;
use self::common::faulty_store::{FaultyStore, How, Op};
use self::common::minio::Minio;
use self::common::s3_server::S3Server;
use self::common::serve::{Serve, until};

/// More often than anybody tries.
const ALWAYS: usize = usize::MAX;

/// What fits in one request, and what needs three parts.
const SMALL: usize = 1000;
const LARGE: usize = (10 << 20) + 1000;

/// Cases that go side by side.
const LANES: usize = 3;

/// What an upload may come to.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// A receipt.
    Committed,
    /// This error, and nothing under the name.
    Fails(ErrorKind),
    /// It is not known, and looking tells.
    Unknown,
}

use Then::{Committed, Fails, Unknown};

/// One way to fail, for an upload of so many bytes: which requests, how, how often, and what must come of it.
type Case = (usize, Op, How, usize, Then);

const SLOW_DOWN: How = How::Refuse(503, "SlowDown");
const INTERNAL: How = How::Refuse(500, "InternalError");
const CONFLICT: How = How::Refuse(409, "ConditionalRequestConflict");
const PRECONDITION: How = How::Refuse(412, "PreconditionFailed");
const DENIED: How = How::Refuse(403, "AccessDenied");
const NO_SUCH_UPLOAD: How = How::Refuse(404, "NoSuchUpload");
const ERROR_IN_200: How = How::Refuse(200, "InternalError");
const DONE_ERROR_IN_200: How = How::DoneButSays(200, "InternalError");
const DONE_500: How = How::DoneButSays(500, "InternalError");
const DONE_503: How = How::DoneButSays(503, "SlowDown");

const CASES: [Case; 35] = [
    // A passing failure is waited out.
    (SMALL, Op::Put, SLOW_DOWN, 2, Committed),
    (SMALL, Op::Put, INTERNAL, 2, Committed),
    (SMALL, Op::Put, How::Late(Duration::from_millis(500)), 1, Committed),
    (LARGE, Op::Open, SLOW_DOWN, 2, Committed),
    (LARGE, Op::Part, SLOW_DOWN, 3, Committed),
    (LARGE, Op::Part, INTERNAL, 3, Committed),
    (LARGE, Op::Part, How::Late(Duration::from_millis(500)), 3, Committed),
    (LARGE, Op::Note, INTERNAL, 2, Committed),
    (LARGE, Op::Complete, SLOW_DOWN, 2, Committed),
    (LARGE, Op::Complete, ERROR_IN_200, 1, Committed),
    // A store that is busy with another's conditional request says 409 (Amazon S3 User Guide, "Conditional writes").
    (SMALL, Op::Put, CONFLICT, 1, Committed),
    (SMALL, Op::Put, PRECONDITION, 1, Committed),
    // It was done, and the answer was lost: looking tells.
    (SMALL, Op::Put, DONE_500, 1, Committed),
    (SMALL, Op::Put, DONE_503, ALWAYS, Committed),
    (SMALL, Op::Put, How::DoneButSilent, 1, Committed),
    (SMALL, Op::Put, How::DoneButBroken, 1, Committed),
    (LARGE, Op::Complete, DONE_500, 1, Committed),
    (LARGE, Op::Complete, DONE_503, ALWAYS, Committed),
    (LARGE, Op::Complete, How::DoneButSilent, 1, Committed),
    (LARGE, Op::Complete, How::DoneButBroken, 1, Committed),
    (LARGE, Op::Complete, DONE_ERROR_IN_200, 1, Committed),
    (LARGE, Op::Complete, DONE_ERROR_IN_200, ALWAYS, Committed),
    (LARGE, Op::Part, DONE_500, 2, Committed),
    (LARGE, Op::Part, How::DoneButSilent, 1, Committed),
    (LARGE, Op::Note, DONE_500, 1, Committed),
    // It does not pass: nothing was committed, and nobody says otherwise.
    (SMALL, Op::Put, SLOW_DOWN, ALWAYS, Unknown),
    (SMALL, Op::Put, DENIED, ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Open, INTERNAL, ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Part, SLOW_DOWN, ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Part, DENIED, ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Part, NO_SUCH_UPLOAD, ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Complete, SLOW_DOWN, ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Complete, NO_SUCH_UPLOAD, ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Complete, How::Refuse(400, "InvalidPart"), ALWAYS, Fails(ErrorKind::Store)),
    (LARGE, Op::Complete, ERROR_IN_200, ALWAYS, Fails(ErrorKind::Store)),
];

/// A sink that gives up soon, on its way to a bucket through a proxy.
async fn sink(store: &FaultyStore, lane: usize) -> Object {
    let config =
        S3 { request_timeout: Duration::from_secs(5), retry_timeout: Duration::from_secs(8), ..store.bucket.config("in") };
    let sink = Object::connect(&config).unwrap();
    // What the store can do is tried before it fails.
    assert_eq!(sink.probe().await.unwrap().problem(), None);
    for (name, len) in [("small", SMALL), ("large", LARGE)] {
        send(&sink, &spec(&format!("before-{lane}/{name}"), WhenCut::Drop), &bytes(len)).await.unwrap();
    }
    sink
}

fn spec(name: &str, when_cut: WhenCut) -> UploadSpec {
    let spec = UploadSpec::new(UploadId::generate(), name.parse().unwrap());
    UploadSpec { on_conflict: OnConflict::Reject, when_cut, ..spec }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..=250).cycle().take(len).collect()
}

async fn send(sink: &dyn Sink, spec: &UploadSpec, bytes: &[u8]) -> Result<Receipt> {
    let mut staged = sink.stage(spec.clone()).await?;
    for chunk in bytes.chunks(1 << 20) {
        if let Err(error) = staged.write(chunk.to_vec().into()).await {
            // A store that fails may fail here, too.
            let _ = staged.abort().await;
            return Err(error);
        }
    }
    staged.commit(Ending { claim: Some(Digest::of(bytes)), verdict: None }).await
}

/// What stands in the bucket, seen without the proxy.
async fn read(bucket: &Bucket, key: &Key) -> Option<Vec<u8>> {
    bucket.read(&format!("in/{key}")).await
}

async fn check(bucket: &Bucket, store: &FaultyStore, sink: &Object, number: usize, when_cut: WhenCut) {
    let (len, op, how, times, then) = CASES[number];
    let what = format!("case {number}: {len} bytes, {op:?} {how:?}, {when_cut:?}");
    let spec = spec(&format!("{number}-{when_cut:?}.bin"), when_cut);
    let bytes = bytes(len);
    store.fail(op, how, times);
    let outcome = send(sink, &spec, &bytes).await;
    store.heal();
    let stands = read(bucket, &spec.key).await;
    match (then, &outcome) {
        (Committed, Ok(receipt)) => {
            assert!(!receipt.duplicate && receipt.digest == Digest::of(&bytes), "{what}: {receipt:?}");
            assert!(stands.as_ref() == Some(&bytes), "{what}: it does not stand as it was sent");
        }
        (Fails(kind), Err(error)) => {
            assert_eq!(error.kind(), kind, "{what}: {error}");
            assert!(stands.is_none(), "{what}: it stands, and was said to have failed");
        }
        (Unknown, Err(error)) => assert_eq!(error.kind(), ErrorKind::Unknown, "{what}: {error}"),
        (Committed, Err(error)) => panic!("{what}: {error}"),
        (Fails(_) | Unknown, Ok(receipt)) => panic!("{what}: {receipt:?}"),
    }
    // The sink goes on, and the same upload sent again ends with one copy and its receipt.
    let again = send(sink, &spec, &bytes).await.unwrap_or_else(|error| panic!("{what}, again: {error}"));
    assert_eq!(again.duplicate, stands.is_some(), "{what}");
    if let Ok(first) = outcome {
        assert_eq!((again.id, again.committed_at), (first.id, first.committed_at), "{what}: another receipt");
    }
    assert!(read(bucket, &spec.key).await.as_ref() == Some(&bytes), "{what}: again");
}

/// The cases of one lane: they wait most of the time, so several lanes go side by side.
async fn check_lane(bucket: &Bucket, lane: usize) {
    let store = FaultyStore::before(bucket).await;
    let sink = sink(&store, lane).await;
    for number in (lane..CASES.len()).step_by(LANES) {
        check(bucket, &store, &sink, number, WhenCut::Drop).await;
        if CASES[number].0 == LARGE {
            check(bucket, &store, &sink, number, WhenCut::Keep).await;
        }
    }
}

/// What changes on the way is not stored, however the store knows that.
#[tokio::test(flavor = "multi_thread")]
async fn minio_that_gets_other_bytes() {
    let Some(minio) = Minio::shared() else { return };
    let bucket = minio.bucket().await;
    for integrity in [Integrity::Checksum, Integrity::Signature] {
        let store = FaultyStore::before(&bucket).await;
        let sink = Object::connect(&S3 { integrity, ..store.bucket.config("in") }).unwrap();
        let probe = sink.probe().await.unwrap();
        assert_eq!(probe.problem(), None);
        let compares = |finding: &Finding| {
            finding.what.starts_with("integrity") && finding.outcome.as_ref().is_ok_and(|how| how.contains("refused"))
        };
        assert_eq!(probe.findings.iter().any(compares), integrity == Integrity::Checksum, "{probe:?}");
        for (len, op) in [(SMALL, Op::Put), (LARGE, Op::Part)] {
            let spec = spec(&format!("{integrity:?}-{len}"), WhenCut::Drop);
            store.fail(op, How::Garbled, ALWAYS);
            let error = send(&sink, &spec, &bytes(len)).await.unwrap_err();
            store.heal();
            assert!(error.to_string().contains("400 Bad Request"), "{integrity:?}, {op:?}: {error}");
            assert_eq!(read(&bucket, &spec.key).await, None, "{integrity:?}, {op:?}");
            assert!(!send(&sink, &spec, &bytes(len)).await.unwrap().duplicate);
        }
    }
}

/// Whatever fails, and wherever: the answers, plain and framed, and the ledger name nothing of the
/// store.
#[tokio::test(flavor = "multi_thread")]
async fn what_senders_and_the_ledger_are_told_names_nothing_of_the_store() {
    let server = S3Server::start().await;
    let store = FaultyStore::before(&server.bucket).await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let settings = [
        ("TIDEGATE__SINK__KIND", "s3"),
        ("TIDEGATE__SINK__S3__ENDPOINT", &store.bucket.endpoint),
        ("TIDEGATE__SINK__S3__BUCKET", &store.bucket.name),
        ("TIDEGATE__SINK__S3__PREFIX", "inner-prefix"),
        ("TIDEGATE__SINK__S3__ALLOW_HTTP", "true"),
        ("TIDEGATE__SINK__S3__PART_BYTES", "5MiB"),
        ("TIDEGATE__LIMITS__MAX_FILE_BYTES", "1GiB"),
        ("TIDEGATE__SINK__S3__RETRY_TIMEOUT", "200ms"),
        ("TIDEGATE__SINK__S3__ACCESS_KEY_ID", &store.bucket.access_key_id),
        ("TIDEGATE__SINK__S3__SECRET_ACCESS_KEY", &store.bucket.secret_access_key),
    ];
    command.arg("serve").envs(settings).env("TIDEGATE__LEDGER__FOLDER", &ledger);
    let serve = Serve::run(&mut command, folder.path());
    let cases = [
        (SMALL, Op::Put, DENIED),
        (SMALL, Op::Put, SLOW_DOWN),
        (SMALL, Op::Put, How::Refuse(507, "XMinioStorageFull")),
        (SMALL, Op::Put, How::Refuse(404, "NoSuchBucket")),
        (LARGE, Op::Open, INTERNAL),
        (LARGE, Op::Part, NO_SUCH_UPLOAD),
        (LARGE, Op::Note, DENIED),
        (LARGE, Op::Complete, DENIED),
        (LARGE, Op::Abort, DENIED),
    ];
    let mut told = Vec::new();
    for (number, (len, op, how)) in cases.into_iter().enumerate() {
        store.fail(op, how, ALWAYS);
        if op == Op::Abort {
            store.fail(Op::Complete, DONE_503, ALWAYS);
            store.fail(Op::Look, DENIED, ALWAYS);
        }
        let plain = [format!("{number}.bin {len}\n").as_bytes(), &bytes(len)].concat();
        let put = format!("{{\"op\":\"put\",\"id\":\"u{number}\",\"name\":\"{number}-framed.bin\",\"size\":{len}}}\n");
        let framed = [put.as_bytes(), &bytes(len)].concat();
        for sent in [plain, framed] {
            let answer = tokio::task::block_in_place(|| serve.exchange(&sent));
            assert!(answer.contains("ERR ") || answer.contains("\"failed\""), "{op:?} {how:?}: {answer}");
            told.push(answer);
        }
        store.heal();
    }
    let lines = || {
        let files = std::fs::read_dir(&ledger).unwrap().map(|entry| entry.unwrap().path());
        files.map(|file| std::fs::read_to_string(file).unwrap()).collect::<String>()
    };
    tokio::task::block_in_place(|| until("the lines of the ledger", || lines().lines().count() == told.len()));
    told.push(lines());
    let port = store.bucket.endpoint.rsplit_once(':').unwrap().1;
    for text in told {
        let codes = ["AccessDenied", "SlowDown", "NoSuch", "InternalError", "XMinio", "RequestId", "uploadId", "made up"];
        let places = ["http", "/files", "\"files\"", "inner-prefix", ".tidegate", "sink.s3", port];
        for inner in codes.into_iter().chain(places) {
            assert!(!text.contains(inner), "{inner:?} in {text}");
        }
    }
}

/// Only a real store will do: `s3s-fs` does not know an upload again that it has completed.
#[tokio::test(flavor = "multi_thread")]
async fn minio_that_fails() {
    let Some(minio) = Minio::shared() else { return };
    let bucket = minio.bucket().await;
    futures::future::join_all((0..LANES).map(|lane| check_lane(&bucket, lane))).await;
    let sink = Object::connect(&bucket.config("in")).unwrap();
    sink.sweep(Duration::ZERO).await.unwrap();
    assert_eq!(bucket.unfinished().await, Vec::<String>::new(), "unfinished multipart uploads after a sweep");
}
