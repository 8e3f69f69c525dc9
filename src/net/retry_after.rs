//! `Retry-After` as the upstream writes it: `10`, `10s` (the vendor's own example), or an HTTP date.

use std::num::IntErrorKind;
use std::time::Duration;

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// What to wait if the upstream asks us to slow down without saying how long.
pub(crate) const DEFAULT: Duration = Duration::from_secs(5);
/// However short or long the upstream asks for, we wait within these bounds, in seconds.
const BOUNDS: std::ops::RangeInclusive<f64> = 1.0..=60.0;

/// Reads a header value; `None` if it makes no sense.
pub(crate) fn parse(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let digits = value.strip_suffix(['s', 'S']).unwrap_or(value).trim_end();
    let seconds = match digits.parse::<i64>() {
        Ok(seconds) => seconds as f64,
        // Of what begins with too many digits, too many is said before the rest is looked at.
        Err(error) if *error.kind() == IntErrorKind::PosOverflow && is_number(digits) => f64::INFINITY,
        Err(_) => http_date(value)?.duration_since(now).as_secs_f64(),
    };
    Some(Duration::from_secs_f64(seconds.clamp(*BOUNDS.start(), *BOUNDS.end())))
}

fn is_number(text: &str) -> bool {
    text.trim_start_matches('+').bytes().all(|byte| byte.is_ascii_digit())
}

/// Reads an HTTP date, as in `Date` and `Retry-After`: `Sun, 06 Nov 1994 08:49:37 GMT`, or one of the two obsolete forms
/// that RFC 9110 has recipients take too: `Sunday, 06-Nov-94 08:49:37 GMT` and `Sun Nov  6 08:49:37 1994`.
pub(crate) fn http_date(value: &str) -> Option<Timestamp> {
    const FORMS: [&str; 3] = ["%d %b %Y %H:%M:%S GMT", "%d-%b-%y %H:%M:%S GMT", "%b %e %H:%M:%S %Y"];
    // The day of the week adds nothing, and a wrong one should not lose the date.
    let value = value.trim();
    let (_, date) = value.split_once(", ").or_else(|| value.split_once(' '))?;
    let date = FORMS.iter().find_map(|form| DateTime::strptime(form, date.trim()).ok())?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_it_says_the_bounds_hold(
            value in prop_oneof![".*", "-?[0-9]{1,40} ?s?", "[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{5,8} GMT"],
            now in -10_000_000_000_i64..200_000_000_000,
        ) {
            let now = Timestamp::from_second(now).unwrap();
            if let Some(pause) = parse(&value, now) {
                prop_assert!((1.0..=60.0).contains(&pause.as_secs_f64()), "{value:?}: {pause:?}");
            }
        }
    }

    #[test]
    fn every_spelling_is_read_and_clamped_to_1_to_60_seconds() {
        let now: Timestamp = "1994-11-06T08:49:37Z".parse().unwrap();
        let cases = [
            ("10", Some(10)),
            ("10s", Some(10)),
            (" 7 ", Some(7)),
            ("0", Some(1)),
            ("-1", Some(1)),
            ("99999999", Some(60)),
            ("99999999999999999999999", Some(60)),
            ("Sun, 06 Nov 1994 08:50:07 GMT", Some(30)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(1)),
            ("Sunday, 06-Nov-94 08:50:07 GMT", Some(30)),
            ("Sun Nov  6 08:50:07 1994", Some(30)),
            ("Sun, 06 Nov 2094 08:49:37 GMT", Some(60)),
            ("soon", None),
            ("", None),
            ("s", None),
            ("1e3", None),
            ("99999999999999999999 or so", None),
            ("99999999999999999999, 06 Nov 1994 08:50:07 GMT", Some(30)),
        ];
        for (value, seconds) in cases {
            assert_eq!(parse(value, now), seconds.map(Duration::from_secs), "{value:?}");
        }
    }
}
