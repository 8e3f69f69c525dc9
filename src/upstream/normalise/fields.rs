//! Reading members loosely: null and absent are the same, a wrong type is drift and reads as absent.

use jiff::Timestamp;

use crate::domain::drift::{Drift, DriftKind};
use crate::upstream::json::{Json, Object};
use crate::upstream::number;

/// A member that should be text.
pub(in crate::upstream) fn text<'a>(object: &'a Object<'_>, key: &str, drift: &mut Drift) -> Option<&'a str> {
    read(object.get(key)?, Json::as_text, drift)
}

/// A member that should be true or false.
pub(super) fn flag(object: &Object, key: &str, drift: &mut Drift) -> Option<bool> {
    read(object.get(key)?, Json::as_bool, drift)
}

/// A member that should be an object.
pub(super) fn object<'a>(object: &'a Object<'a>, key: &str, drift: &mut Drift) -> Option<&'a Object<'a>> {
    read(object.get(key)?, Json::as_object, drift)
}

/// A member that should be an array.
pub(super) fn array<'a>(object: &'a Object<'a>, key: &str, drift: &mut Drift) -> Option<&'a [Json<'a>]> {
    read(object.get(key)?, Json::as_array, drift)
}

/// A member that should be an array of text; other items are left out.
pub(super) fn texts(object: &Object, key: &str, drift: &mut Drift) -> Option<Vec<String>> {
    let items = array(object, key, drift)?;
    Some(items.iter().filter_map(|item| read(item, Json::as_text, drift)).map(str::to_owned).collect())
}

/// A score from 0 to 100: an integer, a float or a numeric string. The vendor sends all three.
pub(super) fn score(object: &Object, key: &str, drift: &mut Drift) -> Option<f64> {
    let digits = read(object.get(key)?, Json::as_digits, drift)?;
    let score = digits.parse().ok().filter(|score| (0.0..=100.0).contains(score));
    if score.is_none() {
        drift.add(DriftKind::UnknownValue);
    }
    score
}

/// A moment after the epoch, in milliseconds or in seconds: a number or a numeric string.
pub(super) fn moment(object: &Object, key: &str, drift: &mut Drift) -> Option<Timestamp> {
    let value = object.get(key)?;
    read(value, Json::as_digits, drift)?;
    let millis = value.as_whole().and_then(number::millis);
    let moment = millis.and_then(|millis| Timestamp::from_millisecond(millis).ok());
    if moment.is_none() {
        drift.add(DriftKind::UnknownValue);
    }
    moment
}

/// Reads a value as one type. Null is merely absent; any other type is drift.
fn read<'a, T>(
    value: &'a Json<'a>,
    read: impl Fn(&'a Json<'a>) -> Option<T>,
    drift: &mut Drift,
) -> Option<T> {
    let read = read(value);
    if read.is_none() && !value.is_null() {
        drift.add(DriftKind::TypeMismatch);
    }
    read
}

/// Counts the undocumented members.
pub(super) fn count_unknown(object: &Object, known: &[&str], drift: &mut Drift) {
    for _ in object.iter().filter(|(key, _)| !known.contains(key)) {
        drift.add(DriftKind::UnknownField);
    }
}
