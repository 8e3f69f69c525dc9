//! Values of headers that others write and we act on: `Retry-After` and `Date` of the upstream, `Prefer` of callers.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use crate::http::preferred_wait;
use crate::upstream::fuzzing::{date, retry_after};

/// Reads the bytes as each of these headers' values.
pub fn header_values(bytes: &[u8]) {
    // A value reaches these readers as text only.
    let Ok(value) = str::from_utf8(bytes) else { return };
    let now = Timestamp::from_second(1_795_000_000).expect("a moment of 2026");
    let pause = retry_after(value, now).map(|pause| pause.as_secs_f64());
    assert!(pause.is_none_or(|pause| (1.0..=60.0).contains(&pause)), "a pause out of bounds: {pause:?}");
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(seconds) = value.parse::<u32>().ok().filter(|_| is_number) {
        assert_eq!(pause, Some(f64::from(seconds.clamp(1, 60))), "whole seconds are read as such");
    }
    if let Some(date) = date(value) {
        let until = date.duration_since(now).as_secs_f64().clamp(1.0, 60.0);
        assert_eq!(pause, Some(until), "a date is waited for, within bounds");
    }
    if let Ok(header) = HeaderValue::from_str(value) {
        let wait = preferred_wait(&HeaderMap::from_iter([(HeaderName::from_static("prefer"), header)]));
        assert_ne!(wait, Some(0), "no time is no preference");
        let asks = value.to_ascii_lowercase().contains("wait");
        assert!(asks || wait.is_none(), "a wait that nobody asked for");
    }
}
