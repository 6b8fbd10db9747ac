//! Small bodies that cost much to read.

use std::fmt::Write as _;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::raw::CParameter;

use crate::common::chance::Chance;

/// The least that any data compresses to in deflate is a thousandth, which is also what
/// `limits.max_unpack_ratio` allows: so each block has some digits that hardly compress.
const BLOCK_BYTES: usize = 1 << 20;

/// Rows of two numbers, which all are valid; the first ones hardly compress.
fn rows(bytes: usize, random: usize) -> Vec<u8> {
    let mut chance = Chance::new(11);
    let mut text = String::new();
    while text.len() < random {
        writeln!(text, "{:08},{:08}", chance.next() % 100_000_000, chance.next() % 100_000_000).unwrap();
    }
    let mut text = text.into_bytes();
    text.extend(b"1,2\n".iter().cycle().take(bytes.saturating_sub(text.len()) / 4 * 4));
    text
}

pub(crate) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// Rows in gzip members of a MiB each, `bytes` of members in all: they unpack to some 600 times as
/// much.
pub(crate) fn csv_gz(bytes: usize) -> Vec<u8> {
    let member = gzip(&rows(BLOCK_BYTES, 1000));
    member.repeat(bytes / member.len())
}

/// Rows in a zstd frame that declares a window of 8 MiB, and fills it: 9 KB. Its end is missing, so
/// that the reader waits with all that it has.
pub(crate) fn csv_zst() -> Vec<u8> {
    let mut encoder = zstd_of_rows();
    encoder.flush().unwrap();
    encoder.get_ref().clone()
}

/// The same with its end.
pub(crate) fn whole_csv_zst() -> Vec<u8> {
    zstd_of_rows().finish().unwrap()
}

fn zstd_of_rows() -> zstd::stream::write::Encoder<'static, Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3).unwrap();
    encoder.set_parameter(CParameter::WindowLog(23)).unwrap();
    encoder.write_all(&rows(8 << 20, 18_000)).unwrap();
    encoder
}

/// A JSON text in gzip whose last name has 15 MiB and does not end: a reader that compares names
/// keeps it. 65 KB.
pub(crate) fn long_name_gz() -> Vec<u8> {
    let digits = rows(110_000, 110_000);
    let padding = String::from_utf8(digits).unwrap().replace(['\n', ','], "");
    let mut bytes = gzip(format!("{{\"{padding}\":1,\"").as_bytes());
    bytes.extend(gzip(&b"a".repeat(BLOCK_BYTES)).repeat(15));
    bytes
}

/// Nested objects in gzip that together have 460,000 names, none of which is closed: a reader that
/// refuses a name twice keeps them all.
pub(crate) fn many_names_gz() -> Vec<u8> {
    let digit = |value: usize| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[value % 36]);
    let mut object = "{".to_owned();
    for name in 0..3_600 {
        write!(object, "\"{}{}{}\":1,", digit(name / 1296), digit(name / 36), digit(name)).unwrap();
    }
    object.push_str("\"in\":");
    gzip(object.repeat(127).as_bytes())
}

/// A table in gzip with one cell of 15 MiB that does not end: a reader that holds a cell against a
/// schema keeps it. 65 KB.
pub(crate) fn long_cell_gz() -> Vec<u8> {
    let padding = String::from_utf8(rows(110_000, 110_000)).unwrap().replace(['\n', ','], "");
    let mut bytes = gzip(format!("id,value\n{padding},1\n").as_bytes());
    bytes.extend(gzip(&b"a".repeat(BLOCK_BYTES)).repeat(15));
    bytes
}

/// A chain of sums of this depth whose innermost value is wrong: 495 bytes at depth 22.
pub(crate) fn wrong_leaf(depth: usize) -> Vec<u8> {
    let (begin, end) = ("{\"op\":\"add\",\"values\":".repeat(depth), "}".repeat(depth));
    format!("{begin}\"wrong one\"{end}").into_bytes()
}

/// An ordinary schema for it: an expression is a number, or an operation on an expression, and an
/// addition is a sum as well.
pub(crate) fn expression_schema(combinator: &str) -> String {
    let operation = |names: &str| {
        format!(
            "{{\"type\":\"object\",\"required\":[\"op\",\"values\"],\"properties\":{{\"op\":{{\"enum\":[{names}]}},\
             \"values\":{{\"$ref\":\"#/$defs/expression\"}}}}}}"
        )
    };
    let (linear, sums) = (operation("\"add\",\"sub\",\"neg\""), operation("\"add\",\"sum\""));
    format!(
        "{{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"$ref\":\"#/$defs/expression\",\
         \"$defs\":{{\"expression\":{{\"{combinator}\":[{{\"type\":\"number\"}},{linear},{sums}]}}}}}}"
    )
}
