//! What the store of files takes, without a network in front of it: small files, alone and many at once, and large ones; with the
//! flushes of a durable commit and without.
//!
//! ```text
//! TIDEGATE_BENCH_FOLDER=/srv cargo bench --bench sinks -- [disk | cache]
//! ```
//!
//! The folder must be on the disk in question (default: the current folder); a folder is made in it, and removed at the end.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark that panics has no result, as it should")]

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use tidegate::sink::Sink;
use tidegate::sink::fs::Fs;
use tidegate::upload::{Ending, UploadId, UploadSpec};
use tokio::runtime::Runtime;

const SMALL_BYTES: usize = 10 * 1024;
const LARGE_BYTES: usize = 100 << 20;

/// What a connection reads at once.
const CHUNK_BYTES: usize = 256 * 1024;

const CROWD: usize = 32;

criterion_group!(benches, stores);
criterion_main!(benches);

fn stores(criterion: &mut Criterion) {
    let parent = std::env::var("TIDEGATE_BENCH_FOLDER").unwrap_or_else(|_| ".".to_owned());
    let folder = tempfile::Builder::new().prefix("sinks-").tempdir_in(parent).unwrap();
    let runtime = Runtime::new().unwrap();
    let [disk, cache] = ["disk", "cache"].map(|name| folder.path().join(name));
    for (name, root, sink) in
        [("disk", &disk, Fs::open(&disk, 0).unwrap()), ("cache", &cache, Fs::open_cached(&cache, 0).unwrap())]
    {
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        for (what, files, bytes, throughput) in [
            ("one of 10 KiB", 1, SMALL_BYTES, Throughput::Elements(1)),
            ("32 of 10 KiB at once", CROWD, SMALL_BYTES, Throughput::Elements(CROWD as u64)),
            ("one of 100 MiB", 1, LARGE_BYTES, Throughput::Bytes(LARGE_BYTES as u64)),
        ] {
            group.throughput(throughput).bench_function(what, |bencher| {
                bencher.iter_custom(|times| put_all(&runtime, &sink, root, times, files, bytes));
            });
        }
        group.finish();
    }
}

/// Puts so many files at once, so many times; only the putting is measured. What was put is removed, so that no disk fills up.
fn put_all(runtime: &Runtime, sink: &Fs, root: &Path, times: u64, files: usize, bytes: usize) -> Duration {
    let chunk = Bytes::from((0..CHUNK_BYTES).map(|byte| u8::try_from(byte % 251).unwrap()).collect::<Vec<_>>());
    let mut took = Duration::ZERO;
    for _ in 0..times {
        let began = Instant::now();
        runtime.block_on(async {
            let puts =
                (0..files).map(|file| tokio::spawn(put(sink.clone(), format!("files/{file}.bin"), chunk.clone(), bytes)));
            futures::future::try_join_all(puts).await.unwrap();
        });
        took += began.elapsed();
        std::fs::remove_dir_all(root.join("files")).unwrap();
    }
    took
}

async fn put(sink: Fs, key: String, chunk: Bytes, bytes: usize) {
    let spec = UploadSpec::new(UploadId::generate(), key.parse().unwrap());
    let mut staged = sink.stage(spec).await.unwrap();
    let mut left = bytes;
    while left > 0 {
        let some = left.min(chunk.len());
        staged.write(chunk.slice(..some)).await.unwrap();
        left -= some;
    }
    staged.commit(Ending::default()).await.unwrap();
}
