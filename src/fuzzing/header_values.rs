//! Values of headers that others write and we act on: `Retry-After` and `Date` of the upstream.

use jiff::Timestamp;

use crate::upstream::fuzzing::{date, retry_after};

/// Reads the bytes as each of these headers' values.
pub fn header_values(bytes: &[u8]) {
    // A value reaches these readers as text only.
    let Ok(value) = str::from_utf8(bytes) else { return };
    let now = Timestamp::from_second(1_795_000_000).expect("a moment of 2026");
    let pause = retry_after(value, now).map(|pause| pause.as_secs_f64());
    assert!(pause.is_none_or(|pause| (1.0..=60.0).contains(&pause)), "a pause out of bounds: {pause:?}");
    let seconds = value.trim().trim_end_matches('s').parse::<u32>().ok();
    if let Some(seconds) = seconds.filter(|_| value.bytes().all(|byte| byte.is_ascii_digit())) {
        assert_eq!(pause, Some(f64::from(seconds.clamp(1, 60))), "whole seconds are read as such");
    }
    if let Some(date) = date(value) {
        let until = date.duration_since(now).as_secs_f64().clamp(1.0, 60.0);
        assert_eq!(pause, Some(until), "a date is waited for, within bounds");
    }
}
