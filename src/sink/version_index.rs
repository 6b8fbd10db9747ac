//! Hints about the versions of a name, so that a commit does not look at thousands of them one by
//! one.
//!
//! Nothing relies on a hint. A sink creates a version only where the store itself finds the key
//! free, and looks at a file before it answers that it holds the same content. A hint is believed
//! for a minute: changes by other processes below the numbers that were seen to be taken may go
//! unnoticed for so long.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::place::{Content, MAX_VERSIONS};
use crate::upload::Digest;

/// Versions up to this number are looked at by each commit, one by one.
pub(crate) const LOOKED_AT: u32 = 16;

/// How long a hint is believed.
const BELIEVED: Duration = Duration::from_mins(1);

/// Versions that are remembered, of all names; about 20 bytes each. The name that was used least
/// recently goes first.
const MAX_VERSIONS_KNOWN: usize = 1 << 18;

/// Names that are remembered.
const MAX_NAMES: usize = 1 << 10;

/// The content of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    Content(Digest),
    /// So many bytes, of which no digest is known.
    Unread(u64),
    /// No file, or none that has to be compared.
    Other,
}

/// The versions of one name.
#[derive(Debug)]
pub(crate) struct VersionIndex {
    /// When the first free number was found, or that there is none. Before that nothing is too old:
    /// a search that takes long would never end.
    complete: Option<Instant>,
    /// Every number from 2 up to this one was seen to be taken.
    next: u32,
    /// By the first bytes of the digest. Where two share those, the second is not found again, at
    /// worst.
    contents: HashMap<u64, u16>,
    /// Numbers of versions whose digest is not known, by their size.
    unread: HashMap<u64, Vec<u16>>,
}

impl VersionIndex {
    fn new() -> Self {
        Self { complete: None, next: LOOKED_AT + 1, contents: HashMap::new(), unread: HashMap::new() }
    }

    /// The first number that is not known to be taken.
    pub(crate) fn next(&self) -> u32 {
        self.next
    }

    /// A version that may hold this content.
    pub(crate) fn candidate(&self, content: &Content) -> Option<u32> {
        let known = self.contents.get(&content.digest.start()).copied();
        known.or_else(|| self.unread.get(&content.size)?.last().copied()).map(u32::from)
    }

    /// Notes that [`next`](Self::next) is taken.
    pub(crate) fn pass(&mut self, holds: Holds) {
        let number = self.next;
        self.next += 1;
        self.note(number, holds);
        if self.next > MAX_VERSIONS {
            self.complete.get_or_insert_with(Instant::now);
        }
    }

    /// Notes that [`next`](Self::next) was free, and holds this from now on.
    pub(crate) fn take(&mut self, digest: Digest) {
        self.pass(Holds::Content(digest));
        self.complete.get_or_insert_with(Instant::now);
    }

    /// Notes what a version holds that is known to be taken.
    pub(crate) fn note(&mut self, number: u32, holds: Holds) {
        // Numbers end at 9,999.
        let Ok(short) = u16::try_from(number) else { return };
        match holds {
            _ if number >= self.next => {}
            Holds::Content(digest) => drop(self.contents.insert(digest.start(), short)),
            Holds::Unread(size) => self.unread.entry(size).or_default().push(short),
            Holds::Other => {}
        }
    }

    /// Notes that a [`candidate`](Self::candidate) does not hold this content.
    pub(crate) fn differs(&mut self, number: u32, content: &Content) {
        let short = u16::try_from(number).unwrap_or_default();
        if self.contents.get(&content.digest.start()) == Some(&short) {
            self.contents.remove(&content.digest.start());
        }
        if let Some(unread) = self.unread.get_mut(&content.size) {
            unread.retain(|other| *other != short);
        }
    }

    fn is_old(&self) -> bool {
        self.complete.is_some_and(|complete| complete.elapsed() >= BELIEVED)
    }

    fn len(&self) -> usize {
        self.contents.len() + self.unread.values().map(Vec::len).sum::<usize>()
    }
}

/// The versions of the names that were used last.
#[derive(Debug)]
pub(crate) struct VersionIndexes<N>(Mutex<Names<N>>);

/// By name: its versions, and when they were last asked for.
type Names<N> = HashMap<N, (Arc<Mutex<VersionIndex>>, Instant)>;

impl<N> Default for VersionIndexes<N> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<N: Eq + Hash + Clone> VersionIndexes<N> {
    /// The versions of a name. They are locked while a commit takes a number, so that others take
    /// the next ones.
    pub(crate) fn of(&self, name: N) -> Arc<Mutex<VersionIndex>> {
        let now = Instant::now();
        let mut names = self.names();
        if let Some((index, used)) = names.get_mut(&name) {
            *used = now;
            return Arc::clone(index);
        }
        make_room(&mut names);
        let index = Arc::new(Mutex::new(VersionIndex::new()));
        names.insert(name, (Arc::clone(&index), now));
        index
    }

    /// As [`of`](Self::of), where the name is known.
    pub(crate) fn known(&self, name: &N) -> Option<Arc<Mutex<VersionIndex>>> {
        self.names().get(name).map(|(index, _)| Arc::clone(index))
    }

    fn names(&self) -> MutexGuard<'_, Names<N>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Locks what is known of a name; what is too old to be believed is forgotten.
pub(crate) fn lock(index: &Mutex<VersionIndex>) -> MutexGuard<'_, VersionIndex> {
    let mut index = index.lock().unwrap_or_else(PoisonError::into_inner);
    if index.is_old() {
        *index = VersionIndex::new();
    }
    index
}

/// Forgets names, until one more fits.
fn make_room<N: Eq + Hash + Clone>(names: &mut Names<N>) {
    // One that is locked is in use, and counts the next time.
    let len = |index: &Mutex<VersionIndex>| index.try_lock().map_or(0, |index| index.len());
    let mut versions: usize = names.values().map(|(index, _)| len(index)).sum();
    while versions > MAX_VERSIONS_KNOWN || names.len() >= MAX_NAMES {
        let oldest = names.iter().min_by_key(|(_, (_, used))| *used).map(|(name, _)| name.clone());
        let Some((index, _)) = oldest.and_then(|name| names.remove(&name)) else { return };
        versions = versions.saturating_sub(len(&index));
    }
}

/// For files that are in the way of a folder: the number of the version that is a folder, or was
/// free, by the second version.
#[derive(Debug, Default)]
pub(crate) struct FolderHints(Mutex<HashMap<String, (u32, Instant)>>);

impl FolderHints {
    /// The number to try next.
    pub(crate) fn find(&self, second: &str) -> Option<u32> {
        let hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hints.get(second).filter(|(_, since)| since.elapsed() < BELIEVED).map(|(number, _)| *number)
    }

    /// Remembers it, from the first time on that it was found.
    pub(crate) fn keep(&self, second: String, number: u32) {
        let mut hints = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if hints.len() >= MAX_NAMES {
            hints.clear();
        }
        let hint = hints.entry(second).or_insert((number, Instant::now()));
        if hint.0 != number || hint.1.elapsed() >= BELIEVED {
            *hint = (number, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8]) -> Content {
        Content { size: bytes.len() as u64, digest: Digest::of(bytes), verdict: None }
    }

    #[test]
    fn what_was_passed_is_found_again_by_its_content() {
        let mut index = VersionIndex::new();
        let first = index.next();
        index.pass(Holds::Content(content(b"a").digest));
        index.pass(Holds::Other);
        index.pass(Holds::Unread(3));
        assert_eq!(index.next(), first + 3);
        assert_eq!(index.candidate(&content(b"a")), Some(first));
        assert_eq!(index.candidate(&content(b"b")), None);
        assert_eq!(index.candidate(&content(b"abc")), Some(first + 2));
        index.differs(first + 2, &content(b"abc"));
        assert_eq!(index.candidate(&content(b"abc")), None);
        index.note(first + 1, Holds::Content(content(b"abc").digest));
        assert_eq!(index.candidate(&content(b"abc")), Some(first + 1));
        index.note(first + 3, Holds::Content(content(b"z").digest));
        assert_eq!(index.candidate(&content(b"z")), None, "what is behind the next number is looked at when its turn comes");
    }

    #[test]
    fn what_is_known_is_bounded_and_forgotten_in_time() {
        let indexes = VersionIndexes::default();
        for name in 0..MAX_NAMES * 2 {
            drop(indexes.of(name));
        }
        assert_eq!(indexes.names().len(), MAX_NAMES);
        assert!(indexes.known(&0).is_none() && indexes.known(&(MAX_NAMES * 2 - 1)).is_some());
        let indexes = VersionIndexes::default();
        for name in 0..40_usize {
            let index = indexes.of(name);
            for number in 0..9_000 {
                lock(&index).pass(Holds::Content(Digest::of(format!("{number}").as_bytes())));
            }
        }
        let known: usize = indexes.names().values().map(|(index, _)| index.lock().unwrap().len()).sum();
        assert!((MAX_VERSIONS_KNOWN - 9_000..MAX_VERSIONS_KNOWN + 18_000).contains(&known), "{known}");
        let index = indexes.of(39);
        assert!(index.lock().unwrap().complete.is_none(), "what is not complete is not old");
        lock(&index).take(Digest::of(b"last"));
        assert_eq!(lock(&index).next(), LOOKED_AT + 9_002);
        *index.lock().unwrap().complete.as_mut().unwrap() -= BELIEVED;
        assert_eq!(lock(&index).next(), LOOKED_AT + 1);
    }
}
