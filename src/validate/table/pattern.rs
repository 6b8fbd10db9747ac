//! Regular expressions as XML Schema writes them (part 2, appendix F), said in the syntax of the `regex` crate.
//!
//! The two are alike but for character classes. `^` and `$`, which XML Schema does not know as anchors, are anchors here, as in
//! the standard's own example.

/// Translates a pattern; fails where it would come to mean something else, with the reason for a person.
pub(super) fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut depth = 0_usize;
    let mut chars = pattern.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => {
                out.push(char);
                match chars.next() {
                    Some(letter @ ('i' | 'I' | 'c' | 'C')) => {
                        return Err(format!("\\{letter}, the characters of XML names, is not supported"));
                    }
                    Some(escaped) => out.push(escaped),
                    None => return Err("it ends in a backslash".to_owned()),
                }
                continue;
            }
            '[' if depth > 0 && !out.ends_with("--") => {
                return Err("a [ in a character class is not XML Schema: escape it".to_owned());
            }
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            '-' if depth > 0 && chars.peek() == Some(&'[') => out.push('-'),
            '&' | '~' | '-' if depth > 0 && chars.peek() == Some(&char) => {
                return Err(format!("{char}{char} in a character class is not XML Schema: escape it"));
            }
            _ => {}
        }
        out.push(char);
    }
    Ok(out)
}
