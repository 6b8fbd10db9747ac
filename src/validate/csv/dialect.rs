//! How a table is written down: the Frictionless Table Dialect 2.0, as far as it is about delimited text.
//!
//! Nothing is sniffed. What a descriptor says and nobody here heeds is refused by name, so that no file is judged by half of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::clean::Crs;
use super::lexer::Syntax;

/// A dialect that has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialect {
    delimiter: u8,
    quote: Option<u8>,
    double_quote: bool,
    escape: Option<u8>,
    comment: Option<u8>,
    skip_initial_space: bool,
    crs: Crs,
    header_rows: BTreeSet<u64>,
    header_join: String,
    comment_rows: BTreeSet<u64>,
    null_sequence: Option<String>,
}

/// Where a header may end: its rows are kept while it is read.
const MAX_HEADER_ROW: u64 = 1_000;

impl Dialect {
    /// RFC 4180 with a header, and with LF or CRLF behind a record.
    pub fn csv() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            double_quote: true,
            escape: None,
            comment: None,
            skip_initial_space: false,
            crs: Crs::BeforeLf,
            header_rows: BTreeSet::from([1]),
            header_join: " ".to_owned(),
            comment_rows: BTreeSet::new(),
            null_sequence: None,
        }
    }

    /// As [`Self::csv`], with the tabulator for the comma.
    pub fn tsv() -> Self {
        Self { delimiter: b'\t', ..Self::csv() }
    }

    /// Reads a descriptor; what it leaves out is as in [`Self::csv`].
    ///
    /// # Errors
    ///
    /// All that is wrong with it, a sentence each.
    pub fn parse(descriptor: &Value) -> Result<Self, Vec<String>> {
        Self::csv().with(descriptor)
    }

    /// As [`Self::parse`], over another default.
    ///
    /// # Errors
    ///
    /// As [`Self::parse`].
    pub fn with(mut self, descriptor: &Value) -> Result<Self, Vec<String>> {
        let Value::Object(properties) = descriptor else {
            return Err(vec!["a table dialect is a JSON object".to_owned()]);
        };
        let mut wrong: Vec<String> = properties.iter().filter_map(|(name, value)| self.set(name, value).err()).collect();
        wrong.extend(self.header(properties).err());
        wrong.extend(self.check());
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }

    /// What stands between two cells.
    pub const fn delimiter(&self) -> u8 {
        self.delimiter
    }

    pub(super) fn syntax(&self) -> Syntax {
        let Self { delimiter, quote, double_quote, escape, comment, skip_initial_space, crs, .. } = *self;
        let escapable = match self.null_sequence.as_deref().map(str::as_bytes) {
            Some([first, second]) if Some(*first) == escape => Some(*second),
            _ => None,
        };
        Syntax { delimiter, quote, double_quote, escape, escapable, comment, skip_initial_space, crs }
    }

    /// Numbers of the rows that make up the header, counted from 1; none where there is no header.
    pub(super) const fn header_rows(&self) -> &BTreeSet<u64> {
        &self.header_rows
    }

    /// What stands between the names of several header rows.
    pub(super) fn header_join(&self) -> &str {
        &self.header_join
    }

    /// Numbers of the rows that are passed over.
    pub(super) const fn comment_rows(&self) -> &BTreeSet<u64> {
        &self.comment_rows
    }

    /// What stands for no value where it is a whole cell, without quotes.
    pub fn null_sequence(&self) -> Option<&str> {
        self.null_sequence.as_deref()
    }

    /// The properties but for those of the header, which hang together.
    fn set(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match name {
            "delimiter" => self.delimiter = character(name, value)?,
            "quoteChar" => self.quote = optional(name, value)?,
            "escapeChar" => self.escape = optional(name, value)?,
            "commentChar" => self.comment = optional(name, value)?,
            "doubleQuote" => self.double_quote = truth(name, value)?,
            "skipInitialSpace" => self.skip_initial_space = truth(name, value)?,
            "lineTerminator" => self.crs = crs(value)?,
            "headerJoin" => text(name, value)?.clone_into(&mut self.header_join),
            "commentRows" => self.comment_rows = numbers(name, value)?,
            "nullSequence" => self.null_sequence = Some(text(name, value)?.to_owned()),
            "$schema" | "name" | "title" | "description" | "csvddfVersion" | "header" | "headerRows" => {}
            "type" if value == "delimited" => {}
            "caseSensitiveHeader" if value == true => {}
            "property" | "itemType" | "itemKeys" | "sheetNumber" | "sheetName" | "table" => {
                return Err(format!("{name:?} is of other formats than delimited text: leave it out"));
            }
            _ => return Err(format!("{name:?} is not supported")),
        }
        Ok(())
    }

    fn header(&mut self, properties: &Map<String, Value>) -> Result<(), String> {
        let has_header = properties.get("header").map_or(Ok(true), |value| truth("header", value))?;
        if let Some(rows) = properties.get("headerRows") {
            self.header_rows = numbers("headerRows", rows)?;
        }
        if !has_header {
            self.header_rows.clear();
        }
        match self.header_rows.last() {
            Some(&last) if last > MAX_HEADER_ROW => Err(format!("headerRows: no header goes beyond row {MAX_HEADER_ROW}")),
            Some(_) | None => Ok(()),
        }
    }

    /// No character has two meanings.
    fn check(&self) -> Vec<String> {
        let named = [
            ("delimiter", Some(self.delimiter)),
            ("quoteChar", self.quote),
            ("escapeChar", self.escape),
            ("commentChar", self.comment),
        ];
        let mut wrong = Vec::new();
        for (index, (name, one)) in named.iter().enumerate() {
            for (other_name, other) in &named[..index] {
                if one.is_some() && one == other {
                    wrong.push(format!("{other_name} and {name} are the same character"));
                }
            }
        }
        if self.skip_initial_space && self.delimiter == b' ' {
            wrong.push("skipInitialSpace: the delimiter is a space".to_owned());
        }
        if let Some(both) = self.header_rows.intersection(&self.comment_rows).next() {
            wrong.push(format!("row {both} is one of headerRows and of commentRows"));
        }
        wrong
    }
}

fn text<'a>(name: &str, value: &'a Value) -> Result<&'a str, String> {
    value.as_str().ok_or_else(|| format!("{name} is a string, not {value}"))
}

fn truth(name: &str, value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| format!("{name} is true or false, not {value}"))
}

/// One ASCII character that is no line end and no NUL.
fn character(name: &str, value: &Value) -> Result<u8, String> {
    match text(name, value)?.as_bytes() {
        [byte] if byte.is_ascii() && !matches!(byte, 0 | b'\r' | b'\n') => Ok(*byte),
        _ => Err(format!("{name} is one ASCII character that ends no line, not {value}")),
    }
}

/// As [`character`]; null and an empty string say that there is none.
fn optional(name: &str, value: &Value) -> Result<Option<u8>, String> {
    if value.is_null() || value == "" { Ok(None) } else { character(name, value).map(Some) }
}

/// A descriptor that states the default means what one that leaves it out means: CRLF stands for LF or CRLF.
fn crs(value: &Value) -> Result<Crs, String> {
    match value.as_str() {
        Some("\r\n") => Ok(Crs::BeforeLf),
        Some("\n") => Ok(Crs::Nowhere),
        _ => Err(format!("lineTerminator {value} is not supported: use \"\\r\\n\" (or LF) or \"\\n\" (LF alone)")),
    }
}

fn numbers(name: &str, value: &Value) -> Result<BTreeSet<u64>, String> {
    let wrong = || format!("{name} is a list of row numbers, counted from 1, not {value}");
    let rows = value.as_array().ok_or_else(wrong)?;
    rows.iter().map(|row| row.as_u64().filter(|&row| row > 0).ok_or_else(wrong)).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_descriptor_leaves_out_is_as_in_the_rfc() {
        assert_eq!(Dialect::parse(&json!({})), Ok(Dialect::csv()));
        let defaults = json!({
            "$schema": "https://datapackage.org/profiles/2.0/tabledialect.json", "delimiter": ",", "lineTerminator": "\r\n",
            "quoteChar": "\"", "doubleQuote": true, "skipInitialSpace": false, "header": true, "headerRows": [1],
            "headerJoin": " ",
        });
        assert_eq!(Dialect::parse(&defaults), Ok(Dialect::csv()));
        assert_eq!(Dialect::parse(&json!({"delimiter": "\t"})), Ok(Dialect::tsv()));
        assert!(Dialect::parse(&json!({"header": false})).unwrap().header_rows().is_empty());
    }

    #[test]
    fn what_nobody_heeds_is_refused_by_name() {
        for (descriptor, words) in [
            (json!([]), "a table dialect is a JSON object"),
            (json!({"delimiter": "::"}), "delimiter is one ASCII character that ends no line, not \"::\""),
            (json!({"delimiter": "\n"}), "delimiter is one ASCII character that ends no line, not \"\\n\""),
            (json!({"quoteChar": "\u{201c}"}), "quoteChar is one ASCII character that ends no line, not \"\u{201c}\""),
            (json!({"quoteChar": ","}), "delimiter and quoteChar are the same character"),
            (json!({"header": "yes"}), "header is true or false, not \"yes\""),
            (json!({"headerRows": [0]}), "headerRows is a list of row numbers, counted from 1, not [0]"),
            (json!({"headerRows": [1001]}), "headerRows: no header goes beyond row 1000"),
            (json!({"commentRows": [1]}), "row 1 is one of headerRows and of commentRows"),
            (json!({"sheetName": "x"}), "\"sheetName\" is of other formats than delimited text: leave it out"),
            (json!({"encoding": "latin1"}), "\"encoding\" is not supported"),
            (
                json!({"lineTerminator": "\r"}),
                "lineTerminator \"\\r\" is not supported: use \"\\r\\n\" (or LF) or \"\\n\" (LF alone)",
            ),
        ] {
            assert_eq!(Dialect::parse(&descriptor), Err(vec![words.to_owned()]), "{descriptor}");
        }
        assert_eq!(Dialect::parse(&json!({"delimiter": 1, "x": 2})).unwrap_err().len(), 2);
    }
}
