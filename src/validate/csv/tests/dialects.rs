//! Every property of a dialect, end to end and cut at every byte.

use serde_json::{Value, json};

use super::{dialect, flaws, judged_every_way, limits};

/// A dialect, a table, its names and its rows.
type Accepted<'a> = (Value, &'a str, &'a [&'a str], &'a [&'a [&'a str]]);

fn accepted(tables: &[Accepted<'_>]) {
    for (descriptor, text, labels, rows) in tables {
        let (outcome, seen) = judged_every_way(&dialect(descriptor), limits(), text);
        assert_eq!(flaws(&outcome), [], "{descriptor} {text:?}");
        assert_eq!(outcome.unwrap().records, rows.len() as u64, "{descriptor} {text:?}");
        assert_eq!(seen.labels, *labels, "{descriptor} {text:?}");
        assert_eq!(seen.rows, *rows, "{descriptor} {text:?}");
        assert_eq!(seen.calls, (u32::from(!labels.is_empty()), 1));
    }
}

#[test]
fn delimiters_and_quotes_are_those_of_the_dialect() {
    accepted(&[
        (json!({"delimiter": ";"}), "a;b\n1,5;\"2;3\"\n", &["a", "b"], &[&["1,5", "2;3"]]),
        (json!({"delimiter": "\t"}), "a\tb\n\"\t\"\t,", &["a", "b"], &[&["\t", ","]]),
        (json!({"delimiter": "|"}), "a|b\r\n1|\"\r\n\"\r\n", &["a", "b"], &[&["1", "\r\n"]]),
        (json!({"quoteChar": "'"}), "a,'b'\n'x,''y\n',\"\n", &["a", "b"], &[&["x,'y\n", "\""]]),
        (json!({"quoteChar": null}), "a,b\n\"x,y\"\n1\"2,'\n", &["a", "b"], &[&["\"x", "y\""], &["1\"2", "'"]]),
        (json!({"quoteChar": ""}), "\"\n\"\"\n", &["\""], &[&["\"\""]]),
    ]);
}

#[test]
fn escapes_are_those_of_the_dialect() {
    let escape = json!({"doubleQuote": false, "escapeChar": "\\"});
    let both = json!({"escapeChar": "\\"});
    let null = json!({"doubleQuote": false, "escapeChar": "\\", "nullSequence": "\\N"});
    accepted(&[
        (escape.clone(), "a,b\n\"x\\\"y\",p\\,q\\\\\n", &["a", "b"], &[&["x\"y", "p,q\\"]]),
        (escape.clone(), "a,b\n1\\\n2,\"\\\n\"\n", &["a", "b"], &[&["1\n2", "\n"]]),
        (escape.clone(), "a\\,b,c\n1,2\n", &["a,b", "c"], &[&["1", "2"]]),
        (both, "a\n\"x\"\"\\\"y\"\n", &["a"], &[&["x\"\"y"]]),
        (null, "a,b\n\\N,1\n", &["a", "b"], &[&["\\N", "1"]]),
    ]);
    for (text, told) in [
        ("a\n\"x\"\"y\"\n", ("text-after-quote", [2, 4, 5, 1])),
        ("a\n1\\x\n", ("bad-escape", [2, 2, 3, 1])),
        ("a\n1\\", ("bad-escape", [2, 2, 3, 1])),
        ("a\n\"1\\\"\n", ("unclosed-quote", [2, 1, 2, 1])),
    ] {
        assert_eq!(flaws(&judged_every_way(&dialect(&escape), limits(), text).0), [told], "{text:?}");
    }
}

#[test]
fn comments_are_passed_over() {
    let comment = json!({"commentChar": "#"});
    let rows = json!({"commentRows": [1, 4], "headerRows": [2]});
    let above = json!({"commentChar": "#", "headerRows": [2]});
    accepted(&[
        (comment.clone(), "a,b\n#,\",\n1,#2\n# end", &["a", "b"], &[&["1", "#2"]]),
        (comment, "a\n\"#1\"\n #2\n", &["a"], &[&["#1"], &[" #2"]]),
        (above, "# of today\r\na,b\r\n1,2\r\n", &["a", "b"], &[&["1", "2"]]),
        (rows, "of today\na,b\n1,2\n,,,\n3,4\n", &["a", "b"], &[&["1", "2"], &["3", "4"]]),
    ]);
}

#[test]
fn headers_are_those_of_the_dialect() {
    accepted(&[
        (json!({"header": false}), "1,2\n3,4\n", &[], &[&["1", "2"], &["3", "4"]]),
        (json!({"header": false}), "\u{feff}\"1\",2", &[], &[&["1", "2"]]),
        (json!({"header": false}), "", &[], &[]),
        (
            json!({"headerRows": [1, 2]}),
            "size,size,name\nwidth,\"he\night\",name\n1,2,3\n",
            &["size width", "size he\night", "name"],
            &[&["1", "2", "3"]],
        ),
        (json!({"headerRows": [1, 3], "headerJoin": "/"}), "a,b\nx,y\nc,d\n1,2\n", &["a/c", "b/d"], &[&["1", "2"]]),
    ]);
    for (descriptor, text, told) in [
        (json!({"header": false}), "1,2\n3\n", ("missing-cell", [2, 2, 5, 2])),
        (json!({"headerRows": [1, 2]}), "a,b\nc\n1,2\n", ("missing-cell", [2, 2, 5, 0])),
        (json!({"headerRows": [1, 2]}), "a,a\nc,c\n1,2\n", ("duplicate-label", [2, 3, 6, 0])),
        (json!({"headerRows": [1, 2]}), "a,b\n", ("missing-header", [2, 1, 4, 0])),
    ] {
        let told = [told];
        assert_eq!(flaws(&judged_every_way(&dialect(&descriptor), limits(), text).0), told, "{descriptor} {text:?}");
    }
}

#[test]
fn spaces_and_line_ends_are_those_of_the_dialect() {
    let skip = json!({"skipInitialSpace": true});
    let lf = json!({"lineTerminator": "\n"});
    accepted(&[
        (skip, "a, b\n1,  \"x, y\"\n 2, 3 \n", &["a", "b"], &[&["1", "x, y"], &[" 2", "3 "]]),
        (lf.clone(), "a\n\"\r\n\"\n", &["a"], &[&["\r\n"]]),
        (json!({"lineTerminator": "\r\n"}), "a\r\n1\n", &["a"], &[&["1"]]),
    ]);
    assert_eq!(flaws(&judged_every_way(&dialect(&lf), limits(), "a\n1\r\n2\n").0), [("bare-cr", [2, 2, 3, 1])]);
}
