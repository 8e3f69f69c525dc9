//! The admin listener's data: health, metrics, the API description, the effective configuration, the status report.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};

use super::pages;
use super::status::StatusReport;
use crate::http::code::Code;
use crate::http::error::ApiError;
use crate::http::head::TrustedHosts;
use crate::http::lifecycle::{Lifecycle, Stage};
use crate::lookup::Lookup;
use crate::telemetry::metrics::Metrics;

/// The documents of the public and of the admin listener.
const OPENAPI: &str = include_str!("../../../openapi.yaml");
const ADMIN_OPENAPI: &str = include_str!("../../../openapi-admin.yaml");

const JSON: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/json")];
const YAML: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "application/yaml")];
const METRICS: [(HeaderName, &str); 1] = [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];

/// What the admin listener's handlers work with.
pub(crate) struct Admin {
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// Its gauges are updated for a scrape.
    pub lookup: Arc<Lookup>,
    /// The stage of the process.
    pub lifecycle: Lifecycle,
    /// The effective configuration as JSON, secrets masked.
    pub config: String,
    /// The hosts that requests may be for.
    pub hosts: TrustedHosts,
    /// What the status page shows.
    pub status: StatusReport,
}

/// The process is alive.
pub(super) async fn livez() -> impl IntoResponse {
    (JSON, r#"{"status":"ok"}"#)
}

/// Whether new traffic is welcome. The upstream has no say: every other replica has the same one.
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let stage = admin.lifecycle.stage();
    let is_ready = stage == Stage::Ready;
    let (status, word) =
        if is_ready { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, stage.name()) };
    (status, JSON, format!(r#"{{"status":"{word}"}}"#))
}

/// The metrics in Prometheus's text format.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<impl IntoResponse, ApiError> {
    admin.lookup.refresh_gauges();
    let text = admin.metrics.expose();
    let text = text.map_err(|_| ApiError::new(Code::Internal, "The metrics could not be written."))?;
    Ok((METRICS, text))
}

/// The document of the public listener.
pub(super) async fn openapi() -> impl IntoResponse {
    (YAML, OPENAPI)
}

/// The document of this listener.
pub(super) async fn admin_openapi() -> impl IntoResponse {
    (YAML, ADMIN_OPENAPI)
}

/// The effective configuration.
pub(super) async fn config(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    (JSON, admin.config.clone())
}

/// The data of the status page.
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Response {
    admin.lookup.refresh_gauges();
    let report = admin.status.at(admin.lifecycle.stage());
    pages::guarded("application/json", report.to_string())
}
