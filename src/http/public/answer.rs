//! The answer of a lookup: its body cut for the caller's scopes, its headers.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use axum::response::Response;
use jiff::Timestamp;
use tokio::time::Instant;

use super::body::Sliced;
use crate::answer::Moment;
use crate::domain::scope::Scopes;
use crate::lookup::{Fetched, Found, Source};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The answer of a lookup, for a caller with these `scopes`. For a fresh final result this is slicing, not JSON work.
///
/// `waited`: how many seconds it could have been waited for.
pub(super) fn answer(found: &Found, scopes: Scopes, waited: Option<u64>) -> Response {
    let retry_after = found.entry.retry_after(Instant::now());
    let moment = Moment { stale: matches!(found.source, Source::Stale { .. }), retry_after };
    let slices = found.entry.record().body.cut(scopes, moment, Timestamp::now());
    let mut response = Response::new(Body::new(Sliced::new(slices)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    if let Some(value) = waited.and_then(|seconds| HeaderValue::try_from(format!("wait={seconds}")).ok()) {
        headers.insert(PREFERENCE_APPLIED, value);
    }
    response
}

/// Says where an answer came from (RFC 9211).
pub(super) fn set_cache_status(headers: &mut HeaderMap, source: Source) {
    let mut text = String::with_capacity(40);
    text.push_str("idv-gateway; ");
    // Writing to a string does not fail.
    let _ = match source {
        Source::Hit { ttl } => write!(text, "hit; ttl={ttl}"),
        Source::Remote { ttl } => write!(text, "hit; ttl={ttl}; detail=remote"),
        Source::Stale { age, .. } => write!(text, "hit; ttl=-{}", age.max(1)),
        Source::Refresh(_) => write!(text, "fwd=request"),
        Source::Miss(Fetched { stored, joined, .. }) => {
            let stored = if stored { "; stored" } else { "" };
            let joined = if joined { "; collapsed" } else { "" };
            write!(text, "fwd=miss{stored}{joined}")
        }
        Source::Index => return,
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(CACHE_STATUS, value);
    }
}
