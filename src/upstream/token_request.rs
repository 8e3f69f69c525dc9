//! What a token is asked for with: the account's keys and the vendor's signature.
//!
//! Source: the vendor's Token Authentication API. The request is never logged: it can be replayed for minutes.

use std::time::Duration;

use bytes::Bytes;
use secrecy::ExposeSecret;
use secrecy::zeroize::Zeroizing;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::settings::Keys;

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
pub(super) fn write(keys: &Keys, timestamp: i64, period: Duration) -> Bytes {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_vendors() {
        let keys = Keys { access: "sampleaccesskey".into(), secret: "samplesecretkey".into() };
        let expected = "02209bbeaf0d0a3dd587f6a1ba22f84c98d142e3b545e77db7e4906ca56349f5";
        assert_eq!(signature(&keys, 1_665_993_522_952), expected);
    }
}
