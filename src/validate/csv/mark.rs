//! The place of something that may have begun in an earlier chunk.

use crate::validate::position::{Chunk, Place};

/// A place in this chunk, or in an earlier one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Mark {
    /// An index of this chunk.
    Here(usize),
    Earlier(Place),
}

impl Mark {
    pub(super) fn place(self, chunk: &Chunk<'_>) -> Place {
        match self {
            Self::Here(index) => chunk.place(index),
            Self::Earlier(place) => place,
        }
    }

    /// The first index of this chunk that lies behind the place.
    pub(super) const fn index(self) -> usize {
        match self {
            Self::Here(index) => index,
            Self::Earlier(_) => 0,
        }
    }
}
