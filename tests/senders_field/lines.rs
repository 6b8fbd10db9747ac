//! Headers that a newline ends, over a network that splits what they say after any byte, and pauses
//! there.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::common::proxy::{Flow, Line, Proxy};
use crate::sender::{Conversation, Ending, Step};
use crate::server::Server;
use crate::verdict::{File, Stored, Verdict, judge};

/// Longer than the server once waited for the rest of a header.
const PAUSE: Duration = Duration::from_millis(350);

/// Bytes of the content behind which is split as well.
const CONTENT_BYTES: usize = 12;

const FILES: [(&str, &[u8]); 10] = [
    ("t.csv", b"ts,temp\n1,20.5\n2,21.0\n"),
    ("t.json", b"{\"a\": [1, 2], \"b\": 7}"),
    ("t.bin", b"\xff\0\n 17 \r\n\xfe\x80 a.csv 17\n"),
    ("n.csv", b"17\n18\n19\n20\n"),
    ("n.bin", b"\n\n17\n \n1234567890"),
    ("t.bin.gz", b"\x1f\x8b\x08\0 17\n18\n"),
    ("readings", b"hello\nworld of readings\n"),
    ("e.bin", b""),
    ("my file.bin", b"hello\nworld\n"),
    ("sensor 12.csv", b"12,0\n13,1\n"),
];

/// Whether what comes before the split may be all of the name and what follows content, or both the
/// name: only a known extension tells, and only a size that a name has several words
/// (docs/protocol.md).
fn may_be_refused(file: &File, has_size: bool, split: usize) -> bool {
    !has_size && (!file.name.contains('.') && split < file.name.len() || file.name.contains(' '))
}

/// A conversation of the file with this name below `folder`.
fn conversation(folder: &str, name: &str, content: &[u8], has_size: bool) -> (File, Conversation) {
    let file = File { name: format!("{folder}/{name}"), content: content.to_vec() };
    let header = if has_size { format!("{} {}\n", file.name, content.len()) } else { format!("{}\n", file.name) };
    let steps = vec![Step::Send([header.as_bytes(), content].concat())];
    (file, Conversation { steps, ending: Ending::HalfClose })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_a_header_however_the_network_splits_and_delays_it() {
    let server = Arc::new(Server::on_disk(&[("log.level", "off")]));
    let longest = format!("0000/{}", "t.bin.gz 10\n").len() + CONTENT_BYTES;
    let mut senders = JoinSet::new();
    let mut number = 0;
    for split in 1..=longest {
        for pause in [Duration::ZERO, PAUSE] {
            let flow = Flow::split(split as u64, pause);
            let plan = move |_| Line { to_server: flow, ..Line::default() };
            let proxy = Arc::new(Proxy::start(server.address(), plan));
            for ((name, content), has_size) in FILES.iter().flat_map(|file| [(file, false), (file, true)]) {
                let folder = format!("{number:04}");
                number += 1;
                let (file, conversation) = conversation(&folder, name, content, has_size);
                let proxy = Arc::clone(&proxy);
                senders.spawn(async move {
                    let answer = conversation.hold(&proxy.address()).await;
                    let shown = format!("{name}, size {has_size}, split after {split} bytes for {pause:?}");
                    let may_be_refused = may_be_refused(&file, has_size, split);
                    (folder, file, answer, may_be_refused, shown)
                });
            }
        }
    }
    let answers = senders.join_all().await;
    server.until_alone();
    let mut stored = Stored::new(server.stored().await);
    let (mut refused, mut faults) = (0, Vec::new());
    for (folder, file, answer, may_be_refused, shown) in &answers {
        match judge(std::slice::from_ref(file), &stored.take(folder), answer.as_deref()) {
            Verdict::Right => {}
            Verdict::Refused if *may_be_refused => refused += 1,
            other => faults.push(format!("{shown}: {other:?}, answer {answer:?}")),
        }
    }
    println!("{} right, {refused} refused of {}", answers.len() - refused - faults.len(), answers.len());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(stored.rest(), [""; 0]);
}
