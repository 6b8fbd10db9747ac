//! The words of an `enum`.

/// Words to be looked up in a few steps, each of which compares two numbers.
#[derive(Debug)]
pub(in crate::validate::table) struct Words {
    /// In their order.
    words: Vec<Word>,
}

/// How long a word is, its first eight bytes, and all of it. So shorter words come first, and the rest is seldom looked at.
type Word = (usize, u64, Box<[u8]>);

impl Words {
    pub(super) fn of<'a>(words: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut words: Vec<Word> = words.map(|word| (word.len(), head(word), word.into())).collect();
        words.sort_unstable();
        Self { words }
    }

    #[inline(never)]
    pub(super) fn has(&self, text: &[u8]) -> bool {
        let key = (text.len(), head(text));
        let order = |(length, head, word): &Word| {
            let order = (*length, *head).cmp(&key);
            if text.len() > HEAD_BYTES { order.then_with(|| (**word).cmp(text)) } else { order }
        };
        self.words.binary_search_by(order).is_ok()
    }
}

const HEAD_BYTES: usize = size_of::<u64>();

/// The first bytes of a text. Of two texts of one length, those of at most eight bytes are the same if their heads are.
#[inline]
fn head(text: &[u8]) -> u64 {
    if let Some(bytes) = text.first_chunk() {
        return u64::from_le_bytes(*bytes);
    }
    // The two halves overlap: what both have is the same.
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    text.iter().fold(0, |head, byte| head << 8 | u64::from(*byte))
}
