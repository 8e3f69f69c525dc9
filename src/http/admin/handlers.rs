//! What operators ask for: health, metrics, the contract, the effective configuration, the data of the status page.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::history::History;
use super::{pages, status};
use crate::http::error::{ApiError, Code};
use crate::http::serve::{Lifecycle, Stage};
use crate::lookup::Lookup;
use crate::telemetry::metrics::Metrics;

/// The contract, as it stands at the top of the repository.
const OPENAPI: &str = include_str!("../../../openapi.yaml");

/// What the admin listener's handlers work with.
pub(crate) struct Admin {
    /// Where the numbers are.
    pub metrics: Arc<Metrics>,
    /// Whose gauges are brought up to date for a scrape.
    pub lookup: Arc<Lookup>,
    /// Whether the gateway is starting, serving or going away.
    pub lifecycle: Lifecycle,
    /// The effective configuration as JSON, secrets masked.
    pub config: String,
    /// The last minutes of the metrics.
    pub history: Arc<History>,
    /// The regions' names, in configuration order.
    pub regions: Vec<String>,
    /// Bytes the cache may hold.
    pub cache_max_bytes: u64,
}

/// The process lives.
pub(super) async fn livez() -> Response {
    health(StatusCode::OK, "ok")
}

/// New traffic is welcome. Never because of the upstream: another replica would have the same one.
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    match admin.lifecycle.stage() {
        Stage::Ready => health(StatusCode::OK, "ok"),
        Stage::Starting => health(StatusCode::SERVICE_UNAVAILABLE, "starting"),
        Stage::Draining | Stage::Closing | Stage::GivingUp => {
            health(StatusCode::SERVICE_UNAVAILABLE, "draining")
        }
    }
}

/// Everything Prometheus wants to know.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, ApiError> {
    admin.lookup.refresh_gauges();
    let text = admin.metrics.expose();
    let text = text.map_err(|_| ApiError::new(Code::Internal, "The metrics could not be written."))?;
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// The contract.
pub(super) async fn openapi() -> Response {
    ([(CONTENT_TYPE, "application/yaml")], OPENAPI).into_response()
}

/// The effective configuration.
pub(super) async fn config(State(admin): State<Arc<Admin>>) -> Response {
    ([(CONTENT_TYPE, "application/json")], admin.config.clone()).into_response()
}

/// What the status page shows, as data.
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Response {
    admin.lookup.refresh_gauges();
    pages::guarded("application/json", status::report(&admin).to_string())
}

fn health(status: StatusCode, word: &str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], format!(r#"{{"status":"{word}"}}"#)).into_response()
}
