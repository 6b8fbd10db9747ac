//! What the protocols cost beside the bytes that they carry: lines a second, each way, of what a pipelined sender says and hears.
//! Bodies are not looked at by the codec, so that bytes a second follow from the size of what stands behind a line.
//!
//! ```text
//! cargo bench --bench wire -- [put | chunk | committed | rejected | plain]
//! ```

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that panics has no result, as it should")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::error::{Error, ErrorKind};
use tidegate::report::{Format, Verdict};
use tidegate::upload::{Digest, Durability, OnConflict, Receipt, UploadId};
use tidegate::wire::framed::{self, Chunk, Event, Put, Request};
use tidegate::wire::plain::{self, Conversation, HeaderForm, LineState, Options, Sizes};

criterion_group!(benches, puts, chunks, answers, plain_lines);
criterion_main!(benches);

/// A put as `tidegate bench` sends it, and one that says everything; read as far as a sink needs it, name and all.
fn puts(criterion: &mut Criterion) {
    let short = Put {
        id: Some(UploadId::generate().to_string()),
        name: "bench/3f9c0a1b2c4d/0012345.csv".to_owned(),
        size: Some(10_240),
        ..Put::default()
    };
    let long = Put {
        digest: Some(Digest::of(b"").to_string()),
        content_type: Some("text/csv".to_owned()),
        meta: BTreeMap::from([("site".to_owned(), "north 4".to_owned()), ("shift".to_owned(), "early".to_owned())]),
        ..short.clone()
    };
    for (name, put) in [("put/short", short), ("put/long", long)] {
        let request = Request::Put(put);
        let line = framed::encode_request(&request);
        both_ways(
            criterion,
            name,
            || framed::encode_request(&request),
            || {
                let Request::Put(put) = framed::decode_request(black_box(line.as_bytes())).unwrap() else { unreachable!() };
                put.spec(OnConflict::Reject).unwrap()
            },
        );
    }
}

fn chunks(criterion: &mut Criterion) {
    for (name, chunk) in [("chunk/bytes", Chunk::Bytes(262_144)), ("chunk/end", Chunk::End(Some(Digest::of(b""))))] {
        let line = framed::encode_chunk(chunk);
        both_ways(
            criterion,
            name,
            || framed::encode_chunk(chunk),
            || framed::decode_chunk(black_box(line.as_bytes())).unwrap(),
        );
    }
}

fn answers(criterion: &mut Criterion) {
    let id = receipt().id.unwrap().to_string();
    let refusal = Error::new(ErrorKind::TooLarge, "\"bench/3f9c0a1b2c4d/0012345.csv\" has more than 4096 bytes");
    let rejected = Event::from_error(id.clone(), &refusal);
    for (name, event) in [("committed", Event::Committed { id, receipt: receipt() }), ("rejected", rejected)] {
        let line = framed::encode_event(&event);
        both_ways(
            criterion,
            name,
            || framed::encode_event(&event),
            || framed::decode_event(black_box(line.as_bytes())).unwrap(),
        );
    }
}

/// A receipt out, a header in.
fn plain_lines(criterion: &mut Criterion) {
    let receipt = receipt();
    let bytes = b"bench/3f9c0a1b2c4d/0012345.csv 10240\na,b\n1,2\n";
    let conversation =
        Conversation { bytes, first_packet: bytes.len(), before_last_packet: 0, line: LineState::Open, previous: None };
    let options = Options { form: HeaderForm::Auto, sizes: Sizes::Announced, require_size: false };
    both_ways(
        criterion,
        "plain",
        || plain::encode_receipt(&receipt),
        || plain::decode(black_box(&conversation), options).unwrap(),
    );
}

fn receipt() -> Receipt {
    let name: tidegate::upload::Key = "bench/3f9c0a1b2c4d/0012345.csv".parse().unwrap();
    Receipt {
        id: Some(UploadId::generate()),
        key: name.clone(),
        name,
        size: 10_240,
        digest: Digest::of(b""),
        committed_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000),
        durability: Durability::Disk,
        verdict: Some(Verdict { format: Format::Csv, records: 120, errors: 0 }),
        report: None,
        duplicate: false,
    }
}

fn both_ways<E, D>(criterion: &mut Criterion, name: &str, encode: impl Fn() -> E, decode: impl Fn() -> D) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(2));
    group.bench_function("encode", |bencher| bencher.iter(&encode));
    group.bench_function("decode", |bencher| bencher.iter(&decode));
    group.finish();
}
