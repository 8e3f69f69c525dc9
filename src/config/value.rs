//! Single values: text, numbers, durations, sizes, addresses. Each parser says what would be right. No message quotes
//! the value.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

use crate::domain::text::is_hidden;
use crate::settings::{SIZES, TIMES, Units, bytes_text, duration_text};

/// A parsed value, or what would be right.
pub(super) type Parsed<T> = Result<T, String>;

/// A value as it was written: typed in the file, plain text in a variable.
pub(super) struct Raw<'a> {
    pub(super) value: &'a Value,
    /// Whether it comes from a variable: then text is accepted for any type.
    pub(super) from_env: bool,
}

impl<'a> Raw<'a> {
    /// The value as text.
    pub(super) fn text(&self) -> Parsed<&'a str> {
        self.value.as_str().ok_or_else(|| self.expected("text in quotes"))
    }

    fn expected(&self, what: &str) -> String {
        if self.from_env {
            // A variable is text, and has no quotes.
            return format!("expected {}", what.trim_end_matches(" without quotes"));
        }
        let found = match self.value {
            Value::String(_) => "text",
            Value::Integer(_) => "a whole number",
            Value::Float(_) => "a number with a fraction",
            Value::Boolean(_) => "true or false",
            Value::Datetime(_) => "a date",
            Value::Array(_) => "a list",
            Value::Table(_) => "a section",
        };
        format!("expected {what}, found {found}")
    }
}

/// Text that is not empty, without white space at its ends and without hidden characters.
pub(super) fn text(raw: &Raw) -> Parsed<String> {
    let text = raw.text()?;
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.trim() != text || text.chars().any(is_hidden) {
        return Err("holds white space at an end, or a character that cannot be seen; remove it".to_owned());
    }
    Ok(text.to_owned())
}

/// A list of texts; in a variable they are separated by commas.
pub(super) fn texts(raw: &Raw) -> Parsed<Vec<String>> {
    if raw.from_env {
        let items = raw.text()?.split(',').map(str::trim).filter(|text| !text.is_empty());
        return Ok(items.map(str::to_owned).collect());
    }
    raw.value.clone().try_into().map_err(|_| raw.expected("a list of texts in brackets, each in quotes"))
}

/// A list of texts, or one text alone.
pub(super) fn text_or_texts(raw: &Raw) -> Parsed<Vec<String>> {
    match raw.value.as_str() {
        Some(text) if !raw.from_env => Ok(vec![text.to_owned()]),
        _ => texts(raw),
    }
}

/// `true` or `false`.
pub(super) fn boolean(raw: &Raw) -> Parsed<bool> {
    let text = raw.value.as_str().filter(|_| raw.from_env);
    let parsed = raw.value.as_bool().or_else(|| text.and_then(|text| text.trim().parse().ok()));
    parsed.ok_or_else(|| raw.expected("true or false without quotes"))
}

/// A whole number within bounds.
pub(super) fn whole(bounds: RangeInclusive<u32>) -> impl Fn(&Raw) -> Parsed<u32> {
    move |raw| {
        let number = if raw.from_env { raw.text()?.trim().parse().ok() } else { raw.value.as_integer() };
        let number = number.ok_or_else(|| raw.expected("a whole number without quotes"))?;
        let number = u32::try_from(number).ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| format!("expected a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// A duration such as `250ms` or `5s`, within bounds.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> impl Fn(&Raw) -> Parsed<Duration> {
    move |raw| {
        let millis = quantity(raw, TIMES)
            .ok_or("expected a whole number and a unit, in quotes: \"250ms\", \"5s\", \"10m\" or \"1h\"")?;
        let duration = Duration::from_millis(millis);
        let [least, most] = [bounds.start(), bounds.end()].map(|bound| duration_text(*bound));
        let is_within = bounds.contains(&duration);
        is_within.then_some(duration).ok_or_else(|| format!("expected a duration from {least} to {most}"))
    }
}

/// A size such as `256MiB`, or a whole number of bytes, within bounds.
pub(super) fn bytes(bounds: RangeInclusive<u64>) -> impl Fn(&Raw) -> Parsed<u64> {
    move |raw| {
        let bytes = quantity(raw, SIZES).ok_or(
            "expected a whole number and a unit, in quotes: \"64KiB\", \"256MiB\", \"1GiB\" or \"500MB\"",
        )?;
        let [least, most] = [bounds.start(), bounds.end()].map(|bound| bytes_text(*bound));
        let is_within = bounds.contains(&bytes);
        is_within.then_some(bytes).ok_or_else(|| format!("expected a size from {least} to {most}"))
    }
}

/// A whole number and its unit, as a number of the smallest unit.
fn quantity(raw: &Raw, units: &Units) -> Option<u64> {
    let text = raw.value.as_str().map(str::to_owned);
    let text = text.or_else(|| raw.value.as_integer().map(|number| number.to_string()))?;
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// An IP address and a port.
pub(super) fn address(raw: &Raw) -> Parsed<SocketAddr> {
    let expected = "expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"";
    raw.text()?.trim().parse().map_err(|_| expected.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_millis(u64::MAX);

    fn from_file(value: &Value) -> Raw<'_> {
        Raw { value, from_env: false }
    }

    fn read<T>(text: &str, parse: impl Fn(&Raw) -> Result<T, String>) -> Result<T, String> {
        let value = text.into();
        parse(&from_file(&value))
    }

    #[test]
    fn durations_carry_a_unit() {
        let good = [("250ms", 250), ("5s", 5_000), ("10m", 600_000), ("24h", 86_400_000), ("0s", 0)];
        for (text, millis) in good {
            assert_eq!(read(text, duration(ANY)), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "s",
            "5 s",
            "-5s",
            "1.5s",
            "5S",
            "5sec",
            "1h30m",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(read(bad, duration(ANY)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_bare_number_is_no_duration_and_the_message_shows_one() {
        let message = duration(ANY)(&from_file(&Value::Integer(5))).unwrap_err();
        assert!(message.contains("\"5s\""), "{message}");
        assert_eq!(read("5", duration(ANY)), Err(message), "nor is it in quotes");
    }

    #[test]
    fn bounds_are_named() {
        let bounds = Duration::from_secs(60)..=Duration::from_secs(86_400);
        assert_eq!(read("1s", duration(bounds)).unwrap_err(), "expected a duration from 1m to 24h");
        assert_eq!(read("1B", bytes(1024..=1 << 40)).unwrap_err(), "expected a size from 1KiB to 1TiB");
        let number = whole(1..=4096)(&from_file(&Value::Integer(0))).unwrap_err();
        assert_eq!(number, "expected a whole number from 1 to 4096");
    }

    #[test]
    fn sizes_have_units_or_are_bytes() {
        let any = 0..=u64::MAX;
        for (text, size) in
            [("64KiB", 65_536), ("256MiB", 268_435_456), ("1GiB", 1 << 30), ("5MB", 5_000_000), ("7", 7)]
        {
            assert_eq!(read(text, bytes(any.clone())), Ok(size), "{text}");
        }
        for bad in ["", "MiB", "-1", "1.5GiB", "256M", "256mib", "99999999TiB"] {
            assert!(read(bad, bytes(any.clone())).is_err(), "{bad}");
        }
        assert_eq!(bytes(any)(&from_file(&Value::Integer(4096))), Ok(4096));
    }

    #[test]
    fn durations_and_sizes_are_shown_as_they_are_written() {
        for text in ["0s", "250ms", "5s", "90s", "10m", "24h"] {
            assert_eq!(read(text, duration(ANY)).map(duration_text), Ok(text.to_owned()));
        }
        for text in ["64KiB", "256MiB", "1000B", "0B"] {
            assert_eq!(read(text, bytes(0..=u64::MAX)).map(bytes_text), Ok(text.to_owned()));
        }
    }

    #[test]
    fn text_stands_for_other_types_in_variables_only() {
        let number = Value::from("64");
        assert_eq!(whole(1..=99)(&Raw { value: &number, from_env: true }), Ok(64));
        let message = whole(1..=99)(&from_file(&number)).unwrap_err();
        assert_eq!(message, "expected a whole number without quotes, found text");
        let truth = Value::from("true");
        assert_eq!(boolean(&Raw { value: &truth, from_env: true }), Ok(true));
        assert!(boolean(&from_file(&truth)).is_err());
    }

    #[test]
    fn lists_in_variables_are_separated_by_commas() {
        let list = Value::from("checks, media,");
        assert_eq!(
            texts(&Raw { value: &list, from_env: true }),
            Ok(vec!["checks".to_owned(), "media".to_owned()])
        );
        assert!(texts(&from_file(&list)).is_err());
        assert_eq!(text_or_texts(&from_file(&list)), Ok(vec!["checks, media,".to_owned()]));
    }

    #[test]
    fn an_address_is_an_ip_and_a_port() {
        assert!(read("[::1]:0", address).is_ok());
        for bad in ["localhost:8080", ":8080", "8080", "127.0.0.1", "127.0.0.1:99999"] {
            assert!(read(bad, address).is_err(), "{bad}");
        }
    }

    #[test]
    fn text_has_no_stray_white_space() {
        assert_eq!(read("a b", text), Ok("a b".to_owned()));
        for bad in ["", " a", "a\n", "a\tb"] {
            assert!(read(bad, text).is_err(), "{bad:?}");
        }
    }
}
