//! Random senders against the built server: each file is stored right, or refused, and there is no
//! third outcome.
//!
//! `TIDEGATE_SENDERS_SECONDS=600` runs for ten minutes. `TIDEGATE_SENDERS_SEED` takes another seed
//! than 1; each round has the next one, so that a round which fails can be run alone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate::upload::Digest;
use tokio::task::JoinSet;

use crate::common::chance::Chance;
use crate::draw::{self, Form, Sender};
use crate::sender::{Ending, Step};
use crate::server::Server;
use crate::verdict::{File, Stored, Verdict};

/// Senders at once.
const CROWD: usize = 400;

/// The wait of the server for more bytes, longer than any pause that is drawn.
const PATIENCE: Duration = Duration::from_secs(4);

const KEYS: [(&str, &str); 4] =
    [("limits.header_timeout", "4s"), ("limits.idle_timeout", "4s"), ("plain.linger", "4s"), ("log.level", "off")];

fn setting(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

/// The verdict on a sender.
fn judge(sender: &Sender, stored: &BTreeMap<String, Vec<u8>>, answer: Option<&str>, longest: Duration) -> Verdict {
    let stored: Vec<File> =
        stored.iter().map(|(name, content)| File { name: name.clone(), content: content.clone() }).collect();
    for file in &stored {
        if !is_meant(sender, file) && !is_chance(sender, &stored) {
            return Verdict::Wrong(format!("{:?} is stored as \"{}\"", file.name, shown(&file.content)));
        }
    }
    let expected: String = stored.iter().map(ok_line).collect();
    match answer.map(|answer| answer.strip_prefix(&expected)) {
        Some(Some("")) if stored.len() >= begun(sender) || is_chance(sender, &stored) || longest > PATIENCE / 2 => {}
        None => {}
        Some(Some(rest)) if rest.starts_with("ERR ") && rest.lines().count() == 1 => {}
        Some(_) => return Verdict::Wrong(format!("{} files are stored, and answered {answer:?}", stored.len())),
    }
    if stored.len() == sender.files.len() { Verdict::Right } else { Verdict::Refused }
}

/// Whether a stored file is one that was sent.
fn is_meant(sender: &Sender, stored: &File) -> bool {
    let Some(file) = sender.files.iter().find(|file| file.name == stored.name) else { return false };
    // Without a size, a sender that dies looks as if it had ended, unless its connection is reset.
    let is_beginning = sender.dies && !sender.form.has_size() && file.content.starts_with(&stored.content);
    let is_reset = sender.conversation.ending == Ending::Reset && !sender.form.has_size();
    (file.content == stored.content || is_beginning) && !is_reset
}

/// Whether another sender would have sent the same, and proved it by the count of its bytes: lines
/// whose sizes match are believed, and sizes that match to the last byte of one that has died or
/// that sends a name without extension.
fn is_chance(sender: &Sender, stored: &[File]) -> bool {
    let as_old = Form::OldSized.encode(stored) == sender.sent;
    let is_cut_or_content = sender.dies || sender.form == Form::Space || sender.conversation.ending == Ending::Reset;
    // The number of bytes outweighs a name of several words without extension, also where the
    // header of a further file seems to follow.
    let name = &sender.files[0].name;
    let is_name = !sender.form.has_size() && name.contains(' ') && !draw::has_known_extension(name);
    sender.sent.starts_with(&Form::SizedLine.encode(stored))
        || is_cut_or_content && as_old
        || is_name && sender.sent.starts_with(&Form::OldSized.encode(stored))
}

/// Files of which at least a byte was sent.
fn begun(sender: &Sender) -> usize {
    let ends = sender.files.iter().scan(0, |begin, file| {
        let begun = *begin;
        *begin += sender.form.encode([file]).len();
        Some(begun)
    });
    ends.filter(|begin| *begin < sender.sent.len()).count()
}

fn ok_line(file: &File) -> String {
    format!("OK {} {} {}\n", file.name, file.content.len(), Digest::of(&file.content))
}

fn shown(bytes: &[u8]) -> String {
    let rest = if bytes.len() > 1200 { format!("… {} bytes", bytes.len()) } else { String::new() };
    format!("{}{rest}", bytes[..bytes.len().min(1200)].escape_ascii())
}

/// The conversation of a sender, for people.
fn told(sender: &Sender) -> String {
    let step = |step: &Step| match step {
        Step::Send(bytes) => format!("\"{}\"", shown(bytes)),
        other => format!("{other:?}"),
    };
    let steps: Vec<String> = sender.conversation.steps.iter().map(step).collect();
    format!("{:?}: {} {:?}", sender.form, steps.join(" "), sender.conversation.ending)
}

/// A crowd of senders, whose folders begin with `round`; how many of them were right.
async fn crowd(server: &Arc<Server>, round: u64, mut chance: Chance) -> usize {
    let mut senders = JoinSet::new();
    for number in 0..CROWD {
        let folder = format!("r{round:05}-{number:03}");
        let (sender, server) = (draw::sender(&folder, &mut chance.fork()), Arc::clone(server));
        senders.spawn(async move {
            let (answer, longest) = sender.conversation.hold_timed(server.address()).await;
            (folder, sender, answer, longest)
        });
    }
    let ended = senders.join_all().await;
    server.until_alone();
    let mut stored = Stored::new(server.stored().await);
    let (mut right, mut faults) = (0, Vec::new());
    for (folder, sender, answer, longest) in &ended {
        match judge(sender, &stored.take(folder), answer.as_deref(), *longest) {
            Verdict::Right => right += 1,
            Verdict::Refused => {}
            Verdict::Wrong(what) => faults.push(format!("{}\n    {what}", told(sender))),
        }
        server.remove(folder);
    }
    for name in stored.rest() {
        let said = |sender: &&Sender| String::from_utf8_lossy(&sender.sent).contains(name.as_str());
        let suspects = ended.iter().map(|(_, sender, ..)| sender).filter(said).map(told);
        faults.push(format!("{name:?} is stored, which may be of\n    {}", suspects.collect::<Vec<_>>().join("\n    ")));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    right
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_stored_right_or_refused() {
    let seconds = setting("TIDEGATE_SENDERS_SECONDS").unwrap_or(3);
    let seed = setting("TIDEGATE_SENDERS_SEED").unwrap_or(1);
    println!("TIDEGATE_SENDERS_SEED={seed}");
    let server = Arc::new(Server::on_disk(&KEYS));
    let (begun, mut rounds, mut right) = (Instant::now(), 0, 0);
    while rounds == 0 || begun.elapsed() < Duration::from_secs(seconds) {
        right += crowd(&server, rounds, Chance::new(seed.wrapping_add(rounds))).await;
        rounds += 1;
    }
    println!("seed {seed}: {right} right, none wrong of {}", rounds * CROWD as u64);
}
