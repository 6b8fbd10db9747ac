//! What can be wrong with a JSON text, and with lines of them.

use super::Example::{Plain, Under};
use super::{Lesson, Pair};
use crate::report::Format::{Json, Ndjson};

pub(super) const JSON_SYNTAX: Lesson = Lesson {
    title: "this is no JSON",
    meaning: "\
The message tells what was found and what could have stood there. Frequent causes: a comma behind the
last element, quotes of the other kind, names without quotes, NaN or Infinity, comments, a line break
inside of a string, numbers with a leading zero or plus.",
    example: Plain(Pair { format: Json, broken: b"{\"id\": 7, \"ok\": True,}\n", repaired: b"{\"id\": 7, \"ok\": true}\n" }),
    standard: "RFC 8259, 2: \"A JSON text is a sequence of tokens\" of its grammar",
    setting: None,
};

pub(super) const JSON_TRUNCATED: Lesson = Lesson {
    title: "the JSON text ends early",
    meaning: "\
All is well up to the end of the file, but something is still open there: an array, an object or a
string. Mostly the program that wrote it was stopped, or the disk was full. Have it written again;
closing the brackets by hand hides that something is missing.",
    example: Plain(Pair { format: Json, broken: b"[{\"id\": 1}, {\"id\":", repaired: b"[{\"id\": 1}, {\"id\": 2}]" }),
    standard: "RFC 8259, 2 and 7: what is opened is closed",
    setting: None,
};

pub(super) const JSON_BOM: Lesson = Lesson {
    title: "a byte order mark stands before the JSON text",
    meaning: "\
Some programs begin each file with the three bytes EF BB BF. They mean nothing in UTF-8, and many
readers of JSON stop at them. Export without a mark (\"UTF-8\", not \"UTF-8 with BOM\").",
    example: Plain(Pair { format: Json, broken: b"\xef\xbb\xbf{\"id\": 7}\n", repaired: b"{\"id\": 7}\n" }),
    standard: "RFC 8259, 8.1: \"Implementations MUST NOT add a byte order mark (U+FEFF)\"",
    setting: None,
};

pub(super) const DUPLICATE_NAME: Lesson = Lesson {
    title: "an object has the same name twice",
    meaning: "\
Most readers take the last of the two values, some the first, some both: what the file says depends on
who reads it. Remove one of them, or make an array of them.",
    example: Under {
        rule: "profile = \"i-json\"",
        files: Pair { format: Json, broken: b"{\"id\": 7, \"id\": 8}\n", repaired: b"{\"id\": [7, 8]}\n" },
    },
    standard: "RFC 7493, 2.3: objects \"MUST NOT have members with duplicate names\"",
    setting: Some("profile: \"rfc8259\" lets it pass, where names only \"SHOULD be unique\""),
};

pub(super) const LONE_SURROGATE: Lesson = Lesson {
    title: "half of a character is escaped",
    meaning: "\
Characters beyond U+FFFF are escaped in two halves, \\ud83d\\ude00. One half alone is no character, and
can't be written as UTF-8 by whoever reads it. Mostly a text was cut between the halves; write the
character itself, or both.",
    example: Under {
        rule: "profile = \"i-json\"",
        files: Pair { format: Json, broken: b"[\"ok \\ud83d\"]\n", repaired: b"[\"ok \\ud83d\\ude00\"]\n" },
    },
    standard: "RFC 7493, 2.1: strings \"MUST NOT include code points that identify Surrogates\"",
    setting: Some("profile: \"rfc8259\" lets it pass, as the grammar does (RFC 8259, 8.2)"),
};

pub(super) const NUMBER_RANGE: Lesson = Lesson {
    title: "a number that a double can't hold",
    meaning: "\
Most readers keep numbers as doubles (binary64): beyond their range, or with more digits than they
hold, another number is read than the one that was written. Write identifiers and exact decimals as
strings.",
    example: Under {
        rule: "profile = \"i-json\"",
        files: Pair { format: Json, broken: b"{\"far\": 1e400}\n", repaired: b"{\"far\": \"1e400\"}\n" },
    },
    standard: "RFC 7493, 2.2: no \"greater magnitude or precision than an IEEE 754 double\"",
    setting: Some("profile: \"rfc8259\" takes numbers of any size"),
};

pub(super) const BLANK_LINE: Lesson = Lesson {
    title: "a line without a value",
    meaning: "\
Each line of an NDJSON is one value. A blank one may be where a record got lost, so it is not passed
over. Mostly a program ended each record with two line ends. Remove the line.",
    example: Plain(Pair {
        format: Ndjson,
        broken: b"{\"id\": 1}\n\n{\"id\": 2}\n",
        repaired: b"{\"id\": 1}\n{\"id\": 2}\n",
    }),
    standard: "NDJSON 1.0: a parser \"MAY silently ignore empty lines\"; this one does not unless told so",
    setting: Some("blank_lines = true in a rule lets them pass"),
};

pub(super) const SPLIT_VALUE: Lesson = Lesson {
    title: "a line ends before its value does",
    meaning: "\
Each line of an NDJSON is one value, and a value does not go on in the next line. Either it was
written for people, over several lines, or a line was cut off. jq -c . makes lines of such a file.",
    example: Plain(Pair {
        format: Ndjson,
        broken: b"{\"id\": 1,\n \"ok\": true}\n",
        repaired: b"{\"id\": 1, \"ok\": true}\n",
    }),
    standard: "NDJSON 1.0: \"The JSON texts MUST NOT contain newlines or carriage returns.\"",
    setting: Some("format = \"json\" in a rule, where the file is one text"),
};
