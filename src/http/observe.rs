//! What surrounds every request: its id, the headers every answer has, one log line, the metrics, and its span.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::error::{self, ApiError};
use super::idv::Seen;
use super::{Public, public_route, render};
use crate::telemetry::metrics::{MethodLabel, RouteLabel};
use crate::telemetry::traces::Span;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Surrounds one request to the public listener.
pub(super) async fn public(public: &Public, request: Request<Incoming>) -> Response {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let request_id = request_id(&head.headers);
    let method = MethodLabel::of(head.method.as_str());
    let span = public.traces.request(|| (method.name(), traceparent(&head.headers)));
    let mut seen = Seen::default();
    let answer = public_route(public, &head, body.is_end_stream(), &span, &mut seen);
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_| Err(error::panicked(&public.metrics)));
    let (mut response, error) = match answer {
        Ok(response) => (response, None),
        Err(error) => (error.answer(&request_id), Some(error)),
    };
    if let Some(source) = seen.source {
        render::set_cache_status(response.headers_mut(), source);
    }
    public.audit.record(&request_id, &seen);
    let duration = started.elapsed();
    public.metrics.http.observe(seen.route, method, response.status().as_u16(), duration);
    log(&request_id, method, &response, &seen, error.as_ref(), duration);
    trace(&span, &request_id, method, &response, &seen, error.as_ref());
    finish(&mut response, request_id);
    response
}

/// Surrounds one request to the admin listener, whose requests are its own business: neither counted nor logged.
pub(super) async fn admin(request: Request, next: Next) -> Response {
    let request_id = request_id(request.headers());
    let mut response = next.run(request).await;
    if let Some(error) = response.extensions_mut().remove::<Arc<ApiError>>() {
        response = error.answer(&request_id);
    }
    finish(&mut response, request_id);
    response
}

/// The headers of every answer.
fn finish(response: &mut Response, request_id: HeaderValue) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_REQUEST_ID, request_id);
}

/// The one line of a request. An id appears as its hash, a caller by its name, and nothing else of the request does.
fn log(
    request_id: &HeaderValue,
    method: MethodLabel,
    response: &Response,
    seen: &Seen<'_>,
    error: Option<&ApiError>,
    duration: Duration,
) {
    tracing::info!(
        target: "access",
        request_id = request_id.to_str().unwrap_or_default(),
        method = method.name(),
        route = seen.route.name(),
        status = response.status().as_u16(),
        code = error.map(|error| error.code.name()),
        caller = seen.caller,
        id_hash = seen.id.map(|id| tracing::field::display(id.hash_for_logs())),
        cache = seen.source.map(render::cache_word),
        duration_us = duration.as_micros() as u64,
        "request"
    );
}

/// What the request's span says when the answer is made: no more than its log line.
fn trace(
    span: &Span,
    request_id: &HeaderValue,
    method: MethodLabel,
    response: &Response,
    seen: &Seen<'_>,
    error: Option<&ApiError>,
) {
    if !span.is_recorded() {
        return;
    }
    let (method, route) = (method.name(), seen.route.name());
    match seen.route {
        RouteLabel::Idv => {
            span.rename(format!("{method} {route}"));
            span.word("http.route", route);
        }
        RouteLabel::Unmatched => span.rename(method.to_owned()),
    }
    span.number("http.response.status_code", response.status().as_u16().into());
    span.text("idv.request_id", request_id.to_str().unwrap_or_default());
    if let Some(caller) = seen.caller {
        span.text("idv.caller", caller);
    }
    if let Some(id) = seen.id {
        span.text("idv.id_hash", &id.hash_for_logs().to_string());
    }
    if let Some(error) = error {
        span.word("error.type", error.code.name());
    }
    // To a tracing system a request that was wrong is no failure of the service.
    if response.status().is_server_error() {
        span.fail();
    }
}

/// The caller's `traceparent`, if there is one and no second.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(&TRACEPARENT).iter();
    let only = given.next().filter(|_| given.next().is_none());
    only?.to_str().ok()
}

/// The caller's request id, if it is one, else a new one.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let mut given = headers.get_all(&X_REQUEST_ID).iter();
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
