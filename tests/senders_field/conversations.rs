//! Three headers, four contents, four gaps, with and without reading the answer: 96 conversations.

use std::time::Duration;

use crate::sender::{Conversation, Ending, Step};
use crate::server::Server;
use crate::verdict::{File, Stored, Verdict, judge};

/// How a header ends; each is one call of `send`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Header {
    NameAndSize,
    Name,
    NameAndSpace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Csv,
    Json,
    Binary,
    Numbers,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    number: usize,
    header: Header,
    content: Content,
    gap_ms: u64,
    reads_answer: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for header in [Header::NameAndSize, Header::Name, Header::NameAndSpace] {
        for content in [Content::Csv, Content::Json, Content::Binary, Content::Numbers] {
            for gap_ms in [0, 10, 100, 800] {
                for reads_answer in [true, false] {
                    cases.push(Case { number: cases.len(), header, content, gap_ms, reads_answer });
                }
            }
        }
    }
    cases
}

impl Case {
    fn file(self) -> File {
        let (name, content) = match self.content {
            Content::Csv => ("t.csv", b"ts,temp\n1,20.5\n2,21.0\n".to_vec()),
            Content::Json => ("t.json", b"{\"a\": [1, 2], \"b\": 7}".to_vec()),
            Content::Binary => ("t.bin", (0..=255).rev().chain(0..=255).collect()),
            Content::Numbers => ("n.csv", b"17\n18\n19\n20\n".to_vec()),
        };
        File { name: format!("{}/{name}", self.folder()), content }
    }

    fn folder(self) -> String {
        format!("c{:02}", self.number)
    }

    fn conversation(self) -> Conversation {
        let File { name, content } = self.file();
        let header = match self.header {
            Header::NameAndSize => format!("{name} {}", content.len()),
            Header::Name => name,
            Header::NameAndSpace => format!("{name} "),
        };
        let mut steps = vec![Step::Send(header.into_bytes())];
        if self.gap_ms > 0 {
            steps.push(Step::Separate(Duration::from_millis(self.gap_ms)));
        }
        steps.push(Step::Send(content));
        Conversation { steps, ending: if self.reads_answer { Ending::HalfClose } else { Ending::Close } }
    }

    /// Whether the network may join header and content, and the bytes alone do not tell them apart
    /// (docs/protocol.md).
    fn may_be_refused(self) -> bool {
        let cannot_be_told_apart = match self.header {
            Header::NameAndSize => false,
            Header::Name => true,
            Header::NameAndSpace => self.content == Content::Numbers,
        };
        self.gap_ms == 0 && cannot_be_told_apart
    }
}

async fn check(server: Server, store: &str) {
    let server = std::sync::Arc::new(server);
    let mut senders = tokio::task::JoinSet::new();
    for case in cases() {
        let server = std::sync::Arc::clone(&server);
        senders.spawn(async move { (case, case.conversation().hold(server.address()).await) });
    }
    let answers = senders.join_all().await;
    server.until_alone();
    let mut stored = Stored::new(server.stored().await);
    let (mut right, mut refused, mut faults) = (0, 0, Vec::new());
    for (case, answer) in answers {
        match judge(&[case.file()], &stored.take(&case.folder()), answer.as_deref()) {
            Verdict::Right => right += 1,
            Verdict::Refused => {
                refused += 1;
                if !case.may_be_refused() {
                    faults.push(format!("{case:?}: refused: {answer:?}"));
                }
            }
            Verdict::Wrong(what) => faults.push(format!("{case:?}: wrong: {what}")),
        }
    }
    println!("{store}: {right} right, {refused} refused, {} wrong of {}", cases().len() - right - refused, cases().len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(stored.rest(), [""; 0]);
    assert!(server.refusals() >= refused as u64, "{} of {refused} refusals are counted", server.refusals());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation_is_stored_right_or_cannot_be_told_apart() {
    assert_eq!(cases().iter().filter(|case| case.may_be_refused()).count(), 10);
    check(Server::on_disk(&[]), "disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_whose_header_is_joined_to_it_has_its_own_name_in_a_bucket() {
    let keys = [("sink.s3.part_bytes", "5MiB"), ("limits.max_file_bytes", "1GiB")];
    let Some(server) = Server::in_bucket(&keys).await else { return };
    // Read as 5,600,000 bytes, it is a multipart upload as well.
    let content = vec![b'x'; 56_000_000];
    let sent = [b"large.bin 56000000".as_slice(), &content].concat();
    let answer = Conversation { steps: vec![Step::Send(sent)], ending: Ending::HalfClose }.hold(server.address()).await;
    let mut stored = Stored::new(server.stored().await);
    let file = File { name: "large.bin".to_owned(), content };
    assert_eq!(judge(&[file], &stored.take("large.bin"), answer.as_deref()), Verdict::Right);
    assert_eq!(stored.rest(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_conversation_is_stored_right_in_a_bucket_as_well() {
    if let Some(server) = Server::in_bucket(&[]).await {
        check(server, "bucket").await;
    }
}
