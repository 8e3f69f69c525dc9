//! What surrounds every request: its id, the headers every answer has, one log line, and the metrics.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderName};
use axum::http::{HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use tokio::time::Instant;

use super::audit::Audit;
use super::error::ApiError;
use super::idv::Seen;
use crate::telemetry::metrics::{Metrics, RouteLabel};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Which listener a request came to.
#[derive(Clone)]
pub(super) struct Access {
    /// The public listener's requests are counted; the admin listener's are its own business.
    metrics: Option<Arc<Metrics>>,
    audit: Audit,
}

impl Access {
    pub(super) const fn public(metrics: Arc<Metrics>, audit: Audit) -> Self {
        Self { metrics: Some(metrics), audit }
    }

    pub(super) const fn admin() -> Self {
        Self { metrics: None, audit: Audit::off() }
    }
}

/// Surrounds one request.
pub(super) async fn observe(State(access): State<Access>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let request_id = request_id(&request);
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let error = response.extensions_mut().remove::<Arc<ApiError>>();
    if let Some(error) = &error {
        write_problem(&mut response, error, &request_id);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(metrics) = &access.metrics {
        let seen = response.extensions_mut().remove::<Seen>();
        let route = if seen.is_some() { RouteLabel::Idv } else { RouteLabel::Unmatched };
        if let Some(seen) = &seen {
            access.audit.record(&request_id, seen);
        }
        metrics.http.observe(route, method.as_str(), response.status().as_u16(), started.elapsed());
        log(&request_id, &method, route, &response, seen, error.as_deref(), started);
    }
    response.headers_mut().insert(X_REQUEST_ID, request_id);
    response
}

fn write_problem(response: &mut Response, error: &ApiError, request_id: &HeaderValue) {
    let body = error.body(request_id.to_str().unwrap_or_default());
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    *response.body_mut() = Body::from(body);
}

/// The one line of a request. An id appears as its hash, a caller by its name, and nothing else of the request does.
fn log(
    request_id: &HeaderValue,
    method: &Method,
    route: RouteLabel,
    response: &Response,
    seen: Option<Seen>,
    error: Option<&ApiError>,
    started: Instant,
) {
    let seen = seen.unwrap_or_default();
    tracing::info!(
        target: "access",
        request_id = request_id.to_str().unwrap_or_default(),
        method = known_method(method),
        route = route.name(),
        status = response.status().as_u16(),
        code = error.map(|error| error.code.name()),
        caller = seen.caller.as_deref(),
        id_hash = seen.id.map(|id| tracing::field::display(id.hash_for_logs())),
        cache = seen.cache,
        duration_us = started.elapsed().as_micros() as u64,
        "request"
    );
}

/// A method is the client's text: only the known ones are written out.
fn known_method(method: &Method) -> &str {
    match *method {
        Method::GET | Method::HEAD | Method::DELETE | Method::POST | Method::PUT | Method::PATCH => {
            method.as_str()
        }
        Method::OPTIONS | Method::TRACE | Method::CONNECT => method.as_str(),
        _ => "other",
    }
}

/// The caller's request id, if it is one, else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let mut given = request.headers().get_all(&X_REQUEST_ID).iter();
    match (given.next(), given.next()) {
        (Some(given), None) if is_request_id(given.as_bytes()) => given.clone(),
        _ => new_request_id(),
    }
}

fn is_request_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(is_plain)
}

fn new_request_id() -> HeaderValue {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let random: u128 = rand::random();
    let digits: [u8; 32] = std::array::from_fn(|n| HEX[(random >> (n * 4)) as usize & 15]);
    HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
