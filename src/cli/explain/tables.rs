//! What can be wrong with the text of a file, and with the shape of a table.

use super::Example::{Plain, Under};
use super::{Lesson, Pair};
use crate::report::Format::{Csv, Tsv};

pub(super) const INVALID_UTF8: Lesson = Lesson {
    title: "these bytes are no UTF-8",
    meaning: "\
The file was written in another encoding, such as Latin-1 or Windows-1252, or it was cut off inside of
a character. Nothing is guessed: the same bytes mean different letters in different encodings. Export
the file as UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8 old.csv > new.csv.",
    example: Plain(Pair {
        format: Csv,
        broken: b"name,city\nM\xfcller,Ulm\n",
        repaired: "name,city\nMüller,Ulm\n".as_bytes(),
    }),
    standard: "RFC 3629, UTF-8; RFC 8259, 8.1, for JSON: \"MUST be encoded using UTF-8\"",
    setting: None,
};

pub(super) const BLANK_HEADER: Lesson = Lesson {
    title: "a name in the header is empty",
    meaning: "\
Every column needs a name, for that is how it is found later. Often a row ends with a delimiter too
many, or an export has put the numbers of its rows into a column without a name.",
    example: Plain(Pair {
        format: Csv,
        broken: b"id,,price\n1,2026-01-05,9.50\n",
        repaired: b"id,date,price\n1,2026-01-05,9.50\n",
    }),
    standard: "RFC 4180, 2.3: the header \"will contain names corresponding to the fields in the file\"",
    setting: Some("a dialect with \"header\": false, for tables that have none"),
};

pub(super) const DUPLICATE_LABEL: Lesson = Lesson {
    title: "two columns have the same name",
    meaning: "\
Whoever asks for the column by its name would get one of the two, and each program another one. Give
each column a name of its own.",
    example: Plain(Pair {
        format: Csv,
        broken: b"time,temp,temp\n08:00,20.1,20.4\n",
        repaired: b"time,temp_in,temp_out\n08:00,20.1,20.4\n",
    }),
    standard: "Table Schema 2.0: the name of a field \"MUST be unique amongst other field names\"",
    setting: None,
};

pub(super) const MISSING_HEADER: Lesson = Lesson {
    title: "the file has no header",
    meaning: "\
The file is empty, or holds nothing that could be a header. An export that found nothing should still
write the names of its columns; a file of no bytes is more often a write that failed.",
    example: Plain(Pair { format: Csv, broken: b"", repaired: b"id,price\n" }),
    standard: "RFC 4180, 2.3, leaves the header open; tidegate wants one unless a dialect says otherwise",
    setting: Some("a dialect with \"header\": false, for tables that have none"),
};

pub(super) const BLANK_ROW: Lesson = Lesson {
    title: "a blank line in a table of more than one column",
    meaning: "\
A line without anything in it is a row of one empty cell, and so not a row of this table. Blank lines
come from line ends that were doubled on the way, or from an editor. Remove them.",
    example: Plain(Pair { format: Csv, broken: b"id,price\n1,9.50\n\n2,8.00\n", repaired: b"id,price\n1,9.50\n2,8.00\n" }),
    standard: "RFC 4180, 2.4: \"Each line should contain the same number of fields throughout the file.\"",
    setting: None,
};

pub(super) const EXTRA_CELL: Lesson = Lesson {
    title: "a row has more cells than the table has columns",
    meaning: "\
Mostly a cell holds the delimiter and is not quoted: a comma in an address, or a decimal comma. Then
all the cells behind it stand in the wrong columns. Put such cells between quotes.",
    example: Plain(Pair {
        format: Csv,
        broken: b"id,city,price\n1,Washington, DC,9.50\n",
        repaired: b"id,city,price\n1,\"Washington, DC\",9.50\n",
    }),
    standard: "RFC 4180, 2.4: \"Each line should contain the same number of fields throughout the file.\"",
    setting: Some("a dialect with another \"delimiter\", where that is what separates the cells"),
};

pub(super) const MISSING_CELL: Lesson = Lesson {
    title: "a row has fewer cells than the table has columns",
    meaning: "\
Cells are missing at the end, a line break stands in a cell that is not quoted, or the file was cut
off. A cell that has no value is still there: empty, between its delimiters.",
    example: Plain(Pair { format: Csv, broken: b"id,price,note\n1,9.50\n", repaired: b"id,price,note\n1,9.50,\n" }),
    standard: "RFC 4180, 2.4: \"Each line should contain the same number of fields throughout the file.\"",
    setting: None,
};

pub(super) const STRAY_QUOTE: Lesson = Lesson {
    title: "a quote inside of a cell that does not begin with one",
    meaning: "\
Programs read such a cell in different ways, and some of them read over all the rows up to the next
quote. Put the whole cell between quotes, and write each quote inside of it twice.",
    example: Plain(Pair { format: Csv, broken: b"item,size\ncable,3\"\n", repaired: b"item,size\ncable,\"3\"\"\"\n" }),
    standard: "RFC 4180, 2.5: else \"double quotes may not appear inside the fields\"",
    setting: Some("a dialect with another \"quoteChar\""),
};

pub(super) const TEXT_AFTER_QUOTE: Lesson = Lesson {
    title: "text between a closing quote and the end of its cell",
    meaning: "\
The quote has ended the cell, so nothing but a delimiter or the end of the line can follow. Mostly a
quote inside of the cell is not written twice; sometimes it is only a space behind the quote.",
    example: Plain(Pair {
        format: Csv,
        broken: b"name,city\n\"Ann \"Lee\" Smith\",Ulm\n",
        repaired: b"name,city\n\"Ann \"\"Lee\"\" Smith\",Ulm\n",
    }),
    standard: "RFC 4180, 2.7: a quote inside \"must be escaped by preceding it with another double quote\"",
    setting: Some("a dialect with an \"escapeChar\" or another \"quoteChar\""),
};

pub(super) const UNCLOSED_QUOTE: Lesson = Lesson {
    title: "a quote is never closed",
    meaning: "\
All that follows the quote, line ends included, would be one cell. Either its other half is missing, or
the file was cut off inside of a quoted cell. The message tells where the quote stands.",
    example: Plain(Pair {
        format: Csv,
        broken: b"id,note\n1,\"late\n2,on time\n",
        repaired: b"id,note\n1,\"late\"\n2,on time\n",
    }),
    standard: "RFC 4180, 2.5 and its grammar: escaped = DQUOTE … DQUOTE",
    setting: Some("a dialect with another \"quoteChar\", or with none, where quotes have no meaning"),
};

pub(super) const BARE_CR: Lesson = Lesson {
    title: "a carriage return that does not end a line",
    meaning: "\
Lines end with LF or with CR LF. A CR by itself comes from old Macintosh exports, from a device that
ends its lines so, or out of the middle of a text that should be quoted. Convert the line ends.",
    example: Plain(Pair { format: Csv, broken: b"id,note\n1,late\ragain\n", repaired: b"id,note\n1,\"late\ragain\"\n" }),
    standard: "RFC 4180, 2.1 and 2.6: records are \"delimited by a line break (CRLF)\"; others are quoted",
    setting: Some("a dialect with another \"lineTerminator\""),
};

pub(super) const NUL_BYTE: Lesson = Lesson {
    title: "a NUL byte in a table",
    meaning: "\
No text has one. Runs of them are left behind where power failed while the file was written: the rows
there are lost, fetch them again. One at every other place means UTF-16: export as UTF-8.",
    example: Plain(Pair { format: Tsv, broken: b"id\tnote\n1\tl\0ate\n", repaired: b"id\tnote\n1\tlate\n" }),
    standard: "RFC 4180, 2: its grammar's TEXTDATA has no control characters",
    setting: None,
};

pub(super) const BAD_ESCAPE: Lesson = Lesson {
    title: "an escape before a character that needs none",
    meaning: "\
The dialect has an escape character. It stands before what would otherwise have a meaning: a
delimiter, a quote, or itself. Before anything else, and at the end of the file, it is a mistake:
mostly it is meant as itself, and has to be written twice.",
    example: Under {
        rule: "dialect: {\"escapeChar\": \"\\\\\"}",
        files: Pair { format: Csv, broken: b"id,path\n1,C:\\temp\n", repaired: b"id,path\n1,C:\\\\temp\n" },
    },
    standard: "Table Dialect 2.0, escapeChar: \"a one-character string to use as the escape character\"",
    setting: Some("the dialect's \"escapeChar\""),
};
