//! A disk that is full.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::left_out;
use crate::common::serve::{Serve, until};

/// A tmpfs of a few megabytes, unmounted when dropped.
struct SmallDisk {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl SmallDisk {
    /// `None`, with a line that says so, where this user may not mount.
    fn mount(megabytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let size = format!("size={megabytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { _folder: folder, path });
        }
        left_out("a full disk (mounting a tmpfs is not allowed here)");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

#[test]
fn a_full_disk_refuses_and_recovers() {
    let Some(disk) = SmallDisk::mount(4) else { return };
    let serve = Serve::below(&disk.path.join("store"));
    assert!(serve.exchange(b"small.bin 4\nbody").starts_with("OK "));
    // Announced: refused before the first byte. Not announced: refused when the floor is reached.
    let announced = serve.exchange(b"big.bin 8000000\n");
    assert!(announced.starts_with("ERR no_space ") && announced.contains("no room"), "{announced}");
    let mut bytes = b"big.bin ".to_vec();
    bytes.resize(8_000_000, b'x');
    let sent = serve.exchange(&bytes);
    assert!(sent.starts_with("ERR no_space ") && sent.contains("no room"), "{sent}");
    until("the staged file to go", || serve.staged().is_empty());
    assert_eq!(serve.visible(), [Path::new("small.bin")]);
    let failed = "tidegate_uploads_total{outcome=\"failed\",reason=\"no_space\"} 2";
    assert!(serve.get("/metrics").contains(failed));
    // There is room again for what fits.
    bytes.truncate(1_000_000);
    assert!(serve.exchange(&bytes).starts_with("OK big.bin "));
}
