//! A line that is cut after every single byte of a conversation.

use crate::common::proxy::{How, Line, Proxy, When};
use crate::harness::{Server, exchange};

const BODY: &str = "x,y\n1,2\n";

/// A conversation of one or two files: its bytes, and the number of bytes behind which each file is whole.
struct Conversation {
    bytes: String,
    files: Vec<(String, usize)>,
}

impl Conversation {
    fn plain(number: u64) -> Self {
        let name = format!("plain/{number:04}.csv");
        let bytes = format!("{name} {}\n{BODY}", BODY.len());
        Self { files: vec![(name, bytes.len())], bytes }
    }

    /// The end of the stream is the end of the file, which a reset is not, nor anything that comes before it.
    fn plain_to_the_end(number: u64) -> Self {
        let name = format!("end/{number:04}.csv");
        let bytes = format!("{name}\n{BODY}");
        Self { files: vec![(name, usize::MAX)], bytes }
    }

    fn framed(number: u64) -> Self {
        let (sized, chunked) = (format!("sized/{number:04}.csv"), format!("chunked/{number:04}.csv"));
        let (head, tail) = BODY.split_at(5);
        let mut bytes =
            format!("{{\"op\":\"hello\"}}\n{{\"op\":\"put\",\"name\":\"{sized}\",\"size\":{}}}\n{BODY}", BODY.len());
        let first = bytes.len();
        let put = format!("{{\"op\":\"put\",\"name\":\"{chunked}\"}}\n{{\"chunk\":{}}}\n{head}", head.len());
        let rest = format!("{{\"chunk\":{}}}\n{tail}{{\"end\":true}}\n", tail.len());
        bytes.extend([put, rest]);
        Self { files: vec![(sized, first), (chunked, bytes.len())], bytes }
    }
}

/// Cuts the conversation after each of its bytes, and looks for what must not be there.
fn cut_everywhere(how: How, conversation: fn(u64) -> Conversation) {
    let server = Server::with(&[]);
    // Connection number n is cut after n bytes.
    let proxy = Proxy::start(&server.serve.address, move |number| Line::cut(When::ToServer(number), how));
    let length = conversation(0).bytes.len() as u64;
    for number in 0..=length {
        exchange(&proxy.address(), conversation(number).bytes.as_bytes());
    }
    assert_eq!((proxy.connections(), proxy.cuts()), (length + 1, length + 1));
    server.until_alone();
    assert!(server.serve.staged().is_empty(), "{how:?}: {:?}", server.serve.staged());
    for number in 0..=length {
        for (name, whole_at) in conversation(number).files {
            match server.stored(&name) {
                Some(stored) => {
                    assert_eq!(stored, BODY.as_bytes(), "{how:?}: {name}");
                    assert!(number >= whole_at as u64, "{how:?}: {name} was committed after {number} of {whole_at} bytes");
                }
                // What was whole when a reset came may be committed or not; before a close, it must be.
                None => assert!(how == How::Reset || number < whole_at as u64, "{how:?}: {name} was whole, and is lost"),
            }
        }
    }
    server.serves("b.csv");
}

#[test]
fn a_plain_conversation_that_is_reset_or_closed_after_any_byte_leaves_a_whole_file_or_none() {
    for how in [How::Reset, How::Close] {
        cut_everywhere(how, Conversation::plain);
    }
    cut_everywhere(How::Reset, Conversation::plain_to_the_end);
}

#[test]
fn a_framed_conversation_that_is_reset_or_closed_after_any_byte_leaves_whole_files_or_none() {
    for how in [How::Reset, How::Close] {
        cut_everywhere(how, Conversation::framed);
    }
}
