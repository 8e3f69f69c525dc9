//! The public listener: its URL space, and what happens around each request.

mod answer;
mod audit;
mod body;
mod caller;
mod idv;
mod jwt;
mod options;

use axum::extract::Request;
use axum::http::request::Parts;
use axum::response::Response;
use http_body::Body as _;
use hyper::body::Incoming;

use super::error::{self, ApiError};
use super::exchange::AccessRecord;

pub(crate) use audit::Audit;
pub(crate) use caller::{CallerSettings, Callers};
pub(crate) use idv::Public;
pub(crate) use jwt::{JwksSource, JwtSettings, Verifier};

/// Answers one request and records it.
pub(super) async fn answer(public: &Public, request: Request<Incoming>) -> Response {
    let (head, body) = request.into_parts();
    let mut record = AccessRecord::new(&head);
    let answer = route(public, &head, body.is_end_stream(), &mut record);
    let answer = error::catch_panics(answer, &public.metrics).await;
    let mut response = answer.unwrap_or_else(|error| {
        record.code = Some(error.code);
        error.answer(record.request_id())
    });
    if let Some(source) = record.source {
        answer::set_cache_status(response.headers_mut(), source);
    }
    record.finish(&mut response, &public.traces);
    record.count(&public.metrics.http);
    record.log();
    record.trace();
    public.audit.write(&record);
    response
}

/// The public URL space. Matching its one route by hand is a good part of what makes a cached answer cheap.
async fn route<'a>(
    public: &'a Public,
    head: &'a Parts,
    is_bodyless: bool,
    record: &mut AccessRecord<'a>,
) -> Result<Response, ApiError> {
    match head.uri.path().strip_prefix("/idv/") {
        Some(id) => idv::handle(public, head, id, is_bodyless, record).await,
        None => Err(idv::not_found(head)),
    }
}
