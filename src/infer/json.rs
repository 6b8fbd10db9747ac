//! JSON documents and lines of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};

use serde::Serialize;
use serde::de::DeserializeSeed;
use serde_json::{Deserializer, Value};

use super::shape::{Room, See, Shape};
use super::table::described;
use super::words::counted;
use crate::error::{Error, ErrorKind, Result};
use crate::report::Format;

/// What has been seen of documents of the same kind.
#[derive(Debug, Default)]
pub struct Documents {
    shape: Shape,
    room: Room,
    files: Vec<String>,
    records: u64,
}

/// A JSON Schema, draft 2020-12, with its members in the order in which people read them.
#[derive(Debug, Clone, Default, Serialize)]
pub struct JsonSchema {
    #[serde(rename = "$schema", skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(rename = "$comment")]
    pub(super) comment: String,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<Kinds>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) format: Option<&'static str>,
    #[serde(rename = "enum", skip_serializing_if = "Option::is_none")]
    pub(super) values: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) minimum: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) maximum: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) items: Option<Box<JsonSchema>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) required: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) properties: BTreeMap<String, JsonSchema>,
}

/// One type, or several.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Kinds {
    One(&'static str),
    Several(Vec<&'static str>),
}

impl Documents {
    /// Reads a document, whose first `most` elements are looked at if it is an array, or the first `most` lines of an NDJSON.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for what JSON allows and can't be read: numbers that a double can't hold, halves of characters;
    /// [`ErrorKind::Io`] where reading fails.
    pub fn read(&mut self, name: &str, format: Format, reader: impl Read, most: u64) -> Result<()> {
        let mut reader = BufReader::new(reader);
        self.files.push(name.to_owned());
        if format != Format::Ndjson {
            self.records += 1;
            let mut text = Deserializer::from_reader(reader);
            let see = See::first(&mut self.shape, &mut self.room, most);
            return see.deserialize(&mut text).and_then(|()| text.end()).map_err(|cause| unread(name, cause));
        }
        let mut line = Vec::new();
        let mut lines = 0;
        while lines < most && read_line(&mut reader, &mut line, name)? {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let mut text = Deserializer::from_slice(&line);
            let see = See::first(&mut self.shape, &mut self.room, u64::MAX);
            see.deserialize(&mut text).map_err(|cause| unread(name, cause))?;
            lines += 1;
        }
        self.records += lines;
        Ok(())
    }

    /// What holds for all that was seen.
    pub fn schema(&self) -> JsonSchema {
        JsonSchema {
            schema: Some("https://json-schema.org/draft/2020-12/schema"),
            description: Some(described(&counted(self.records, "value"), &self.files)),
            ..self.shape.schema()
        }
    }
}

fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>, name: &str) -> Result<bool> {
    line.clear();
    let read = reader.read_until(b'\n', line);
    Ok(read.map_err(|cause| Error::new(ErrorKind::Io, format!("reading {name:?}")).because(cause))? > 0)
}

fn unread(name: &str, cause: serde_json::Error) -> Error {
    let kind = if cause.is_io() { ErrorKind::Io } else { ErrorKind::Unsupported };
    Error::new(kind, format!("reading {name:?}")).because(cause)
}
