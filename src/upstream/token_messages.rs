//! What a token is asked for with, the account's keys and the vendor's signature; and how long one is good for, whatever its
//! end is written in.
//!
//! Source: the vendor's Token Authentication API. The request is never logged: it can be replayed for minutes.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::json::Json;
use super::number;
use super::settings::Keys;

/// The longest life the vendor gives a token.
const MAX_LIFE: Duration = Duration::from_secs(86_400);
/// A shorter life is not believed: `Date` is cut to whole seconds, and a refresh for every call would be a loop.
const SMALLEST_LIFE: i64 = 1_000;

/// What a token is asked for with.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TokenRequest<'a> {
    access_key: &'a str,
    timestamp: i64,
    signature: &'a str,
    period_second: u64,
}

/// The request, at `timestamp` (epoch, ms) by the vendor's clock. Its bytes are zeroed once sent.
pub(super) fn request(keys: &Keys, timestamp: i64, period: Duration) -> Bytes {
    let request = TokenRequest {
        access_key: keys.access.expose_secret(),
        timestamp,
        signature: &signature(keys, timestamp),
        period_second: period.as_secs(),
    };
    // Made large enough to stay where it is while it is written.
    let mut body = Zeroizing::new(Vec::with_capacity(512 + 6 * request.access_key.len()));
    let written = serde_json::to_writer(&mut *body, &request);
    debug_assert!(written.is_ok(), "text and numbers can be written as JSON");
    Bytes::from_owner(body)
}

/// The vendor's signature: lower-case hex SHA-256 of access key, secret key and timestamp, with nothing between.
fn signature(keys: &Keys, timestamp: i64) -> String {
    let mut hash = Sha256::new();
    hash.update(keys.access.expose_secret());
    hash.update(keys.secret.expose_secret());
    hash.update(timestamp.to_string());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lifetime of a token: its end less the server's time. `None` if what was sent makes no sense.
///
/// Counted from now on the monotonic clock, so that neither clock being wrong shortens or lengthens it.
pub(super) fn life(
    expired_time: Option<&Json>,
    server_time: Option<Timestamp>,
    period: Duration,
) -> Option<Duration> {
    let Some(end) = expired_time.filter(|end| !end.is_null()) else { return Some(period) };
    let end = number::millis(end.as_whole()?)?;
    let Some(server_time) = server_time else { return Some(period) };
    let life = end.checked_sub(server_time.as_millisecond()).filter(|life| *life >= SMALLEST_LIFE)?;
    let life = Duration::from_millis(life.unsigned_abs());
    (life <= MAX_LIFE * 2).then(|| life.min(MAX_LIFE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::wire;

    static_assertions::assert_not_impl_any!(TokenRequest<'static>: std::fmt::Debug, std::fmt::Display);

    #[test]
    fn the_signature_is_the_vendors() {
        let keys = Keys { access: "sampleaccesskey".into(), secret: "samplesecretkey".into() };
        let expected = "02209bbeaf0d0a3dd587f6a1ba22f84c98d142e3b545e77db7e4906ca56349f5";
        assert_eq!(signature(&keys, 1_665_993_522_952), expected);
    }

    #[test]
    fn a_tokens_life_is_its_end_less_the_servers_time() {
        let server: Timestamp = "2022-01-19T08:14:32Z".parse().unwrap();
        let end = server.as_millisecond() + 120_000;
        let hour = Duration::from_secs(3600);
        let two_minutes = Some(Duration::from_secs(120));
        let cases = [
            (end.to_string(), two_minutes),
            ((end / 1000).to_string(), two_minutes),
            (format!("\"{end}\""), two_minutes),
            (format!("{:e}", end as f64), two_minutes),
            ("null".to_owned(), Some(hour)),
            ("0".to_owned(), None),
            ("-1".to_owned(), None),
            ((end - 200_000).to_string(), None),
            (i64::MAX.to_string(), None),
            ("true".to_owned(), None),
        ];
        for (sent, expected) in cases {
            let body = format!("{{\"expiredTime\":{sent}}}");
            let read = wire::read(&body).unwrap();
            assert_eq!(life(read.get("expiredTime"), Some(server), hour), expected, "{sent}");
            let without_date = life(read.get("expiredTime"), None, hour);
            assert!(expected.is_none() || without_date == Some(hour), "{sent}: the period asked for");
        }
        assert_eq!(life(None, Some(server), hour), Some(hour));
    }
}
