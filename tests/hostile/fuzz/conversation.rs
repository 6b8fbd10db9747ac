//! One connection: what it says, in which pieces, how it ends, and whether what it is told is true.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use memchr::memmem;
use serde::de::IgnoredAny;
use serde_json::Value;
use tidegate::upload::Digest;

use super::bodies::{self, Content};
use super::stored;
use crate::common::chance::Chance;
use crate::harness::{Attacker, Victim};

/// How long an answer is waited for. One that does not come in time is not judged: the good sender
/// says whether the server stalls.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// The sending side ends, and the answers are read.
    Read,
    Close,
    Reset,
    /// It stays open.
    Hold,
}

#[derive(Debug)]
pub(super) struct Conversation {
    bytes: Vec<u8>,
    ending: Ending,
    /// The largest piece that is sent at once.
    piece: usize,
    /// The content under each name or id that is sent whole and right.
    whole: HashMap<String, Arc<[u8]>>,
    /// Whether every receipt is about one of those.
    is_well_formed: bool,
}

impl Conversation {
    /// `name` begins every name in it.
    pub(super) fn draw(chance: &mut Chance, name: &str) -> Self {
        let ending = *chance.pick(&[Ending::Read, Ending::Read, Ending::Read, Ending::Close, Ending::Reset, Ending::Hold]);
        let piece = *chance.pick(&[usize::MAX, usize::MAX, 65_536, 1_000, 50, 1]);
        let mut conversation = Self { bytes: Vec::new(), ending, piece, whole: HashMap::new(), is_well_formed: true };
        match chance.below(8) {
            0 => conversation.say_noise(chance),
            1..=3 => conversation.say_plain(chance, name),
            _ => conversation.say_framed(chance, name),
        }
        if chance.one_in(6) {
            conversation.bytes.truncate(chance.below(conversation.bytes.len() + 1));
        }
        conversation
    }

    fn say_noise(&mut self, chance: &mut Chance) {
        self.is_well_formed = false;
        let first = *chance.pick(&[&b"{"[..], b"{\"op\":", b"a.csv ", b"\x16\x03\x01", b"", b"GET / HTTP/1.1\r\n", b"\n\n"]);
        let count = *chance.pick(&[0, 10, 5_000, 100_000]);
        self.bytes = [first, &chance.bytes(count)].concat();
    }

    fn say_plain(&mut self, chance: &mut Chance, name: &str) {
        for file in 0..chance.within(1..4) {
            let Content { extension, bytes } = bodies::draw(chance);
            let name = format!("{name}-{file}.{extension}");
            let header = match chance.below(8) {
                0..=3 => format!("{name} {}\n", bytes.len()),
                4 => format!("{name}\n"),
                5 => format!("{name} {}", bytes.len()),
                6 => format!("{name} "),
                _ => format!("{name} {}\n", chance.below(2 * bytes.len() + 2)),
            };
            let is_right = header == format!("{name} {}\n", bytes.len());
            // A file that is not whole takes what follows for its own bytes.
            self.is_well_formed &= is_right;
            if self.is_well_formed {
                self.whole.insert(name, Arc::clone(&bytes));
            }
            self.bytes.extend(header.as_bytes());
            self.bytes.extend(&*bytes);
        }
    }

    fn say_framed(&mut self, chance: &mut Chance, name: &str) {
        if chance.one_in(2) {
            self.bytes.extend(b"{\"op\":\"hello\",\"version\":1,\"collector\":\"fuzz\"}\n");
        }
        for file in 0..chance.within(1..20) {
            match chance.below(12) {
                0 => self.bytes.extend(*chance.pick(&[
                    &b"{\"op\":\"put\"}\n"[..],
                    b"\n\n",
                    b"{\"chunk\":3}\n",
                    b"[]\n",
                    b"{\"end\":true}\n",
                ])),
                1 => {
                    let meta = "x".repeat(*chance.pick(&[10, 1_000, 63_000, 70_000]));
                    self.bytes.extend(
                        format!("{{\"op\":\"put\",\"name\":\"x\",\"size\":0,\"meta\":{{\"k\":\"{meta}\"}}}}\n").as_bytes(),
                    );
                }
                _ => self.put(chance, &format!("{name}-{file}")),
            }
        }
    }

    fn put(&mut self, chance: &mut Chance, name: &str) {
        let Content { extension, bytes } = bodies::draw(chance);
        let name = format!("{name}.{extension}");
        let id = if chance.one_in(3) { String::new() } else { format!(",\"id\":\"{}\"", name.replace('/', "-")) };
        let (size, chunks) = (bytes.len(), chance.one_in(3));
        let announced = if chance.one_in(8) { chance.below(2 * size + 2) } else { size };
        let sized = if chunks { String::new() } else { format!(",\"size\":{announced}") };
        self.bytes.extend(format!("{{\"op\":\"put\",\"name\":\"{name}\"{id}{sized}}}\n").as_bytes());
        // What follows a wrong size is read as something else, which may be a put as well.
        self.is_well_formed &= chunks || announced == size;
        self.whole.insert(name, Arc::clone(&bytes));
        if !chunks {
            return self.bytes.extend(&*bytes);
        }
        let chunk = chance.within(1..100_000);
        for piece in bytes.chunks(usize::try_from(chunk).unwrap()) {
            self.bytes.extend(format!("{{\"chunk\":{}}}\n", piece.len()).as_bytes());
            self.bytes.extend(piece);
        }
        self.bytes.extend(*chance.pick(&[&b"{\"end\":true}\n"[..], b"{\"end\":true}\n", b"{\"abort\":true}\n", b""]));
    }

    /// Says it. Gives back the answers that were read, and the connection if it is to be held.
    pub(super) fn hold(&self, victim: &Victim, chance: &mut Chance) -> (Option<Attacker>, String) {
        let Ok(mut socket) = Attacker::reach(victim.serve.address.parse().unwrap(), "127.0.2.1") else {
            return (None, String::new());
        };
        socket.waits(ANSWER_TIMEOUT);
        // So many pieces as are worth a call each; the rest in one.
        for (number, piece) in self.bytes.chunks(self.piece).enumerate() {
            if number == 200 {
                socket.send(&self.bytes[number * self.piece..]);
                break;
            }
            if !socket.send(piece) {
                break;
            }
            if chance.one_in(20) {
                std::thread::sleep(Duration::from_millis(chance.within(0..5)));
            }
        }
        match self.ending {
            Ending::Read => {
                socket.end();
                (None, socket.rest())
            }
            Ending::Close => (None, String::new()),
            Ending::Reset => {
                socket.reset();
                (None, String::new())
            }
            Ending::Hold => (Some(socket), String::new()),
        }
    }

    /// How many receipts there are among the answers, all of which are true.
    pub(super) fn check(&self, answers: &str, store: &Path) -> Result<usize, String> {
        let mut receipts = 0;
        for line in answers.lines() {
            let Some((name, key, size, digest)) = receipt(line) else { continue };
            receipts += 1;
            let stored = stored(store, &key)?;
            if stored.len() as u64 != size || Digest::of(&stored).to_string() != digest {
                return Err(format!("{line} is not what is stored: {} bytes", stored.len()));
            }
            let meant = match self.whole.get(&name) {
                Some(whole) if self.is_well_formed => **whole == stored,
                Some(whole) if line.starts_with('{') => **whole == stored || contains(&self.bytes, &stored),
                Some(_) | None => contains(&self.bytes, &stored),
            };
            if !meant {
                return Err(format!("{line} is about bytes that were not sent so"));
            }
            let is_json = Path::new(&key).extension().is_some_and(|extension| extension == "json");
            if is_json && serde_json::from_slice::<IgnoredAny>(&stored).is_err() {
                return Err(format!("{line} is about a text that is no JSON"));
            }
        }
        Ok(receipts)
    }
}

fn contains(sent: &[u8], stored: &[u8]) -> bool {
    stored.is_empty() || memmem::find(sent, stored).is_some()
}

/// The name, key, size and digest of an answer that is a receipt; of the plain protocol, the name
/// is the key without a version.
fn receipt(line: &str) -> Option<(String, String, u64, String)> {
    if let Some(plain) = line.strip_prefix("OK ") {
        let mut words = plain.rsplitn(3, ' ');
        let (digest, size, key) = (words.next()?, words.next()?, words.next()?);
        return Some((key.to_owned(), key.to_owned(), size.parse().ok()?, digest.to_owned()));
    }
    let event: Value = serde_json::from_str(line).ok()?;
    let receipt = event.get("receipt")?;
    let text = |field: &str| receipt[field].as_str().map(str::to_owned);
    Some((text("name")?, text("key")?, receipt["size"].as_u64()?, text("digest")?))
}
