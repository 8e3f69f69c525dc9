//! Single values: text, numbers, durations, sizes, addresses. Each parser says what would be right.
//! Knows no key: who asks knows where the value stood. No message quotes the value.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Value;

/// A value as it was written: typed in the file, plain text in a variable.
pub(super) struct Raw<'a> {
    pub(super) value: &'a Value,
    /// Whether a variable gave it: then text may stand for any type.
    pub(super) from_env: bool,
}

impl<'a> Raw<'a> {
    /// The value as text.
    pub(super) fn text(&self) -> Result<&'a str, String> {
        self.value.as_str().ok_or_else(|| self.expected("text in quotes"))
    }

    fn integer(&self) -> Result<i64, String> {
        if self.from_env {
            return self.text()?.trim().parse().map_err(|_| "expected a whole number".to_owned());
        }
        self.value.as_integer().ok_or_else(|| self.expected("a whole number without quotes"))
    }

    pub(super) fn expected(&self, what: &str) -> String {
        format!("expected {what}, found {}", kind(self.value))
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a number with a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a section",
    }
}

/// Text that is not empty, has no white space at its ends and no control character in it.
pub(super) fn text(raw: &Raw<'_>) -> Result<String, String> {
    let text = raw.text()?;
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.trim() != text || text.chars().any(char::is_control) {
        return Err("white space at an end, or a control character in it; remove it".to_owned());
    }
    Ok(text.to_owned())
}

/// A list of texts; in a variable they are separated by commas.
pub(super) fn texts(raw: &Raw<'_>) -> Result<Vec<String>, String> {
    if raw.from_env {
        let items = raw.text()?.split(',').map(str::trim).filter(|text| !text.is_empty());
        return Ok(items.map(str::to_owned).collect());
    }
    let items = raw.value.as_array().ok_or_else(|| raw.expected("a list of texts in brackets"))?;
    let texts = items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<_>>();
    texts.ok_or_else(|| "expected a list of texts in quotes, found something else in it".to_owned())
}

/// A list of texts, or one text alone.
pub(super) fn text_or_texts(raw: &Raw<'_>) -> Result<Vec<String>, String> {
    match raw.value.as_str() {
        Some(text) if !raw.from_env => Ok(vec![text.to_owned()]),
        _ => texts(raw),
    }
}

/// `true` or `false`.
pub(super) fn boolean(raw: &Raw<'_>) -> Result<bool, String> {
    let text = raw.value.as_str().filter(|_| raw.from_env);
    let parsed = raw.value.as_bool().or_else(|| text.and_then(|text| text.trim().parse().ok()));
    parsed.ok_or_else(|| raw.expected("true or false without quotes"))
}

/// A whole number within bounds.
pub(super) fn whole(bounds: RangeInclusive<u32>) -> impl Fn(&Raw<'_>) -> Result<u32, String> {
    move |raw| {
        let number = u32::try_from(raw.integer()?).ok().filter(|number| bounds.contains(number));
        number.ok_or_else(|| format!("expected a whole number from {} to {}", bounds.start(), bounds.end()))
    }
}

/// A duration such as `250ms` or `5s`, within bounds.
pub(super) fn duration(bounds: RangeInclusive<Duration>) -> impl Fn(&Raw<'_>) -> Result<Duration, String> {
    move |raw| {
        let duration = unbounded_duration(raw)?;
        if bounds.contains(&duration) {
            return Ok(duration);
        }
        let [least, most] = [bounds.start(), bounds.end()].map(|bound| show_duration(*bound));
        Err(format!("expected a duration from {least} to {most}"))
    }
}

fn unbounded_duration(raw: &Raw<'_>) -> Result<Duration, String> {
    if let Value::Integer(number) = raw.value {
        return Err(no_unit(&number.to_string()));
    }
    let text = raw.value.as_str().ok_or_else(|| raw.expected("a duration in quotes, such as \"5s\""))?.trim();
    let (number, unit) = split_unit(text);
    let millis_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if !number.is_empty() => return Err(no_unit(number)),
        _ => 0,
    };
    let millis = number.parse().ok().and_then(|number: u64| number.checked_mul(millis_per_unit));
    let well_formed = millis.filter(|_| millis_per_unit > 0).map(Duration::from_millis);
    well_formed.ok_or_else(|| "expected a whole number with a unit: 250ms, 5s, 10m or 1h".to_owned())
}

fn no_unit(number: &str) -> String {
    match number.len() {
        1..=9 => format!("a duration needs a unit: write \"{number}s\" for seconds, or use ms, m or h"),
        _ => "a duration needs a unit: write \"5s\" for seconds, or use ms, m or h".to_owned(),
    }
}

fn split_unit(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// A duration as it is written in the file.
pub(super) fn show_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let unit = units.into_iter().find(|(_, size)| millis > 0 && millis.is_multiple_of(*size));
    match unit {
        Some((unit, size)) => format!("{}{unit}", millis / size),
        None if millis == 0 => "0s".to_owned(),
        None => format!("{millis}ms"),
    }
}

/// A size such as `256MiB`, or a whole number of bytes, within bounds.
pub(super) fn bytes(bounds: RangeInclusive<u64>) -> impl Fn(&Raw<'_>) -> Result<u64, String> {
    move |raw| {
        let bytes = unbounded_bytes(raw)?;
        if bounds.contains(&bytes) {
            return Ok(bytes);
        }
        let [least, most] = [bounds.start(), bounds.end()].map(|bound| show_bytes(*bound));
        Err(format!("expected a size from {least} to {most}"))
    }
}

fn unbounded_bytes(raw: &Raw<'_>) -> Result<u64, String> {
    let wrong =
        || "expected a size with a unit (64KiB, 256MiB, 1GiB, 500MB) or a whole number of bytes".to_owned();
    if let Value::Integer(number) = raw.value {
        return u64::try_from(*number).map_err(|_| wrong());
    }
    let text = raw.value.as_str().ok_or_else(wrong)?.trim();
    let (number, unit) = split_unit(text);
    let bytes_per_unit: u64 = match unit.trim_start() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(wrong()),
    };
    number.parse().ok().and_then(|number: u64| number.checked_mul(bytes_per_unit)).ok_or_else(wrong)
}

/// A size as it is written in the file.
pub(super) fn show_bytes(bytes: u64) -> String {
    let units = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.into_iter().find(|(_, size): &(_, u64)| bytes > 0 && bytes.is_multiple_of(*size));
    match unit {
        Some((unit, size)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

/// An IP address and a port.
pub(super) fn address(raw: &Raw<'_>) -> Result<SocketAddr, String> {
    let address = raw.text()?.trim().parse();
    address.map_err(|_| {
        "expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: RangeInclusive<Duration> = Duration::ZERO..=Duration::MAX;

    fn from_file(value: &Value) -> Raw<'_> {
        Raw { value, from_env: false }
    }

    fn read<T>(text: &str, parse: impl Fn(&Raw<'_>) -> Result<T, String>) -> Result<T, String> {
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
        assert!(message.contains(r#"write "5s""#), "{message}");
        assert_eq!(read("5", duration(ANY)), Err(message));
    }

    #[test]
    fn bounds_are_told() {
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
            assert_eq!(read(text, duration(ANY)).map(show_duration), Ok(text.to_owned()));
        }
        for text in ["64KiB", "256MiB", "1000B", "0B"] {
            assert_eq!(read(text, bytes(0..=u64::MAX)).map(show_bytes), Ok(text.to_owned()));
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
