//! Digests of files that were read whole a short while ago: the answer about a huge file may be ready only when nobody waits for
//! it any more, and the next one who asks must not begin anew.
//!
//! A digest counts for as long as the file shows no sign of a change. Knows neither keys nor receipts.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use super::disk::Stat;
use crate::upload::Digest;

/// Digests that are kept; the oldest goes first.
const MAX_DIGESTS: usize = 64;

/// Two changes so close to one another may bear the same time: what has changed so shortly before it is read may change once
/// more without a sign of it. Some file systems count in two seconds.
const SETTLED: Duration = Duration::from_secs(3);

/// The digests of files that have not changed since.
#[derive(Debug, Default)]
pub(super) struct Digests(Mutex<VecDeque<(Look, Digest)>>);

/// What a change to a file would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Look {
    identity: (u64, u64),
    size: u64,
    changed: SystemTime,
}

impl Look {
    pub(super) fn of(stat: &Stat) -> Self {
        Self { identity: stat.identity, size: stat.size, changed: stat.changed }
    }

    /// Whether every change after `time` would show.
    pub(super) fn is_settled_at(&self, time: SystemTime) -> bool {
        self.changed.checked_add(SETTLED).is_some_and(|settled| settled <= time)
    }
}

impl Digests {
    /// The digest of a file that looks so, if it was read.
    pub(super) fn find(&self, stat: &Stat) -> Option<Digest> {
        let wanted = Look::of(stat);
        self.digests().iter().find(|(look, _)| *look == wanted).map(|(_, digest)| *digest)
    }

    /// Keeps the digest of a file that looked so before it was read, which began at `began`, and
    /// after it. What has changed meanwhile, or shortly before, is not kept.
    pub(super) fn keep(&self, look: Look, after: &Stat, began: SystemTime, digest: Digest) {
        if !look.is_settled_at(began) || look != Look::of(after) {
            return;
        }
        let mut digests = self.digests();
        digests.retain(|(kept, _)| kept.identity != look.identity);
        digests.push_back((look, digest));
        if digests.len() > MAX_DIGESTS {
            digests.pop_front();
        }
    }

    fn digests(&self) -> MutexGuard<'_, VecDeque<(Look, Digest)>> {
        // Nothing is ever half-kept.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::fs::disk::Kind;

    fn stat(number: u64, size: u64, seconds: u64) -> Stat {
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        Stat { identity: (1, number), kind: Kind::File, has_one_name: true, size, modified: changed, changed }
    }

    #[test]
    fn a_digest_counts_until_the_file_changes() {
        let (digests, digest) = (Digests::default(), Digest::of(b"abc"));
        let began = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let keep = |before: Stat, after: Stat| digests.keep(Look::of(&before), &after, began, digest);
        keep(stat(1, 3, 98), stat(1, 3, 98));
        assert_eq!(digests.find(&stat(1, 3, 98)), None, "it may change once more within the same tick");
        keep(stat(1, 3, 97), stat(1, 3, 101));
        assert_eq!(digests.find(&stat(1, 3, 97)), None, "it has changed while it was read");
        assert_eq!(digests.find(&stat(1, 3, 101)), None, "it has changed while it was read");
        keep(stat(1, 3, 97), stat(1, 3, 97));
        assert_eq!(digests.find(&stat(1, 3, 97)), Some(digest));
        for other in [stat(2, 3, 97), stat(1, 4, 97), stat(1, 3, 96)] {
            assert_eq!(digests.find(&other), None);
        }
    }

    #[test]
    fn only_so_many_are_kept() {
        let digests = Digests::default();
        let file = |number: u64| stat(number, 1, 0);
        for number in (0..=MAX_DIGESTS as u64).flat_map(|number| [number; 2]) {
            digests.keep(Look::of(&file(number)), &file(number), SystemTime::now(), Digest::of(b"a"));
        }
        assert_eq!(digests.digests().len(), MAX_DIGESTS);
        assert_eq!((digests.find(&file(0)), digests.find(&file(1))), (None, Some(Digest::of(b"a"))));
    }
}
