//! A server on a free port, and senders that say exactly what a test wants them to say.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tidegate::assemble;
use tidegate::config::{Config, SinkKind};
use tidegate::error::{Error, ErrorKind, Result};
use tidegate::metrics::Metrics;
use tidegate::report::Report;
use tidegate::server::{Drained, Server};
use tidegate::sink::memory::Memory;
use tidegate::sink::validated::Validated;
use tidegate::sink::{Held, Probe, QuarantineId, Quarantined, Sink, Staged, Swept};
use tidegate::upload::{Ending, Key, Note, Receipt, UploadId, UploadSpec};
use tidegate::validate::rules::Rulebook;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// How long a test waits for what must come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// Waits for what must come, and says what did not.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not happen within {DEADLINE:?}"))
}

/// A server under test.
pub(crate) struct Running {
    pub(crate) address: std::net::SocketAddr,
    pub(crate) admin: std::net::SocketAddr,
    pub(crate) store: Memory,
    pub(crate) rules: Arc<Rulebook>,
    pub(crate) metrics: Arc<Metrics>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Drained>,
}

/// The built-in defaults on free ports, into memory.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.listen.tcp = "127.0.0.1:0".parse().unwrap();
    config.listen.admin = "127.0.0.1:0".parse().unwrap();
    config.sink.kind = SinkKind::Memory;
    // Most senders of a test have one file.
    config.plain.linger = Duration::from_millis(100);
    config
}

pub(crate) async fn start(config: Config) -> Running {
    start_with(config, |store| Arc::new(store)).await
}

/// A server whose sink is made from the memory that the test looks into, with validators in front.
pub(crate) async fn start_with(config: Config, wrap: impl FnOnce(Memory) -> Arc<dyn Sink>) -> Running {
    let store = Memory::new();
    let metrics = Arc::new(Metrics::new());
    let rules = Arc::new(Rulebook::new(assemble::rules(&config).unwrap()));
    let sink = Arc::new(Validated::new(wrap(store.clone()), Arc::clone(&rules), Arc::clone(&metrics)));
    let ledger = assemble::ledger(&config, &metrics).unwrap();
    let server = Server::bind(&config, sink, ledger, Arc::clone(&metrics)).unwrap();
    let (address, admin) = (server.address().unwrap(), server.admin_address().unwrap());
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(server.run(async move {
        // A test that ends without stopping its server drops the sender, which stops it as well.
        let _ = stopped.await;
    }));
    Running { address, admin, store, rules, metrics, stop: Some(stop), task }
}

/// A server whose commits wait until the test lets them through.
pub(crate) async fn start_with_held_commits(config: Config) -> (Running, Arc<Semaphore>) {
    let mut commits = None;
    let server = start_with(config, |store| {
        let gated = Gated::new(store);
        Gated::open(&gated.writes);
        commits = Some(Arc::clone(&gated.commits));
        Arc::new(gated)
    })
    .await;
    (server, commits.expect("the sink was made"))
}

impl Running {
    pub(crate) async fn connect(&self) -> Sender {
        let socket = soon("connecting", TcpStream::connect(self.address)).await.unwrap();
        socket.set_nodelay(true).unwrap();
        Sender { socket, unread: Vec::new() }
    }

    /// Sends, ends, and reads the whole answer.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut sender = self.connect().await;
        // The server may have refused and closed already.
        let _ = sender.socket.write_all(bytes).await;
        let _ = sender.socket.shutdown().await;
        sender.rest().await
    }

    pub(crate) fn stored(&self, key: &str) -> Option<String> {
        self.store.read(&key.parse().unwrap()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(crate) fn keys(&self) -> Vec<String> {
        self.store.keys().into_iter().map(String::from).collect()
    }

    /// The value of a counter or a gauge, by the beginning of its line; 0 where it does not stand there yet.
    pub(crate) fn metric(&self, line: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let found = text.lines().find_map(|candidate| candidate.strip_prefix(line)?.trim().parse().ok());
        found.unwrap_or(0)
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Self) -> bool) {
        soon(what, async {
            while !condition(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    /// Begins to stop the server.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).expect("the server runs");
        }
    }

    pub(crate) async fn drained(mut self) -> Drained {
        self.stop();
        soon("draining", self.task).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> String {
        let mut socket = soon("connecting", TcpStream::connect(self.admin)).await.unwrap();
        socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = String::new();
        soon("an answer", socket.read_to_string(&mut answer)).await.unwrap();
        answer
    }
}

/// A sender that says what it is told.
pub(crate) struct Sender {
    pub(crate) socket: TcpStream,
    unread: Vec<u8>,
}

impl Sender {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        soon("sending", self.socket.write_all(bytes.as_ref())).await.unwrap();
    }

    /// Sends a packet that the server reads before it can see the next one: the runtime of a test has one thread, and a turn
    /// of its driver runs the server as far as the bytes go.
    pub(crate) async fn send_apart(&mut self, bytes: impl AsRef<[u8]>) {
        self.send(bytes).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The socket, with nothing read from it yet.
    pub(crate) fn take_socket(self) -> TcpStream {
        assert!(self.unread.is_empty());
        self.socket
    }

    /// Ends the sending side.
    pub(crate) async fn end(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// Resets the connection.
    pub(crate) fn reset(self) {
        self.socket.set_zero_linger().unwrap();
    }

    /// The next line of the answers.
    pub(crate) async fn line(&mut self) -> String {
        soon("an answer", async {
            loop {
                if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                    return String::from_utf8(self.unread.drain(..=end).collect()).unwrap();
                }
                let read = self.socket.read_buf(&mut self.unread).await.unwrap();
                assert!(read > 0, "the server closed; unread: {:?}", String::from_utf8_lossy(&self.unread));
            }
        })
        .await
    }

    /// The next answer of the framed protocol.
    pub(crate) async fn event(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.line().await).unwrap()
    }

    /// All that the server still says, until it closes.
    pub(crate) async fn rest(mut self) -> String {
        let read: io::Result<usize> = soon("the end", self.socket.read_to_end(&mut self.unread)).await;
        // A reset after the answer is the server's way to end a sender that goes on.
        drop(read);
        String::from_utf8_lossy(&self.unread).into_owned()
    }

    /// Whether the server closes without another word.
    pub(crate) async fn closes(mut self) -> bool {
        let mut byte = [0];
        matches!(soon("the end", self.socket.read(&mut byte)).await, Ok(0) | Err(_))
    }
}

/// A sink whose writes and commits wait until the test lets them through, and which does more that a test may want.
#[derive(Debug, Clone)]
pub(crate) struct Gated {
    pub(crate) inner: Memory,
    pub(crate) writes: Arc<Semaphore>,
    pub(crate) commits: Arc<Semaphore>,
    /// Looking for what was committed before; open unless a test closes it.
    pub(crate) looks: Arc<Semaphore>,
    /// What writing and sweeping fail with.
    pub(crate) failing: Arc<Mutex<Option<ErrorKind>>>,
    /// Bytes from one checkpoint to the next.
    pub(crate) checkpoint_bytes: u64,
    /// Where there were checkpoints.
    pub(crate) checkpoints: Arc<Mutex<Vec<u64>>>,
}

impl Gated {
    pub(crate) fn new(inner: Memory) -> Self {
        let gate = || Arc::new(Semaphore::new(0));
        let (failing, checkpoints) = Default::default();
        let looks = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS / 2));
        Self { inner, writes: gate(), commits: gate(), looks, failing, checkpoint_bytes: u64::MAX, checkpoints }
    }

    /// One that lets everything through.
    pub(crate) fn wide_open(inner: Memory) -> Self {
        let gated = Self::new(inner);
        Self::open(&gated.writes);
        Self::open(&gated.commits);
        gated
    }

    pub(crate) fn open(gate: &Semaphore) {
        gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    pub(crate) fn fail(&self, kind: Option<ErrorKind>) {
        *self.failing.lock().unwrap() = kind;
    }

    fn check(&self) -> Result<()> {
        match *self.failing.lock().unwrap() {
            Some(kind) => Err(Error::new(kind, "the test wants it")),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Sink for Gated {
    async fn stage(&self, spec: UploadSpec) -> Result<Box<dyn Staged>> {
        let staged = self.inner.stage(spec).await?;
        Ok(Box::new(GatedUpload { staged, sink: self.clone() }))
    }

    async fn resume(&self, spec: UploadSpec) -> Result<Option<Box<dyn Staged>>> {
        let Some(staged) = self.inner.resume(spec).await? else { return Ok(None) };
        Ok(Some(Box::new(GatedUpload { staged, sink: self.clone() })))
    }

    async fn stat(&self, key: &Key) -> Result<Option<Receipt>> {
        self.inner.stat(key).await
    }

    async fn committed(&self, id: &UploadId, key: &Key) -> Result<Option<Receipt>> {
        self.looks.acquire().await.unwrap().forget();
        self.inner.committed(id, key).await
    }

    async fn sweep(&self, ttl: Duration) -> Result<Swept> {
        self.check()?;
        self.inner.sweep(ttl).await
    }

    async fn quarantined(&self) -> Result<Vec<Quarantined>> {
        self.inner.quarantined().await
    }

    async fn quarantined_bytes(&self, id: &QuarantineId) -> Result<Option<Held>> {
        self.inner.quarantined_bytes(id).await
    }

    async fn drop_quarantined(&self, id: &QuarantineId) -> Result<bool> {
        self.inner.drop_quarantined(id).await
    }

    async fn probe(&self) -> Result<Probe> {
        self.inner.probe().await
    }
}

#[derive(Debug)]
struct GatedUpload {
    staged: Box<dyn Staged>,
    sink: Gated,
}

#[async_trait]
impl Staged for GatedUpload {
    fn spec(&self) -> &UploadSpec {
        self.staged.spec()
    }

    fn offset(&self) -> u64 {
        self.staged.offset()
    }

    fn note(&self) -> &Note {
        self.staged.note()
    }

    fn until_checkpoint(&self) -> u64 {
        let every = self.sink.checkpoint_bytes;
        every - self.staged.offset() % every
    }

    async fn checkpoint(&mut self, note: Note) -> Result<()> {
        self.sink.checkpoints.lock().unwrap().push(self.staged.offset());
        self.staged.checkpoint(note).await
    }

    async fn suspend(self: Box<Self>, note: Note) -> Result<u64> {
        self.staged.suspend(note).await
    }

    async fn write(&mut self, chunk: Bytes) -> Result<()> {
        self.sink.writes.acquire().await.unwrap().forget();
        self.sink.check()?;
        self.staged.write(chunk).await
    }

    async fn commit(self: Box<Self>, ending: Ending) -> Result<Receipt> {
        self.sink.commits.acquire().await.unwrap().forget();
        self.staged.commit(ending).await
    }

    async fn quarantine(self: Box<Self>, report: Report, ending: Ending) -> Result<Quarantined> {
        self.sink.commits.acquire().await.unwrap().forget();
        self.staged.quarantine(report, ending).await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        self.staged.abort().await
    }
}
