//! The public listener: its URL space, and what happens around each request.

mod audit;
mod caller;
mod idv;
mod jwt;
mod options;
mod respond;

use std::pin::pin;

use axum::extract::Request;
use axum::http::header::CONTENT_LENGTH;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use hyper::body::{Body as _, Incoming};

use super::code::ClientClass;
use super::error::{self, Answer, ApiError, READ};
use super::exchange::{self, AccessRecord};
use super::head;
use super::lifecycle::{Lifecycle, Stage};

pub(crate) use audit::Audit;
pub(crate) use caller::Callers;
pub(crate) use idv::Public;
pub(crate) use jwt::Verifier;
#[cfg(any(test, fuzzing))]
pub(crate) use options::preferred_wait;

/// Answers one request and records it.
pub(super) async fn answer(public: &Public, request: Request<Incoming>) -> Answer {
    let (head, body) = request.into_parts();
    if let "/livez" | "/readyz" = head.uri.path() {
        return probe(public, &head, body.is_end_stream());
    }
    let mut record = AccessRecord::new(&head);
    let answer = {
        let answer = pin!(route(public, head, body.is_end_stream(), &mut record));
        error::catch_panics(answer, &public.metrics).await
    };
    let mut response = record.answer(answer, &public.traces, &public.metrics.http);
    if let Some(source) = record.source {
        respond::set_cache_status(response.headers_mut(), source);
    }
    if let Some(seconds) = record.waited {
        respond::set_preference_applied(response.headers_mut(), seconds);
    }
    record.trace();
    public.audit.write(&record);
    exchange::set_common_headers(response.headers_mut(), record.request_id);
    response
}

/// The public URL space. Matching its one route by hand is a good part of what makes a cached answer cheap.
async fn route<'a>(
    public: &'a Public,
    head: Parts,
    is_bodyless: bool,
    record: &mut AccessRecord<'a>,
) -> Result<Answer, ApiError> {
    head::check_framing(&head)?;
    if let Some(hosts) = &public.hosts {
        hosts.check(&head)?;
    }
    if !head.uri.path().starts_with(idv::PATH) {
        return Err(error::no_such_route());
    }
    idv::handle(public, head, is_bodyless, record).await
}

/// Answers a load balancer's question for health, which is neither counted nor logged, and takes any host.
fn probe(public: &Public, head: &Parts, is_bodyless: bool) -> Answer {
    let request_id = exchange::request_id(&head.headers);
    let checked = head::check_framing(head).and_then(|()| head::check_method(head, READ, is_bodyless));
    let mut response = match checked {
        Ok(()) => health(&public.lifecycle, head.uri.path()),
        Err(error) => error.answer(request_id.to_str().unwrap_or_default(), None),
    };
    exchange::set_common_headers(response.headers_mut(), request_id);
    response
}

fn health(lifecycle: &Lifecycle, path: &str) -> Answer {
    let mut response = Answer::default();
    if path == "/readyz" && lifecycle.stage() != Stage::Ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    // Said by hand, so that HEAD says it, too.
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response.extensions_mut().insert(ClientClass::Anonymous);
    response
}
