//! The seam to whoever judges what cells say.

use std::borrow::Cow;
use std::fmt::Debug;

use crate::validate::position::Place;
use crate::validate::stream::{Halt, Told};

/// Judges rows that have the right number of cells and no flaw in their structure; the others it never sees.
pub(super) trait Rows: Debug + Send {
    /// The header has ended: its names, and where each begins. Not called for a dialect without a header.
    fn header(&mut self, labels: &[String], place: &dyn Fn(usize) -> Place, told: &mut Told) -> Result<(), Halt>;

    /// A data row has ended.
    fn row(&mut self, row: &Row<'_, '_>, told: &mut Told) -> Result<(), Halt>;

    /// The table has ended here.
    fn end(&mut self, here: Place, told: &mut Told) -> Result<(), Halt>;
}

/// A data row.
pub(super) struct Row<'r, 'a> {
    /// Counted from 1.
    pub(super) number: u64,
    /// What the cells say, without their quotes.
    pub(super) cells: &'r [Cow<'a, str>],
    /// Where a cell begins, by its index.
    pub(super) place: &'r dyn Fn(usize) -> Place,
}
