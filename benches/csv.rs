//! How fast a table's structure is proved, beside what `csv-core` and `csv` need to read the same bytes, on one core.
//!
//! ```text
//! cargo bench --bench csv
//! ```
//!
//! The rivals are more lenient, and do not look whether the text is UTF-8.

#![allow(clippy::unwrap_used, reason = "a benchmark that panics has no result, as it should")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidegate::report::Format;
use tidegate::validate::{Limits, for_format};

/// As many as a file may be read in.
const CHUNK_BYTES: usize = 64 << 10;
const TABLE_BYTES: usize = 100_000_000;

criterion_group!(benches, bench);
criterion_main!(benches);

fn bench(criterion: &mut Criterion) {
    for (name, table) in [("mixed", mixed()), ("numbers", numbers())] {
        let mut group = criterion.benchmark_group(format!("csv {name}"));
        group.sample_size(10).throughput(Throughput::Bytes(table.len() as u64));
        assert_eq!(ours(&table), core(&table));
        assert_eq!(ours(&table), with_fields(&table));
        group.bench_function("tidegate", |bencher| bencher.iter(|| ours(&table)));
        group.bench_function("csv-core", |bencher| bencher.iter(|| core(&table)));
        group.bench_function("csv", |bencher| bencher.iter(|| with_fields(&table)));
        group.finish();
    }
}

/// Ten columns, some with quotes, a few with quotes or line ends inside of them.
fn mixed() -> Vec<u8> {
    table("id,name,street,city,country,amount,currency,ordered,paid,remark", |row| {
        let remark = match row % 16 {
            0 => "\"said \"\"never again\"\", twice\"",
            1 => "\"first line\nsecond line, and the end of it\"",
            2..6 => "\"none, so far\"",
            _ => "",
        };
        let (cents, house, day) = (row * 7919 % 1_000_000, row % 311, row % 28 + 1);
        format!(
            "{row},\"M\u{fc}ller, Anna {house}\",Hauptstra\u{df}e {house},\"Wien\",AT,{}.{:02},EUR,2026-03-{day:02}T08:{:02}:00Z,true,{remark}\n",
            cents / 100,
            cents % 100,
            row % 60
        )
    })
}

/// Twelve columns without a quote.
fn numbers() -> Vec<u8> {
    table("a,b,c,d,e,f,g,h,i,j,k,l", |row| {
        let cells: Vec<String> = (0..12).map(|column| (row * 31 + column * 7919).to_string()).collect();
        cells.join(",") + "\n"
    })
}

fn table(header: &str, row: impl Fn(usize) -> String) -> Vec<u8> {
    let mut table = format!("{header}\n");
    for number in 0.. {
        table += &row(number);
        if table.len() >= TABLE_BYTES {
            break;
        }
    }
    table.into_bytes()
}

fn ours(table: &[u8]) -> u64 {
    let mut validator = for_format(Format::Csv, &Limits::default()).unwrap();
    for chunk in table.chunks(CHUNK_BYTES) {
        validator.feed(chunk).unwrap();
    }
    validator.finish().unwrap().records
}

fn core(mut table: &[u8]) -> u64 {
    let mut reader = csv_core::Reader::new();
    let (mut output, mut ends) = (vec![0; 64 << 10], vec![0; 64]);
    let mut records = 0;
    loop {
        let (result, read, _, _) = reader.read_record(table, &mut output, &mut ends);
        table = &table[read..];
        match result {
            csv_core::ReadRecordResult::Record => records += 1,
            csv_core::ReadRecordResult::InputEmpty => {}
            csv_core::ReadRecordResult::End => return records - 1,
            other => panic!("{other:?}"),
        }
    }
}

fn with_fields(table: &[u8]) -> u64 {
    let mut reader = csv::Reader::from_reader(table);
    let mut record = csv::ByteRecord::new();
    let mut records = 0;
    while reader.read_byte_record(&mut record).unwrap() {
        records += 1;
    }
    records
}
