//! The public and the admin listener: their URL spaces on one page, and what surrounds every request.

mod admin;
mod audit;
mod body;
mod caller;
mod error;
mod idv;
mod jwt;
mod lifecycle;
mod observe;
mod phase;
mod places;
mod render;
mod serve;
mod timed;
mod tls;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use tower_http::catch_panic::CatchPanicLayer;

use crate::domain::region::Regions;
use crate::lookup::Lookup;
use crate::telemetry::metrics::Metrics;

pub(crate) use admin::Admin;
pub(crate) use audit::Audit;
pub(crate) use caller::{CallerSettings, Callers};
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
}

/// The public URL space.
pub(crate) fn public(public: Arc<Public>) -> Router {
    let access = observe::Access::public(Arc::clone(&public.metrics), public.audit.clone());
    let metrics = Arc::clone(&public.metrics);
    let routes = Router::new()
        .route("/idv/", any(idv::handle))
        .route("/idv/{*id}", any(idv::handle))
        .fallback(idv::elsewhere)
        .with_state(public);
    surround(routes, metrics, access)
}

/// The admin URL space.
pub(crate) fn admin(admin: Arc<Admin>) -> Router {
    let metrics = Arc::clone(&admin.metrics);
    let routes = Router::new()
        .route("/livez", get(admin::livez))
        .route("/readyz", get(admin::readyz))
        .route("/metrics", get(admin::metrics))
        .route("/openapi.yaml", get(admin::openapi))
        .route("/config", get(admin::config))
        .method_not_allowed_fallback(error::get_only)
        .fallback(async || error::no_such_route())
        .with_state(admin);
    surround(routes, metrics, observe::Access::admin())
}

/// What every request goes through before and after its handler.
fn surround(routes: Router, metrics: Arc<Metrics>, access: observe::Access) -> Router {
    routes
        .layer(CatchPanicLayer::custom(error::Panicked { metrics }))
        .layer(from_fn_with_state(access, observe::observe))
}

#[cfg(test)]
mod tests;
