//! Who the person is: canonical fields out of open maps that differ by document, country and generation.

use std::borrow::Cow;

use jiff::civil::Date;
use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::fields;
use crate::domain::drift::Drift;
use crate::domain::verification::{Identity, Sides};
use crate::upstream::json::{Json, Object};
use crate::upstream::number;

/// The identity read from the document part, and the caller's own name for the person.
pub(super) fn identity(data: &Object, document: Option<&Object>, drift: &mut Drift) -> Identity {
    let parameters = fields::object(data, "inputParameters", drift);
    let reference = parameters.and_then(|parameters| plain(parameters.get("userId")?)).map(Cow::into_owned);
    let ocr = document.and_then(|document| fields::object(document, "ocrInfo", drift));
    let [front, back] = ["front", "back"].map(|side| fields::object(ocr?, side, drift));
    let first = |names| candidates([front, back], names).next().map(Cow::into_owned);
    let mut birth_dates =
        candidates([front, back], &["birthdayParsed", "birthday", "birthDate", "dateOfBirth"]);
    Identity {
        reference,
        name: first(&["name", "fullName"]),
        id_number: first(&["idNumber", "secondaryIdNumber"]),
        birth_date: birth_dates.find_map(|text| birth_date(&text)),
        gender: first(&["gender"]),
        nationality: first(&["nationality", "citizen", "citizenship"]),
        address: first(&["address"]),
        fields: Sides { front: open_map(front), back: open_map(back) },
    }
}

/// What the sides say under these names: by the order of the names, then front before back.
fn candidates<'a>(
    sides: [Option<&'a Object<'a>>; 2],
    names: &'a [&str],
) -> impl Iterator<Item = Cow<'a, str>> {
    let pairs = names.iter().flat_map(move |name| sides.map(|side| (name, side)));
    pairs.filter_map(|(name, side)| plain(side?.get(name)?))
}

/// A value as text; the vendor writes "nothing" as null, as `""` and as the word `"null"`. In capitals that is a name.
fn plain<'a>(value: &'a Json<'a>) -> Option<Cow<'a, str>> {
    match value {
        Json::Text(text) if is_blank(text) => None,
        Json::Text(text) => Some(text.as_ref().into()),
        Json::Number(digits) => Some(number::whole(digits).unwrap_or(Cow::from(*digits))),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => None,
    }
}

fn is_blank(text: &str) -> bool {
    text == "null" || text.chars().all(char::is_whitespace)
}

/// Everything that a side says, as JSON.
fn open_map(side: Option<&Object>) -> Box<RawValue> {
    let nothing = Object::default();
    to_raw_value(&Open(side.unwrap_or(&nothing))).unwrap_or_default()
}

/// What is shown of a value whatever it means.
struct Open<T>(T);

impl Serialize for Open<&Object<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, Open(value))))
    }
}

impl Serialize for Open<&Json<'_>> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Json::Null => serializer.serialize_unit(),
            Json::Bool(flag) => serializer.serialize_bool(*flag),
            Json::Number(digits) => open_number(digits, serializer),
            Json::Text(text) if is_blank(text) => serializer.serialize_unit(),
            Json::Text(text) => serializer.serialize_str(text),
            Json::Array(items) => serializer.collect_seq(items.iter().map(Open)),
            Json::Object(object) => Open(object).serialize(serializer),
        }
    }
}

/// A number with the digits that were sent: a document's number may have more than any number type holds. One that is too
/// large for a float is given as text: strict readers would refuse the whole answer.
fn open_number<S: Serializer>(digits: &str, serializer: S) -> Result<S::Ok, S::Error> {
    let is_finite = digits.parse().is_ok_and(f64::is_finite);
    match serde_json::from_str::<&RawValue>(digits) {
        Ok(number) if is_finite => number.serialize(serializer),
        _ => serializer.serialize_str(digits),
    }
}

/// Reads the vendor's spellings of a date: `1977/10/28`, `1977-10-28`, `OCTOBER 28,1977`, `28 OCTOBER 1977`.
///
/// A date whose day and month could be confused (`03/04/1977`) is not read: the raw text is in `fields`.
fn birth_date(text: &str) -> Option<Date> {
    const FORMS: [&str; 5] = ["%Y-%m-%d", "%B-%d-%Y", "%b-%d-%Y", "%d-%B-%Y", "%d-%b-%Y"];
    let parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    let text = parts.collect::<Vec<_>>().join("-");
    let date = FORMS.iter().find_map(|form| Date::strptime(form, &text).ok())?;
    (1800..=2200).contains(&date.year()).then_some(date)
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;

    #[test]
    fn the_vendors_spellings_of_a_date_are_read() {
        for text in ["1977/10/28", "1977-10-28", "OCTOBER 28,1977", "October 28, 1977", "28 Oct 1977"] {
            assert_eq!(birth_date(text), Some(date(1977, 10, 28)), "{text}");
        }
        for text in [
            "",
            "03/04/1977",
            "3 Octo 1977",
            "1977/02/30",
            "1977/13/01",
            "0000/01/01",
            "28-10",
            "unknown",
            "1 2 3 4",
        ] {
            assert_eq!(birth_date(text), None, "{text}");
        }
    }
}
