//! What came over the wire, as JSON and no more: read loosely, bounded, and honest about duplicates.
//!
//! A tree of its own rather than `serde_json::Value`, for three reasons: a key given twice is an error (which of the
//! two would be the verdict?), a number too large for a float is a bad number and not a bad body, and a hostile body
//! cannot make a tree of unbounded size.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};

/// The most JSON values one body may hold. The vendor's own samples hold about sixty.
const MAX_VALUES: u32 = 20_000;

/// The key under which `serde_json` hands over the digits of a number that is no 64-bit integer (its
/// `arbitrary_precision` feature).
const NUMBER_KEY: &str = "$serde_json::private::Number";

/// An object's members.
pub(super) type Object = BTreeMap<String, Json>;

/// One JSON value.
pub(super) enum Json {
    Null,
    Bool(bool),
    /// The digits as they were sent.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Object),
}

impl Json {
    /// Reads a body. Invalid UTF-8 inside it is replaced, and so is an escape of half a character.
    ///
    /// # Errors
    /// It is not JSON, gives a key twice, is nested too deep or holds too many values. The error says nothing of
    /// the body.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unreadable> {
        let text = String::from_utf8_lossy(body);
        let mut left = MAX_VALUES;
        let text = mend_halves(&text);
        let mut reader = serde_json::Deserializer::from_str(&text);
        let json = AnyValue { left: &mut left }.deserialize(&mut reader).map_err(|_| Unreadable)?;
        reader.end().map_err(|_| Unreadable)?;
        Ok(json)
    }
}

/// Replaces escaped surrogates that lack their other half: what is left of a character within which a text was cut.
fn mend_halves(text: &str) -> Cow<'_, str> {
    if !["\\ud", "\\uD"].iter().any(|start| text.contains(start)) {
        return Cow::Borrowed(text);
    }
    let (mut mended, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find('\\') {
        let escape = &rest[at..];
        let (length, is_half) = match (half(escape), escape.get(6..).and_then(half)) {
            (Some(Half::First), Some(Half::Second)) => (12, false),
            (Some(_), _) => (6, true),
            (None, _) => (1 + escape[1..].chars().next().map_or(0, char::len_utf8), false),
        };
        let (before, left) = rest.split_at(at + length);
        mended.push_str(if is_half { &before[..at] } else { before });
        mended.push_str(if is_half { "\\ufffd" } else { "" });
        rest = left;
    }
    mended.push_str(rest);
    Cow::Owned(mended)
}

enum Half {
    First,
    Second,
}

/// Which half of a character an escape is, if it is one.
fn half(escape: &str) -> Option<Half> {
    let digits = escape.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xd800..=0xdbff => Some(Half::First),
        0xdc00..=0xdfff => Some(Half::Second),
        _ => None,
    }
}

impl Json {
    pub(super) const fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(super) fn as_text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The digits of a number, or text that may be one.
    pub(super) fn as_digits(&self) -> Option<&str> {
        if let Self::Number(digits) = self { Some(digits) } else { self.as_text().map(str::trim) }
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    pub(super) const fn as_object(&self) -> Option<&Object> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }
}

/// The body is not JSON that we read.
#[derive(Debug)]
pub(super) struct Unreadable;

/// Reads one value, while the budget of values lasts.
struct AnyValue<'a> {
    left: &'a mut u32,
}

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        *self.left = self.left.checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json, A::Error> {
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(AnyValue { left: self.left })? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Json, A::Error> {
        let mut object = Object::new();
        while let Some(key) = members.next_key::<String>()? {
            if key == NUMBER_KEY {
                return members.next_value().map(Json::Number);
            }
            let value = members.next_value_seed(AnyValue { left: self.left })?;
            if object.insert(key, value).is_some() {
                return Err(A::Error::custom("a key is given twice"));
            }
        }
        Ok(Json::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member<'a>(json: &'a Json, key: &str) -> &'a Json {
        &json.as_object().unwrap()[key]
    }

    #[test]
    fn numbers_keep_their_digits_even_if_no_float_can_hold_them() {
        let json = Json::read(br#"{"a":1e400,"b":82.0,"c":-1}"#).unwrap();
        for (key, digits) in [("a", "1e+400"), ("b", "82.0"), ("c", "-1")] {
            assert!(matches!(member(&json, key), Json::Number(sent) if sent == digits), "{key}");
        }
    }

    #[test]
    fn invalid_utf8_inside_a_string_is_replaced() {
        let json = Json::read(b"{\"a\":\"x\xff\"}").unwrap();
        assert!(matches!(member(&json, "a"), Json::Text(text) if text == "x\u{fffd}"));
    }

    #[test]
    fn half_a_character_is_replaced_and_a_whole_one_is_kept() {
        let cases = [
            (r#"x\ud83d"#, "x\u{fffd}"),
            (r#"\ud83d\ude00"#, "\u{1f600}"),
            (r#"\uDE00\ud83d\ud83d\ude00"#, "\u{fffd}\u{fffd}\u{1f600}"),
            (r#"\\ud83d"#, "\\ud83d"),
            (r#"é\n\ud83d\t"#, "é\n\u{fffd}\t"),
        ];
        for (sent, read) in cases {
            let json = Json::read(format!("{{\"a\":\"{sent}\"}}").as_bytes()).unwrap();
            assert!(matches!(member(&json, "a"), Json::Text(text) if text == read), "{sent}");
        }
    }

    #[test]
    fn what_is_not_clean_json_is_refused() {
        let deep = "[".repeat(100_000);
        let wide = format!("[{}0]", "0,".repeat(MAX_VALUES as usize));
        let twice = r#"{"data":{"idvResult":"PASS","idvResult":"FAIL"}}"#;
        let nested = r#"{"extra":[{"x":1,"x":1}]}"#;
        for bad in ["", "PASS", "{", r#"{"a":1}x"#, r#"{"a":NaN}"#, twice, nested, &deep, &wide] {
            assert!(Json::read(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}
