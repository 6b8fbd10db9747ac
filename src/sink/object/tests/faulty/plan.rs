//! Which requests fail, and how.

use std::cmp::Ordering;
use std::sync::atomic::Ordering::SeqCst;

use object_store::path::Path;
use object_store::{Error, Result};

use super::Faulty;

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Op {
    /// Of a file; not of a record.
    Put,
    /// Of whatever is written down beside the files.
    Note,
    Head,
    Get,
    List,
    Delete,
    Create,
    PutPart,
    Complete,
    Abort,
}

/// How it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Fault {
    /// Not done, and no answer.
    TimedOut,
    /// Not done: access denied.
    Refused,
    /// Not done: "not found".
    NotFound,
    /// Done, but no answer.
    DoneButTimedOut,
    /// Done; tried again by the client, which the store answers with "not found".
    DoneButNotFound,
    /// Done; tried again by the client, which the store answers with "already exists".
    DoneButTaken,
    /// Not done before the store is healed.
    Stuck,
}

/// The faults to come.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Calls to let pass, then the fault; once, or for ever.
    faults: Vec<(Op, usize, Fault, bool)>,
    /// Requests to let pass, what becomes of the next, and that all behind it fail.
    crash: Option<(usize, Fault)>,
    /// Requests so far.
    requests: usize,
}

impl Faulty {
    /// Lets `nth` calls pass, and fails the next.
    pub(in super::super) fn after(&self, nth: usize, op: Op, fault: Fault) {
        self.plan.lock().unwrap().faults.push((op, nth, fault, false));
    }

    /// Fails every call.
    pub(in super::super) fn always(&self, op: Op, fault: Fault) {
        self.plan.lock().unwrap().faults.push((op, 0, fault, true));
    }

    /// Lets `nth` requests of any kind pass; the next ends in `fault`, and all behind it come to
    /// nothing.
    pub(in super::super) fn crash_at(&self, nth: usize, fault: Fault) {
        let mut plan = self.plan.lock().unwrap();
        plan.crash = Some((plan.requests + nth, fault));
    }

    /// Whether a crash has been reached.
    pub(in super::super) fn has_crashed(&self) -> bool {
        let plan = self.plan.lock().unwrap();
        plan.crash.is_some_and(|(at, _)| plan.requests > at)
    }

    /// No fault any more.
    pub(in super::super) fn heal(&self) {
        let mut plan = self.plan.lock().unwrap();
        plan.faults.clear();
        plan.crash = None;
        drop(plan);
        self.healed.notify_waiters();
    }

    /// Requests so far.
    pub(in super::super) fn requests(&self) -> usize {
        self.plan.lock().unwrap().requests
    }

    /// Calls that are stuck.
    pub(in super::super) fn stuck(&self) -> usize {
        self.stuck.load(SeqCst)
    }

    /// Counts stuck calls anew.
    pub(in super::super) fn forget_stuck(&self) {
        self.stuck.store(0, SeqCst);
    }

    fn next_fault(&self, op: Op) -> Option<Fault> {
        let mut plan = self.plan.lock().unwrap();
        plan.requests += 1;
        if let Some((at, fault)) = plan.crash {
            match (plan.requests - 1).cmp(&at) {
                Ordering::Less => {}
                Ordering::Equal => return Some(fault),
                Ordering::Greater => return Some(Fault::TimedOut),
            }
        }
        let at = plan.faults.iter().position(|(of, ..)| *of == op)?;
        let (_, wait, fault, forever) = &mut plan.faults[at];
        if *wait > 0 {
            *wait -= 1;
            return None;
        }
        let (fault, forever) = (*fault, *forever);
        if !forever {
            plan.faults.remove(at);
        }
        Some(fault)
    }

    /// Does what `work` does, with the fault that is due.
    pub(super) async fn with_fault<T>(&self, op: Op, path: &Path, work: impl Future<Output = Result<T>>) -> Result<T> {
        let path = path.to_string();
        let timed_out = || Error::Generic { store: "Faulty", source: "operation timed out".into() };
        let fault = self.next_fault(op);
        match fault {
            None => return work.await,
            Some(Fault::TimedOut) => return Err(timed_out()),
            Some(Fault::Refused) => return Err(Error::PermissionDenied { path, source: "denied".into() }),
            Some(Fault::NotFound) => return Err(Error::NotFound { path, source: "NoSuchUpload".into() }),
            Some(Fault::Stuck) => {
                let healed = self.healed.notified();
                self.stuck.fetch_add(1, SeqCst);
                healed.await;
                return work.await;
            }
            Some(Fault::DoneButTimedOut | Fault::DoneButNotFound | Fault::DoneButTaken) => {}
        }
        work.await?;
        Err(match fault {
            Some(Fault::DoneButNotFound) => Error::NotFound { path, source: "NoSuchUpload".into() },
            Some(Fault::DoneButTaken) => Error::AlreadyExists { path, source: "taken".into() },
            _ => timed_out(),
        })
    }
}
