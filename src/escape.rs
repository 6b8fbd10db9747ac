//! Text that another party chose, made safe to show on a terminal.
//!
//! Pure, and without knowledge of terminals: a character is escaped where it could move a cursor, forge a line, change the
//! direction of writing, or hide. What is escaped stays readable, as `\u{1b}`, and stays ASCII.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// Whether a character is escaped: control characters (which begin escape sequences), line and paragraph separators, and
/// what is invisible or changes the direction of writing (Unicode, `Default_Ignorable_Code_Point` and Annex 9).
pub fn is_escaped(char: char) -> bool {
    char.is_control() || matches!(char, '\u{2028}' | '\u{2029}' | '\u{fff9}'..='\u{fffb}') || is_ignorable(char)
}

/// `Default_Ignorable_Code_Point` of Unicode 16, `DerivedCoreProperties.txt`. It holds every character of Annex 9.
fn is_ignorable(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text as one line that shows all that is in it.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_escaped, |shown, char| shown.extend(char.escape_default()))
}

/// The same for text of several lines: line feeds stay.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |char| char != '\n' && is_escaped(char), |shown, char| shown.extend(char.escape_default()))
}

/// The text with all that is not ASCII escaped: texts look the same only if they are.
pub fn non_ascii(text: &str) -> Cow<'_, str> {
    escaped(text, |char| !char.is_ascii() || is_escaped(char), |shown, char| shown.extend(char.escape_default()))
}

/// A path as text, with the bytes that are not UTF-8 escaped as `\xff`, so that two such paths look
/// different.
pub fn path(path: &Path) -> Cow<'_, str> {
    if let Some(text) = path.to_str() {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        shown.push_str(chunk.valid());
        shown.extend(chunk.invalid().escape_ascii().map(char::from));
    }
    Cow::Owned(shown)
}

/// A JSON text that means the same, and in which nothing is left to escape. White space between its values stays: `text` must be
/// JSON, where all other such characters are inside of strings (RFC 8259 section 7).
pub fn json(text: &str) -> Cow<'_, str> {
    escaped(
        text,
        |char| !matches!(char, '\n' | '\r' | '\t') && is_escaped(char),
        |shown, char| {
            for unit in char.encode_utf16(&mut [0; 2]) {
                _ = write!(shown, "\\u{unit:04x}");
            }
        },
    )
}

fn escaped(text: &str, wanted: impl Fn(char) -> bool, escape: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(&wanted) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if wanted(char) { escape(&mut shown, char) } else { shown.push(char) }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_one_and_shows_all_that_is_in_it() {
        for (text, shown) in [
            ("plain é 漢 \u{1f980} a\\b \"c\"", "plain é 漢 \u{1f980} a\\b \"c\""),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r\tc\0\u{7f}\u{85}\u{9b}", "a\\nb\\r\\tc\\u{0}\\u{7f}\\u{85}\\u{9b}"),
            ("a\u{202e}vsc.\u{2066}\u{200f}\u{61c}", "a\\u{202e}vsc.\\u{2066}\\u{200f}\\u{61c}"),
            ("a\u{200b}\u{200d}\u{ad}\u{feff}\u{3164}\u{e0041}", "a\\u{200b}\\u{200d}\\u{ad}\\u{feff}\\u{3164}\\u{e0041}"),
            ("a\u{2028}\u{2029}\u{fff9}\u{fe0f}", "a\\u{2028}\\u{2029}\\u{fff9}\\u{fe0f}"),
        ] {
            assert_eq!(line(text), shown, "{text:?}");
        }
        assert_eq!(lines("a\n\u{1b}b\n"), "a\n\\u{1b}b\n");
    }

    #[test]
    fn a_path_shows_its_bytes_that_are_not_utf_8() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        let shown = |bytes: &'static [u8]| path(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(shown("a/\u{e9}\\.csv".as_bytes()), "a/\u{e9}\\.csv");
        assert_eq!(shown(b"a\xff/\xc3\xa9\xc3/\xf0\x9f\xa6"), "a\\xff/\u{e9}\\xc3/\\xf0\\x9f\\xa6");
    }

    #[test]
    fn json_means_the_same_when_nothing_in_it_is_left_to_escape() {
        let value = serde_json::json!({"na\u{202e}me": "a\u{7f}\u{9b}\u{1b}\n\u{e0041}é\\", "list": [1, "\u{200b}"]});
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let shown = json(&text);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
            assert!(!shown.chars().any(|char| char != '\n' && is_escaped(char)), "{shown:?}");
        }
    }
}
