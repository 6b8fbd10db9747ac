//! How much memory uploads may take where the configuration leaves it to the machine.

use std::fs;
use std::path::{Path, PathBuf};

/// Uploads may take this part of the memory: the rest is for the page cache, the kernel's socket
/// buffers and other programs.
const PART: u64 = 4;

/// Where control groups are (cgroups(7)).
const CGROUPS: &str = "/sys/fs/cgroup";

/// The configured budget in bytes, or the default one: a quarter of the machine's memory, or of the
/// least that a control group of this process allows.
pub(super) fn budget(configured: u64) -> u64 {
    match configured {
        0 => default_budget(machine(), &own_cgroups(), Path::new(CGROUPS)),
        bytes => bytes,
    }
}

fn default_budget(machine: u64, cgroups: &[PathBuf], mount: &Path) -> u64 {
    let limits = cgroups.iter().filter_map(|group| limit(&mount.join(group)));
    limits.fold(machine, u64::min) / PART
}

/// The machine's memory, in bytes (sysinfo(2)).
fn machine() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(u64::from(info.mem_unit))
}

/// The control groups of this process and all that they are in, relative to the mount; for version
/// 1 below `memory`. Empty where the system does not tell.
fn own_cgroups() -> Vec<PathBuf> {
    fs::read_to_string("/proc/self/cgroup").map(|text| cgroups(&text)).unwrap_or_default()
}

/// Reads `/proc/self/cgroup` (cgroups(7)): `0::/path` for version 2, `4:memory:/path` for
/// version 1. In a container the path may be that of the host; the limit is then at the mount
/// itself, which is among the ancestors.
fn cgroups(text: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let base = match controllers {
            "" => Path::new(""),
            list if list.split(',').any(|controller| controller == "memory") => Path::new("memory"),
            _ => continue,
        };
        let path = Path::new(path.trim_start_matches('/'));
        found.extend(path.ancestors().map(|group| base.join(group)));
    }
    found
}

/// The limit of a control group, in bytes; `None` where it limits nothing. Version 1 says that with
/// a number near 2^63.
fn limit(group: &Path) -> Option<u64> {
    let read = |name: &str| fs::read_to_string(group.join(name)).ok();
    let text = read("memory.max").or_else(|| read("memory.limit_in_bytes"))?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_of_all_control_groups_counts() {
        let mount = tempfile::tempdir().unwrap();
        let inner = mount.path().join("system.slice/tidegate.service");
        fs::create_dir_all(&inner).unwrap();
        fs::write(inner.join("memory.max"), "max\n").unwrap();
        fs::write(mount.path().join("system.slice/memory.max"), "1073741824\n").unwrap();
        let groups = cgroups("0::/system.slice/tidegate.service\n");
        assert_eq!(default_budget(8 << 30, &groups, mount.path()), 256 << 20);
        assert_eq!(default_budget(512 << 20, &groups, mount.path()), 128 << 20);
        assert_eq!(default_budget(8 << 30, &cgroups(""), mount.path()), 2 << 30);
    }

    #[test]
    fn version_1_has_the_memory_controller_in_a_folder_of_its_own() {
        let mount = tempfile::tempdir().unwrap();
        let group = mount.path().join("memory/docker/one");
        fs::create_dir_all(&group).unwrap();
        fs::write(group.join("memory.limit_in_bytes"), "536870912\n").unwrap();
        let groups = cgroups("12:cpu,cpuacct:/docker/one\n4:memory:/docker/one\n");
        assert_eq!(groups.last().unwrap(), Path::new("memory"));
        assert_eq!(default_budget(8 << 30, &groups, mount.path()), 128 << 20);
    }

    #[test]
    fn the_machine_has_memory() {
        assert!(budget(0) > 1 << 20);
        assert_eq!(budget(100 << 20), 100 << 20);
    }
}
