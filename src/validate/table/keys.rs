//! Keys: which columns make one, and the sets of those that were seen.
//!
//! A key is remembered as 128 bits that two SipHash-1-3 make of it, under secrets drawn for each schema, so that a sender can't
//! prepare two keys that collide. Among n different keys the probability that any two are taken for one is n² / 2¹²⁹: for the
//! four million that fit into 64 MiB, less than 10⁻²⁵.

use std::borrow::Cow;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

use super::columns::Fault;
use super::field::Field;
use super::json;
use crate::report::Code;

/// Columns that make a key, and what holds for it. The columns are those of the schema.
#[derive(Debug)]
pub(super) struct KeyRule {
    pub(super) fields: Vec<usize>,
    pub(super) purpose: Purpose,
}

#[derive(Debug)]
pub(super) enum Purpose {
    /// `constraints.unique`.
    Unique,
    /// An entry of `uniqueKeys`.
    UniqueKey,
    Primary,
    /// A key that stands in another table.
    Refers {
        resource: String,
        known: Hashes,
    },
    /// A key that stands in these fields of the same table.
    RefersHere {
        targets: Vec<usize>,
    },
}

impl KeyRule {
    /// The code and the constraint under which a break of it is told.
    pub(super) fn told_as(&self) -> (Code, &'static str) {
        match self.purpose {
            Purpose::Unique => (Code::UniqueError, "unique"),
            Purpose::UniqueKey => (Code::UniqueError, "uniqueKeys"),
            Purpose::Primary => (Code::PrimaryKey, "primaryKey"),
            Purpose::Refers { .. } | Purpose::RefersHere { .. } => (Code::ForeignKey, "foreignKeys"),
        }
    }

    /// A break of it, in `column` where it has but one.
    pub(super) fn fault(&self, column: Option<usize>, row: Option<u64>, message: String) -> Fault {
        let (code, constraint) = self.told_as();
        let field = column.filter(|_| self.fields.len() == 1);
        Fault { code, field, constraint: Some(constraint), row, message }
    }
}

/// Makes hashes of keys.
#[derive(Debug)]
pub(super) struct KeyHasher {
    halves: [RandomState; 2],
}

/// What the cells of a row are for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Hash(u128),
    /// A cell holds no value.
    Null,
    /// A cell is not of its type, which was told, or not there.
    Broken,
}

impl KeyHasher {
    pub(super) fn new() -> Self {
        Self { halves: [RandomState::new(), RandomState::new()] }
    }

    /// The key that these cells make, each read as its field; `scratch` is free to use.
    pub(super) fn key<'a>(
        &self,
        cells: impl Iterator<Item = (&'a Field, Option<Cow<'a, str>>)>,
        scratch: &mut Vec<u8>,
    ) -> Key {
        scratch.clear();
        let mut null = false;
        for (field, cell) in cells {
            let Some(cell) = cell else { return Key::Broken };
            if field.missing.has(&cell) {
                null = true;
                continue;
            }
            let mut read = None;
            json::sized(scratch, |scratch| read = field.kind.canonical(&cell, scratch));
            if read.is_none() {
                return Key::Broken;
            }
        }
        if null {
            return Key::Null;
        }
        let [high, low] = self.halves.each_ref().map(|half| {
            let mut hasher = half.build_hasher();
            hasher.write(scratch);
            u128::from(hasher.finish())
        });
        Key::Hash(high << 64 | low)
    }
}

/// A set of hashes: 16 bytes each, in a table that is never more than three quarters full.
#[derive(Debug, Default)]
pub(super) struct Hashes {
    /// A power of two of them; 0 is free.
    slots: Vec<u128>,
    len: usize,
}

/// The memory that all sets of a table share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Budget {
    pub(super) left_bytes: u64,
}

/// More keys than there is memory for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

const SLOT_BYTES: usize = size_of::<u128>();
const FIRST_SLOTS: usize = 64;

impl Budget {
    /// Takes this many bytes.
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Full> {
        self.left_bytes = self.left_bytes.checked_sub(bytes as u64).ok_or(Full)?;
        Ok(())
    }

    fn give_back(&mut self, bytes: usize) {
        self.left_bytes += bytes as u64;
    }
}

impl Hashes {
    /// Adds a hash; `true` where it was not there before.
    pub(super) fn insert(&mut self, hash: u128, budget: &mut Budget) -> Result<bool, Full> {
        let hash = hash.max(1);
        if self.len * 4 >= self.slots.len() * 3 {
            self.grow(budget)?;
        }
        let at = self.place(hash);
        let new = self.slots[at] == 0;
        self.slots[at] = hash;
        self.len += usize::from(new);
        Ok(new)
    }

    /// The memory of the set with so many more hashes, at most: while it grows there is the old
    /// table, too.
    pub(super) fn memory_bytes(&self, more: usize) -> usize {
        let mut slots = self.slots.len();
        if more > 0 {
            slots = slots.max(FIRST_SLOTS);
            while (self.len + more) * 4 >= slots * 3 {
                slots *= 2;
            }
        }
        let old = if slots == self.slots.len() { 0 } else { slots / 2 };
        (slots + old) * SLOT_BYTES
    }

    pub(super) fn has(&self, hash: u128) -> bool {
        !self.slots.is_empty() && self.slots[self.place(hash.max(1))] != 0
    }

    /// The old table is given back only when the new one is filled, so that for a moment there are both: the budget sees it.
    fn grow(&mut self, budget: &mut Budget) -> Result<(), Full> {
        let slots = (self.slots.len() * 2).max(FIRST_SLOTS);
        budget.take(slots * SLOT_BYTES)?;
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        for hash in old.iter().filter(|hash| **hash != 0) {
            let at = self.place(*hash);
            self.slots[at] = *hash;
        }
        budget.give_back(old.len() * SLOT_BYTES);
        Ok(())
    }

    /// Where this hash stands, or would stand. There is always a free place.
    fn place(&self, hash: u128) -> usize {
        let mask = self.slots.len() - 1;
        #[allow(clippy::cast_possible_truncation, reason = "the low bits are as good as any")]
        let mut at = hash as usize & mask;
        while self.slots[at] != 0 && self.slots[at] != hash {
            at = (at + 1) & mask;
        }
        at
    }
}
