//! The cases, by what they are about.

pub(crate) mod basics;
pub(crate) mod conflicts;
pub(crate) mod folders;
pub(crate) mod names;
pub(crate) mod quarantine;
pub(crate) mod races;
pub(crate) mod refusals;
pub(crate) mod resumes;

use crate::beds::Bed;

/// Nothing is visible, and nothing has stayed behind.
async fn assert_untouched(bed: &dyn Bed) {
    assert_eq!(bed.names().await, Vec::<String>::new());
    assert_clean(bed).await;
}

/// Nothing but what is visible has stayed behind.
async fn assert_clean(bed: &dyn Bed) {
    assert_eq!(bed.litter().await, Vec::<String>::new());
}
