//! One flush of everything on a file system, where it can be believed as a flush of one file can.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// The first Linux that tells of bytes that `syncfs` could not write, to each open file once (`man 2 syncfs`).
const SINCE_LINUX: (u32, u32) = (5, 8);

/// `f_type` of `statfs(2)`: those whose `syncfs` writes all bytes and names, and waits for them. Not btrfs: there it commits
/// all that the file system has under way, where `fsync` writes a short log.
const TRUSTED: [u64; 3] = [EXT, XFS, TMPFS];
const EXT: u64 = 0xEF53;
const XFS: u64 = 0x5846_5342;
const TMPFS: u64 = 0x0102_1994;

/// Flushes the file system of a folder.
///
/// `syncfs` writes everything, and tells of bytes that could not be written. It does not tell of a file system that has turned
/// read-only or was shut down after an error; before 5.17, of a journal that failed; and without a journal it leaves names in
/// the cache of the device. All that is for `fsync`, which has little left to write.
pub(super) fn flush_all(folder: &OwnedFd) -> Result<(), Errno> {
    rustix::fs::syncfs(folder)?;
    rustix::fs::fsync(folder)
}

/// Whether [`flush_all`] makes durable what is on the file system of a folder, and tells when it could not. Tries it once, so
/// that an error from before is not taken for one of ours.
pub(super) fn is_trusted(folder: &OwnedFd) -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok();
    let tells = release.and_then(|release| version(&release)).is_some_and(|version| version >= SINCE_LINUX);
    let kind = rustix::fs::fstatfs(folder).ok().and_then(|stat| u64::try_from(stat.f_type).ok());
    tells && kind.is_some_and(|kind| TRUSTED.contains(&kind)) && flush_all(folder).is_ok()
}

/// `6.1.0-18-amd64` is 6.1.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|char: char| !char.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_a_kernel_is_read() {
        assert_eq!(version("6.1.0-18-amd64\n"), Some((6, 1)));
        assert_eq!(version("5.17-rc1"), Some((5, 17)));
        assert_eq!(version("5.16.20"), Some((5, 16)));
        assert_eq!(version("unknown"), None);
        assert!(Some((10, 0)) > Some(SINCE_LINUX) && version("5.7.19") < Some(SINCE_LINUX));
    }
}
