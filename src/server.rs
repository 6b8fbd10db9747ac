//! The listeners, who may come in, and how the server stops.
//!
//! ```text
//! accept → permit → first byte → plain | framed → pump → answer
//! ```
//!
//! Knows connections and deadlines; what happens to an upload is the pump's business, and where it goes the sink's.

mod admin;
mod framed;
mod memory_monitor;
mod permits;
mod plain;
mod slots;
mod store_monitor;
mod stream;
mod sweeper;
mod tcp;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::admin::Admin;
use self::slots::{Pace, Slots};
use self::store_monitor::{StoreMonitor, Timing};
use crate::budget::Budget;
use crate::config::{Config, Framed, Limits, Plain};
use crate::error::{Error, ErrorKind, Result};
use crate::ingest::{Bounds, Ingest};
use crate::ledger::{Ledger, Origin};
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::sink::Sink;
use crate::sink::validated::Validated;

/// How long uploads that are cut off at the end of the drain may take to clean up after themselves.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(10);

/// A server that listens, and does not yet accept.
#[derive(Debug)]
pub struct Server {
    senders: TcpListener,
    admin: TcpListener,
    sink: Arc<dyn Sink>,
    store: Arc<StoreMonitor>,
    ledger: Ledger,
    shared: Arc<Shared>,
}

/// What every connection needs. Each has its own, whose pump knows where the uploads come from.
#[derive(Debug, Clone)]
struct Shared {
    ingest: Ingest,
    limits: Limits,
    plain: Plain,
    framed: Framed,
    metrics: Arc<Metrics>,
    budget: Arc<Budget>,
    /// The conditions that `/readyz` reports.
    readiness: Arc<Readiness>,
    slots: Slots,
    /// How fast the connection sends, and whether it has to give its slot to another one.
    pace: Arc<Pace>,
    /// Room for commits of framed connections, all together.
    pending_commits: Arc<Semaphore>,
    /// Room for rival uploads of plain connections, all together.
    rival_files: Arc<Semaphore>,
    /// No new uploads from now on.
    drain: CancellationToken,
    /// Connections, and commits, which go on even where their connection has ended.
    tasks: TaskTracker,
}

impl Shared {
    /// The same for a connection of this origin.
    fn of(&self, origin: Origin) -> Arc<Self> {
        Arc::new(Self { ingest: self.ingest.of(origin), ..self.clone() })
    }

    /// The same for a connection of this origin, whose rate is measured.
    fn paced(&self, origin: Origin, pace: Arc<Pace>) -> Arc<Self> {
        let ingest = self.ingest.of(origin).giving_way(pace.gives_way().clone());
        Arc::new(Self { ingest, pace, ..self.clone() })
    }
}

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Uploads that were under way when the server was told to stop, and finished.
    pub finished: u64,
    /// Uploads that `drain_timeout` cut off, told to send again; or whose store had not answered even then.
    pub cut_off: u64,
    /// How long it took.
    pub took: Duration,
}

impl Server {
    /// Opens both listeners. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] naming the address that can't be listened on.
    pub fn bind(config: &Config, sink: Arc<Validated>, ledger: Ledger, metrics: Arc<Metrics>) -> Result<Self> {
        let senders = listen(config.listen.tcp, "listen.tcp")?;
        let admin = listen(config.listen.admin, "listen.admin")?;
        let limits = fit_memory(config.limits.clone(), sink.budget());
        let bounds = Bounds::of(&limits);
        let tasks = TaskTracker::new();
        let ingest = Ingest::new(Arc::clone(&sink), bounds, Arc::clone(&metrics), ledger.clone(), tasks.clone());
        let readiness = Arc::new(Readiness::new());
        let slots = Slots::new(&limits, Arc::clone(sink.budget()), Arc::clone(&metrics), Arc::clone(&readiness));
        let rival_files = Arc::new(Semaphore::new(rival_files(limits.max_connections)));
        let shared = Arc::new(Shared {
            ingest,
            limits,
            plain: config.plain.clone(),
            framed: config.framed.clone(),
            metrics: Arc::clone(&metrics),
            budget: Arc::clone(sink.budget()),
            slots,
            pace: Arc::new(Pace::new()),
            pending_commits: Arc::new(Semaphore::new(config.framed.max_pending_commits_total)),
            rival_files,
            readiness,
            drain: CancellationToken::new(),
            tasks,
        });
        let readiness = Arc::clone(&shared.readiness);
        let probed = Arc::clone(&sink);
        let probe = move || {
            let sink = Arc::clone(&probed);
            async move { sink.probe().await }
        };
        let store = Arc::new(StoreMonitor::start(probe, metrics, readiness, Timing::default()));
        Ok(Self { senders, admin, sink, store, ledger, shared })
    }

    /// Where senders connect to.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system does not tell.
    pub fn address(&self) -> Result<SocketAddr> {
        self.senders
            .local_addr()
            .map_err(|error| Error::new(ErrorKind::Io, "asking for the listener's address").because(error))
    }

    /// Where `/healthz`, `/readyz` and `/metrics` are.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the system does not tell.
    pub fn admin_address(&self) -> Result<SocketAddr> {
        self.admin
            .local_addr()
            .map_err(|error| Error::new(ErrorKind::Io, "asking for the listener's address").because(error))
    }

    /// The store in words, once it was probed. What is wrong with it is logged; the server serves
    /// all the same, and is not ready until the store is: it may come back.
    pub async fn store(&self) -> String {
        self.store.verdict().await.store
    }

    /// Serves until `shutdown` is done; then stops accepting, and gives running uploads `drain_timeout` to finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Drained {
        let Self { senders, admin, sink, store, ledger, shared } = self;
        let closed = CancellationToken::new();
        shared.tasks.spawn(memory_monitor::run(Arc::clone(&shared)));
        shared.tasks.spawn(sweeper::run(sink, Arc::clone(&shared)));
        shared.tasks.spawn(shared.slots.clone().run(shared.drain.clone()));
        let pages = Admin {
            max_connections: shared.limits.max_admin_connections,
            metrics: Arc::clone(&shared.metrics),
            readiness: Arc::clone(&shared.readiness),
            store: Arc::clone(&store),
        };
        let admin = tokio::spawn(admin::serve(admin, pages, closed.clone()));
        tokio::select! {
            () = tcp::accept(&senders, &shared) => {}
            () = shutdown => {}
        }
        drop(senders);
        let (drained, ()) = tokio::join!(drain(&shared), store.close());
        ledger.close().await;
        closed.cancel();
        if let Err(panic) = admin.await {
            tracing::error!(error = %panic, "the admin listener ended early");
        }
        drained
    }
}

/// Files that plain connections may have open at once where a header has several readings, beside
/// one for each connection.
pub fn rival_files(max_connections: usize) -> usize {
    /// Connections that share a rival file.
    const CONNECTIONS: usize = 16;
    /// Most headers with several readings have two.
    const LEAST: usize = 2;
    (max_connections / CONNECTIONS).max(LEAST)
}

/// Lowers `limits.max_connections` to what the budget has shares for.
fn fit_memory(limits: Limits, budget: &Budget) -> Limits {
    let (wanted, fit) = (limits.max_connections, budget.max_connections());
    if wanted <= fit {
        return limits;
    }
    let memory = budget.limit_bytes();
    tracing::warn!(wanted, lowered_to = fit, memory, "limits.max_connections lowered to fit limits.max_memory_bytes");
    let share = limits.max_connections_per_address * fit / wanted;
    Limits { max_connections: fit, max_connections_per_address: share.max(1), ..limits }
}

async fn drain(shared: &Shared) -> Drained {
    let started = Instant::now();
    let running = shared.metrics.uploads_in_flight();
    tracing::info!(uploads = running, timeout = ?shared.limits.drain_timeout, "draining");
    shared.readiness.set(Condition::ShuttingDown, "the server is stopping: wait until it is started again");
    shared.drain.cancel();
    shared.tasks.close();
    if tokio::time::timeout(shared.limits.drain_timeout, shared.tasks.wait()).await.is_err() {
        shared.ingest.stop();
        if tokio::time::timeout(CLEANUP_TIMEOUT, shared.tasks.wait()).await.is_err() {
            let uploads = shared.metrics.uploads_in_flight();
            tracing::warn!(uploads, "the store still holds uploads up; what they leave behind is swept up later");
        }
    }
    let cut_off = shared.ingest.stopped() + shared.metrics.uploads_in_flight();
    Drained { finished: running.saturating_sub(cut_off), cut_off, took: started.elapsed() }
}

/// How many connections the system accepts ahead of the server. Where a burst of connections fills
/// this queue, a further one is dropped, and its sender tries again after 1 s (RFC 6298 section 2).
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr, key: &str) -> Result<TcpListener> {
    let open = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // As tokio does: a server that starts again need not wait for old connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    open().map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::AddrInUse => " (another server has it; choose another address)",
            _ => "",
        };
        Error::new(ErrorKind::Io, format!("listening on {address}, as {key} says{hint}")).because(error)
    })
}
