//! What a listener serves, for the accept loop that serves it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::Response;
use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use tower::ServiceExt;

use super::admin::{self, Admin};
use super::callback::Callbacks;
use super::public::{self, Public};

/// The body of one of our answers, or of one of the admin listener's router.
pub(crate) type SiteBody = Either<Full<Bytes>, Body>;

/// What a listener serves.
#[derive(Clone)]
pub(crate) enum Site {
    /// What callers ask for.
    Public(Arc<Public>),
    /// What operators ask for.
    Admin(Router),
    /// What the vendor calls.
    Callbacks(Arc<Callbacks>),
}

impl Site {
    /// The site of the admin listener.
    pub(crate) fn admin(admin: Arc<Admin>) -> Self {
        Self::Admin(admin::routes(admin))
    }

    /// Answers one request. Each public connection has room for its answer being made, so that the others are on the heap.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<SiteBody> {
        match self {
            Self::Public(public) => public::answer(public, request).await.map(Either::Left),
            Self::Callbacks(callbacks) => Box::pin(callbacks.answer(request)).await.map(Either::Left),
            Self::Admin(router) => {
                let answered = Box::pin(router.clone().oneshot(request.map(Body::new))).await;
                answered.unwrap_or_else(|never| match never {}).map(Either::Right)
            }
        }
    }
}
