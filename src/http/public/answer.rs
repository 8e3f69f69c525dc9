//! The answer of a lookup: its body cut for the caller's scopes, its headers.

use std::array;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use jiff::Timestamp;

use crate::answer::{MAX_SLICES, Moment};
use crate::domain::scope::Scopes;
use crate::lookup::{Fetched, Found, Source};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// The answer of a lookup at `now`, for a caller with these `scopes`. For a fresh final result this is slicing, not JSON work.
///
/// `waited`: how many seconds it could have been waited for.
pub(super) fn answer(found: &Found, scopes: Scopes, waited: Option<u64>, now: Timestamp) -> Response {
    let retry_after = found.entry.retry_after();
    let moment = Moment { stale: matches!(found.source, Source::Stale { .. }), retry_after };
    let slices = found.entry.record().body.cut(scopes, moment, now);
    let mut response = Response::new(Body::new(Sliced(slices.into_iter())));
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
    let mut number = itoa::Buffer::new();
    let parts = match source {
        Source::Hit { ttl } => ["hit; ttl=", number.format(ttl), ""],
        Source::Remote { ttl } => ["hit; ttl=", number.format(ttl), "; detail=remote"],
        Source::Stale { age, .. } => ["hit; ttl=-", number.format(age.max(1)), ""],
        Source::Refresh(_) => ["fwd=request", "", ""],
        Source::Miss(Fetched { stored, joined, .. }) => {
            ["fwd=miss", if stored { "; stored" } else { "" }, if joined { "; collapsed" } else { "" }]
        }
        Source::Index => return,
    };
    if let Ok(value) = HeaderValue::try_from(["idv-gateway; ", parts[0], parts[1], parts[2]].concat()) {
        headers.insert(CACHE_STATUS, value);
    }
}

/// Slices, sent in order as they are.
struct Sliced(array::IntoIter<Bytes, MAX_SLICES>);

impl Sliced {
    fn left(&self) -> u64 {
        self.0.as_slice().iter().map(|slice| slice.len() as u64).sum()
    }
}

impl http_body::Body for Sliced {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.find(|slice| !slice.is_empty());
        Poll::Ready(next.map(|slice| Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left())
    }
}
