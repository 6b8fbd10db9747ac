//! What is too much, and compressed data.

use super::Example::Words;
use super::Lesson;

const TEXTS: &str = "RFC 8259, 9: \"An implementation may set limits on the size of texts that it accepts.\"";
const STRINGS: &str = "RFC 8259, 9, lets limits be set on the length of strings, and on numbers; none for CSV";
const OURS: &str = "none: it keeps the memory of a validator bounded";

pub(super) const JSON_DEPTH: Lesson = Lesson {
    title: "arrays and objects are nested too deep",
    meaning: "\
Readers of JSON stop at some depth, for each level takes memory. No sensible document comes near; a
program that wraps its output once more in each turn does, and so does an attack.",
    example: Words("an array in an array in an array …, 129 times"),
    standard: "RFC 8259, 9: \"An implementation may set limits on the maximum depth of nesting.\"",
    setting: Some("limits.max_json_depth"),
};

pub(super) const RECORD_BYTES: Lesson = Lesson {
    title: "a row of a table or a line of an NDJSON is too long",
    meaning: "\
Whoever reads the file later needs memory for a whole record. In a table this is mostly a quote that is
never closed: the message tells where it stands. Else raise the limit, or put large values elsewhere.",
    example: Words("a line with a picture of 20 MB in it, written as base64"),
    standard: TEXTS,
    setting: Some("limits.max_record_bytes"),
};

pub(super) const RECORD_LINES: Lesson = Lesson {
    title: "a row of a table goes over too many lines",
    meaning: "\
A quoted cell may hold line ends, but hardly so many: a quote is not closed, and swallows the rows that
follow. Look at the first quote of the record.",
    example: Words("1,\"late in the second row of a file, and no other quote in the next 1000 rows"),
    standard: OURS,
    setting: Some("limits.max_record_lines"),
};

pub(super) const ROW_FIELDS: Lesson = Lesson {
    title: "a row has too many fields",
    meaning: "\
A table of so many columns is mostly one that was turned on its side, or a file that is separated by
something else and has delimiters all over its text.",
    example: Words("a header of 20000 names"),
    standard: OURS,
    setting: Some("limits.max_row_fields"),
};

pub(super) const TOKEN_BYTES: Lesson = Lesson {
    title: "a string, a number or a cell is too long",
    meaning: "\
Whoever reads the file later needs memory for a whole value. In a table this may be a quote that is
never closed; in JSON it is mostly a file that was put into a string.",
    example: Words("a string that holds a picture of 20 MB, written as base64"),
    standard: STRINGS,
    setting: Some("limits.max_token_bytes"),
};

pub(super) const DOCUMENT_BYTES: Lesson = Lesson {
    title: "a document is too large to be held against its schema",
    meaning: "\
A JSON Schema is held against a document that is in memory as a whole, which takes some ten times its
bytes. Where the document is a long array, have its elements validated one by one.",
    example: Words("a JSON array of 50 MB under a rule with a schema for the document"),
    standard: TEXTS,
    setting: Some("limits.max_document_bytes; schema_for = \"items\" in a rule"),
};

pub(super) const KEY_MEMORY: Lesson = Lesson {
    title: "too many different keys to remember",
    meaning: "\
To know that a value stands in a file once, all of them have to be remembered. There are more than
there is memory for, so nobody can say that the file is valid. Raise the limit, split the file, or
give the uniqueness up.",
    example: Words("a column that must be unique, in a table of ten million rows"),
    standard: OURS,
    setting: Some("limits.max_key_bytes"),
};

pub(super) const COMPRESSED_DATA: Lesson = Lesson {
    title: "the compressed data is broken, or ends early",
    meaning: "\
The file can't be unpacked as what it is said to be, or its checksum does not hold. It was cut off,
changed on its way (a transfer in text mode), or is not compressed at all. gzip -t and zstd -t tell the
same of a file. Compress it again.",
    example: Words("readings.csv.gz, of which only the first half has come"),
    standard: "RFC 1952, gzip, and RFC 8878, Zstandard: their headers and checksums",
    setting: Some("compression in a rule, where the name says what the file is not"),
};

pub(super) const UNPACKED_BYTES: Lesson = Lesson {
    title: "the compressed data unpacks to too much",
    meaning: "\
What a small file may cost is limited, whatever it unpacks to. If the file is honest, raise the limit
or split it.",
    example: Words("an archive of 70 GiB of text in a file of 1 GiB"),
    standard: OURS,
    setting: Some("limits.max_unpacked_bytes"),
};

pub(super) const UNPACK_RATIO: Lesson = Lesson {
    title: "the compressed data unpacks to too many times its size",
    meaning: "\
Text is packed to a tenth of its size, seldom to a hundredth. What unpacks to more than a thousand
times its bytes is the same few bytes again and again: an empty export, a disk image, or an attack.",
    example: Words("a gigabyte of zeros, in a file of one megabyte"),
    standard: OURS,
    setting: Some("limits.max_unpack_ratio"),
};
