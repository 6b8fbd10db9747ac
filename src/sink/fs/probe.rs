//! Trying out on the disk what a commit needs of it.

use bytesize::ByteSize;
use rustix::io::Errno;

use super::disk::Disk;
use super::staging::lock_new;
use super::{Shared, tree};
use crate::clock;
use crate::sink::Probe;

impl<D: Disk> Shared<D> {
    pub(super) fn probe(&self) -> Probe {
        let mut probe = Probe::of(format!("files below {:?}", self.root.display().to_string()));
        if let Some(why) = self.broken.get() {
            probe.fail("write", format!("the store is read-only since {why}; check the disk, then restart"));
            return probe;
        }
        if !self.tree.stands_at(&self.root) {
            probe.fail("folder", "it was moved, removed or replaced since the start: put it back, or restart");
            return probe;
        }
        match self.disk.free_bytes(&self.staging) {
            Ok(free) if free >= self.terms.min_free_bytes => probe.pass("room", format!("{} free", ByteSize(free))),
            Ok(free) => {
                let (free, kept) = (ByteSize(free), ByteSize(self.terms.min_free_bytes));
                probe.fail("room", format!("disk full ({free} free, {kept} kept): make room, or lower sink.fs.min_free"));
            }
            Err(errno) => probe.fail("room", errno),
        }
        self.probe_commit(&mut probe);
        probe
    }

    /// Tries the steps of a commit with two files of its own, and removes both also where a step
    /// fails.
    fn probe_commit(&self, probe: &mut Probe) {
        let name = format!("probe-{}", clock::new_uuid());
        let other = format!("{name}-other");
        self.probe_files(probe, &name, &other);
        let removed = [&name, &other].map(|name| match self.disk.unlink(&self.staging, name) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno),
        });
        match removed.into_iter().collect::<Result<(), _>>() {
            Ok(()) => probe.pass("delete", "works"),
            Err(errno) => probe.fail("delete", errno),
        }
    }

    /// The files are locked like uploads, lest another process that opens the store sweeps them up.
    fn probe_files(&self, probe: &mut Probe, name: &str, other: &str) {
        let written = lock_new(&self.disk, &self.staging, name, |_| Ok(true)).and_then(|file| {
            self.disk.write_at(&file, b"tidegate", 0)?;
            self.disk.flush(&file)?;
            Ok(file)
        });
        let _held = match written {
            Ok(file) => file,
            Err(errno) => return probe.fail("write and flush", format!("{errno}: may this user write there?")),
        };
        probe.pass("write and flush", "works");
        let clobbered = lock_new(&self.disk, &self.staging, other, |_| Ok(true)).and_then(|file| {
            tree::rename_new(&self.disk, (&self.staging, name), (&self.staging, other))?;
            Ok(file)
        });
        match clobbered {
            Err(Errno::EXIST) => probe.pass("create without clobbering", "works"),
            Ok(_) => {
                probe.fail("create without clobbering", "the file system replaced a file that it should have kept");
            }
            Err(errno) => probe.fail("create without clobbering", errno),
        }
    }
}
