//! The limits of a record, and where their flaws stand.

use super::super::TableLimits;
use super::super::dialect::Dialect;
use super::{flaws, judged_every_way, limits};

fn told(limits: TableLimits, text: &str, expected: &[(&str, [u64; 4])]) {
    assert_eq!(flaws(&judged_every_way(&Dialect::csv(), limits, text).0), expected, "{text:?}");
}

#[test]
fn a_record_has_so_many_lines_and_no_more() {
    let limits = TableLimits { max_record_lines: 3, ..limits() };
    told(limits, "a,b\n1,\"x\ny\nz\"\n", &[]);
    told(limits, "a,b\n1,\"w\nx\ny\nz\"\n", &[("record-lines", [4, 2, 12, 1])]);
    told(limits, "a,b\n\"w\nx\ny\n", &[("record-lines", [4, 2, 10, 1])]);
    told(limits, "x,\"a\nb\nc\nd\"\n", &[("record-lines", [3, 2, 8, 0])]);
    // Rows that a quote would have swallowed: it is at fault, and reading goes on behind its line.
    told(limits, "a,b\n1,\"2\n3,4\n5,6\n7,8\n9\n", &[("unclosed-quote", [2, 3, 6, 1]), ("missing-cell", [6, 2, 22, 5])]);
}

#[test]
fn a_table_has_so_many_columns_and_no_more() {
    let limits = TableLimits { max_fields: 3, ..limits() };
    told(limits, "a,b,c\n1,2,3\n", &[]);
    told(limits, "a,b,c,d\n1,2,3,4\n", &[("row-fields", [1, 8, 7, 0])]);
    told(limits, "a,b,c,d", &[("row-fields", [1, 8, 7, 0])]);
}

#[test]
fn a_cell_has_so_many_bytes_and_no_more() {
    let limits = TableLimits { max_cell_bytes: 4, ..limits() };
    told(limits, "a,b\n1234,\"12\"\n1234,1234\r\n\u{20ac},\u{e4}\u{e4}", &[]);
    told(limits, "a,b\n12345,1\n1,2\n", &[("token-bytes", [2, 6, 9, 1])]);
    told(limits, "a,b\n1,12345\n1,2\n", &[("token-bytes", [2, 8, 11, 1])]);
    told(limits, "a,b\n1,12345", &[("token-bytes", [2, 8, 11, 1])]);
    told(limits, "a,b\n\"123\",\"123\"\n", &[("token-bytes", [2, 6, 9, 1])]);
    told(limits, "a,bcdef\n1,2\n", &[("token-bytes", [1, 8, 7, 0])]);
}

#[test]
fn a_record_has_so_many_bytes_and_no_more() {
    let limits = TableLimits { max_record_bytes: 8, ..limits() };
    told(limits, "a,b\n1234,678\n1234,67\r\n", &[]);
    told(limits, "a,b\n1234,6789\n", &[("record-bytes", [2, 9, 12, 1])]);
    told(limits, "a,b\n1234,\"\u{20ac}\"\n", &[("record-bytes", [2, 7, 12, 1])]);
    told(limits, "a,b,c,d,e\n", &[("record-bytes", [1, 9, 8, 0])]);
}
