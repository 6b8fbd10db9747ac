//! Symbolic links in a folder that is pushed.

use std::fs;
use std::os::unix::fs::symlink;

use tempfile::TempDir;

use crate::fake::{Fake, Talk};
use crate::{folder_with, push};

/// A folder with a link to a file and one to a folder, both outside, one that leads nowhere, and two circles.
fn linked() -> TempDir {
    let folder = folder_with(&[("data/a", b"a"), ("data/b/c", b"c"), ("elsewhere/secret", b"secret")]);
    let data = folder.path().join("data");
    symlink("../elsewhere/secret", data.join("file")).unwrap();
    symlink("../elsewhere", data.join("folder")).unwrap();
    symlink("..", data.join("b/up")).unwrap();
    symlink(".", data.join("self")).unwrap();
    folder
}

#[test]
fn links_in_a_folder_are_left_out_with_a_line_that_says_so() {
    let folder = linked();
    symlink("nowhere", folder.path().join("data/dangling")).unwrap();
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.take("data/a", b"a");
        talk.take("data/b/c", b"c");
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--jobs", "1", "data"]);
    told.ended(0);
    told.warned("skipped    data: 5 symbolic links (--follow-links follows them)\n");
    server.done();
}

#[test]
fn links_are_followed_where_it_is_asked_for_and_circles_end() {
    let folder = linked();
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        for (name, bytes) in [("data/a", "a"), ("data/b/c", "c"), ("data/file", "secret"), ("data/folder/secret", "secret")]
        {
            talk.take(name, bytes.as_bytes());
        }
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--jobs", "1", "--follow-links", "data"]);
    told.ended(0);
    told.warned("skipped    data: 2 leading back to a folder that holds it\n");
    server.done();
}

#[test]
fn a_link_that_is_named_is_meant() {
    let folder = linked();
    symlink("data/b", folder.path().join("today")).unwrap();
    let server = Fake::play(|listener| {
        let mut talk = Talk::accept(listener);
        talk.take("file", b"secret");
        talk.take("today/c", b"c");
        talk.closed();
    });
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
