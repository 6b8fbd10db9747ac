//! Random senders of every form against a server that reads headers as the real one does: each file is read right, or refused.

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// What a sender says before its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `name size\n`, of one or more files.
    SizedLine,
    /// `name\n`.
    Line,
    /// `name size` in one packet, of one or more files: the client that tidegate replaces.
    OldSized,
    /// `name ` in one packet.
    Space,
    /// `name` in one packet.
    Name,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Close,
    Reset,
    /// The sender keeps the connection, and waits for its answer.
    Wait,
}

#[derive(Debug, Clone)]
struct Sender {
    form: Form,
    files: Vec<(String, Vec<u8>)>,
    /// Whether the header arrives together with what follows it.
    is_coalesced: bool,
    /// Where the network cuts what is sent into packets.
    cuts: Vec<Index>,
    /// Where the sender dies, if it does.
    dies_at: Option<Index>,
    /// Whether there is silence between packets.
    pauses: bool,
    ending: Ending,
}

/// What the server sees of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Event {
    Packet(Vec<u8>),
    Silence,
    Close,
    Reset,
}

impl Form {
    fn header(self, name: &str, size: usize) -> String {
        match self {
            Self::SizedLine => format!("{name} {size}\n"),
            Self::Line => format!("{name}\n"),
            Self::OldSized => format!("{name} {size}"),
            Self::Space => format!("{name} "),
            Self::Name => name.to_owned(),
        }
    }
}

impl Sender {
    /// Packets as the sender makes them: what it hands over to `send`.
    fn sends(&self) -> Vec<Vec<u8>> {
        let mut sends = Vec::new();
        for (name, content) in &self.files {
            let header = self.form.header(name, content.len()).into_bytes();
            if self.is_coalesced {
                sends.push([&header[..], content].concat());
            } else {
                sends.extend([header, content.clone()]);
            }
        }
        sends
    }

    fn events(&self) -> Vec<Event> {
        let sends = self.sends();
        let total: usize = sends.iter().map(Vec::len).sum();
        let dies_at = self.dies_at.map_or(total, |at| at.index(total + 1));
        // The network cuts line forms anywhere. The headers of the others are packets of their own, or they are not those forms.
        let mut edges: Vec<usize> = self.cuts.iter().map(|cut| cut.index(total + 1)).collect();
        let mut place = 0;
        for send in &sends {
            place += send.len();
            edges.push(place);
        }
        if !matches!(self.form, Form::SizedLine | Form::Line) {
            let mut place = 0;
            for send in sends.chunks(if self.is_coalesced { 1 } else { 2 }) {
                let header = if self.is_coalesced { 64 } else { send[0].len() };
                edges.retain(|edge| *edge <= place || *edge >= place + header);
                place += send.iter().map(Vec::len).sum::<usize>();
            }
        }
        if (self.pauses || dies_at < total) && self.form == Form::SizedLine {
            // Digits that are cut, and then match the bytes before a silence of seconds or an early end, read as a size.
            let mut place = 0;
            for (send, (name, content)) in sends.chunks(if self.is_coalesced { 1 } else { 2 }).zip(&self.files) {
                let digits = place + name.len() + 1..=place + name.len() + 1 + content.len().to_string().len();
                edges.retain(|edge| !digits.contains(edge));
                place += send.iter().map(Vec::len).sum::<usize>();
            }
        }
        if (dies_at < total || self.files.len() > 1) && self.form == Form::SizedLine {
            // Cut behind the space, a column of numbers that does not end with its size reads as content (docs/protocol.md).
            edges.retain(|edge| *edge != self.files[0].0.len() + 1);
        }
        if matches!(self.form, Form::SizedLine | Form::Line) {
            // Behind a word with a known extension and a space, what follows is content
            // (docs/protocol.md).
            let mut place = 0;
            for (send, (name, _)) in sends.chunks(if self.is_coalesced { 1 } else { 2 }).zip(&self.files) {
                let ends_extension = |end: usize| super::names::has_known_extension(&name.as_bytes()[..end]);
                let spaces = name.match_indices(' ').filter(|(end, _)| ends_extension(*end));
                let ends: Vec<usize> = spaces.map(|(end, _)| place + end + 1).collect();
                edges.retain(|edge| !ends.contains(edge));
                place += send.iter().map(Vec::len).sum::<usize>();
            }
        }
        edges.retain(|edge| *edge < dies_at);
        edges.push(dies_at);
        edges.sort_unstable();
        edges.dedup();
        let (bytes, mut events, mut from) = (sends.concat(), Vec::new(), 0);
        for edge in edges {
            if edge > from {
                events.push(Event::Packet(bytes[from..edge].to_vec()));
                if self.pauses {
                    events.push(Event::Silence);
                }
            }
            from = edge;
        }
        events.push(match self.ending {
            Ending::Close => Event::Close,
            Ending::Reset => Event::Reset,
            Ending::Wait => Event::Silence,
        });
        events
    }
}

/// Reads as `server::plain` does.
struct Server {
    events: VecDeque<Event>,
    buffer: Vec<u8>,
    end: Option<Event>,
    stored: Vec<(String, Vec<u8>)>,
}

impl Server {
    /// The next packet goes into the buffer; otherwise what there is instead.
    fn fill(&mut self) -> LineState {
        if self.end.is_some() {
            return LineState::Ended;
        }
        match self.events.pop_front() {
            Some(Event::Packet(bytes)) => {
                self.buffer.extend(bytes);
                LineState::Open
            }
            Some(Event::Silence) | None => LineState::Quiet,
            Some(end @ (Event::Close | Event::Reset)) => {
                self.end = Some(end);
                LineState::Ended
            }
        }
    }

    fn run(&mut self) -> Result<()> {
        let (mut previous, mut line): (Option<Reading>, _) = (None, self.fill());
        loop {
            while previous.is_some() && self.buffer.is_empty() && self.end.is_none() && !self.events.is_empty() {
                line = self.fill();
            }
            let first_packet = self.buffer.len();
            let mut before_last_packet = 0;
            if self.buffer.is_empty() {
                return Ok(());
            }
            let reading = loop {
                let (bytes, previous) = (&self.buffer[..], previous.as_ref());
                let conversation = Conversation { bytes, first_packet, before_last_packet, line, previous };
                match decode(&conversation, AUTO)? {
                    Decoded::Header(reading) => break reading,
                    Decoded::OtherProtocol(name) => return Err(Error::new(ErrorKind::BadHeader, name)),
                    Decoded::Incomplete | Decoded::Undecided(_) if self.events.is_empty() && self.end.is_none() => {
                        return Err(Error::new(ErrorKind::Timeout, "no header"));
                    }
                    Decoded::Incomplete | Decoded::Undecided(_) => {
                        let came = self.buffer.len();
                        line = self.fill();
                        if self.buffer.len() > came {
                            before_last_packet = came;
                        }
                    }
                }
            };
            self.buffer.drain(..reading.bytes);
            self.take(&reading)?;
            previous = reading.header.size.map(|_| reading);
            line = LineState::Open;
        }
    }

    /// Takes the content, and stores it where it is whole.
    fn take(&mut self, reading: &Reading) -> Result<()> {
        let header = &reading.header;
        let key: crate::upload::Key = header.name.parse()?;
        let size = header.size.map_or(usize::MAX, |size| usize::try_from(size).unwrap_or(usize::MAX));
        while self.buffer.len() < size && (self.end.is_none() && !self.events.is_empty()) {
            self.fill();
        }
        if header.size.is_none() && self.end == Some(Event::Close) {
            self.stored.push((key.to_string(), std::mem::take(&mut self.buffer)));
            return Ok(());
        }
        if self.buffer.len() < size {
            return Err(Error::new(ErrorKind::Incomplete, "cut"));
        }
        loop {
            let rest = &self.buffer[size..];
            let has_ended = self.end.is_some();
            match follows(rest, reading, has_ended) {
                _ if rest.is_empty() => break,
                Follows::Header => break,
                Follows::Unknown if !has_ended && !self.events.is_empty() => drop(self.fill()),
                Follows::Unknown | Follows::Surplus => return Err(Error::new(ErrorKind::SizeMismatch, "surplus")),
            }
        }
        let content = self.buffer.drain(..size).collect();
        self.stored.push((key.to_string(), content));
        Ok(())
    }
}

/// The packets of a sender, for people.
fn shown(sender: &Sender) -> String {
    let event = |event: &Event| match event {
        Event::Packet(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        other => format!("{other:?}"),
    };
    format!("{:?} {}", sender.form, sender.events().iter().map(event).collect::<Vec<_>>().join(" "))
}

fn name() -> impl Strategy<Value = String> {
    select(vec![
        "n.csv",
        "readings/a.bin",
        "a/b.c/d.json",
        "n.jsonl",
        "t.csv.gz",
        "readings",
        "x.m7",
        "a",
        "17.csv",
        "log.1",
        "n.txt",
        "my file.bin",
        "sensor #.csv",
        "sensor #",
        "old.csv new.csv",
        "old.csv #.csv",
        "b.csv copy",
        "a # b.jpeg",
        "#.bin # x",
    ])
    .prop_map(str::to_owned)
}

/// A word of digits in a name, for each `#`: most often the number that makes a size of it.
#[derive(Debug, Clone, Copy)]
enum Number {
    /// The length of what comes behind it in the header.
    Header,
    /// The length of all that comes behind it.
    All,
    Other(usize),
}

impl Number {
    fn fill(self, form: Form, name: &str, content: &[u8]) -> String {
        let Some(place) = name.find('#') else { return name.to_owned() };
        let (before, behind) = (&name[..place], self.fill(form, &name[place + 1..], content));
        let header = form.header(&behind, content.len()).len();
        let number = match self {
            Self::Header => header,
            Self::All => header + content.len(),
            Self::Other(number) => number,
        };
        format!("{before}{number}{behind}")
    }
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![Just(Number::Header), Just(Number::All), (0_usize..40).prop_map(Number::Other)]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    let numbers = prop::collection::vec(0_u32..120, 1..12)
        .prop_map(|numbers| numbers.iter().flat_map(|number| format!("{number}\n").into_bytes()).collect::<Vec<u8>>());
    prop_oneof![
        Just(b"ts,temp\n1,20.5\n2,21.0\n".to_vec()),
        Just(b"{\"a\": [1, 2], \"b\": 7}".to_vec()),
        Just(b"2024-01-01,5\n2024-01-02,6\n".to_vec()),
        Just(b"my file.csv\n1 2 3\n".to_vec()),
        numbers,
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(select(b"\n 7a.,".to_vec()), 0..12),
    ]
}

fn sender() -> impl Strategy<Value = Sender> {
    let form = select(vec![Form::SizedLine, Form::Line, Form::OldSized, Form::Space, Form::Name]);
    let files = prop::collection::vec((name(), content(), number()), 1..3);
    let cuts = prop::collection::vec(any::<Index>(), 0..6);
    let ending = select(vec![Ending::Close, Ending::Close, Ending::Reset, Ending::Wait]);
    let dies_at = prop::option::weighted(0.3, any::<Index>());
    (form, files, any::<bool>(), cuts, dies_at, any::<bool>(), ending).prop_map(
        |(form, files, is_coalesced, cuts, dies_at, pauses, ending)| {
            let filled = |(mut name, content, number): (String, Vec<u8>, Number)| {
                // The last number of a header is the size.
                if matches!(form, Form::Line | Form::Name) && name.ends_with(" #") {
                    name.push('a');
                }
                (number.fill(form, &name, &content), content)
            };
            let mut files: Vec<_> = files.into_iter().map(filled).collect();
            if !matches!(form, Form::SizedLine | Form::OldSized) {
                files.truncate(1);
            }
            // The client that tidegate replaces has no names with spaces; one alone is read right
            // or refused.
            if form == Form::OldSized && files.len() > 1 {
                for (name, _) in &mut files {
                    *name = name.replace(' ', "_");
                }
            }
            // A newline behind a name ends a line, which the network may have cut, a space glued to it ends a name, and a dot
            // goes on with it.
            let is_separated = matches!(files[0].1.first(), Some(b'\n' | b'\r' | b' ' | b'.'));
            if form == Form::Name && is_separated {
                files[0].1.insert(0, b'x');
            }
            // An extension may go on in the next packet.
            if form == Form::Name && files[0].0.ends_with("json") && matches!(files[0].1.first(), Some(b'l' | b'L')) {
                files[0].1.insert(0, b'x');
            }
            // Glued to the size, a newline ends a line, unless the count says otherwise.
            if form == Form::OldSized && is_coalesced && files.len() > 1 && is_separated {
                files[0].1.insert(0, b'x');
            }
            // A name without a known extension, or with spaces, and a content that the network
            // glues to it read as a line, or as a size where the number of bytes matches
            // (docs/protocol.md).
            let shows_end = match form {
                Form::Name => super::names::has_known_extension(files[0].0.as_bytes()) && !files[0].0.contains(' '),
                Form::Space => !files[0].0.contains(' '),
                Form::SizedLine | Form::Line | Form::OldSized => true,
            };
            let is_coalesced = is_coalesced && shows_end;
            Sender { form, files, is_coalesced, cuts, dies_at, pauses, ending }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.max(2_000),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_file_is_read_right_or_refused(sender in sender()) {
        let mut server =
            Server { events: sender.events().into(), buffer: Vec::new(), end: None, stored: Vec::new() };
        let refused = server.run();
        // Lines with sizes that match to the byte are believed, also where another sender said the same by chance.
        let sent = sender.events().into_iter().filter_map(|event| if let Event::Packet(bytes) = event { Some(bytes) } else { None });
        let sent = sent.collect::<Vec<_>>().concat();
        let with_stored = |form| Sender { form, files: server.stored.clone(), ..sender.clone() }.sends().concat();
        if !server.stored.is_empty() && sent.starts_with(&with_stored(Form::SizedLine)) {
            return Ok(());
        }
        // So are sizes behind which the network has glued the content, of a sender that died after just as many bytes, or whose
        // content begins with its own length.
        let is_cut_short = sender.dies_at.is_some() || sender.pauses;
        let may_be_chance = match sender.form {
            // The number of bytes outweighs a name without extension.
            Form::Line | Form::Name => {
                is_cut_short || !super::names::has_known_extension(sender.files[0].0.as_bytes())
            }
            Form::SizedLine => is_cut_short,
            Form::OldSized | Form::Space => true,
        };
        let as_old = with_stored(Form::OldSized);
        if may_be_chance && (as_old == sent || sender.pauses && sent.starts_with(&as_old)) {
            return Ok(());
        }
        for ((key, content), (name, meant)) in server.stored.iter().zip(&sender.files) {
            prop_assert_eq!(key, name, "{} {:?}", shown(&sender), refused);
            // Without a size, a sender that dies looks as if it had ended.
            let is_beginning = matches!(sender.form, Form::Line | Form::Space | Form::Name) && sender.dies_at.is_some();
            let right = content == meant || is_beginning && meant.starts_with(content);
            prop_assert!(right, "{} {:?}: {:?}", shown(&sender), refused, server.stored);
        }
        prop_assert!(server.stored.len() <= sender.files.len(), "{}: {:?}", shown(&sender), server.stored);
    }
}
