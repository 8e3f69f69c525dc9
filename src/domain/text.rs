//! Text that people read: invisible characters must not change what a line seems to say. Text that JSON writes as it is. And
//! bytes as hexadecimal digits.

use std::fmt::Write;

/// Whether `letter` is invisible: a control character, a soft hyphen, a zero-width character, a mark of direction, a line
/// separator, a byte order mark or a tag.
pub fn is_hidden(letter: char) -> bool {
    matches!(letter, '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with its hidden characters spelled out, such as `\n` or `\u{200b}`.
pub fn escape_hidden(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if is_hidden(letter) {
            // Writing to a string does not fail.
            let _ = write!(shown, "{}", letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// Bytes in hexadecimal digits, of which there are twice as many. Without a table, so that many are made at once.
pub fn hex<const BYTES: usize, const DIGITS: usize>(bytes: &[u8; BYTES]) -> [u8; DIGITS] {
    const { assert!(DIGITS == 2 * BYTES) };
    let digit = |half: u8| half + if half < 10 { b'0' } else { b'a' - 10 };
    let mut digits = [0; DIGITS];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair[0] = digit(byte >> 4);
        pair[1] = digit(byte & 15);
    }
    digits
}

/// How many bytes come before the first quote, backslash or control character: JSON writes them as they are. Eight bytes are
/// looked at in one step: the lowest bit that is set in `found` is that of the first such byte.
#[inline]
pub fn plain_length(bytes: &[u8]) -> usize {
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
