//! Cuts the documents out of a stream of JSON text that are to be held against a schema.

use crate::report::SchemaFor;
use crate::validate::position::{Chunk, Place};

/// The text of the document that is being read.
#[derive(Debug)]
pub(in crate::validate) struct Items {
    /// The depth at which documents stand: 0 for the whole text, 1 for the elements of an array.
    level: usize,
    max_bytes: usize,
    depth: usize,
    string: InString,
    /// What has come of the document, and where it began.
    text: String,
    start: Option<Place>,
    /// Documents that have ended.
    count: u64,
    too_large: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// Behind a backslash.
    Escaped,
}

/// A document that has ended.
#[derive(Debug)]
pub(in crate::validate) struct Item<'a> {
    /// Its text; `None` where it was larger than allowed.
    pub(in crate::validate) text: Option<&'a str>,
    pub(in crate::validate) start: Place,
    /// Its number, from 0.
    pub(in crate::validate) index: u64,
}

/// The memory for a document of which `text` has come, and what it is held against its schema in,
/// once `text_bytes` more have come.
pub(in crate::validate) fn memory_bytes(text: &String, text_bytes: usize, max_bytes: usize) -> usize {
    let document = (text.len() + text_bytes).min(max_bytes);
    text.capacity().max(document) + VALUE_FACTOR * document
}

/// Bytes of memory for each byte of a document that is held against its schema.
const VALUE_FACTOR: usize = 128;

impl Items {
    pub(in crate::validate) fn new(part: SchemaFor, max_bytes: u64) -> Self {
        let level = match part {
            SchemaFor::Document => 0,
            SchemaFor::Items => 1,
        };
        let max_bytes = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        let string = InString::No;
        Self { level, max_bytes, depth: 0, string, text: String::new(), start: None, count: 0, too_large: false }
    }

    /// Reads the bytes of a chunk from an index on, which are JSON, to the end of the next document: the index behind it, or
    /// `None` where the chunk ends first. The whole text ends with the file.
    pub(in crate::validate) fn read(&mut self, chunk: &Chunk<'_>, from: usize) -> Option<usize> {
        let bytes = chunk.bytes();
        let mut begin = from;
        for (at, &byte) in bytes.iter().enumerate().skip(from) {
            if self.string == InString::No && self.depth <= self.level {
                match byte {
                    b' ' | b'\n' | b'\r' | b'\t' => {}
                    b',' | b']' if self.depth == 1 && self.start.is_some() => {
                        self.keep(&chunk.text()[begin..at]);
                        self.step(byte);
                        return Some(at + 1);
                    }
                    // The array itself, or one that is empty.
                    b'[' | b']' if self.depth < self.level || (byte == b']' && self.start.is_none()) => {}
                    _ if self.start.is_none() => {
                        self.start = Some(chunk.place(at));
                        begin = at;
                    }
                    _ => {}
                }
            }
            self.step(byte);
        }
        if self.start.is_some() {
            self.keep(&chunk.text()[begin..]);
        }
        None
    }

    /// As [`Validator::memory_bytes`](crate::validate::Validator::memory_bytes).
    pub(in crate::validate) fn memory_bytes(&self, text_bytes: usize) -> usize {
        memory_bytes(&self.text, text_bytes, self.max_bytes)
    }

    /// Where the document began that is being read.
    pub(in crate::validate) fn begun(&self) -> Option<Place> {
        self.start
    }

    /// Takes a document that has ended: where `read` says so, and at the end of the text.
    pub(in crate::validate) fn take<E>(&mut self, with: impl FnOnce(Item<'_>) -> Result<(), E>) -> Result<(), E> {
        let Some(start) = self.start.take() else { return Ok(()) };
        let text = (!self.too_large).then(|| self.text.trim_end_matches([' ', '\n', '\r', '\t']));
        let taken = with(Item { text, start, index: self.count });
        self.count += 1;
        self.text.clear();
        self.too_large = false;
        taken
    }

    fn keep(&mut self, piece: &str) {
        if self.text.len() + piece.len() > self.max_bytes {
            self.too_large = true;
            self.text = String::new();
        } else if !self.too_large {
            self.text.push_str(piece);
        }
    }

    fn step(&mut self, byte: u8) {
        self.string = match (self.string, byte) {
            (InString::Yes, b'\\') => InString::Escaped,
            (InString::Yes, b'"') => InString::No,
            (InString::Yes | InString::Escaped, _) | (InString::No, b'"') => InString::Yes,
            (InString::No, b'[' | b'{') => {
                self.depth += 1;
                InString::No
            }
            (InString::No, b']' | b'}') => {
                self.depth = self.depth.saturating_sub(1);
                InString::No
            }
            (InString::No, _) => InString::No,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The documents of a text that comes in two pieces, with their offsets.
    fn items(part: SchemaFor, text: &str, cut: usize) -> Vec<(Option<String>, u64)> {
        let mut items = Items::new(part, 20);
        let mut found = Vec::new();
        let mut take = |items: &mut Items| {
            let taken: Result<(), ()> = items.take(|item| {
                found.push((item.text.map(str::to_owned), item.start.offset));
                Ok(())
            });
            taken.unwrap();
        };
        let first = Chunk::new(&text[..cut], Place::START);
        for chunk in [first, Chunk::new(&text[cut..], first.place(cut))] {
            let mut at = 0;
            while let Some(end) = items.read(&chunk, at) {
                take(&mut items);
                at = end;
            }
        }
        if part == SchemaFor::Document {
            take(&mut items);
        }
        assert!(items.begun().is_none() || !text.trim_start().starts_with('['), "{text}");
        found
    }

    #[test]
    fn documents_are_cut_out_however_the_text_is_cut() {
        let some = |text: &str, offset| (Some(text.to_owned()), offset);
        for (text, whole, elements) in [
            ("[]", vec![some("[]", 0)], vec![]),
            (" [ ] ", vec![some("[ ]", 1)], vec![]),
            ("[1, \"],\" ]", vec![some("[1, \"],\" ]", 0)], vec![some("1", 1), some("\"],\"", 4)]),
            ("[[], {\"a\":[1,2]}]", vec![some("[[], {\"a\":[1,2]}]", 0)], vec![some("[]", 1), some("{\"a\":[1,2]}", 5)]),
            ("[\"\\\"\\\\\",\n2]", vec![some("[\"\\\"\\\\\",\n2]", 0)], vec![some("\"\\\"\\\\\"", 1), some("2", 9)]),
            ("[\"0123456789012345678901\",3]", vec![(None, 0)], vec![(None, 1), some("3", 26)]),
            ("{\"a\":[1]}", vec![some("{\"a\":[1]}", 0)], vec![]),
            ("7", vec![some("7", 0)], vec![]),
        ] {
            for cut in 0..=text.len() {
                assert_eq!(items(SchemaFor::Document, text, cut), whole, "{text:?} cut at {cut}");
                assert_eq!(items(SchemaFor::Items, text, cut), elements, "{text:?} cut at {cut}");
            }
        }
    }
}
