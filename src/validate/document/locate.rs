//! Where in a JSON text a value stands that a pointer names (RFC 6901).

use std::ops::Range;

/// The bytes of the value; those of the innermost one that is there, where it is not. The text is JSON: that has been proved.
pub(super) fn locate(text: &str, pointer: &str) -> Range<usize> {
    let mut walker = Walker { bytes: text.as_bytes(), at: 0 };
    walker.space();
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let start = walker.at;
        if !walker.enter(text, &segment) {
            walker.at = start;
            break;
        }
    }
    let start = walker.at;
    walker.skip();
    start..walker.at
}

struct Walker<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walker<'_> {
    /// Goes to the value with this name or number in the container that begins here.
    fn enter(&mut self, text: &str, segment: &str) -> bool {
        let is_object = match self.bytes.get(self.at) {
            Some(b'{') => true,
            Some(b'[') => false,
            _ => return false,
        };
        let mut found = None;
        let mut index = 0_usize;
        self.at += 1;
        loop {
            self.space();
            if matches!(self.bytes.get(self.at), None | Some(b'}' | b']')) {
                break;
            }
            let mut matches = !is_object && segment.parse() == Ok(index);
            if is_object {
                let start = self.at;
                self.skip();
                let name: Option<String> = serde_json::from_str(&text[start..self.at]).ok();
                matches = name.as_deref() == Some(segment);
                self.space();
                self.at += 1;
                self.space();
            }
            if matches {
                // Of names that stand there twice, readers take the last.
                found = Some(self.at);
                if !is_object {
                    break;
                }
            }
            self.skip();
            self.space();
            if self.bytes.get(self.at) == Some(&b',') {
                self.at += 1;
            }
            index += 1;
        }
        found.inspect(|at| self.at = *at).is_some()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    /// Passes over a value.
    fn skip(&mut self) {
        let (mut depth, mut in_string) = (0_usize, false);
        while let Some(&byte) = self.bytes.get(self.at) {
            match (in_string, byte) {
                (true, b'\\') => self.at += 1,
                (_, b'"') => in_string = !in_string,
                (false, b'[' | b'{') => depth += 1,
                (false, b']' | b'}' | b',' | b':' | b' ' | b'\n' | b'\r' | b'\t') if depth == 0 => return,
                (false, b']' | b'}') => depth -= 1,
                (true | false, _) => {}
            }
            self.at += 1;
            // A container or a string ends with its last character.
            if depth == 0 && !in_string && matches!(byte, b'"' | b']' | b'}') {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_pointer() {
        let text = r#" {"a": [1, {"b/c": "x]\"}"}, [], -2.5e3 ], "d" : null, "d":{"~":true}}"#;
        for (pointer, value) in [
            ("", text.trim()),
            ("/a", r#"[1, {"b/c": "x]\"}"}, [], -2.5e3 ]"#),
            ("/a/0", "1"),
            ("/a/1/b~1c", r#""x]\"}""#),
            ("/a/2", "[]"),
            ("/a/3", "-2.5e3"),
            ("/d/~0", "true"),
            // What is not there is told at what should hold it.
            ("/a/4", r#"[1, {"b/c": "x]\"}"}, [], -2.5e3 ]"#),
            ("/a/1/x/y", r#"{"b/c": "x]\"}"}"#),
        ] {
            assert_eq!(&text[locate(text, pointer)], value, "{pointer}");
        }
        assert_eq!(&"12"[locate("12", "")], "12");
        assert_eq!(&"\"\""[locate("\"\"", "/x")], "\"\"");
    }
}
