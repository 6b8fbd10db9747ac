//! What is counted, under the names that an operator sees on `/metrics`.
//!
//! Knows nothing of HTTP: [`Metrics::encode`] gives the text, the admin listener serves it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::error::{Error, ErrorKind, Fault};
use crate::readiness::{Condition, Readiness};
use crate::report::{Format, Report};
use crate::upload::Receipt;

/// The server's counters, gauges and histograms.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    uploads: IntCounterVec,
    rejections: IntCounterVec,
    received_bytes: IntCounter,
    committed_bytes: IntCounter,
    resumed: IntCounter,
    resumed_bytes: IntCounter,
    swept: IntCounter,
    kept: IntGauge,
    sweeps_failed: IntCounter,
    in_flight: IntGauge,
    connections: IntGauge,
    connections_max: IntGauge,
    connections_waiting: IntGauge,
    connections_refused: IntCounterVec,
    commit_seconds: Histogram,
    validation_seconds: HistogramVec,
    ledger_lost: IntCounter,
    log_lost: IntCounter,
    reloads: IntCounterVec,
    memory_bytes: IntGaugeVec,
    memory_refused: IntCounterVec,
    unready: IntGaugeVec,
    admin_closed: IntCounterVec,
    last_stored: Mutex<Option<Instant>>,
}

/// Why an admin connection was closed before its answer had arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminClosed {
    /// A newer connection took its place, at the limit of connections.
    Surplus,
    /// Its request, or the reading of the answer, took too long.
    Timeout,
}

impl AdminClosed {
    const ALL: [Self; 2] = [Self::Surplus, Self::Timeout];

    fn name(self) -> &'static str {
        match self {
            Self::Surplus => "surplus",
            Self::Timeout => "timeout",
        }
    }
}

/// What becomes of loading the rules anew.
const RELOADED: [&str; 2] = ["ok", "failed"];

/// Why a connection is refused, beside the codes of errors.
const REFUSED_CONNECTIONS: [&str; 3] = ["surplus", "other_protocol", "silent"];

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        Self::register().expect("the names below are valid and differ")
    }

    fn register() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let commit_seconds = Histogram::with_opts(
            HistogramOpts::new("tidegate_commit_seconds", "From an upload's last byte to its receipt.")
                .buckets(prometheus::exponential_buckets(0.001, 2.0, 17)?),
        )?;
        registry.register(Box::new(commit_seconds.clone()))?;
        let validation_seconds = HistogramVec::new(
            HistogramOpts::new("tidegate_validation_seconds", "Time spent in the validator, per upload.")
                .buckets(prometheus::exponential_buckets(0.0001, 4.0, 12)?),
            &["format"],
        )?;
        registry.register(Box::new(validation_seconds.clone()))?;
        let memory_bytes = IntGaugeVec::new(
            Opts::new("tidegate_memory_bytes", "Memory that is taken of limits.max_memory_bytes, by use."),
            &["use"],
        )?;
        registry.register(Box::new(memory_bytes.clone()))?;
        let unready = IntGaugeVec::new(
            Opts::new("tidegate_unready", "1 while this condition keeps the server from being ready (see /readyz)."),
            &["condition"],
        )?;
        registry.register(Box::new(unready.clone()))?;
        let build = IntGauge::with_opts(
            Opts::new("tidegate_build_info", "Which version runs; always 1.")
                .const_label("version", env!("CARGO_PKG_VERSION")),
        )?;
        build.set(1);
        registry.register(Box::new(build))?;
        let metrics = Self {
            uploads: counters(
                "tidegate_uploads_total",
                "Uploads that ended, by outcome (committed, duplicate, rejected, quarantined, failed) and reason.",
                &["outcome", "reason"],
            )?,
            rejections: counters(
                "tidegate_validation_rejections_total",
                "Uploads that a validator refused, by format and by the rule that was broken.",
                &["format", "code"],
            )?,
            received_bytes: counter("tidegate_received_bytes_total", "Bytes of files received, committed or not.")?,
            committed_bytes: counter("tidegate_committed_bytes_total", "Bytes of files committed, duplicates excluded.")?,
            resumed: counter("tidegate_resumed_total", "Uploads that went on where they had been cut off.")?,
            resumed_bytes: counter("tidegate_resumed_bytes_total", "Bytes of files that did not have to be sent twice.")?,
            swept: counter("tidegate_swept_total", "Leftovers of uploads that nobody went on with, removed.")?,
            kept: gauge("tidegate_uploads_kept", "Uploads that could be gone on with, as the last sweep has found them.")?,
            sweeps_failed: counter("tidegate_sweeps_failed_total", "Sweeps that did not come to their end.")?,
            in_flight: gauge("tidegate_uploads_in_flight", "Uploads between their header and their answer.")?,
            connections: gauge("tidegate_connections", "Open connections of senders, with and without a slot.")?,
            connections_max: gauge(
                "tidegate_connections_max",
                "Connection slots: limits.max_connections, as it is in force.",
            )?,
            connections_waiting: gauge("tidegate_connections_waiting", "Connections that wait for a slot.")?,
            connections_refused: counters(
                "tidegate_connections_refused_total",
                "Connections closed before an upload began, by reason.",
                &["reason"],
            )?,
            ledger_lost: counter("tidegate_ledger_lost_total", "Lines of the ledger that could not be written.")?,
            log_lost: counter("tidegate_log_lost_total", "Lines of the log that standard error did not take in time.")?,
            reloads: counters(
                "tidegate_reloads_total",
                "Times that the rules were to be loaded anew, by outcome (ok, failed).",
                &["outcome"],
            )?,
            memory_refused: counters(
                "tidegate_memory_refused_total",
                "Times that memory was not free in time and an upload was told busy, by use.",
                &["use"],
            )?,
            memory_bytes,
            admin_closed: counters(
                "tidegate_admin_connections_closed_total",
                "Connections to the admin listener closed before their answer had arrived, by reason (surplus, timeout).",
                &["reason"],
            )?,
            last_stored: Mutex::new(None),
            commit_seconds,
            validation_seconds,
            unready,
            registry: registry.clone(),
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// A rate sees the first event only where there was a zero before.
    fn begin_at_zero(&self) {
        self.uploads.with_label_values(&["committed", "ok"]);
        self.uploads.with_label_values(&["committed", ErrorKind::Invalid.code()]);
        self.uploads.with_label_values(&["duplicate", "ok"]);
        for outcome in RELOADED {
            self.reloads.with_label_values(&[outcome]);
        }
        self.uploads.with_label_values(&["quarantined", ErrorKind::Invalid.code()]);
        for reason in ErrorKind::ALL.map(ErrorKind::code).into_iter().chain(REFUSED_CONNECTIONS) {
            self.connections_refused.with_label_values(&[reason]);
        }
        for reason in AdminClosed::ALL {
            self.admin_closed.with_label_values(&[reason.name()]);
        }
        self.report_readiness(&Readiness::new());
        for kind in ErrorKind::ALL {
            self.uploads.with_label_values(&[outcome(kind), kind.code()]);
        }
    }

    /// The text exposition format of Prometheus, version 0.0.4.
    ///
    /// # Errors
    /// Only where the encoder fails, which it does for a metric without a name or a help text.
    pub fn encode(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// An upload ended with a receipt; of one that is not valid, the reason says so.
    pub fn committed(&self, receipt: &Receipt) {
        let labels = match (receipt.duplicate, &receipt.report) {
            (true, _) => ["duplicate", "ok"],
            (false, None) => ["committed", "ok"],
            (false, Some(_)) => ["committed", ErrorKind::Invalid.code()],
        };
        self.uploads.with_label_values(&labels).inc();
        if !receipt.duplicate {
            self.committed_bytes.inc_by(receipt.size);
            self.set_last_stored(Some(Instant::now()));
        }
    }

    /// Whether the store took an upload within this time, and has failed none since.
    pub fn stored_within(&self, time: Duration) -> bool {
        let last = *self.last_stored.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < time)
    }

    fn set_last_stored(&self, last: Option<Instant>) {
        *self.last_stored.lock().unwrap_or_else(PoisonError::into_inner) = last;
    }

    /// The rules were loaded anew, or could not be.
    pub fn reloaded<T, E>(&self, outcome: &Result<T, E>) {
        let [ok, failed] = RELOADED;
        self.reloads.with_label_values(&[if outcome.is_ok() { ok } else { failed }]).inc();
    }

    /// An upload ended without one.
    pub fn refused(&self, error: &Error) {
        let report = error.find::<Report>();
        let kept = report.is_some_and(|report| report.quarantined.is_some());
        let outcome = if kept { "quarantined" } else { outcome(error.kind()) };
        self.uploads.with_label_values(&[outcome, error.kind().code()]).inc();
        if matches!(error.kind(), ErrorKind::Store | ErrorKind::NoSpace | ErrorKind::Unknown) {
            self.set_last_stored(None);
        }
        if let Some(report) = report {
            self.rejections.with_label_values(&[report.format.name(), report.code()]).inc();
        }
    }

    /// Bytes of a file came.
    pub fn received(&self, bytes: u64) {
        self.received_bytes.inc_by(bytes);
    }

    /// An upload goes on behind so many bytes that need not be sent again.
    pub fn resumed(&self, bytes: u64) {
        self.resumed.inc();
        self.resumed_bytes.inc_by(bytes);
    }

    /// A sweep has removed so many leftovers, and found so many uploads that can be resumed.
    pub fn swept(&self, leftovers: u64, kept: u64) {
        self.swept.inc_by(leftovers);
        self.kept.set(i64::try_from(kept).unwrap_or(i64::MAX));
    }

    /// A sweep did not come to its end.
    pub fn sweep_failed(&self) {
        self.sweeps_failed.inc();
    }

    /// A commit took this long.
    pub fn commit_took(&self, time: Duration) {
        self.commit_seconds.observe(time.as_secs_f64());
    }

    /// A validator was busy for this long with one upload.
    pub fn validation_took(&self, format: Format, time: Duration) {
        self.validation_seconds.with_label_values(&[format.name()]).observe(time.as_secs_f64());
    }

    /// A connection was closed before an upload began: an [`ErrorKind::code`], `surplus`,
    /// `other_protocol`, or `silent` where it made room for others.
    pub fn connection_refused(&self, reason: &str) {
        self.connections_refused.with_label_values(&[reason]).inc();
    }

    /// So many connection slots there are.
    pub fn connection_slots(&self, slots: usize) {
        self.connections_max.set(i64::try_from(slots).unwrap_or(i64::MAX));
    }

    /// So many connections wait for a slot.
    pub fn connections_waiting(&self, waiting: usize) {
        self.connections_waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// An admin connection was closed before its answer had arrived.
    pub fn admin_connection_closed(&self, reason: AdminClosed) {
        self.admin_closed.with_label_values(&[reason.name()]).inc();
    }

    /// Takes over the conditions that hold now.
    pub fn report_readiness(&self, readiness: &Readiness) {
        for condition in Condition::ALL {
            self.unready.with_label_values(&[condition.name()]).set(i64::from(readiness.holds(condition)));
        }
    }

    /// Lines of the ledger were not written.
    pub fn ledger_lost(&self, lines: u64) {
        self.ledger_lost.inc_by(lines);
    }

    /// Counts lines of the log that were not written.
    pub fn log_lost(&self) -> IntCounter {
        self.log_lost.clone()
    }

    /// The metrics of the memory for one use: the bytes that are taken, and how often more were
    /// refused.
    pub fn memory(&self, usage: &str) -> (IntGauge, IntCounter) {
        (self.memory_bytes.with_label_values(&[usage]), self.memory_refused.with_label_values(&[usage]))
    }

    /// Counts an upload as being under way until the guard is dropped.
    pub fn upload_in_flight(&self) -> InFlight {
        InFlight::new(&self.in_flight)
    }

    /// Counts a connection as open until the guard is dropped.
    pub fn connection_open(&self) -> InFlight {
        InFlight::new(&self.connections)
    }

    /// Uploads between their header and their answer.
    pub fn uploads_in_flight(&self) -> u64 {
        self.in_flight.get().try_into().unwrap_or(0)
    }
}

/// The outcome of an upload that ended in an error of this kind.
fn outcome(kind: ErrorKind) -> &'static str {
    match kind.fault() {
        Fault::Upload => "rejected",
        Fault::Passing => "failed",
    }
}

/// Holds a gauge one higher.
#[derive(Debug)]
pub struct InFlight(IntGauge);

impl InFlight {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_store_that_fails_an_upload_is_not_proved_by_an_earlier_one() {
        let metrics = Metrics::new();
        let hour = Duration::from_hours(1);
        assert!(!metrics.stored_within(hour));
        metrics.set_last_stored(Some(Instant::now()));
        assert!(metrics.stored_within(hour));
        metrics.refused(&Error::new(ErrorKind::Invalid, "not valid"));
        assert!(metrics.stored_within(hour));
        for kind in [ErrorKind::Store, ErrorKind::NoSpace, ErrorKind::Unknown] {
            metrics.set_last_stored(Some(Instant::now()));
            metrics.refused(&Error::new(kind, "the store failed"));
            assert!(!metrics.stored_within(hour), "{}", kind.code());
        }
    }

    #[test]
    fn every_reason_for_which_the_server_refuses_a_connection_begins_at_zero() {
        let page = Metrics::new().encode().unwrap();
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server");
        let mut reasons = vec!["busy".to_owned(), "bad_header".to_owned()];
        for file in fs::read_dir(server).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            let source = fs::read_to_string(file).unwrap();
            let named = source.split("connection_refused(\"").skip(1);
            reasons.extend(named.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()));
        }
        assert!(reasons.len() > 4, "{reasons:?}");
        for reason in reasons {
            let line = format!("tidegate_connections_refused_total{{reason=\"{reason}\"}} 0\n");
            assert!(page.contains(&line), "{reason}");
        }
    }
}
