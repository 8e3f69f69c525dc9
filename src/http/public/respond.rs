//! The answer of a lookup: its body cut for the caller's scopes, its headers.

use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use jiff::Timestamp;

use crate::answer::Moment;
use crate::domain::scope::Scopes;
use crate::http::error::Answer;
use crate::lookup::{Fetched, Found, Source};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The answer of a lookup at `now`, for a caller with these `scopes`. For a fresh final result this is copying, not JSON work.
pub(super) fn respond(found: &Found, scopes: Scopes, now: Timestamp) -> Answer {
    let retry_after = found.entry.retry_after();
    let moment = Moment { stale: matches!(found.source, Source::Stale { .. }), retry_after };
    let body = found.entry.record().body.cut(scopes, moment, now);
    let mut response = Answer::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}

/// Says for how many seconds the request could have waited for this answer (RFC 7240).
pub(super) fn set_preference_applied(headers: &mut HeaderMap, seconds: u64) {
    if let Ok(value) = HeaderValue::try_from(format!("wait={seconds}")) {
        headers.insert(PREFERENCE_APPLIED, value);
    }
}

/// Says where an answer came from (RFC 9211).
pub(super) fn set_cache_status(headers: &mut HeaderMap, source: Source) {
    let mut number = itoa::Buffer::new();
    let parts = match source {
        Source::Hit { ttl } => ["hit; ttl=", number.format(ttl), ""],
        Source::Remote { ttl } => ["hit; ttl=", number.format(ttl), "; detail=remote"],
        Source::Stale { age, .. } => ["hit; ttl=-", number.format(age.max(1)), ""],
        Source::Refresh(_) => ["fwd=request", "", ""],
        Source::Miss(Fetched { stored, joined, .. }) => {
            ["fwd=miss", if stored { "; stored" } else { "" }, if joined { "; collapsed" } else { "" }]
        }
        Source::Index => ["hit", "", ""],
    };
    if let Ok(value) = HeaderValue::try_from(["idv-gateway; ", parts[0], parts[1], parts[2]].concat()) {
        headers.insert(CACHE_STATUS, value);
    }
}
