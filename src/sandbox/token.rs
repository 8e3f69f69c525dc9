//! The Token Authentication API: who is granted a token.

use super::api::{ACCESS_KEY, Endpoint, SECRET_KEY};
use super::envelope::{self, Refusal};
use super::host::Host;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tokio::time::Instant;

/// The vendor's page: at most 300 seconds before or after the server's clock.
const SKEW_MS: u64 = 300_000;
const DEFAULT_PERIOD: u64 = 3600;
/// Documented bounds, in seconds; the simulator clamps what is outside of them.
const SHORTEST_PERIOD: u64 = 60;
const LONGEST_PERIOD: u64 = 86_400;

/// `POST …/generate-token`
pub(super) async fn generate(State(host): State<Host>, body: Bytes) -> Response {
    host.state.lock().calls.count(host.region, Endpoint::Token, None);
    if let Some(response) = host.inject_fault(Endpoint::Token, None).await {
        return response;
    }
    let now = Timestamp::now().as_millisecond().unsigned_abs();
    match period_granted(&body, now) {
        Ok(period) => {
            let token = host.state.lock().tokens.grant(host.region, period, Instant::now());
            envelope::success(&json!({ "token": token, "expiredTime": now + period * 1000 }), None)
        }
        Err(refusal) => refusal.respond(None),
    }
}

/// The validity in seconds that is granted to the request at `now`, in epoch milliseconds.
fn period_granted(body: &[u8], now: u64) -> Result<u64, Refusal> {
    let Ok(Value::Object(request)) = serde_json::from_slice(body) else {
        return Err(envelope::BAD_REQUEST);
    };
    let access_key = text(&request, "accessKey")?;
    let timestamp = text(&request, "timestamp")?;
    let signature = text(&request, "signature")?;
    if access_key != ACCESS_KEY {
        return Err(envelope::ACCESS_KEY);
    }
    if !in_time(&timestamp, now) {
        return Err(envelope::TIMESTAMP);
    }
    if signature != sign(ACCESS_KEY, SECRET_KEY, &timestamp) {
        return Err(envelope::SIGNATURE);
    }
    period(request.get("periodSecond"))
}

/// A field that clients send as string or number. Absent, null and empty are the same.
fn text(request: &Map<String, Value>, name: &str) -> Result<String, Refusal> {
    match request.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::Number(number)) => Ok(number.to_string()),
        Some(Value::String(_) | Value::Null) | None => Err(envelope::EMPTY),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => Err(envelope::ILLEGAL),
    }
}

fn in_time(timestamp: &str, now: u64) -> bool {
    let thirteen_digits = timestamp.len() == 13 && timestamp.bytes().all(|byte| byte.is_ascii_digit());
    thirteen_digits && timestamp.parse::<u64>().is_ok_and(|then| then.abs_diff(now) <= SKEW_MS)
}

fn period(asked: Option<&Value>) -> Result<u64, Refusal> {
    let seconds = match asked {
        None | Some(Value::Null) => return Ok(DEFAULT_PERIOD),
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(Value::Bool(_) | Value::Array(_) | Value::Object(_)) => None,
    };
    seconds.map(|seconds| seconds.clamp(SHORTEST_PERIOD, LONGEST_PERIOD)).ok_or(envelope::ILLEGAL)
}

/// Lower-case hex of SHA-256 over the three, with nothing between them.
fn sign(access_key: &str, secret_key: &str, timestamp: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(access_key);
    hash.update(secret_key);
    hash.update(timestamp);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_665_993_522_952;

    fn request(timestamp: &Value) -> Value {
        let signed = timestamp.as_str().map_or_else(|| timestamp.to_string(), str::to_owned);
        let signature = sign(ACCESS_KEY, SECRET_KEY, &signed);
        json!({ "accessKey": ACCESS_KEY, "timestamp": timestamp, "signature": signature })
    }

    fn granted(request: &Value) -> Result<u64, Refusal> {
        period_granted(request.to_string().as_bytes(), NOW)
    }

    #[test]
    fn the_vendors_own_example_is_signed_the_same() {
        assert_eq!(
            sign("sampleaccesskey", "samplesecretkey", "1665993522952"),
            "02209bbeaf0d0a3dd587f6a1ba22f84c98d142e3b545e77db7e4906ca56349f5"
        );
    }

    #[test]
    fn a_timestamp_may_be_a_number_or_a_string_and_five_minutes_off() {
        for timestamp in [json!(NOW), json!(NOW.to_string()), json!(NOW - SKEW_MS), json!(NOW + SKEW_MS)] {
            assert_eq!(granted(&request(&timestamp)), Ok(DEFAULT_PERIOD), "{timestamp}");
        }
        for timestamp in
            [json!(NOW - SKEW_MS - 1), json!(NOW + SKEW_MS + 1), json!(NOW / 1000), json!("soon")]
        {
            assert_eq!(granted(&request(&timestamp)), Err(envelope::TIMESTAMP), "{timestamp}");
        }
    }

    #[test]
    fn each_flaw_has_its_own_refusal() {
        let flawed = |field: &str, value: Value| {
            let mut request = request(&json!(NOW));
            request[field] = value;
            granted(&request)
        };
        assert_eq!(flawed("signature", json!("0220")), Err(envelope::SIGNATURE));
        assert_eq!(flawed("signature", Value::Null), Err(envelope::EMPTY));
        assert_eq!(flawed("timestamp", json!("")), Err(envelope::EMPTY));
        assert_eq!(flawed("accessKey", json!("other")), Err(envelope::ACCESS_KEY));
        assert_eq!(flawed("periodSecond", json!("long")), Err(envelope::ILLEGAL));
        assert_eq!(flawed("periodSecond", json!("120")), Ok(120));
        assert_eq!(flawed("periodSecond", json!(1)), Ok(SHORTEST_PERIOD));
        assert_eq!(flawed("periodSecond", Value::Null), Ok(DEFAULT_PERIOD));
        assert_eq!(period_granted(b"{", NOW), Err(envelope::BAD_REQUEST));
    }

    #[test]
    fn an_upper_case_signature_is_refused() {
        let mut request = request(&json!(NOW));
        request["signature"] = json!(request["signature"].as_str().unwrap().to_uppercase());
        assert_eq!(granted(&request), Err(envelope::SIGNATURE));
    }
}
