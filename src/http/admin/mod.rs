//! The admin listener: its URL space, and what happens around each request. It is for operators; its requests are neither
//! counted nor logged.

mod handlers;
mod history;
mod pages;
mod status;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;

use super::error::{self, ApiError, PanicHandler};
use super::exchange;
use super::head;
use crate::telemetry::metrics::Metrics;

pub(crate) use handlers::Admin;
pub(crate) use history::History;
pub(crate) use status::{ReportedRegion, StatusReport};

/// The admin URL space.
pub(super) fn routes(admin: Arc<Admin>) -> Router {
    let metrics = Arc::clone(&admin.metrics);
    let routes = Router::new()
        .route("/status", get(handlers::status))
        .route("/livez", get(handlers::livez))
        .route("/readyz", get(handlers::readyz))
        .route("/metrics", get(handlers::metrics))
        .route("/openapi.yaml", get(handlers::openapi))
        .route("/openapi-admin.yaml", get(handlers::admin_openapi))
        .route("/config", get(handlers::config))
        .with_state(Arc::clone(&admin))
        .merge(pages::routes())
        .method_not_allowed_fallback(error::get_only)
        .fallback(async || error::no_such_route())
        .layer(from_fn_with_state(admin, check_head));
    surround(routes, metrics)
}

fn surround(routes: Router, metrics: Arc<Metrics>) -> Router {
    routes.layer(CatchPanicLayer::custom(PanicHandler(metrics))).layer(from_fn(finish))
}

/// Refuses an ambiguous head and, except for probes, a foreign host.
async fn check_head(
    State(admin): State<Arc<Admin>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    head::check_framing(&head)?;
    if !matches!(head.uri.path(), "/livez" | "/readyz") {
        admin.hosts.check(&head)?;
    }
    Ok(next.run(Request::from_parts(head, body)).await)
}

/// Gives an error its body, and every answer its common headers.
async fn finish(request: Request, next: Next) -> Response {
    let request_id = exchange::request_id(request.headers());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        response = error.answer(request_id.to_str().unwrap_or_default(), None).map(Body::new);
    }
    exchange::set_common_headers(response.headers_mut(), request_id);
    response
}

#[cfg(test)]
mod tests;
