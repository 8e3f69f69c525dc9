//! The answer of a lookup: its body cut for the caller's scopes, its headers.

use std::fmt::Write as _;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use axum::response::Response;
use jiff::Timestamp;

use super::body::Sliced;
use super::render::{media_json, write_part};
use crate::domain::scope::{Scope, Scopes};
use crate::lookup::{Found, Source};

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The answer of a lookup, for somebody who may see `scopes`. For a fresh entry this is slicing, not JSON work.
pub(super) fn answer(found: &Found, scopes: Scopes) -> Response {
    let entry = &found.entry;
    let is_stale = matches!(found.source, Source::Stale { .. });
    let now = Timestamp::now();
    let slices = if scopes.contains(Scope::Media) && entry.has_dead_links(now) {
        let mut media = Vec::new();
        write_part(&mut media, "media", &media_json(entry.live_links(now)));
        entry.document().cut_with_media(scopes, is_stale, media)
    } else {
        entry.document().cut(scopes, is_stale)
    };
    let mut response = Response::new(Body::new(Sliced::new(slices)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = entry.retry_after() {
        headers.insert(RETRY_AFTER, seconds.into());
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
        Source::Stale { age } => write!(text, "hit; ttl=-{}", age.max(1)),
        Source::Fetched { requested: true, .. } => write!(text, "fwd=request"),
        Source::Fetched { stored, joined, .. } => {
            let stored = if stored { "; stored" } else { "" };
            let joined = if joined { "; collapsed" } else { "" };
            write!(text, "fwd=miss{stored}{joined}")
        }
        Source::Known => return,
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(CACHE_STATUS, value);
    }
}
