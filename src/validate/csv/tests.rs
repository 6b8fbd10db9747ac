//! Tables in any dialect, with what is handed over of them; that the two ways agree is held here.

mod dialects;
mod limits;
mod ways;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::dialect::Dialect;
use super::rows::{Row, Rows};
use super::{Csv, TableLimits};
use crate::report::{Flaw, Format, Report, Verdict};
use crate::validate::position::{Chunk, Place};
use crate::validate::stream::Stream;
use crate::validate::told::{Halt, Told};
use crate::validate::{Limits, Patience, Snippets, Validator};

/// All that is handed over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    labels: Vec<String>,
    rows: Vec<Vec<String>>,
    places: Vec<Place>,
    /// The header, and the end.
    calls: (u32, u32),
}

#[derive(Debug)]
struct Witness(Arc<Mutex<Seen>>);

impl Rows for Witness {
    fn memory_bytes(&self, _text_bytes: usize) -> usize {
        0
    }

    fn header(&mut self, labels: &[String], place: &dyn Fn(usize) -> Place, _: &mut Told) -> Result<(), Halt> {
        let mut seen = self.0.lock().unwrap();
        seen.labels = labels.to_vec();
        seen.places.extend((0..labels.len()).map(place));
        seen.calls.0 += 1;
        Ok(())
    }

    fn row(&mut self, row: &Row<'_>, _: &mut Told) -> Result<(), Halt> {
        let mut seen = self.0.lock().unwrap();
        seen.rows.push(row.cells.iter().map(Cow::into_owned).collect());
        seen.places.extend((0..row.cells.len()).map(row.place));
        Ok(())
    }

    fn end(&mut self, _: &Chunk<'_>, _: &mut Told) -> Result<(), Halt> {
        self.0.lock().unwrap().calls.1 += 1;
        Ok(())
    }
}

type Outcome = Result<Verdict, Box<Report>>;

fn limits() -> TableLimits {
    (&Limits::default()).into()
}

fn dialect(descriptor: &Value) -> Dialect {
    Dialect::parse(descriptor).unwrap()
}

fn read(csv: Csv, chunks: &[&[u8]]) -> Outcome {
    let patience = Patience { max_errors: u64::MAX, ..Patience::default() };
    let mut stream = Box::new(Stream::new(Format::Csv, String::new(), csv, Told::new(patience, Snippets::default())));
    chunks.iter().try_for_each(|chunk| stream.feed(chunk))?;
    stream.finish()
}

/// What is told of a table, and what is handed over.
fn judged(dialect: &Dialect, limits: TableLimits, chunks: &[&[u8]]) -> (Outcome, Seen) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let csv = Csv::new(dialect.clone(), limits).judged_by(Box::new(Witness(Arc::clone(&seen))));
    let outcome = read(csv, chunks);
    let seen = seen.lock().unwrap().clone();
    (outcome, seen)
}

/// As [`judged`], the same for a table that is cut in two at any byte or at every one, and whether or not somebody judges it.
fn judged_every_way(dialect: &Dialect, limits: TableLimits, text: &str) -> (Outcome, Seen) {
    let bytes = text.as_bytes();
    let whole = judged(dialect, limits, &[bytes]);
    assert_eq!(read(Csv::new(dialect.clone(), limits), &[bytes]), whole.0, "{text:?} unjudged");
    for cut in 0..=bytes.len() {
        let (head, tail) = bytes.split_at(cut);
        assert_eq!(judged(dialect, limits, &[head, tail]), whole, "{text:?} cut at {cut}");
        assert_eq!(read(Csv::new(dialect.clone(), limits), &[head, tail]), whole.0, "{text:?} cut at {cut}, unjudged");
    }
    assert_eq!(judged(dialect, limits, &bytes.chunks(1).collect::<Vec<_>>()), whole, "{text:?} byte by byte");
    whole
}

/// The flaws of a table: their codes, and line, column, offset and record.
fn flaws(outcome: &Outcome) -> Vec<(&str, [u64; 4])> {
    let errors = outcome.as_ref().map_or_else(|report| &report.errors[..], |_| &[]);
    let place = |Flaw { line, column, offset, record, .. }: &Flaw| [*line, *column, *offset, *record];
    errors.iter().map(|error| (error.code.as_str(), place(error))).collect()
}
