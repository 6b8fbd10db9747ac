//! `tidegate log`: reads the ledger, for people and for programs.

mod since;
mod table;

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, SystemTime};

use self::table::{Paint, head, row};
use super::print::{self, Form};
use super::{ConfigArgs, bad_config, fail};
use crate::assemble;
use crate::error::{Error, ErrorKind, Result};
use crate::escape;
use crate::ledger::{Day, Entry, Line, Outcome, Reader};
use crate::validate::rules::{MatchCase, Pattern};

/// How often it is looked whether more has come.
const FOLLOW_PAUSE: Duration = Duration::from_millis(250);

const AFTER_HELP: &str = "\
Filters go together: an entry is shown where all of them let it through. The oldest comes first. \
Times are in UTC. A line that is no entry, such as one that a crash has cut, is told on standard \
error and left out.

Examples:
  tidegate log --since 2h
  tidegate log --since 2026-10-17 --outcome rejected --outcome failed
  tidegate log --name 'plant-4/**' --collector edge-17
  tidegate log --follow --since 1m
  tidegate log --json | jq -r '[.name, .report.errors[0].line] | @tsv'

Exit codes:
  0    done, whether there was anything to show or not
  1    the ledger can't be read
  2    the command line or the configuration is wrong, or has no ledger
  130  interrupted, which is how --follow ends";

/// Show how uploads ended: who sent what, when, and what became of it
///
/// Reads the ledger that a server writes, below the store or where ledger.folder says. The server need not run.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Only names that match; without a slash the glob is held against the last component, with one against the whole name
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    name: Option<Pattern>,
    /// Only what ended so: committed (with the duplicates), duplicate, rejected or failed; may be given several times
    #[arg(long = "outcome", value_name = "OUTCOME", value_parser = end)]
    ends: Vec<End>,
    /// Only what ended since then: so long ago (90s, 2h, 3days), or a time in UTC unless it says another zone (2026-10-17,
    /// 2026-10-17T08:00, 2026-10-17T08:00:00Z, 2026-10-17T10:00:00+02:00)
    #[arg(long, value_name = "TIME", value_parser = since::parse)]
    since: Option<SystemTime>,
    /// Only what came from senders that call themselves so
    #[arg(long, value_name = "NAME")]
    collector: Option<String>,
    /// Go on as more comes, until ctrl-c
    #[arg(long, short)]
    follow: bool,
    /// Print the lines as they stand in the ledger, one JSON object for each
    #[arg(long)]
    json: bool,
    /// The ledger's folder, instead of what the configuration says
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArgs,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::new(text, MatchCase::Exact).map_err(|error| error.to_string())
}

/// How an upload ended, as the filter names it.
#[derive(Debug, Clone, Copy)]
enum End {
    Outcome(Outcome),
    /// Committed, and nothing had to be written.
    Duplicate,
}

fn end(text: &str) -> Result<End, String> {
    match text {
        "committed" => Ok(End::Outcome(Outcome::Committed)),
        "duplicate" => Ok(End::Duplicate),
        "rejected" => Ok(End::Outcome(Outcome::Rejected)),
        "failed" => Ok(End::Outcome(Outcome::Failed)),
        _ => Err("use committed, duplicate, rejected or failed".to_owned()),
    }
}

impl End {
    fn is_of(self, entry: &Entry) -> bool {
        match self {
            Self::Outcome(outcome) => entry.outcome == outcome,
            Self::Duplicate => entry.duplicate,
        }
    }
}

/// Shows what the filters let through; the exit code is one of those that the help lists.
pub(super) fn run(args: &Args) -> ExitCode {
    let folder = match args.folder.clone().map_or_else(|| configured_folder(&args.config), Ok) {
        Ok(folder) => folder,
        Err(error) => return bad_config(&error),
    };
    if !args.follow && !folder.exists() {
        return fail(1, &missing(args, &folder));
    }
    match show(args, folder) {
        Ok(()) => ExitCode::SUCCESS,
        // Who closes the pipe does not want to read more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(1, &format!("reading the ledger: {error}")),
    }
}

fn configured_folder(config: &ConfigArgs) -> Result<PathBuf> {
    let config = config.load()?;
    assemble::ledger_folder(&config).map_err(|why| {
        let message = format!("there is no ledger: {why}; to read an older one, name its folder with --folder");
        Error::new(ErrorKind::Config, message)
    })
}

/// What to say of a ledger that is not there. A path in the configuration that is relative is so to where the server runs,
/// which need not be here.
fn missing(args: &Args, folder: &Path) -> String {
    let shown = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let hint = match &args.folder {
        Some(_) => "is that the folder that the server names in its log?",
        None if folder.is_relative() => {
            "no server has run yet in this working directory, to which the configuration is relative; \
             run this where the server runs, or name the ledger's folder with --folder"
        }
        None => "no server has run yet with this configuration; name the folder of another ledger with --folder",
    };
    format!("there is no ledger in {:?}: {hint}", shown.display().to_string())
}

fn show(args: &Args, folder: PathBuf) -> io::Result<()> {
    let mut reader = Reader::new(folder, args.since.map(Day::of));
    let mut page = Page::new(args);
    if args.follow {
        return follow(&mut reader, &mut page);
    }
    reader.advance(|path, line| page.line(path, line))?;
    reader.finish(|path, line| page.line(path, line))?;
    page.out.flush()
}

/// Shows what comes until the process ends, or nobody reads any more.
fn follow(reader: &mut Reader, page: &mut Page<'_>) -> io::Result<()> {
    loop {
        match reader.advance(|path, line| page.line(path, line)) {
            // The server may not have begun it yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            advanced => advanced?,
        }
        page.out.flush()?;
        thread::sleep(FOLLOW_PAUSE);
    }
}

/// What is printed.
struct Page<'a> {
    args: &'a Args,
    out: BufWriter<StdoutLock<'static>>,
    paint: Paint,
    rows: u64,
}

impl<'a> Page<'a> {
    fn new(args: &'a Args) -> Self {
        let out = io::stdout().lock();
        // See no-color.org for the variable.
        let colours = out.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        let paint = if colours { Paint::Colours } else { Paint::Plain };
        Self { args, out: BufWriter::new(out), paint, rows: 0 }
    }

    fn line(&mut self, path: &Path, line: Line<'_>) -> io::Result<()> {
        match line {
            Line::Entry(entry, raw) if self.args.lets_through(&entry) => self.entry(&entry, raw),
            Line::Entry(..) => Ok(()),
            Line::Other(number, why) => {
                print::note(&format!("{}, line {number}: left out, for it is no entry: {why}", path.display()));
                Ok(())
            }
        }
    }

    fn entry(&mut self, entry: &Entry, raw: &[u8]) -> io::Result<()> {
        self.rows += 1;
        match Form::of(self.args.json) {
            Form::Json => {
                // An entry has been read from it, so it is text.
                writeln!(self.out, "{}", escape::json(&String::from_utf8_lossy(raw)))
            }
            Form::Text => {
                if self.rows == 1 {
                    writeln!(self.out, "{}", head())?;
                }
                writeln!(self.out, "{}", row(entry, self.paint))
            }
        }
    }
}

impl Args {
    fn lets_through(&self, entry: &Entry) -> bool {
        self.since.is_none_or(|since| entry.at >= since)
            && (self.ends.is_empty() || self.ends.iter().any(|end| end.is_of(entry)))
            && self.name.as_ref().is_none_or(|name| name.matches(&entry.name))
            && self.collector.as_ref().is_none_or(|name| entry.collector.as_ref() == Some(name))
    }
}
