//! The share of the server's memory that a connection can hold, by what it sends and then leaves.

use crate::bombs;
use crate::harness::Setup;

/// The names that attackers use, and what they are validated as.
pub(crate) const RULES_OF_FORMATS: &str = r"
[[rules]]
match = '*.strict.json'
format = 'json'
profile = 'i-json'

[[rules]]
match = '*.table.csv'
format = 'csv'
schema = 'DIR/table.json'
max_errors = 100
";

const RULE_OF_DOCUMENTS: &str = r"
[[rules]]
match = '*.document.json'
format = 'json'
schema = 'DIR/document.json'
";

pub(crate) const TABLE: &str =
    r#"{"fields":[{"name":"id","type":"string"},{"name":"value","type":"any"}],"primaryKey":["id"]}"#;

/// Held against a document as a whole, which must be in memory for that.
const DOCUMENT: &str = r#"{"type":"array","items":{"type":"number"}}"#;

/// Rules for all kinds, and room for their connections from a few addresses of this machine.
pub(crate) fn setup() -> Setup {
    Setup::new()
        .file("table.json", TABLE)
        .file("document.json", DOCUMENT)
        .config(RULES_OF_FORMATS)
        .config(RULE_OF_DOCUMENTS)
        .set("limits.max_connections", 12_000)
        .set("limits.max_connections_per_address", 12_000)
        // The attack lasts longer than a silent connection does, and is measured while it does.
        .set("limits.idle_timeout", "5m")
        .set("limits.header_timeout", "5m")
}

/// A kind of connection.
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// The bytes that each sends; the same for all.
    pub(crate) bytes: fn() -> Vec<u8>,
    /// How many of them a test opens.
    pub(crate) count: usize,
}

/// A plain upload that is larger than what comes of it.
fn unfinished(name: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{name} {}\n", body.len() + 1_000_000).into_bytes();
    bytes.extend(body);
    bytes
}

/// A framed upload without a size, whose chunk does not end.
fn chunked(name: &str, body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("{{\"op\":\"put\",\"name\":\"{name}\"}}\n{{\"chunk\":{}}}\n", body.len() + 1).into_bytes();
    bytes.extend(body);
    bytes
}

/// A small file that is in one piece but for its last byte.
fn small(name: &str) -> Vec<u8> {
    let mut bytes = format!("{name} 61000\n").into_bytes();
    bytes.extend("1,2\n".repeat(15_249).as_bytes());
    bytes
}

/// Every kind there is, the cheap ones first.
pub(crate) const KINDS: [Kind; 15] = [
    Kind { name: "idle", bytes: Vec::new, count: 3900 },
    Kind { name: "plain: half a header", bytes: || b"readings/half-a-na".to_vec(), count: 3900 },
    Kind { name: "framed: idle", bytes: || b"{\"op\":\"hello\",\"version\":1}\n".to_vec(), count: 3900 },
    Kind { name: "framed: half a control line of 60 KB", bytes: half_a_line, count: 3900 },
    Kind { name: "plain: 60 KB of undecided bytes", bytes: undecided, count: 3900 },
    Kind { name: "plain: small file, held", bytes: || small("a.bin"), count: 3900 },
    Kind { name: "plain: small table, held", bytes: || small("a.csv"), count: 3900 },
    Kind { name: "framed: small file, held", bytes: || chunked("a.bin", &small("x")), count: 3900 },
    Kind { name: "plain: upload running", bytes: || unfinished("a.bin", &[b'x'; 600_000]), count: 500 },
    Kind { name: "framed: refusals that are not read", bytes: refused, count: 500 },
    Kind { name: "gzip: table", bytes: || unfinished("a.csv.gz", &bombs::csv_gz(2_000)), count: 500 },
    Kind { name: "zstd: table, window of 8 MiB", bytes: || unfinished("a.csv.zst", &bombs::csv_zst()), count: 400 },
    Kind { name: "gzip: i-json, long name", bytes: || unfinished("a.strict.json.gz", &bombs::long_name_gz()), count: 100 },
    Kind { name: "gzip: i-json, many names", bytes: || unfinished("a.strict.json.gz", &bombs::many_names_gz()), count: 100 },
    Kind {
        name: "gzip: table schema, long cell",
        bytes: || unfinished("a.table.csv.gz", &bombs::long_cell_gz()),
        count: 100,
    },
];

fn half_a_line() -> Vec<u8> {
    format!("{{\"op\":\"put\",\"name\":\"a.csv\",\"meta\":{{\"key\":\"{}", "x".repeat(60_000)).into_bytes()
}

/// Digits behind a name with a space may be a size or content: both readings are kept until the
/// count decides.
fn undecided() -> Vec<u8> {
    let mut bytes = b"a.csv 70000".to_vec();
    bytes.extend(b"17\n18\n".repeat(10_000));
    bytes
}

/// Small tables with a hundred flaws each, one behind the other: their refusals are sixty times as
/// long.
fn refused() -> Vec<u8> {
    let body = format!("id,value\n{}", "1,\n".repeat(100));
    let put = format!("{{\"op\":\"put\",\"name\":\"a.table.csv\",\"size\":{}}}\n{body}", body.len());
    put.repeat(600).into_bytes()
}
