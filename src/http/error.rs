//! Errors as callers see them: RFC 9457, the same form wherever they come from.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::Full;
use serde::Serialize;
use tower_http::catch_panic::ResponseForPanic;

use super::code::{ClientClass, Code};
use crate::domain::failure::{Failure, Kind, UpstreamSaid};
use crate::domain::region::{RegionName, Regions};
use crate::telemetry::metrics::Metrics;

/// An answer whose body is one text: axum's body would be on the heap, behind a table of functions.
pub(super) type Answer = axum::http::Response<Full<Bytes>>;

/// One error on its way to a caller.
#[derive(Clone)]
pub(super) struct ApiError {
    pub(super) code: Code,
    detail: &'static str,
    retryable: bool,
    retry_after: Option<u64>,
    region: Option<RegionName>,
    upstream: Option<UpstreamSaid>,
    /// The value of `Allow` for 405, of `WWW-Authenticate` for 401 and 403.
    header: Option<&'static str>,
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
            header: None,
            closes: false,
        }
    }

    /// A method that the route does not have; `allow` lists those that it has.
    pub(super) const fn method_not_allowed(allow: &'static str) -> Self {
        let detail = "This route does not have that method; see the Allow header.";
        let mut error = Self::new(Code::MethodNotAllowed, detail);
        error.header = Some(allow);
        error
    }

    /// The same error, with the challenge for a client that has to authenticate in another way.
    pub(super) const fn challenge(mut self, challenge: &'static str) -> Self {
        self.header = Some(challenge);
        self
    }

    /// The same error, worth another request after `delay`.
    pub(super) fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(whole_seconds(delay));
        self
    }

    /// An error that ends by itself: the same request is worth sending again after `delay`.
    pub(super) fn passing(code: Code, detail: &'static str, delay: Duration) -> Self {
        Self { retryable: true, ..Self::new(code, detail).retry_after(delay) }
    }

    /// The same error, after which the connection is closed: what follows on it cannot be trusted.
    pub(super) const fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// A failed lookup.
    pub(super) fn from_failure(failure: &Failure, regions: &Regions) -> Self {
        let (code, detail) = describe(failure);
        let delay = failure.fault().and_then(|fault| fault.retry_after).map(whole_seconds);
        Self {
            retryable: failure.is_retryable(),
            retry_after: match code.status() {
                503 => delay.or(Some(1)),
                // What the upstream named, if it did.
                _ => delay,
            },
            region: failure.region().map(|region| regions.name(region).clone()),
            upstream: failure.said().cloned(),
            ..Self::new(code, detail)
        }
    }

    /// The answer to the request of that id, which belongs to that trace if there is one.
    pub(super) fn answer(&self, request_id: &str, trace_id: Option<String>) -> Answer {
        let mut response = Answer::new(self.body(request_id, trace_id).into());
        *response.status_mut() = StatusCode::from_u16(self.code.status()).unwrap_or_default();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if let Some(value) = self.header {
            let name = if self.code == Code::MethodNotAllowed { ALLOW } else { WWW_AUTHENTICATE };
            headers.insert(name, HeaderValue::from_static(value));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if self.code.takes_no_rights() {
            response.extensions_mut().insert(ClientClass::Faulty);
        }
        response
    }

    fn body(&self, request_id: &str, trace_id: Option<String>) -> Vec<u8> {
        let (code, status, title) = self.code.parts();
        let problem = Problem {
            r#type: format!("urn:idv-gateway:{code}"),
            title,
            status,
            detail: self.detail,
            code,
            retryable: self.retryable,
            request_id,
            trace_id,
            region: self.region.as_ref().map(RegionName::as_str),
            upstream: self
                .upstream
                .as_ref()
                .filter(|said| said.code.is_some() || said.transaction_id.is_some()),
        };
        serde_json::to_vec(&problem).unwrap_or_default()
    }
}

/// The error itself, on its way through the admin listener's router, which makes the answer of it once it knows the
/// request id.
impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// For `Retry-After`: never too soon.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs_f64().ceil().max(1.0) as u64
}

/// The body of a problem.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Problem<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'static str,
    code: &'static str,
    retryable: bool,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a UpstreamSaid>,
}

/// The challenge for a client that sent no credential.
pub(super) const REALM: &str = r#"Bearer realm="idv-gateway""#;

/// The methods of a route that only shows something.
pub(super) const READ: &str = "GET, HEAD";

/// The code and detail of each failure.
const fn describe(failure: &Failure) -> (Code, &'static str) {
    match failure {
        Failure::NotFound(_) => NOT_FOUND,
        Failure::Ambiguous => {
            (Code::AmbiguousSignature, "More than one region knows this id; name one with ?region=.")
        }
        Failure::RegionUndetermined(..) => (
            Code::RegionUndetermined,
            "No region that answered has this id, and at least one could not be asked.",
        ),
        Failure::Upstream(_, fault) => describe_fault(fault.kind),
    }
}

const NOT_FOUND: (Code, &str) =
    (Code::SignatureNotFound, "Every region that may hold this id says that it does not exist.");
const INTERNAL: (Code, &str) = (Code::Internal, "The gateway failed; this is a defect of its own.");

const fn describe_fault(kind: Kind) -> (Code, &'static str) {
    match kind {
        Kind::NotFound => NOT_FOUND,
        Kind::Dns | Kind::Connect | Kind::Tls | Kind::Reset => {
            (Code::UpstreamUnavailable, "The upstream could not be reached.")
        }
        Kind::Unavailable => {
            (Code::UpstreamUnavailable, "The gateway cannot ask the upstream now; it tries again by itself.")
        }
        Kind::Timeout | Kind::Deadline => (Code::UpstreamTimeout, "The upstream did not answer in time."),
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
        Kind::Overloaded => (Code::Overloaded, "The gateway has no room for another upstream request."),
        Kind::Internal => INTERNAL,
    }
}

/// What is answered where there is no route.
pub(super) const fn no_such_route() -> ApiError {
    ApiError::new(Code::RouteNotFound, "This listener has no such path.")
}

/// A route that has GET alone.
pub(super) async fn get_only() -> ApiError {
    ApiError::method_not_allowed(READ)
}

/// Waits for an answer; a panic becomes one, too. The future stays where it is: every connection has room for it once.
pub(super) async fn catch_panics(
    answer: Pin<&mut impl Future<Output = Result<Answer, ApiError>>>,
    metrics: &Metrics,
) -> Result<Answer, ApiError> {
    AssertUnwindSafe(answer).catch_unwind().await.unwrap_or_else(|_| Err(panicked(metrics)))
}

/// The error after a panic. The payload may hold anything and is not looked at.
fn panicked(metrics: &Metrics) -> ApiError {
    metrics.panics.inc();
    let (code, detail) = INTERNAL;
    ApiError { retryable: true, ..ApiError::new(code, detail) }
}

/// The same for the admin listener's router.
#[derive(Clone)]
pub(super) struct PanicHandler(pub(super) Arc<Metrics>);

impl ResponseForPanic for PanicHandler {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, _: Box<dyn Any + Send + 'static>) -> Response {
        panicked(&self.0).into_response()
    }
}
