//! Adds JSON to a buffer.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::DateTimePrinter;
use serde::Serialize;

use crate::domain::text::{is_hidden, plain_length};

/// The one control character that JSON does not escape and that is ASCII.
const DELETE: u8 = 0x7f;

/// JSON as it is. In place, so that a name is a move of a few bytes and no call.
#[inline(always)]
pub(super) fn add(json: &mut Vec<u8>, part: &str) {
    json.extend_from_slice(part.as_bytes());
}

/// A text, or null.
pub(super) fn add_text(json: &mut Vec<u8>, text: Option<&str>) {
    let Some(text) = text else { return add(json, "null") };
    if plain_length(text.as_bytes()) < text.len() {
        return add_value(json, text);
    }
    add(json, "\"");
    add(json, text);
    add(json, "\"");
}

/// One of our own words, which needs no escapes.
pub(super) fn add_word(json: &mut Vec<u8>, word: impl Into<&'static str>) {
    add(json, "\"");
    add(json, word.into());
    add(json, "\"");
}

pub(super) fn add_flag(json: &mut Vec<u8>, flag: bool) {
    add(json, if flag { "true" } else { "false" });
}

/// Such as a number.
pub(super) fn add_value(json: &mut Vec<u8>, value: impl Serialize) {
    let written = serde_json::to_writer(json, &value);
    debug_assert!(written.is_ok(), "a buffer grows, and numbers are finite");
}

/// `2026-11-22T10:00:00Z`
pub(super) fn add_second(json: &mut Vec<u8>, at: Timestamp) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
    add_printed(json, |json| PRINTER.print_timestamp(&at, json));
}

/// `2022-10-17T07:58:42.952Z`
pub(super) fn add_millisecond(json: &mut Vec<u8>, at: Timestamp) {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    add_printed(json, |json| PRINTER.print_timestamp(&at, json));
}

/// `1977-10-28`
pub(super) fn add_day(json: &mut Vec<u8>, day: Date) {
    add_printed(json, |json| DateTimePrinter::new().print_date(&day, json));
}

fn add_printed(json: &mut Vec<u8>, print: impl FnOnce(&mut Vec<u8>) -> Result<(), jiff::Error>) {
    add(json, "\"");
    let printed = print(json);
    debug_assert!(printed.is_ok(), "a buffer grows");
    add(json, "\"");
}

/// What there is, or null.
pub(super) fn add_optional<T>(json: &mut Vec<u8>, value: Option<T>, add_it: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => add_it(json, value),
        None => add(json, "null"),
    }
}

pub(super) fn add_list<T>(json: &mut Vec<u8>, items: &[T], add_item: impl Fn(&mut Vec<u8>, &T)) {
    add(json, "[");
    for (n, item) in items.iter().enumerate() {
        if n > 0 {
            add(json, ",");
        }
        add_item(json, item);
    }
    add(json, "]");
}

/// Where what is written ends. An upstream's body is at most 1 MiB, so an answer is far below 4 GiB.
pub(super) const fn end(json: &[u8]) -> u32 {
    json.len() as u32
}

/// Makes every character of a section visible, which begins at `start`. Returns where it ends. JSON itself would leave line
/// separators and marks of writing direction as they are: an answer that a caller shows or logs must not read other than
/// it is.
pub(super) fn end_section(json: &mut Vec<u8>, start: u32) -> u32 {
    let start = start as usize;
    // All of it is looked at, in large steps: that takes less than a look at each text.
    if !json[start..].iter().fold(true, |is_plain, byte| is_plain & (*byte < DELETE)) {
        let written = json.split_off(start);
        add_visibly(json, &String::from_utf8_lossy(&written));
    }
    end(json)
}

fn add_visibly(json: &mut Vec<u8>, mut part: &str) {
    while let Some((at, hidden)) = part.char_indices().find(|(_, letter)| is_hidden(*letter)) {
        add(json, &part[..at]);
        for unit in hidden.encode_utf16(&mut [0; 2]) {
            add(json, &format!("\\u{unit:04x}"));
        }
        part = &part[at + hidden.len_utf8()..];
    }
    add(json, part);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_written_as_serde_json_would(text in "([a-z]{0,20}[\\x00-\\x7fé]?){0,3}") {
            let mut json = Vec::new();
            add_text(&mut json, Some(&text));
            prop_assert_eq!(String::from_utf8(json).unwrap(), serde_json::to_string(&text).unwrap());
        }
    }
}
