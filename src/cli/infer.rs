//! `tidegate infer`: a schema from sample files, for a person to tighten.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::diagnosis::{self, Colours, Origin};
use crate::cli::plan::{self, Item, Plan};
use crate::cli::print;
use crate::cli::standards::Standards;
use crate::cli::walk::Links;
use crate::cli::{ConfigArgs, bad_config, fail};
use crate::error::{Error, ErrorKind, Result};
use crate::escape;
use crate::infer::{Documents, Table};
use crate::report::{Compression, Format, Report};
use crate::validate::{Patience, Standard, Validator};

const AFTER_HELP: &str = "\
Tables (csv, tsv) must have the same header; what comes out is a Table Schema 2.0 with types, formats \
and the constraints that held. For json and ndjson it is a JSON Schema, draft 2020-12: of the whole \
document, or of each line. What was seen stands in \"description\" and \"$comment\". It is what held in \
the samples: what must hold in every file is for you to say. Files are read once, in bounded memory, \
and must be valid.

Examples:
  tidegate infer readings-2026-*.csv > schemas/readings.json
  tidegate infer --sample 10000 events.ndjson
  psql -c 'copy meters to stdout csv header' | tidegate infer - --format csv

Exit codes:
  0  the schema is on standard output
  1  a file is invalid, can't be read, or has another header than the one before
  2  the command line or the configuration is wrong";

/// Flaws of a sample after which it is not read any further.
const MAX_ERRORS: u64 = 100;

/// Write a schema from sample files, to be tightened by hand
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Files, folders (with all that is in them), or - for standard input
    #[arg(required = true, value_name = "FILE")]
    paths: Vec<PathBuf>,
    /// Follow symbolic links in folders; one that leads back to a folder which it is in is left out
    #[arg(long)]
    follow_links: bool,
    /// Read every file as this, instead of what its name says: json, ndjson, csv or tsv
    #[arg(long)]
    format: Option<Format>,
    /// Look at the first N records of each file only
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    #[command(flatten)]
    config: ConfigArgs,
}

/// What has been seen so far.
struct Seen {
    format: Format,
    samples: Samples,
}

enum Samples {
    Table(Table),
    Documents(Box<Documents>),
}

/// Why there is no schema.
enum Refused {
    /// A sample is not valid.
    Invalid {
        report: Box<Report>,
        standard: Box<Standard>,
    },
    Other(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// Prints a schema for what the arguments name; the exit code is one of those that the help lists.
pub(super) fn run(args: &Args) -> ExitCode {
    let standards = match args.config.load().and_then(|config| Standards::of(&config)) {
        Ok(standards) => standards,
        Err(error) => return bad_config(&error),
    };
    if args.format.is_none() && args.paths.iter().any(|path| plan::is_stdin(path)) {
        print::note("error: standard input tells no format: add --format FORMAT");
        return ExitCode::from(2);
    }
    let plan = Plan::of(&args.paths, None, Links::of(args.follow_links));
    for note in &plan.notes {
        print::note(note);
    }
    if let Some((_, error)) = plan.refused.first() {
        return fail(1, &error.to_string());
    }
    let mut seen = None;
    for item in &plan.items {
        match see(&mut seen, item, args, &standards) {
            Ok(()) => {}
            Err(Refused::Invalid { report, standard }) => return refuse(item, &report, &standard),
            Err(Refused::Other(error)) => return fail(1, &error.to_string()),
        }
    }
    match seen.map(|seen| seen.samples) {
        Some(Samples::Table(table)) => show(&table.schema()),
        Some(Samples::Documents(documents)) => show(&documents.schema()),
        None => return fail(1, "there is no file to infer a schema from"),
    }
    ExitCode::SUCCESS
}

fn show(schema: &impl Serialize) {
    print::json(&serde_json::to_string_pretty(schema).expect("a schema has text keys only"));
}

/// Says why a sample can't be used, as `tidegate validate` would.
fn refuse(item: &Item, report: &Report, standard: &Standard) -> ExitCode {
    let origin = Origin::new(&item.path, item.file(), standard);
    let path = escape::path(&item.path);
    print::notes(&diagnosis::flaws(report, &origin, Colours::Off));
    fail(1, &format!("{} is not valid, so nothing is inferred: {}", escape::line(&path), diagnosis::summary(report)))
}

/// Reads a file, and adds what it holds to what was seen.
fn see(seen: &mut Option<Seen>, item: &Item, args: &Args, standards: &Standards) -> Result<(), Refused> {
    let held = standards.of_item(item, args.format)?;
    // Of a sample the rest is not read, so that nobody would hear of what is wrong with it.
    let max_errors = if args.sample.is_some() { 1 } else { MAX_ERRORS };
    let patience = Patience { max_errors, max_error_ratio: None, ..held.standard.patience };
    let standard = Standard { patience, ..held.standard.clone() };
    let unknown = || Error::new(ErrorKind::Unsupported, format!("{:?} tells no format: add --format FORMAT", item.name));
    if standard.compression != Compression::None {
        let message = format!("{:?} is compressed: unpack it, and pass it as standard input", item.name);
        return Err(Error::new(ErrorKind::Unsupported, message).into());
    }
    if standard.dialect.is_some() {
        let message = format!("{:?} has a dialect, which is not read here: convert it to plain CSV", item.name);
        return Err(Error::new(ErrorKind::Unsupported, message).into());
    }
    let validator = standard.validator().ok_or_else(unknown)?;
    let mut checked = Checked { inner: item.open()?, validator: Some(validator), room: held.max_bytes, ended: None };
    let name = if plan::is_stdin(&item.path) { "standard input" } else { &item.name };
    let most = args.sample.unwrap_or(u64::MAX);
    let seen = Seen::goes_on(seen, standard.format, name)?;
    let read = seen.read(name, &mut checked, most);
    if read.is_err() {
        // The validator may have more to say.
        io::copy(&mut checked, &mut io::sink()).ok();
    }
    match checked.ended {
        Some(Ended::Invalid(report)) => Err(Refused::Invalid { report, standard: Box::new(standard) }),
        Some(Ended::TooLarge) => Err(held.too_large(item).into()),
        Some(Ended::Valid { records }) => {
            let rows = read?;
            if rows < most {
                seen.see_blank_rows(records.saturating_sub(rows));
            }
            Ok(())
        }
        None => read.map(|_rows| ()).map_err(Refused::Other),
    }
}

impl Seen {
    /// What was seen before, if anything was.
    fn goes_on<'a>(before: &'a mut Option<Self>, format: Format, name: &str) -> Result<&'a mut Self> {
        let seen = before.get_or_insert_with(|| Self {
            format,
            samples: match format {
                Format::Tsv => Samples::Table(Table::new(b'\t')),
                Format::Csv | Format::None => Samples::Table(Table::new(b',')),
                Format::Json | Format::Ndjson => Samples::Documents(Box::default()),
            },
        });
        if seen.format != format {
            let message = format!("{name:?} is {format}, those before are {}: infer a schema for each", seen.format);
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        Ok(seen)
    }

    /// Reads on, and says how many rows of a table there were.
    fn read(&mut self, name: &str, reader: impl Read, most: u64) -> Result<u64> {
        match &mut self.samples {
            Samples::Table(table) => table.read(name, reader, most),
            Samples::Documents(documents) => documents.read(name, self.format, reader, most).map(|()| 0),
        }
    }

    fn see_blank_rows(&mut self, rows: u64) {
        if let Samples::Table(table) = &mut self.samples {
            table.see_blank_rows(rows);
        }
    }
}

/// A file that is judged while it is read; reading fails where it is known not to be valid.
struct Checked {
    inner: Box<dyn Read>,
    /// Until the file has ended.
    validator: Option<Box<dyn Validator>>,
    /// Bytes that it may still have.
    room: u64,
    ended: Option<Ended>,
}

enum Ended {
    Valid { records: u64 },
    Invalid(Box<Report>),
    TooLarge,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(mut validator) = self.validator.take() else { return self.end() };
        let read = match self.inner.read(buffer) {
            Ok(read) => read,
            Err(cause) => {
                self.validator = Some(validator);
                return Err(cause);
            }
        };
        let Some(room) = self.room.checked_sub(read as u64) else {
            self.ended = Some(Ended::TooLarge);
            return self.end();
        };
        self.room = room;
        if read == 0 {
            self.ended =
                Some(validator.finish().map_or_else(Ended::Invalid, |verdict| Ended::Valid { records: verdict.records }));
            return self.end();
        }
        if let Err(report) = validator.feed(&buffer[..read]) {
            self.ended = Some(Ended::Invalid(report));
            return self.end();
        }
        self.validator = Some(validator);
        Ok(read)
    }
}

impl Checked {
    /// What reading gives once it is over.
    fn end(&self) -> io::Result<usize> {
        match self.ended {
            Some(Ended::Invalid(_) | Ended::TooLarge) => Err(io::Error::other("the file is not valid")),
            Some(Ended::Valid { .. }) | None => Ok(0),
        }
    }
}
