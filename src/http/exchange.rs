//! What surrounds every request: its id, the headers every answer has, one log line, the metrics, and its span.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use axum::response::Response;

use super::error::ApiError;
use crate::domain::region::RegionName;
use crate::domain::scope::Scopes;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Status;
use crate::lookup::{Fetched, Source};
use crate::telemetry::metrics::{MethodLabel, RouteLabel};
use crate::telemetry::traces::Span;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What was learned of a request, for its answer's headers, its log line, the metrics and the audit.
#[derive(Default)]
pub(super) struct AccessRecord<'a> {
    pub(super) route: RouteLabel,
    pub(super) caller: Option<&'a str>,
    pub(super) id: Option<SignatureId>,
    pub(super) source: Option<Source>,
    /// The `status` word of the answer.
    pub(super) status: Option<Status>,
    /// What of the person was shown, and from which region.
    pub(super) disclosed: Scopes,
    pub(super) region: Option<&'a RegionName>,
}

/// The headers of every answer.
pub(super) fn finish(response: &mut Response, request_id: HeaderValue) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_REQUEST_ID, request_id);
}

/// The one line of a request. An id appears as its hash, a caller by its name, and nothing else of the request does.
pub(super) fn log(
    request_id: &HeaderValue,
    method: MethodLabel,
    response: &Response,
    record: &AccessRecord<'_>,
    error: Option<&ApiError>,
    duration: Duration,
) {
    tracing::info!(
        target: "access",
        request_id = request_id.to_str().unwrap_or_default(),
        method = method.name(),
        route = record.route.name(),
        status = response.status().as_u16(),
        code = error.map(|error| error.code.name()),
        caller = record.caller,
        id_hash = record.id.map(|id| tracing::field::display(id.hash_for_logs())),
        cache = record.source.map(cache_word),
        duration_us = duration.as_micros() as u64,
        "request"
    );
}

/// What the request's span says when the answer is made: no more than its log line.
pub(super) fn trace(
    span: &Span,
    request_id: &HeaderValue,
    method: MethodLabel,
    response: &Response,
    record: &AccessRecord<'_>,
    error: Option<&ApiError>,
) {
    if !span.is_recorded() {
        return;
    }
    let (method, route) = (method.name(), record.route.name());
    match record.route {
        RouteLabel::Idv => {
            span.rename(format!("{method} {route}"));
            span.word("http.route", route);
        }
        RouteLabel::Unmatched => span.rename(method.to_owned()),
    }
    span.number("http.response.status_code", response.status().as_u16().into());
    span.text("idv.request_id", request_id.to_str().unwrap_or_default());
    if let Some(caller) = record.caller {
        span.text("idv.caller", caller);
    }
    if let Some(id) = record.id {
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
pub(super) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(&TRACEPARENT).iter();
    let only = given.next().filter(|_| given.next().is_none());
    only?.to_str().ok()
}

/// The caller's request id, if it is one, else a new one.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
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

/// Where an answer came from, in one word.
const fn cache_word(source: Source) -> &'static str {
    match source {
        Source::Hit { .. } | Source::Index => "hit",
        Source::Stale { .. } => "stale",
        Source::Refresh(_) => "request",
        Source::Miss(Fetched { joined: true, .. }) => "joined",
        Source::Miss(_) => "miss",
    }
}
