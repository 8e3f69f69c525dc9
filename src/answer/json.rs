//! How values are written as JSON: compact, and with every character visible.
//!
//! By hand, as a serializer looks at each byte of a text by itself: a miss renders in half the time (docs/performance.md).

use std::io::Write;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::fmt::temporal::DateTimePrinter;

use crate::domain::text::is_hidden;

/// `2026-11-22T10:00:00Z`
pub(super) const SECONDS: DateTimePrinter = DateTimePrinter::new().precision(Some(0));
/// `2022-10-17T07:58:42.952Z`
pub(super) const MILLIS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// What can be written as JSON. Nothing here can fail: a buffer grows.
pub(super) trait Json {
    /// Writes it to the end of `buffer`.
    fn write(&self, buffer: &mut Vec<u8>);
}

/// Members with their names, of an object that is open.
pub(super) struct Members<'a>(pub(super) &'a [(&'a str, &'a dyn Json)]);

/// An object.
pub(super) struct Object<'a>(pub(super) &'a [(&'a str, &'a dyn Json)]);

/// A time, and how it is written.
pub(super) struct Time(pub(super) &'static DateTimePrinter, pub(super) Timestamp);

impl Json for Members<'_> {
    fn write(&self, buffer: &mut Vec<u8>) {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                buffer.push(b',');
            }
            buffer.push(b'"');
            buffer.extend_from_slice(name.as_bytes());
            buffer.extend_from_slice(b"\":");
            value.write(buffer);
        }
    }
}

impl Json for Object<'_> {
    fn write(&self, buffer: &mut Vec<u8>) {
        buffer.push(b'{');
        Members(self.0).write(buffer);
        buffer.push(b'}');
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, buffer: &mut Vec<u8>) {
        for (index, item) in self.iter().enumerate() {
            buffer.push(if index > 0 { b',' } else { b'[' });
            item.write(buffer);
        }
        buffer.extend_from_slice(if self.is_empty() { b"[]" } else { b"]" });
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, buffer: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(buffer),
            None => buffer.extend_from_slice(b"null"),
        }
    }
}

impl Json for bool {
    fn write(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl Json for u64 {
    fn write(&self, buffer: &mut Vec<u8>) {
        let _ = write!(buffer, "{self}");
    }
}

/// A score is finite.
impl Json for f64 {
    fn write(&self, buffer: &mut Vec<u8>) {
        let _ = write!(buffer, "{self:?}");
    }
}

impl Json for Time {
    fn write(&self, buffer: &mut Vec<u8>) {
        let Self(printer, time) = self;
        buffer.push(b'"');
        let _ = printer.print_timestamp(time, &mut *buffer);
        buffer.push(b'"');
    }
}

impl Json for Date {
    fn write(&self, buffer: &mut Vec<u8>) {
        buffer.push(b'"');
        let _ = SECONDS.print_date(self, &mut *buffer);
        buffer.push(b'"');
    }
}

impl Json for String {
    fn write(&self, buffer: &mut Vec<u8>) {
        self.as_str().write(buffer);
    }
}

/// Every character is visible. JSON itself would leave line separators and marks of writing direction as they are: an answer
/// that a caller shows or logs must not read other than it is.
impl Json for &str {
    fn write(&self, buffer: &mut Vec<u8>) {
        let is_plain = |byte| (b' '..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
        buffer.push(b'"');
        // All of it is looked at, in large steps: that takes less than an end at the first byte that is not plain.
        if self.bytes().fold(true, |all, byte| all & is_plain(byte)) {
            buffer.extend_from_slice(self.as_bytes());
        } else {
            self.chars().for_each(|letter| write_letter(buffer, letter));
        }
        buffer.push(b'"');
    }
}

fn write_letter(buffer: &mut Vec<u8>, letter: char) {
    match letter {
        '"' | '\\' => buffer.extend_from_slice(&[b'\\', letter as u8]),
        '\n' => buffer.extend_from_slice(b"\\n"),
        _ if is_hidden(letter) => {
            for unit in letter.encode_utf16(&mut [0; 2]) {
                let _ = write!(buffer, "\\u{unit:04x}");
            }
        }
        _ => buffer.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}
