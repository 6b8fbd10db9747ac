//! `tidegate validate`: the server's validators without the server.

use std::fmt::Write as _;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::assemble::schemas;
use crate::cli::diagnosis::{self, Colours, Origin};
use crate::cli::plan::{self, Item, Plan};
use crate::cli::print::{self, Form};
use crate::cli::standards::{Held, Standards};
use crate::cli::walk::Links;
use crate::cli::{ConfigArgs, bad_config, explain};
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::escape;
use crate::report::{Compression, Format, Profile, Report, SchemaFor, Verdict};
use crate::validate::{Patience, Snippets, Validator};

/// Bytes a read.
const READ_BYTES: usize = 256 * 1024;

/// Flaws of one file that are told one by one, whatever was asked for: they have to be in memory.
const MAX_ERRORS_TOLD: u64 = 10_000;

const AFTER_HELP: &str = "\
Formats:
  json, ndjson, csv and tsv; none passes anything. Without --format the name decides, as at the \
server: .json, .ndjson or .jsonl, .csv, .tsv; any other name is not parsed. Files of a folder are \
named FOLDER/RELATIVE/PATH, and those whose names begin with a dot are left out.

Examples:
  tidegate validate readings/
  tidegate validate export.txt --format csv
  curl -s https://example.org/feed | tidegate validate - --format ndjson
  tidegate validate readings/ --json | jq 'select(.report) | .name, .code'
  tidegate validate --explain stray-quote

Exit codes:
  0  every file is valid, or of a format that is not parsed
  1  a file is invalid, or can't be read
  2  the command line is wrong";

/// Check files as the server would, without a server
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Files, folders (with all that is in them), or - for standard input
    #[arg(required_unless_present = "explain", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Follow symbolic links in folders; one that leads back to a folder which it is in is left out
    #[arg(long)]
    follow_links: bool,
    /// Read every file as this: json, ndjson, csv, tsv or none
    #[arg(long)]
    format: Option<Format>,
    /// Unpack every file so: none, gzip or zstd; without it the name decides (.gz, .zst)
    #[arg(long, value_parser = compression)]
    compression: Option<Compression>,
    /// How strict JSON is read: rfc8259 (what the grammar allows) or i-json (RFC 7493: no name twice, no lone surrogates, no
    /// numbers beyond a double)
    #[arg(long)]
    profile: Option<Profile>,
    /// Hold every file against this schema: a Table Schema for csv and tsv, a JSON Schema for json and ndjson
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    /// Hold a JSON Schema against the whole document, or against each of the items of an array
    #[arg(long, value_name = "PART", requires = "schema", value_parser = schema_for)]
    schema_for: Option<SchemaFor>,
    /// Read every csv and tsv by this Table Dialect
    #[arg(long, value_name = "FILE")]
    dialect: Option<PathBuf>,
    /// The name that decides, instead of the file's or folder's own
    #[arg(long)]
    name: Option<String>,
    /// Print one JSON object a file: path, name, outcome, and verdict or code, message and report
    #[arg(long)]
    json: bool,
    /// Stop reading a file after so many errors; 1 stops at the first, as a server does unless a rule says more
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    max_errors: u64,
    /// Hide what stands in the files: letters are shown as x, digits as 9
    #[arg(long)]
    mask: bool,
    /// Tell what a code means, and how such a file is repaired; without CODE, list them all
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "", conflicts_with = "paths")]
    explain: Option<String>,
    #[command(flatten)]
    config: ConfigArgs,
}

fn compression(text: &str) -> Result<Compression, &'static str> {
    match text {
        "none" => Ok(Compression::None),
        "gzip" => Ok(Compression::Gzip),
        "zstd" => Ok(Compression::Zstd),
        _ => Err("use none, gzip or zstd"),
    }
}

fn schema_for(text: &str) -> Result<SchemaFor, &'static str> {
    match text {
        "document" => Ok(SchemaFor::Document),
        "items" => Ok(SchemaFor::Items),
        _ => Err("use document or items"),
    }
}

/// What a file is.
#[derive(Debug, Serialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
enum Finding {
    Valid {
        verdict: Verdict,
    },
    /// Nothing was said of its content.
    Unparsed,
    Invalid {
        code: &'static str,
        message: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        report: Option<Report>,
    },
    Unreadable {
        code: &'static str,
        message: String,
    },
}

/// What `--json` prints of a file.
#[derive(Debug, Serialize)]
struct Line<'a> {
    path: &'a str,
    name: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// Judges what the arguments name as a server of this configuration would; the exit code is one of those that the help lists.
pub(super) fn run(args: &Args) -> ExitCode {
    if let Some(code) = &args.explain {
        return explain::run(code);
    }
    match args.config.load().and_then(|config| Standards::of(&config)) {
        Ok(standards) => judge_all(args, &standards),
        Err(error) => bad_config(&error),
    }
}

fn judge_all(args: &Args, standards: &Standards) -> ExitCode {
    if let Some(flaw) = flaw(args) {
        print::notes(&format!("error: {flaw}\n\nFor more information, try 'tidegate validate --help'."));
        return ExitCode::from(2);
    }
    let plan = Plan::of(&args.paths, args.name.as_deref(), Links::of(args.follow_links));
    for note in &plan.notes {
        print::note(note);
    }
    let mut teller = Teller::new(Form::of(args.json));
    for (item, error) in &plan.refused {
        teller.tell(item, &Finding::from(error), None);
    }
    for item in &plan.items {
        match args.held(item, standards) {
            Ok(held) => {
                let finding = judge(item, &held).unwrap_or_else(|error| Finding::from(&error));
                teller.tell(item, &finding, Some(&Origin::new(&item.path, item.file(), &held.standard)));
            }
            Err(error) if error.kind() == ErrorKind::Config => return bad_config(&error),
            Err(error) => teller.tell(item, &Finding::from(&error), None),
        }
    }
    teller.end()
}

/// What is wrong with the arguments.
fn flaw(args: &Args) -> Option<&'static str> {
    let stdin = args.paths.iter().any(|path| plan::is_stdin(path));
    match (&args.name, args.format) {
        (Some(_), _) if args.paths.len() > 1 => Some("--name goes with one PATH"),
        (None, None) if stdin => Some("standard input tells no format: add --format FORMAT or --name NAME"),
        (Some(_) | None, _) => None,
    }
}

impl Args {
    /// What a file is held to: as at the server, but that a person wants to know all that is wrong with it.
    fn held(&self, item: &Item, standards: &Standards) -> Result<Held> {
        let mut held = standards.of_item(item, self.format)?;
        let max_errors_kept = usize::try_from(self.max_errors.min(MAX_ERRORS_TOLD)).unwrap_or(usize::MAX);
        held.standard.patience =
            Patience { max_errors: self.max_errors, max_error_ratio: None, max_errors_kept, max_kept_bytes: usize::MAX };
        held.standard.compression = self.compression.unwrap_or(held.standard.compression);
        held.standard.profile = self.profile.unwrap_or(held.standard.profile);
        if let Some(path) = &self.dialect {
            held.standard.dialect = Some(schemas::dialect(path, held.standard.format)?);
        }
        if let Some(path) = &self.schema {
            held.standard.schema = Some(schemas::schema(path, held.standard.format, self.schema_for.unwrap_or_default())?);
        }
        if self.mask {
            held.standard.snippets = Snippets::Masked;
        }
        Ok(held)
    }
}

/// Reads a file as far as its standard has patience with it.
///
/// # Errors
/// What is wrong with the file, or with the reading.
fn judge(item: &Item, held: &Held) -> Result<Finding> {
    let Some(validator) = held.standard.validator() else { return Ok(Finding::Unparsed) };
    let judged = feed(&mut item.open()?, validator, held.max_bytes).map_err(|cause| item.unreadable(cause))?;
    match judged {
        Judged::Valid(verdict) => Ok(Finding::Valid { verdict }),
        Judged::Broken(report) => {
            let message = format!("{:?} is not valid {}", item.name, held.standard.format);
            Err(Error::new(ErrorKind::Invalid, message).because(*report))
        }
        Judged::TooLarge => Err(held.too_large(item)),
    }
}

enum Judged {
    Valid(Verdict),
    Broken(Box<Report>),
    TooLarge,
}

fn feed(reader: &mut dyn Read, mut validator: Box<dyn Validator>, max_bytes: u64) -> io::Result<Judged> {
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        let read = match reader.read(&mut buffer) {
            Ok(0) => return Ok(validator.finish().map_or_else(Judged::Broken, Judged::Valid)),
            Ok(read) => read,
            Err(cause) if cause.kind() == io::ErrorKind::Interrupted => continue,
            Err(cause) => return Err(cause),
        };
        size += read as u64;
        if size > max_bytes {
            return Ok(Judged::TooLarge);
        }
        if let Err(rejection) = validator.feed(&buffer[..read]) {
            return Ok(Judged::Broken(rejection));
        }
    }
}

impl From<&Error> for Finding {
    fn from(error: &Error) -> Self {
        let (code, message) = (error.kind().code(), error.to_string());
        match error.kind().fault() {
            Fault::Upload => Self::Invalid { code, message, report: error.find::<Report>().cloned() },
            Fault::Passing => Self::Unreadable { code, message },
        }
    }
}

/// Tells what becomes of each file, and of all of them.
struct Teller {
    form: Form,
    colours: Colours,
    seen: usize,
    wrong: usize,
    errors: u64,
}

impl Teller {
    fn new(form: Form) -> Self {
        Self { form, colours: Colours::of_stdout(), seen: 0, wrong: 0, errors: 0 }
    }

    fn tell(&mut self, item: &Item, finding: &Finding, origin: Option<&Origin>) {
        self.seen += 1;
        self.wrong += usize::from(matches!(finding, Finding::Invalid { .. } | Finding::Unreadable { .. }));
        if let Finding::Invalid { report: Some(report), .. } = finding {
            self.errors += report.errors_total;
        }
        let path = escape::path(&item.path);
        match self.form {
            Form::Json => {
                let line = Line { path: &path, name: &item.name, finding };
                print::json(&serde_json::to_string(&line).expect("a line has text keys only"));
            }
            Form::Text => self.tell_person(&path, finding, origin),
        }
    }

    fn tell_person(&self, path: &str, finding: &Finding, origin: Option<&Origin>) {
        match finding {
            Finding::Valid { verdict } => print::line(&format!("valid       {path}  {}", print::verdict_words(*verdict))),
            Finding::Unparsed => print::line(&format!("not parsed  {path}")),
            Finding::Invalid { report: Some(report), .. } => {
                if let Some(origin) = origin {
                    print::text(&diagnosis::flaws(report, origin, self.colours));
                }
                print::line(&format!("invalid     {path}  {}", diagnosis::summary(report)));
            }
            Finding::Invalid { code, message, report: None } => {
                print::line(&format!("invalid     {path}: {message} [{code}]"));
            }
            Finding::Unreadable { code, message } => print::note(&format!("failed      {path}: {message} [{code}]")),
        }
    }

    fn end(&self) -> ExitCode {
        let Self { seen, wrong, errors, .. } = self;
        if *wrong == 0 {
            return ExitCode::SUCCESS;
        }
        let mut text = format!("{wrong} of {} invalid or unreadable", print::files(*seen));
        if *errors > 0 {
            _ = write!(text, ", {} in all", print::plural(*errors, "error"));
            if self.form == Form::Text {
                text.push_str("; tidegate validate --explain CODE tells more of one");
            }
        }
        print::note(&text);
        ExitCode::FAILURE
    }
}
