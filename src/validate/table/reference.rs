//! Reference tables: small CSVs beside a schema, of which foreign keys want some columns.
//!
//! As strict as RFC 4180, and held in memory while the schema is loaded. A header, commas, UTF-8.

/// A table: its header and its rows, each of as many cells as the header.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) header: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Reference {
    /// Reads a CSV; fails with the reason, for a person.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| format!("is no UTF-8 at byte {}", error.valid_up_to()))?;
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut rows: Vec<Vec<String>> = Vec::new();
        while !rest.is_empty() {
            let record = rows.len() + 1;
            let (row, after) = record_of(rest).map_err(|error| format!("{error} in record {record}"))?;
            let columns = rows.first().map_or(row.len(), Vec::len);
            if row.len() != columns {
                return Err(format!("has {} cells where {columns} belong in record {record}", row.len()));
            }
            rows.push(row);
            rest = after;
        }
        if rows.is_empty() {
            return Err("is empty: it needs a header".to_owned());
        }
        let header = rows.remove(0);
        Ok(Self { header, rows })
    }
}

/// The first record, and the text behind it.
fn record_of(text: &str) -> Result<(Vec<String>, &str), &'static str> {
    let mut row = Vec::new();
    let mut rest = text;
    loop {
        let (cell, after) = cell_of(rest)?;
        row.push(cell);
        rest = after;
        if let Some(after) = rest.strip_prefix(',') {
            rest = after;
        } else {
            let after = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n'));
            return match after {
                Some(after) => Ok((row, after)),
                None if rest.is_empty() => Ok((row, rest)),
                None => Err("has text after a closing quote, or a CR without its LF,"),
            };
        }
    }
}

/// The first cell, unquoted, and the text behind it.
fn cell_of(text: &str) -> Result<(String, &str), &'static str> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find([',', '\n', '\r']).unwrap_or(text.len());
        let (cell, rest) = text.split_at(end);
        return if cell.contains('"') { Err("has a stray quote") } else { Ok((cell.to_owned(), rest)) };
    };
    let mut cell = String::new();
    loop {
        let (part, after) = rest.split_once('"').ok_or("has a quote that is never closed")?;
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(after) => {
                cell.push('"');
                rest = after;
            }
            None => return Ok((cell, after)),
        }
    }
}
