//! What became of the files: how many, how long they took, and what went wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::error::{Error, ErrorKind};

/// Significant digits of a latency.
const DIGITS: u8 = 3;

/// Messages of each kind of failure that are kept to be shown.
const MESSAGES_KEPT: usize = 3;

/// Where all connections write down what became of their files.
#[derive(Debug)]
pub(super) struct Book(Mutex<Tally>);

/// What became of the files so far.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) begun: u64,
    pub(super) committed: u64,
    pub(super) committed_bytes: u64,
    /// Microseconds, for each size of the mix.
    pub(super) latencies: Vec<Histogram<u64>>,
    /// Files by what their receipts promise; plain receipts promise nothing in words.
    pub(super) durability: BTreeMap<String, u64>,
    /// By code.
    pub(super) failures: BTreeMap<String, Failures>,
    /// Connections that could not be made; nobody went on in their place.
    pub(super) connections_given_up: u64,
}

/// Files that failed for one reason.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Failures {
    pub(super) files: u64,
    /// The first of them that differ.
    pub(super) messages: Vec<String>,
}

/// Why a file has no receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    code: Cow<'static, str>,
    message: String,
}

/// What a receipt says beyond that the file is there.
#[derive(Debug, Default)]
pub(super) struct Receipt<'a> {
    pub(super) durability: Option<&'a str>,
}

impl Book {
    pub(super) fn new(classes: usize) -> Self {
        let histogram = Histogram::new(DIGITS).expect("so many digits are allowed");
        Self(Mutex::new(Tally {
            begun: 0,
            committed: 0,
            committed_bytes: 0,
            latencies: vec![histogram; classes],
            durability: BTreeMap::new(),
            failures: BTreeMap::new(),
            connections_given_up: 0,
        }))
    }

    pub(super) fn begun(&self) {
        self.tally().begun += 1;
    }

    /// A file of this class and size has its receipt.
    pub(super) fn committed(&self, class: usize, bytes: u64, took: Duration, receipt: &Receipt<'_>) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let mut tally = self.tally();
        tally.committed += 1;
        tally.committed_bytes += bytes;
        tally.latencies[class].record(micros).expect("it grows as it must");
        if let Some(durability) = receipt.durability {
            match tally.durability.get_mut(durability) {
                Some(files) => *files += 1,
                None => _ = tally.durability.insert(durability.to_owned(), 1),
            }
        }
    }

    pub(super) fn failed(&self, failure: &Failure) {
        self.tally().add(1, failure);
    }

    /// Nobody waits any more: what became of all files; what is still on its way has no receipt.
    pub(super) fn close(&self) -> Tally {
        let mut tally = self.tally();
        let failed: u64 = tally.failures.values().map(|failures| failures.files).sum();
        let on_their_way = tally.begun - tally.committed - failed;
        if on_their_way > 0 {
            tally.add(on_their_way, &Failure::new(ErrorKind::Aborted, "their receipts have not been waited for"));
        }
        tally.clone()
    }

    pub(super) fn gave_up_connecting(&self) {
        self.tally().connections_given_up += 1;
    }

    /// Files and bytes that have their receipts.
    pub(super) fn progress(&self) -> (u64, u64) {
        let tally = self.tally();
        (tally.committed, tally.committed_bytes)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        // Numbers are never half-written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Codes that are told apart: a server may say whatever it likes.
const CODES_KEPT: usize = 64;

impl Tally {
    fn add(&mut self, files: u64, failure: &Failure) {
        let is_known = self.failures.len() < CODES_KEPT || self.failures.contains_key(failure.code.as_ref());
        let code = if is_known { failure.code.clone().into_owned() } else { "others".to_owned() };
        let failures = self.failures.entry(code).or_default();
        failures.files += files;
        if failures.messages.len() < MESSAGES_KEPT && !failures.messages.contains(&failure.message) {
            failures.messages.push(failure.message.clone());
        }
    }

    /// Microseconds of all files.
    pub(super) fn all_latencies(&self) -> Histogram<u64> {
        let mut all = Histogram::new(DIGITS).expect("so many digits are allowed");
        self.latencies.iter().for_each(|latencies| all.add(latencies).expect("it grows as it must"));
        all
    }
}

impl Failure {
    pub(super) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { code: kind.code().into(), message: message.into() }
    }

    /// What the server said.
    pub(super) fn told(code: &str, message: &str) -> Self {
        Self { code: code.to_owned().into(), message: message.to_owned() }
    }

    /// The same with the name of the file in front.
    pub(super) fn of(&self, name: &str) -> Self {
        Self { code: self.code.clone(), message: format!("{name}: {}", self.message) }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string())
    }
}
