//! The admin listener: its URL space. For operators, not for callers.

mod handlers;
mod history;
mod pages;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::{self, ApiError};
use super::exchange;
use crate::telemetry::metrics::Metrics;

pub(crate) use handlers::Admin;
pub(crate) use history::History;

/// The admin URL space.
pub(super) fn routes(admin: Arc<Admin>) -> Router {
    let metrics = Arc::clone(&admin.metrics);
    let routes = Router::new()
        .route("/", get(pages::status))
        .route("/status", get(handlers::status))
        .route("/docs", get(pages::docs))
        .route("/assets/{file}", get(pages::asset))
        .route("/livez", get(handlers::livez))
        .route("/readyz", get(handlers::readyz))
        .route("/metrics", get(handlers::metrics))
        .route("/openapi.yaml", get(handlers::openapi))
        .route("/config", get(handlers::config))
        .method_not_allowed_fallback(error::get_only)
        .fallback(async || error::no_such_route())
        .with_state(admin);
    surround(routes, metrics)
}

/// What every request to the admin listener goes through before and after its handler.
fn surround(routes: Router, metrics: Arc<Metrics>) -> Router {
    routes.layer(CatchPanicLayer::custom(error::Panicked { metrics })).layer(from_fn(finish))
}

/// Surrounds one request to the admin listener, whose requests are its own business: neither counted nor logged.
async fn finish(request: Request, next: Next) -> Response {
    let request_id = exchange::request_id(request.headers());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        response = error.answer(&request_id);
    }
    exchange::finish(&mut response, request_id);
    response
}

#[cfg(test)]
mod tests;
