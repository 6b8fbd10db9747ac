//! Many hostile connections that send what the server takes, and then hold it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Attacker, Victim};
use crate::common::serve::until;

/// Connections of one kind, kept open by a thread until this is dropped. They never read an answer
/// unless they are [asked](Crowd::answers).
pub(crate) struct Crowd {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Vec<Attacker>>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    connected: AtomicUsize,
    /// Connections that have sent everything, or to which the server does not listen any more.
    sent: AtomicUsize,
}

impl Crowd {
    /// `count` connections that all send `bytes`.
    pub(crate) fn all_send(victim: &Victim, count: usize, bytes: Vec<u8>) -> Self {
        let bytes: Arc<[u8]> = bytes.into();
        Self::send(victim, count, move |_| Arc::clone(&bytes))
    }

    /// `count` connections, each of which sends its own `bytes`: a thousand from each address of
    /// this machine.
    pub(crate) fn send(victim: &Victim, count: usize, bytes: impl Fn(usize) -> Arc<[u8]> + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let (theirs, server) = (Arc::clone(&shared), victim.serve.address.parse().unwrap());
        let thread = std::thread::spawn(move || {
            let mut sockets = Vec::new();
            let mut pending = Vec::new();
            for number in 0..count {
                let address = format!("127.0.1.{}", 1 + number / 1000);
                let Ok(socket) = Attacker::reach(server, &address) else { break };
                pending.push((number, bytes(number), 0));
                sockets.push(socket);
                theirs.connected.fetch_add(1, Ordering::Relaxed);
                theirs.push(&mut sockets, &mut pending);
            }
            while !theirs.stop.load(Ordering::Relaxed) {
                theirs.push(&mut sockets, &mut pending);
                std::thread::sleep(Duration::from_millis(2));
            }
            sockets
        });
        Self { shared, thread: Some(thread) }
    }

    /// Waits until so many are connected.
    pub(crate) fn has_connected(&self, count: usize) {
        until("the attackers' connections", || self.shared.connected.load(Ordering::Relaxed) == count);
    }

    /// Waits until so many have sent everything, or are not listened to any more.
    pub(crate) fn has_sent(&self, count: usize) {
        until("the attack", || self.shared.sent.load(Ordering::Relaxed) == count);
    }

    /// Ends the attack: what the server says to each connection whose sending side ends now.
    pub(crate) fn answers(mut self) -> Vec<String> {
        let mut sockets = self.stop();
        sockets.iter_mut().for_each(Attacker::end);
        sockets.into_iter().map(Attacker::rest).collect()
    }

    fn stop(&mut self) -> Vec<Attacker> {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(|thread| thread.join().unwrap()).unwrap_or_default()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Sends what the system takes without waiting.
    fn push(&self, sockets: &mut [Attacker], pending: &mut Vec<(usize, Arc<[u8]>, usize)>) {
        pending.retain_mut(|(number, bytes, sent)| match sockets[*number].send_now(&bytes[*sent..]) {
            Ok(more) => {
                *sent += more;
                let all = *sent == bytes.len();
                self.sent.fetch_add(usize::from(all), Ordering::Relaxed);
                !all
            }
            Err(_closed) => {
                self.sent.fetch_add(1, Ordering::Relaxed);
                false
            }
        });
    }
}
