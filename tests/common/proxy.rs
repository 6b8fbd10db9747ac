//! A TCP proxy in the test's own process, between a client and a server, that does to their line what lines do: cuts it,
//! stalls it, swallows what goes over it, slows it down.
//!
//! It runs on a thread of its own, so that tests with and without a runtime can use it. It knows no protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, oneshot};

/// What becomes of one connection; by default, nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Line {
    pub to_server: Flow,
    pub to_client: Flow,
    pub cut: Option<Cut>,
}

/// How one direction flows.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    /// The most bytes that are passed on at once.
    pub piece_bytes: usize,
    /// The wait behind each piece.
    pub pause: Duration,
    /// What happens once so many bytes have passed.
    pub stop: Option<(u64, Stop)>,
    /// A place that no piece reaches over, and the wait there, besides that behind each piece.
    pub split: Option<(u64, Duration)>,
}

/// How a direction stops flowing while its connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Nothing more is taken: the side that writes comes to wait.
    Stall,
    /// Everything is taken and nothing passed on, not even the end: the side that reads has a half-open peer.
    Swallow,
}

/// The end of a connection, at both sides unless `ends` says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Cut {
    pub when: When,
    pub how: How,
    pub ends: Ends,
}

/// When a connection is cut. Bytes are counted exactly: so many have been passed on.
#[derive(Debug, Clone, Copy)]
pub enum When {
    ToServer(u64),
    ToClient(u64),
    After(Duration),
}

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// Reset (RST).
    Reset,
    /// Closed, as by a program that ends (FIN).
    Close,
}

/// Which ends of a connection learn of a cut. The other one has a half-open peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    Both,
    Client,
    Server,
}

impl Line {
    pub fn cut(when: When, how: How) -> Self {
        Self { cut: Some(Cut { when, how, ends: Ends::Both }), ..Self::default() }
    }
}

impl Default for Flow {
    fn default() -> Self {
        Self { piece_bytes: 64 * 1024, pause: Duration::ZERO, stop: None, split: None }
    }
}

impl Flow {
    /// One byte at a time.
    pub fn bytewise() -> Self {
        Self { piece_bytes: 1, ..Self::default() }
    }

    /// About so many bytes a second, in pieces ten milliseconds apart.
    pub fn at_rate(bytes_per_second: usize) -> Self {
        Self { piece_bytes: (bytes_per_second / 100).max(1), pause: Duration::from_millis(10), ..Self::default() }
    }

    /// Split into what comes before so many bytes and what comes behind them, with a pause between
    /// the two.
    pub fn split(after_bytes: u64, pause: Duration) -> Self {
        Self { split: Some((after_bytes, pause)), ..Self::default() }
    }

    /// Stops once so many bytes have passed.
    pub fn stopping(after_bytes: u64, stop: Stop) -> Self {
        Self { stop: Some((after_bytes, stop)), ..Self::default() }
    }
}

/// A running proxy; its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    server: Mutex<String>,
    cut_now: broadcast::Sender<How>,
    connections: AtomicU64,
    cuts: AtomicU64,
    to_server: AtomicU64,
    to_client: AtomicU64,
}

impl Proxy {
    /// A proxy on a free port to `server`, as `host:port`. `plan` says of each connection, counted from 0, what becomes of it.
    pub fn start(server: impl Into<String>, plan: impl FnMut(u64) -> Line + Send + 'static) -> Self {
        let shared = Arc::new(Shared {
            server: Mutex::new(server.into()),
            cut_now: broadcast::channel(1).0,
            connections: AtomicU64::new(0),
            cuts: AtomicU64::new(0),
            to_server: AtomicU64::new(0),
            to_client: AtomicU64::new(0),
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    tokio::select! {
                        () = accept(TcpListener::from_std(listener).unwrap(), shared, plan) => {}
                        // Dropping the proxy ends it as well.
                        _ = stopped => {}
                    }
                });
            })
        };
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// A proxy that does nothing but count.
    pub fn calm(server: impl Into<String>) -> Self {
        Self::start(server, |_| Line::default())
    }

    /// Where clients connect.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Where connections lead from now on. Those that stand stay where they are.
    pub fn lead_to(&self, server: impl Into<String>) {
        *self.shared.server.lock().unwrap() = server.into();
    }

    /// Cuts every connection that stands.
    pub fn cut_now(&self, how: How) {
        // Nobody listens where no connection stands.
        let _ = self.shared.cut_now.send(how);
    }

    /// Connections that were taken.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that this proxy has cut.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::SeqCst)
    }

    /// Bytes that were passed on to the server; not those that were swallowed.
    pub fn to_server(&self) -> u64 {
        self.shared.to_server.load(Ordering::SeqCst)
    }

    /// Bytes that were passed on to clients; not those that were swallowed.
    pub fn to_client(&self) -> u64 {
        self.shared.to_client.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // What went wrong there has been said there.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut plan: impl FnMut(u64) -> Line) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let line = plan(shared.connections.fetch_add(1, Ordering::SeqCst));
        tokio::spawn(carry(client, Arc::clone(&shared), line));
    }
}

/// Carries one connection to its end.
async fn carry(mut client: TcpStream, shared: Arc<Shared>, line: Line) {
    let mut cut_now = shared.cut_now.subscribe();
    let address = shared.server.lock().unwrap().clone();
    let Ok(mut server) = TcpStream::connect(address).await else { return end(client, How::Reset).await };
    // What is passed on must not wait for more.
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let cut = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let (most_up, most_down, time) = match line.cut.map(|cut| cut.when) {
            None => (u64::MAX, u64::MAX, None),
            Some(When::ToServer(bytes)) => (bytes, u64::MAX, None),
            Some(When::ToClient(bytes)) => (u64::MAX, bytes, None),
            Some(When::After(time)) => (u64::MAX, u64::MAX, Some(time)),
        };
        let up = pass(from_client, to_server, line.to_server, most_up, &shared.to_server);
        let down = pass(from_server, to_client, line.to_client, most_down, &shared.to_client);
        let timer = async {
            match time {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        let both = async { tokio::try_join!(up, down) };
        tokio::select! {
            ended = both => match ended {
                Ok(_) => return,
                Err(Broken::Cut) => line.cut,
                Err(Broken::Io) => None,
            },
            () = timer => line.cut,
            Ok(how) = cut_now.recv() => Some(Cut { when: When::After(Duration::ZERO), how, ends: Ends::Both }),
        }
    };
    let Some(Cut { how, ends, when: _ }) = cut else {
        // A side that was reset resets the other one.
        end(client, How::Reset).await;
        return end(server, How::Reset).await;
    };
    shared.cuts.fetch_add(1, Ordering::SeqCst);
    let _kept = match ends {
        Ends::Both => {
            end(client, how).await;
            return end(server, how).await;
        }
        Ends::Client => {
            end(client, how).await;
            server
        }
        Ends::Server => {
            end(server, how).await;
            client
        }
    };
    std::future::pending::<()>().await;
}

/// Ends one side.
async fn end(mut socket: TcpStream, how: How) {
    // A side that is gone already needs no end.
    let _ = match how {
        How::Reset => socket.set_zero_linger(),
        How::Close => socket.shutdown().await,
    };
}

/// Why a direction ended early.
enum Broken {
    /// A side was reset.
    Io,
    /// So many bytes have passed as there shall.
    Cut,
}

impl From<io::Error> for Broken {
    fn from(_: io::Error) -> Self {
        Self::Io
    }
}

/// Passes bytes on until the end, which is passed on too, or until `most` have passed.
async fn pass(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    flow: Flow,
    most: u64,
    counter: &AtomicU64,
) -> Result<(), Broken> {
    let mut buffer = vec![0; flow.piece_bytes];
    let mut passed = 0;
    loop {
        if passed == most {
            return Err(Broken::Cut);
        }
        let mut room = most - passed;
        if let Some((after, stop)) = flow.stop {
            room = room.min(after - passed);
            match stop {
                Stop::Stall if room == 0 => return std::future::pending().await,
                Stop::Swallow if room == 0 => return swallow(from).await,
                Stop::Stall | Stop::Swallow => {}
            }
        }
        if let Some((after, _)) = flow.split
            && passed < after
        {
            room = room.min(after - passed);
        }
        let room = buffer.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        let read = from.read(&mut buffer[..room]).await?;
        if read == 0 {
            to.shutdown().await?;
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        passed += read as u64;
        counter.fetch_add(read as u64, Ordering::SeqCst);
        let at_split = flow.split.filter(|(after, _)| *after == passed).map_or(Duration::ZERO, |(_, pause)| pause);
        match flow.pause + at_split {
            Duration::ZERO => tokio::task::yield_now().await,
            pause => tokio::time::sleep(pause).await,
        }
    }
}

/// Takes everything, and does not even notice that the other side is gone.
async fn swallow(mut from: ReadHalf<'_>) -> Result<(), Broken> {
    let mut buffer = vec![0; 64 * 1024];
    while matches!(from.read(&mut buffer).await, Ok(1..)) {}
    std::future::pending().await
}
