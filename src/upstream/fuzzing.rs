//! Doors for `crate::fuzzing`: what reads the upstream's bytes, without the network around it.

use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;

use super::envelope::{self, Refusal, Success};
use super::normalise::{AllowedHosts, Context, Echo, echo, normalise};
use super::wire;
use crate::domain::drift::Drift;
use crate::domain::region::RegionId;
use crate::domain::signature_id::SignatureId;
use crate::domain::verification::Verification;
use crate::net::{Answer, retry_after};

/// What an answer of HTTP 200 with this body says of `id`; `None` if it is no clean answer about it.
pub(crate) fn understand(
    body: &[u8],
    id: SignatureId,
    region: RegionId,
    observed_at: Timestamp,
) -> Option<Verification> {
    let mut drift = Drift::default();
    let text = wire::text(body, &mut drift);
    let success = open(&text, &mut drift).ok()?;
    let transaction_id = success.transaction_id;
    let allowed_hosts = &AllowedHosts::default();
    let context = Context { id, region, observed_at, transaction_id, allowed_hosts };
    let is_other = echo(&success.data, &id, &mut drift) == Echo::Other;
    (!is_other).then(|| normalise(&success.data, context, &mut drift))
}

/// The envelope of an answer of HTTP 200 with this text.
pub(super) fn open<'a>(text: &'a str, drift: &mut Drift) -> Result<Success<'a>, Refusal> {
    let answer = Answer {
        status: StatusCode::OK,
        is_json: true,
        is_utf8: true,
        retry_after: None,
        date: None,
        is_first: true,
        body: Vec::new(),
    };
    envelope::open(&answer, text, drift)
}

/// How long a `Retry-After` of this value makes us wait.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    retry_after::parse(value, now)
}

/// The moment that a `Date` of this value names.
pub(crate) fn date(value: &str) -> Option<Timestamp> {
    retry_after::http_date(value)
}
