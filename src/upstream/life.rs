//! How long a token is good for, whatever its end is written in.

use std::time::Duration;

use jiff::Timestamp;

use super::wire::{self, Json};

/// The longest life the vendor gives a token.
const MAX_LIFE: Duration = Duration::from_secs(86_400);
/// Below this a life is none: `Date` is cut to whole seconds, and a refresh for every call would be a loop.
const SMALLEST_LIFE: i64 = 1_000;

/// The lifetime of a token: its end less the server's time. `None` if what was sent makes no sense.
///
/// Counted from now on the monotonic clock, so that neither clock being wrong shortens or lengthens it.
pub(super) fn life(
    expired_time: Option<&Json>,
    server_time: Option<Timestamp>,
    period: Duration,
) -> Option<Duration> {
    let Some(end) = expired_time.filter(|end| !end.is_null()) else { return Some(period) };
    let end = wire::millis(end.as_whole()?)?;
    let Some(server_time) = server_time else { return Some(period) };
    let life = end.checked_sub(server_time.as_millisecond()).filter(|life| *life >= SMALLEST_LIFE)?;
    let life = Duration::from_millis(life.unsigned_abs());
    (life <= MAX_LIFE * 2).then(|| life.min(MAX_LIFE))
}

#[cfg(test)]
mod tests {
    use super::*;

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
