//! Tries again what may be tried again, over one connection that it keeps for the next file.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use super::outcome::unreadable;
use super::{Attempt, Body, Client, Look, Options, Outcome, Source, Trail, Upload};
use crate::error::{ErrorKind, Result};
use crate::upload::UploadId;

/// Bytes by which a try has to find more at the server than those before it, to count as the first: a server that
/// claims a byte more each time is not tried for ever.
const PROGRESS_BYTES: u64 = 64 << 10;

/// How often a file is tried, and how long it waits in between.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries, the first one included; none counts as one.
    pub attempts: u32,
    /// The longest wait before the second try; it doubles from try to try.
    pub first_wait: Duration,
    /// What the wait does not grow beyond.
    pub max_wait: Duration,
    /// How long a file that changed while it was read must stay unchanged before it is tried again.
    pub settle: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        let [first_wait, max_wait] = [Duration::from_millis(500), Duration::from_secs(30)];
        Self { attempts: 9, first_wait, max_wait, settle: Duration::from_secs(1) }
    }
}

impl Retry {
    /// The wait behind try number `attempt`, counted from 1: half of it certain, half of it by chance, so that senders that
    /// were cut off together do not come back together ("Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
    fn wait(&self, attempt: u32) -> Duration {
        let doublings = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let longest = self.first_wait.saturating_mul(doublings).min(self.max_wait);
        // The standard library's only source of chance: the keys of its hash maps.
        let chance = u32::try_from(RandomState::new().build_hasher().finish() >> 32).unwrap_or(u32::MAX);
        longest / 2 + longest.mul_f64(f64::from(chance) / f64::from(u32::MAX) / 2.0)
    }
}

/// What a sender tells while it works on a file.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// So many bytes of the file are behind; the number falls where a try starts again.
    Sent(u64),
    /// A try failed, and the next one comes after a wait.
    Waiting {
        /// What went wrong.
        why: &'a str,
        /// How long the wait is.
        wait: Duration,
    },
    /// What the server has kept is of no use: the file is sent from its first byte.
    Anew {
        /// What went wrong.
        why: &'a str,
    },
}

/// How the sending of a file went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What became of it.
    pub outcome: Outcome,
    /// Bytes of it that went out, in all tries.
    pub sent_bytes: u64,
    /// Where sending went on at what the server had kept; 0 where it had kept nothing.
    pub resumed_at: u64,
}

impl Delivery {
    /// Of a file that was not even sent.
    pub fn of_nothing(outcome: Outcome) -> Self {
        Self { outcome, sent_bytes: 0, resumed_at: 0 }
    }
}

/// Sends files to one server, one after another, and does not give a file up at the first failure.
#[derive(Debug)]
pub struct Sender {
    address: String,
    options: Options,
    retry: Retry,
    client: Option<Client>,
    /// Whether no try for the last file came to a connection: the next file gets one try.
    unreachable: bool,
}

/// A file on its way.
#[derive(Debug)]
struct Journey<'a> {
    upload: Upload,
    /// How the next try begins.
    attempt: Attempt,
    source: &'a mut Source,
    /// The state of the file that the upload's id stands for.
    look: Option<Look>,
    trail: Trail,
    /// Whether a try has come to a connection.
    tried: bool,
}

impl Sender {
    /// A sender to `address`, as `host:port`, that connects when the first file is sent.
    pub fn new(address: impl Into<String>, options: Options, retry: Retry) -> Self {
        Self { address: address.into(), options, retry, client: None, unreachable: false }
    }

    /// Sends a file until it is committed or rejected, or fails in a way that does not pass, or all tries are used up; a try
    /// that comes to find more of it at the server than any before counts as the first. `first` is how the first one begins.
    ///
    /// What is committed is of one state of the file: one that changes while it is read is given up before its end, and tried
    /// again if it then stays unchanged for [`Retry::settle`].
    pub async fn send(
        &mut self,
        upload: &Upload,
        first: Attempt,
        source: &mut Source,
        mut told: impl FnMut(Step<'_>),
    ) -> Delivery {
        let attempts = if self.unreachable { 1 } else { self.retry.attempts.max(1) };
        self.unreachable = true;
        let look = source.last_look();
        let trail = Trail::default();
        let mut journey = Journey { upload: upload.clone(), attempt: first, source, look, trail, tried: false };
        let mut attempt = 1;
        let mut reached = 0;
        let mut may_begin_anew = true;
        loop {
            let outcome = self.attempt(&mut journey, &mut told).await;
            if may_begin_anew && let Some(why) = journey.of_something_else(&outcome) {
                may_begin_anew = false;
                told(Step::Anew { why });
                journey.begin_anew();
                continue;
            }
            let Outcome::Failed { retry: true, message, .. } = &outcome else { return journey.end(outcome) };
            if journey.trail.resumed_at >= reached + PROGRESS_BYTES {
                reached = journey.trail.resumed_at;
                attempt = 1;
            }
            if attempt >= attempts || !journey.source.is_whole() {
                return journey.end(outcome);
            }
            let wait = if outcome.is_changed() { self.retry.settle } else { self.retry.wait(attempt) };
            told(Step::Waiting { why: message, wait });
            if !outcome.is_changed() {
                tokio::time::sleep(wait).await;
            } else if let Some(outcome) = journey.unsettled(outcome, wait).await {
                return journey.end(outcome);
            }
            attempt += 1;
        }
    }

    /// One try.
    async fn attempt(&mut self, journey: &mut Journey<'_>, told: &mut impl FnMut(Step<'_>)) -> Outcome {
        // A server may close a connection between two files, which is no failure of the second.
        if let Some(kept) = self.client.take() {
            match self.put(kept, journey, told).await {
                Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Incomplete) && journey.source.is_whole() => {
                }
                done => return done.unwrap_or_else(|error| Outcome::failed(&error)),
            }
        }
        match Client::connect(&self.address, &self.options).await {
            Ok(client) => self.put(client, journey, told).await.unwrap_or_else(|error| Outcome::failed(&error)),
            Err(error) => Outcome::failed(&error),
        }
    }

    /// One try over one connection, which is kept where it can be used again. It belongs to this call until then, so that a
    /// call that is cancelled leaves no connection behind in the middle of a file.
    async fn put(
        &mut self,
        mut client: Client,
        journey: &mut Journey<'_>,
        told: &mut impl FnMut(Step<'_>),
    ) -> Result<Outcome> {
        self.unreachable = false;
        let mut body = match journey.source.open().await {
            Ok(body) => body,
            Err(cause) => {
                self.client = Some(client);
                return Ok(unreadable(&journey.upload, cause));
            }
        };
        let Journey { upload, attempt, trail, tried, .. } = journey;
        if journey.look.is_some_and(|before| Some(before) != body.look()) {
            // What the server may have kept is of another content, and so is the id.
            if *tried {
                told(Step::Anew { why: "it has changed since the last try" });
            }
            (upload.id, *attempt) = (UploadId::generate(), Attempt::First);
            trail.begin_anew();
        }
        (journey.look, *tried) = (body.look(), true);
        let attempt = std::mem::replace(attempt, Attempt::Again);
        let outcome = client.put(upload, attempt, &mut body, trail, |sent| told(Step::Sent(sent))).await;
        self.client = Some(client).filter(|client| outcome.is_ok() && client.is_usable());
        match outcome {
            Ok(Outcome::Committed(receipt)) => Ok(Outcome::Committed(receipt)),
            other => blame(upload, &mut body, other).await,
        }
    }
}

/// What became of a file that is not committed: where it has changed, nothing that was said of it counts.
async fn blame(upload: &Upload, body: &mut Body<'_>, outcome: Result<Outcome>) -> Result<Outcome> {
    match body.change().await {
        Ok(Some(change)) => Ok(Outcome::changed(upload, change)),
        Ok(None) | Err(_) => outcome,
    }
}

impl Journey<'_> {
    /// Why what the server has kept is not of this file, where that is what went wrong: it was changed and kept its looks.
    fn of_something_else<'o>(&self, outcome: &'o Outcome) -> Option<&'o str> {
        let (Outcome::Rejected { code, message, .. } | Outcome::Failed { code, message, .. }) = outcome else { return None };
        let mismatch = [ErrorKind::DigestMismatch, ErrorKind::SizeMismatch].iter().any(|kind| kind.code() == code);
        (mismatch && self.trail.server_had > 0 && self.source.is_whole()).then_some(message)
    }

    /// Drops what the server has kept.
    fn begin_anew(&mut self) {
        self.attempt = Attempt::First;
        self.trail.begin_anew();
    }

    /// Waits until a file that has changed could be sent again; what becomes of it where it does not stay as it is.
    async fn unsettled(&mut self, outcome: Outcome, settle: Duration) -> Option<Outcome> {
        match self.source.is_settled(settle).await {
            Ok(true) => None,
            Ok(false) => {
                let settle = humantime::format_duration(settle);
                let remedy = "send it once it is whole, or write it under another name and rename it then";
                Some(outcome.with_suffix(&format!(", and has changed again within {settle}: {remedy}")))
            }
            Err(cause) => Some(unreadable(&self.upload, cause)),
        }
    }

    fn end(self, outcome: Outcome) -> Delivery {
        let Trail { sent_bytes, resumed_at, .. } = self.trail;
        Delivery { outcome, sent_bytes, resumed_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_its_bound_and_is_never_less_than_half_of_it() {
        let retry = Retry {
            attempts: 5,
            first_wait: Duration::from_millis(100),
            max_wait: Duration::from_secs(1),
            ..Retry::default()
        };
        for (attempt, longest) in [(1, 100), (2, 200), (4, 800), (5, 1000), (40, 1000), (u32::MAX, 1000)] {
            for _ in 0..100 {
                let wait = retry.wait(attempt);
                let longest = Duration::from_millis(longest);
                assert!((longest / 2..=longest).contains(&wait), "{attempt}: {wait:?}");
            }
        }
    }
}
