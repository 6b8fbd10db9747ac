//! `tidegate quarantine`: what is kept of files that are not valid, and what becomes of it.

mod replay;
mod told;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt as _;

use super::print::{self, Form};
use super::{ConfigArgs, bad_config, fail, missing_root, open_sink};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::sink::validated::Validated;
use crate::sink::{Quarantined, Sink};

const AFTER_HELP: &str = "\
A rule with on_invalid = \"quarantine\" keeps the files that are not valid where no reader of the \
store looks, each with the report on it. An id may be cut short as long as it fits one file only. \
The server need not run, and may.

Examples:
  tidegate quarantine list --older-than 30d
  tidegate quarantine show 4be1
  tidegate quarantine show 4be1 --bytes | less
  tidegate quarantine replay 4be1
  tidegate quarantine drop --older-than 90d

Exit codes:
  0  done
  1  no such file, a replayed one stays in quarantine, or the store failed
  2  the command line or the configuration is wrong";

/// Show, replay or drop files that were kept because they are not valid
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    config: ConfigArgs,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print what is in quarantine, the oldest first
    List {
        /// Only what has been there for so long: 12h, 30d
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        older_than: Option<Duration>,
        /// Print one JSON object a file, with its report
        #[arg(long)]
        json: bool,
    },
    /// Print what is wrong with a file
    Show {
        /// Which file
        id: String,
        /// Print the file itself, as it came
        #[arg(long, conflicts_with = "json")]
        bytes: bool,
        /// Print a JSON object, with the report
        #[arg(long)]
        json: bool,
    },
    /// Validate files again by the rules that hold now, and commit those that are valid under their names
    ///
    /// What was committed is dropped from quarantine; what was not stays there.
    Replay {
        /// Which files
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Remove files for good
    Drop {
        /// Which files
        #[arg(required_unless_present = "older_than", value_name = "ID")]
        ids: Vec<String>,
        /// What has been there for so long, or of those that were named only such: 12h, 30d
        #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
        older_than: Option<Duration>,
    },
}

/// Does what was asked for; the exit code is one of those that the help lists.
pub(super) async fn run(args: &Args) -> ExitCode {
    let config = match args.config.load() {
        Ok(config) => config,
        Err(error) => return bad_config(&error),
    };
    // To open the store would make it: in the way of one that was moved away, or in a folder where
    // no server runs.
    if let Some(root) = missing_root(&config) {
        let shown = root.display().to_string();
        return fail(
            1,
            &format!("there is no store in {shown:?}: run this where the server runs, or set sink.fs.root to its folder"),
        );
    }
    let sink = match open_sink(&config) {
        Ok(sink) => sink,
        Err(error) if error.kind() == ErrorKind::Config => return bad_config(&error),
        Err(error) => return fail(1, &error.to_string()),
    };
    match act(&args.action, &config, &sink).await {
        Ok(code) => code,
        Err(error) => fail(1, &error.to_string()),
    }
}

async fn act(action: &Action, config: &Config, sink: &Arc<Validated>) -> Result<ExitCode> {
    let files = sink.quarantined().await?;
    match action {
        Action::List { older_than, json } => {
            let files: Vec<_> = files.iter().filter(|file| is_older(file, *older_than)).collect();
            told::list(Form::of(*json), &files);
        }
        Action::Show { id, bytes: true, .. } => print_bytes(sink.as_ref(), find(&files, id)?).await?,
        Action::Show { id, json, .. } => told::show(Form::of(*json), find(&files, id)?),
        Action::Replay { ids } => return replay::run(sink, config, &find_all(&files, ids)?).await,
        Action::Drop { ids, older_than } => {
            let named = if ids.is_empty() { files.iter().collect() } else { find_all(&files, ids)? };
            for file in named.into_iter().filter(|file| is_older(file, *older_than)) {
                drop_file(sink.as_ref(), file).await?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn is_older(file: &Quarantined, than: Option<Duration>) -> bool {
    than.is_none_or(|than| SystemTime::now().duration_since(file.quarantined_at).unwrap_or_default() >= than)
}

/// The file whose id is, or begins with, `id`.
fn find<'a>(files: &'a [Quarantined], id: &str) -> Result<&'a Quarantined> {
    let found: Vec<_> = files.iter().filter(|file| !id.is_empty() && file.id.as_str().starts_with(id)).collect();
    match found[..] {
        [file] => Ok(file),
        [] => Err(Error::new(ErrorKind::Store, format!("nothing in quarantine has an id that begins with {id:?}"))),
        [_, ..] => {
            let ids = found.iter().map(|file| file.id.as_str()).collect::<Vec<_>>().join(", ");
            Err(Error::new(ErrorKind::Store, format!("{id:?} fits {} files in quarantine: {ids}", found.len())))
        }
    }
}

/// All of them, or none: a slip shows before anything is done.
fn find_all<'a>(files: &'a [Quarantined], ids: &[String]) -> Result<Vec<&'a Quarantined>> {
    let mut found: Vec<&Quarantined> = Vec::new();
    for id in ids {
        let file = find(files, id)?;
        if found.iter().all(|other| other.id != file.id) {
            found.push(file);
        }
    }
    Ok(found)
}

/// The file on standard output. Who closes it does not want to read more.
async fn print_bytes(sink: &dyn Sink, file: &Quarantined) -> Result<()> {
    let Some(mut bytes) = sink.quarantined_bytes(&file.id).await? else { return Err(gone(file)) };
    while let Some(chunk) = bytes.try_next().await? {
        match io::stdout().lock().write_all(&chunk) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Error::new(ErrorKind::Io, "writing to standard output").because(error)),
        }
    }
    io::stdout().flush().map_err(|error| Error::new(ErrorKind::Io, "writing to standard output").because(error))
}

async fn drop_file(sink: &dyn Sink, file: &Quarantined) -> Result<()> {
    if !sink.drop_quarantined(&file.id).await? {
        return Err(gone(file));
    }
    print::line(&format!("dropped    {}  {}", file.id, file.name));
    Ok(())
}

fn gone(file: &Quarantined) -> Error {
    Error::new(ErrorKind::Store, format!("{} is no longer in quarantine", file.id))
}
