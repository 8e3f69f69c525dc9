//! The public listener: its URL space and what surrounds each of its requests.

mod answer;
mod audit;
mod body;
mod caller;
mod idv;
mod jwt;
mod options;

use std::panic::AssertUnwindSafe;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::Response;
use futures_util::FutureExt;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;

use super::error::{self, ApiError};
use super::exchange::{self, AccessRecord};
use crate::telemetry::metrics::MethodLabel;
use crate::telemetry::traces::Span;

pub(crate) use audit::Audit;
pub(crate) use caller::{CallerSettings, Callers};
pub(crate) use idv::Public;
pub(crate) use jwt::{JwksSource, JwtSettings, Verifier};

/// Surrounds one request to the public listener.
pub(super) async fn answer(public: &Public, request: Request<Incoming>) -> Response {
    let started = Instant::now();
    let (head, body) = request.into_parts();
    let request_id = exchange::request_id(&head.headers);
    let method = MethodLabel::of(head.method.as_str());
    let span = public.traces.request(|| (method.name(), exchange::traceparent(&head.headers)));
    let mut record = AccessRecord::default();
    let answer = route(public, &head, body.is_end_stream(), &span, &mut record);
    let answer = AssertUnwindSafe(answer).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_| Err(error::panicked(&public.metrics)));
    let (mut response, error) = match answer {
        Ok(response) => (response, None),
        Err(error) => (error.answer(&request_id), Some(error)),
    };
    if let Some(source) = record.source {
        answer::set_cache_status(response.headers_mut(), source);
    }
    public.audit.record(&request_id, &record);
    let duration = started.elapsed();
    public.metrics.http.observe(record.route, method, response.status().as_u16(), duration);
    if let Some(status) = record.status {
        public.metrics.http.count_answer(status);
    }
    exchange::log(&request_id, method, &response, &record, error.as_ref(), duration);
    exchange::trace(&span, &request_id, method, &response, &record, error.as_ref());
    exchange::finish(&mut response, request_id);
    response
}

/// The public URL space: one route, and matching it by hand is a good part of what makes a cached answer cheap.
async fn route<'a>(
    public: &'a Public,
    head: &'a Parts,
    is_bodyless: bool,
    span: &Span,
    record: &mut AccessRecord<'a>,
) -> Result<Response, ApiError> {
    match head.uri.path().strip_prefix("/idv/") {
        Some(id) => idv::handle(public, head, id, is_bodyless, span, record).await,
        None => Err(idv::not_found(head)),
    }
}
