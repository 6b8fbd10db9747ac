//! Random senders: of every form, cut anywhere, stalling anywhere, with every ending.
//!
//! The same bytes in the same packets can come from two senders that mean different things.
//! `docs/protocol.md` lists these cases. [`Draw::avoid_ambiguous_content`] and [`Draw::edges`]
//! leave them out.

use std::time::Duration;

use crate::common::chance::Chance;
use crate::sender::{Conversation, Ending, Step};
use crate::verdict::File;

/// The header that a sender sends before its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `name size\n`, of one or more files.
    SizedLine,
    /// `name\n`.
    Line,
    /// `name size` in one call of `send`, of one or more files.
    OldSized,
    /// `name ` in one call of `send`.
    Space,
    /// `name` in one call of `send`.
    Name,
}

const FORMS: [Form; 6] = [Form::SizedLine, Form::Line, Form::OldSized, Form::OldSized, Form::Space, Form::Name];

/// Line forms of a name that goes on behind a known extension (`n.csvx`) can't be told from
/// [`Form::Name`] where they are cut behind the extension.
const NAMES: [&str; 22] = [
    "t.bin",
    "t.dat",
    "n.txt",
    "n.csv",
    "n.json",
    "n.jsonl",
    "t.bin.gz",
    "a/b.c/d.bin",
    "readings",
    "x.m7",
    "a",
    "17.bin",
    "app.log.1",
    "t.csv.bak",
    "my file.bin",
    "sensor #.csv",
    "sensor #",
    "old.csv new.csv",
    "old.csv #.csv",
    "b.csv copy",
    "a # b.jpeg",
    "#.bin # x",
];

/// Bytes behind a header within which no network cuts that leaves the header in one packet.
const NEAR_BYTES: usize = 64;

#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) form: Form,
    pub(crate) files: Vec<File>,
    /// The bytes that are sent, headers included, up to where the sender dies.
    pub(crate) sent: Vec<u8>,
    /// Whether the sender dies before it has sent everything.
    pub(crate) dies: bool,
    pub(crate) conversation: Conversation,
}

impl Form {
    pub(crate) fn has_size(self) -> bool {
        matches!(self, Self::SizedLine | Self::OldSized)
    }

    fn is_line(self) -> bool {
        matches!(self, Self::SizedLine | Self::Line)
    }

    fn header(self, file: &File) -> Vec<u8> {
        let File { name, content } = file;
        let header = match self {
            Self::SizedLine => format!("{name} {}\n", content.len()),
            Self::Line => format!("{name}\n"),
            Self::OldSized => format!("{name} {}", content.len()),
            Self::Space => format!("{name} "),
            Self::Name => name.clone(),
        };
        header.into_bytes()
    }

    /// The name with a number for each `#`: often one that makes a size of it, of what comes behind
    /// it in the header, or of all that comes behind it.
    fn with_numbers(self, name: &str, content: &[u8], chance: &mut Chance) -> String {
        let Some(place) = name.find('#') else { return name.to_owned() };
        let (before, behind) = (&name[..place], self.with_numbers(&name[place + 1..], content, chance));
        // The last number of a header is its size.
        let end = if behind.is_empty() && matches!(self, Self::Line | Self::Name) { "a" } else { "" };
        let rest = File { name: format!("{behind}{end}"), content: content.to_vec() };
        let header = self.header(&rest).len();
        let number = match chance.below(3) {
            0 => header,
            1 => header + content.len(),
            _ => chance.below(40),
        };
        format!("{before}{number}{}", rest.name)
    }

    /// All that a sender of these files says.
    pub(crate) fn encode<'a>(self, files: impl IntoIterator<Item = &'a File>) -> Vec<u8> {
        files.into_iter().flat_map(|file| [self.header(file), file.content.clone()].concat()).collect()
    }
}

/// A place between two packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    at: usize,
    /// Whether the server has read what comes before, when it gets what comes behind.
    separates: bool,
}

struct Draw<'a> {
    chance: &'a mut Chance,
    form: Form,
    files: Vec<File>,
    ending: Ending,
    /// Whether header and content are handed to one call of `send`.
    is_joined: bool,
}

/// Draws a sender whose files are below `folder`.
pub(crate) fn sender(folder: &str, chance: &mut Chance) -> Sender {
    let form = *chance.pick(&FORMS);
    let count = if form.has_size() { chance.below(3) + 1 } else { 1 };
    let ending = *chance.pick(&[
        Ending::HalfClose,
        Ending::HalfClose,
        Ending::HalfClose,
        Ending::Close,
        Ending::Close,
        Ending::Reset,
        Ending::Silence,
    ]);
    let file = |number: usize| {
        let content = content(count == 1, chance);
        let name = *chance.pick(&NAMES);
        let mut name = form.with_numbers(name, &content, chance);
        // The client that tidegate replaces has no names with spaces; one alone is read right or
        // refused.
        if form == Form::OldSized && count > 1 {
            name = name.replace(' ', "_");
        }
        File { name: format!("{folder}/{number}/{name}"), content }
    };
    let files = (0..count).map(file).collect();
    let is_joined = !form.is_line() && chance.one_in(4);
    let mut draw = Draw { chance, form, files, ending, is_joined };
    draw.avoid_ambiguous_content();
    draw.sender()
}

fn content(may_be_long: bool, chance: &mut Chance) -> Vec<u8> {
    let numbers = |chance: &mut Chance| {
        let lines = (0..chance.within(1..12)).map(|_| format!("{}\n", chance.within(0..120)));
        lines.collect::<String>().into_bytes()
    };
    match chance.below(if may_be_long { 12 } else { 10 }) {
        0 => b"ts,temp\n1,20.5\n2,21.0\n".to_vec(),
        1 => b"{\"a\": [1, 2], \"b\": 7}".to_vec(),
        2 => b"2024/01/01,5\n2024/01/02,6\n".to_vec(),
        3 => b"my file.csv\n1 2 3\n".to_vec(),
        4 => b"other.csv 17\nthird.bin 3\nabc".to_vec(),
        5 => vec![b'x'; chance.below(200)],
        6 => numbers(chance),
        7 => numbers(chance).into_iter().chain(b"and text\n".iter().copied()).collect(),
        8 => (0..chance.below(12)).map(|_| *chance.pick(b"\n 7a.,/")).collect(),
        9 => {
            let bytes = chance.below(60);
            chance.bytes(bytes)
        }
        10 => numbers(chance).into_iter().cycle().take(3_000 + chance.below(100_000)).collect(),
        _ => {
            let bytes = 3_000 + chance.below(100_000);
            chance.bytes(bytes)
        }
    }
}

/// Whether content that the network joins to its size reads as a part of it: a line of digits or an
/// empty one, unless a column of numbers follows. A line that has lost its last bytes, or all of
/// its content, is the same to the byte (docs/protocol.md).
pub(crate) fn continues_size(content: &[u8]) -> bool {
    let mut lines = content.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let is_number = |line: &[u8]| !line.is_empty() && line.iter().all(u8::is_ascii_digit);
    let (first, second) = (lines.next().unwrap_or_default(), lines.next());
    first.iter().all(u8::is_ascii_digit) && !second.is_some_and(is_number)
}

impl Draw<'_> {
    /// Replaces content that makes another header of the one before it.
    fn avoid_ambiguous_content(&mut self) {
        let is_several = self.files.len() > 1;
        for file in &mut self.files {
            let begins_with = |bytes: &[u8]| file.content.first().is_some_and(|first| bytes.contains(first));
            let is_ambiguous = match self.form {
                // The name goes on behind a slash, a dot, or an `l` behind `json`; a newline or a
                // space ends it.
                Form::Name => begins_with(b"\n\r ./") || file.name.ends_with("json") && begins_with(b"lL"),
                // A newline behind the size ends a line. The number of bytes shows that of the last
                // file only.
                Form::OldSized => is_several && file.content.contains(&b'\n') && continues_size(&file.content),
                Form::SizedLine | Form::Line | Form::Space => false,
            };
            if is_ambiguous {
                file.content.insert(0, b'x');
            }
            // A first line with an extension can be the end of the name.
            let first_line = file.content.split(|byte| *byte == b'\n').next().unwrap_or_default();
            if self.form == Form::Name && first_line.contains(&b'.') {
                file.content = b"x,y\n1,2\n".to_vec();
            }
        }
    }

    fn sender(mut self) -> Sender {
        let all = self.form.encode(&self.files);
        let dies = self.chance.one_in(3);
        let mut length = if dies { self.chance.below(all.len() + 1) } else { all.len() };
        while dies && self.is_other_files(&all[..length]) {
            length -= 1;
        }
        let edges = self.edges(&all, length < all.len());
        let (mut steps, mut from) = (Vec::new(), 0);
        for edge in edges.into_iter().filter(|edge| edge.at < length) {
            steps.push(Step::Send(all[from..edge.at].to_vec()));
            steps.extend(self.pause(edge));
            from = edge.at;
        }
        steps.push(Step::Send(all[from..length].to_vec()));
        let conversation = Conversation { steps, ending: self.ending };
        Sender { form: self.form, files: self.files, sent: all[..length].to_vec(), dies: length < all.len(), conversation }
    }

    /// Whether all of `sent` can be other files than those that are meant: content that names files
    /// and sizes, behind a size whose first digits are the size of what comes before them.
    fn is_other_files(&self, sent: &[u8]) -> bool {
        let mut begin = 0;
        self.form == Form::OldSized
            && self.files.iter().any(|file| {
                let from = sent.get(begin..).unwrap_or_default();
                begin += self.form.encode([file]).len();
                is_whole_with_fewer_digits(from)
            })
    }

    fn pause(&mut self, edge: Edge) -> Option<Step> {
        let pause = match self.chance.below(8) {
            0..4 => Duration::ZERO,
            4 | 5 => Duration::from_millis(self.chance.within(1..30)),
            6 => Duration::from_millis(self.chance.within(30..400)),
            _ => Duration::from_millis(self.chance.within(400..1200)),
        };
        match pause {
            pause if edge.separates => Some(Step::Separate(pause)),
            Duration::ZERO => None,
            pause => Some(Step::Pause(pause)),
        }
    }

    /// Where what is sent, `total` bytes, is cut into packets, in order.
    fn edges(&mut self, all: &[u8], dies: bool) -> Vec<Edge> {
        let total = all.len();
        let count = self.chance.below(6);
        let mut edges: Vec<Edge> =
            (0..count).map(|_| Edge { at: self.chance.below(total + 1), separates: self.chance.one_in(2) }).collect();
        // A reset drops what its sender's system has not sent: that of a sender, or a close with an
        // answer unread.
        let may_lose_end = dies || self.ending == Ending::Reset || self.ending == Ending::Close && self.files.len() > 1;
        let mut begin = 0;
        for file in &self.files {
            let header = begin + self.form.header(file).len();
            let size = begin + file.name.len() + 1;
            match self.form {
                // A size that is cut, and then matches what has come before the end, is one.
                Form::SizedLine if may_lose_end => edges.retain(|edge| !(size..header).contains(&edge.at)),
                // Cut behind the space, a column of numbers that does not end with its size reads
                // as content.
                Form::SizedLine if self.files.len() > 1 => edges.retain(|edge| edge.at != size),
                Form::SizedLine | Form::Line => {}
                Form::OldSized | Form::Space | Form::Name => {
                    edges.retain(|edge| edge.at <= begin || edge.at >= header + NEAR_BYTES);
                    // Without a known extension, or with spaces, only a packet of its own shows
                    // that the name has ended.
                    let has_words = self.form != Form::OldSized && file.name.contains(' ');
                    let must_separate = self.form == Form::Name || has_words;
                    let shows_end = has_known_extension(&file.name) && !has_words;
                    if !self.is_joined || must_separate && !shows_end {
                        edges.push(Edge { at: header, separates: must_separate || self.chance.one_in(2) });
                    }
                }
            }
            if self.form.is_line() {
                // Behind a word with a known extension and a space, what follows is content.
                let spaces = file.name.match_indices(' ').filter(|(end, _)| has_known_extension(&file.name[..*end]));
                let ends: Vec<usize> = spaces.map(|(end, _)| begin + end + 1).collect();
                edges.retain(|edge| !ends.contains(&edge.at));
            }
            begin = header + file.content.len();
            edges.push(Edge { at: begin, separates: self.chance.one_in(2) });
        }
        edges.retain(|edge| edge.at > 0 && edge.at < total && !(may_lose_end && self.is_other_files(&all[..edge.at])));
        edges.sort_unstable_by_key(|edge| (edge.at, !edge.separates));
        edges.dedup_by_key(|edge| edge.at);
        edges
    }
}

/// Whether `bytes`, which begin with a header, are two or more whole files if its size has fewer
/// digits.
fn is_whole_with_fewer_digits(bytes: &[u8]) -> bool {
    let (_, digits) = digits_behind_name(bytes);
    behind_first_file(bytes).into_iter().any(|(end, rest)| end < digits.len() && !rest.is_empty() && is_whole(rest))
}

fn is_whole(bytes: &[u8]) -> bool {
    bytes.is_empty() || behind_first_file(bytes).into_iter().any(|(_, rest)| is_whole(rest))
}

/// Where the digits behind the name begin, and these.
fn digits_behind_name(bytes: &[u8]) -> (usize, &[u8]) {
    let start = bytes.iter().position(|byte| *byte == b' ').map_or(bytes.len(), |space| space + 1);
    let digits = bytes[start..].iter().take(10).take_while(|byte| byte.is_ascii_digit()).count();
    (start, &bytes[start..start + digits])
}

/// The rest behind the first file, for each number of digits that its size may have, if the file is
/// whole. A newline behind all digits may belong to the header.
fn behind_first_file(bytes: &[u8]) -> Vec<(usize, &[u8])> {
    let (start, digits) = digits_behind_name(bytes);
    let newline = !digits.is_empty() && bytes.get(start + digits.len()) == Some(&b'\n');
    let ends = (1..=digits.len()).map(|end| (end, 0)).chain(newline.then_some((digits.len(), 1)));
    let rest = |(end, newline): (usize, usize)| {
        let size = std::str::from_utf8(&digits[..end]).unwrap().parse::<usize>().unwrap();
        Some((end, bytes[start + end + newline..].get(size..)?))
    };
    ends.filter_map(rest).collect()
}

pub(crate) fn has_known_extension(name: &str) -> bool {
    [".bin", ".dat", ".txt", ".csv", ".json", ".jsonl", ".gz", ".jpeg"].iter().any(|extension| name.ends_with(extension))
}
