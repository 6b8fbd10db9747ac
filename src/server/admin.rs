//! The admin listener: whether the server lives, whether it is ready, and its metrics.

mod http;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::store_monitor::StoreMonitor;
use crate::metrics::Metrics;
use crate::readiness::{Condition, Readiness};

/// The state that the pages report.
#[derive(Debug, Clone)]
pub(super) struct Admin {
    pub(super) max_connections: usize,
    pub(super) metrics: Arc<Metrics>,
    pub(super) readiness: Arc<Readiness>,
    pub(super) store: Arc<StoreMonitor>,
}

/// Serves until `closed` is cancelled.
pub(super) async fn serve(listener: TcpListener, admin: Admin, closed: CancellationToken) {
    let (metrics, max_connections) = (Arc::clone(&admin.metrics), admin.max_connections);
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics_text))
        .with_state(admin);
    http::serve(listener, router, max_connections, &metrics, closed).await;
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let problems = admin.problems().await;
    if problems.is_empty() {
        return (StatusCode::OK, "ready\n").into_response();
    }
    let line = |(condition, problem): (&Condition, &String)| format!("not ready: {}: {problem}\n", condition.name());
    (StatusCode::SERVICE_UNAVAILABLE, problems.iter().map(line).collect::<String>()).into_response()
}

async fn metrics_text(State(admin): State<Admin>) -> Response {
    admin.metrics.report_readiness(&admin.readiness);
    match admin.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

impl Admin {
    /// Everything that keeps the server from being ready.
    async fn problems(&self) -> BTreeMap<Condition, String> {
        // A store that is no longer written to is not waited for.
        if self.readiness.holds(Condition::ShuttingDown) {
            return self.readiness.problems();
        }
        let store = self.store.verdict().await.problem;
        let mut problems = self.readiness.problems();
        // The verdict may be that the store did not answer in time, which only this request knows.
        problems.extend(store.map(|problem| (Condition::Store, problem)));
        problems
    }
}
