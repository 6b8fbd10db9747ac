//! The client that tidegate replaces: it connects, sends `name size` in one call and the file in
//! pieces of 4 KiB, and closes without reading an answer. A later version sends further files in
//! the same way on the same connection.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::common::chance::Chance;
use crate::draw::continues_size;
use crate::sender::{Conversation, Ending, Step};
use crate::server::Server;
use crate::verdict::{File, Stored, Verdict, judge};

const CLIENTS: usize = 32;
const FILES: usize = 1000;
const PIECE_BYTES: usize = 4096;

/// The beginnings of contents: nothing of it may be taken for a part of the header.
const BEGINNINGS: [&[u8]; 11] = [
    b"ts,temp\n1,20.5\n",
    b"17\n18\n19\n",
    b"2024-01-01,5\n",
    b"0",
    b"4096",
    b"999999999999999999999999999999",
    b" leading space",
    b"   17\n",
    b"{\"a\": 1}\n",
    b"\0\xff\xfe",
    b"\r",
];

/// Sizes around the length of a piece, and others up to 100 KB; an empty file can't be told from a
/// header that breaks off.
fn size(number: usize, chance: &mut Chance) -> usize {
    match number % 10 {
        0 => 1,
        1 => 4095,
        2 => 4096,
        3 => 4097,
        4 => chance.below(100_000) + 1,
        5 => 8192,
        _ => chance.below(3_000) + 1,
    }
}

/// A content of `bytes` bytes: a beginning, then bytes of every kind.
fn content(beginning: &[u8], bytes: usize, chance: &mut Chance) -> Vec<u8> {
    let mut content = beginning.to_vec();
    content.extend(chance.bytes(bytes));
    content.truncate(bytes);
    content
}

/// The steps of the client for a file.
fn steps(file: &File) -> Vec<Step> {
    let header = Step::Send(format!("{} {}", file.name, file.content.len()).into_bytes());
    [header].into_iter().chain(file.content.chunks(PIECE_BYTES).map(|piece| Step::Send(piece.to_vec()))).collect()
}

/// Sends the files, each on a connection of its own, from [`CLIENTS`] clients at once.
async fn send(server: &Arc<Server>, files: &[File]) {
    let mut clients = JoinSet::new();
    for files in files.chunks(files.len().div_ceil(CLIENTS)) {
        let (server, files) = (Arc::clone(server), files.to_vec());
        clients.spawn(async move {
            for file in &files {
                Conversation { steps: steps(file), ending: Ending::Close }.hold(server.address()).await;
            }
        });
    }
    clients.join_all().await;
    server.until_alone();
}

/// How many files are stored right, and how many are not.
async fn count(server: &Server, files: &[File]) -> (usize, usize) {
    let mut stored = Stored::new(server.stored().await);
    let (mut right, mut refused) = (0, 0);
    for file in files {
        let folder = file.name.split('/').next().unwrap();
        match judge(std::slice::from_ref(file), &stored.take(folder), None) {
            Verdict::Right => right += 1,
            Verdict::Refused => refused += 1,
            Verdict::Wrong(what) => panic!("{what}"),
        }
    }
    assert_eq!(stored.rest(), [""; 0]);
    assert!(server.refusals() >= refused as u64, "{} of {refused} refusals are counted", server.refusals());
    println!("{right} right, {refused} refused of {}", files.len());
    (right, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_files_of_the_old_client_are_right() {
    let mut chance = Chance::new(1);
    let file = |number: usize| {
        let beginning = BEGINNINGS[number % BEGINNINGS.len()];
        let size = size(number, &mut chance);
        let mut content = content(beginning, size, &mut chance);
        if continues_size(&content) {
            content[0] = b'x';
        }
        File { name: format!("{number:04}/t.bin"), content }
    };
    let files: Vec<File> = (0..FILES).map(file).collect();
    let server = Arc::new(Server::on_disk(&[]));
    send(&server, &files).await;
    assert_eq!(count(&server, &files).await, (FILES, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_content_that_continues_its_size_is_right_or_refused() {
    let mut chance = Chance::new(2);
    let beginnings: [&[u8]; 4] = [b"\n", b"\r\n", b"17\nx", b"7"];
    let file = |number: usize| {
        let (beginning, name) = (beginnings[number % 4], format!("{number:04}/t.bin"));
        let bytes = if beginning == b"7" { 1 } else { 20 + number };
        File { name, content: content(beginning, bytes, &mut chance) }
    };
    let files: Vec<File> = (0..100).map(file).collect();
    assert!(files.iter().all(|file| continues_size(&file.content)));
    let server = Arc::new(Server::on_disk(&[]));
    send(&server, &files).await;
    count(&server, &files).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_file_of_the_old_client_is_refused() {
    let files: Vec<File> = (0..20).map(|number| File { name: format!("{number:04}/t.bin"), content: vec![] }).collect();
    let server = Arc::new(Server::on_disk(&[]));
    send(&server, &files).await;
    assert_eq!(count(&server, &files).await, (0, files.len()));
}

/// How a sender of several files takes the answers to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answers {
    /// It waits for each. That leaves it to a silence to prove a size that content was joined to,
    /// and a silence proves no column of numbers: the headers are packets of their own.
    Read,
    /// It closes once the server has read everything.
    Ignored,
    /// It closes at once. With an answer unread that is a reset, which drops what the sender's
    /// system has not sent.
    LeftBehind,
}

/// Three files of these sizes on one connection, with a pause between them.
fn several(
    folder: &str,
    sizes: [usize; 3],
    pause: Duration,
    answers: Answers,
    chance: &mut Chance,
) -> (Vec<File>, Conversation) {
    let mut file = |(number, size): (usize, usize)| {
        let beginning = *chance.pick(&BEGINNINGS);
        let mut content = content(beginning, size, chance);
        if continues_size(&content) {
            content[0] = b'x';
        }
        File { name: format!("{folder}/{number}.bin"), content }
    };
    let files: Vec<File> = sizes.into_iter().enumerate().map(&mut file).collect();
    let mut all = Vec::new();
    for file in &files {
        if !all.is_empty() && !pause.is_zero() {
            all.push(Step::Pause(pause));
        }
        let begun = all.len();
        all.extend(steps(file));
        if answers == Answers::Read {
            all.insert(begun + 1, Step::Separate(Duration::ZERO));
            all.push(Step::ReadLine);
        }
    }
    if answers == Answers::Ignored {
        all.push(Step::Separate(Duration::ZERO));
    }
    let ending = if answers == Answers::Read { Ending::HalfClose } else { Ending::Close };
    (files, Conversation { steps: all, ending })
}

/// Has conversations of three files each, whose sizes are below `most_bytes`, with these pauses
/// between them.
async fn check_several(most_bytes: usize, pauses: &[Duration], answers: &[Answers]) {
    let (mut chance, server) = (Chance::new(3), Arc::new(Server::on_disk(&[])));
    let (mut senders, mut number) = (JoinSet::new(), 0);
    for (pause, answers) in pauses.iter().flat_map(|pause| answers.iter().map(|answers| (*pause, *answers))) {
        for _ in 0..20 {
            let folder = format!("{number:04}");
            number += 1;
            let sizes = [(); 3].map(|()| chance.below(most_bytes) + 1);
            let (files, conversation) = several(&folder, sizes, pause, answers, &mut chance);
            let server = Arc::clone(&server);
            senders.spawn(async move {
                let answer = conversation.hold(server.address()).await;
                (folder, files, answer, format!("{sizes:?} bytes, {pause:?} between, answers {answers:?}"))
            });
        }
    }
    let ended = senders.join_all().await;
    server.until_alone();
    let mut stored = Stored::new(server.stored().await);
    let mut faults = Vec::new();
    for (folder, files, answer, shown) in &ended {
        let verdict = judge(files, &stored.take(folder), answer.as_deref());
        if verdict != Verdict::Right {
            faults.push(format!("{shown}: {verdict:?}, answer {answer:?}"));
        }
    }
    println!("{} right of {} senders of three files", ended.len() - faults.len(), ended.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(stored.rest(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn further_files_on_a_connection_are_right() {
    let pauses = [0, 50, 2500].map(Duration::from_millis);
    check_several(120_000, &pauses, &[Answers::Read, Answers::Ignored]).await;
}

/// The server acknowledges a header at once, also behind an answer: otherwise the sender's system
/// would hold the content back, and drop it.
#[tokio::test(flavor = "multi_thread")]
async fn further_files_of_a_sender_that_leaves_at_once_are_right() {
    let pauses = [50, 2500].map(Duration::from_millis);
    check_several(PIECE_BYTES, &pauses, &[Answers::LeftBehind]).await;
}
