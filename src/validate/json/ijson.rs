//! What I-JSON asks beyond the grammar (RFC 7493), and what has to be remembered for it.
//!
//! Names are known by hashes of 128 bits with keys of this process: two that differ are taken for one once in many lives of
//! the universe, and nobody outside can make two that are.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use super::fault::Fault;
use crate::report::Code;
use crate::validate::position::Place;
use crate::validate::told::Flaw;

/// The names of the objects that are open, and the beginning of a name or number that a piece has cut.
#[derive(Debug)]
pub(super) struct Memory {
    keys: [RandomState; 2],
    /// The names of each open object, outermost first.
    names: Vec<HashSet<u128>>,
    /// Names in all of them.
    count: u64,
    max_bytes: u64,
    /// The bytes of a cut name or number that have come.
    held: Vec<u8>,
    held_at: Option<Held>,
}

impl Memory {
    /// Forgets what is open, as before another text.
    pub(super) fn clear(&mut self) {
        self.names.clear();
        self.count = 0;
        self.held.clear();
        self.held_at = None;
    }
}

/// Where a cut token begins: first an index into the piece, then a place.
#[derive(Debug, Clone, Copy)]
enum Held {
    Index(usize),
    Place(Place),
}

/// What a name takes in a set that has just grown: 16 bytes, one of the table's own, and room for as many again.
const NAME_BYTES: u64 = 40;

impl Memory {
    pub(super) fn new(max_bytes: u64) -> Self {
        let keys = [RandomState::new(), RandomState::new()];
        Self { keys, names: Vec::new(), count: 0, max_bytes, held: Vec::new(), held_at: None }
    }

    /// The memory that it takes once `text_bytes` more of text have been read, at most, in bytes.
    pub(super) fn memory_bytes(&self, text_bytes: usize) -> usize {
        // The shortest member is `"":0,`. While a set grows there is the old table, too.
        let names = self.count.saturating_add(text_bytes as u64 / 5);
        let names = usize::try_from((names * NAME_BYTES).min(self.max_bytes)).unwrap_or(usize::MAX);
        // A name with escapes is copied twice.
        let held = self.held.capacity().max(self.held.len() + text_bytes);
        names + names / 2 + 3 * held
    }

    pub(super) fn open_object(&mut self) {
        self.names.push(HashSet::new());
    }

    pub(super) fn close_object(&mut self) {
        self.count -= self.names.pop().map_or(0, |names| names.len() as u64);
    }

    /// The piece has ended inside of a name or number that begins, or goes on, at `start`.
    pub(super) fn hold(&mut self, bytes: &[u8], start: usize) {
        self.held.extend_from_slice(bytes);
        self.held_at.get_or_insert(Held::Index(start));
    }

    /// Turns an index into the piece that has ended into a place in the file.
    pub(super) fn place_held(&mut self, place: impl FnOnce(usize) -> Place) {
        if let Some(Held::Index(index)) = self.held_at {
            self.held_at = Some(Held::Place(place(index)));
        }
    }

    /// Where the token begins that an earlier piece has cut.
    pub(super) fn held_at(&self) -> Option<Place> {
        match self.held_at {
            Some(Held::Place(place)) => Some(place),
            Some(Held::Index(_)) | None => None,
        }
    }

    /// The innermost object has another member of this name, which ends with these bytes: no name may stand in an object
    /// twice, "after processing any escaped characters" (RFC 7493 section 2.3).
    pub(super) fn name(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let hash = self.whole(bytes, |keys, raw| {
            let half = |key: &RandomState, name: &[u8]| u128::from(key.hash_one(name));
            let hash = |name: &[u8]| half(&keys[0], name) << 64 | half(&keys[1], name);
            // The grammar has been kept, and so has the pairing of surrogates: what is in quotes is a JSON text.
            if raw.contains(&b'\\') {
                let quoted = [b"\"", raw, b"\""].concat();
                Ok(hash(serde_json::from_slice::<String>(&quoted).unwrap_or_default().as_bytes()))
            } else {
                Ok(hash(raw))
            }
        })?;
        if (self.count + 1) * NAME_BYTES > self.max_bytes {
            return Err(Fault::KeyMemory(self.max_bytes));
        }
        if self.names.last_mut().is_some_and(|names| !names.insert(hash)) {
            return Err(Fault::DuplicateName);
        }
        self.count += 1;
        self.held_at = None;
        Ok(())
    }

    /// A number that ends with these bytes.
    pub(super) fn number(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.whole(bytes, |_, raw| within_binary64(raw).map_err(Fault::Range))?;
        self.held_at = None;
        Ok(())
    }

    /// The number with which the text has ended.
    pub(super) fn last_number(&mut self) -> Result<(), Flaw> {
        let place = self.held_at();
        match (self.number(&[]), place) {
            (Err(Fault::Range(why)), Some(place)) => Err(Flaw::new(Code::NumberRange, place, why)),
            _ => Ok(()),
        }
    }

    /// Reads a token as a whole, with what is held of it, which is dropped.
    fn whole<T>(
        &mut self,
        bytes: &[u8],
        read: impl FnOnce(&[RandomState; 2], &[u8]) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.held.is_empty() {
            return read(&self.keys, bytes);
        }
        self.held.extend_from_slice(bytes);
        let outcome = read(&self.keys, &self.held);
        self.held = Vec::new();
        outcome
    }
}

/// RFC 7493 section 2.2: no number "with greater magnitude or precision" than binary64 provides, as the RFC's examples `1E400`
/// and `3.141592653589793238462643383279` have; and no integer outside of ±(2^53-1), which a reader can't be expected "to treat
/// as an exact value". A double is told from all others by 17 significant digits, so more of them are more than it provides.
fn within_binary64(number: &[u8]) -> Result<(), &'static str> {
    const EXACT: f64 = 9_007_199_254_740_991.0;
    let mantissa = number.split(|byte| matches!(byte, b'e' | b'E')).next().unwrap_or_default();
    let value: f64 = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::INFINITY);
    let is_integer = number.iter().all(|byte| matches!(byte, b'-' | b'0'..=b'9'));
    let digits = significant_digits(mantissa);
    if value.is_infinite() {
        Err("the number is greater than any of binary64")
    } else if value == 0.0 && digits > 0 {
        Err("the number is smaller than any of binary64, which makes it zero")
    } else if is_integer && value.abs() > EXACT {
        Err("the integer is outside of ±(2^53-1), where binary64 is not exact")
    } else if digits > 17 {
        Err("the number has more than 17 significant digits, which is more than binary64 holds")
    } else {
        Ok(())
    }
}

/// Digits from the first to the last that is not zero.
fn significant_digits(mantissa: &[u8]) -> usize {
    let nonzero = |byte: &u8| matches!(byte, b'1'..=b'9');
    let Some((first, last)) = mantissa.iter().position(nonzero).zip(mantissa.iter().rposition(nonzero)) else { return 0 };
    mantissa[first..=last].iter().filter(|byte| byte.is_ascii_digit()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_within_binary64_as_rfc_7493_has_it() {
        for within in [
            "0",
            "-0.0",
            "0e999",
            "9007199254740991",
            "-9007199254740991",
            "1e308",
            "1.7976931348623157e308",
            "5e-324",
            "3.141592653589793",
            "0.10000000000000001",
            "1.50000000000000000000000",
            "123456789012345670000.0",
        ] {
            assert_eq!(within_binary64(within.as_bytes()), Ok(()), "{within}");
        }
        for beyond in [
            "1E400",
            "-1e309",
            "1e-400",
            "9007199254740992",
            "-9007199254740992",
            "3.141592653589793238462643383279",
            "0.100000000000000011",
            "1e99999999999999999999",
        ] {
            assert!(within_binary64(beyond.as_bytes()).is_err(), "{beyond}");
        }
    }
}
