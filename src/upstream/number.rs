//! Numbers as the vendor writes them: whole ones with a fraction or an exponent, times in seconds or in milliseconds.

use std::borrow::Cow;

/// The most digits of a whole number.
const MAX_DIGITS: usize = 40;
/// Below this a time is in seconds: as milliseconds it would be in 1973.
const SMALLEST_MILLIS: i64 = 100_000_000_000;

/// The digits of a whole number: `1.6E12` is `1600000000000`. `None` if it is not one, or has more than forty digits.
pub(super) fn whole(number: &str) -> Option<Cow<'_, str>> {
    let is_plain = (1..=MAX_DIGITS).contains(&number.len()) && !number.starts_with('0');
    if is_plain && number.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(number.into());
    }
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let zeros = usize::try_from(exponent.parse::<i64>().ok()?).ok()?.checked_sub(fraction.len())?;
    let digits = whole.len() + fraction.len() + zeros;
    let is_number = format!("{whole}{fraction}").bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || whole.is_empty() || digits > MAX_DIGITS {
        return None;
    }
    let digits = format!("{whole}{fraction}{}", "0".repeat(zeros));
    let digits = digits.trim_start_matches('0');
    Some(if digits.is_empty() { "0".into() } else { format!("{sign}{digits}").into() })
}

/// A time since the epoch in milliseconds, whether it is given in milliseconds or in seconds. 0 is no time.
pub(super) fn millis(time: i64) -> Option<i64> {
    match time {
        ..=0 => None,
        1..SMALLEST_MILLIS => time.checked_mul(1000),
        SMALLEST_MILLIS.. => Some(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_is_one_however_it_is_written() {
        let cases = [
            ("12", Some("12")),
            ("82.0", Some("82")),
            ("1.6E12", Some("1600000000000")),
            ("1.665993522952e+12", Some("1665993522952")),
            ("8.10577102899990001E17", Some("810577102899990001")),
            ("-1.50e1", Some("-15")),
            ("0.0", Some("0")),
            ("-0", Some("0")),
            ("007", Some("7")),
            ("1.5", None),
            ("1e-1", None),
            ("1e400", None),
            ("1e99999999999999999999", None),
            (".5e1", None),
            ("", None),
            ("-", None),
            ("e5", None),
            ("1 2", None),
            ("Infinity", None),
        ];
        for (written, digits) in cases {
            assert_eq!(whole(written).as_deref(), digits, "{written}");
        }
    }

    #[test]
    fn a_time_is_in_milliseconds_or_in_seconds_and_0_is_none() {
        let cases = [
            (0, None),
            (-1, None),
            (1_665_993_522, Some(1_665_993_522_000)),
            (1_665_993_522_952, Some(1_665_993_522_952)),
            (i64::MAX, Some(i64::MAX)),
        ];
        for (sent, expected) in cases {
            assert_eq!(millis(sent), expected, "{sent}");
        }
    }
}
