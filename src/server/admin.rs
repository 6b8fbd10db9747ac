//! The admin listener: is it alive, is it ready, what has it counted.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};
use crate::sink::Sink;

/// How long a probe of the sink is believed: probes write, so that asking often must not mean writing often.
const PROBE_BELIEVED: Duration = Duration::from_secs(3);
/// How long a probe may take before the sink counts as not ready.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves until `closed` is cancelled.
pub(super) async fn serve(
    listener: TcpListener,
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    closed: CancellationToken,
) {
    let state = Arc::new(Admin { sink, metrics, readiness, probed: Mutex::new(None) });
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(state);
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(closed.cancelled_owned()).await {
        tracing::error!(%error, "the admin listener failed");
    }
}

#[derive(Debug)]
struct Admin {
    sink: Arc<dyn Sink>,
    metrics: Arc<Metrics>,
    readiness: Arc<Readiness>,
    /// When the sink was last probed, and what was wrong with it.
    probed: Mutex<Option<(Instant, Result<(), String>)>>,
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    if !admin.readiness.holds(Condition::ShuttingDown) {
        match admin.probe().await {
            Ok(()) => admin.readiness.clear(Condition::Store),
            Err(problem) => admin.readiness.set(Condition::Store, problem),
        };
    }
    let problems = admin.readiness.problems();
    if problems.is_empty() {
        return (StatusCode::OK, "ready\n").into_response();
    }
    let report: String =
        problems.iter().map(|(condition, problem)| format!("not ready: {}: {problem}\n", condition.name())).collect();
    (StatusCode::SERVICE_UNAVAILABLE, report).into_response()
}

async fn metrics_text(State(admin): State<Arc<Admin>>) -> Response {
    admin.metrics.report_readiness(&admin.readiness);
    match admin.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

impl Admin {
    async fn probe(&self) -> Result<(), String> {
        // Held while probing: who asks meanwhile gets the same answer.
        let mut probed = self.probed.lock().await;
        if let Some((when, outcome)) = probed.as_ref()
            && when.elapsed() < PROBE_BELIEVED
        {
            return outcome.clone();
        }
        let outcome = match tokio::time::timeout(PROBE_TIMEOUT, self.sink.probe()).await {
            Ok(Ok(probe)) => probe.problem().map_or(Ok(()), Err),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_elapsed) => Err(format!("the store did not answer within {PROBE_TIMEOUT:?}")),
        };
        if let Err(problem) = &outcome {
            tracing::warn!(%problem, "the sink is not ready");
        }
        *probed = Some((Instant::now(), outcome.clone()));
        outcome
    }
}
