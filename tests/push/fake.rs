//! A server that does what a test tells it, line by line, over a real socket.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate::upload::Digest;

/// Longer than any test waits: a conversation that got stuck fails here.
const STUCK: Duration = Duration::from_secs(30);

/// A server in a thread that plays a script.
pub(crate) struct Fake {
    pub(crate) address: String,
    script: JoinHandle<()>,
}

impl Fake {
    /// Listens on a free port and plays the script.
    pub(crate) fn play(script: impl FnOnce(&TcpListener) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { address, script: thread::spawn(move || script(&listener)) }
    }

    /// The script has been played to its end and every assertion in it held.
    pub(crate) fn done(self) {
        if let Err(panic) = self.script.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// One connection of a client.
pub(crate) struct Talk {
    reader: BufReader<TcpStream>,
}

/// What came as a body.
pub(crate) struct Received {
    pub(crate) bytes: Vec<u8>,
    /// The line that ended it.
    pub(crate) end: Value,
}

impl Talk {
    /// Takes a connection and exchanges greetings.
    pub(crate) fn accept(listener: &TcpListener) -> Self {
        Self::accept_patiently(listener, Duration::from_mins(1))
    }

    /// The same, as a server that waits for so long.
    pub(crate) fn accept_patiently(listener: &TcpListener, idle_timeout: Duration) -> Self {
        let mut talk = Self::accept_silently(listener);
        assert_eq!(talk.line(), "{\"op\":\"hello\",\"version\":1}\n");
        talk.greet(idle_timeout);
        talk
    }

    /// Answers a greeting, as a server that waits for so long.
    pub(crate) fn greet(&mut self, idle_timeout: Duration) {
        let idle_timeout_ms = u64::try_from(idle_timeout.as_millis()).unwrap();
        self.say(&json!({"event": "hello", "version": 1,
            "limits": {"max_file_bytes": 1_000_000, "max_line_bytes": 65536, "idle_timeout_ms": idle_timeout_ms}}));
    }

    pub(crate) fn accept_silently(listener: &TcpListener) -> Self {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(STUCK)).unwrap();
        stream.set_write_timeout(Some(STUCK)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    pub(crate) fn say(&mut self, event: &Value) {
        self.say_bytes(format!("{event}\n").as_bytes());
    }

    pub(crate) fn say_bytes(&mut self, bytes: &[u8]) {
        self.reader.get_mut().write_all(bytes).unwrap();
    }

    /// Says the same again and again, until nobody listens any more.
    pub(crate) fn say_for_ever(mut self, bytes: &[u8]) {
        while self.reader.get_mut().write_all(bytes).is_ok() {}
    }

    /// Waits until the other side has closed, and reads nothing.
    pub(crate) fn wait_unread(self) {
        let mut socket = self.reader.into_inner();
        let poll = Duration::from_millis(5);
        let deadline = Instant::now() + STUCK;
        // A side that was closed with bytes on their way to it answers further ones with a reset.
        while socket.write_all(b" ").is_ok() {
            assert!(Instant::now() < deadline, "the client holds the connection");
            thread::sleep(poll);
        }
    }

    /// Takes the end of an upload that is given up, and answers it; what came of the body.
    pub(crate) fn given_up(&mut self, id: &str) -> Vec<u8> {
        let received = self.body();
        assert_eq!(received.end, json!({"abort": true}));
        self.say(&json!({"event": "rejected", "id": id, "code": "aborted", "message": "given up"}));
        received.bytes
    }

    /// The next line, its newline included; empty at the end of the stream.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line
    }

    pub(crate) fn json(&mut self) -> Value {
        let line = self.line();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Takes the announcement of a file, which must be exactly this; its id.
    pub(crate) fn put(&mut self, name: &str) -> String {
        self.put_line(name, "")
    }

    /// The same of a file that was announced before.
    pub(crate) fn put_again(&mut self, name: &str) -> String {
        self.put_line(name, ",\"resume\":true")
    }

    /// The same, answered that nothing of it is there.
    pub(crate) fn put_asked(&mut self, name: &str) -> String {
        self.put_kept(name, 0)
    }

    /// The same, answered that so many bytes of it are there.
    pub(crate) fn put_kept(&mut self, name: &str, offset: u64) -> String {
        let id = self.put_again(name);
        self.say(&json!({"event": "ready", "id": id, "offset": offset}));
        id
    }

    /// Takes a whole file of which the client may or may not know that it was announced before.
    pub(crate) fn take_perhaps_again(&mut self, name: &str, bytes: &[u8]) {
        let put = self.json();
        let id = put["id"].as_str().unwrap();
        if put["resume"] == json!(true) {
            self.say(&json!({"event": "ready", "id": id, "offset": 0}));
        }
        self.whole_body(b"", bytes);
        self.commit(id, name, bytes);
    }

    fn put_line(&mut self, name: &str, more: &str) -> String {
        let line = self.line();
        let put: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let id = put["id"].as_str().unwrap().to_owned();
        assert_eq!(line, format!("{{\"op\":\"put\",\"id\":\"{id}\",\"name\":{}{more}}}\n", json!(name)));
        id
    }

    /// The next chunk, or the line that ends the body.
    pub(crate) fn chunk(&mut self) -> Result<Vec<u8>, Value> {
        let line = self.json();
        let Some(bytes) = line["chunk"].as_u64() else { return Err(line) };
        let mut chunk = vec![0; usize::try_from(bytes).unwrap()];
        self.reader.read_exact(&mut chunk).unwrap();
        Ok(chunk)
    }

    pub(crate) fn body(&mut self) -> Received {
        let mut bytes = Vec::new();
        loop {
            match self.chunk() {
                Ok(chunk) => bytes.extend(chunk),
                Err(end) => return Received { bytes, end },
            }
        }
    }

    /// Takes a body, which must be these bytes with their digest, behind a prefix that the client knows was kept.
    pub(crate) fn whole_body(&mut self, kept: &[u8], expected: &[u8]) {
        let received = self.body();
        assert_eq!(received.bytes, expected);
        let digest = Digest::of(&[kept, expected].concat());
        assert_eq!(received.end, json!({"end": true, "digest": digest.to_string()}));
    }

    pub(crate) fn commit(&mut self, id: &str, name: &str, bytes: &[u8]) {
        self.say(&committed(id, name, bytes));
    }

    /// Plays a whole good upload.
    pub(crate) fn take(&mut self, name: &str, bytes: &[u8]) {
        let id = self.put(name);
        self.whole_body(b"", bytes);
        self.commit(&id, name, bytes);
    }

    pub(crate) fn closed(mut self) {
        assert_eq!(self.line(), "", "nothing more may come");
    }
}

/// The answer of a server that has stored these bytes.
pub(crate) fn committed(id: &str, name: &str, bytes: &[u8]) -> Value {
    json!({"event": "committed", "id": id, "receipt": {"id": id, "name": name, "key": name, "size": bytes.len(),
        "digest": Digest::of(bytes).to_string(), "committed_at": "2026-10-17T08:00:00.000Z", "durability": "disk"}})
}

pub(crate) fn failed(id: &str, code: &str) -> Value {
    json!({"event": "failed", "id": id, "code": code, "message": "the store is away", "retry": true})
}
