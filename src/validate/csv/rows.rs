//! The seam to whoever judges what cells say.

use std::fmt::Debug;

use super::cells::Cells;
use crate::validate::position::{Chunk, Place};
use crate::validate::told::{Halt, Told};

/// Judges rows that have the right number of cells and no flaw in their structure; the others it never sees.
pub(in crate::validate) trait Rows: Debug + Send {
    /// The header has ended: its names, and where each begins. Not called for a dialect without a header.
    fn header(&mut self, labels: &[String], place: &dyn Fn(usize) -> Place, told: &mut Told) -> Result<(), Halt>;

    /// As [`Validator::memory_bytes`](crate::validate::Validator::memory_bytes).
    fn memory_bytes(&self, text_bytes: usize) -> usize;

    /// A data row has ended.
    fn row(&mut self, row: &Row<'_>, told: &mut Told) -> Result<(), Halt>;

    /// The table has ended; `end` is empty, and stands there.
    fn end(&mut self, end: &Chunk<'_>, told: &mut Told) -> Result<(), Halt>;
}

/// A data row.
pub(in crate::validate) struct Row<'r> {
    /// Counted from 1.
    pub(in crate::validate) number: u64,
    pub(in crate::validate) cells: Cells<'r>,
    /// Where a cell begins, by its index.
    pub(in crate::validate) place: &'r dyn Fn(usize) -> Place,
}
