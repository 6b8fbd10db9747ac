//! Rows held against a Table Schema.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use super::rows::{Row, Rows};
use crate::report::Code;
use crate::validate::position::{Chunk, Place};
use crate::validate::table::{Columns, Fault, TableSchema};
use crate::validate::told::{Flaw, Halt, More, Told};

/// The checks of one table.
#[derive(Debug)]
pub(in crate::validate) struct Judge {
    schema: Arc<TableSchema>,
    max_key_bytes: u64,
    /// What stands for no value, whatever the schema says.
    null: Option<String>,
    /// Once the header has ended.
    table: Option<Table>,
    /// What the checks of a row have found.
    faults: Vec<Fault>,
}

#[derive(Debug)]
struct Table {
    labels: Vec<String>,
    columns: Columns,
    /// Rows that the checks have seen.
    rows: u64,
}

impl Judge {
    pub(in crate::validate) fn new(schema: Arc<TableSchema>, max_key_bytes: u64, null: Option<&str>) -> Self {
        Self { schema, max_key_bytes, null: null.map(str::to_owned), table: None, faults: Vec::new() }
    }

    /// The first row of a table without a header is as wide as all others: it must have a cell for each field.
    fn hold_width(&self, row: &Row<'_>, told: &mut Told) -> Result<(), Halt> {
        let (cells, fields) = (row.cells.len(), self.schema.names().count());
        let (code, at) = match cells.cmp(&fields) {
            Ordering::Less => (Code::MissingCell, cells.saturating_sub(1)),
            Ordering::Equal => return Ok(()),
            Ordering::Greater => (Code::ExtraCell, fields),
        };
        let message = format!("the rows have {cells} cells, the schema has {fields} fields");
        told.flaw(Flaw::new(code, (row.place)(at), message).in_record(row.number))
    }

    fn begin(&mut self, labels: Vec<String>) {
        let names: Vec<&str> = labels.iter().map(String::as_str).collect();
        let columns = self.schema.columns(&names, self.max_key_bytes, &mut |fault| self.faults.push(fault));
        self.table = Some(Table { labels, columns, rows: 0 });
    }

    /// Tells what was found; `place` and `cell` are those of a column.
    fn tell(
        &mut self,
        record: u64,
        place: &dyn Fn(usize) -> Place,
        cell: &dyn Fn(usize) -> String,
        told: &mut Told,
    ) -> Result<(), Halt> {
        let labels = self.table.as_ref().map_or(&[][..], |table| &table.labels);
        for Fault { code, field, constraint, row, message } in self.faults.drain(..) {
            let more = More {
                field: field.and_then(|index| Some((labels.get(index)?.clone(), index))),
                constraint,
                ..More::default()
            };
            // Of a row that was judged only at the end no place is known.
            let place = if row.is_some() { Place { line: 0, column: 0, offset: 0 } } else { place(field.unwrap_or(0)) };
            let snippet = field.filter(|_| row.is_none()).map(cell).unwrap_or_default();
            let flaw = Flaw { snippet, more: Some(Box::new(more)), ..Flaw::new(code, place, message) };
            told.flaw(flaw.in_record(row.unwrap_or(record)))?;
        }
        Ok(())
    }
}

impl Rows for Judge {
    fn header(&mut self, labels: &[String], place: &dyn Fn(usize) -> Place, told: &mut Told) -> Result<(), Halt> {
        self.begin(labels.to_vec());
        self.tell(0, place, &|index| labels.get(index).cloned().unwrap_or_default(), told)
    }

    fn memory_bytes(&self, text_bytes: usize) -> usize {
        self.table.as_ref().map_or(0, |Table { labels, columns, .. }| {
            let names = labels.iter().map(|label| size_of_val(label) + label.len()).sum::<usize>();
            names + columns.memory_bytes(text_bytes)
        })
    }

    fn row(&mut self, row: &Row<'_>, told: &mut Told) -> Result<(), Halt> {
        if self.table.is_none() {
            // Without a header the columns are the fields, in their order.
            self.begin(self.schema.names().map(str::to_owned).collect());
            self.hold_width(row, told)?;
        }
        let Self { table: Some(table), faults, null, .. } = self else { return Ok(()) };
        // Rows that were no rows count as well, so that later ones have their numbers.
        while table.rows + 1 < row.number {
            table.columns.row_by(|_| None, &mut drop);
            table.rows += 1;
        }
        let mut tell = |fault| faults.push(fault);
        let cells = row.cells;
        match null {
            None => table.columns.row_by(move |column| cells.say(column), &mut tell),
            Some(null) => {
                let say = |column| cells.say(column).map(|cell| if cell == *null { Cow::Borrowed("") } else { cell });
                table.columns.row_by(say, &mut tell);
            }
        }
        table.rows = row.number;
        if self.faults.is_empty() {
            return Ok(());
        }
        self.tell(row.number, row.place, &|index| row.cells.say(index).unwrap_or_default().into_owned(), told)
    }

    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt> {
        let Some(table) = &mut self.table else { return Ok(()) };
        let faults = &mut self.faults;
        table.columns.finish(&mut |fault| faults.push(fault));
        self.tell(0, &|_| end.place(0), &|_| String::new(), told)
    }
}
