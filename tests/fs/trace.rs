//! What the server asks of the kernel, and in which order: the flushes that a receipt stands on. Each of them has a test
//! here that fails when it is taken out.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::left_out;
use crate::common::serve::{Serve, has, until};

/// A system call: what it said, and at which lines of the trace it began and ended.
#[derive(Debug, Clone)]
struct Call {
    text: String,
    began: usize,
    ended: usize,
}

/// Reads what `strace -f -y` wrote. Calls of several threads are interleaved: their ends then stand on lines of their own.
fn calls(trace: &str) -> Vec<Call> {
    let mut calls: Vec<Call> = Vec::new();
    let mut unfinished: Vec<(String, usize)> = Vec::new();
    for (line, text) in trace.lines().enumerate() {
        let (thread, text) = text.split_once(' ').unwrap_or(("", text));
        let text = text.trim_start();
        if text.starts_with("<... ") {
            let position = unfinished.iter().position(|(other, _)| other == thread).expect("a call that was begun");
            let (_, call) = unfinished.remove(position);
            calls[call].ended = line;
            calls[call].text.push_str(text);
        } else {
            if text.ends_with("<unfinished ...>") {
                unfinished.push((thread.to_owned(), calls.len()));
            }
            calls.push(Call { text: text.to_owned(), began: line, ended: line });
        }
    }
    calls
}

/// Runs a server under `strace`, lets `talk` talk to it, and returns what it asked of the kernel from its start on, and how
/// many of these calls belong to the start.
fn traced_from_start(root: &Path, talk: impl FnOnce(&Serve)) -> (Vec<Call>, usize) {
    trace(Command::new("strace"), root, talk)
}

/// As [`traced_from_start`], with the `strace` that is given.
fn trace(mut command: Command, root: &Path, talk: impl FnOnce(&Serve)) -> (Vec<Call>, usize) {
    let log = tempfile::NamedTempFile::new().unwrap();
    command.args([
        "-f",
        "-y",
        "-qq",
        "-s",
        "64",
        "-e",
        "trace=fsync,fdatasync,syncfs,mkdir,mkdirat,rename,renameat,renameat2,linkat,write,writev,sendto",
    ]);
    command.arg("-o").arg(log.path()).arg(env!("CARGO_BIN_EXE_tidegate")).arg("serve");
    let serve = Serve::run(&mut command, root);
    let begun = fs::read_to_string(log.path()).unwrap().lines().count();
    talk(&serve);
    drop(serve);
    let calls = calls(&fs::read_to_string(log.path()).unwrap());
    let start = calls.iter().filter(|call| call.began < begun).count();
    (calls, start)
}

/// What a server asks of the kernel while `talk` talks to it.
fn traced(root: &Path, talk: impl FnOnce(&Serve)) -> Vec<Call> {
    let (mut calls, start) = traced_from_start(root, talk);
    calls.drain(..start);
    calls
}

fn find<'a>(calls: &'a [Call], what: &str, is: impl Fn(&str) -> bool) -> &'a Call {
    calls.iter().find(|call| is(&call.text)).unwrap_or_else(|| panic!("no {what} among {calls:#?}"))
}

fn flush_of(text: &str, path: &Path) -> bool {
    (text.starts_with("fsync(") || text.starts_with("fdatasync("))
        && text.contains(&format!("<{}>", path.display()))
        && text.ends_with("= 0")
}

fn answer(text: &str) -> bool {
    text.contains("\"OK ")
}

#[test]
fn a_receipt_comes_after_the_file_its_name_and_every_new_folder_are_flushed() {
    if !has("strace", "--version", "the order of the flushes") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("store");
    let calls = traced(&root, |serve| {
        assert!(serve.exchange(b"one/two/a.bin 4\nbody").starts_with("OK one/two/a.bin 4 "));
    });
    let staged = root.join(".tidegate/staging");
    let flushed = find(&calls, "flush of the staged file", |text| {
        text.starts_with("fsync(") && text.contains(&format!("<{}/", staged.display())) && text.ends_with("= 0")
    });
    let renamed = find(&calls, "rename", |text| text.starts_with("renameat2(") && text.contains("\"a.bin\""));
    let name_flushed = find(&calls, "flush of the folder", |text| flush_of(text, &root.join("one/two")));
    let answered = find(&calls, "answer", answer);
    assert!(renamed.text.contains("RENAME_NOREPLACE"), "{renamed:?}");
    assert!(flushed.ended < renamed.began, "the file is flushed before it is renamed: {calls:#?}");
    assert!(renamed.ended < name_flushed.began, "the folder is flushed after the rename: {calls:#?}");
    assert!(name_flushed.ended < answered.began, "the answer comes after the flush: {calls:#?}");
    for (made, parent) in [("one", root.clone()), ("two", root.join("one"))] {
        let made_at =
            find(&calls, "new folder", |text| text.starts_with("mkdirat(") && text.contains(&format!("\"{made}\"")));
        let mut of_parent = calls.iter().filter(|call| flush_of(&call.text, &parent));
        let between = |call: &Call| made_at.ended < call.began && call.ended < answered.began;
        assert!(of_parent.any(between), "{made:?} is flushed into its parent: {calls:#?}");
    }
}

#[test]
fn the_root_itself_is_flushed_before_anything_is_taken() {
    if !has("strace", "--version", "the flush of the root") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let base = folder.path().canonicalize().unwrap();
    let root = base.join("new/store");
    let (calls, start) = traced_from_start(&root, |_| {});
    for made in ["new", "new/store", "new/store/.tidegate", "new/store/.tidegate/staging"] {
        let path = base.join(made);
        let parent = path.parent().unwrap();
        // The root and what is above it by their paths, the server's own folders from an open one.
        let below = format!("<{}>, \"{}\"", parent.display(), path.file_name().unwrap().display());
        let made_at = find(&calls, "new folder", |text| {
            text.starts_with(&format!("mkdir(\"{}\"", path.display()))
                || text.starts_with("mkdirat(") && text.contains(&below)
        });
        let flushed = |call: &Call| made_at.ended < call.began && flush_of(&call.text, parent);
        assert!(calls[..start].iter().any(flushed), "{made} is flushed into its parent: {calls:#?}");
    }
}

/// What many commits at once share is tried out at the start, in the same way.
#[test]
fn a_flush_of_everything_is_one_of_the_file_system_and_has_the_last_word_of_fsync() {
    if !has("strace", "--version", "the flush of everything") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let kind = Command::new("stat").args(["-f", "-c", "%T"]).arg(folder.path()).output().unwrap();
    if !["ext2/ext3\n", "xfs\n", "tmpfs\n"].contains(&String::from_utf8_lossy(&kind.stdout).as_ref()) {
        return left_out("the flush of everything (this file system is not trusted to do it)");
    }
    let root = folder.path().canonicalize().unwrap().join("store");
    let staging = root.join(".tidegate/staging");
    let (calls, start) = traced_from_start(&root, |_| {});
    let everything = find(&calls[..start], "flush of everything", |text| {
        text.starts_with("syncfs(") && text.contains(&format!("<{}>", staging.display())) && text.ends_with("= 0")
    });
    let last_word = |call: &Call| everything.ended < call.began && flush_of(&call.text, &staging);
    assert!(calls[..start].iter().any(last_word), "an fsync follows: {calls:#?}");
}

#[test]
fn a_folder_that_somebody_else_made_is_flushed_too() {
    if !has("strace", "--version", "the flush of folders that were there") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("store");
    fs::create_dir_all(root.join("one")).unwrap();
    let calls = traced(&root, |serve| {
        assert!(serve.exchange(b"one/a.bin 4\nbody").starts_with("OK "));
    });
    let flushed = find(&calls, "flush of the root", |text| flush_of(text, &root));
    let answered = find(&calls, "answer", answer);
    assert!(flushed.ended < answered.began, "{calls:#?}");
}

#[test]
fn a_duplicate_is_answered_after_what_stands_there_is_flushed() {
    if !has("strace", "--version", "the flush of duplicates") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("store");
    fs::create_dir_all(&root).unwrap();
    // Whoever put it there may not have flushed it.
    fs::write(root.join("a.bin"), "body").unwrap();
    let calls = traced(&root, |serve| {
        assert!(serve.exchange(b"a.bin 4\nbody").starts_with("OK a.bin 4 "));
    });
    let answered = find(&calls, "answer", answer);
    for path in [root.join("a.bin"), root.clone()] {
        let flushed = find(&calls, "flush of what stands there", |text| flush_of(text, &path));
        assert!(flushed.ended < answered.began, "{calls:#?}");
    }
}

#[test]
fn a_commit_that_is_only_cached_flushes_nothing_and_says_so() {
    if !has("strace", "--version", "commits without a flush") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("store");
    let mut strace = Command::new("strace");
    strace.env("TIDEGATE__SINK__FS__DURABILITY", "cache");
    let (calls, start) = trace(strace, &root, |serve| {
        for id in ["u1", "u2"] {
            let put = format!("{{\"op\":\"put\",\"id\":\"{id}\",\"name\":\"one/a.bin\",\"size\":4}}\nbody");
            let answer = serve.exchange(put.as_bytes());
            assert!(answer.contains("\"durability\":\"cache\""), "{answer}");
        }
    });
    let flushes: Vec<_> = calls[start..].iter().filter(|call| call.text.contains("sync(")).collect();
    assert!(flushes.is_empty(), "{flushes:#?}");
}

/// Lets every flush of a running server fail, until dropped.
struct BrokenDisk(Child);

impl BrokenDisk {
    fn under(serve: &Serve) -> Self {
        let pid = serve.pid().to_string();
        let mut child = Command::new("strace")
            .args(["-f", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO", "-p", &pid])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        let attached = said.next().unwrap().unwrap();
        assert!(attached.contains("attached"), "{attached}");
        std::thread::spawn(move || said.for_each(drop));
        Self(child)
    }
}

impl Drop for BrokenDisk {
    fn drop(&mut self) {
        // Asked to end, it leaves the server running.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn a_flush_that_fails_makes_the_store_read_only() {
    if !has("strace", "--version", "flushes that fail") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::below(&folder.path().join("store"));
    assert!(serve.exchange(b"before.bin 4\nbody").starts_with("OK "));
    assert!(serve.get("/readyz").starts_with("HTTP/1.1 200 "));
    let broken = BrokenDisk::under(&serve);
    let answer = serve.exchange(b"a.bin 4\nbody");
    assert!(answer.starts_with("ERR store ") && !answer.contains("flushing"), "{answer}");
    drop(broken);
    // The disk seems well again; what it said before can't be believed any more.
    let answer = serve.exchange(b"b.bin 4\nbody");
    assert!(answer.starts_with("ERR store "), "{answer}");
    assert_eq!(serve.visible(), [Path::new("before.bin")]);
    until("the store to be unready", || {
        let ready = serve.get("/readyz");
        ready.starts_with("HTTP/1.1 503 ") && ready.contains("read-only since flushing")
    });
    assert!(serve.staged().is_empty());
}
