//! The state of a file, by which a change is noticed.
//!
//! What a program writes through a memory map is noticed only when the kernel marks the page as written (`mmap(2)`).

use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use super::path::FilePath;

/// The kernel stamps files with a clock that moves in steps of up to 10 ms (`CONFIG_HZ_100`). Two changes within a step
/// have one stamp, so that the second can not be seen.
pub(super) const CLOCK_STEP: Duration = Duration::from_millis(20);

/// What tells whether a file is still the one that it was, and as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The device that it is on.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// When it was last written to: seconds and nanoseconds since 1970. Writers can set it back.
    pub modified: (i64, i64),
    /// When it or its metadata last changed, which no writer can set (`ctime`).
    pub changed: (i64, i64),
}

/// How a file differs from what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It was written to, or its metadata changed.
    Written,
    /// Another file has its name.
    Replaced,
    /// No file has its name.
    Removed,
}

impl Look {
    /// The state of the file that this was said of.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The state of the file that a path leads to now.
    pub(super) fn at(path: &FilePath) -> io::Result<Self> {
        Ok(Self::of(&path.open_to_look()?.metadata()?))
    }

    /// How `now` differs from this; `there` is the state of what has the file's name now.
    pub(super) fn change(&self, now: &Self, there: Option<&Self>) -> Option<Change> {
        match there {
            None => Some(Change::Removed),
            Some(there) if (there.device, there.inode) != (self.device, self.inode) => Some(Change::Replaced),
            Some(there) if (now, there) != (self, self) => Some(Change::Written),
            Some(_) => None,
        }
    }

    /// How long a later change could still bear the stamp of the last one.
    pub(super) fn unsure_for(&self, now: SystemTime) -> Duration {
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(self.changed.0), u64::try_from(self.changed.1)) else {
            return Duration::ZERO;
        };
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_nanos(nanos);
        // A stamp of the future is one of another machine's clock.
        now.duration_since(changed).map_or(Duration::ZERO, |age| CLOCK_STEP.saturating_sub(age))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Written => "was written to while it was read",
            Self::Replaced => "was replaced while it was read",
            Self::Removed => "was removed while it was read",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Look = Look { device: 1, inode: 2, size: 3, modified: (4, 5), changed: (6, 7) };

    #[test]
    fn any_difference_of_the_file_or_of_what_has_its_name_is_a_change() {
        assert_eq!(LOOK.change(&LOOK, Some(&LOOK)), None);
        assert_eq!(LOOK.change(&LOOK, None), Some(Change::Removed));
        for other in [Look { device: 2, ..LOOK }, Look { inode: 3, ..LOOK }] {
            assert_eq!(LOOK.change(&LOOK, Some(&other)), Some(Change::Replaced));
        }
        for other in [Look { size: 4, ..LOOK }, Look { modified: (4, 6), ..LOOK }, Look { changed: (7, 7), ..LOOK }] {
            assert_eq!(LOOK.change(&other, Some(&LOOK)), Some(Change::Written));
            assert_eq!(LOOK.change(&LOOK, Some(&other)), Some(Change::Written));
        }
    }

    #[test]
    fn a_stamp_is_unsure_until_the_clock_has_moved_on() {
        let look = Look { changed: (100, 0), ..LOOK };
        let after = |millis: u64| look.unsure_for(SystemTime::UNIX_EPOCH + Duration::from_millis(100_000 + millis));
        assert_eq!(
            (after(0), after(5), after(20), after(90_000)),
            (CLOCK_STEP, CLOCK_STEP * 3 / 4, Duration::ZERO, Duration::ZERO)
        );
        assert_eq!(look.unsure_for(SystemTime::UNIX_EPOCH), Duration::ZERO);
        assert_eq!(Look { changed: (-1, 0), ..LOOK }.unsure_for(SystemTime::UNIX_EPOCH), Duration::ZERO);
    }
}
