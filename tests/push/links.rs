//! Symbolic links in a folder that is pushed.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::fake::{Fake, Talk};
use crate::{folder_with, push};

/// A folder with a link to a file and one to a folder, both outside.
fn linked() -> TempDir {
    let folder = folder_with(&[("data/a", b"a"), ("data/b/c", b"c"), ("elsewhere/secret", b"secret")]);
    symlink("../elsewhere/secret", folder.path().join("data/file")).unwrap();
    symlink("../elsewhere", folder.path().join("data/folder")).unwrap();
    folder
}

/// Takes these files, in this order, and nothing more.
fn taking(files: &'static [(&str, &str)]) -> Fake {
    Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        for (name, bytes) in files {
            talk.take(name, bytes.as_bytes());
        }
        talk.closed();
    })
}

#[test]
fn links_in_a_folder_are_left_out_with_a_line_that_says_so() {
    let folder = linked();
    symlink("nowhere", folder.path().join("data/dangling")).unwrap();
    let server = taking(&[("data/a", "a"), ("data/b/c", "c")]);
    let told = push(folder.path(), &server.address, &["--jobs", "1", "data"]);
    told.ended(0);
    told.warned("skipped    data: 3 symbolic links (--follow-links follows them)\n");
    server.done();
}

#[test]
fn links_are_followed_where_it_is_asked_for() {
    let folder = linked();
    let server = taking(&[("data/a", "a"), ("data/b/c", "c"), ("data/file", "secret"), ("data/folder/secret", "secret")]);
    push(folder.path(), &server.address, &["--jobs", "1", "--follow-links", "data"]).ended(0);
    server.done();
}

#[test]
fn links_that_are_followed_do_not_lead_in_circles() {
    for (circle, target) in [("data/self", "."), ("data/b/up", "..")] {
        let folder = folder_with(&[("data/a", b"a"), ("data/b/c", b"c")]);
        symlink(target, folder.path().join(circle)).unwrap();
        let server = taking(&[("data/a", "a"), ("data/b/c", "c")]);
        let told = push(folder.path(), &server.address, &["--jobs", "1", "--retries", "0", "--follow-links", "data"]);
        told.ended(0);
        told.warned("skipped    data: 1 leading back to a folder that holds it\n");
        server.done();
    }
}

#[test]
fn a_link_that_is_named_is_meant() {
    let folder = linked();
    symlink("data/b", folder.path().join("today")).unwrap();
    let server = taking(&[("file", "secret"), ("today/c", "c")]);
    push(folder.path(), &server.address, &["--jobs", "1", "data/file", "today"]).ended(0);
    server.done();
}

#[test]
fn a_link_that_takes_the_place_of_a_file_is_not_followed() {
    for (victim, target) in [("data/b/c", "../../elsewhere/secret"), ("data/b", "../elsewhere")] {
        let folder = folder_with(&[("data/a", b"a"), ("data/b/c", b"c"), ("elsewhere/secret", b"1"), ("elsewhere/c", b"2")]);
        let root = folder.path().to_owned();
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept(listener);
            let id = talk.put("data/a");
            talk.body();
            fs::rename(root.join(victim), root.join("moved")).unwrap();
            symlink(target, root.join(victim)).unwrap();
            talk.commit(&id, "data/a", b"a");
            talk.closed();
        });
        let told = push(folder.path(), &server.address, &["--jobs", "1", "data"]);
        told.ended(1);
        told.warned("failed     data/b/c: reading \"data/b/c\": ");
        server.done();
    }
}
