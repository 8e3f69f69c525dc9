//! Reads an upstream's body as JSON, whatever it means: loosely, within bounds, and never past a duplicate key.
//!
//! A reader of its own rather than `serde_json`, for four reasons: a key given twice is an error (which of the two would
//! be the verdict?), a number keeps its digits (an id may have more of them than any number type holds, and `1e400` is a
//! bad number, not a bad body), half a character is replaced, and a hostile body costs bounded work and memory.

use std::borrow::Cow;

use super::json::{Json, Object};
use crate::domain::drift::{Drift, DriftKind};

/// The most JSON values one body may hold. The vendor's own samples hold about sixty.
const MAX_VALUES: u32 = 20_000;
/// How deep values may be nested. The vendor's own samples have five levels.
const MAX_DEPTH: u32 = 128;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A body as text, without a byte order mark before it. Invalid UTF-8 is replaced and counted.
pub(super) fn text<'a>(body: &'a [u8], drift: &mut Drift) -> Cow<'a, str> {
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    std::str::from_utf8(body).map_or_else(
        |_| {
            drift.add(DriftKind::TypeMismatch);
            String::from_utf8_lossy(body)
        },
        Cow::from,
    )
}

/// Reads the text of a body, which must be an object. An escape of half a character is replaced. `None` if it is not a
/// JSON object, gives a key twice, is nested too deep or holds too many values.
pub(super) fn read(text: &str) -> Option<Object<'_>> {
    let mut reader = Reader { text, at: 0, values_left: MAX_VALUES };
    let object = reader.object(MAX_DEPTH)?;
    reader.skip_blanks();
    reader.peek().is_none().then_some(object)
}

struct Reader<'a> {
    text: &'a str,
    /// How many bytes have been read.
    at: usize,
    values_left: u32,
}

impl<'a> Reader<'a> {
    /// Reads a value, in which values may be nested `depth` levels deep.
    fn value(&mut self, depth: u32) -> Option<Json<'a>> {
        self.values_left = self.values_left.checked_sub(1)?;
        self.skip_blanks();
        match self.peek()? {
            b'{' => self.object(depth).map(Json::Object),
            b'[' => self.array(depth).map(Json::Array),
            b'"' => self.string().map(Json::Text),
            b'-' | b'0'..=b'9' => self.number().map(Json::Number),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            _ => self.word("null", Json::Null),
        }
    }

    fn object(&mut self, depth: u32) -> Option<Object<'a>> {
        let depth = depth.checked_sub(1)?;
        // Just below 512 bytes: for sizes that round up to no power of two, mimalloc often goes a long way around.
        let mut members = Vec::with_capacity(9);
        self.expect(b'{')?;
        if self.take(b'}') {
            return Object::new(members);
        }
        loop {
            let key = self.string()?;
            self.expect(b':')?;
            members.push((key, self.value(depth)?));
            if !self.take(b',') {
                self.expect(b'}')?;
                return Object::new(members);
            }
        }
    }

    fn array(&mut self, depth: u32) -> Option<Vec<Json<'a>>> {
        let depth = depth.checked_sub(1)?;
        let mut items = Vec::new();
        self.expect(b'[')?;
        if self.take(b']') {
            return Some(items);
        }
        loop {
            items.push(self.value(depth)?);
            if !self.take(b',') {
                return self.expect(b']').map(|()| items);
            }
        }
    }

    /// A text. In place, as are its plain parts: it is most of what there is to read, and a call takes half as long again.
    #[inline(always)]
    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.expect(b'"')?;
        let plain = self.plain()?;
        if self.skip(|byte| byte == b'"') { Some(plain.into()) } else { self.escaped(plain.to_owned()) }
    }

    /// The rest of a string that begins with `string` and goes on with an escape.
    #[cold]
    fn escaped(&mut self, mut string: String) -> Option<Cow<'a, str>> {
        loop {
            match self.next()? {
                b'"' => return Some(string.into()),
                b'\\' => string.push(self.escape()?),
                _ => return None,
            }
            string += self.plain()?;
        }
    }

    /// The text before the next quote, backslash or control character, or before the end.
    #[inline(always)]
    fn plain(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.at += plain_length(&self.text.as_bytes()[start..]);
        self.text.get(start..self.at)
    }

    /// The character of an escape.
    fn escape(&mut self) -> Option<char> {
        match self.next()? {
            b'b' => Some('\u{8}'),
            b'f' => Some('\u{c}'),
            b'n' => Some('\n'),
            b'r' => Some('\r'),
            b't' => Some('\t'),
            b'u' => self.unicode(),
            plain @ (b'"' | b'\\' | b'/') => Some(char::from(plain)),
            _ => None,
        }
    }

    /// The character of `XXXX`, or of two such that are halves of one. Half a character is what is left of one within
    /// which a text was cut.
    fn unicode(&mut self) -> Option<char> {
        let unit = self.unit()?;
        if !(0xd800..0xdc00).contains(&unit) {
            return Some(char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let after = self.at;
        if self.text[after..].starts_with("\\u") {
            self.at += 2;
            if let Some(second @ 0xdc00..0xe000) = self.unit() {
                return char::from_u32(0x10000 + ((unit - 0xd800) << 10) + (second - 0xdc00));
            }
        }
        self.at = after;
        Some(char::REPLACEMENT_CHARACTER)
    }

    /// The value of four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        // `from_str_radix` would take a sign, too.
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
    }

    /// The digits of a number, as they were sent.
    fn number(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.skip(|byte| byte == b'-');
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            return None;
        }
        if self.skip(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip(|byte| matches!(byte, b'e' | b'E')) {
            self.skip(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Some(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Option<&'a str> {
        let start = self.at;
        while self.skip(|byte| byte.is_ascii_digit()) {}
        (self.at > start).then(|| &self.text[start..self.at])
    }

    fn word(&mut self, word: &str, json: Json<'a>) -> Option<Json<'a>> {
        let is_it = self.text[self.at..].starts_with(word);
        self.at += word.len();
        is_it.then_some(json)
    }

    /// Takes `byte`, before which there may be blanks, if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        let is_it = |next| next == byte;
        // Mostly there are no blanks.
        self.skip(is_it) || (self.skip_blanks() && self.skip(is_it))
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// Returns whether there were any.
    fn skip_blanks(&mut self) -> bool {
        let start = self.at;
        while self.skip(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')) {}
        self.at > start
    }

    /// Takes the next byte if it is such a one.
    fn skip(&mut self, is_such: impl Fn(u8) -> bool) -> bool {
        let skips = self.peek().is_some_and(is_such);
        self.at += usize::from(skips);
        skips
    }

    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// How many bytes come before the first quote, backslash or control character. Eight bytes are looked at in one step: the
/// lowest bit that is set in `found` is that of the first such byte.
fn plain_length(bytes: &[u8]) -> usize {
    const EACH: u64 = u64::MAX / 255;
    let below = |word: u64, limit: u64| word.wrapping_sub(EACH * limit) & !word & (EACH << 7);
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // With this bit turned over a quote comes right after the control characters, and the others stay behind it.
        let control_or_quote = below(word ^ (EACH * 2), 0x21);
        let found = control_or_quote | below(word ^ (EACH * u64::from(b'\\')), 1);
        if found != 0 {
            return 8 * n + found.trailing_zeros() as usize / 8;
        }
    }
    let is_plain = |byte: &&u8| **byte >= 0x20 && !matches!(byte, b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().take_while(is_plain).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits_even_if_no_float_can_hold_them() {
        let numbers = ["1e400", "82.0", "-1", "1.6E12", "-0", "0.10", "771028990001000200030004"];
        let body = format!(r#"{{"sent":[{}]}}"#, numbers.join(" , "));
        let read = read(&body).unwrap();
        for (read, sent) in read.get("sent").unwrap().as_array().unwrap().iter().zip(numbers) {
            assert!(matches!(read, Json::Number(digits) if *digits == sent), "{sent}");
        }
    }

    #[test]
    fn invalid_utf8_inside_a_string_is_replaced_and_counted_and_a_byte_order_mark_is_skipped() {
        let cases = [(&b"{\"a\":\"x\xff\"}"[..], "x\u{fffd}", 1), (b"\xef\xbb\xbf{\"a\":\"x\"}", "x", 0)];
        for (body, expected, counted) in cases {
            let mut drift = Drift::default();
            let text = text(body, &mut drift);
            assert!(matches!(read(&text).unwrap().get("a").unwrap(), Json::Text(text) if text == expected));
            assert_eq!(drift.count(DriftKind::TypeMismatch), counted, "{expected}");
        }
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
        for (sent, expected) in cases {
            let sent = format!("{{\"a\":\"{sent}\"}}");
            assert!(
                matches!(read(&sent).unwrap().get("a").unwrap(), Json::Text(text) if text == expected),
                "{sent}"
            );
        }
    }

    #[test]
    fn what_is_not_a_clean_object_is_refused() {
        let nested = |levels: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
        let of_values = |count: u32| format!(r#"{{"a":[{}0]}}"#, "0,".repeat(count as usize - 2));
        for good in ["{}", "\n { \"a\" : null }\t", &nested(MAX_DEPTH as usize - 1), &of_values(MAX_VALUES)] {
            assert!(read(good).is_some(), "{}", &good[..good.len().min(40)]);
        }
        let twice = r#"{"data":{"idvResult":"PASS","idvResult":"FAIL"}}"#;
        let twice_in_list = r#"{"extra":[{"x":1,"\u0078":1}]}"#;
        let numbers =
            [r#"{"a":01}"#, r#"{"a":.5}"#, r#"{"a":1.}"#, r#"{"a":+1}"#, r#"{"a":1e}"#, r#"{"a":NaN}"#];
        let others = ["", "PASS", "null", "1", "[]", "{", r#"{"a":1}x"#, r#"{"a":nul}"#, r#"{"a":"\x"}"#];
        let large = [nested(MAX_DEPTH as usize), nested(100_000), of_values(MAX_VALUES + 1)];
        for bad in [twice, twice_in_list]
            .iter()
            .chain(&numbers)
            .chain(&others)
            .copied()
            .chain(large.iter().map(String::as_str))
        {
            assert!(read(bad).is_none(), "{}", &bad[..bad.len().min(40)]);
        }
    }
}
