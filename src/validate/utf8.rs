//! The gate in front of every scanner: only whole UTF-8 characters pass (RFC 3629).
//!
//! What a chunk ends in the middle of is held back, three bytes at most, until the rest has come.

use std::str::from_utf8;

/// Holds back the beginning of a character whose end has not come yet.
#[derive(Debug, Default)]
pub(super) struct Gate {
    held: [u8; 4],
    len: usize,
}

/// What became of a character that had been held back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// It is whole.
    Whole(char),
    /// More of it has to come.
    Short,
    /// It is none: so many of the bytes that were held back, which are let go.
    Broken(usize),
}

/// What follows the text at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    None,
    /// The beginning of a character, which is held back now.
    Held,
    /// So many bytes that are no character, and cannot become one (Unicode, section 3.9, "maximal subpart").
    Broken(usize),
}

impl Gate {
    /// A gate that holds these bytes back; `None` where they are not the beginning of a character.
    pub(super) fn holding(bytes: &[u8]) -> Option<Self> {
        let mut gate = Self::default();
        match gate.split(bytes) {
            ("", Tail::None | Tail::Held) => Some(gate),
            _ => None,
        }
    }

    /// What is held back.
    pub(super) fn held(&self) -> &[u8] {
        &self.held[..self.len]
    }

    /// Whether the beginning of a character is held back.
    pub(super) const fn holds(&self) -> bool {
        self.len > 0
    }

    /// Completes the character that is held back, from the front of `rest`, and takes those bytes off.
    pub(super) fn mend(&mut self, rest: &mut &[u8]) -> Mended {
        while let Some((&byte, after)) = rest.split_first() {
            self.held[self.len] = byte;
            match from_utf8(&self.held[..=self.len]) {
                Ok(text) => {
                    self.len = 0;
                    *rest = after;
                    return text.chars().next().map_or(Mended::Broken(0), Mended::Whole);
                }
                // What was held could have become a character until this byte came.
                Err(error) if error.error_len().is_some() => {
                    let broken = std::mem::take(&mut self.len);
                    return Mended::Broken(broken);
                }
                // Four bytes are a character or none, so there is room for the next one.
                Err(_) => {
                    self.len += 1;
                    *rest = after;
                }
            }
        }
        Mended::Short
    }

    /// The text that `bytes` begin with, and what follows it.
    pub(super) fn split<'a>(&mut self, bytes: &'a [u8]) -> (&'a str, Tail) {
        // Several times as fast as the standard library where a text is not all ASCII; that one says where it breaks.
        if let Ok(text) = simdutf8::basic::from_utf8(bytes) {
            return (text, Tail::None);
        }
        let error = match from_utf8(bytes) {
            Ok(text) => return (text, Tail::None),
            Err(error) => error,
        };
        let (valid, tail) = bytes.split_at(error.valid_up_to());
        let text = from_utf8(valid).unwrap_or_default();
        if let Some(broken) = error.error_len() {
            return (text, Tail::Broken(broken));
        }
        self.held[..tail.len()].copy_from_slice(tail);
        self.len = tail.len();
        (text, Tail::Held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_passes_when_it_is_whole() {
        let text = "a\u{e4}\u{20ac}\u{1f600}";
        for cut in 0..=text.len() {
            let (head, mut rest) = text.as_bytes().split_at(cut);
            let mut gate = Gate::default();
            let mut passed = gate.split(head).0.to_owned();
            if gate.holds() {
                match gate.mend(&mut rest) {
                    Mended::Whole(char) => passed.push(char),
                    other => panic!("{other:?} at {cut}"),
                }
            }
            passed.push_str(gate.split(rest).0);
            assert_eq!(passed, text, "cut {cut}");
        }
    }

    #[test]
    fn what_cannot_become_a_character_is_told_at_once() {
        // Overlong, surrogate, above U+10FFFF, a lone continuation, bytes that never occur (RFC 3629 sections 3 and 10).
        for bad in
            [&b"\xc0\xaf"[..], b"\xe0\x80", b"\xed\xa0", b"\xf4\x90", b"\x80", b"\xff", b"\xe2\x82A", b"\xf0\x9f\x98A"]
        {
            assert!(matches!(Gate::default().split(bad), ("", Tail::Broken(1..=3))), "{bad:?}");
            for cut in 1..bad.len() {
                let (head, mut rest) = bad.split_at(cut);
                let mut gate = Gate::default();
                let (_, tail) = gate.split(head);
                let broken = matches!(tail, Tail::Broken(_)) || matches!(gate.mend(&mut rest), Mended::Broken(1..=3));
                assert!(broken, "{bad:?} cut at {cut}");
            }
        }
    }
}
