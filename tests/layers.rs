//! The order of the floors: a file may use only what stands on a lower floor, or in its own room. Held by reading the
//! `use crate::…` lines, so that the order can't rot.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed, as it should")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Every room of `src/` and its floor; `docs/architecture.md` tells what is in them.
const FLOORS: [(&str, u32); 20] = [
    ("escape", 0),
    ("error", 1),
    ("clock", 1),
    ("report", 2),
    ("upload", 2),
    ("metrics", 2),
    ("budget", 2),
    ("readiness", 2),
    ("validate", 3),
    ("infer", 3),
    ("config", 3),
    ("wire", 3),
    ("sink", 4),
    ("client", 4),
    ("ledger", 4),
    ("assemble", 5),
    ("ingest", 5),
    ("server", 6),
    ("cli", 7),
    ("main", 8),
];

/// Uses on one floor that the map allows: plain data may be made of plain data, and the configuration names what a protocol
/// can be set to.
const ALLOWED_BESIDE: [(&str, &str); 8] = [
    ("clock", "error"),
    ("budget", "metrics"),
    ("upload", "report"),
    ("metrics", "report"),
    ("metrics", "upload"),
    ("metrics", "readiness"),
    ("config", "wire"),
    ("config", "validate"),
];

#[test]
fn nothing_reaches_up_a_floor() {
    let floors = BTreeMap::from(FLOORS);
    let mut wrong = Vec::new();
    let mut uses = 0;
    for path in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path()) {
        let room = room_of(&path);
        if room == "lib" {
            continue;
        }
        let floor = *floors.get(room.as_str()).unwrap_or_else(|| panic!("{} stands on no floor", path.display()));
        for (number, used) in used_rooms(&fs::read_to_string(&path).unwrap()) {
            uses += 1;
            let used_floor =
                *floors.get(used.as_str()).unwrap_or_else(|| panic!("{used:?} in {} is no room", path.display()));
            let beside = ALLOWED_BESIDE.contains(&(room.as_str(), used.as_str()));
            if used != room && used_floor >= floor && !beside {
                wrong.push(format!("{}:{number}: floor {floor} uses {used}, floor {used_floor}", path.display()));
            }
        }
    }
    assert!(uses > 100, "only {uses} uses were found: does this test still read the files right?");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn only_assemble_names_the_sinks() {
    for path in sources(Path::new(env!("CARGO_MANIFEST_DIR")).join("src").as_path()) {
        let room = room_of(&path);
        if matches!(room.as_str(), "sink" | "assemble") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        // The validators in front of a sink are no store: the pump has one rule for an upload from them.
        for sink in ["sink::fs", "sink::memory", "sink::object", "object_store"] {
            assert!(!text.contains(sink), "{} names {sink}", path.display());
        }
    }
}

/// The room a file belongs to: `src/sink/fs/tree.rs` is of `sink`.
fn room_of(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_str().unwrap();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that a file names, with the lines: `use crate::{error::Error, upload::Key}` names two.
fn used_rooms(text: &str) -> Vec<(usize, String)> {
    let mut rooms = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("//") {
            continue;
        }
        for (at, _) in line.match_indices("crate::").filter(|(at, _)| !line[..*at].ends_with('$')) {
            let rest = &line[at + "crate::".len()..];
            assert!(!rest.starts_with('{'), "write one `use crate::room` a line, so that this test can read it: {line}");
            let room: String = rest.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect();
            rooms.push((number + 1, room));
        }
    }
    rooms
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
