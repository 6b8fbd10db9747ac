use super::*;

mod senders;
mod words;

/// How far along a conversation is, and what the first packet held.
#[derive(Debug, Clone, Copy)]
enum Came {
    /// All with the first packet.
    AtOnce,
    /// So many bytes with the first packet, then the rest.
    After(usize),
    /// All, and then the end; with the first packet if that is `None`.
    Whole(Option<usize>),
    /// All, and then silence; with the first packet if that is `None`.
    Silent(Option<usize>),
}

const AUTO: Options = Options { form: HeaderForm::Auto, sizes: Sizes::Announced, require_size: false };
const FIRST_PACKET: Options = Options { form: HeaderForm::FirstPacket, ..AUTO };
const LINE: Options = Options { form: HeaderForm::Line, ..AUTO };
const NO_SIZES: Options = Options { sizes: Sizes::Never, ..AUTO };
const SIZED: Options = Options { require_size: true, ..AUTO };

/// Name, size and bytes of the header.
type Read = (String, Option<u64>, usize);

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    More,
    Header(Read),
    Undecided(Vec<Read>),
    Other,
    Refused(ErrorKind),
}

fn outcome(bytes: &[u8], came: Came, options: Options) -> Outcome {
    let (first_packet, line) = match came {
        Came::AtOnce => (bytes.len(), LineState::Open),
        Came::After(first) => (first, LineState::Open),
        Came::Whole(first) => (first.unwrap_or(bytes.len()), LineState::Ended),
        Came::Silent(first) => (first.unwrap_or(bytes.len()), LineState::Quiet),
    };
    let conversation = Conversation { bytes, first_packet, before_last_packet: first_packet, line, previous: None };
    let read = |Reading { header, bytes, .. }: Reading| (header.name, header.size, bytes);
    match decode(&conversation, options) {
        Ok(Decoded::Incomplete) => Outcome::More,
        Ok(Decoded::Header(reading)) => Outcome::Header(read(reading)),
        Ok(Decoded::Undecided(rivals)) => Outcome::Undecided(rivals.readings.into_iter().map(read).collect()),
        Ok(Decoded::OtherProtocol(_)) => Outcome::Other,
        Err(error) => Outcome::Refused(error.kind()),
    }
}

fn named(name: &str, size: Option<u64>, bytes: usize) -> Outcome {
    Outcome::Header((name.to_owned(), size, bytes))
}

fn undecided(readings: &[(Option<u64>, usize)]) -> Outcome {
    Outcome::Undecided(readings.iter().map(|(size, bytes)| ("n.csv".to_owned(), *size, *bytes)).collect())
}

fn check(options: Options, table: &[(&[u8], Came, Outcome)]) {
    for (bytes, came, expected) in table {
        assert_eq!(&outcome(bytes, *came, options), expected, "{:?} {came:?}", bytes.escape_ascii().to_string());
    }
}

#[test]
fn a_line_is_a_header_however_it_is_cut() {
    use Came::{After, AtOnce, Silent, Whole};
    check(
        AUTO,
        &[
            (b"a/b.csv 12\nxyz", AtOnce, named("a/b.csv", Some(12), 11)),
            (b"a/b.csv 12\r\nxyz", AtOnce, named("a/b.csv", Some(12), 12)),
            (b"a/b.csv 12\n", AtOnce, named("a/b.csv", Some(12), 11)),
            (b"a/b.csv 3\nxyz", Whole(Some(3)), named("a/b.csv", Some(3), 10)),
            (b"a/b.csv 3\nxyz", Silent(Some(3)), named("a/b.csv", Some(3), 10)),
            (b"a/b.csv 12\nxyz", After(7), named("a/b.csv", Some(12), 11)),
            (b"a/b.csv 12\nxyz", After(8), named("a/b.csv", Some(12), 11)),
            (b"a/b.csv 12\nxyz", After(9), named("a/b.csv", Some(12), 11)),
            (b"a.csv\nx,y\n1,2", AtOnce, named("a.csv", None, 6)),
            (b"a.csv\nx,y\n1,2", After(3), named("a.csv", None, 6)),
            (b"a.csv\nx,y\n1,2", After(5), named("a.csv", None, 6)),
            (b"a.csv\r\nx", After(5), named("a.csv", None, 7)),
            (b"a.csv.gz\nx", After(5), named("a.csv.gz", None, 9)),
            (b"a.jsonl\nx", After(6), named("a.jsonl", None, 8)),
            (b"app.log.1\nx", AtOnce, named("app.log.1", None, 10)),
            (b"app.log.1\nx", After(3), Outcome::Refused(ErrorKind::BadHeader)),
            (b"app.log.1\nx", After(7), Outcome::Refused(ErrorKind::BadHeader)),
            (b"app.log.1 1\nx", Whole(Some(7)), named("app.log.1", Some(1), 12)),
            (b"app.log.1 2\nx", Whole(Some(7)), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"readings\nx", AtOnce, named("readings", None, 9)),
            (b"readings 1\nx", Whole(Some(4)), named("readings", Some(1), 11)),
            (b"a.csv 0\n", Whole(None), named("a.csv", Some(0), 8)),
            // A pause or an end inside of a header ends nothing.
            (b"readings/a", Silent(None), Outcome::More),
            (b"a.csv 12", Silent(None), Outcome::More),
            (b"a.csv 12\r", AtOnce, Outcome::More),
            (b"a.csv", Whole(None), Outcome::Refused(ErrorKind::Incomplete)),
            (b"a.csv ", Whole(None), Outcome::Refused(ErrorKind::Incomplete)),
            (b"a.csv 12", Whole(None), Outcome::Refused(ErrorKind::Incomplete)),
            (b"a.csv 0", Whole(Some(5)), Outcome::Refused(ErrorKind::Incomplete)),
        ],
    );
}

#[test]
fn digits_behind_a_name_are_a_size_where_the_count_proves_it() {
    use Came::{After, AtOnce, Silent, Whole};
    check(
        AUTO,
        &[
            (b"n.csv 22ts,temp", After(8), named("n.csv", Some(22), 8)),
            (b"n.csv 22ts,temp\n", AtOnce, named("n.csv", Some(22), 8)),
            // The first packet may hold another header, behind a file of two bytes.
            (b"n.csv 22ts,temp", AtOnce, undecided(&[(Some(2), 7), (Some(22), 8)])),
            (b"n.csv 2217\n18\n1", Whole(None), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"n.csv 817\n18\n19", Whole(None), named("n.csv", Some(8), 7)),
            (b"n.csv 817\n18\n19", Whole(Some(7)), named("n.csv", Some(8), 7)),
            (b"n.csv 817\n18\n19", After(7), undecided(&[(Some(8), 7), (Some(817), 10)])),
            (b"n.csv 817\n18\n19", Silent(Some(7)), named("n.csv", Some(8), 7)),
            (b"n.csv 817\n18\n19", Silent(None), undecided(&[(Some(8), 7), (Some(81), 8), (Some(817), 10)])),
            // Content that begins with a newline: only a first packet that ends with the size proves that.
            (b"n.csv 4\nabc", Whole(Some(7)), named("n.csv", Some(4), 7)),
            (b"n.csv 4\nabc", Whole(None), named("n.csv", Some(4), 8)),
            // All digits, to the end: a first packet that ends with the size proves it.
            (b"n.txt 242", Whole(Some(7)), named("n.txt", Some(2), 7)),
            (b"n.txt 242", Silent(Some(7)), Outcome::More),
            (b"n.txt 242", Whole(None), Outcome::Refused(ErrorKind::Incomplete)),
            (b"n.txt 2421", Whole(Some(7)), Outcome::Refused(ErrorKind::BadHeader)),
            // No size fits: truncated, or grown.
            (b"n.csv 22ts,temp", Whole(None), Outcome::Refused(ErrorKind::SizeMismatch)),
            // Silence proves nothing where the newline of a line may come late, and its last byte
            // with it.
            (b"n.csv 6\nhello", Silent(Some(7)), undecided(&[(Some(6), 7), (Some(6), 8)])),
            (b"n.csv 6\r\nhello", Silent(Some(7)), undecided(&[(Some(6), 7), (Some(6), 9)])),
            (b"n.csv 6\nhello", Whole(Some(7)), named("n.csv", Some(6), 7)),
            (b"n.csv 6\nhello!", Whole(Some(7)), named("n.csv", Some(6), 8)),
            // No size begins with zeros, or has more digits than the largest, but in a line.
            (b"n.csv 0070abcdef", Whole(None), Outcome::Refused(ErrorKind::BadHeader)),
            (b"n.csv 007\nabcdefg", AtOnce, named("n.csv", Some(7), 10)),
            (b"n.csv 99999999999999999999\nx", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
        ],
    );
}

#[test]
fn a_space_ends_a_name_where_no_size_follows() {
    use Came::{After, AtOnce, Whole};
    check(
        AUTO,
        &[
            (b"a.csv x,y\n1,2\n", AtOnce, named("a.csv", None, 6)),
            (b"a.csv x,y", AtOnce, Outcome::More),
            (b"a.csv x,y", After(6), Outcome::Undecided(vec![("a.csv".to_owned(), None, 6)])),
            (b"a.csv x,y\n", After(6), named("a.csv", None, 6)),
            (b"a.json {\"a\": 1}", Whole(None), named("a.json", None, 7)),
            (b"a.bin \n\n", AtOnce, named("a.bin", None, 6)),
            (b"a.csv \xff\xfe\n", AtOnce, named("a.csv", None, 6)),
            (b"a.csv ", AtOnce, Outcome::More),
            // A column of numbers is content behind a first packet that ends with the space, and nowhere else.
            (b"n.csv 17\n18\n19\n", Whole(Some(6)), named("n.csv", None, 6)),
            (b"n.csv 17\nabc", Whole(Some(6)), named("n.csv", Some(17), 9)),
            (b"n.csv 2\n5\n", Whole(Some(6)), named("n.csv", Some(2), 8)),
            // More of it may come behind a pause.
            (b"n.csv 2\n5\n", Came::Silent(Some(6)), undecided(&[(Some(2), 8), (None, 6)])),
            (b"n.csv 17\n18\n19\n", Whole(None), Outcome::Refused(ErrorKind::SizeMismatch)),
            // A count that fits proves no size either where the first packet proves that there is
            // none.
            (b"n.csv 3abc", Whole(Some(6)), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"n.csv 4abc", Whole(Some(6)), named("n.csv", None, 6)),
            (b"n.csv 1,2\n3,4\n", Whole(Some(6)), named("n.csv", None, 6)),
            // A first line of several words and a number is not cut at its first space.
            (b"my file.csv 3\nabc", Whole(None), named("my file.csv", Some(3), 14)),
            (b"my file.csv\nabc", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
            (b"sensor data\nabc", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
            (b"sensor data\nabc", After(12), Outcome::Refused(ErrorKind::BadHeader)),
            // Nor where the network has cut it there.
            (b"my file.bin 5\nhello", Whole(Some(3)), named("my file.bin", Some(5), 14)),
            (b"site 4/a.bin\nhello", After(5), Outcome::Refused(ErrorKind::BadHeader)),
            (b"site 9 b.bin 5\nhello", Whole(Some(5)), named("site 9 b.bin", Some(5), 15)),
            (b"site 4,5\n6,7\n", Whole(Some(5)), named("site", None, 5)),
            (b"my file.bin", After(3), Outcome::More),
            (b"readings ts,temp\n1,2\n", After(9), named("readings", None, 9)),
            (b"readings {\"a\": 1}", Whole(Some(9)), named("readings", None, 9)),
            (b"readings \x01\x02", After(9), named("readings", None, 9)),
            (b"my file.csv 3", Whole(None), Outcome::Refused(ErrorKind::BadHeader)),
        ],
    );
}

#[test]
fn a_first_packet_with_a_known_extension_is_a_header() {
    use Came::{After, AtOnce, Whole};
    check(
        AUTO,
        &[
            (b"n2.csvts,temp\n1,2\n", After(6), named("n2.csv", None, 6)),
            (b"n2.csv17\n18\n", After(6), named("n2.csv", None, 6)),
            (b"n.json{\"a\":1}", After(6), Outcome::More),
            (b"n.json{\"a\":1}", Whole(Some(6)), named("n.json", None, 6)),
            (b"n.json{\"a\": 1}", After(6), named("n.json", None, 6)),
            // A count decides where the name may have been cut there.
            (b"n.csvx 3\nabc", Whole(Some(5)), named("n.csvx", Some(3), 9)),
            (b"n.csvx 3\nabcd\n", After(5), named("n.csv", None, 5)),
            (b"n.csvx 3abc", After(5), Outcome::More),
            (b"n.csvx 3abc", Whole(Some(5)), named("n.csv", None, 5)),
            // Nothing shows where the name ends.
            (b"n2.csvts,temp\n1,2\n", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
            (b"readings1,2\n3,4\n", After(8), Outcome::Refused(ErrorKind::BadHeader)),
            (b"n.csvm.csv\nx", After(5), Outcome::Refused(ErrorKind::BadHeader)),
            (b"n.csv x\ny", After(5), Outcome::Refused(ErrorKind::BadHeader)),
        ],
    );
    check(
        FIRST_PACKET,
        &[
            (b"readings1,2\n3,4\n", After(8), named("readings", None, 8)),
            (b"readings1", After(8), named("readings", None, 8)),
            (b"readings", AtOnce, Outcome::More),
            (b"n.csv 22ts,temp", After(8), named("n.csv", Some(22), 8)),
            (b"n2.csvts,temp\n1,2\n", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
        ],
    );
}

#[test]
fn options_hold() {
    use Came::{After, AtOnce, Whole};
    check(
        LINE,
        &[
            (b"my file.csv 12\nx", AtOnce, named("my file.csv", Some(12), 15)),
            (b"my file.csv\nx", AtOnce, named("my file.csv", None, 12)),
            (b"n2.csvts,temp\n", After(6), named("n2.csvts,temp", None, 14)),
            (b"a.csv x,y", AtOnce, Outcome::More),
            (b"a.csv 12", Whole(None), Outcome::Refused(ErrorKind::Incomplete)),
        ],
    );
    check(
        NO_SIZES,
        &[
            (b"n.csv 17\n18\n", AtOnce, named("n.csv", None, 6)),
            (b"n.csv 2024-01-01,5\n", AtOnce, named("n.csv", None, 6)),
            (b"n.csv\nx", AtOnce, named("n.csv", None, 6)),
        ],
    );
    check(
        SIZED,
        &[
            (b"n.csv 3\nabc", AtOnce, named("n.csv", Some(3), 8)),
            (b"n.csv 3abc", Whole(None), named("n.csv", Some(3), 7)),
            (b"n.csv\nabc", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
            (b"n.csv abc\n", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
            (b"n.csvabc,d\n", After(5), Outcome::Refused(ErrorKind::BadHeader)),
            (b"n.csv 17\n18\n19\n", Whole(Some(6)), Outcome::Refused(ErrorKind::SizeMismatch)),
        ],
    );
}

#[test]
fn what_cannot_be_a_header_is_refused() {
    use Came::AtOnce;
    for options in [AUTO, FIRST_PACKET] {
        check(
            options,
            &[
                (b"\n", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
                (b" 12\n", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
                (b"\xff\n", AtOnce, Outcome::Refused(ErrorKind::BadHeader)),
                (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", AtOnce, Outcome::Other),
                (b"HELP\r\n", AtOnce, Outcome::Other),
            ],
        );
    }
}

#[test]
fn a_header_is_bounded() {
    let long = vec![b'x'; MAX_HEADER_BYTES];
    let digits = [&b"a.csv "[..], &[b'7'; MAX_HEADER_BYTES]].concat();
    for options in [AUTO, LINE, FIRST_PACKET] {
        assert_eq!(outcome(&long, Came::AtOnce, options), Outcome::Refused(ErrorKind::BadHeader));
        assert_eq!(outcome(&long[1..], Came::AtOnce, options), Outcome::More);
        let mut late = long.clone();
        late.push(b'\n');
        assert_eq!(outcome(&late, Came::AtOnce, options), Outcome::Refused(ErrorKind::BadHeader));
        assert_eq!(outcome(&digits, Came::AtOnce, options), Outcome::Refused(ErrorKind::BadHeader));
    }
}

#[test]
fn content_that_looks_like_a_header_proves_no_size() {
    use Came::{After, AtOnce, Silent, Whole};
    let list = b"n.csv 17da;ta.csv 1048\n9";
    let readings = |list: &[(&str, u64, usize)]| {
        Outcome::Undecided(list.iter().map(|(name, size, bytes)| ((*name).to_owned(), Some(*size), *bytes)).collect())
    };
    let of_list = || readings(&[("n.csv", 1, 7), ("n.csv", 17, 8)]);
    check(
        AUTO,
        &[
            (list, AtOnce, of_list()),
            (list, Silent(None), of_list()),
            (list, Whole(None), Outcome::Refused(ErrorKind::SizeMismatch)),
            // A name of several words, of which an extension is one, may have been joined to it.
            (b"n.csv 14data.csv 1048\n", Whole(None), Outcome::Refused(ErrorKind::BadHeader)),
            (b"n.csv 20extra-data.csv 1048\n", Whole(Some(8)), named("n.csv", Some(20), 8)),
            // Whole files behind it do, unless they can be content of just the other size.
            (b"n.csv 17da;ta.csv 3abc", Whole(None), named("n.csv", Some(1), 7)),
            (b"n.csv 17da;ta.csv 3abc", Silent(None), named("n.csv", Some(1), 7)),
            (b"n.csv 15da;ta.csv 3\nabc", Whole(None), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"n.csv 9171,18,19m.csv 3abcm.csv 0", Whole(None), named("n.csv", Some(9), 7)),
            // A first packet may be a size, or a whole file.
            (b"t.bin 17", After(8), Outcome::More),
            (b"t.bin 17ts,temp\n", After(8), named("t.bin", Some(17), 8)),
            (b"t.bin 17abcdefghij", After(8), Outcome::Undecided(vec![("t.bin".to_owned(), Some(17), 8)])),
            (b"t.bin 17abcdefghij", Silent(Some(8)), Outcome::Undecided(vec![("t.bin".to_owned(), Some(17), 8)])),
            (b"t.bin 17abcdefghijklmnopq", Whole(Some(8)), named("t.bin", Some(17), 8)),
            (b"t.bin 17a/longer/name/a/b.csv 3abc", Whole(Some(8)), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"t.bin 3142", Whole(None), Outcome::Refused(ErrorKind::Incomplete)),
            (b"t.bin 16", After(8), Outcome::More),
            (b"n.csv 27\n", After(9), undecided(&[(Some(27), 9)])),
            (b"n.csv 27\nx,y\n", After(9), named("n.csv", Some(27), 9)),
            (b"n.csv 27\nabc", After(9), undecided(&[(Some(27), 9)])),
            (b"n.csv 27\nabcdefghijklmnopqrstuvwxyz1", Silent(Some(9)), named("n.csv", Some(27), 9)),
            (b"n.csv 27\nabcdefghijklmnopqrstuvwxyz1", Whole(Some(9)), named("n.csv", Some(27), 9)),
            (b"n.csv 27\nm.csv 28\nm.csv 28\nm.csv 28\n", Whole(Some(9)), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"n.csv 27\nm.csv 28\nm.csv 28\nm.csv 28\n", Silent(Some(9)), undecided(&[(Some(27), 9)])),
            (b"t.bin 7999999999999999999999999999999999999999,x", After(7), named("t.bin", Some(7), 7)),
            (b"n.csv 26\nx", AtOnce, named("n.csv", Some(26), 9)),
            // A further file whose name is refused proves no other size.
            (b"n.csv 18b/re;adings 3abcb/c.csv 3abc", Whole(None), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"n.csv 18b/re;adings 3abcb/c.csv 3abc", Silent(None), undecided(&[(Some(1), 7), (Some(18), 8)])),
            (b"n.csv 18b/re;adings 4abcb/c.csv 3abc", Whole(None), named("n.csv", Some(18), 8)),
            // So does a header in a packet of its own.
            (b"n.csv 9171,18,19m.csv 3", After(16), named("n.csv", Some(9), 7)),
            (
                b"n.csv 9171,18,19m.csv 3",
                After(15),
                undecided(&[(Some(9), 7), (Some(91), 8), (Some(917), 9), (Some(9171), 10)]),
            ),
            (
                b"a.bin 44xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxb.bin 3abc",
                Silent(Some(52)),
                named("a.bin", Some(44), 8),
            ),
            (b"n.csv 44x,xx4444444444444444444444444444444444444444m.csv 3", After(52), named("n.csv", Some(44), 8)),
        ],
    );
}

#[test]
fn only_a_header_with_a_size_follows_a_file() {
    let header = Header { name: "a.x".to_owned(), size: Some(1) };
    let mut previous = Reading { header, bytes: 5, is_line: false };
    for (bytes, ended, expected) in [
        (&b"b.csv 3"[..], false, Follows::Header),
        (b"b.csv 3\nabc", true, Follows::Header),
        (b"b.x 3abc", false, Follows::Header),
        (b"b.csv ", false, Follows::Unknown),
        (b"b.c", false, Follows::Unknown),
        (b"b.c", true, Follows::Surplus),
        (b"b.csv ", true, Follows::Surplus),
        (b"b.csv\nabc", false, Follows::Surplus),
        (b"b.csv x\n", false, Follows::Surplus),
        (b"temp 22\n", false, Follows::Surplus),
        (b"b.y 22\n", false, Follows::Surplus),
        (b"../b.csv 22\n", false, Follows::Surplus),
        (b"\n", false, Follows::Surplus),
        (b"\xff\xfe.csv 3", false, Follows::Surplus),
        (&[b'x'; 2000], false, Follows::Surplus),
    ] {
        assert_eq!(follows(bytes, &previous, ended), expected, "{}", bytes.escape_ascii());
    }
    previous.is_line = true;
    for (bytes, ended, expected) in [
        (&b"b.csv 3\n"[..], false, Follows::Header),
        (b"my b.csv 3\r\nabc", true, Follows::Header),
        (b"b.csv 3", false, Follows::Unknown),
        (b"b.csv 3", true, Follows::Surplus),
        (b"b.csv 3a,b", false, Follows::Unknown),
        (b"b.csv 3a,b\n", false, Follows::Surplus),
    ] {
        assert_eq!(follows(bytes, &previous, ended), expected, "{}", bytes.escape_ascii());
    }
}

#[test]
fn an_answer_is_one_line() {
    let error = Error::new(ErrorKind::Invalid, format!("two\nlines {}", "x".repeat(5000)));
    let line = encode_error(&error);
    assert!(line.starts_with("ERR invalid two\\nlines xxx") && line.ends_with("x\n"), "{line}");
    assert_eq!(line.matches('\n').count(), 1);
    assert!(line.len() <= MAX_MESSAGE_BYTES + 1);
}
