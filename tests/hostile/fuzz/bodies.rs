//! Content that senders send: good, broken, and meant to cost much.

use std::sync::{Arc, LazyLock};

use super::SCHEMAS;
use super::schemas;
use crate::bombs;
use crate::common::chance::Chance;

/// A file: the end of its name, and its bytes.
pub(super) struct Content {
    pub(super) extension: String,
    pub(super) bytes: Arc<[u8]>,
}

/// Of a gzip file that unpacks to six hundred times as much; a debug build must come to its end as
/// well.
const BOMB_BYTES: usize = if cfg!(debug_assertions) { 10_000 } else { 1_000_000 };

type Bomb = (&'static str, Arc<[u8]>);

/// Made once, for it takes long.
static BOMBS: LazyLock<Vec<Bomb>> = LazyLock::new(|| {
    vec![
        ("csv.gz", bombs::csv_gz(BOMB_BYTES).into()),
        ("csv.zst", bombs::csv_zst().into()),
        ("strict.json.gz", bombs::long_name_gz().into()),
        ("strict.json.gz", bombs::many_names_gz().into()),
        ("table.csv.gz", bombs::long_cell_gz().into()),
    ]
});

pub(super) fn draw(chance: &mut Chance) -> Content {
    let (extension, mut bytes) = match chance.below(12) {
        0 => ("bin".to_owned(), noise(chance)),
        1 => ("csv".to_owned(), table(chance)),
        2 => ("table.csv".to_owned(), [b"id,value\n".to_vec(), table(chance)].concat()),
        3 => (one_of(chance, &["json", "strict.json"]), nested(chance)),
        4 => (one_of(chance, &["json", "strict.json", "ndjson"]), schemas::document(chance, 0).to_string().into_bytes()),
        5..=8 => document(chance),
        9 => ("ndjson".to_owned(), nested(chance)),
        _ => {
            let (extension, bytes) = chance.pick(&BOMBS).clone();
            return Content { extension: extension.to_owned(), bytes };
        }
    };
    if chance.one_in(4) && !bytes.is_empty() {
        break_one(chance, &mut bytes);
    }
    Content { extension, bytes: bytes.into() }
}

fn one_of(chance: &mut Chance, all: &[&str]) -> String {
    (*chance.pick(all)).to_owned()
}

fn noise(chance: &mut Chance) -> Vec<u8> {
    let count = size(chance);
    chance.bytes(count)
}

/// Mostly small; sometimes beyond a read, and beyond what is held back.
fn size(chance: &mut Chance) -> usize {
    let most = *chance.pick(&[3, 100, 4_096, 70_000, 300_000]);
    chance.below(most + 1)
}

fn table(chance: &mut Chance) -> Vec<u8> {
    let row = *chance.pick(&["1,2\n", "a,\"b\n\"\n", ",\n", "x,y,z\n", "\"", "1,2\r\n", "\u{feff},\n"]);
    let mut text = "a,b\n".repeat(chance.below(50));
    text.push_str(&row.repeat(size(chance) / row.len()));
    text.into_bytes()
}

/// Arrays and objects within each other, closed or not.
fn nested(chance: &mut Chance) -> Vec<u8> {
    let depth = *chance.pick(&[1, 100, 127, 128, 129, 1000, 50_000]);
    let (open, close) = *chance.pick(&[("[", "]"), ("{\"a\":", "}"), ("[{\"k\":[", "]}]"), ("[[],", "]")]);
    let mut text = open.repeat(depth);
    if !chance.one_in(4) {
        text.push('1');
        text.push_str(&close.repeat(depth));
    }
    text.into_bytes()
}

/// For one of the random schemas.
fn document(chance: &mut Chance) -> (String, Vec<u8>) {
    let schema = chance.below(SCHEMAS);
    if chance.one_in(3) {
        let lines: Vec<_> = (0..chance.within(1..200)).map(|_| format!("{}\n", schemas::document(chance, 0))).collect();
        return (format!("s{schema}.ndjson"), lines.concat().into_bytes());
    }
    let depth = chance.below(60);
    (format!("s{schema}.json"), schemas::deep_document(chance, depth).to_string().into_bytes())
}

/// A byte changed, lost or doubled; or the end lost.
fn break_one(chance: &mut Chance, bytes: &mut Vec<u8>) {
    let at = chance.below(bytes.len());
    match chance.below(4) {
        0 => bytes[at] = bytes[at].wrapping_add(1),
        1 => drop(bytes.remove(at)),
        2 => bytes.insert(at, bytes[at]),
        _ => bytes.truncate(at),
    }
}
