//! Doors for `crate::fuzzing`: what reads the upstream's bytes, without the network around it.

use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;

use super::reply::Reader;
use crate::domain::region::RegionId;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::net::{Answer, retry_after};

/// What an answer of HTTP 200 with this body says of `id`; `None` if it is no clean answer about it.
pub(crate) fn understand(body: &[u8], id: SignatureId, region: RegionId) -> Option<Verification> {
    let answer = Answer {
        status: StatusCode::OK,
        is_json: true,
        retry_after: None,
        date_header: None,
        is_first: true,
        body: body.to_vec(),
    };
    let (reply, _drift) = Reader::new(region, Vec::new()).read(id, &answer);
    reply.into_result().ok().map(|verification| *verification)
}

/// How long a `Retry-After` of this value makes us wait.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    retry_after::parse(value, now)
}

/// The moment that a `Date` of this value names.
pub(crate) fn date(value: &str) -> Option<Timestamp> {
    retry_after::http_date(value)
}
