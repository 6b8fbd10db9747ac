//! Attacks on the admin listener: connections that are held, and questions whose answer nobody
//! waits for.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

use crate::common::bucket::Bucket;
use crate::common::faulty_store::{FaultyStore, How, Op};
use crate::common::minio::Minio;
use crate::common::serve::{DEADLINE, until};
use crate::harness::{Attacker, GoodSender, MIB, SLOWNESS, Setup, Victim, Watch, raise_open_files_limit};

/// More than the descriptors that the server may have.
const HALF_OPEN: usize = 1100;

/// The longest that a monitoring system waits for an answer.
const BOUND: Duration = Duration::from_secs(2).saturating_mul(SLOWNESS);

const ATTACKER: &str = "127.0.0.2";

impl Victim {
    fn admin(&self) -> SocketAddr {
        self.serve.admin.parse().unwrap()
    }

    /// Asks for a page from an address, as a monitoring system does.
    fn ask(&self, page: &str, from: &str) -> String {
        let start = Instant::now();
        let mut client = Attacker::reach(self.admin(), from).unwrap();
        client.send(format!("GET {page} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        let answer = client.rest();
        assert!(start.elapsed() <= BOUND, "{page} took {:?}", start.elapsed());
        answer
    }
}

/// Ends an attack, also where the test fails meanwhile.
struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn half_open_requests_to_the_admin_port_keep_nobody_out() {
    raise_open_files_limit();
    let victim = Setup::new().shell("ulimit -n 1024").start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let open = || {
        let mut half = Attacker::reach(victim.admin(), ATTACKER)?;
        half.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n");
        std::io::Result::Ok(half)
    };
    let mut held: Vec<_> = (0..HALF_OPEN).map(|_| open().unwrap()).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let stopping = Stopping(&stop);
        // The attack goes on, as fast as it can, from one address.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // Its own ports may run out.
                held.extend(open());
                held.truncate(HALF_OPEN);
                held.rotate_right(1);
            }
        });
        good.commits(20);
        for page in ["/healthz", "/readyz", "/metrics"] {
            let answer = victim.ask(page, "127.0.0.1");
            assert!(answer.starts_with("HTTP/1.1 200 "), "{page}: {answer}");
        }
        drop(stopping);
    });
    // A client that shares the attacker's address gets through, too, where the attacker only holds
    // what it
    // has.
    for page in ["/healthz", "/readyz"] {
        let answer = victim.ask(page, ATTACKER);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{page}: {answer}");
    }
    good.assert_unharmed();
    watch.assert_peak_below(watch.memory + 64 * MIB);
    victim.logs("admin connections exhausted");
    assert!(victim.metric("tidegate_admin_connections_closed_total", &[("reason", "surplus")]) >= 1000.0);
    drop(held);
    watch.assert_back();
}

#[test]
fn metrics_that_nobody_reads_are_given_up() {
    let victim = Setup::new().start();
    let watch = Watch::over(&victim);
    let good = GoodSender::beside(&victim);
    let unread: Vec<_> = (0..100)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(1).unwrap();
            socket.connect(&victim.admin().into()).unwrap();
            let mut stream = TcpStream::from(socket);
            // Some are closed for the next ones already.
            let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
            stream
        })
        .collect();
    assert!(victim.ask("/healthz", "127.0.0.1").starts_with("HTTP/1.1 200 "));
    good.commits(10);
    good.assert_unharmed();
    watch.assert_back();
    drop(unread);
}

/// A server over a bucket, and the bucket behind a proxy that a test can make slow.
struct SlowBucket {
    runtime: tokio::runtime::Runtime,
    _store: FaultyStore,
    /// The same bucket without the delay.
    bucket: Bucket,
    victim: Victim,
}

impl SlowBucket {
    /// The first probe is over, and every request to the store takes a second from here on.
    fn start() -> Option<Self> {
        let minio = Minio::shared()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let bucket = runtime.block_on(minio.bucket());
        let store = runtime.block_on(FaultyStore::before(&bucket));
        let victim = Setup::new()
            .set("log.level", "warn,tidegate::server::sweeper=debug")
            .set("sink.kind", "s3")
            .set("sink.s3.endpoint", &store.bucket.endpoint)
            .set("sink.s3.bucket", &bucket.name)
            .set("sink.s3.region", "us-east-1")
            .set("sink.s3.access_key_id", &bucket.access_key_id)
            .set("sink.s3.secret_access_key", &bucket.secret_access_key)
            .set("sink.s3.allow_http", true)
            .start();
        let ready = victim.serve.get("/readyz");
        assert!(ready.starts_with("HTTP/1.1 200 "), "{ready}");
        // The sweep at the start writes an object, too.
        victim.logs("nothing to sweep up");
        for op in [Op::Put, Op::Note, Op::Look, Op::Open, Op::Part, Op::Complete, Op::Abort, Op::Other] {
            store.fail(op, How::DoneButLate(Duration::from_secs(1)), usize::MAX);
        }
        Some(Self { runtime, bucket, _store: store, victim })
    }

    /// Objects that probes have written and not deleted.
    fn left(&self) -> Vec<String> {
        let objects = self.runtime.block_on(self.bucket.list());
        objects.into_iter().filter(|path| path.contains(".tidegate/probe/")).collect()
    }

    fn ask_and_hang_up(&self) {
        let mut client = TcpStream::connect(self.victim.admin()).unwrap();
        client.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        // Long enough that the server has begun to answer, and not as long as the store takes.
        client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let _ = client.read(&mut [0; 1024]);
    }

    /// Asks until a probe has written an object.
    fn probe(&self) -> Vec<String> {
        let mut left = Vec::new();
        until("a probe", || {
            self.ask_and_hang_up();
            left = self.left();
            !left.is_empty()
        });
        left
    }
}

#[test]
fn requests_that_hang_up_leave_nothing_in_a_slow_store() {
    let Some(bucket) = SlowBucket::start() else { return };
    let mut written = std::collections::BTreeSet::new();
    written.extend(bucket.probe());
    for _ in 0..20 {
        bucket.ask_and_hang_up();
        written.extend(bucket.left());
    }
    assert_eq!(written.len(), 1, "one probe at a time: {written:?}");
    until("the end of the probe", || bucket.left().is_empty());
    assert!(bucket.victim.serve.get("/readyz").starts_with("HTTP/1.1 200 "), "a store that is slow is ready");
}

#[test]
fn a_server_that_stops_deletes_what_its_probe_wrote() {
    let Some(mut bucket) = SlowBucket::start() else { return };
    bucket.probe();
    let pid = rustix::process::Pid::from_child(&bucket.victim.serve.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let start = Instant::now();
    while bucket.victim.serve.child.try_wait().unwrap().is_none() {
        assert!(start.elapsed() < DEADLINE, "the server did not stop");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(bucket.left(), Vec::<String>::new());
}
