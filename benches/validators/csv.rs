//! CSV: its structure alone, and ten typed columns, beside what `csv-core` and `csv` need to read the same bytes, which are more
//! lenient, and do not look whether the text is UTF-8.

use std::sync::{Arc, LazyLock};

use criterion::Criterion;
use serde_json::json;
use tidegate::report::Format;
use tidegate::validate::table::TableSchema;
use tidegate::validate::{Limits, Schema, Standard};

use crate::turns::{CHUNK_BYTES, Contender, compare, is_wanted};

const TABLE_BYTES: usize = 100_000_000;

pub(crate) fn structure(criterion: &mut Criterion) {
    const CONTENDERS: [Contender; 3] = [("tidegate", |table| ours(table, None)), ("csv-core", core), ("csv", with_fields)];
    for (name, table) in [("csv/mixed", mixed as fn() -> Vec<u8>), ("csv/numbers", numbers)] {
        if is_wanted(name) {
            let table = table();
            assert!(CONTENDERS.iter().all(|(_, read)| read(&table) == ours(&table, None)), "all count the same rows");
            compare(criterion, name, &table, &CONTENDERS);
        }
    }
}

pub(crate) fn typed(criterion: &mut Criterion) {
    const CONTENDERS: [Contender; 3] = [
        ("tidegate", |table| ours(table, Some(&SCHEMA))),
        ("csv, which only reads", with_fields),
        ("csv-core, which only reads", core),
    ];
    if is_wanted("csv/typed") {
        compare(criterion, "csv/typed", &readings(), &CONTENDERS);
    }
}

/// Ten columns, of which six have bounds or a list of values as well.
static SCHEMA: LazyLock<Arc<TableSchema>> = LazyLock::new(|| {
    let descriptor = json!({"fields": [
        {"name": "id", "type": "integer", "constraints": {"required": true}},
        {"name": "site", "type": "string", "constraints": {"enum": ["north", "south", "east", "west"]}},
        {"name": "day", "type": "date"},
        {"name": "time", "type": "time"},
        {"name": "at", "type": "datetime"},
        {"name": "temperature", "type": "number", "constraints": {"minimum": -50, "maximum": 60}},
        {"name": "delta", "type": "integer", "constraints": {"minimum": -1000}},
        {"name": "ok", "type": "boolean"},
        {"name": "note", "type": "string", "constraints": {"maxLength": 40}},
        {"name": "rank", "type": "integer", "constraints": {"minimum": 1, "maximum": 4}}
    ]});
    let none = |_: &str| Err("there is none".to_owned());
    Arc::new(TableSchema::parse(&descriptor, &mut { none }).unwrap())
});

/// What [`SCHEMA`] is for.
fn readings() -> Vec<u8> {
    const SITES: [&str; 4] = ["north", "south", "east", "west"];
    table("id,site,day,time,at,temperature,delta,ok,note,rank", |row| {
        let (site, day, minute) = (SITES[row * 31 % 4], row % 28 + 1, row % 60);
        let (whole, part, delta) = (row % 40, row * 7919 % 1000, row * 31 % 900);
        let note = if row % 5 == 0 { "\"checked, twice\"" } else { "as usual" };
        format!(
            "{row},{site},2026-03-{day:02},08:{minute:02}:00,2026-03-{day:02}T08:{minute:02}:00Z,{whole}.{part:03},-{delta},{},{note},{}\n",
            row % 2 == 0,
            row % 4 + 1
        )
    })
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

fn ours(table: &[u8], schema: Option<&Arc<TableSchema>>) -> u64 {
    let schema = schema.map(|schema| Schema::Table(Arc::clone(schema)));
    let standard = Standard { schema, ..Standard::of(Format::Csv, Limits::default()) };
    let mut validator = standard.validator().unwrap();
    table.chunks(CHUNK_BYTES).try_for_each(|chunk| validator.feed(chunk)).unwrap();
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
