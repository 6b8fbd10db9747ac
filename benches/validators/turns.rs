//! Contenders measured in turns over the same bytes.

use std::time::{Duration, Instant};

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};

/// How the bytes of all benchmarks are cut: a socket's or a file's buffer.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

const ROUNDS: usize = 9;

/// One way to read some bytes: its name, and what reads them. It answers with a count that all contenders agree on, or with 0
/// where it does not count.
pub(crate) type Contender = (&'static str, fn(&[u8]) -> u64);

/// Measures all contenders over `bytes`; the first is the one that the ratios are of: above 1 it is the faster.
pub(crate) fn compare(criterion: &mut Criterion, name: &str, bytes: &[u8], contenders: &[Contender]) {
    if !is_wanted(name) {
        return;
    }
    let rounds: Vec<Vec<Duration>> = (0..ROUNDS).map(|_| round(bytes, contenders)).collect();
    for (index, (contender, _)) in contenders.iter().enumerate() {
        let seconds = median(rounds.iter().map(|round| round[index].as_secs_f64()));
        let ratio = median(rounds.iter().map(|round| round[index].as_secs_f64() / round[0].as_secs_f64()));
        println!(
            "{name}: {contender} {:.0} MB/s, takes {ratio:.2} times as long as ours",
            bytes.len() as f64 / 1e6 / seconds
        );
    }
    let mut group = criterion.benchmark_group(name);
    in_half_a_minute(&mut group, bytes.len());
    for (contender, read) in contenders {
        group.bench_function(*contender, |bencher| bencher.iter(|| read(bytes)));
    }
    group.finish();
}

/// Whether the command line asks for this group, by a part of its name: making a group's bytes takes seconds.
pub(crate) fn is_wanted(name: &str) -> bool {
    let mut filters = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).peekable();
    let benched = std::env::args().any(|argument| argument == "--bench");
    benched && (filters.peek().is_none() || filters.any(|filter| name.contains(&filter)))
}

fn round(bytes: &[u8], contenders: &[Contender]) -> Vec<Duration> {
    let timed = |&(_, read): &Contender| {
        let start = Instant::now();
        std::hint::black_box(read(bytes));
        start.elapsed()
    };
    contenders.iter().map(timed).collect()
}

fn in_half_a_minute<M: criterion::measurement::Measurement>(group: &mut BenchmarkGroup<'_, M>, bytes: usize) {
    group
        .throughput(Throughput::Bytes(bytes as u64))
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
