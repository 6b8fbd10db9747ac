//! Connection slots: senders that hold connections, and send next to nothing.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::common::serve::until;
use crate::harness::{Attacker, GoodSender, MIB, Setup, Victim, Watch, read_line};

/// Slots of the victim, all of which the attackers take.
const SLOTS: u32 = 32;

/// As the attackers come from two addresses, each takes as many connections as one may have.
const ATTACKERS: [&str; 2] = ["127.0.0.2", "127.0.0.3"];
const PER_ADDRESS: u32 = SLOTS / 2;

/// The pause between two bytes: too short for any deadline of the server to end a connection.
const DRIP: Duration = Duration::from_secs(1);

/// Its slots are few, so that a test needs no thousands of sockets; all else is the default.
fn victim() -> Setup {
    Setup::new().set("limits.max_connections", SLOTS).set("limits.max_connections_per_address", PER_ADDRESS)
}

/// Connections that each send `begins`, then a byte every [`DRIP`], and connect again whenever the
/// server closes one.
struct Drips {
    stop: Arc<AtomicBool>,
    closed: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl Drips {
    fn start(victim: &Victim, begins: &'static [u8]) -> Self {
        let (stop, closed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let server = victim.serve.address.parse().unwrap();
        let drip = |address: &'static str| {
            let (stop, closed) = (Arc::clone(&stop), Arc::clone(&closed));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Ok(mut attacker) = Attacker::reach(server, address) else { continue };
                    attacker.send(begins);
                    let mut stream = attacker.into_stream(Duration::from_millis(100));
                    let mut dripped = Instant::now();
                    while !stop.load(Ordering::Relaxed) && is_open(&mut stream) {
                        if dripped.elapsed() >= DRIP {
                            // Where the server has closed it, the next read says so.
                            let _ = stream.write_all(b"x");
                            dripped = Instant::now();
                        }
                    }
                    closed.fetch_add(1, Ordering::Relaxed);
                }
            })
        };
        let threads = ATTACKERS.iter().flat_map(|address| (0..PER_ADDRESS).map(|_| drip(address))).collect();
        Self { stop, closed, threads }
    }

    /// How often the server has closed one.
    fn closed(&self) -> usize {
        self.closed.load(Ordering::Relaxed)
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

/// Whether the server has neither answered nor closed within the deadline of the socket.
fn is_open(stream: &mut TcpStream) -> bool {
    use std::io::{ErrorKind, Read};
    matches!(stream.read(&mut [0; 512]), Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
}

/// An upload at a modest and steady rate, of 4 KiB a second; its answer.
fn steady(victim: &Victim) -> JoinHandle<String> {
    let mut sender = Attacker::connect_from(victim, "127.0.0.8");
    std::thread::spawn(move || {
        let size = 10 * 4096;
        sender.send(format!("steady.bin {size}\n").as_bytes());
        for _ in 0..size / 1024 {
            std::thread::sleep(Duration::from_millis(250));
            sender.send(&[b'x'; 1024]);
        }
        sender.line().unwrap_or_default()
    })
}

#[test]
fn uploads_that_drip_give_their_slots_to_other_senders() {
    let victim = victim().start();
    let watch = Watch::over(&victim);
    let steady = steady(&victim);
    let drips = Drips::start(&victim, b"drip.bin 1000000\nx");
    until("the attackers' uploads", || victim.metric("tidegate_uploads_in_flight", &[]) >= f64::from(SLOTS) - 2.0);
    let good = GoodSender::beside_from(&victim, "127.0.0.9");
    good.commits(60);
    let answer = steady.join().unwrap();
    assert!(answer.starts_with("OK steady.bin 40960 "), "{answer}");
    good.commits(20);
    assert!(drips.closed() > 0);
    assert!(victim.serve.get("/readyz").contains("\r\n\r\nready"));
    drips.stop();
    good.assert_unharmed();
    watch.assert_peak_below(64 * MIB);
    watch.assert_back();
    let ended = victim.ended("too_slow");
    assert!(ended.ledger > 0, "{ended:?}");
    victim.logs("too_slow");
    assert!(victim.is_alive());
}

#[test]
fn headers_that_drip_give_their_slots_to_other_senders() {
    for begins in [b"dri".as_slice(), b"{\"op\":"] {
        let victim = victim().set("limits.header_timeout", "10m").start();
        let drips = Drips::start(&victim, begins);
        until("the attackers", || victim.metric("tidegate_connections", &[]) >= f64::from(SLOTS));
        let good = GoodSender::beside_from(&victim, "127.0.0.9");
        good.commits(40);
        drips.stop();
        good.assert_unharmed();
        victim.logs("too_slow");
    }
}

#[test]
fn connections_without_an_upload_give_their_slots_to_other_senders() {
    let victim = victim().set("limits.idle_timeout", "10m").start();
    let mut idle = Vec::new();
    for address in ATTACKERS {
        for _ in 0..PER_ADDRESS {
            let mut attacker = Attacker::connect_from(&victim, address);
            attacker.send(b"{\"op\":\"hello\",\"version\":1}\n");
            let mut stream = attacker.into_stream(Duration::from_secs(30));
            assert!(read_line(&mut stream).unwrap().contains("\"hello\""));
            idle.push(stream);
        }
    }
    let good = GoodSender::beside_from(&victim, "127.0.0.9");
    good.commits(40);
    good.assert_unharmed();
    let refused = victim.metric("tidegate_connections_refused_total", &[("reason", "busy")]);
    assert!(refused > 0.0);
}

#[test]
fn silent_connections_take_no_slot() {
    let victim = victim().set("limits.header_timeout", "10m").start();
    let connect = |address| (0..PER_ADDRESS).map(move |_| address);
    let silent: Vec<_> =
        ATTACKERS.into_iter().flat_map(connect).map(|address| Attacker::connect_from(&victim, address)).collect();
    until("the silent connections", || victim.metric("tidegate_connections", &[]) >= f64::from(SLOTS));
    let good = GoodSender::beside_from(&victim, "127.0.0.9");
    good.commits(40);
    good.assert_unharmed();
    drop(silent);
}
