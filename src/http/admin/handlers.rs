//! The admin listener's data: health, metrics, the API description, the effective configuration, the status report.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

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
pub(super) async fn livez() -> Response {
    data("application/json", r#"{"status":"ok"}"#)
}

/// Whether new traffic is welcome. The upstream has no say: every other replica has the same one.
pub(super) async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let stage = admin.lifecycle.stage();
    if stage == Stage::Ready {
        return livez().await;
    }
    let mut response = data("application/json", format!(r#"{{"status":"{}"}}"#, stage.name()));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// The metrics in Prometheus's text format.
pub(super) async fn metrics(State(admin): State<Arc<Admin>>) -> Result<Response, ApiError> {
    admin.lookup.refresh_gauges();
    let text = admin.metrics.expose();
    let text = text.map_err(|_| ApiError::new(Code::Internal, "The metrics could not be written."))?;
    Ok(data("text/plain; version=0.0.4; charset=utf-8", text))
}

/// The document of the public listener.
pub(super) async fn openapi() -> Response {
    data("application/yaml", OPENAPI)
}

/// The document of this listener.
pub(super) async fn admin_openapi() -> Response {
    data("application/yaml", ADMIN_OPENAPI)
}

/// The effective configuration.
pub(super) async fn config(State(admin): State<Arc<Admin>>) -> Response {
    data("application/json", admin.config.clone())
}

/// The data of the status page.
pub(super) async fn status(State(admin): State<Arc<Admin>>) -> Response {
    admin.lookup.refresh_gauges();
    let report = admin.status.at(admin.lifecycle.stage());
    pages::guarded("application/json", report.to_string())
}

fn data(kind: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
