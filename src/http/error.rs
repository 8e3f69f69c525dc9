//! Our errors: one closed list, RFC 9457, the same form from every place that can fail.

use std::any::Any;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tower_http::catch_panic::ResponseForPanic;

use crate::domain::failure::{Failure, Kind, UpstreamSaid};
use crate::domain::region::{RegionName, Regions};
use crate::telemetry::metrics::Metrics;

/// Every code of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    InvalidSignatureId,
    UnknownRegion,
    BadRequest,
    Unauthenticated,
    ScopeMissing,
    RegionForbidden,
    SignatureNotFound,
    RouteNotFound,
    MethodNotAllowed,
    AmbiguousSignature,
    RateLimited,
    Internal,
    UpstreamError,
    UpstreamMalformed,
    UpstreamAuth,
    UpstreamAccount,
    UpstreamIdMismatch,
    UpstreamBusy,
    UpstreamUnavailable,
    RegionUndetermined,
    Overloaded,
    ShuttingDown,
    AuthenticationUnavailable,
    UpstreamTimeout,
}

impl Code {
    /// The code, its status and its title.
    const fn parts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::InvalidSignatureId => ("invalid_signature_id", 400, "Not a signature id"),
            Self::UnknownRegion => ("unknown_region", 400, "No such region"),
            Self::BadRequest => ("bad_request", 400, "Bad request"),
            Self::Unauthenticated => ("unauthenticated", 401, "Not authenticated"),
            Self::ScopeMissing => ("scope_missing", 403, "Scope missing"),
            Self::RegionForbidden => ("region_forbidden", 403, "Region not allowed"),
            Self::SignatureNotFound => ("signature_not_found", 404, "Signature id not found"),
            Self::RouteNotFound => ("route_not_found", 404, "No such route"),
            Self::MethodNotAllowed => ("method_not_allowed", 405, "Method not allowed"),
            Self::AmbiguousSignature => ("ambiguous_signature", 409, "Known in more than one region"),
            Self::RateLimited => ("rate_limited", 429, "Too many requests"),
            Self::Internal => ("internal", 500, "Internal error"),
            Self::UpstreamError => ("upstream_error", 502, "Upstream error"),
            Self::UpstreamMalformed => ("upstream_malformed", 502, "Upstream answer unreadable"),
            Self::UpstreamAuth => ("upstream_auth", 502, "Upstream refuses our credentials"),
            Self::UpstreamAccount => ("upstream_account", 502, "Upstream account problem"),
            Self::UpstreamIdMismatch => ("upstream_id_mismatch", 502, "Upstream answered for another id"),
            Self::UpstreamBusy => ("upstream_busy", 503, "Upstream busy"),
            Self::UpstreamUnavailable => ("upstream_unavailable", 503, "Upstream unavailable"),
            Self::RegionUndetermined => ("region_undetermined", 503, "Region could not be determined"),
            Self::Overloaded => ("overloaded", 503, "Overloaded"),
            Self::ShuttingDown => ("shutting_down", 503, "Shutting down"),
            Self::AuthenticationUnavailable => {
                ("authentication_unavailable", 503, "Authentication unavailable")
            }
            Self::UpstreamTimeout => ("upstream_timeout", 504, "Upstream timed out"),
        }
    }

    /// The code as callers read it.
    pub(super) const fn name(self) -> &'static str {
        self.parts().0
    }

    const fn status(self) -> u16 {
        self.parts().1
    }
}

/// One error on its way to a caller.
#[derive(Clone)]
pub(super) struct ApiError {
    pub(super) code: Code,
    detail: &'static str,
    retryable: bool,
    retry_after: Option<u64>,
    region: Option<RegionName>,
    upstream: Option<UpstreamSaid>,
    allow: Option<&'static str>,
    closes: bool,
}

impl ApiError {
    /// An error of the request itself.
    pub(super) const fn new(code: Code, detail: &'static str) -> Self {
        Self {
            code,
            detail,
            retryable: false,
            retry_after: None,
            region: None,
            upstream: None,
            allow: None,
            closes: false,
        }
    }

    /// A method this route does not have; `allow` lists those it has.
    pub(super) const fn method_not_allowed(allow: &'static str) -> Self {
        let mut error =
            Self::new(Code::MethodNotAllowed, "This route does not have that method; see the Allow header.");
        error.allow = Some(allow);
        error
    }

    /// The caller asks too often.
    pub(super) const fn rate_limited(retry_after: u64) -> Self {
        let mut error = Self::new(Code::RateLimited, "This caller's requests per second are used up.");
        error.retryable = true;
        error.retry_after = Some(retry_after);
        error
    }

    /// A token that cannot be judged, because the issuer's keys cannot be fetched.
    pub(super) const fn authentication_unavailable(retry_after: u64) -> Self {
        let mut error = Self::new(
            Code::AuthenticationUnavailable,
            "The keys of the token issuer cannot be fetched, so the token cannot be judged.",
        );
        error.retryable = true;
        error.retry_after = Some(retry_after);
        error
    }

    /// The same error, after which the connection is closed: what follows on it cannot be trusted.
    pub(super) const fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// A failed lookup. The kind decides; nothing is read from texts.
    pub(super) fn from_failure(failure: &Failure, regions: &Regions) -> Self {
        let (code, detail) = describe(failure);
        let seconds = failure.retry_after().map_or(1, |pause| pause.as_secs_f64().ceil().max(1.0) as u64);
        Self {
            retryable: failure.is_retryable(),
            retry_after: (code.status() == 503).then_some(seconds),
            region: failure.region().map(|region| regions.name(region).clone()),
            upstream: failure.said().cloned(),
            ..Self::new(code, detail)
        }
    }

    /// The answer, to the request of that id.
    pub(super) fn answer(&self, request_id: &HeaderValue) -> Response {
        let body = self.body(request_id.to_str().unwrap_or_default());
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::from_u16(self.code.status()).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.code == Code::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    fn body(&self, request_id: &str) -> String {
        let (code, status, title) = self.code.parts();
        let mut problem = json!({
            "type": format!("urn:idv-gateway:{code}"),
            "title": title,
            "status": status,
            "detail": self.detail,
            "code": code,
            "retryable": self.retryable,
            "requestId": request_id,
        });
        if let Some(region) = &self.region {
            problem["region"] = json!(region.as_str());
        }
        if let Some(UpstreamSaid { code: Some(code), .. }) = &self.upstream {
            problem["upstream"]["code"] = json!(code);
        }
        if let Some(UpstreamSaid { transaction_id: Some(id), .. }) = &self.upstream {
            problem["upstream"]["transactionId"] = json!(id);
        }
        problem.to_string()
    }
}

/// The error itself, on its way through the admin listener's router: `observe` makes the answer of it.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// The code and detail of each failure.
const fn describe(failure: &Failure) -> (Code, &'static str) {
    match failure {
        Failure::NotFound(_) => NOT_FOUND,
        Failure::Ambiguous => {
            (Code::AmbiguousSignature, "More than one region knows this id; name one with ?region=.")
        }
        Failure::RegionUndetermined { .. } => (
            Code::RegionUndetermined,
            "No region that answered has this id, and at least one could not be asked.",
        ),
        Failure::Overloaded => OVERLOADED,
        Failure::ShuttingDown => (Code::ShuttingDown, "The gateway is shutting down; ask again."),
        Failure::Internal => INTERNAL,
        Failure::Upstream(_, fault) => describe_fault(fault.kind),
    }
}

const NOT_FOUND: (Code, &str) =
    (Code::SignatureNotFound, "Every region that may hold this id says that it does not exist.");
const OVERLOADED: (Code, &str) = (Code::Overloaded, "The gateway has no room for another upstream request.");
const INTERNAL: (Code, &str) = (Code::Internal, "The gateway failed; this is a defect of its own.");

const fn describe_fault(kind: Kind) -> (Code, &'static str) {
    match kind {
        Kind::NotFound => NOT_FOUND,
        Kind::Connect | Kind::Reset => (Code::UpstreamUnavailable, "The upstream could not be reached."),
        Kind::Unavailable => {
            (Code::UpstreamUnavailable, "The upstream is not being asked until it recovers.")
        }
        Kind::Timeout => (Code::UpstreamTimeout, "The upstream did not answer in time."),
        Kind::Server => (Code::UpstreamError, "The upstream says that it failed."),
        Kind::Refused => (Code::UpstreamError, "The upstream refused the request."),
        Kind::Malformed | Kind::Truncated => {
            (Code::UpstreamMalformed, "The upstream's answer could not be read.")
        }
        Kind::IdMismatch => {
            (Code::UpstreamIdMismatch, "The upstream answered for another id; its answer was dropped.")
        }
        Kind::Auth => (Code::UpstreamAuth, "The upstream does not accept the gateway's keys or token."),
        Kind::Account => {
            (Code::UpstreamAccount, "The upstream account has no balance or quota, or is disabled.")
        }
        Kind::Busy => (Code::UpstreamBusy, "The upstream asks the gateway to slow down."),
        Kind::Overloaded => OVERLOADED,
        Kind::Internal => INTERNAL,
    }
}

/// What is answered where there is no route.
pub(super) const fn no_such_route() -> ApiError {
    ApiError::new(Code::RouteNotFound, "This listener has no such path.")
}

/// What is answered where a route has GET alone.
pub(super) async fn get_only() -> ApiError {
    ApiError::method_not_allowed("GET, HEAD")
}

/// What is answered when a handler panicked. What it panicked with may hold anything, so it is not looked at.
pub(super) fn panicked(metrics: &Metrics) -> ApiError {
    metrics.panics.inc();
    let (code, detail) = INTERNAL;
    ApiError { retryable: Failure::Internal.is_retryable(), ..ApiError::new(code, detail) }
}

/// The same for the admin listener's router.
#[derive(Clone)]
pub(super) struct Panicked {
    pub(super) metrics: Arc<Metrics>,
}

impl ResponseForPanic for Panicked {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send + 'static>) -> Response {
        panicked(&self.metrics).into_response()
    }
}
