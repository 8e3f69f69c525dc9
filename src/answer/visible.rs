//! JSON in which every character is visible.

use std::io;

use serde_json::ser::Formatter;

use crate::domain::text::is_hidden;

/// The one control character that JSON does not escape and that is ASCII.
const DELETE: u8 = 0x7f;

/// Compact JSON in which every character is visible. JSON itself would leave line separators and marks of writing
/// direction as they are: an answer that a caller shows or logs must not read other than it is.
pub(super) struct Visible;

impl Formatter for Visible {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let is_plain = text.is_ascii() && !text.as_bytes().contains(&DELETE);
        if is_plain {
            return out.write_all(text.as_bytes());
        }
        let mut rest = text;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, letter)| is_hidden(*letter)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in hidden.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + hidden.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}
