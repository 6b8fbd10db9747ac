//! The book: every upload that was tried, and every receipt, written down before it counts.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::common::chance::Chance;
use crate::files::{Job, Sizes};

/// From here on, no large files are begun.
const MANY_BYTES: u64 = 2 << 30;

/// What a server has answered to a whole upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It lies under this key.
    Receipt { key: String, duplicate: bool },
    /// The file is at fault.
    Rejected { code: String },
}

/// An upload: all the tries of one sender for one file.
#[derive(Debug, Clone)]
pub(crate) struct Upload {
    pub(crate) job: Job,
    pub(crate) begun: Instant,
    /// Whether the answer to a try was lost: it may take effect later, as long as its server lives.
    pub(crate) has_lost_answers: bool,
    /// Absent while it is under way, and where its sender has left.
    pub(crate) answer: Option<(Answer, Instant)>,
    pub(crate) is_under_way: bool,
}

#[derive(Debug)]
pub(crate) struct Book {
    pages: Mutex<Pages>,
    pub(crate) resumed: AtomicU64,
}

#[derive(Debug)]
struct Pages {
    uploads: Vec<Upload>,
    bytes: u64,
    /// For people, where a test has failed.
    diary: File,
    began: Instant,
}

impl Book {
    pub(crate) fn new(folder: &Path) -> Self {
        let diary = File::create(folder.join("book")).unwrap();
        let pages = Pages { uploads: Vec::new(), bytes: 0, diary, began: Instant::now() };
        Self { pages: Mutex::new(pages), resumed: AtomicU64::new(0) }
    }

    /// What is sent next: something new, something that others fight for, or what was sent before.
    pub(crate) fn next(&self, chance: &mut Chance) -> Job {
        let earlier = {
            let pages = self.pages.lock().unwrap();
            let picked = (!pages.uploads.is_empty()).then(|| chance.pick(&pages.uploads).clone());
            picked.filter(|upload| !upload.is_under_way)
        };
        let sizes = if self.pages.lock().unwrap().bytes < MANY_BYTES { Sizes::All } else { Sizes::Small };
        match (chance.within(0..10), earlier) {
            (0, Some(earlier)) => earlier.job,
            (1, Some(earlier)) => earlier.job.with_new_id(),
            (2, Some(earlier)) if earlier.answer.is_none() => earlier.job,
            (2..=5, _) => Job::contested(chance, sizes),
            (_, _) => Job::fresh(chance, sizes),
        }
    }

    /// An upload begins; its number.
    pub(crate) fn begin(&self, job: &Job) -> usize {
        let mut pages = self.pages.lock().unwrap();
        let job = job.clone();
        let upload = Upload { job, begun: Instant::now(), has_lost_answers: false, answer: None, is_under_way: true };
        pages.uploads.push(upload);
        let number = pages.uploads.len() - 1;
        pages.write(number, &"begins");
        number
    }

    /// A try has ended without an answer.
    pub(crate) fn lost(&self, number: usize, why: &str) {
        let mut pages = self.pages.lock().unwrap();
        pages.uploads[number].has_lost_answers = true;
        pages.write(number, &why);
    }

    /// The sender does not try again.
    pub(crate) fn leave(&self, number: usize) {
        let mut pages = self.pages.lock().unwrap();
        pages.uploads[number].is_under_way = false;
        pages.write(number, &"leaves");
    }

    pub(crate) fn answered(&self, number: usize, answer: Answer, bytes: usize) {
        let mut pages = self.pages.lock().unwrap();
        pages.write(number, &format!("{answer:?}"));
        if matches!(answer, Answer::Receipt { duplicate: false, .. }) {
            pages.bytes += bytes as u64;
        }
        let upload = &mut pages.uploads[number];
        upload.answer = Some((answer, Instant::now()));
        upload.is_under_way = false;
    }

    pub(crate) fn resumed(&self) {
        self.resumed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn uploads(&self) -> Vec<Upload> {
        self.pages.lock().unwrap().uploads.clone()
    }

    /// Bytes of the files that were committed.
    pub(crate) fn bytes(&self) -> u64 {
        self.pages.lock().unwrap().bytes
    }
}

impl Pages {
    fn write(&mut self, number: usize, what: &dyn std::fmt::Display) {
        let Job { name, content, digest, id } = &self.uploads[number].job;
        let at = self.began.elapsed().as_secs_f64();
        writeln!(self.diary, "{at:9.3} #{number} {name} {digest} {:?} {id}: {what}", content.kind).unwrap();
    }
}
