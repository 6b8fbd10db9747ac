//! A sender that does nothing wrong, beside those that do.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidegate::upload::Digest;

use super::attacker::{Attacker, read_line};
use super::{BOUND, Victim};
use crate::bombs::gzip;

/// How long [`GoodSender::commits`] waits in all.
const PATIENCE: Duration = Duration::from_mins(1);

/// Commits small files one after the other until it is stopped: in turns framed, on a connection
/// that it keeps, and plain, on a new connection each. Every third file is compressed, and so is
/// validated by a worker thread. Every answer, and what is then stored, must be right.
pub(crate) struct GoodSender {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    /// The time of each commit, or the first thing that went wrong.
    done: Mutex<Done>,
    changed: Condvar,
}

#[derive(Default)]
struct Done {
    took: Vec<Duration>,
    wrong: Option<String>,
}

impl GoodSender {
    pub(crate) fn beside(victim: &Victim) -> Self {
        Self::beside_from(victim, "127.0.0.1")
    }

    /// From an address of its own: any of 127.0.0.0/8.
    pub(crate) fn beside_from(victim: &Victim, address: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let server = victim.serve.address.parse().unwrap();
        let stored_in = victim.stored_in.clone();
        let sends = Sends { server, address: address.to_owned(), stored_in, kept: None };
        let theirs = Arc::clone(&shared);
        let thread = Some(std::thread::spawn(move || theirs.run(sends)));
        Self { shared, thread }
    }

    /// Waits until so many more commits are done: the time during which an attack must not harm.
    pub(crate) fn commits(&self, more: usize) {
        let start = Instant::now();
        let mut done = self.shared.done.lock().unwrap();
        let goal = done.took.len() + more;
        while done.took.len() < goal && done.wrong.is_none() {
            let left = PATIENCE.saturating_sub(start.elapsed());
            if left.is_zero() {
                let so_far = done.took.len();
                drop(done);
                panic!("only {so_far} of {goal} commits after {PATIENCE:?}");
            }
            done = self.shared.changed.wait_timeout(done, left).unwrap().0;
        }
        let wrong = done.wrong.as_ref().map(|wrong| format!("after {} commits: {wrong}", done.took.len()));
        drop(done);
        assert_eq!(wrong, None);
    }

    /// Stops; every commit was right, and in time. Gives back what they took, in order of size.
    pub(crate) fn assert_unharmed(mut self) -> Vec<Duration> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let done = std::mem::take(&mut *self.shared.done.lock().unwrap());
        if let Some(wrong) = done.wrong {
            panic!("after {} commits: {wrong}", done.took.len());
        }
        let mut took = done.took;
        took.sort();
        assert!(took.len() >= 10, "too few commits to judge by: {took:?}");
        // The index of the 99th percentile; of fewer than a hundred, the maximum.
        let p99 = took[(took.len() * 99).div_ceil(100) - 1];
        eprintln!(
            "good sender: {} commits, median {:?}, p99 {p99:?}, max {:?}",
            took.len(),
            took[took.len() / 2],
            took.last()
        );
        assert!(p99 <= BOUND, "a small commit took {p99:?} (p99 of {})", took.len());
        took
    }
}

impl Drop for GoodSender {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn run(&self, mut sends: Sends) {
        let mut number = 0;
        while !self.stop.load(Ordering::Relaxed) {
            let start = Instant::now();
            let sent = sends.commit(number);
            let took = start.elapsed();
            number += 1;
            let mut done = self.done.lock().unwrap();
            match sent {
                Ok(()) => done.took.push(took),
                Err(wrong) => done.wrong = Some(format!("{wrong} (after {took:?})")),
            }
            let failed = done.wrong.is_some();
            drop(done);
            self.changed.notify_all();
            if failed {
                return;
            }
            // A sender that sends all the time would be a load by itself.
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

struct Sends {
    server: SocketAddr,
    address: String,
    stored_in: PathBuf,
    /// The framed connection.
    kept: Option<TcpStream>,
}

impl Sends {
    fn commit(&mut self, number: usize) -> Result<(), String> {
        let mut name = format!("good/{number}.csv");
        let mut body = "time,place,value\n".to_owned();
        for row in 0..20 {
            writeln!(body, "{number},site-{row},{}", number * row).unwrap();
        }
        let mut body = body.into_bytes();
        if number.is_multiple_of(3) {
            name.push_str(".gz");
            body = gzip(&body);
        }
        let sent = if number.is_multiple_of(2) { self.framed(&name, &body) } else { self.plain(&name, &body) };
        let (told, answer) = sent.map_err(|error| format!("{name}: {error}"))?;
        let digest = Digest::of(&body).to_string();
        if !told || !answer.contains(&digest) {
            return Err(format!("{name} was answered {answer:?}"));
        }
        match fs::read(self.stored_in.join(&name)) {
            Ok(stored) if stored == body => Ok(()),
            stored => Err(format!("{name} has a receipt, and is stored as {stored:?}")),
        }
    }

    fn framed(&mut self, name: &str, body: &[u8]) -> std::io::Result<(bool, String)> {
        if self.kept.is_none() {
            self.kept = Some(Attacker::reach(self.server, &self.address)?.into_stream(PATIENCE));
        }
        let stream = self.kept.as_mut().unwrap();
        let put = format!("{{\"op\":\"put\",\"name\":\"{name}\",\"size\":{}}}\n", body.len());
        stream.write_all(&[put.as_bytes(), body].concat())?;
        let answer = read_line(stream).unwrap_or_default();
        Ok((answer.contains("\"event\":\"committed\""), answer))
    }

    fn plain(&self, name: &str, body: &[u8]) -> std::io::Result<(bool, String)> {
        let mut stream = Attacker::reach(self.server, &self.address)?.into_stream(PATIENCE);
        stream.write_all(&[format!("{name} {}\n", body.len()).as_bytes(), body].concat())?;
        let answer = read_line(&mut stream).unwrap_or_default();
        Ok((answer.starts_with(&format!("OK {name} {} ", body.len())), answer))
    }
}
