//! Tables, column by column.

use std::io::Read;

use serde::Serialize;
use serde_json::Value;

use super::column::Column;
use super::words::counted;
use crate::error::{Error, ErrorKind, Result};

/// Different values that are remembered, of all columns together: 8 bytes for each, in tables that are half full at times.
const MAX_REMEMBERED: usize = 4 << 20;

/// What has been seen of tables with the same header.
#[derive(Debug)]
pub struct Table {
    delimiter: u8,
    header: Vec<String>,
    columns: Vec<Column>,
    files: Vec<String>,
    rows: u64,
}

/// A Table Schema 2.0 descriptor.
#[derive(Debug, Clone, Serialize)]
pub struct TableSchema {
    #[serde(rename = "$schema")]
    schema: &'static str,
    description: String,
    fields: Vec<Field>,
}

/// One of its fields.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Field {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<&'static str>,
    pub(super) description: String,
    #[serde(skip_serializing_if = "Constraints::are_none")]
    pub(super) constraints: Constraints,
    #[serde(rename = "missingValues", skip_serializing_if = "Vec::is_empty")]
    pub(super) missing_values: Vec<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct Constraints {
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) required: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) unique: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) minimum: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) maximum: Option<Value>,
    #[serde(rename = "enum", skip_serializing_if = "Vec::is_empty")]
    pub(super) values: Vec<String>,
}

impl Constraints {
    fn are_none(&self) -> bool {
        let Self { required, unique, minimum, maximum, values } = self;
        !required && !unique && minimum.is_none() && maximum.is_none() && values.is_empty()
    }
}

impl Table {
    /// Nothing yet, of tables with this delimiter.
    pub fn new(delimiter: u8) -> Self {
        Self { delimiter, header: Vec::new(), columns: Vec::new(), files: Vec::new(), rows: 0 }
    }

    /// Reads a table, or its first `most` rows, and says how many rows it saw. Blank lines are not among them: in a table of one
    /// column each is a row, for which see [`Table::see_blank_rows`].
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] where its header is not that of the table before, [`ErrorKind::Io`] where reading fails.
    pub fn read(&mut self, name: &str, reader: impl Read, most: u64) -> Result<u64> {
        let mut reader = csv::ReaderBuilder::new().delimiter(self.delimiter).has_headers(true).from_reader(reader);
        let reading = |cause: csv::Error| Error::new(ErrorKind::Io, format!("reading {name:?}")).because(cause);
        let header: Vec<String> = reader.headers().map_err(reading)?.iter().map(str::to_owned).collect();
        if self.files.is_empty() {
            let room = MAX_REMEMBERED / header.len().max(1);
            self.columns = header.iter().map(|name| Column::new(name, room)).collect();
            self.header = header;
        } else if header != self.header {
            let message = format!("{name:?} has another header than {:?}: infer a schema for each", self.files[0]);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        self.files.push(name.to_owned());
        let mut record = csv::StringRecord::new();
        let mut rows = 0;
        while rows < most && reader.read_record(&mut record).map_err(reading)? {
            self.columns.iter_mut().zip(&record).for_each(|(column, cell)| column.see(cell));
            rows += 1;
        }
        self.rows += rows;
        Ok(rows)
    }

    /// Rows that are blank lines.
    pub fn see_blank_rows(&mut self, rows: u64) {
        self.rows += rows;
        self.columns.iter_mut().for_each(|column| column.see_empty(rows));
    }

    /// What holds for all that was seen.
    pub fn schema(&self) -> TableSchema {
        TableSchema {
            schema: "https://datapackage.org/profiles/2.0/tableschema.json",
            description: described(&counted(self.rows, "row"), &self.files),
            fields: self.columns.iter().map(Column::field).collect(),
        }
    }
}

/// `Inferred from 12 rows of a.csv: what held there, not what must hold`
pub(super) fn described(records: &str, files: &[String]) -> String {
    let files = match files {
        [file] => file.clone(),
        [first, .., last] => format!("{} files, {first} to {last}", files.len()),
        [] => "nothing".to_owned(),
    };
    format!("Inferred by tidegate from {records} of {files}: what held there, for you to say what must hold")
}
