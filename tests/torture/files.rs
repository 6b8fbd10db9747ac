//! What is sent: contents that can be made again from a number, under names whose first folder says what holds for them.

use std::io::Write;

use tidegate::upload::{Digest, UploadId};

use crate::common::chance::Chance;

/// What `--config` gets: the first folder of a name decides what becomes of a conflict.
pub(crate) const RULES: &str = r#"
[[rules]]
match = "version/**"
on_conflict = "version"
[[rules]]
match = "overwrite/**"
on_conflict = "overwrite"
[[rules]]
match = "{fresh,reject}/**"
on_conflict = "reject"
"#;

/// Names that many fight for, in each folder and of each kind.
const CONTESTED_NAMES: u64 = 2;
/// Contents that are sent to each of them.
const CONTESTED_CONTENTS: u64 = 5;

/// A content, as the number that it is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Content {
    pub(crate) number: u64,
    pub(crate) kind: Kind,
    /// About so many bytes.
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Binary,
    Csv,
    Json,
    /// Nearly CSV: its last row is too long.
    BadCsv,
    /// Nearly JSON: its end is missing.
    BadJson,
}

impl Kind {
    const VALID: [Self; 3] = [Self::Binary, Self::Csv, Self::Json];

    pub(crate) fn is_valid(self) -> bool {
        Self::VALID.contains(&self)
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Binary => "bin",
            Self::Csv | Self::BadCsv => "csv",
            Self::Json | Self::BadJson => "json",
        }
    }
}

impl Content {
    fn new(number: u64, kind: Kind, sizes: Sizes) -> Self {
        let mut chance = Chance::new(number);
        if (kind, sizes) == (Kind::Binary, Sizes::All) && chance.one_in(50) {
            // More than there is between two checkpoints on a disk.
            return Self { number, kind, bytes: chance.within(33 << 20..64 << 20) };
        }
        let most = match chance.within(0..20) {
            0 if sizes == Sizes::All => 12 << 20,
            1..3 if sizes == Sizes::All => 2 << 20,
            0..8 => 256 << 10,
            _ => 4 << 10,
        };
        Self { number, kind, bytes: chance.within(0..most) }
    }

    /// More than a part of a multipart upload holds.
    fn large(number: u64, kind: Kind) -> Self {
        Self { number, kind, bytes: Chance::new(number).within(5 << 20..8 << 20) }
    }

    /// The bytes, the same each time.
    pub(crate) fn make(&self) -> Vec<u8> {
        let (number, wanted) = (self.number, usize::try_from(self.bytes).unwrap());
        let mut bytes = Vec::with_capacity(wanted + 64);
        let mut row = 0_u64;
        let mut rows = |bytes: &mut Vec<u8>, write: &dyn Fn(&mut Vec<u8>, u64)| {
            while bytes.len() < wanted {
                write(bytes, row);
                row += 1;
            }
        };
        match self.kind {
            Kind::Binary => {
                // Each block names itself, so that none can be missing, doubled or moved.
                let block = Chance::new(number).bytes(4096);
                rows(&mut bytes, &|bytes, row| {
                    bytes.extend(number.to_le_bytes());
                    bytes.extend(row.to_le_bytes());
                    bytes.extend(&block);
                });
                bytes.truncate(wanted);
            }
            Kind::Csv | Kind::BadCsv => {
                bytes.extend(b"number,row,text\n");
                rows(&mut bytes, &|bytes, row| writeln!(bytes, "{number},{row},\"some \"\"text\"\" of a row\"").unwrap());
                if self.kind == Kind::BadCsv {
                    bytes.extend(b"one,too,many,fields\n");
                }
            }
            Kind::Json | Kind::BadJson => {
                write!(bytes, "{{\"number\":\"{number}\",\"rows\":[0").unwrap();
                rows(&mut bytes, &|bytes, row| write!(bytes, ",{{\"row\":{row},\"value\":-1.5e3}}").unwrap());
                if self.kind == Kind::Json {
                    bytes.extend(b"]}");
                }
            }
        }
        bytes
    }
}

/// Which sizes there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sizes {
    /// From no byte to some MiB, of which some fill more than a part of a multipart upload.
    All,
    /// No large ones: enough has been written.
    Small,
}

/// Something to send.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) name: String,
    pub(crate) content: Content,
    pub(crate) digest: Digest,
    /// Sent with this id, where the sender gives one.
    pub(crate) id: UploadId,
}

impl Job {
    fn new(name: String, content: Content) -> Self {
        Self { name, content, digest: Digest::of(&content.make()), id: UploadId::generate() }
    }

    /// A new file; now and then, one that is not valid.
    pub(crate) fn fresh(chance: &mut Chance, sizes: Sizes) -> Self {
        let kind = match chance.within(0..20) {
            0 => Kind::BadCsv,
            1 => Kind::BadJson,
            _ => *chance.pick(&Kind::VALID),
        };
        let number = chance.next();
        Self::new(format!("fresh/{}/{number:016x}.{}", number % 7, kind.extension()), Content::new(number, kind, sizes))
    }

    /// A name that others want too, with one of a few contents.
    pub(crate) fn contested(chance: &mut Chance, sizes: Sizes) -> Self {
        let kind = *chance.pick(&Kind::VALID);
        let folder = *chance.pick(&["reject", "version", "overwrite"]);
        let name = format!("{folder}/{}.{}", chance.within(0..CONTESTED_NAMES), kind.extension());
        let which = chance.within(0..CONTESTED_CONTENTS);
        let number = name.bytes().fold(which, |number, byte| number.wrapping_mul(31).wrapping_add(byte.into()));
        // Two that commit in parts under one name take other ways than two that need one request each.
        let content = match (which, sizes) {
            (0, Sizes::All) => Content::large(number, kind),
            (_, _) => Content::new(number, kind, sizes),
        };
        Self::new(name, content)
    }

    /// The same file by another sender.
    pub(crate) fn with_new_id(self) -> Self {
        Self { id: UploadId::generate(), ..self }
    }
}

/// The name that what lies under `key` was sent to: without the `~2` of a version. No name here has a `~` of its own.
pub(crate) fn name_of(key: &str) -> String {
    match key.split_once('~') {
        Some((stem, version)) => format!("{stem}.{}", version.split_once('.').map_or("", |(_, extension)| extension)),
        None => key.to_owned(),
    }
}
