//! `tidegate validate`: the server's validators without the server.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::assemble;
use crate::cli::plan::{self, Input, Item, Plan};
use crate::cli::print::{self, Form};
use crate::cli::{ConfigArgs, bad_config};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Fault, Result};
use crate::report::{Format, Report, Verdict};
use crate::upload::Key;
use crate::validate::rules::Rules;
use crate::validate::{Standard, Validator};

/// Bytes a read.
const READ_BYTES: usize = 256 * 1024;

const AFTER_HELP: &str = "\
Formats:
  json, ndjson, csv and tsv; none passes anything. Without --format the name decides, as at the
  server: .json, .ndjson or .jsonl, .csv, .tsv; any other name is not parsed. Files of a folder are
  named FOLDER/RELATIVE/PATH, and those whose names begin with a dot are left out.

Examples:
  tidegate validate readings/
  tidegate validate export.txt --format csv
  curl -s https://example.org/feed | tidegate validate - --format ndjson
  tidegate validate readings/ --json | jq -r 'select(.outcome == \"invalid\") | .report.line'

Exit codes:
  0  every file is valid, or of a format that is not parsed
  1  a file is invalid, or can't be read
  2  the command line is wrong";

/// Check files as the server would, without a server
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Files, folders (with all that is in them), or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Read every file as this: json, ndjson, csv, tsv or none
    #[arg(long)]
    format: Option<Format>,
    /// The name that decides, instead of the file's or folder's own
    #[arg(long)]
    name: Option<String>,
    /// Print one JSON object a file: path, name, outcome, and verdict or code, message and report
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ConfigArgs,
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

/// What a server goes by.
#[derive(Debug)]
struct Standards {
    rules: Rules,
    max_file_bytes: u64,
}

impl Standards {
    fn of(config: &Config) -> Result<Self> {
        Ok(Self { rules: assemble::rules(config)?, max_file_bytes: config.limits.max_file_bytes })
    }
}

/// Judges what the arguments name as a server of this configuration would; the exit code is one of those that the help lists.
pub(super) fn run(args: &Args) -> ExitCode {
    match args.config.load().and_then(|config| Standards::of(&config)) {
        Ok(standards) => judge_all(args, &standards),
        Err(error) => bad_config(&error),
    }
}

fn judge_all(args: &Args, standards: &Standards) -> ExitCode {
    if let Some(flaw) = flaw(args) {
        print::note(&format!("error: {flaw}\n\nFor more information, try 'tidegate validate --help'."));
        return ExitCode::from(2);
    }
    let plan = Plan::of(&args.paths, args.name.as_deref());
    for note in &plan.notes {
        print::note(note);
    }
    let (mut seen, mut wrong) = (0, 0);
    let mut tell = |item: &Item, finding: &Finding| {
        seen += 1;
        wrong += usize::from(matches!(finding, Finding::Invalid { .. } | Finding::Unreadable { .. }));
        report(Form::of(args.json), item, finding);
    };
    for (item, error) in &plan.refused {
        tell(item, &Finding::from(error));
    }
    for item in &plan.items {
        let finding = judge(item, args.format, standards).unwrap_or_else(|error| Finding::from(&error));
        tell(item, &finding);
    }
    if wrong > 0 {
        print::note(&format!("{wrong} of {} invalid or unreadable", print::files(seen)));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
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

/// Reads a file to its end, or to the first byte that proves it broken.
///
/// # Errors
/// What is wrong with the file, or with the reading.
fn judge(item: &Item, format: Option<Format>, standards: &Standards) -> Result<Finding> {
    let Standards { rules, max_file_bytes } = standards;
    // Standard input that is told its format needs no name.
    let (standard, max_bytes) = match (item.name.is_empty(), format) {
        (true, Some(_)) => (rules.standard().clone(), None),
        (true | false, _) => {
            let applied = rules.find(&item.name.parse::<Key>()?);
            (applied.standard, applied.max_bytes)
        }
    };
    let max_bytes = max_bytes.map_or(*max_file_bytes, |most| most.min(*max_file_bytes));
    let format = format.unwrap_or(standard.format);
    let too_large = || Error::new(ErrorKind::TooLarge, format!("{:?} has more than {max_bytes} bytes", item.name));
    if item.size().is_some_and(|size| size > max_bytes) {
        return Err(too_large());
    }
    let Some(validator) = (Standard { format, ..standard }).validator() else { return Ok(Finding::Unparsed) };
    let reading = |cause: io::Error| Error::new(ErrorKind::Io, format!("reading {:?}", item.name)).because(cause);
    let mut reader: Box<dyn Read> = match item.input {
        Input::Stdin => Box::new(io::stdin()),
        Input::File { .. } | Input::Pipe => Box::new(File::open(&item.path).map_err(reading)?),
    };
    match feed(&mut reader, validator, max_bytes).map_err(reading)? {
        Judged::Valid(verdict) => Ok(Finding::Valid { verdict }),
        Judged::Broken(rejection) => {
            let message = format!("{:?} is not valid {format}", item.name);
            Err(Error::new(ErrorKind::Invalid, message).because(*rejection))
        }
        Judged::TooLarge => Err(too_large()),
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

fn report(form: Form, item: &Item, finding: &Finding) {
    let path = item.path.to_string_lossy();
    match (form, finding) {
        (Form::Json, _) => {
            let line = Line { path: &path, name: &item.name, finding };
            print::line(&serde_json::to_string(&line).expect("a line has text keys only"));
        }
        (Form::Text, Finding::Valid { verdict }) => {
            print::line(&format!("valid       {path}  {}", print::verdict_words(*verdict)));
        }
        (Form::Text, Finding::Unparsed) => print::line(&format!("not parsed  {path}")),
        (Form::Text, Finding::Invalid { code, message, report }) => {
            print::line(&format!("invalid     {path}: {}", print::flaw(code, message, report.as_ref())));
        }
        (Form::Text, Finding::Unreadable { code, message }) => {
            print::note(&format!("failed      {path}: {message} [{code}]"));
        }
    }
}
