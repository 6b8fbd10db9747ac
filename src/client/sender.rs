//! Tries again what may be tried again, over one connection that it keeps for the next file.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use crate::client::outcome::unreadable;
use crate::client::{Attempt, Client, Options, Outcome, Source, Upload};
use crate::error::{ErrorKind, Result};

/// How often a file is tried, and how long it waits in between.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// Tries, the first one included; none counts as one.
    pub attempts: u32,
    /// The longest wait before the second try; it doubles from try to try.
    pub first_wait: Duration,
    /// What the wait does not grow beyond.
    pub max_wait: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 5, first_wait: Duration::from_millis(500), max_wait: Duration::from_secs(30) }
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

impl Sender {
    /// A sender to `address`, as `host:port`, that connects when the first file is sent.
    pub fn new(address: impl Into<String>, options: Options, retry: Retry) -> Self {
        Self { address: address.into(), options, retry, client: None, unreachable: false }
    }

    /// Sends a file until it is committed or rejected, or fails in a way that does not pass, or all tries are used up.
    pub async fn send(&mut self, upload: &Upload, source: &mut Source, mut told: impl FnMut(Step<'_>)) -> Outcome {
        let attempts = if self.unreachable { 1 } else { self.retry.attempts.max(1) };
        let mut seen = Attempt::First;
        let mut attempt = 1;
        loop {
            let outcome = self.attempt(upload, &mut seen, source, |sent| told(Step::Sent(sent))).await;
            let Outcome::Failed { retry: true, message, .. } = &outcome else { return outcome };
            if attempt >= attempts || !source.is_whole() {
                self.unreachable = seen == Attempt::First;
                return outcome;
            }
            let wait = self.retry.wait(attempt);
            told(Step::Waiting { why: message, wait });
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// One try. `seen` becomes [`Attempt::Again`] once the server may have seen the upload.
    async fn attempt(
        &mut self,
        upload: &Upload,
        seen: &mut Attempt,
        source: &mut Source,
        mut progress: impl FnMut(u64),
    ) -> Outcome {
        // A server may close a connection between two files, which is no failure of the second.
        if let Some(kept) = self.client.take() {
            match self.put(kept, upload, seen, source, &mut progress).await {
                Err(error) if matches!(error.kind(), ErrorKind::Io | ErrorKind::Incomplete) && source.is_whole() => {}
                done => return done.unwrap_or_else(|error| Outcome::failed(&error)),
            }
        }
        match Client::connect(&self.address, &self.options).await {
            Ok(client) => {
                self.unreachable = false;
                self.put(client, upload, seen, source, progress).await.unwrap_or_else(|error| Outcome::failed(&error))
            }
            Err(error) => Outcome::failed(&error),
        }
    }

    /// One try over one connection, which is kept where it can be used again. It belongs to this call until then, so that a
    /// call that is cancelled leaves no connection behind in the middle of a file.
    async fn put(
        &mut self,
        mut client: Client,
        upload: &Upload,
        seen: &mut Attempt,
        source: &mut Source,
        progress: impl FnMut(u64),
    ) -> Result<Outcome> {
        let mut body = match source.open().await {
            Ok(body) => body,
            Err(cause) => {
                self.client = Some(client);
                return Ok(unreadable(upload, cause));
            }
        };
        let attempt = std::mem::replace(seen, Attempt::Again);
        let outcome = client.put(upload, attempt, &mut body, progress).await?;
        self.client = Some(client).filter(Client::is_usable);
        Ok(outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_doubles_up_to_its_bound_and_is_never_less_than_half_of_it() {
        let retry = Retry { attempts: 5, first_wait: Duration::from_millis(100), max_wait: Duration::from_secs(1) };
        for (attempt, longest) in [(1, 100), (2, 200), (4, 800), (5, 1000), (40, 1000), (u32::MAX, 1000)] {
            for _ in 0..100 {
                let wait = retry.wait(attempt);
                let longest = Duration::from_millis(longest);
                assert!((longest / 2..=longest).contains(&wait), "{attempt}: {wait:?}");
            }
        }
    }
}
