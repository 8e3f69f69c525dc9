//! The public and the admin listener: their URL spaces on one page, and what surrounds every request.

mod admin;
mod audit;
mod body;
mod caller;
mod error;
mod history;
mod idv;
mod jwt;
mod lifecycle;
mod observe;
mod pages;
mod phase;
mod places;
mod render;
mod serve;
mod status;
mod timed;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::middleware::from_fn;
use axum::response::Response;
use axum::routing::get;
use hyper::body::Incoming;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use crate::domain::region::Regions;
use crate::lookup::Lookup;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{Span, Traces};
use error::ApiError;
use idv::Seen;

pub(crate) use admin::Admin;
pub(crate) use audit::Audit;
pub(crate) use caller::{CallerSettings, Callers};
pub(crate) use history::History;
pub(crate) use jwt::{JwksSource, JwtSettings, Verifier};
pub(crate) use lifecycle::{Lifecycle, Stage};
pub(crate) use places::Places;
pub(crate) use render::Renderer;
pub(crate) use serve::Server;
pub(crate) use tls::{Tls, TlsFiles};

/// What the public listener's handlers work with.
pub(crate) struct Public {
    /// Who may call.
    pub callers: Callers,
    /// The regions by name.
    pub regions: Regions,
    /// What finds ids.
    pub lookup: Arc<Lookup>,
    /// Where the numbers go.
    pub metrics: Arc<Metrics>,
    /// Whether the gateway is starting, serving or going away.
    pub lifecycle: Lifecycle,
    /// Who was shown whose data.
    pub audit: Audit,
    /// Where requests get their spans from.
    pub traces: Traces,
}

/// What a listener serves.
#[derive(Clone)]
pub(crate) enum Site {
    /// What callers ask for.
    Public(Arc<Public>),
    /// What operators ask for.
    Admin(Router),
}

impl Site {
    /// The site of the admin listener.
    pub(crate) fn admin(admin: Arc<Admin>) -> Self {
        Self::Admin(admin_routes(admin))
    }

    /// Answers one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response {
        match self {
            Self::Public(public) => observe::public(public, request).await,
            Self::Admin(router) => {
                let answered = router.clone().oneshot(request.map(Body::new)).await;
                answered.unwrap_or_else(|never| match never {})
            }
        }
    }
}

/// The public URL space: one route, and matching it by hand is a good part of what makes a cached answer cheap.
async fn public_route<'a>(
    public: &'a Public,
    head: &'a Parts,
    is_bodyless: bool,
    span: &Span,
    seen: &mut Seen<'a>,
) -> Result<Response, ApiError> {
    match head.uri.path().strip_prefix("/idv/") {
        Some(id) => idv::handle(public, head, id, is_bodyless, span, seen).await,
        None => Err(idv::elsewhere(head)),
    }
}

/// The admin URL space.
fn admin_routes(admin: Arc<Admin>) -> Router {
    let metrics = Arc::clone(&admin.metrics);
    let routes = Router::new()
        .route("/", get(pages::status))
        .route("/status", get(admin::status))
        .route("/docs", get(pages::docs))
        .route("/assets/{file}", get(pages::asset))
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz))
        .route("/metrics", get(admin::metrics))
        .route("/openapi.yaml", get(admin::openapi))
        .route("/config", get(admin::config))
        .method_not_allowed_fallback(error::get_only)
        .fallback(async || error::no_such_route())
        .with_state(admin);
    surround(routes, metrics)
}

/// What every request to the admin listener goes through before and after its handler.
fn surround(routes: Router, metrics: Arc<Metrics>) -> Router {
    routes.layer(CatchPanicLayer::custom(error::Panicked { metrics })).layer(from_fn(observe::admin))
}

#[cfg(test)]
mod tests;
