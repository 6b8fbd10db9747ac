//! What is remembered of the values of a column or of a member: a bounded amount, however many there are.

use std::borrow::Borrow;
use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};

/// The different values of something that has few of them.
#[derive(Debug, Clone, Default)]
pub(super) enum Few {
    #[default]
    None,
    Some(BTreeSet<String>),
    TooMany,
}

/// How many different values are few, and how long one may be, in bytes.
const MAX_FEW: usize = 20;
const MAX_FEW_BYTES: usize = 100;

/// How often each of few values must have been seen, on average, to take them for all there are.
const TIMES_EACH: u64 = 5;

impl Few {
    pub(super) fn see(&mut self, value: &str) {
        match self {
            Self::TooMany => {}
            _ if value.len() > MAX_FEW_BYTES => *self = Self::TooMany,
            Self::None => *self = Self::Some(BTreeSet::from([value.to_owned()])),
            Self::Some(values) if values.contains(value) => {}
            Self::Some(values) if values.len() == MAX_FEW => *self = Self::TooMany,
            Self::Some(values) => _ = values.insert(value.to_owned()),
        }
    }

    /// The values, in order, where so many have been `seen` that there seem to be no others.
    pub(super) fn all(&self, seen: u64) -> Option<Vec<String>> {
        match self {
            Self::Some(values) if seen >= TIMES_EACH * values.len() as u64 => Some(values.iter().cloned().collect()),
            Self::None | Self::Some(_) | Self::TooMany => None,
        }
    }
}

/// Whether all values differ. What is remembered are hashes: where two values have the same one, which hardly happens, they
/// are taken for equal, and a column that could be unique is not called so.
#[derive(Debug, Clone)]
pub(super) enum Unique {
    /// So far; room is left for so many.
    SoFar(HashSet<u64>, usize),
    Repeated,
    TooMany,
}

impl Unique {
    pub(super) fn within(room: usize) -> Self {
        Self::SoFar(HashSet::new(), room)
    }

    pub(super) fn see(&mut self, value: &str) {
        let Self::SoFar(seen, room) = self else { return };
        let mut hasher = DefaultHasher::new();
        value.hash(&mut hasher);
        if !seen.insert(hasher.finish()) {
            *self = Self::Repeated;
        } else if seen.len() > *room {
            *self = Self::TooMany;
        }
    }
}

/// The smallest and the largest of some values.
#[derive(Debug, Clone, Default)]
pub(super) struct Range<T>(Option<(T, T)>);

impl<T> Range<T> {
    pub(super) fn see<V: PartialOrd + ToOwned<Owned = T> + ?Sized>(&mut self, value: &V)
    where
        T: Borrow<V>,
    {
        match &mut self.0 {
            None => self.0 = Some((value.to_owned(), value.to_owned())),
            Some((least, _)) if value < (*least).borrow() => *least = value.to_owned(),
            Some((_, most)) if value > (*most).borrow() => *most = value.to_owned(),
            Some(_) => {}
        }
    }

    pub(super) fn bounds(&self) -> Option<(&T, &T)> {
        self.0.as_ref().map(|(least, most)| (least, most))
    }
}

/// Numbers that are written as decimals.
#[derive(Debug, Clone, Default)]
pub(super) struct Decimals {
    range: Range<f64>,
    /// Whether some number is no longer itself as a double: the bounds would be rounded.
    is_rounded: bool,
}

/// Decimals of so many digits come back from a double as they were.
const EXACT_DIGITS: usize = 15;

impl Decimals {
    pub(super) fn see(&mut self, text: &str) {
        let mantissa = text.split(['e', 'E']).next().unwrap_or(text);
        let digits = mantissa.bytes().filter(u8::is_ascii_digit).count();
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() && digits <= EXACT_DIGITS => self.range.see(&number),
            Ok(_) | Err(_) => self.is_rounded = true,
        }
    }

    /// `None` where they are not known exactly.
    pub(super) fn bounds(&self) -> Option<(f64, f64)> {
        self.range.bounds().filter(|_| !self.is_rounded).map(|(least, most)| (*least, *most))
    }
}
