//! A sender in a storm: sends one file after another, each until it is answered or until the sender leaves.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate::client::{Attempt, Client, Options, Outcome, Retry, Sender, Source};
use tidegate::error::{ErrorKind, Fault};

use crate::book::Answer;
use crate::common::chance::Chance;
use crate::files::Job;
use crate::node::Door;
use crate::storm::Storm;
use crate::wire::{self, Heard, Naming, PlainEnd};

/// The form that a sender speaks for one upload; it keeps to it, as a program does.
#[derive(Debug, Clone, Copy)]
enum Form {
    Plain(PlainEnd),
    Framed(Naming),
    /// The library's client, a new one for each try.
    Client,
    /// The library's sender, which tries again by itself.
    Sender,
}

const FORMS: [Form; 9] = [
    Form::Plain(PlainEnd::Size),
    Form::Plain(PlainEnd::EndOfStream),
    Form::Framed(Naming::None),
    Form::Framed(Naming::Id),
    Form::Framed(Naming::IdAndResume),
    Form::Client,
    Form::Client,
    Form::Sender,
    Form::Sender,
];

/// Sends until the storm is over and what was begun is answered.
pub(crate) async fn run(storm: Arc<Storm>, mut chance: Chance) {
    while storm.rages() {
        let job = storm.book.next(&mut chance);
        deliver(&storm, &mut chance, &job).await;
    }
}

async fn deliver(storm: &Storm, chance: &mut Chance, job: &Job) {
    let bytes = job.content.make();
    let form = *chance.pick(&FORMS);
    let number = storm.book.begin(job);
    loop {
        // After the storm there is time; in it, some are torn away at any moment, and some wait long for nothing.
        let patience = match storm.rages() {
            true if chance.one_in(4) => Duration::from_millis(chance.within(0..400)),
            true => Duration::from_secs(8),
            false => Duration::from_secs(60),
        };
        let heard = tokio::time::timeout(patience, attempt(storm, chance, job, &bytes, form)).await;
        match heard.unwrap_or_else(|_elapsed| Err(format!("no patience after {patience:?}"))) {
            Ok(answer) => return storm.book.answered(number, answer, bytes.len()),
            Err(why) => storm.book.lost(number, &format!("{form:?}: {why}")),
        }
        if storm.rages() && chance.one_in(8) {
            return storm.book.leave(number);
        }
        tokio::time::sleep(Duration::from_millis(chance.within(0..150))).await;
    }
}

async fn attempt(storm: &Storm, chance: &mut Chance, job: &Job, bytes: &[u8], form: Form) -> Heard {
    let node = chance.pick(&storm.nodes);
    let door = match form {
        // A proxy that ends early would end the file.
        Form::Plain(PlainEnd::EndOfStream) => Door::Direct,
        _ => *chance.pick(&[Door::Direct, Door::Calm, Door::Rough, Door::Rough]),
    };
    let address = node.address(door);
    match form {
        Form::Plain(end) => wire::plain(&address, job, bytes, end).await,
        Form::Framed(naming) => wire::framed(&address, job, bytes, naming, &storm.book).await,
        Form::Client => by_client(storm, &address, job, bytes).await,
        Form::Sender => by_sender(&storm.folder, &address, job, bytes).await,
    }
}

async fn by_client(storm: &Storm, address: &str, job: &Job, bytes: &[u8]) -> Heard {
    let mut client = match Client::connect(address, &options()).await {
        Ok(client) => client,
        Err(error) => return failed(error.kind(), &error.to_string()),
    };
    let mut is_first = true;
    let progress = |sent| {
        // The first word of progress comes before the first byte: it is what the server had.
        if std::mem::take(&mut is_first) && sent > 0 {
            storm.book.resumed();
        }
    };
    match client.put(&upload(job), Attempt::Again, &mut &*bytes, progress).await {
        Ok(outcome) => heard(outcome, job, bytes.len()),
        Err(error) => failed(error.kind(), &error.to_string()),
    }
}

async fn by_sender(folder: &Path, address: &str, job: &Job, bytes: &[u8]) -> Heard {
    let file = tempfile::NamedTempFile::new_in(folder).unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let retry = Retry { attempts: 4, first_wait: Duration::from_millis(50), max_wait: Duration::from_millis(400) };
    let mut sender = Sender::new(address, options(), retry);
    heard(sender.send(&upload(job), &mut Source::file(file.path()), |_| {}).await, job, bytes.len())
}

fn upload(job: &Job) -> tidegate::client::Upload {
    let new = tidegate::client::Upload::new(job.name.parse().unwrap());
    tidegate::client::Upload { id: job.id.clone(), ..new }
}

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(5),
        write_timeout: Duration::from_secs(10),
        answer_timeout: Duration::from_secs(20),
        collector: None,
    }
}

fn heard(outcome: Outcome, job: &Job, bytes: usize) -> Heard {
    match outcome {
        Outcome::Committed(receipt) => Ok(wire::receipt_answer(&receipt, job, bytes)),
        Outcome::Rejected { code, .. } => Ok(Answer::Rejected { code }),
        Outcome::Failed { retry: true, code, message } => Err(format!("{code}: {message}")),
        Outcome::Failed { retry: false, code, message } => Ok(wire::wrong(&format!("failed for good: {code}: {message}"))),
    }
}

fn failed(kind: ErrorKind, message: &str) -> Heard {
    match kind.fault() {
        Fault::Passing => Err(message.to_owned()),
        Fault::Upload => Ok(wire::wrong(message)),
    }
}
