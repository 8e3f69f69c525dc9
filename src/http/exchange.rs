//! The record of one exchange, filled once and read by the access log, the metrics, the span and the audit trail; and
//! the headers that every answer has.

use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, HeaderMap, HeaderName};
use axum::http::request::Parts;
use jiff::Timestamp;
use tokio::time::Instant;

use super::code::Code;
use super::error::{Answer, ApiError};
use crate::domain::failure::Cause;
use crate::domain::region::RegionName;
use crate::domain::scope::Scopes;
use crate::domain::signature_id::{IdHash, Pseudonyms, SignatureId};
use crate::domain::text::hex;
use crate::domain::verification::Status;
use crate::lookup::{Fetched, Source};
use crate::telemetry::logs::AuditPlace;
use crate::telemetry::metrics::{HttpMetrics, MethodLabel, RouteLabel};
use crate::telemetry::traces::{Span, Traces, trace_id};
use crate::telemetry::{Line, Stamp};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known of one request and its answer. No other part of the request reaches a log, a metric or a span.
pub(super) struct AccessRecord<'a> {
    pub(super) request_id: HeaderValue,
    pub(super) span: Span,
    /// The trace that an authenticated caller says the request belongs to, recorded here or not.
    callers_trace: Option<String>,
    pub(super) started: Instant,
    method: MethodLabel,
    pub(super) route: RouteLabel,
    pub(super) caller: Option<&'a str>,
    pub(super) id: Option<SignatureId>,
    pub(super) source: Option<Source>,
    /// The seconds that it could have waited for a final result, if it waited.
    pub(super) waited: Option<u64>,
    /// The `status` word of the answer.
    pub(super) status: Option<Status>,
    /// The personal data that the answer carries, and the region it came from.
    pub(super) disclosed: Scopes,
    pub(super) region: Option<&'a RegionName>,
    /// The problem code of an error.
    pub(super) code: Option<Code>,
    /// Why the call to the upstream failed, if that is why there is no fresh result.
    pub(super) cause: Option<Cause>,
    /// What stands for the id in lines, where a result keeps it.
    pub(super) pseudonyms: Option<Pseudonyms>,
    /// Where the audit line of the answer goes, if it needs one.
    pub(super) audit_place: Option<AuditPlace>,
    http_status: u16,
    duration: Duration,
    /// By which time the result was cut, if there is one: one look at the clock is enough for an answer.
    pub(super) cut_at: Option<Timestamp>,
    /// When the answer was made.
    pub(super) time: Stamp,
}

impl<'a> AccessRecord<'a> {
    /// The record of a request of which only the head is known.
    pub(super) fn new(head: &Parts) -> Self {
        let method = head.method.as_str().parse().unwrap_or_default();
        Self {
            request_id: request_id(&head.headers),
            span: Span::none(),
            callers_trace: None,
            started: Instant::now(),
            method,
            route: RouteLabel::default(),
            caller: None,
            id: None,
            source: None,
            waited: None,
            disclosed: Scopes::NONE,
            region: None,
            code: None,
            cause: None,
            status: None,
            pseudonyms: None,
            audit_place: None,
            http_status: 0,
            duration: Duration::ZERO,
            cut_at: None,
            time: Stamp::default(),
        }
    }

    /// The caller is known: starts the request's span, below the caller's own if it sent one.
    pub(super) fn authenticated(&mut self, caller: &'a str, head: &Parts, traces: &Traces) {
        self.caller = Some(caller);
        let parent = traceparent(&head.headers);
        if traces.are_on() {
            self.span = traces.request(self.method.into(), parent, self.started.elapsed());
        }
        self.callers_trace = parent.and_then(trace_id);
    }

    /// The answer to the request, or the error in its form; it lacks only what [`set_common_headers`] adds. Completes the
    /// record, counts and logs it. Without an authenticated caller its span starts here, so that an unknown client does not
    /// choose whether it is sampled.
    pub(super) fn answer(
        &mut self,
        answer: Result<Answer, ApiError>,
        traces: &Traces,
        metrics: &HttpMetrics,
    ) -> Answer {
        let response = answer.unwrap_or_else(|error| {
            self.code = Some(error.code);
            if self.caller.is_none() {
                self.span = traces.request(self.method.into(), None, self.started.elapsed());
            }
            error.answer(self.request_id(), self.trace_id())
        });
        self.http_status = response.status().as_u16();
        self.duration = self.started.elapsed();
        self.time = Stamp::at(self.cut_at.unwrap_or_else(Timestamp::now));
        self.count(metrics);
        self.log();
        response
    }

    /// The request id as text.
    pub(super) fn request_id(&self) -> &str {
        str::from_utf8(self.request_id.as_bytes()).unwrap_or_default()
    }

    /// The trace that the request belongs to: its span's, else its caller's.
    fn trace_id(&self) -> Option<String> {
        self.span.trace_id().or_else(|| self.callers_trace.clone())
    }

    fn id_hash(&self) -> Option<IdHash> {
        self.pseudonyms.map(|names| names.id_hash).or_else(|| self.id.map(|id| id.hash_for_logs()))
    }

    fn count(&self, metrics: &HttpMetrics) {
        metrics.observe(self.route, self.method, self.http_status, self.duration);
        if let Some(status) = self.status {
            metrics.answers[status].inc();
        }
    }

    fn log(&self) {
        let Some(mut line) = Line::access(&self.time) else { return };
        line.text("request_id", Some(self.request_id()));
        line.text("method", Some(self.method.into()));
        line.text("route", Some(self.route.into()));
        line.number("status", self.http_status.into());
        line.text("code", self.code.map(Code::name));
        line.text("caller", self.caller);
        if let Some(IdHash(hash)) = self.id_hash() {
            line.hex::<8, 16>("id_hash", &hash);
        }
        line.text("cache", self.source.map(cache_word));
        line.text("cause", self.cause.map(Into::into));
        line.text("trace_id", self.trace_id().as_deref());
        line.number("duration_us", self.duration.as_micros() as u64);
        line.send();
    }

    /// Writes into the span what the log line says.
    pub(super) fn trace(&self) {
        let span = &self.span;
        if !span.is_recorded() {
            return;
        }
        let (method, route): (&'static str, &'static str) = (self.method.into(), self.route.into());
        match self.route {
            RouteLabel::Idv | RouteLabel::Callbacks => {
                span.rename(format!("{method} {route}"));
                span.set("http.route", route);
            }
            RouteLabel::Unmatched => span.rename(method.to_owned()),
        }
        span.set("http.response.status_code", i64::from(self.http_status));
        span.set("idv.request_id", self.request_id().to_owned());
        if let Some(caller) = self.caller {
            span.set("idv.caller", caller.to_owned());
        }
        if let Some(id_hash) = self.id_hash() {
            span.set("idv.id_hash", id_hash.to_string());
        }
        if let Some(code) = self.code {
            span.set("error.type", code.name());
        }
        // By the conventions of OpenTelemetry a bad request is not an error of the server.
        if self.http_status >= 500 {
            span.fail();
        }
    }
}

/// The headers of every answer.
pub(super) fn set_common_headers(headers: &mut HeaderMap, request_id: HeaderValue) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_REQUEST_ID, request_id);
}

/// The caller's request id if it sent one valid one, else a new one. It is copied: a clone would keep the whole head.
pub(super) fn request_id(headers: &HeaderMap) -> HeaderValue {
    let given = only(headers, &X_REQUEST_ID).map(HeaderValue::as_bytes).filter(|id| is_request_id(id));
    given.and_then(|id| HeaderValue::from_bytes(id).ok()).unwrap_or_else(new_request_id)
}

fn is_request_id(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&bytes.len()) && bytes.iter().all(is_plain)
}

fn new_request_id() -> HeaderValue {
    let digits: [u8; 32] = hex(&rand::random::<u128>().to_ne_bytes());
    HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

fn traceparent(headers: &HeaderMap) -> Option<&str> {
    only(headers, &TRACEPARENT)?.to_str().ok()
}

/// The value of a header that is given once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Where an answer came from, in one word.
const fn cache_word(source: Source) -> &'static str {
    match source {
        Source::Hit { .. } | Source::Index => "hit",
        Source::Remote { .. } => "remote",
        Source::Stale { .. } => "stale",
        Source::Refresh(_) => "request",
        Source::Miss(Fetched { joined: true, .. }) => "joined",
        Source::Miss(_) => "miss",
    }
}
