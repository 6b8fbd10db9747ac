//! Schemas and dialects from their files: what a schema refers to lies beside it.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use crate::error::{Error, ErrorKind, Result};
use crate::escape;
use crate::report::{Format, SchemaFor};
use crate::validate::table::TableSchema;
use crate::validate::{Dialect, JsonSchema, Schema};

/// The schema in a file: a Table Schema for tables, a JSON Schema for JSON.
///
/// # Errors
/// [`ErrorKind::Config`], naming the file and all that is wrong with it.
pub fn schema(path: &Path, format: Format, part: SchemaFor) -> Result<Schema> {
    match format {
        Format::Csv | Format::Tsv => {
            let folder = path.parent().unwrap_or(Path::new(""));
            let parsed = TableSchema::parse(&read(path)?, &mut |resource| beside(folder, resource));
            parsed.map(|schema| Schema::Table(Arc::new(schema))).map_err(|problems| wrong(path, &problems))
        }
        Format::Json | Format::Ndjson => {
            let parsed = JsonSchema::parse(&read(path)?);
            parsed.map(|schema| Schema::Json(Arc::new(schema), part)).map_err(|problem| wrong(path, &[problem]))
        }
        Format::None => {
            let message =
                format!("{}: a schema needs to know what it is for: set format to csv, tsv, json or ndjson", shown(path));
            Err(Error::new(ErrorKind::Config, message))
        }
    }
}

/// The dialect in a file.
///
/// # Errors
/// As [`schema`].
pub fn dialect(path: &Path, format: Format) -> Result<Dialect> {
    let base = match format {
        Format::Tsv => Dialect::tsv(),
        Format::Csv => Dialect::csv(),
        Format::Json | Format::Ndjson | Format::None => {
            let message = format!("{}: a dialect is for csv and tsv: set format to one of them", shown(path));
            return Err(Error::new(ErrorKind::Config, message));
        }
    };
    base.with(&read(path)?).map_err(|problems| wrong(path, &problems))
}

/// A resource that a schema refers to: the file of that name beside it, with `.csv` where that is left out.
fn beside(folder: &Path, resource: &str) -> Result<Vec<u8>, String> {
    if resource.contains(['/', '\\']) || resource.starts_with('.') {
        return Err(format!("{resource:?} is not the name of a file beside the schema"));
    }
    let exact = folder.join(resource);
    let path = if exact.is_file() { exact } else { folder.join(format!("{resource}.csv")) };
    fs::read(&path).map_err(|cause| format!("reading {}: {cause}", shown(&path)))
}

fn read(path: &Path) -> Result<Value> {
    let failed = |what: String| Error::new(ErrorKind::Config, format!("{}: {what}", shown(path)));
    let text = fs::read(path).map_err(|cause| failed("cannot be read".to_owned()).because(cause))?;
    serde_json::from_slice(&text).map_err(|cause| {
        let (line, column, whole) = (cause.line(), cause.column(), cause.to_string());
        // Its place is said before it, in the words of the configuration's other messages.
        let what = whole.rsplit_once(" at line ").map_or(whole.as_str(), |(what, _)| what);
        failed(format!("line {line}, column {column}: this is no JSON: {what}"))
    })
}

fn wrong(path: &Path, problems: &[String]) -> Error {
    let message = format!("{}: {}", path.display(), problems.join("; "));
    Error::new(ErrorKind::Config, escape::line(&message).into_owned())
}

/// A path in a message. A message about the configuration may have several lines, so a path must not make one.
fn shown(path: &Path) -> String {
    escape::line(&path.to_string_lossy()).into_owned()
}
