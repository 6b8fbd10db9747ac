//! A sender in a storm: sends one file after another, each until it is answered or until the sender leaves.

use std::sync::Arc;
use std::time::Duration;

use tidegate::client::{Attempt, Options, Outcome, Retry, Sender, Source, Upload};

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
    /// The library's sender, which asks first, and makes so many tries by itself.
    Sender(u32),
}

const FORMS: [Form; 9] = [
    Form::Plain(PlainEnd::Size),
    Form::Plain(PlainEnd::EndOfStream),
    Form::Framed(Naming::None),
    Form::Framed(Naming::Id),
    Form::Framed(Naming::IdAndResume),
    Form::Sender(1),
    Form::Sender(1),
    Form::Sender(4),
    Form::Sender(4),
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
            true => Duration::from_millis(chance.within(1_000..5_000)),
            false => Duration::from_mins(1),
        };
        let heard = tokio::time::timeout(patience, attempt(storm, chance, job, &bytes, form)).await;
        match heard.unwrap_or_else(|_elapsed| Err(format!("no patience after {patience:?}"))) {
            Ok(answer) => return storm.book.answered(number, answer, bytes.len()),
            Err(why) => storm.book.lost(number, &format!("{form:?}: {why}")),
        }
        if storm.rages() && chance.one_in(16) {
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
        Form::Sender(attempts) => by_sender(storm, &address, job, bytes, attempts).await,
    }
}

async fn by_sender(storm: &Storm, address: &str, job: &Job, bytes: &[u8], attempts: u32) -> Heard {
    let file = tempfile::NamedTempFile::new_in(&storm.folder).unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let retry =
        Retry { attempts, first_wait: Duration::from_millis(50), max_wait: Duration::from_millis(400), ..Retry::default() };
    let mut sender = Sender::new(address, options(), retry);
    let upload = Upload { id: job.id.clone(), ..Upload::new(job.name.parse().unwrap()) };
    let delivery = sender.send(&upload, Attempt::Again, &mut Source::file(file.path()), |_| {}).await;
    if delivery.resumed_at > 0 {
        storm.book.resumed();
    }
    match delivery.outcome {
        Outcome::Committed(receipt) => Ok(wire::receipt_answer(&receipt, job, bytes.len())),
        Outcome::Rejected { code, .. } => Ok(Answer::Rejected { code }),
        Outcome::Failed { retry: true, code, message } => Err(format!("{code}: {message}")),
        Outcome::Failed { retry: false, code, message } => Ok(wire::wrong(&format!("failed for good: {code}: {message}"))),
    }
}

fn options() -> Options {
    Options {
        connect_timeout: Duration::from_secs(2),
        idle_timeout: Duration::from_secs(10),
        answer_timeout: Duration::from_secs(20),
        ..Options::default()
    }
}
