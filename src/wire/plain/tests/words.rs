//! Names with spaces.

use super::Came::{After, AtOnce, Silent, Whole};
use super::*;

fn refused() -> Outcome {
    Outcome::Refused(ErrorKind::BadHeader)
}

fn undecided(readings: &[(&str, u64, usize)]) -> Outcome {
    Outcome::Undecided(readings.iter().map(|(name, size, bytes)| ((*name).to_owned(), Some(*size), *bytes)).collect())
}

#[test]
fn a_line_can_have_a_name_with_spaces() {
    check(
        AUTO,
        &[
            (b"my file.bin 3\nabc", AtOnce, undecided(&[("my file.bin", 3, 14)])),
            (b"my file.bin 3\nabc", Silent(None), named("my file.bin", Some(3), 14)),
            (b"my file.bin 3\nabc", Whole(None), named("my file.bin", Some(3), 14)),
            (b"my file.bin 0\n", Silent(None), undecided(&[("my file.bin", 0, 14)])),
            (b"my file.bin 3\nabc", Whole(Some(3)), named("my file.bin", Some(3), 14)),
            (b"my file.bin 3\nabc", Whole(Some(2)), named("my file.bin", Some(3), 14)),
            (b"run 3 5\nhello", Silent(None), undecided(&[("run", 3, 5), ("run 3", 5, 8)])),
            (b"run 3 5\nhello", Whole(None), named("run 3", Some(5), 8)),
            (b"sensor 9.csv 100\n", AtOnce, undecided(&[("sensor", 9, 8), ("sensor 9.csv", 100, 17)])),
            (b"sensor 9.csv 100\n0,1\n2", After(17), undecided(&[("sensor 9.csv", 100, 17)])),
            // Digits in the name may be the size of a content that begins with the rest of the
            // line.
            (b"sensor 9.csv 3\n,,\n", Silent(None), named("sensor 9.csv", Some(3), 15)),
            (b"sensor 99.csv 3\nab", AtOnce, undecided(&[("sensor", 9, 8), ("sensor", 99, 9), ("sensor 99.csv", 3, 16)])),
            (b"log 99x 3\nab", AtOnce, undecided(&[("log", 9, 5), ("log", 99, 6), ("log 99x", 3, 10)])),
            (b"log 99x 3\nabc", Whole(None), named("log 99x", Some(3), 10)),
            (b"log 9x 3\nabcde", Whole(None), named("log", Some(9), 5)),
            (b"sensor 8 28\nother.csv 17\nabc", After(16), undecided(&[("sensor", 8, 8), ("sensor 8", 28, 12)])),
        ],
    );
}

#[test]
fn two_readings_that_fit_are_both_refused() {
    check(
        AUTO,
        &[
            (b"report 20 16\n0123456789abcdef", Whole(None), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"report 20 16\n0123456789abcdef", Whole(Some(13)), Outcome::Refused(ErrorKind::SizeMismatch)),
            (b"old.csv 13.csv 6\n012345", AtOnce, refused()),
            // Size and name are one packet.
            (b"sensor 9.csv 1200", Whole(None), refused()),
            (b"sensor 7.csv 1x", Whole(Some(14)), refused()),
            (b"photo 12.jpeg 5hello", Whole(Some(15)), refused()),
            (b"run 8x 55,\n12", Whole(None), refused()),
            (b"old.csv new.csv 8a,b\n1,2\n", Whole(Some(17)), refused()),
            (b"b.csv copy 8a,b\n1,2\n", Whole(Some(12)), refused()),
            // Two files, or one line whose name has them all.
            (b"x y.txt 1xz.csv 5q 2 0\nb", After(10), refused()),
        ],
    );
}

#[test]
fn a_name_with_spaces_is_no_name_and_content() {
    check(
        AUTO,
        &[
            (b"sensor 5.csv\n", Whole(None), refused()),
            (b"sensor 13.csv\n12345678", Whole(None), refused()),
            (b"sensor 13.csv\n12345678", Whole(Some(9)), refused()),
            (b"old.csv copy\nabc", AtOnce, refused()),
            (b"old.csv new.csv\nabc", After(8), refused()),
            (b"old.csv new.csv 8\nabc", Whole(Some(8)), refused()),
            (b"old.csv new 8\nabc", Whole(Some(8)), named("old.csv", None, 8)),
            // A line with such a name has to be of the size that it announces, and its first word
            // is no name.
            (b"data 22warnings 0\n", AtOnce, undecided(&[("data", 2, 6), ("data", 22, 7), ("data 22warnings", 0, 18)])),
            (b"my x.txt 20voltage 0\n", Silent(Some(11)), refused()),
            (b"v.csv voltage 0\n", Whole(None), refused()),
            (b"v.csv 22warnings 0\nx.csv 5 ok\n", Whole(Some(8)), named("v.csv", Some(22), 8)),
            (b"neg.bin -3\nabc", AtOnce, refused()),
            (b"sensor data\nabc", After(7), refused()),
            // A name in a packet of its own.
            (b"old.csv new.csvts,temp\n", After(15), refused()),
            (b"old.csv newts,temp\n", After(11), refused()),
        ],
    );
}

#[test]
fn a_first_line_that_looks_like_content_is_no_name() {
    for line in [&b"site,celsius\n21,5\n"[..], b"#!/bin/sh\n", b"<html>\n", b"a|b\n"] {
        assert_eq!(outcome(line, AtOnce, AUTO), refused(), "{}", line.escape_ascii());
    }
    check(AUTO, &[(b"a,b.csv\nx", AtOnce, named("a,b.csv", None, 8)), (b"a,b 1\nx", AtOnce, named("a,b", Some(1), 6))]);
}
