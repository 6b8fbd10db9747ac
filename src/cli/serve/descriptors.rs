//! File descriptors: how many the configuration can need, and limits that fit where the system
//! allows fewer.
//!
//! Every connection, open file and connection to a store is a descriptor. A server that runs out of
//! them fails uploads that are under way, at any step. So the worst case of the configuration is
//! computed at the start, and limits are lowered until it fits: new connections then wait, and
//! running uploads go on. Knows what the server, its sinks and its ledger open at most; tests hold
//! it against a server that runs with few descriptors.

use std::fmt;

use crate::assemble::max_readings;
use crate::assemble::store_connections;
use crate::config::{Config, SinkKind};
use crate::error::{Error, ErrorKind, Result};
use crate::server::rival_files;

/// Descriptors that belong to no connection: the runtime's epoll and signal descriptors, two
/// listeners, the root and three folders of its own, the ledger. Some more for what it opens for a
/// moment: a connection between its acceptance and its place, the day's next ledger, schemas that
/// are loaded anew, files of `/proc`, a resolver.
const FIXED: usize = 22;

/// Descriptors that a disk worker opens beside the file of the upload: two folders on the way to a
/// key, and the existing file under it, or a checkpoint; one more while it removes what it made.
const PER_DISK_WORKER: usize = 4;

/// Descriptors of one look-up of the store's address: a file and a socket. Each look-up occupies a
/// disk worker.
const PER_LOOK_UP: usize = 2;

/// Steps between the configured limits and the least ones.
const STEPS: usize = 1024;

/// The limits that descriptors bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    connections: usize,
    per_address: usize,
    silent: usize,
    admin: usize,
    pending_commits: usize,
    store_requests: usize,
    disk_workers: usize,
}

/// The least limits with which a server works.
const LEAST: Bounds =
    Bounds { connections: 4, per_address: 1, silent: 8, admin: 2, pending_commits: 2, store_requests: 2, disk_workers: 2 };

/// The limits in force that are no part of the configuration, and how they were reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) disk_workers: usize,
    /// The report, where limits were lowered.
    pub(super) lowered: Option<Lowered>,
}

/// Limits that were lowered to fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lowered {
    allowed: usize,
    needed: usize,
    from: Bounds,
    to: Bounds,
}

impl fmt::Display for Lowered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allowed, needed, from, to } = self;
        write!(f, "{allowed} file descriptors are allowed, and the configuration can need {needed}: lowered")?;
        for (key, from, to) in [
            ("limits.max_connections", from.connections, to.connections),
            ("limits.max_connections_per_address", from.per_address, to.per_address),
            ("limits.max_silent_connections", from.silent, to.silent),
            ("limits.max_admin_connections", from.admin, to.admin),
            ("framed.max_pending_commits_total", from.pending_commits, to.pending_commits),
            ("sink.s3.max_requests", from.store_requests, to.store_requests),
            ("the disk's threads", from.disk_workers, to.disk_workers),
        ] {
            if from != to {
                write!(f, " {key} from {from} to {to},")?;
            }
        }
        write!(f, " so that all fit: raise the limit to {needed} ({REMEDY})")
    }
}

/// Where the limit of descriptors is set.
const REMEDY: &str = "ulimit -Hn, LimitNOFILE= of systemd, --ulimit nofile= of a container";

/// Lowers the limits of `config` until what it can need fits into `allowed`, of which `open` are
/// taken already.
///
/// # Errors
/// [`ErrorKind::Config`] where not even the least limits fit.
pub(super) fn fit(config: &mut Config, disk_workers: usize, allowed: usize, open: usize) -> Result<Plan> {
    let from = Bounds::of(config, disk_workers);
    let need = |bounds: Bounds| open + bounds.need(config);
    let needed = need(from);
    if needed <= allowed {
        return Ok(Plan { disk_workers, lowered: None });
    }
    let fits = |bounds: &Bounds| need(*bounds) <= allowed;
    let Some(to) = (0..STEPS).rev().map(|step| from.scaled(step)).find(fits) else {
        let least = need(from.scaled(0));
        let message = format!(
            "{allowed} file descriptors are allowed, and the server needs at least {least} ({needed} for all that the \
             configuration allows): raise the limit ({REMEDY})"
        );
        return Err(Error::new(ErrorKind::Config, message));
    };
    // Descriptors that the steps leave over are for connections.
    let more = (to.connections..=from.connections).map(|connections| from.share_of(connections, to)).take_while(fits);
    let mut to = more.last().unwrap_or(to);
    if config.sink.kind != SinkKind::S3 {
        to.store_requests = from.store_requests;
    }
    to.put_into(config);
    Ok(Plan { disk_workers: to.disk_workers, lowered: Some(Lowered { allowed, needed, from, to }) })
}

impl Bounds {
    fn of(config: &Config, disk_workers: usize) -> Self {
        Self {
            connections: config.limits.max_connections,
            per_address: config.limits.max_connections_per_address,
            silent: config.limits.max_silent_connections,
            admin: config.limits.max_admin_connections,
            pending_commits: config.framed.max_pending_commits_total,
            store_requests: config.sink.s3.max_requests,
            disk_workers,
        }
    }

    /// Descriptors at most, under these bounds.
    fn need(self, config: &Config) -> usize {
        let Self { connections, silent, admin, pending_commits, store_requests, disk_workers, per_address: _ } = self;
        let sockets = connections + silent + admin;
        FIXED
            + sockets
            + match config.sink.kind {
                // A connection receives one file, of which its rivals and its commits may have
                // more.
                SinkKind::Fs => {
                    let readings = max_readings(connections);
                    connections + rival_files(connections) + pending_commits + readings + PER_DISK_WORKER * disk_workers
                }
                SinkKind::S3 => store_connections(store_requests) + PER_LOOK_UP * disk_workers.min(store_requests),
                SinkKind::Memory => 0,
            }
    }

    /// So many of [`STEPS`] of these bounds, and not less than the least ones.
    fn scaled(self, step: usize) -> Self {
        let scaled = |from: usize, least: usize| (from * step / STEPS).max(least).min(from);
        let scaled = Self {
            connections: scaled(self.connections, LEAST.connections),
            per_address: self.per_address,
            silent: scaled(self.silent, LEAST.silent),
            admin: scaled(self.admin, LEAST.admin),
            pending_commits: scaled(self.pending_commits, LEAST.pending_commits),
            store_requests: scaled(self.store_requests, LEAST.store_requests),
            disk_workers: scaled(self.disk_workers, LEAST.disk_workers),
        };
        self.share_of(scaled.connections, scaled)
    }

    /// `bounds` with so many connections, of which an address may have the share that it has of
    /// these ones, and a quarter where they are few.
    fn share_of(self, connections: usize, bounds: Self) -> Self {
        let per_address = (self.per_address * connections / self.connections).max(connections.div_ceil(4));
        Self { connections, per_address: per_address.min(self.per_address), ..bounds }
    }

    fn put_into(self, config: &mut Config) {
        config.limits.max_connections = self.connections;
        config.limits.max_connections_per_address = self.per_address;
        config.limits.max_silent_connections = self.silent;
        config.limits.max_admin_connections = self.admin;
        config.framed.max_pending_commits_total = self.pending_commits;
        config.sink.s3.max_requests = self.store_requests;
    }
}

/// Raises the limit of descriptors as far as the system lets this process; how many there are then.
pub(in crate::cli) fn raise_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        tracing::warn!(%error, "raising the limit of open files failed");
    }
    let Rlimit { current, .. } = getrlimit(Resource::Nofile);
    current.and_then(|current| usize::try_from(current).ok()).unwrap_or(usize::MAX)
}

/// Descriptors that this process was started with.
pub(super) fn open_now() -> usize {
    /// Standard input, output and error.
    const STANDARD: usize = 3;
    // The folder that is read is one of them.
    std::fs::read_dir("/proc/self/fd").map_or(STANDARD, |open| open.count().saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK_WORKERS: usize = 512;

    fn fitted(kind: SinkKind, allowed: usize) -> (Config, Result<Plan>) {
        let mut config = Config::default();
        config.sink.kind = kind;
        let plan = fit(&mut config, DISK_WORKERS, allowed, 3);
        (config, plan)
    }

    #[test]
    fn limits_stay_as_they_are_where_all_fits() {
        let (config, plan) = fitted(SinkKind::Fs, 20_000);
        assert_eq!(plan.unwrap(), Plan { disk_workers: DISK_WORKERS, lowered: None });
        assert_eq!(config.limits.max_connections, 4096);
    }

    #[test]
    fn limits_are_lowered_together_until_they_fit() {
        for kind in [SinkKind::Fs, SinkKind::S3] {
            for allowed in [60, 100, 256, 1024, 4096] {
                let (config, plan) = fitted(kind, allowed);
                let Plan { disk_workers, lowered } = plan.unwrap();
                let in_force = Bounds::of(&config, disk_workers);
                assert!(3 + in_force.need(&config) <= allowed, "{allowed}: {in_force:?}");
                let lowered = lowered.unwrap();
                assert_eq!(lowered.to, in_force);
                assert!(lowered.to_string().contains("limits.max_connections from 4096 to "), "{lowered}");
                assert!(in_force.connections >= allowed / 10, "{allowed}: {in_force:?}");
                assert!(in_force.per_address <= in_force.connections.div_ceil(4), "{in_force:?}");
                // All that is allowed is used.
                assert!(3 + in_force.need(&config) + 2 >= allowed, "{allowed}: {in_force:?}");
            }
        }
    }

    #[test]
    fn too_few_descriptors_are_told_with_the_number_that_would_do() {
        let (_, plan) = fitted(SinkKind::Fs, 40);
        let error = plan.unwrap_err().to_string();
        let least = error.split("at least ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
        let least: usize = least.parse().unwrap();
        assert!(fitted(SinkKind::Fs, least).1.is_ok());
        assert!(fitted(SinkKind::Fs, least - 1).1.is_err(), "{error}");
    }
}
