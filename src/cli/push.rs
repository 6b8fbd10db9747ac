//! `tidegate push`: sends files, folders or standard input, and says of each what became of it.

mod console;
mod identity;
mod pipe;
mod selection;

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;

use self::console::Console;
use crate::cli::plan::{self, Input, Item, Plan};
use crate::cli::print::{self, Form};
use crate::cli::target;
use crate::cli::walk::Links;
use crate::client::{Attempt, Delivery, Options, Outcome, Retry, Sender, Source, Step, Upload};
use crate::error::{Error, ErrorKind, Fault};
use crate::escape;
use crate::upload::Key;

/// Files of this size are worth asking first how much of them an earlier push has left at the server; what is smaller is sent
/// in about the time of asking.
const ASK_FIRST_BYTES: u64 = 1 << 20;

const AFTER_HELP: &str = "\
Names:
  A file goes by its file name, the files of a folder by FOLDER/RELATIVE/PATH. Files and folders whose \
names begin with a dot are left out, and so are symbolic links unless --follow-links is given.

  Files that would have one name at the server are rejected, and none of them is sent. A name must be \
UTF-8: a file with another one is shown as a\\xff.csv, and can be pushed by itself with --name.

Files that change:
  What is committed is one state of a file. A file that is written to or replaced while it is read is \
given up before its end, and sent again if it then stays unchanged for --settle; otherwise it fails.

Cut off:
  A file goes on where the server has kept what came before: after a lost connection, and when the \
same push is started again, as long as the file has not been written to meanwhile.

Examples:
  tidegate push readings.csv
  tidegate push readings/ --to collector:5010 --jobs 8
  tidegate push today.csv --name plant-4/2026-10-17.csv
  pg_dump shop | tidegate push - --name backups/shop.sql
  tidegate push readings/ --json | jq 'select(.outcome != \"committed\")'

Exit codes:
  0    every file was committed
  1    something failed: a file, the connection, the server or its store
  2    the command line is wrong
  3    nothing failed, but a file was rejected, and will be if sent unchanged
  4    nothing to push: no file is in the folders
  130  interrupted";

/// Send files to a server and print a receipt for each
///
/// A receipt means that the file is whole, and durable, under its name at the server. Lost connections and passing failures
/// are tried again, and no file is stored twice for it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Args {
    /// Regular files, folders (with all that is in them), or - for standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    // No doc comment: it would have to put the variable's name into backticks, and clap prints them.
    #[arg(long, value_name = "HOST:PORT", value_parser = target::address)]
    #[arg(help = "The server [default: what TIDEGATE_TO says, or 127.0.0.1:5010]")]
    to: Option<String>,
    /// The name at the server, instead of the file's or folder's own; standard input needs one
    #[arg(long)]
    name: Option<String>,
    /// What this sender calls itself in the server's log and ledger, where `tidegate log --collector NAME` finds it
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    collector: Option<String>,
    /// Files on their way at once, each over its own connection
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..))]
    jobs: u8,
    // No doc comment, as above.
    #[arg(long)]
    #[arg(help = "Print one JSON object a file: path, name, outcome, sent_bytes, and receipt or code, message and report")]
    json: bool,
    /// How often a file is tried again after a failure that may pass; a try that went further begins the count anew
    #[arg(long, value_name = "N", default_value_t = 8)]
    retries: u32,
    /// Follow symbolic links in folders; one that leads back to a folder which it is in is left out
    #[arg(long)]
    follow_links: bool,
    /// How long a file that changed while it was read must stay unchanged before it is sent again
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = humantime::parse_duration)]
    settle: Duration,
    /// How long the server may take to accept a connection and to send its hello
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = humantime::parse_duration)]
    connect_timeout: Duration,
    /// How long the server may take no byte, or leave a question unanswered, as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = humantime::parse_duration)]
    idle_timeout: Duration,
    /// How long the server may take over a commit, as 90s or 10m
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    answer_timeout: Duration,
    /// The longest wait before the first further try; it doubles from try to try
    #[arg(long, hide = true, value_name = "DURATION", default_value = "500ms", value_parser = humantime::parse_duration)]
    backoff: Duration,
}

/// Sends what the arguments name; the exit code is one of those that the help lists.
pub(super) async fn run(args: Args) -> ExitCode {
    let to = match server(&args) {
        Ok(to) => to,
        Err(flaw) => return usage(&flaw),
    };
    let interrupted = tokio::signal::ctrl_c();
    let Args { paths, name, .. } = &args;
    let plan = selection::of(Plan::of(paths, name.as_deref(), Links::of(args.follow_links)));
    let console = Arc::new(Console::new(Form::of(args.json), plan.items.len() + plan.refused.len(), plan.bytes()));
    for note in &plan.notes {
        console.note(note);
    }
    if plan.items.is_empty() && plan.refused.is_empty() {
        return nothing(&console, paths);
    }
    for (item, error) in plan.refused {
        console.report(&item.path, &item.name, &refused(&error));
    }
    let mut workers = workers(&args, &to, plan.items, &console);
    let done = async { while workers.join_next().await.is_some() {} };
    tokio::select! {
        () = done => console.summary().exit_code(),
        _ = interrupted => {
            console.interrupted();
            ExitCode::from(130)
        }
    }
}

/// The server's address, and whether the arguments go together.
fn server(args: &Args) -> Result<String, String> {
    let stdin = args.paths.iter().any(|path| plan::is_stdin(path));
    match &args.name {
        Some(_) if args.paths.len() > 1 => return Err("--name goes with one PATH".to_owned()),
        None if stdin => return Err("standard input needs a name: add --name NAME".to_owned()),
        Some(_) | None => {}
    }
    target::server(args.to.as_deref())
}

fn usage(flaw: &str) -> ExitCode {
    print::notes(&format!("error: {flaw}\n\nFor more information, try 'tidegate push --help'."));
    ExitCode::from(2)
}

/// Says that the paths hold no file. The exit code is no success, because a job whose files are no
/// longer written looks the same; and no failure, because a folder may be empty by right.
fn nothing(console: &Console, paths: &[PathBuf]) -> ExitCode {
    let paths: Vec<_> = paths.iter().map(|path| escape::path(path)).collect();
    console.note(&format!("nothing to push: no file is in {}", paths.join(", ")));
    ExitCode::from(4)
}

/// What becomes of a file that is not even sent.
fn refused(error: &Error) -> Delivery {
    let (code, message) = (error.kind().code().to_owned(), error.to_string());
    Delivery::of_nothing(match error.kind().fault() {
        Fault::Upload => Outcome::Rejected { code, message, report: None },
        Fault::Passing => Outcome::Failed { code, message, retry: false },
    })
}

fn options(args: &Args) -> Options {
    Options {
        connect_timeout: args.connect_timeout,
        idle_timeout: args.idle_timeout,
        answer_timeout: args.answer_timeout,
        collector: args.collector.clone(),
        ..Options::default()
    }
}

fn retry(args: &Args) -> Retry {
    let attempts = args.retries.saturating_add(1);
    Retry { attempts, first_wait: args.backoff, settle: args.settle, ..Retry::default() }
}

/// One worker and one connection a job; each takes the next file from the queue when it is done with one.
fn workers(args: &Args, to: &str, items: Vec<Item>, console: &Arc<Console>) -> JoinSet<()> {
    let jobs = usize::from(args.jobs).min(items.len());
    let queue = Arc::new(Mutex::new(VecDeque::from(items)));
    let working = Arc::new(AtomicUsize::new(jobs));
    let (options, retry) = (options(args), retry(args));
    let mut workers = JoinSet::new();
    for _ in 0..jobs {
        let (queue, working, console) = (Arc::clone(&queue), Arc::clone(&working), Arc::clone(console));
        let mut sender = Sender::new(to, options.clone(), retry);
        workers.spawn(async move {
            // Taking an item can't panic half-way, so a poisoned queue is as good as any.
            let queue = || queue.lock().unwrap_or_else(PoisonError::into_inner);
            loop {
                let Some(item) = queue().pop_front() else { break };
                let delivery = send(&mut sender, &item, &console).await;
                // A server that takes fewer connections than there are jobs is served by those that have one.
                let busy = matches!(&delivery.outcome, Outcome::Failed { code, .. } if code == ErrorKind::Busy.code());
                if busy && working.fetch_sub(1, Ordering::Relaxed) > 1 {
                    console.note(&format!("the server has no place for {jobs} connections at once; going on with fewer"));
                    queue().push_front(item);
                    break;
                }
                console.report(&item.path, &item.name, &delivery);
            }
        });
    }
    workers
}

async fn send(sender: &mut Sender, item: &Item, console: &Console) -> Delivery {
    let key: Key = match item.name.parse() {
        Ok(key) => key,
        Err(error) => return refused(&error),
    };
    let mut source = source(item);
    // The id stands for the state of the file. Where that can't be read, opening the file says why.
    // A stream has one try, for which any id will do.
    let upload = match source.look().await {
        Ok(Some(look)) => Upload { id: identity::upload_id(&look, &key), ..Upload::new(key) },
        Ok(None) | Err(_) => Upload::new(key),
    };
    let first = match item.size() {
        Some(ASK_FIRST_BYTES..) => Attempt::Again,
        Some(_) | None => Attempt::First,
    };
    let mut file = console.file(item.size());
    let delivery = sender
        .send(&upload, first, &mut source, |step| match step {
            Step::Sent(sent) => file.sent(sent),
            Step::Anew { why } => console.note(&format!("anew       {}: {why}", escape::path(&item.path))),
            Step::Waiting { why, wait } => {
                let wait =
                    humantime::format_duration(Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)));
                console.note(&format!("waiting    {}: {why}; next try in {wait}", escape::path(&item.path)));
            }
        })
        .await;
    file.done();
    delivery
}

/// Where an item's bytes come from.
fn source(item: &Item) -> Source {
    let path = item.path.clone();
    match (item.input, &item.below) {
        (Input::File { .. }, Some(folder)) => {
            let relative = path.strip_prefix(folder).unwrap_or(&path).to_owned();
            Source::file_below(Arc::clone(folder), relative)
        }
        // A special file is refused before, and by the source too.
        (Input::File { .. } | Input::Special(_), _) => Source::file(path),
        (Input::Stdin, _) => Source::stream(pipe::read(|| Ok(io::stdin()))),
    }
}
