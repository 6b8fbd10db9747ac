//! Files that change while they are read: what is committed is one state of a file, or nothing.

use std::fs::{self, File, FileTimes};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tidegate::client::{Attempt, Delivery, Options, Outcome, Retry, Sender, Source, Step, Upload};

use crate::common::serve::Serve;
use crate::fake::{Fake, Talk};
use crate::resumes::large;
use crate::{folder_with, push, push_command};

/// A way in which a file becomes another one.
type Edit = fn(&Path);

const EDITS: [(&str, Edit); 6] = [
    ("was written to", |path| append(path, b"more")),
    ("was written to", |path| File::options().write(true).open(path).unwrap().set_len(2).unwrap()),
    ("was written to", |path| File::options().write(true).open(path).unwrap().write_all(b"9").unwrap()),
    ("was written to", |path| keeping_its_time(path, |path| File::create(path).unwrap().write_all(b"new!").unwrap())),
    ("was replaced", replace),
    ("was replaced", |path| {
        fs::rename(path, path.with_extension("old")).unwrap();
        fs::write(path, b"1,2\n").unwrap();
    }),
];

fn append(path: &Path, bytes: &[u8]) {
    File::options().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// As careful programs do it, here with the size and the time of the old file.
fn replace(path: &Path) {
    let draft = path.with_extension("draft");
    let (bytes, modified) = (fs::read(path).unwrap(), fs::metadata(path).unwrap().modified().unwrap());
    fs::write(&draft, vec![b'x'; bytes.len()]).unwrap();
    set_modified(&draft, modified);
    fs::rename(&draft, path).unwrap();
}

fn keeping_its_time(path: &Path, edit: Edit) {
    let modified = fs::metadata(path).unwrap().modified().unwrap();
    edit(path);
    set_modified(path, modified);
}

fn set_modified(path: &Path, modified: SystemTime) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_times(FileTimes::new().set_modified(modified)).unwrap();
}

/// Sends a file by the library, which calls `at` behind each chunk that has gone out.
fn send(path: &Path, to: &str, options: &Options, at: impl FnMut(u64)) -> Delivery {
    let upload = Upload::new("a.csv".parse().unwrap());
    send_as(&upload, Attempt::First, &mut Source::file(path), to, options, at)
}

fn send_as(
    upload: &Upload,
    first: Attempt,
    source: &mut Source,
    to: &str,
    options: &Options,
    mut at: impl FnMut(u64),
) -> Delivery {
    let retry = Retry { settle: Duration::from_millis(1), first_wait: Duration::from_millis(1), ..Retry::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Sender::new(to, options.clone(), retry).send(upload, first, source, |step| {
        if let Step::Sent(sent) = step {
            at(sent);
        }
    }))
}

/// An edit that is made once.
fn once(path: &Path, edit: Edit) -> impl FnMut(u64) + '_ {
    let mut edit = Some(edit);
    move |_| edit.take().into_iter().for_each(|edit| edit(path))
}

#[test]
fn whatever_happens_to_a_file_behind_its_last_byte_is_seen_before_the_end_is_sent() {
    for (number, (_, edit)) in EDITS.into_iter().enumerate() {
        let folder = folder_with(&[("a.csv", b"1,2\n")]);
        let path = folder.path().join("a.csv");
        let now = path.clone();
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept(listener);
            let torn = talk.put("a.csv");
            assert_eq!(talk.given_up(&torn)[..4], *b"1,2\n", "edit {number}");
            // What the server may have kept is of the old file, and so is the id.
            let id = talk.put("a.csv");
            assert_ne!(id, torn);
            let bytes = fs::read(&now).unwrap();
            talk.whole_body(b"", &bytes);
            talk.commit(&id, "a.csv", &bytes);
            talk.closed();
        });
        let delivery = send(&path, &server.address, &Options::default(), once(&path, edit));
        assert!(matches!(delivery.outcome, Outcome::Committed(_)), "edit {number}: {delivery:?}");
        server.done();
    }
}

#[test]
fn a_change_of_a_large_file_ends_it_long_before_its_end() {
    let bytes = large(64 << 20);
    for (what, edit) in EDITS {
        let folder = folder_with(&[("large", &bytes)]);
        let path = folder.path().join("large");
        let now = path.clone();
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept(listener);
            let torn = talk.put_asked("large");
            talk.chunk().unwrap();
            edit(&now);
            let came = talk.given_up(&torn).len();
            assert!(came < 40 << 20, "{came} bytes of a file that has changed were sent");
            let id = talk.put("large");
            assert_ne!(id, torn);
            let bytes = fs::read(&now).unwrap();
            talk.whole_body(b"", &bytes);
            talk.commit(&id, "large", &bytes);
        });
        let told = push(folder.path(), &server.address, &["--settle", "1ms", "large"]);
        told.ended(0);
        told.warned(&format!("waiting    large: \"large\" {what} while it was read; next try in 1ms\n"));
        server.done();
    }
}

#[test]
fn a_file_that_goes_on_changing_fails_and_nothing_of_it_is_committed() {
    let folder = folder_with(&[("a.csv", b"x,y\n")]);
    let serve = Serve::below(&folder.path().join("store"));
    let path = folder.path().join("a.csv");
    append(&path, &b"1,2\n".repeat(8 << 20));
    let done = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (path, done) = (path.clone(), Arc::clone(&done));
        move || {
            while !done.load(Ordering::Relaxed) {
                append(&path, b"3,");
                append(&path, b"4\n");
            }
        }
    });
    for form in ["--jobs=1", "--json"] {
        let told = push(folder.path(), &serve.address, &[form, "--settle", "300ms", "a.csv"]);
        told.ended(1);
        let message = "\"a.csv\" was written to while it was read, and has changed again within 300ms: ";
        if form == "--json" {
            let [line] = told.json().try_into().unwrap();
            assert_eq!((&line["outcome"], &line["code"]), (&json!("failed"), &json!("changed")), "{line}");
            assert!(line["message"].as_str().unwrap().starts_with(message), "{line}");
        } else {
            told.warned(&format!("failed     a.csv: {message}"));
            told.warned("rename it then [changed]\n");
        }
    }
    done.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert_eq!(serve.visible(), [] as [&Path; 0]);
    push(folder.path(), &serve.address, &["a.csv"]).ended(0);
    assert_eq!(fs::read(serve.root.join("a.csv")).unwrap(), fs::read(&path).unwrap());
}

#[test]
fn a_file_that_changes_in_every_try_is_tried_a_bounded_number_of_times() {
    let folder = folder_with(&[("large", &large(32 << 20))]);
    let path = folder.path().join("large");
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        for attempt in 0..3 {
            let id = if attempt == 0 { talk.put_asked("large") } else { talk.put("large") };
            talk.chunk().unwrap();
            append(&path, b"more");
            talk.given_up(&id);
        }
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--settle", "1ms", "--retries", "2", "large"]);
    told.ended(1);
    told.warned("failed     large: \"large\" was written to while it was read [changed]\n");
    server.done();
}

#[test]
fn a_file_that_is_gone_is_not_committed() {
    let folder = folder_with(&[("large", &large(32 << 20))]);
    let path = folder.path().join("large");
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put_asked("large");
        talk.chunk().unwrap();
        fs::remove_file(&path).unwrap();
        talk.given_up(&id);
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["--settle", "1ms", "large"]);
    told.ended(1);
    told.warned("waiting    large: \"large\" was removed while it was read; next try in 1ms\n");
    told.warned("failed     large: reading \"large\": No such file or directory");
    server.done();
}

#[test]
fn what_is_said_of_a_file_that_has_changed_does_not_count() {
    for answer in [
        json!({"event": "rejected", "code": "invalid", "message": "row has 1 field, the header has 2"}),
        json!({"event": "failed", "code": "no_space", "message": "disk full", "retry": false}),
    ] {
        let folder = folder_with(&[("large", &large(32 << 20))]);
        let path = folder.path().join("large");
        let server = Fake::play(move |listener| {
            let mut talk = Talk::accept(listener);
            let torn = talk.put_asked("large");
            talk.chunk().unwrap();
            fs::write(&path, b"now it is whole").unwrap();
            let mut answer: Value = answer;
            answer["id"] = json!(torn);
            talk.say(&answer);
            assert_eq!(talk.body().end, json!({"abort": true}));
            let id = talk.put("large");
            assert_ne!(id, torn);
            talk.whole_body(b"", b"now it is whole");
            talk.commit(&id, "large", b"now it is whole");
        });
        push(folder.path(), &server.address, &["--settle", "1ms", "large"]).ended(0);
        server.done();
    }
}

#[test]
fn the_receipt_of_an_earlier_try_is_not_one_of_a_file_that_has_changed() {
    let folder = folder_with(&[("large", &large(2 << 20))]);
    let path = folder.path().join("large");
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        let bytes = fs::read(&path).unwrap();
        let old = talk.put_again("large");
        // The client has the old file open, whose bytes are those of the receipt.
        replace(&path);
        talk.commit(&old, "large", &bytes);
        let id = talk.put("large");
        assert_ne!(id, old);
        let bytes = fs::read(&path).unwrap();
        talk.whole_body(b"", &bytes);
        talk.commit(&id, "large", &bytes);
    });
    let told = push(folder.path(), &server.address, &["--settle", "1ms", "large"]);
    told.ended(0);
    told.warned("waiting    large: \"large\" was replaced while it was read; ");
    server.done();
}

#[test]
fn an_id_that_stands_for_the_old_file_does_not_bring_the_new_one() {
    let folder = folder_with(&[("a.csv", b"old")]);
    let path = folder.path().join("a.csv");
    let upload = Upload::new("a.csv".parse().unwrap());
    let old = upload.id.to_string();
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        // Without "resume": what was kept under the old id is not gone on with.
        let id = talk.put("a.csv");
        assert_ne!(id, old);
        talk.whole_body(b"", b"new");
        talk.commit(&id, "a.csv", b"new");
    });
    let mut source = Source::file(&path);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(source.look()).unwrap().unwrap();
    keeping_its_time(&path, |path| fs::write(path, b"new").unwrap());
    let delivery = send_as(&upload, Attempt::Again, &mut source, &server.address, &Options::default(), |_| {});
    assert!(matches!(delivery.outcome, Outcome::Committed(_)), "{delivery:?}");
    server.done();
}

#[test]
fn what_changes_when_all_has_been_sent_is_of_no_concern() {
    let folder = folder_with(&[("a.csv", b"1,2\n")]);
    let path = folder.path().join("a.csv");
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a.csv");
        talk.whole_body(b"", b"1,2\n");
        append(&path, b"3,4\n");
        talk.commit(&id, "a.csv", b"1,2\n");
        talk.closed();
    });
    let told = push(folder.path(), &server.address, &["a.csv"]);
    told.ended(0);
    assert!(told.out.starts_with("committed  a.csv  4 B  "), "{}", told.out);
    server.done();
}

#[test]
fn a_server_that_does_not_answer_an_abort_is_left() {
    let folder = folder_with(&[("a.csv", b"1,2\n")]);
    let path = folder.path().join("a.csv");
    let server = Fake::play(move |listener| {
        let mut silent = Talk::accept(listener);
        silent.put("a.csv");
        assert_eq!(silent.body().end, json!({"abort": true}));
        Talk::accept(listener).take("a.csv", b"1,2\nmore");
        silent.closed();
    });
    let options = Options { abort_timeout: Duration::from_millis(20), ..Options::default() };
    let delivery = send(&path, &server.address, &options, once(&path, |path| append(path, b"more")));
    assert!(matches!(delivery.outcome, Outcome::Committed(_)), "{delivery:?}");
    server.done();
}

#[test]
fn a_named_pipe_in_the_place_of_a_file_is_not_waited_for() {
    let folder = folder_with(&[("a", b"1"), ("b", b"2")]);
    let path = folder.path().join("b");
    let server = Fake::play(move |listener| {
        let mut talk = Talk::accept(listener);
        let id = talk.put("a");
        talk.body();
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        talk.commit(&id, "a", b"1");
        talk.closed();
    });
    let told = push_command(folder.path(), &server.address, &["--jobs", "1", "a", "b"]).output().unwrap();
    let told = crate::Told::from(told);
    told.ended(1);
    told.warned("failed     b: reading \"b\": no regular file is in its place any more [io]\n");
    server.done();
}
